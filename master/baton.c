/* baton: written by upgrade.c before an exec, read by resume.c after it; either may be of another version. */
#include "master/baton.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/master.h"

enum { BATON_MOST = 4 << 20 };

static const char *const target_names[LOG_TARGETS] = {[LOG_ERROR] = "error", [LOG_ACCESS] = "access"};
static const char *const state_names[] = {
    [CHILD_STARTING] = "starting", [CHILD_READY] = "ready",       [CHILD_SERVING] = "serving",
    [CHILD_DRAINING] = "draining", [CHILD_STOPPING] = "stopping",
};
static const char *const wait_names[] = {
    [CLIENT_SPEAKS] = "speaks",          [CLIENT_AWAITS_RELOAD] = "reload", [CLIENT_AWAITS_STOP] = "stop",
    [CLIENT_AWAITS_UPGRADE] = "upgrade", [CLIENT_AWAITS_REOPEN] = "reopen",
};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void remember(struct baton_fds *fds, int fd)
{
    if (fd < 0)
        return;
    fds->fds = realloc(fds->fds, (fds->count + 1) * sizeof(*fds->fds));
    if (!fds->fds)
        abort();
    fds->fds[fds->count++] = fd;
}

/* --- writing --- */

static json_t *fd_out(struct baton *baton, int fd)
{
    remember(&baton->passed, fd);
    return json_integer(fd);
}

static json_t *listeners_out(struct baton *baton, const struct master *master)
{
    json_t *list = json_array();
    char address[ADDRESS_TEXT_SIZE];
    LIST_EACH(link, &master->listeners.list)
    {
        const struct listening *entry = CONTAINER_OF(link, struct listening, link);
        address_format(&entry->address, address);
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:b, s:i, s:i, s:I, s:I, s:I, s:I}", "fd", fd_out(baton, entry->fd),
                            "address", address, "admin", entry->admin, "backlog", entry->backlog, "mode",
                            (int)entry->rights.mode, "owner", (json_int_t)entry->rights.owner, "group",
                            (json_int_t)entry->rights.group, "device", (json_int_t)entry->device, "inode",
                            (json_int_t)entry->inode));
    }
    return list;
}

static json_t *children_out(struct baton *baton, const struct master *master)
{
    json_t *list = json_array();
    LIST_EACH(link, &master->children)
    {
        const struct child *child = CONTAINER_OF(link, struct child, link);
        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:I, s:I, s:i, s:I, s:o, s:s, s:I, s:I, s:i}", "role",
                                        child->role->name, "number", (int)child->number, "generation",
                                        (json_int_t)child->generation, "pid", (json_int_t)child->pid, "slot",
                                        (int)child->slot, "started", (json_int_t)child->started, "channel",
                                        fd_out(baton, child->channel), "state", state_names[child->state],
                                        "go_at", (json_int_t)child->go_at, "kill_at",
                                        (json_int_t)child->kill_at, "set", (int)child->set));
    }
    return list;
}

static json_t *inboxes_out(struct baton *baton, const struct master *master)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < master->crew->count; i++) {
        const struct post *post = &master->crew->posts[i];
        if (post->inbox[0] >= 0)
            json_array_append_new(list, json_pack("{s:s, s:i, s:[o, o]}", "role", post->role->name, "number",
                                                  (int)post->number, "fds", fd_out(baton, post->inbox[0]),
                                                  fd_out(baton, post->inbox[1])));
    }
    return list;
}

static json_t *clients_out(struct baton *baton, const struct master *master)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        const struct client *client = &master->control.clients[i];
        if (client->fd >= 0)
            json_array_append_new(list,
                                  json_pack("{s:o, s:s, s:I, s:I}", "fd", fd_out(baton, client->fd), "wait",
                                            wait_names[client->wait], "ticket", (json_int_t)client->ticket,
                                            "until", (json_int_t)client->until));
    }
    return list;
}

static json_t *logs_out(struct baton *baton, const struct master *master)
{
    json_t *logs = json_object();
    for (unsigned i = 0; i < LOG_TARGETS; i++)
        json_object_set_new(logs, target_names[i],
                            json_pack("{s:o, s:b}", "fd", fd_out(baton, master->logs.fds[i]), "syslog",
                                      master->logs.syslog[i]));
    return logs;
}

