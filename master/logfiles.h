/* logfiles: the descriptors of the error log and the access log. The master opens them, the logger writes. */
#ifndef MASTER_LOGFILES_H
#define MASTER_LOGFILES_H

#include "shared/base/channel.h"
#include "shared/conf/settings.h"
#include "shared/shm/logs.h"

struct logfiles {
    int fds[LOG_TARGETS];     /* one that is not wanted is /dev/null; -1: not open */
    bool syslog[LOG_TARGETS]; /* a datagram socket to /dev/log */
};

void logfiles_init(struct logfiles *files);

/* Opens what the settings name; in the `background` there is no standard error to name. 0, or -1 with what is wrong in `errors` and nothing left open. */
int logfiles_open(struct logfiles *files, const struct log_settings *settings, bool background,
                  struct errors *errors);
void logfiles_close(struct logfiles *files);

/* The order to the logger that hands it the descriptors. */
void logfiles_message(const struct logfiles *files, struct channel_message *message);

#endif
