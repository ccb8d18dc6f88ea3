/* saver: writes the snapshot. Called by the keeper. */
#include "worker/role/saver.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/log.h"

/* Once when it begins to fail, once when it is well again. */
static void note(struct saver *saver, int error)
{
    if (error && error != saver->error)
        log_error("state.file: %s can't be written: %s; tried again in %llu s", saver->file, strerror(error),
                  (unsigned long long)saver->interval_ms / 1000);
    else if (!error && saver->error)
        log_notice("state.file: %s is written again", saver->file);
    saver->error = error;
}

static int save(const struct saver *saver)
{
    return shared_save(saver->process->shared, saver->file) < 0 ? errno : 0;
}

/* How the writing process ended: its status is an errno. */
static int outcome(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static void on_child(struct source *source, uint32_t events)
{
    struct saver *saver = CONTAINER_OF(source, struct saver, child);
    (void)events;
    int error = outcome(saver->pid);
    loop_remove(saver->loop, &saver->child);
    close(saver->child.fd);
    saver->child.fd = -1;
    note(saver, error);
}

static int begin(struct saver *saver)
{
    pid_t keeper = getpid();
    saver->pid = fork();
    if (saver->pid < 0)
        return errno;
    if (saver->pid == 0) {
        /* Without us it would write beside the next keeper's, to the same file. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == keeper ? save(saver) : ESRCH);
    }
    saver->child = (struct source){.fd = pidfd_open(saver->pid, 0), .on_event = on_child};
    if (saver->child.fd < 0 || loop_add(saver->loop, &saver->child, EPOLLIN) < 0) {
        int error = errno;
        kill(saver->pid, SIGKILL);
        outcome(saver->pid);
        if (saver->child.fd >= 0)
            close(saver->child.fd);
        saver->child.fd = -1;
        return error;
    }
    return 0;
}

static void on_timer(struct timer *timer)
{
    struct saver *saver = CONTAINER_OF(timer, struct saver, timer);
    timer_set(&saver->loop->timers, timer, saver->loop->now_ms + saver->interval_ms);
    if (saver->child.fd >= 0) {
        note(saver, ETIMEDOUT); /* it has taken the whole interval */
        return;
    }
    int error = begin(saver);
    if (error)
        note(saver, error);
}

static int check_folder(const struct saver *saver)
{
    char *copy = strdup(saver->file);
    if (!copy)
        return errno;
    int rc = access(dirname(copy), W_OK | X_OK), error = errno;
    free(copy);
    return rc ? error : 0;
}

int saver_start(struct saver *saver, struct process *process, struct loop *loop)
{
    const struct settings *settings = process->generation->settings;
    *saver = (struct saver){.process = process, .loop = loop, .child.fd = -1};
    timer_init(&saver->timer, on_timer);
    if (!settings->state.file)
        return 0;
    saver->file = settings->state.file;
    saver->interval_ms = (uint64_t)settings->state.interval;
    int error = check_folder(saver);
    if (error) {
        member_failed(process,
                      "state.file: the folder of %s: %s (make it, and give it to the user \"%s\": chown)",
                      saver->file, strerror(error), settings->user);
        return -1;
    }
    timer_set(&loop->timers, &saver->timer, loop->now_ms + saver->interval_ms);
    return 0;
}

/* Whether the gateway goes on without us: then the next keeper saves. */
static bool others_serve(const struct saver *saver)
{
    const struct slots *slots = saver->process->shared->slots;
    for (unsigned i = 0; i < slots->count; i++) {
        const struct slot *slot = &slots->slot[i];
        uint32_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
        if (atomic_load_explicit(&slot->role, memory_order_relaxed) == ROLE_WORKER &&
            (state == SLOT_READY || state == SLOT_SERVING))
            return true;
    }
    return false;
}

void saver_finish(struct saver *saver)
{
    /* What it wrote would be older than what we write, or the next one writes. Not waited for: a disk may hold it. */
    if (saver->child.fd >= 0) {
        kill(saver->pid, SIGKILL);
        close(saver->child.fd);
    }
    if (saver->file && !others_serve(saver))
        note(saver, save(saver));
}
