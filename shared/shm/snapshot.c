/* snapshot: called by the keeper (writing), and by the master before the first fork (reading). */
#include "shared/shm/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/hash.h"

#define SNAPSHOT_MAGIC 0x74617473686761ull /* "aghstat" in memory: differs from another byte order's */
enum { SNAPSHOT_FORMAT = 1 };

struct snapshot_header {
    uint64_t magic;
    uint32_t format;
    uint32_t zones;
    struct snapshot_clock clock;
    uint64_t seed[2];
    uint64_t checksum; /* of what stands before it */
};
_Static_assert(sizeof(struct snapshot_header) == 64, "the layout is part of SNAPSHOT_FORMAT");

struct snapshot_zone {
    char name[SEGMENT_NAME];
    uint32_t version;
    uint32_t reserved;
    uint64_t size;     /* bytes that follow, before they are filled up */
    uint64_t checksum; /* of them */
};
_Static_assert(sizeof(struct snapshot_zone) == 48, "the layout is part of SNAPSHOT_FORMAT");

struct snapshot {
    char *data;
    size_t size;
};

static uint64_t checksum(const void *data, size_t size)
{
    return hash_name((struct str){data, size});
}

static size_t filled(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

/* --- clocks --- */

void snapshot_clock_read(struct snapshot_clock *clock)
{
    char text[64] = "";
    *clock = (struct snapshot_clock){.monotonic_ns = clock_monotonic_ns(), .wall_ns = clock_wall_ns()};
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (got > 0)
        clock->boot = checksum(text, (size_t)got);
}

int64_t snapshot_shift(const struct snapshot_clock *then, const struct snapshot_clock *now)
{
    if (then->boot == now->boot && now->monotonic_ns >= then->monotonic_ns)
        return 0;
    uint64_t off = now->wall_ns > then->wall_ns ? now->wall_ns - then->wall_ns : 0;
    return (int64_t)(now->monotonic_ns - then->monotonic_ns - off);
}

/* --- writing --- */

static int write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t wrote = write(fd, at, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        at += wrote;
        size -= (size_t)wrote;
    }
    return 0;
}

static int write_zone(int fd, const struct segment *segment, const struct zone_kind *kind)
{
    static const char nothing[8];
    size_t size;
    const void *zone = segment_zone(segment, kind, &size);
    void *data = malloc(size + 1);
    if (!zone || !data) {
        free(data);
        errno = zone ? ENOMEM : EINVAL;
        return -1;
    }
    struct snapshot_zone head = {.version = kind->version, .size = kind->save(zone, data, size)};
    strcpy(head.name, kind->name);
    head.checksum = checksum(data, head.size);
    int rc = write_all(fd, &head, sizeof head);
    if (rc == 0)
        rc = write_all(fd, data, head.size);
    if (rc == 0)
        rc = write_all(fd, nothing, filled(head.size) - head.size);
    int error = errno;
    free(data);
    errno = error;
    return rc;
}

static int write_file(int fd, const struct segment *segment, const struct zone_kind *const *kinds)
{
    struct snapshot_header header = {.magic = SNAPSHOT_MAGIC, .format = SNAPSHOT_FORMAT};
    for (unsigned i = 0; kinds[i]; i++)
        header.zones += kinds[i]->save != NULL;
    snapshot_clock_read(&header.clock);
    memcpy(header.seed, segment_seed(segment), sizeof header.seed);
    header.checksum = checksum(&header, offsetof(struct snapshot_header, checksum));
    if (write_all(fd, &header, sizeof header))
        return -1;
    for (unsigned i = 0; kinds[i]; i++)
        if (kinds[i]->save && write_zone(fd, segment, kinds[i]))
            return -1;
    return fsync(fd);
}

/* The new name is on the disk too. */
static int sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int rc = fd < 0 ? -1 : fsync(fd);
    int error = errno;
    if (fd >= 0)
        close(fd);
    free(copy);
    errno = error;
    return rc;
}

int snapshot_write(const char *path, const struct segment *segment, const struct zone_kind *const *kinds)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.new", path) < 0)
        return -1;
    /* Only this program writes there: what lies there is of one that died while it wrote. */
    int fd = -1, rc = unlink(temporary) == 0 || errno == ENOENT ? 0 : -1;
    if (rc == 0)
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    rc = fd < 0 ? -1 : write_file(fd, segment, kinds);
    if (rc == 0)
        rc = rename(temporary, path);
    if (rc == 0)
        rc = sync_folder(path);
    int error = errno;
    if (rc < 0 && fd >= 0)
        unlink(temporary);
    if (fd >= 0)
        close(fd);
    free(temporary);
    errno = error;
    return rc;
}

/* --- reading --- */

