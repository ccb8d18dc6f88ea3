/* segment: makes the memfd, reserves its memory, and lays the zones out in it.
 *
 * Called by the master through shared.c; the mapping is owned by struct segment and inherited by all children.
 * The first page (header and directory) is read-only once the zones are made.
 */
#include "shared/shm/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEGMENT_LAYOUT = 1 };
#define SEGMENT_MAGIC 0x73756f6865746167ull /* "gatehous" in memory */

struct segment_entry {
    char name[SEGMENT_NAME];
    uint32_t version;
    uint32_t reserved;
    uint64_t offset;
    uint64_t size;
};
_Static_assert(sizeof(struct segment_entry) == 48, "the directory's layout is part of SEGMENT_LAYOUT");

struct segment_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t zones;
    uint64_t size;
    uint64_t seed[2];
    uint64_t reserved[3];
    struct segment_entry zone[SEGMENT_ZONES];
};
_Static_assert(offsetof(struct segment_header, zone) == 64, "the header's layout is part of SEGMENT_LAYOUT");
_Static_assert(sizeof(struct segment_header) <= SEGMENT_PAGE, "header and directory are one page");

struct segment_size_text segment_size_text(uint64_t size)
{
    struct segment_size_text out;
    if (size >= 10 * 1024 * 1024)
        snprintf(out.text, sizeof(out.text), "%" PRIu64 "M",
                 size / (1024 * 1024) + (size % (1024 * 1024) != 0));
    else
        snprintf(out.text, sizeof(out.text), "%" PRIu64 "K", size / 1024 + (size % 1024 != 0));
    return out;
}

static size_t page_size(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return page < SEGMENT_PAGE ? SEGMENT_PAGE : page;
}

/* The zones' sizes into `header`, each from a page's start; false: the sum is beyond a size_t. */
static bool lay_out(struct segment_header *header, const struct zone_kind *const *kinds,
                    const struct segment_plan *plan)
{
    size_t page = page_size();
    uint64_t offset = page;
    for (unsigned i = 0; kinds[i]; i++) {
        assert(i < SEGMENT_ZONES && strlen(kinds[i]->name) < SEGMENT_NAME);
        struct segment_entry *entry = &header->zone[header->zones++];
        strcpy(entry->name, kinds[i]->name);
        entry->version = kinds[i]->version;
        entry->offset = offset;
        entry->size = kinds[i]->size(plan);
        if (entry->size > SIZE_MAX / 4 || offset > SIZE_MAX / 4)
            return false;
        offset += (entry->size + page - 1) & ~(uint64_t)(page - 1);
    }
    header->size = offset;
    return true;
}

uint64_t segment_measure(const struct zone_kind *const *kinds, const struct segment_plan *plan,
                         void (*tell)(void *context, const char *name, uint64_t size), void *context)
{
    struct segment_header header = {0};
    if (!lay_out(&header, kinds, plan))
        return 0;
    for (uint32_t i = 0; tell && i < header.zones; i++)
        tell(context, header.zone[i].name, header.zone[i].size);
    return header.size;
}

static const char *too_small(const struct segment_header *header, const struct segment_plan *plan,
                             struct arena *arena)
{
    char *zones = arena_strdup(arena, "");
    for (uint32_t i = 0; i < header->zones; i++)
        zones = arena_printf(arena, "%s%s%s %s", zones, i ? ", " : "", header->zone[i].name,
                             segment_size_text(header->zone[i].size).text);
    return arena_printf(
        arena,
        "state.size: %s is too little: the shared memory needs %s (%s, for %u processes): set it to "
        "\"%s\" or more, or lower log.buffer or another setting of state",
        segment_size_text(plan->size_at_most).text, segment_size_text(header->size).text, zones, plan->slots,
        segment_size_text(header->size).text);
}

