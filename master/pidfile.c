/* pidfile: taken once by the master before it binds anything, written when it serves, removed at an orderly stop. */
#include "master/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool still_there(int fd, const char *path)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

/* The descriptor with the lock, or -1 and `why`. */
static int lock(const char *path, char *why, size_t size)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0644);
    if (fd < 0) {
        snprintf(why, size, "pidfile %s: %s%s", path, strerror(errno),
                 errno == ENOENT ? " (its folder must exist)" : "");
        return -1;
    }
    if (fcntl(fd, F_SETLK, &lock) == 0)
        return fd;
    int error = errno;
    lock.l_type = F_WRLCK;
    if ((error == EAGAIN || error == EACCES) && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
        snprintf(why, size, "another instance is running as pid %ld: it holds %s", (long)lock.l_pid, path);
    else
        snprintf(why, size, "pidfile %s can't be locked: %s", path, strerror(error));
    close(fd);
    return -1;
}

int pidfile_take(struct pidfile *pidfile, const char *path, char *why, size_t size)
{
    pidfile->path = path;
    /* Who removes the file may do so between our open and our lock: then the lock is on a file without a name. */
    for (int tries = 0; tries < 10; tries++) {
        pidfile->fd = lock(path, why, size);
        if (pidfile->fd < 0)
            return -1;
        if (still_there(pidfile->fd, path)) {
            if (ftruncate(pidfile->fd, 0) == 0)
                return 0;
            snprintf(why, size, "pidfile %s: %s", path, strerror(errno));
            break;
        }
        close(pidfile->fd);
        pidfile->fd = -1;
        snprintf(why, size, "pidfile %s: it is removed again and again", path);
    }
    pidfile_remove(pidfile);
    return -1;
}

int pidfile_write(struct pidfile *pidfile, char *why, size_t size)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(pidfile->fd, 0) == 0 && pwrite(pidfile->fd, text, (size_t)length, 0) == length)
        return 0;
    snprintf(why, size, "pidfile %s: %s", pidfile->path, strerror(errno));
    return -1;
}

void pidfile_remove(struct pidfile *pidfile)
{
    if (pidfile->fd < 0)
        return;
    if (still_there(pidfile->fd, pidfile->path))
        unlink(pidfile->path);
    close(pidfile->fd);
    pidfile->fd = -1;
}
