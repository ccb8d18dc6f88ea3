/* notify: what the service manager is told, over the socket that NOTIFY_SOCKET names (sd_notify(3)). */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

/* Each is nothing when no service manager listens, and never blocks. */
void notify_ready(void);     /* READY=1 and MAINPID */
void notify_reloading(void); /* RELOADING=1 and MONOTONIC_USEC; notify_ready() ends it */
void notify_stopping(void);

#endif