/* What MemAvailable and the swap have left, or UINT64_MAX where that can't be read. */
static uint64_t memory_left(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file)
        return UINT64_MAX;
    char line[256];
    uint64_t left = 0, kib;
    bool known = false;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1) {
            left += kib * 1024;
            known = true;
        } else if (sscanf(line, "SwapFree: %" SCNu64, &kib) == 1)
            left += kib * 1024;
    }
    fclose(file);
    return known ? left : UINT64_MAX;
}

/* The least memory.max from this process's control group up to the root, or UINT64_MAX (cgroup v2 only). */
static uint64_t memory_limit(void)
{
    char path[4096] = "", name[4200], text[64];
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return UINT64_MAX;
    while (fgets(path, sizeof(path), file) && strncmp(path, "0::", 3) != 0)
        path[0] = 0;
    fclose(file);
    if (strncmp(path, "0::/", 4) != 0)
        return UINT64_MAX;
    path[strcspn(path, "\n")] = 0;
    uint64_t least = UINT64_MAX, limit;
    for (;;) {
        snprintf(name, sizeof(name), "/sys/fs/cgroup%s/memory.max", path + 3);
        file = fopen(name, "re");
        if (file) {
            if (fgets(text, sizeof(text), file) && sscanf(text, "%" SCNu64, &limit) == 1 && limit < least)
                least = limit;
            fclose(file);
        }
        char *slash = strrchr(path + 3, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

/* Memory that is surely not there is refused before it is asked for: the kernel's answer to too much would be the
 * OOM killer. NULL: go on. */
static const char *refuse(uint64_t size, struct arena *arena)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur < size)
        return arena_printf(
            arena,
            "the shared memory needs %s, but files of this process may have %s at most: raise the "
            "limit (ulimit -f), or lower state.size and log.buffer",
            segment_size_text(size).text, segment_size_text(files.rlim_cur).text);
    uint64_t left = memory_left(), limit = memory_limit();
    if (size <= left && size <= limit)
        return NULL;
    return arena_printf(
        arena,
        "the shared memory needs %s, but %s %s: lower state.size and log.buffer, or give the machine "
        "more memory",
        segment_size_text(size).text, segment_size_text(left < limit ? left : limit).text,
        left < limit ? "are available" : "is what the control group may have (memory.max)");
}

static int map(struct segment *segment, struct arena *arena, const char **why)
{
    const char *step = "memfd_create";
    segment->base = MAP_FAILED;
    segment->fd = memfd_create("gatehouse", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (segment->fd < 0)
        goto failed;
    step = "ftruncate";
    if (ftruncate(segment->fd, (off_t)segment->size) < 0)
        goto failed;
    /* A sparse page that can't be had later would be a SIGBUS in whoever touched it first. */
    step = "fallocate";
    int rc;
    do
        rc = fallocate(segment->fd, 0, 0, (off_t)segment->size);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        goto failed;
    step = "fcntl";
    if (fcntl(segment->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        goto failed;
    step = "mmap";
    segment->base =
        mmap(NULL, segment->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, segment->fd, 0);
    if (segment->base != MAP_FAILED)
        return 0;
failed:
    *why =
        arena_printf(arena,
                     "%s of shared memory could not be reserved (%s: %s): free some, or lower state.size and "
                     "log.buffer",
                     segment_size_text(segment->size).text, step, strerror(errno));
    if (segment->fd >= 0)
        close(segment->fd);
    segment->fd = -1;
    segment->base = NULL;
    return -1;
}

int segment_create(struct segment *segment, const struct zone_kind *const *kinds,
                   const struct segment_plan *plan, struct arena *arena, const char **why)
{
    *segment = (struct segment){.fd = -1};
    struct segment_header *header = arena_zalloc(arena, sizeof(*header));
    header->magic = SEGMENT_MAGIC;
    header->layout = SEGMENT_LAYOUT;
    if (!lay_out(header, kinds, plan)) {
        *why = "log.buffer: no memory is that large";
        return -1;
    }
    if (header->size > plan->size_at_most) {
        *why = too_small(header, plan, arena);
        return -1;
    }
    *why = refuse(header->size, arena);
    if (*why)
        return -1;
    if (plan->seed) {
        memcpy(header->seed, plan->seed, sizeof(header->seed));
    } else if (getrandom(header->seed, sizeof(header->seed), 0) != sizeof(header->seed)) {
        *why = arena_printf(arena, "getrandom: %s", strerror(errno));
        return -1;
    }
    segment->size = header->size;
    if (map(segment, arena, why) < 0)
        return -1;
    for (uint32_t i = 0; i < header->zones; i++) {
        kinds[i]->init(segment->base + header->zone[i].offset, header->zone[i].size, plan);
        if (kinds[i]->frozen)
            segment_freeze(segment->base + header->zone[i].offset);
    }
    memcpy(segment->base, header, sizeof(*header));
    segment_freeze(segment->base);
    explicit_bzero(header->seed, sizeof(header->seed));
    return 0;
}

int segment_extend(struct segment *segment, const struct zone_kind *const *kinds,
                   const struct segment_plan *plan, struct arena *arena, const char **why)
{
    struct segment *older = malloc(sizeof(*older)), newer;
    struct segment_plan same = *plan;
    same.seed = segment_seed(segment); /* the same keys give the same hashes in the zones of both */
    if (!older)
        abort();
    if (segment_create(&newer, kinds, &same, arena, why) < 0) {
        free(older);
        return -1;
    }
    *older = *segment;
    *segment = newer;
    segment->older = older;
    return 0;
}

/* NULL, or what is wrong with a header that somebody else wrote. `size` is that of the file. */
static const char *header_wrong(const struct segment_header *header, uint64_t size, struct arena *arena)
{
    if (header->magic != SEGMENT_MAGIC)
        return "it is no segment";
    if (header->layout != SEGMENT_LAYOUT)
        return arena_printf(arena, "its layout is %" PRIu32 ", this program knows %d", header->layout,
                            SEGMENT_LAYOUT);
    if (header->size != size || header->zones > SEGMENT_ZONES)
        return "its header is broken";
    for (uint32_t i = 0; i < header->zones; i++) {
        const struct segment_entry *entry = &header->zone[i];
        if (strnlen(entry->name, SEGMENT_NAME) == SEGMENT_NAME || entry->offset % SEGMENT_PAGE != 0 ||
            entry->offset < SEGMENT_PAGE || entry->offset > size || entry->size > size - entry->offset)
            return "its directory is broken";
    }
    return NULL;
}

int segment_open(struct segment *segment, int fd, struct segment *older, struct arena *arena,
                 const char **why)
{
    struct stat found;
    *segment = (struct segment){.fd = fd, .older = older};
    *why = "its header is missing";
    if (fstat(fd, &found) < 0) {
        *why = strerror(errno);
        goto failed;
    }
    if (found.st_size < (off_t)sizeof(struct segment_header))
        goto failed;
    /* It can't become smaller under our hands: a SIGBUS. */
    if ((fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW)) {
        *why = "it is no segment";
        goto failed;
    }
    void *base = mmap(NULL, (size_t)found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (base == MAP_FAILED) {
        *why = strerror(errno);
        goto failed;
    }
    segment->base = base;
    segment->size = (size_t)found.st_size;
    *why = header_wrong(base, (uint64_t)found.st_size, arena);
    if (*why)
        goto failed;
    segment_freeze(segment->base);
    return 0;
failed:
    *why = arena_printf(arena, "the shared memory can't be taken over: %s", *why);
    segment_destroy(segment);
    return -1;
}

void segment_freeze(void *page)
{
    /* Where pages are larger, what is behind this one would be frozen too: then it stays writable. */
    if (sysconf(_SC_PAGESIZE) != SEGMENT_PAGE)
        return;
    int rc = mprotect(page, SEGMENT_PAGE, PROT_READ);
    assert(rc == 0);
    (void)rc;
}

/* The newest zone of that name, whatever it looks like: one that it hides is out of date. */
static const struct segment_entry *entry_of(const struct segment **segment, const char *name)
{
    for (; *segment && (*segment)->base; *segment = (*segment)->older) {
        const struct segment_header *header = (const struct segment_header *)(*segment)->base;
        if (header->magic != SEGMENT_MAGIC || header->layout != SEGMENT_LAYOUT ||
            header->size != (*segment)->size)
            return NULL;
        for (uint32_t i = 0; i < header->zones && i < SEGMENT_ZONES; i++)
            if (strncmp(header->zone[i].name, name, SEGMENT_NAME) == 0)
                return &header->zone[i];
    }
    return NULL;
}

void *segment_zone(const struct segment *segment, const struct zone_kind *kind, size_t *size)
{
    const struct segment_entry *entry = entry_of(&segment, kind->name);
    if (!entry || entry->version != kind->version || entry->offset > segment->size ||
        entry->size > segment->size - entry->offset)
        return NULL;
    if (size)
        *size = entry->size;
    return segment->base + entry->offset;
}

enum segment_fit segment_fit(const struct segment *segment, const struct zone_kind *kind,
                             const struct segment_plan *plan, struct arena *arena, const char **how)
{
    const struct segment_entry *entry = entry_of(&segment, kind->name);
    uint64_t size = kind->size(plan);
    *how = "there was none";
    if (!entry)
        return SEGMENT_OTHER_LAYOUT;
    if (entry->version != kind->version) {
        *how = arena_printf(arena, "its version is %" PRIu32 ", was %" PRIu32, kind->version, entry->version);
        return SEGMENT_OTHER_LAYOUT;
    }
    if (entry->size != size) {
        *how = arena_printf(arena, "its size would be %s, is %s", segment_size_text(size).text,
                            segment_size_text(entry->size).text);
        return SEGMENT_OTHER_SIZE;
    }
    return SEGMENT_FITS;
}

/* How many zones of an older segment are in use still; the memory of the others is given back. */
static unsigned trim_zones(const struct segment *newest, const struct segment *older)
{
    const struct segment_header *header = (const struct segment_header *)older->base;
    unsigned used = 0;
    for (uint32_t i = 0; i < header->zones && i < SEGMENT_ZONES; i++) {
        const struct segment_entry *entry = &header->zone[i];
        const struct segment *where = newest;
        if (entry_of(&where, entry->name) == entry) {
            used++;
            continue;
        }
        uint64_t page = page_size(), end = (entry->offset + entry->size + page - 1) & ~(page - 1);
        if (end <= older->size) /* failing, it stays as large as it was */
            fallocate(older->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)entry->offset,
                      (off_t)(end - entry->offset));
    }
    return used;
}

void segment_trim(struct segment *segment)
{
    for (struct segment *before = segment; before->older;) {
        struct segment *older = before->older;
        if (trim_zones(segment, older)) {
            before = older;
            continue;
        }
        before->older = older->older;
        older->older = NULL;
        segment_destroy(older);
        free(older);
    }
}

void segment_refreeze(const struct segment *segment, const struct zone_kind *kind)
{
    void *zone = segment_zone(segment, kind, NULL);
    if (zone && kind->frozen)
        segment_freeze(zone);
}

const uint64_t *segment_seed(const struct segment *segment)
{
    return ((const struct segment_header *)segment->base)->seed;
}

void segment_destroy(struct segment *segment)
{
    if (segment->older) {
        segment_destroy(segment->older);
        free(segment->older);
    }
    if (segment->base)
        munmap(segment->base, segment->size);
    if (segment->fd >= 0)
        close(segment->fd);
    *segment = (struct segment){.fd = -1};
}