static json_t *segments_out(struct baton *baton, const struct master *master)
{
    json_t *list = json_array();
    for (const struct segment *segment = &master->shared.segment; segment; segment = segment->older)
        json_array_append_new(list, fd_out(baton, segment->fd));
    return list;
}

static json_t *wake_out(struct baton *baton, const struct master *master)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < master->shared.wake.count; i++)
        json_array_append_new(list, fd_out(baton, master->shared.wake.fds[i]));
    return list;
}

/* The descriptor is made at the first time. */
static int store(struct baton *baton, char *why, size_t size)
{
    char *text = json_dumps(baton->root, JSON_INDENT(1));
    if (!text) {
        snprintf(why, size, "the state of the master can't be written: a path in it is not UTF-8");
        return -1;
    }
    size_t length = strlen(text);
    if (baton->fd < 0)
        baton->fd = memfd_create("gatehouse-baton", MFD_CLOEXEC);
    int error = 0;
    if (baton->fd < 0 || ftruncate(baton->fd, 0) || pwrite(baton->fd, text, length, 0) != (ssize_t)length) {
        snprintf(why, size, "the state of the master can't be written: %s", strerror(errno));
        error = -1;
    }
    free(text);
    return error;
}

int baton_make(struct baton *baton, const struct master *master, int image, int settings, char *why,
               size_t size)
{
    const struct control *control = &master->control;
    *baton = (struct baton){.fd = -1};
    baton->root = json_pack(
        "{s:i, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:i, s:i, s:o, s:o}", "format", BATON_FORMAT,
        "version", PACKAGE_VERSION, "program", master->upgrade.program, "config", master->config,
        "background", master->background, "born", (json_int_t)master->born, "cut", (json_int_t)master->cut,
        "serial", (json_int_t)master->reload.serial, "generation", (json_int_t)master->reload.number, "slot",
        (int)master->log.slot, "set", (int)master->upgrade.set, "image", fd_out(baton, image), "settings",
        fd_out(baton, settings));
    json_t *more =
        json_pack("{s:o, s:o, s:{s:o, s:s, s:I, s:I}, s:{s:o, s:s}, s:[o, o], s:o, s:o, s:o, s:o, s:o}",
                  "segments", segments_out(baton, master), "wake", wake_out(baton, master), "control", "fd",
                  fd_out(baton, control->fd), "path", control->path, "device", (json_int_t)control->device,
                  "inode", (json_int_t)control->inode, "pidfile", "fd", fd_out(baton, master->pidfile.fd),
                  "path", master->pidfile.path, "stray", fd_out(baton, master->stray.read_end),
                  fd_out(baton, master->stray.write_end), "logs", logs_out(baton, master), "listeners",
                  listeners_out(baton, master), "children", children_out(baton, master), "inboxes",
                  inboxes_out(baton, master), "clients", clients_out(baton, master));
    json_object_update(baton->root, more);
    json_decref(more);
    if (!baton->root || json_object_size(baton->root) != 23) {
        snprintf(why, size, "the state of the master can't be written: a path in it is not UTF-8");
        return -1;
    }
    return store(baton, why, size);
}

int baton_return(struct baton *baton, const struct master *master, const struct baton_back *back, char *why,
                 size_t size)
{
    json_t *changed =
        json_pack("{s:I, s:I, s:o, s:o, s:{s:s, s:b, s:b, s:b, s:b}}", "cut", (json_int_t)master->cut,
                  "serial", (json_int_t)master->reload.serial, "children", children_out(baton, master),
                  "clients", clients_out(baton, master), "back", "why", back->why, "reload", back->reload,
                  "reopen", back->reopen, "stop", back->stop, "now", back->now);
    if (!changed) {
        snprintf(why, size, "the way back can't be written");
        return -1;
    }
    json_object_update(baton->root, changed);
    json_decref(changed);
    return store(baton, why, size);
}

/* --- reading --- */

