/* random: the seed. The steps are inline, in the header. */
#include "shared/base/random.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

void random_seed(struct random *random)
{
    /* Up to 256 bytes come whole once the kernel's generator is ready; before that a signal may interrupt. */
    ssize_t got;
    do
        got = getrandom(random->state, sizeof(random->state), 0);
    while (got < 0 && errno == EINTR);
    assert(got == (ssize_t)sizeof(random->state));
    random->state[0] |= 1; /* all zeros would stay so */
}