/* All of the file, malloc()ed; NULL with errno. */
static char *read_all(int fd, size_t size)
{
    char *data = malloc(size + 1);
    size_t have = 0;
    while (data && have < size) {
        ssize_t got = read(fd, data + have, size - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            int error = got ? errno : EIO;
            free(data);
            errno = error;
            return NULL;
        }
        have += (size_t)got;
    }
    return data;
}

static struct snapshot *read_file(const char *path, struct arena *arena, const char **why)
{
    struct stat status;
    *why = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno != ENOENT)
            *why = strerror(errno);
        return NULL;
    }
    struct snapshot *snapshot = NULL;
    if (fstat(fd, &status) < 0)
        *why = strerror(errno);
    else if (!S_ISREG(status.st_mode))
        *why = "it is no file";
    else {
        snapshot = calloc(1, sizeof *snapshot);
        if (!snapshot)
            abort();
        snapshot->size = (size_t)status.st_size;
        snapshot->data = read_all(fd, snapshot->size);
        if (!snapshot->data) {
            *why = arena_strdup(arena, strerror(errno));
            free(snapshot);
            snapshot = NULL;
        }
    }
    close(fd);
    return snapshot;
}

static const struct snapshot_header *header_of(const struct snapshot *snapshot)
{
    return (const struct snapshot_header *)snapshot->data;
}

static const char *check_header(const struct snapshot *snapshot, struct arena *arena)
{
    const struct snapshot_header *header = header_of(snapshot);
    if (snapshot->size < sizeof *header)
        return "it is too short";
    if (header->magic != SNAPSHOT_MAGIC)
        return "it is no snapshot of Gatehouse on this kind of machine";
    if (header->format != SNAPSHOT_FORMAT)
        return arena_printf(arena, "its format is %u, and this program knows %u", header->format,
                            SNAPSHOT_FORMAT);
    if (header->checksum != checksum(header, offsetof(struct snapshot_header, checksum)))
        return "its header is damaged";
    return NULL;
}

struct snapshot *snapshot_read(const char *path, struct arena *arena, const char **why)
{
    struct snapshot *snapshot = read_file(path, arena, why);
    if (!snapshot)
        return NULL;
    *why = check_header(snapshot, arena);
    if (*why)
        snapshot_free(&snapshot);
    return snapshot;
}

void snapshot_free(struct snapshot **snapshot)
{
    if (!*snapshot)
        return;
    free((*snapshot)->data);
    free(*snapshot);
    *snapshot = NULL;
}

const uint64_t *snapshot_seed(const struct snapshot *snapshot)
{
    return header_of(snapshot)->seed;
}

uint64_t snapshot_age(const struct snapshot *snapshot)
{
    uint64_t now = clock_wall_ns(), then = header_of(snapshot)->clock.wall_ns;
    return now > then ? (now - then) / NS_PER_SECOND : 0;
}

/* The bytes that were saved of a zone, whole; NULL: there are none. */
static const void *find(const struct snapshot *snapshot, const struct zone_kind *kind, size_t *size)
{
    size_t at = sizeof(struct snapshot_header);
    for (uint32_t i = 0; i < header_of(snapshot)->zones; i++) {
        if (snapshot->size - at < sizeof(struct snapshot_zone))
            return NULL;
        const struct snapshot_zone *zone = (const struct snapshot_zone *)(snapshot->data + at);
        at += sizeof *zone;
        if (zone->size > snapshot->size - at || filled(zone->size) > snapshot->size - at)
            return NULL;
        if (strncmp(zone->name, kind->name, SEGMENT_NAME) == 0) {
            *size = zone->size;
            bool good =
                zone->version == kind->version && zone->checksum == checksum(snapshot->data + at, zone->size);
            return good ? snapshot->data + at : NULL;
        }
        at += filled(zone->size);
    }
    return NULL;
}

void snapshot_load(const struct snapshot *snapshot, const struct segment *segment,
                   const struct zone_kind *const *kinds, struct arena *arena, const char **cold)
{
    struct snapshot_clock now;
    snapshot_clock_read(&now);
    const struct zone_time time = {.shift_ns = snapshot_shift(&header_of(snapshot)->clock, &now),
                                   .monotonic_ns = now.monotonic_ns,
                                   .wall_ns = now.wall_ns};
    *cold = NULL;
    for (unsigned i = 0; kinds[i]; i++) {
        size_t size = 0;
        if (!kinds[i]->load)
            continue;
        const void *data = find(snapshot, kinds[i], &size);
        if (!data || !kinds[i]->load(segment_zone(segment, kinds[i], NULL), data, size, &time))
            *cold = *cold ? arena_printf(arena, "%s, %s", *cold, kinds[i]->name) : kinds[i]->name;
    }
}

int snapshot_set_aside(const char *path)
{
    char *aside = NULL;
    if (asprintf(&aside, "%s.bad", path) < 0)
        return -1;
    int rc = rename(path, aside), error = errno;
    free(aside);
    errno = error;
    return rc;
}
