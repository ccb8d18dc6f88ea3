/* upgrade: the states of it, of the old program and of the new one. Asked for by SIGUSR2 and the control socket; called
 * by the loop. */
#include "master/upgrade.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"
#include "master/notify.h"
#include "master/reopen.h"
#include "master/resume.h"
#include "master/stop.h"
#include "shared/base/log.h"
#include "shared/conf/print.h"

/* What our own processes may take to end when another program is to go on. */
enum { RETURN_GRACE_MS = 2000 };

void upgrade_init(struct upgrade *upgrade, const char *program)
{
    *upgrade = (struct upgrade){.program = program, .pipe = -1, .image = -1, .baton = {.fd = -1}};
}

bool upgrade_takes(const struct master *master)
{
    return master->upgrade.state == UPGRADE_TAKING;
}

bool upgrade_request(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    if (master->state != MASTER_SERVING)
        return false;
    upgrade->queued |= upgrade->state == UPGRADE_IDLE; /* else the one in progress is the answer */
    master->again = true;
    return true;
}

/* --- executing --- */

void upgrade_execute(int image, const struct master *master, int baton, const char *word)
{
    char value[64], name[] = "gatehouse", run[] = "run", c[] = "-c", f[] = "-f";
    char *config = strdup(master->config), *first = strdup(master->upgrade.program);
    char *argv[] = {first ? first : name, run, c, config, master->background ? NULL : f, NULL};
    snprintf(value, sizeof(value), "%d %d %s", baton, image, word);
    if (config && setenv(UPGRADE_VARIABLE, value, 1) == 0) {
        if (strcmp(word, "back") == 0)
            syscall(SYS_execveat, image, "", argv, environ, AT_EMPTY_PATH);
        else
            execv(master->upgrade.program, argv);
    }
    int error = errno;
    unsetenv(UPGRADE_VARIABLE);
    free(config);
    free(first);
    errno = error;
}

/* --- the old program: trying the new one --- */

static void log_lines(const char *text)
{
    struct str rest = str_of(text);
    while (rest.length) {
        struct str line = str_cut(&rest, '\n');
        if (line.length)
            log_error("upgrade: %.*s", (int)line.length, line.data);
    }
}

/* The end of one that did not come to pass: all is as before. */
static void fail(struct master *master, const char *why)
{
    struct upgrade *upgrade = &master->upgrade;
    char text[UPGRADE_TEXT + 256];
    int length = (int)strlen(why);
    while (length && why[length - 1] == '\n')
        length--;
    snprintf(text, sizeof(text), "%.*s\nnothing was changed: generation %" PRIu64 " serves on", length, why,
             master->reload.number);
    log_lines(why);
    log_error("upgrade: nothing was changed: generation %" PRIu64 " serves on", master->reload.number);
    if (upgrade->pipe >= 0)
        close(upgrade->pipe);
    upgrade->pipe = -1;
    int image = upgrade->baton.root ? baton_number(&upgrade->baton, "image") : -1;
    int settings = upgrade->baton.root ? baton_number(&upgrade->baton, "settings") : -1;
    if (image >= 0)
        close(image);
    if (settings >= 0)
        close(settings);
    baton_close(&upgrade->baton);
    free(upgrade->said);
    upgrade->said = NULL;
    upgrade->state = UPGRADE_IDLE;
    master->again = true;
    if (master->state == MASTER_SERVING)
        notify_ready();
    control_upgrade_done(&master->control, false, text);
}

void upgrade_came_back(struct master *master, const char *why)
{
    master->upgrade.image = -1; /* our own: closed with the baton */
    fail(master, why);
}

/* The values in effect, in a file that this program can read back: the configuration may be another one by the time
 * that they are needed. -1 and `why`. */
