/* daemon: used by command/run.c, before the master exists, and by the master when it serves. */
#include "master/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void daemon_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

/* The starting command: stays in the foreground until the outcome is known. */
static void __attribute__((noreturn)) wait_for_report(int report)
{
    unsigned char status = 1;
    ssize_t got;
    do
        got = read(report, &status, 1);
    while (got < 0 && errno == EINTR);
    _exit(got == 1 ? status : 1);
}

int daemon_start(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -1;
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid > 0) {
        close(ends[1]);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        wait_for_report(ends[0]);
    }
    /* The leader of a new session could get a terminal by opening one: its child can't. */
    if (setsid() < 0 || (pid = fork()) < 0)
        return -1;
    if (pid > 0)
        _exit(0);
    close(ends[0]);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -1;
    dup2(null, STDIN_FILENO);
    close(null);
    return ends[1];
}

void daemon_report(int report, int status, int error_fd)
{
    unsigned char byte = (unsigned char)status;
    if (report < 0)
        return;
    /* First let go of the terminal: who waits for its end, as ssh does, is not kept. */
    int fd = error_fd >= 0 ? error_fd : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
    }
    if (fd > 2 && fd != error_fd)
        close(fd);
    while (write(report, &byte, 1) < 0 && errno == EINTR)
        ;
    close(report);
}