/* Takes a descriptor over; false: it isn't open. -1 is none, and right. */
static bool fd_in(struct baton *baton, json_int_t fd)
{
    if (fd < 0)
        return true;
    if (fd > INT_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return false;
    remember(&baton->passed, (int)fd);
    return true;
}

/* The index of a word in a table, or -1. */
static int index_of(const char *word, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (names[i] && strcmp(names[i], word) == 0)
            return (int)i;
    return -1;
}

static int listener_in(struct baton *baton, struct master *master, json_t *value, json_error_t *error)
{
    const char *text, *reason;
    int admin, mode;
    json_int_t fd, owner, group, device, inode;
    struct listening *entry = calloc(1, sizeof(*entry));
    if (!entry)
        abort();
    if (json_unpack_ex(value, error, 0, "{s:I, s:s, s:b, s:i, s:i, s:I, s:I, s:I, s:I}", "fd", &fd, "address",
                       &text, "admin", &admin, "backlog", &entry->backlog, "mode", &mode, "owner", &owner,
                       "group", &group, "device", &device, "inode", &inode) ||
        fd < 0 || !fd_in(baton, fd) || !address_parse(str_of(text), &entry->address, &reason)) {
        free(entry);
        return -1;
    }
    entry->fd = (int)fd;
    entry->current = true;
    entry->admin = admin;
    entry->rights = (struct rights){(unsigned)mode, (uid_t)owner, (gid_t)group};
    entry->coming_rights = entry->rights;
    entry->device = (dev_t)device;
    entry->inode = (ino_t)inode;
    list_push_back(&master->listeners.list, &entry->link);
    return 0;
}

/* One that this program doesn't have is still told to drain. */
static const struct role *role_in(struct master *master, const char *name)
{
    for (const struct role *role = roles; role < roles + ROLE_COUNT; role++)
        if (strcmp(role->name, name) == 0)
            return role;
    struct role *role = arena_zalloc(master->arena, sizeof(*role));
    *role = (struct role){.name = arena_strdup(master->arena, name), .drains = true};
    return role;
}

static int child_in(struct baton *baton, struct master *master, json_t *value, json_error_t *error)
{
    const char *role, *state;
    int number, slot, set;
    json_int_t generation, pid, started, channel, go_at, kill_at;
    if (json_unpack_ex(value, error, 0, "{s:s, s:i, s:I, s:I, s:i, s:I, s:I, s:s, s:I, s:I, s:i}", "role",
                       &role, "number", &number, "generation", &generation, "pid", &pid, "slot", &slot,
                       "started", &started, "channel", &channel, "state", &state, "go_at", &go_at, "kill_at",
                       &kill_at, "set", &set) ||
        pid <= 1 || number < 0 || slot < 0 || !fd_in(baton, channel))
        return -1;
    int known = index_of(state, state_names, COUNT(state_names));
    struct child *child = calloc(1, sizeof(*child));
    if (!child)
        abort();
    *child = (struct child){
        .role = role_in(master, role),
        .number = (unsigned)number,
        .generation = (uint64_t)generation,
        .pid = (pid_t)pid,
        .slot = (unsigned)slot,
        .started = (uint64_t)started,
        .channel = (int)channel,
        .state = known < 0 ? CHILD_SERVING : (enum child_state)known,
        .go_at = (uint64_t)go_at,
        .kill_at = (uint64_t)kill_at,
        .set = (unsigned)set,
        .adopted = true,
    };
    list_push_back(&master->children, &child->link);
    return 0;
}

static int inbox_in(struct baton *baton, struct master *master, json_t *value, json_error_t *error)
{
    const char *role;
    int number;
    json_int_t fds[2];
    (void)master; /* the crew, if it is to be had again, isn't yet */
    if (json_unpack_ex(value, error, 0, "{s:s, s:i, s:[I, I]}", "role", &role, "number", &number, "fds",
                       &fds[0], &fds[1]) ||
        fds[0] < 0 || fds[1] < 0 || !fd_in(baton, fds[0]) || !fd_in(baton, fds[1]))
        return -1;
    return 0;
}

/* A client with a wish that this program doesn't know is closed. */
static int client_in(struct baton *baton, struct master *master, json_t *value, json_error_t *error)
{
    const char *wait;
    json_int_t fd, ticket, until;
    if (json_unpack_ex(value, error, 0, "{s:I, s:s, s:I, s:I}", "fd", &fd, "wait", &wait, "ticket", &ticket,
                       "until", &until) ||
        fd < 0 || !fd_in(baton, fd))
        return -1;
    int known = index_of(wait, wait_names, COUNT(wait_names));
    for (unsigned i = 0; known >= 0 && i < CONTROL_CLIENTS; i++) {
        struct client *client = &master->control.clients[i];
        if (client->fd >= 0)
            continue;
        *client = (struct client){(int)fd, (enum client_wait)known, (uint64_t)ticket, (uint64_t)until};
        return 0;
    }
    close((int)fd);
    return 0;
}

static int each_in(struct baton *baton, struct master *master, const char *name,
                   int (*one)(struct baton *baton, struct master *master, json_t *value, json_error_t *error),
                   json_error_t *error)
{
    json_t *list = json_object_get(baton->root, name);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (one(baton, master, json_array_get(list, i), error)) {
            if (!error->text[0])
                snprintf(error->text, sizeof(error->text), "%s[%zu] is not right", name, i);
            return -1;
        }
    return 0;
}

/* A list of descriptors, into the master's arena. */
static int fds_in(struct baton *baton, struct master *master, const char *name, const int **fds,
                  unsigned *count)
{
    json_t *list = json_object_get(baton->root, name);
    int *out = arena_array(master->arena, json_array_size(list) + 1, sizeof(*out));
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t fd = json_integer_value(json_array_get(list, i));
        if (fd <= 0 || !fd_in(baton, fd))
            return -1;
        out[i] = (int)fd;
    }
    *fds = out;
    *count = (unsigned)json_array_size(list);
    return 0;
}

