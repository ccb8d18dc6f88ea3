/* logfiles: opened for each generation before anything is forked, and anew on SIGUSR1. */
#include "master/logfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void logfiles_init(struct logfiles *files)
{
    for (unsigned i = 0; i < LOG_TARGETS; i++) {
        files->fds[i] = -1;
        files->syslog[i] = false;
    }
}

static int open_syslog(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Non-blocking while it is opened, so that a FIFO without a reader is an error and no hang. The logger may block. */
static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_APPEND);
    return fd;
}

static const char *open_why(const char *path, int error)
{
    struct stat found;
    if (error == ELOOP || (lstat(path, &found) == 0 && S_ISLNK(found.st_mode)))
        return "it is a symbolic link, which is not followed (name the file itself; \"stderr\" is for "
               "containers)";
    if (error == ENOENT)
        return "its folder doesn't exist (make it, for root only to write)";
    if (error == ENXIO)
        return "it is a FIFO that nobody reads";
    return strerror(error);
}

static int open_one(struct logfiles *files, enum log_target target, struct origin origin, const char *setting,
                    const char *name, struct errors *errors)
{
    if (strcmp(name, "stderr") == 0)
        files->fds[target] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    else if (strcmp(name, "syslog") == 0) {
        files->fds[target] = open_syslog();
        files->syslog[target] = true;
    } else
        files->fds[target] = open_file(name);
    if (files->fds[target] >= 0)
        return 0;
    const char *why =
        files->syslog[target] || strcmp(name, "stderr") == 0 ? strerror(errno) : open_why(name, errno);
    errors_add(errors, origin, "%s: %s can't be opened: %s", setting, name, why);
    return -1;
}

int logfiles_open(struct logfiles *files, const struct log_settings *settings, bool background,
                  struct errors *errors)
{
    const struct access_settings *access = &settings->access;
    const struct {
        struct origin origin;
        const char *setting, *name;
    } wanted[LOG_TARGETS] = {
        [LOG_ERROR] = {settings->origin, "log.error", settings->error},
        [LOG_ACCESS] = {access->origin, "log.access.file", access->file},
    };
    int error = 0;
    logfiles_init(files);
    for (unsigned i = 0; i < LOG_TARGETS; i++) {
        const char *name =
            wanted[i].name ? wanted[i].name : "/dev/null"; /* a logger that had one gives it up */
        if (background && strcmp(name, "stderr") == 0) {
            errors_add(errors, wanted[i].origin,
                       "%s: there is no stderr in the background (start with -f, or name a file)",
                       wanted[i].setting);
            error = -1;
        } else
            error |= open_one(files, i, wanted[i].origin, wanted[i].setting, name, errors);
    }
    if (!error)
        return 0;
    logfiles_close(files);
    return -1;
}

void logfiles_close(struct logfiles *files)
{
    for (unsigned i = 0; i < LOG_TARGETS; i++)
        if (files->fds[i] >= 0)
            close(files->fds[i]);
    logfiles_init(files);
}

void logfiles_message(const struct logfiles *files, struct channel_message *message)
{
    memset(message, 0, sizeof(*message));
    message->verb = CHANNEL_REOPEN;
    for (unsigned i = 0; i < LOG_TARGETS; i++) {
        if (files->fds[i] < 0)
            continue;
        message->flags |= 1u << i;
        message->flags |= files->syslog[i] ? 0x100u << i : 0;
        message->fds[message->fd_count++] = files->fds[i];
    }
}