static int keep_settings(const struct master *master, char *why, size_t size)
{
    char path[40];
    struct errors errors;
    const struct generation *generation = master->crew->generation;
    int fd = memfd_create("gatehouse-settings", MFD_CLOEXEC);
    int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    FILE *out = copy < 0 ? NULL : fdopen(copy, "w");
    if (!out) {
        snprintf(why, size, "the settings can't be kept: %s", strerror(errno));
        if (copy >= 0)
            close(copy);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    conf_dump_whole(out, &settings_section, generation->settings);
    int error = ferror(out);
    error |= fclose(out);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct arena *arena = arena_new(4096);
    errors_init(&errors, arena);
    struct generation *again =
        error ? NULL : generation_load(path, generation->number, &role_generation_kind, &errors);
    if (!again) {
        snprintf(why, size, "the settings can't be kept for the way back: %s", errors_text(&errors, arena));
        close(fd);
        fd = -1;
    }
    generation_free(&again);
    arena_free(&arena);
    return fd;
}

/* What is handed over, as it is now. */
static int make(struct master *master, int image, int settings, char *why, size_t size)
{
    struct baton *baton = &master->upgrade.baton;
    baton_close(baton);
    int rc = baton_make(baton, master, image, settings, why, size);
    if (!baton->root) { /* else fail() finds them there */
        close(image);
        close(settings);
    }
    return rc;
}

/* Starts the child that tries. 0, or -1 with errno. */
static int start_trial(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return -1;
    upgrade->pid = fork();
    if (upgrade->pid == 0) {
        fcntl(ends[1], F_SETFL, 0); /* it may wait until we have read */
        if (dup2(ends[1], STDOUT_FILENO) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
            _exit(127);
        baton_pass(&upgrade->baton, true);
        upgrade_execute(baton_number(&upgrade->baton, "image"), master, upgrade->baton.fd, "trial");
        dprintf(STDERR_FILENO, "it can't be executed: %s\n", strerror(errno));
        _exit(127);
    }
    int error = errno;
    close(ends[1]);
    upgrade->pipe = ends[0];
    errno = error;
    return upgrade->pid < 0 ? -1 : 0;
}

static void begin(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    char why[UPGRADE_TEXT] = "";
    upgrade->queued = false;
    upgrade->state = UPGRADE_TRYING;
    upgrade->length = 0;
    upgrade->pid = 0;
    upgrade->deadline = master->now + (uint64_t)master->crew->generation->settings->start_timeout;
    notify_reloading();
    log_notice("upgrade: %s is tried", upgrade->program ? upgrade->program : "the program");
    int image = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (image < 0 || !upgrade->program) {
        fail(master, "where the program is can't be found out (without /proc there is no upgrade)");
        if (image >= 0)
            close(image);
        return;
    }
    int settings = keep_settings(master, why, sizeof(why));
    if (settings < 0) {
        close(image);
        fail(master, why);
        return;
    }
    if (make(master, image, settings, why, sizeof(why))) {
        fail(master, why);
        return;
    }
    upgrade->said = malloc(UPGRADE_TEXT);
    if (!upgrade->said)
        abort();
    if (start_trial(master)) {
        snprintf(why, sizeof(why), "no process for the trial: %s", strerror(errno));
        upgrade->pid = 0;
        fail(master, why);
    }
}

void upgrade_read(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    while (upgrade->pipe >= 0) {
        char rest[256];
        bool room = upgrade->length < UPGRADE_TEXT - 1;
        ssize_t got =
            room ? read(upgrade->pipe, upgrade->said + upgrade->length, UPGRADE_TEXT - 1 - upgrade->length)
                 : read(upgrade->pipe, rest, sizeof(rest)); /* too much: the beginning says most */
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got > 0) {
            upgrade->length += room ? (size_t)got : 0;
            continue;
        }
        close(upgrade->pipe);
        upgrade->pipe = -1;
    }
}

bool upgrade_reaped(struct master *master, pid_t pid, int status)
{
    struct upgrade *upgrade = &master->upgrade;
    if (upgrade->state != UPGRADE_TRYING || pid != upgrade->pid)
        return false;
    upgrade_read(master);
    upgrade->pid = 0;
    upgrade->status = status;
    master->again = true;
    return true;
}

/* It is sound: from here on it is the new program's turn. */
static void execute(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    char why[UPGRADE_TEXT];
    int image = baton_number(&upgrade->baton, "image"), settings = baton_number(&upgrade->baton, "settings");
    log_notice("upgrade: %s is executed", upgrade->program);
    if (upgrade->pipe >= 0)
        close(upgrade->pipe);
    upgrade->pipe = -1;
    stray_flush(&master->stray);
    if (make(master, image, settings, why, sizeof(why)) == 0) {
        baton_pass(&upgrade->baton, true);
        upgrade_execute(image, master, upgrade->baton.fd, "take");
        snprintf(why, sizeof(why), "%s can't be executed: %s", upgrade->program, strerror(errno));
        baton_pass(&upgrade->baton, false);
    }
    fail(master, why);
}

static void advance_trying(struct master *master)
{
    static const char passed[] = RESUME_PASSED "\n";
    struct upgrade *upgrade = &master->upgrade;
    char why[UPGRADE_TEXT + 512], how[64] = "it doesn't say that it can take over";
    if (upgrade->pid && master->now < upgrade->deadline)
        return;
    if (upgrade->pid) {
        kill(upgrade->pid, SIGKILL);
        upgrade->pid = 0; /* reaped as a stranger */
        upgrade->status = 0;
        upgrade->length = 0;
        snprintf(how, sizeof(how), "it didn't say within start_timeout that it can take over");
    } else if (WIFSIGNALED(upgrade->status))
        snprintf(how, sizeof(how), "it was killed by signal %d", WTERMSIG(upgrade->status));
    else if (WEXITSTATUS(upgrade->status))
        snprintf(how, sizeof(how), "it exited with status %d", WEXITSTATUS(upgrade->status));
    upgrade->said[upgrade->length] = '\0';
    size_t end = sizeof(passed) - 1;
    if (upgrade->status == 0 && upgrade->length >= end &&
        strcmp(upgrade->said + upgrade->length - end, passed) == 0) {
        execute(master);
        return;
    }
    snprintf(why, sizeof(why), "%s%s%s can't take over: %s", upgrade->said,
             upgrade->length && upgrade->said[upgrade->length - 1] != '\n' ? "\n" : "", upgrade->program,
             how);
    fail(master, why);
}

void upgrade_abort(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    upgrade->queued = false;
    if (upgrade->state == UPGRADE_TRYING) {
        if (upgrade->pid)
            kill(upgrade->pid, SIGKILL);
        upgrade->pid = 0;
        fail(master, "the gateway was told to stop");
    }
    control_upgrade_done(&master->control, false, "the gateway was told to stop");
}

/* --- the new program --- */

void upgrade_taken(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    char text[UPGRADE_TEXT], why[1024];
    struct shared_change *change = &upgrade->change;
    const char *before = baton_version(&upgrade->baton);
    int settings = baton_number(&upgrade->baton, "settings");
    upgrade->state = UPGRADE_IDLE;
    upgrade->stale = change->text || upgrade->found.segment_count > 1;
    master->state = MASTER_SERVING;
    snprintf(text, sizeof(text), "%s%s%sversion %s took over from %s: generation %" PRIu64 " serves",
             change->text ? "these start cold: " : "", change->text ? change->text : "",
             change->text ? "\n" : "", PACKAGE_VERSION, before, master->reload.number);
    log_notice("upgrade: version %s took over from %s", PACKAGE_VERSION, before);
    if (change->processes) /* the older processes have their own copies */
        for (unsigned i = 0; i < upgrade->found.wake_count; i++)
            close(upgrade->found.wake[i]);
    baton_inboxes(&upgrade->baton, NULL); /* who has connections to offer is told of the new ones */
    close(upgrade->image);
    close(settings);
    upgrade->image = -1;
    baton_close(&upgrade->baton);
    notify_ready();
    control_upgrade_done(&master->control, true, text);
    if (upgrade->back.reopen && reopen_logs(master, why, sizeof(why)))
        log_error("SIGUSR1: %s", why);
    upgrade->back.reopen = false;
}

void upgrade_failed(struct master *master, const char *why)
{
    struct upgrade *upgrade = &master->upgrade;
    upgrade->why = strdup(why);
    upgrade->state = UPGRADE_RETURNING;
    master->again = true;
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (child->adopted)
            continue;
        child->undone = true;
        if (child->post)
            child->post->child = NULL;
        child->post = NULL;
        child_stop(master, child, RETURN_GRACE_MS);
    }
}