static int logs_in(struct baton *baton, struct master *master, json_error_t *error)
{
    for (unsigned i = 0; i < LOG_TARGETS; i++) {
        json_int_t fd;
        int syslog;
        if (json_unpack_ex(baton->root, error, 0, "{s:{s:{s:I, s:b}}}", "logs", target_names[i], "fd", &fd,
                           "syslog", &syslog) ||
            !fd_in(baton, fd))
            return -1;
        master->logs.fds[i] = (int)fd;
        master->logs.syslog[i] = syslog;
    }
    return 0;
}

/* The plain members. */
static int master_in(struct baton *baton, struct master *master, json_error_t *error)
{
    const char *program, *config, *control, *pidfile;
    int background, slot, set;
    json_int_t born, cut, serial, generation, image, settings, control_fd, device, inode, pidfile_fd,
        stray[2];
    if (json_unpack_ex(baton->root, error, 0, "{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:i, s:i, s:I, s:I}",
                       "program", &program, "config", &config, "background", &background, "born", &born,
                       "cut", &cut, "serial", &serial, "generation", &generation, "slot", &slot, "set", &set,
                       "image", &image, "settings", &settings) ||
        json_unpack_ex(baton->root, error, 0, "{s:{s:I, s:s, s:I, s:I}, s:{s:I, s:s}, s:[I, I]}", "control",
                       "fd", &control_fd, "path", &control, "device", &device, "inode", &inode, "pidfile",
                       "fd", &pidfile_fd, "path", &pidfile, "stray", &stray[0], &stray[1]) ||
        slot < 0 || !fd_in(baton, image) || !fd_in(baton, settings) || !fd_in(baton, control_fd) ||
        !fd_in(baton, pidfile_fd) || !fd_in(baton, stray[0]) || !fd_in(baton, stray[1]))
        return -1;
    struct arena *arena = master->arena;
    master->upgrade.program = arena_strdup(arena, program);
    master->config = arena_strdup(arena, config);
    master->background = background;
    master->born = (uint64_t)born;
    master->cut = (uint64_t)cut;
    master->reload.serial = (uint64_t)serial;
    master->reload.number = (uint64_t)generation;
    master->log.slot = (unsigned)slot;
    master->upgrade.set = (unsigned)set;
    master->control.fd = (int)control_fd;
    master->control.path = arena_strdup(arena, control);
    master->control.device = (dev_t)device;
    master->control.inode = (ino_t)inode;
    master->pidfile = (struct pidfile){arena_strdup(arena, pidfile), (int)pidfile_fd};
    master->stray.read_end = (int)stray[0];
    master->stray.write_end = (int)stray[1];
    return 0;
}

