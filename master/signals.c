/* signals: owned by the master; signals_child() is called between fork and the child's role. */
#include "master/signals.h"

#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int taken[] = {SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGQUIT, SIGINT};
/* A pipe or a file that takes no more is an error of the call that writes. */
static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGALRM};
/* And what comes from the terminal, to the whole group, or from someone who means the master. */
static const int not_for_children[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
                                       SIGPIPE, SIGXFSZ, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

int signals_open(struct signals *signals)
{
    sigset_t set;
    memset(signals, 0, sizeof(*signals));
    sigemptyset(&set);
    for (size_t i = 0; i < COUNT(taken); i++) {
        signal(taken[i], SIG_DFL); /* one that was ignored by who started us would not be delivered */
        sigaddset(&set, taken[i]);
    }
    for (size_t i = 0; i < COUNT(ignored); i++)
        signal(ignored[i], SIG_IGN);
    if (sigprocmask(SIG_SETMASK, &set, NULL))
        return -1;
    signals->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return signals->fd < 0 ? -1 : 0;
}

void signals_close(struct signals *signals)
{
    if (signals->fd >= 0)
        close(signals->fd);
    signals->fd = -1;
}

void signals_read(struct signals *signals)
{
    struct signalfd_siginfo info;
    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            signals->child = true;
            break;
        case SIGHUP:
            signals->reload = true;
            break;
        case SIGUSR1:
            signals->reopen = true;
            break;
        case SIGUSR2:
            signals->upgrade = true;
            break;
        case SIGTERM:
        case SIGQUIT:
            signals->drain = true;
            break;
        case SIGINT:
            signals->now = true;
            break;
        }
    }
}

void signals_child(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP)
            signal(number, SIG_DFL);
    for (size_t i = 0; i < COUNT(not_for_children); i++)
        signal(not_for_children[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
