/* count: what limits, quotas and concurrency say of a request. */
#ifndef SHM_COUNT_H
#define SHM_COUNT_H

enum count_verdict {
    COUNT_ADMITTED,
    COUNT_REFUSED, /* nothing is left at present */
    COUNT_NEVER,   /* it costs more than there ever is at once */
    COUNT_FULL,    /* nobody knows: there is no room for the key */
    COUNT_BUSY,    /* nobody knows yet: who has a lock was not done, try again in a moment */
};

#endif
