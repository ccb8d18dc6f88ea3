/* listen: called by the reload transaction, which the first start is too, and by the stop. The list is the master's. */
#include "master/listen.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/priv.h"
#include "master/probe.h"
#include "shared/base/log.h"

enum { ADMIN_BACKLOG = 64, ADMIN_MODE = 0660, BESIDE_SIZE = sizeof(struct sockaddr_un) + sizeof(".new") };

void listen_init(struct listeners *listeners, const struct orphans *orphans)
{
    list_init(&listeners->list);
    listeners->orphans = *orphans;
}

static struct listening *entry_of(struct list *link)
{
    return CONTAINER_OF(link, struct listening, link);
}

static bool is_unix(const struct listening *entry)
{
    return entry->address.any.sa_family == AF_UNIX;
}

/* Where its file is now. */
static const char *path_of(const struct listening *entry, char beside[BESIDE_SIZE])
{
    if (!entry->takes)
        return entry->address.un.sun_path;
    snprintf(beside, BESIDE_SIZE, "%s.new", entry->address.un.sun_path);
    return beside;
}

static bool ours(const struct listening *entry, const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0 && found.st_dev == entry->device && found.st_ino == entry->inode;
}

/* Closes it, removes its file, and gives the entry back. */
static void entry_drop(struct listening *entry)
{
    char beside[BESIDE_SIZE];
    if (is_unix(entry) && ours(entry, path_of(entry, beside)))
        unlink(path_of(entry, beside));
    if (entry->fd >= 0)
        close(entry->fd);
    list_remove(&entry->link);
    free(entry);
}

struct search {
    const struct listeners *listeners;
    const struct address *address;
    unsigned same; /* sockets with that address and no other */
};

/* Whether the socket is one of ours, or of an orphan. */
static bool holder_known(void *context, const struct probe_line *line)
{
    struct search *search = context;
    const struct listeners *listeners = search->listeners;
    struct stat found;
    search->same += address_eq(&line->address, search->address);
    LIST_EACH(link, &listeners->list)
    if (fstat(entry_of(link)->fd, &found) == 0 && found.st_ino == line->inode)
        return true;
    switch (orphans_hold(&listeners->orphans, line->inode)) {
    case ORPHANS_YES:
        return true;
    case ORPHANS_NO:
        return false;
    case ORPHANS_HIDDEN:
        /* Their descriptors are for root only. The kernel lets us share the address with our own user only. */
        return line->uid == geteuid();
    }
    return false;
}

/* NULL, or why the address can't be had. */
static const char *tcp_refused(struct listeners *listeners, struct listening *entry)
{
    const struct address *address = &entry->address;
    struct search search = {listeners, address, 0};
    int error = probe_bind(address);
    if (error == EADDRINUSE) {
        if (!probe_holders(address, holder_known, &search))
            return "another process listens there (ss -ltnp shows which one: stop it, or choose another "
                   "port)";
        entry->others = search.same;
        return NULL;
    }
    if (error == EACCES)
        return "permission denied (a port below 1024 needs root or CAP_NET_BIND_SERVICE)";
    if (error == EADDRNOTAVAIL)
        return "no interface of this machine has this address";
    return error ? strerror(error) : NULL;
}

