/* admission: what a client's connection was let in under. */
#include "worker/net/admission.h"

#include <string.h>

void admission_destination(const struct admission *admission, int fd, struct address *destination)
{
    if (admission->destination) {
        *destination = *admission->destination;
        return;
    }
    memset(destination, 0, sizeof *destination);
    destination->length = sizeof destination->un;
    if (getsockname(fd, &destination->any, &destination->length) < 0)
        *destination = (struct address){.length = 0};
    else
        address_unmap(destination);
}
