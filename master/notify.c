/* notify: one datagram a state, written by us: the protocol is public and a line long. Called by the master. */
#include "master/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"

static void notify(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!name || (name[0] != '/' && name[0] != '@') || strlen(name) >= sizeof(address.sun_path))
        return;
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') /* an abstract name: its first byte is NUL */
        address.sun_path[0] = '\0';

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
        log_warning("the service manager can't be told over NOTIFY_SOCKET=%s: %m", name);
    if (fd >= 0)
        close(fd);
}

void notify_ready(void)
{
    char text[64];
    snprintf(text, sizeof(text), "READY=1\nMAINPID=%ld", (long)getpid());
    notify(text);
}

void notify_reloading(void)
{
    char text[64];
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(clock_monotonic_ns() / 1000));
    notify(text);
}

void notify_stopping(void)
{
    notify("STOPPING=1");
}