static const char *tcp_bind(struct listening *entry)
{
    int one = 1, zero = 0;
    int family = entry->address.any.sa_family;
    entry->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (entry->fd < 0 || setsockopt(entry->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        setsockopt(entry->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
        setsockopt(entry->fd, IPPROTO_TCP, TCP_NODELAY, &one,
                   sizeof(one)) || /* accepted sockets inherit it */
        (family == AF_INET6 && setsockopt(entry->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero))) ||
        bind(entry->fd, &entry->address.any, entry->address.length))
        return errno == EADDRINUSE ? "another user's process listens there" : strerror(errno);
    return NULL;
}

/* Makes the path free, or finds that it must be taken over; NULL, or why it can't be had. */
static const char *path_refused(const struct listeners *listeners, struct listening *entry,
                                struct arena *arena)
{
    const char *path = entry->address.un.sun_path;
    pid_t listener;
    switch (probe_unix(path, SOCK_STREAM, &listener)) {
    case PROBE_FREE:
        return NULL;
    case PROBE_STALE:
        return unlink(path) && errno != ENOENT ? strerror(errno) : NULL;
    case PROBE_NOT_SOCKET:
        return "something that is no socket has this path (remove it, or choose another path)";
    case PROBE_UNKNOWN:
        return errno == EACCES ? "permission denied" : strerror(errno);
    case PROBE_USED:
        break;
    }
    /* listen() was called by the master of the orphans, which is gone. */
    if (listener > 0 && orphans_gone(listener) && orphans_count(&listeners->orphans) > 0) {
        entry->takes = true;
        return NULL;
    }
    return arena_printf(arena, "another process (pid %ld) listens there (stop it, or choose another path)",
                        (long)listener);
}

static const char *rights_set(const char *path, const struct rights *rights)
{
    if (chmod(path, rights->mode))
        return strerror(errno);
    if ((rights->owner != (uid_t)-1 || rights->group != (gid_t)-1) &&
        lchown(path, rights->owner, rights->group))
        return errno == EPERM ? "its owner or group can't be set (only root may)" : strerror(errno);
    return NULL;
}

static const char *unix_bind(struct listening *entry)
{
    char beside[BESIDE_SIZE];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat made;
    const char *path = path_of(entry, beside);
    if (strlen(path) >= sizeof(address.sun_path))
        return "the path is too long to be taken over from the processes of a killed master (107 bytes with "
               "\".new\")";
    strcpy(address.sun_path, path);
    if (entry->takes)
        unlink(path);
    entry->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (entry->fd < 0 || bind(entry->fd, (struct sockaddr *)&address, sizeof(address)))
        return errno == ENOENT ? "its folder doesn't exist" : strerror(errno);
    if (lstat(path, &made))
        return strerror(errno);
    entry->device = made.st_dev;
    entry->inode = made.st_ino;
    entry->rights = entry->coming_rights;
    return rights_set(path, &entry->rights);
}

/* What a generation wants of one address. */
struct wish {
    struct origin origin;
    const char *setting;
    const struct address *address;
    int backlog;
    bool admin;
    struct rights rights;
};

/* Finds the address or binds it; the entry, or NULL and an error. */
static struct listening *entry_get(struct listeners *listeners, const struct wish *wish,
                                   struct errors *errors)
{
    struct listening *entry = NULL;
    const char *why = NULL;
    LIST_EACH(link, &listeners->list)
    if (address_eq(&entry_of(link)->address, wish->address))
        entry = entry_of(link);
    bool found = entry != NULL;
    if (!found) {
        entry = calloc(1, sizeof(*entry));
        if (!entry)
            abort();
        entry->fd = -1;
        entry->address = *wish->address;
    }
    entry->backlog = wish->backlog;
    entry->coming_rights = wish->rights;
    if (!found) {
        list_push_back(&listeners->list, &entry->link);
        why = is_unix(entry) ? path_refused(listeners, entry, errors->arena) : tcp_refused(listeners, entry);
        if (!why)
            why = is_unix(entry) ? unix_bind(entry) : tcp_bind(entry);
    }
    if (why) {
        char text[ADDRESS_TEXT_SIZE];
        address_format(wish->address, text);
        errors_add(errors, wish->origin, "%s: %s: %s", wish->setting, text, why);
        entry_drop(entry);
        return NULL;
    }
    entry->admin = wish->admin;
    entry->coming = true;
    return entry;
}

/* The names of a UNIX socket's owners become numbers; what is unknown is an error. */
static void rights_resolve(struct wish *wish, const char *owner, const char *group, struct errors *errors)
{
    if (!priv_user(owner, &wish->rights.owner))
        errors_add(errors, wish->origin, "owner: there is no user \"%s\"", owner);
    if (!priv_group(group, &wish->rights.group))
        errors_add(errors, wish->origin, "group: there is no group \"%s\"", group);
}

static void prepare_admin(struct listeners *listeners, const struct admin_settings *admin,
                          struct bound *bound, struct errors *errors)
{
    struct address address = {.un = {.sun_family = AF_UNIX}};
    struct wish wish = {.origin = admin->origin,
                        .setting = "admin.socket",
                        .address = &address,
                        .backlog = ADMIN_BACKLOG,
                        .admin = true,
                        .rights = {.mode = ADMIN_MODE}};
    char text[sizeof(address.un.sun_path) + 8];
    const char *why;
    bound->fd = -1;
    int length = snprintf(text, sizeof(text), "unix:%s", admin->socket);
    if ((size_t)length >= sizeof(text)) {
        errors_add(errors, admin->origin, "admin.socket: the path has more than 107 bytes");
        return;
    }
    if (!address_parse(str_of(text), &address, &why)) {
        errors_add(errors, admin->origin, "admin.socket: %s", why);
        return;
    }
    rights_resolve(&wish, NULL, admin->group, errors);
    if (errors->count)
        return;
    struct listening *entry = entry_get(listeners, &wish, errors);
    if (entry)
        bound->fd = entry->fd;
}

int listen_prepare(struct listeners *listeners, const struct settings *settings,
                   struct inheritance *inheritance, struct errors *errors)
{
    const struct conf_list *list = &settings->listeners;
    inheritance->bound = calloc(list->count + 1, sizeof(*inheritance->bound));
    if (!inheritance->bound)
        abort();
    for (unsigned i = 0; i < list->count; i++) {
        const struct listener_settings *listener = list->items[i];
        struct bound *bound = &inheritance->bound[inheritance->count++];
        struct wish wish = {.origin = listener->origin,
                            .setting = "listen",
                            .address = &listener->address,
                            .backlog = (int)listener->backlog,
                            .rights = {.mode = listener->unix_mode}};
        rights_resolve(&wish, listener->owner, listener->group, errors);
        struct listening *entry = entry_get(listeners, &wish, errors);
        *bound = (struct bound){listener, entry ? entry->fd : -1};
    }
    if (settings->admin.socket)
        prepare_admin(listeners, &settings->admin, &inheritance->bound[inheritance->count++], errors);
    return errors->count ? -1 : 0;
}

void listen_forget(struct inheritance *inheritance)
{
    free(inheritance->bound);
    *inheritance = (struct inheritance){NULL, 0};
}

/* New connections come to this socket only, and no more to those of orphans, so that nothing is in their queues when
 * they are closed. The kernel knows the sockets of an address by the order in which they began to listen. */
static void steer(struct listening *entry)
{
    struct sock_filter last = BPF_STMT(BPF_RET | BPF_K, entry->others);
    struct sock_fprog program = {.len = 1, .filter = &last};
    char text[ADDRESS_TEXT_SIZE];
    if (entry->others &&
        setsockopt(entry->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program))) {
        address_format(&entry->address, text);
        log_warning("%s: connections may be lost when the processes of the killed master close it: %m", text);
    }
    entry->others = 0;
}