static void advance_returning(struct master *master)
{
    struct upgrade *upgrade = &master->upgrade;
    char why[256];
    LIST_EACH(link, &master->children)
    if (!CONTAINER_OF(link, struct child, link)->adopted)
        return;
    upgrade->back.why = upgrade->why ? upgrade->why : "no memory for the reason";
    upgrade->back.reload = master->reload.queued;
    if (baton_return(&upgrade->baton, master, &upgrade->back, why, sizeof(why)) == 0) {
        baton_pass(&upgrade->baton, true);
        upgrade_execute(upgrade->image, master, upgrade->baton.fd, "back");
        snprintf(why, sizeof(why), "%s", strerror(errno));
    }
    /* As if the master had been killed: the workers serve on, and a new master tells them to drain. */
    log_lines(upgrade->back.why);
    log_error("upgrade: the old program can't be executed again: %s; its processes serve on without a master",
              why);
    _exit(1);
}

/* The logger of an older set ends when nobody else of that set lives. */
static void end_older_loggers(struct master *master)
{
    LIST_EACH(link, &master->children)
    {
        struct child *logger = CONTAINER_OF(link, struct child, link);
        bool alone = logger->role == &roles[ROLE_LOGGER] && logger->set != master->upgrade.set;
        LIST_EACH(other_link, &master->children)
        {
            const struct child *other = CONTAINER_OF(other_link, struct child, link);
            alone &= other->role == logger->role || other->set != logger->set;
        }
        if (alone)
            child_stop(master, logger, RETURN_GRACE_MS);
    }
}

/* Zones that were replaced go when nobody is left who uses them. */
static void trim(struct master *master)
{
    LIST_EACH(link, &master->children)
    if (CONTAINER_OF(link, struct child, link)->adopted)
        return;
    segment_trim(&master->shared.segment);
    master->upgrade.stale = false;
}

static void advance_idle(struct master *master)
{
    if (master->upgrade.set)
        end_older_loggers(master);
    if (master->upgrade.stale)
        trim(master);
    if (master->upgrade.queued && master->state == MASTER_SERVING && master->reload.state == RELOAD_IDLE &&
        !master->reload.queued && master->orphans_at == 0)
        begin(master);
}

static void nothing(struct master *master)
{
    (void)master; /* the reload transaction goes on */
}

static void (*const states[])(struct master *master) = {
    [UPGRADE_IDLE] = advance_idle,
    [UPGRADE_TRYING] = advance_trying,
    [UPGRADE_TAKING] = nothing,
    [UPGRADE_RETURNING] = advance_returning,
};

void upgrade_advance(struct master *master)
{
    states[master->upgrade.state](master);
}