static json_t *load(int fd)
{
    struct stat found;
    if (fstat(fd, &found) || found.st_size <= 0 || found.st_size > BATON_MOST)
        return NULL;
    char *text = malloc((size_t)found.st_size);
    if (!text)
        abort();
    ssize_t got = pread(fd, text, (size_t)found.st_size, 0);
    json_t *root = got == found.st_size ? json_loadb(text, (size_t)got, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(text);
    return root;
}

int baton_read(struct baton *baton, struct master *master, char *why, size_t size)
{
    json_error_t error = {.text = ""};
    struct upgrade *upgrade = &master->upgrade;
    baton->root = load(baton->fd);
    json_int_t format = json_integer_value(json_object_get(baton->root, "format"));
    if (format < 1 || format > BATON_FORMAT) {
        snprintf(why, size, "what the running gateway hands over is of format %lld, this program knows %d",
                 (long long)format, BATON_FORMAT);
        return -1;
    }
    fcntl(baton->fd, F_SETFD, FD_CLOEXEC);
    if (master_in(baton, master, &error) || logs_in(baton, master, &error) ||
        each_in(baton, master, "listeners", listener_in, &error) ||
        each_in(baton, master, "children", child_in, &error) ||
        each_in(baton, master, "inboxes", inbox_in, &error) ||
        each_in(baton, master, "clients", client_in, &error) ||
        fds_in(baton, master, "segments", &upgrade->found.segments, &upgrade->found.segment_count) ||
        fds_in(baton, master, "wake", &upgrade->found.wake, &upgrade->found.wake_count)) {
        snprintf(why, size, "what the running gateway hands over is not right: %s",
                 error.text[0] ? error.text : "a descriptor is missing");
        return -1;
    }
    return 0;
}

bool baton_came_back(const struct baton *baton, struct baton_back *back)
{
    json_t *said = json_object_get(baton->root, "back");
    if (!said)
        return false;
    const char *why = json_string_value(json_object_get(said, "why"));
    *back = (struct baton_back){
        .why = why ? why : "the new program gave the place back",
        .reload = json_is_true(json_object_get(said, "reload")),
        .reopen = json_is_true(json_object_get(said, "reopen")),
        .stop = json_is_true(json_object_get(said, "stop")),
        .now = json_is_true(json_object_get(said, "now")),
    };
    return true;
}

int baton_number(const struct baton *baton, const char *name)
{
    json_t *value = json_object_get(baton->root, name);
    return json_is_integer(value) ? (int)json_integer_value(value) : -1;
}

const char *baton_version(const struct baton *baton)
{
    const char *version = json_string_value(json_object_get(baton->root, "version"));
    return version ? version : "unknown";
}

/* The post that an inbox is of, or NULL. */
static struct post *inbox_post(struct crew *crew, const char *role, int number)
{
    for (unsigned i = 0; crew && i < crew->count; i++)
        if (strcmp(crew->posts[i].role->name, role) == 0 && (int)crew->posts[i].number == number)
            return &crew->posts[i];
    return NULL;
}

void baton_inboxes(const struct baton *baton, struct crew *crew)
{
    json_t *list = json_object_get(baton->root, "inboxes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *role;
        int number, fds[2];
        if (json_unpack(json_array_get(list, i), "{s:s, s:i, s:[i, i]}", "role", &role, "number", &number,
                        "fds", &fds[0], &fds[1]))
            continue;
        struct post *post = inbox_post(crew, role, number);
        for (unsigned end = 0; end < 2; end++) {
            if (post)
                post->inbox[end] = fds[end];
            else
                close(fds[end]);
        }
    }
}

void baton_pass(const struct baton *baton, bool pass)
{
    for (unsigned i = 0; i < baton->passed.count; i++)
        fcntl(baton->passed.fds[i], F_SETFD, pass ? 0 : FD_CLOEXEC);
    fcntl(baton->fd, F_SETFD, pass ? 0 : FD_CLOEXEC);
}

void baton_close(struct baton *baton)
{
    if (baton->fd >= 0)
        close(baton->fd);
    json_decref(baton->root);
    free(baton->passed.fds);
    *baton = (struct baton){.fd = -1};
}
