/* orphans: reads /proc, which is blocking-free, and only at the start of a master. */
#include "master/orphans.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "worker/role/role.h"

enum { TITLE_SIZE = 4600 }; /* a path and the words round it */

bool orphans_match(const char *line, size_t length, const char *pidfile)
{
    char expected[TITLE_SIZE], role[16];
    unsigned number;
    while (length && line[length - 1] == '\0')
        length--;
    if (length == 0 || length >= sizeof(expected))
        return false;
    memcpy(expected, line, length);
    expected[length] = '\0';
    if (sscanf(expected, "gatehouse: %15[a-z] %u (orphan of ", role, &number) != 2)
        return false;
    snprintf(expected, sizeof(expected), "gatehouse: %s %u (orphan of %s)", role, number, pidfile);
    return strlen(expected) == length && memcmp(expected, line, length) == 0;
}

/* A line of a process's status that begins with `name`, from behind the colon; NULL: it has none, or is gone. */
static const char *status_line(int folder, const char *name, char *text, size_t size)
{
    int fd = openat(folder, "status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t got = read(fd, text, size - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            return line + strlen(name) + 1;
    }
    return NULL;
}

/* The real user of a process, from its status: the owner of its folder is root for one that is not dumpable. */
static bool uid_of(int folder, uid_t *uid)
{
    char text[4096];
    const char *line = status_line(folder, "Uid", text, sizeof(text));
    return line && sscanf(line, " %u", uid) == 1;
}

bool orphans_gone(pid_t pid)
{
    char path[32], text[4096];
    snprintf(path, sizeof(path), "/proc/%ld", (long)pid);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOENT;
    /* One that nobody reaps holds nothing either. */
    const char *line = status_line(folder, "State", text, sizeof(text));
    close(folder);
    return !line || line[strspn(line, " \t")] == 'Z';
}

/* The folder of an orphan in /proc, or -1: that process is none. */
static int orphan_open(const struct orphans *orphans, int proc, const char *pid)
{
    char line[TITLE_SIZE];
    uid_t uid;
    int folder = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = folder < 0 ? -1 : openat(folder, "cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof(line));
    if (fd >= 0)
        close(fd);
    if (got > 0 && orphans_match(line, (size_t)got, orphans->pidfile) && uid_of(folder, &uid) &&
        (uid == orphans->uid || uid == geteuid()))
        return folder;
    if (folder >= 0)
        close(folder);
    return -1;
}

/* Calls `see(context, pid, folder)` for each orphan, until one says true. */
static bool each_orphan(const struct orphans *orphans, bool (*see)(void *context, pid_t pid, int folder),
                        void *context)
{
    DIR *proc = opendir("/proc");
    bool done = false;
    if (!proc) {
        log_warning("/proc can't be read: %m; processes that a killed master left are not found");
        return false;
    }
    for (struct dirent *entry; !done && (entry = readdir(proc));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        int folder = orphan_open(orphans, dirfd(proc), entry->d_name);
        if (folder < 0)
            continue;
        done = see(context, (pid_t)strtol(entry->d_name, NULL, 10), folder);
        close(folder);
    }
    closedir(proc);
    return done;
}

static bool count_one(void *context, pid_t pid, int folder)
{
    (void)pid, (void)folder;
    ++*(unsigned *)context;
    return false;
}

unsigned orphans_count(const struct orphans *orphans)
{
    unsigned count = 0;
    each_orphan(orphans, count_one, &count);
    return count;
}

struct search {
    char link[40]; /* "socket:[123]" */
    bool hidden;
};

static bool holds(void *context, pid_t pid, int folder)
{
    struct search *search = context;
    char link[64];
    bool found = false;
    (void)pid;
    int fd = openat(folder, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *files = fd < 0 ? NULL : fdopendir(fd);
    if (!files) {
        search->hidden = true;
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (struct dirent *entry; !found && (entry = readdir(files));) {
        ssize_t got = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);
        link[got > 0 ? got : 0] = '\0';
        found = strcmp(link, search->link) == 0;
    }
    closedir(files);
    return found;
}

enum orphans_answer orphans_hold(const struct orphans *orphans, ino_t socket)
{
    struct search search = {.hidden = false};
    snprintf(search.link, sizeof(search.link), "socket:[%llu]", (unsigned long long)socket);
    if (each_orphan(orphans, holds, &search))
        return ORPHANS_YES;
    return search.hidden ? ORPHANS_HIDDEN : ORPHANS_NO;
}

struct told {
    const struct orphans *orphans;
    unsigned count;
};

/* The pid could be another process's by now: a descriptor of the process first, then the look at who it is. */
static bool tell_drain(void *context, pid_t pid, int folder)
{
    struct told *told = context;
    char name[16];
    (void)folder;
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0)
        return false;
    snprintf(name, sizeof(name), "%ld", (long)pid);
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int again = proc < 0 ? -1 : orphan_open(told->orphans, proc, name);
    if (again >= 0 && syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0) == 0)
        told->count++;
    else if (again >= 0 && errno != ESRCH)
        log_warning("process %ld, left by a killed master, can't be told to drain: %m", (long)pid);
    if (again >= 0)
        close(again);
    if (proc >= 0)
        close(proc);
    close(process);
    return false;
}

unsigned orphans_drain(const struct orphans *orphans)
{
    struct told told = {orphans, 0};
    each_orphan(orphans, tell_drain, &told);
    return told.count;
}