int listen_start(struct listeners *listeners, struct errors *errors)
{
    char text[ADDRESS_TEXT_SIZE], beside[BESIDE_SIZE];
    LIST_EACH(link, &listeners->list)
    {
        struct listening *entry = entry_of(link);
        if (!entry->coming)
            continue;
        if (listen(entry->fd, entry->backlog) ||
            (entry->takes && rename(path_of(entry, beside), entry->address.un.sun_path))) {
            address_format(&entry->address, text);
            errors_add(errors, (struct origin){NULL, 0}, "listen: %s: %s", text, strerror(errno));
            return -1;
        }
        entry->takes = false;
        steer(entry);
    }
    return 0;
}

void listen_commit(struct listeners *listeners)
{
    for (struct list *link = listeners->list.next, *next; link != &listeners->list; link = next) {
        struct listening *entry = entry_of(link);
        next = link->next;
        if (!entry->coming) {
            entry_drop(entry);
            continue;
        }
        if (is_unix(entry) && memcmp(&entry->rights, &entry->coming_rights, sizeof(entry->rights)) != 0) {
            const char *path = entry->address.un.sun_path;
            const char *why = ours(entry, path) ? rights_set(path, &entry->coming_rights) : NULL;
            if (why)
                log_error("%s keeps its mode, owner and group: %s", path, why);
            entry->rights = entry->coming_rights;
        }
        entry->current = true;
        entry->coming = false;
    }
}

void listen_undo(struct listeners *listeners)
{
    for (struct list *link = listeners->list.next, *next; link != &listeners->list; link = next) {
        next = link->next;
        if (!entry_of(link)->current)
            entry_drop(entry_of(link));
        else
            entry_of(link)->coming = false;
    }
}

void listen_close(struct listeners *listeners, bool admin_too)
{
    for (struct list *link = listeners->list.next, *next; link != &listeners->list; link = next) {
        next = link->next;
        if (admin_too || !entry_of(link)->admin)
            entry_drop(entry_of(link));
    }
}

unsigned listen_count(const struct listeners *listeners)
{
    unsigned count = 0;
    LIST_EACH(link, &listeners->list)
    count++;
    return count;
}
