/* Snapshots: what was saved comes back, and what is torn, foreign or old doesn't. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/shm/snapshot.h"
#include "tests/unit/unit.h"

enum { WORDS = 5 };

/* Two zones that save, and one between them that doesn't. */
struct words {
    uint64_t word[WORDS];
};

static struct zone_time loaded_at;

static size_t size_of(const struct segment_plan *plan)
{
    (void)plan;
    return sizeof(struct words);
}

static void init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)plan;
    memset(zone, 0, size);
}

/* All words but the last, which makes a length that is no multiple of eight. */
static size_t save(const void *zone, void *out, size_t size)
{
    assert_true(size >= sizeof(struct words));
    memcpy(out, zone, sizeof(struct words) - 3);
    return sizeof(struct words) - 3;
}

static bool load(void *zone, const void *data, size_t size, const struct zone_time *time)
{
    loaded_at = *time;
    if (size != sizeof(struct words) - 3 || ((const struct words *)data)->word[0] == 666)
        return false;
    memcpy(zone, data, size);
    return true;
}

static const struct zone_kind ant = {
    .name = "ant", .version = 1, .size = size_of, .init = init, .save = save, .load = load};
static const struct zone_kind bee = {.name = "bee", .version = 1, .size = size_of, .init = init};
static const struct zone_kind cow = {
    .name = "cow", .version = 2, .size = size_of, .init = init, .save = save, .load = load};
static const struct zone_kind new_cow = {
    .name = "cow", .version = 3, .size = size_of, .init = init, .save = save, .load = load};
static const struct zone_kind *const kinds[] = {&ant, &bee, &cow, NULL};
static const struct zone_kind *const new_kinds[] = {&ant, &bee, &new_cow, NULL};
static const struct segment_plan plan = {.slots = 1, .log_ring = 4096, .size_at_most = 1 << 20};

static struct arena *arena;
static char folder[64], path[96];
static const char *why;

static struct words *words_of(const struct segment *segment, const struct zone_kind *kind)
{
    return segment_zone(segment, kind, NULL);
}

/* A segment whose zones are of 1… and 101…, saved. */
static struct segment saved(void)
{
    struct segment segment;
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), 0);
    for (unsigned i = 0; i < WORDS; i++) {
        words_of(&segment, &ant)->word[i] = 1 + i;
        words_of(&segment, &cow)->word[i] = 101 + i;
    }
    assert_int_equal(snapshot_write(path, &segment, kinds), 0);
    return segment;
}

/* What the file gives a fresh segment; the zones that start cold. */
static const char *load_into(struct segment *segment, const struct zone_kind *const *of)
{
    const char *cold;
    struct snapshot *snapshot = snapshot_read(path, arena, &why);
    assert_non_null(snapshot);
    struct segment_plan with_seed = plan;
    with_seed.seed = snapshot_seed(snapshot);
    assert_int_equal(segment_create(segment, of, &with_seed, arena, &why), 0);
    snapshot_load(snapshot, segment, of, arena, &cold);
    snapshot_free(&snapshot);
    assert_null(snapshot);
    return cold;
}

static void patch(long at, int byte)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int before = fgetc(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    fputc(byte < 0 ? before ^ 1 : byte, file);
    assert_int_equal(fclose(file), 0);
}

static void refused(const char *says)
{
    struct snapshot *snapshot = snapshot_read(path, arena, &why);
    assert_null(snapshot);
    assert_non_null(why);
    if (!strstr(why, says))
        fail_msg("\"%s\" and not \"…%s…\"", why, says);
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(4096);
    strcpy(folder, "/tmp/gatehouse-snapshot-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/state", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char name[128];
    static const char *const names[] = {"", ".new", ".bad"};
    for (unsigned i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, names[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(folder), 0);
    arena_free(&arena);
    return 0;
}

static void what_was_saved_comes_back(void **state)
{
    (void)state;
    struct segment before = saved(), after;
    assert_null(load_into(&after, kinds));
    for (unsigned i = 0; i + 1 < WORDS; i++) {
        assert_int_equal(words_of(&after, &ant)->word[i], 1 + i);
        assert_int_equal(words_of(&after, &bee)->word[i], 0);
        assert_int_equal(words_of(&after, &cow)->word[i], 101 + i);
    }
    assert_memory_equal(segment_seed(&before), segment_seed(&after), 2 * sizeof(uint64_t));
    assert_int_equal(loaded_at.shift_ns, 0); /* the machine was on all the while */
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    segment_destroy(&before);
    segment_destroy(&after);
}

static void none_is_no_error(void **state)
{
    (void)state;
    assert_null(snapshot_read(path, arena, &why));
    assert_null(why);
}

static void the_one_before_stays_until_the_new_one_is_whole(void **state)
{
    (void)state;
    struct segment before = saved(), after;
    char name[128];
    snprintf(name, sizeof name, "%s.new", path);
    /* Somebody died while he wrote: it is in nobody's way. */
    FILE *file = fopen(name, "w");
    fputs("half", file);
    assert_int_equal(fclose(file), 0);
    words_of(&before, &ant)->word[0] = 7;
    assert_int_equal(snapshot_write(path, &before, kinds), 0);
    assert_int_equal(access(name, F_OK), -1);
    /* One that can't be written leaves the old one. */
    assert_int_equal(mkdir(name, 0700), 0);
    words_of(&before, &ant)->word[0] = 8;
    assert_int_equal(snapshot_write(path, &before, kinds), -1);
    assert_int_equal(rmdir(name), 0);
    assert_null(load_into(&after, kinds));
    assert_int_equal(words_of(&after, &ant)->word[0], 7);
    segment_destroy(&before);
    segment_destroy(&after);
}

static void a_torn_zone_starts_cold_alone(void **state)
{
    (void)state;
    struct segment before = saved(), after;
    patch(-20, -1);
    assert_string_equal(load_into(&after, kinds), "cow");
    assert_int_equal(words_of(&after, &ant)->word[0], 1);
    assert_int_equal(words_of(&after, &cow)->word[0], 0);
    segment_destroy(&before);
    segment_destroy(&after);
}

static void a_zone_that_makes_no_sense_starts_cold(void **state)
{
    (void)state;
    struct segment before = saved(), after;
    words_of(&before, &ant)->word[0] = 666;
    assert_int_equal(snapshot_write(path, &before, kinds), 0);
    assert_string_equal(load_into(&after, kinds), "ant");
    segment_destroy(&before);
    segment_destroy(&after);
}

static void another_version_of_a_zone_starts_cold(void **state)
{
    (void)state;
    struct segment before = saved(), after;
    assert_string_equal(load_into(&after, new_kinds), "cow");
    assert_int_equal(words_of(&after, &ant)->word[1], 2);
    segment_destroy(&before);
    segment_destroy(&after);
}

static void cut_anywhere_it_is_told_and_nothing_is_read_beyond(void **state)
{
    (void)state;
    struct segment before = saved();
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    for (off_t size = status.st_size - 1; size >= 0; size--) {
        assert_int_equal(truncate(path, size), 0);
        if (size < 64) {
            refused("it is too short");
            continue;
        }
        struct segment after;
        const char *cold = load_into(&after, kinds);
        assert_non_null(cold);
        segment_destroy(&after);
    }
    segment_destroy(&before);
}

static void what_is_foreign_is_refused_and_kept_aside(void **state)
{
    (void)state;
    struct segment segment = saved();
    patch(0, 'x');
    refused("no snapshot of Gatehouse");
    segment_destroy(&segment);
    segment = saved();
    patch(8, 9);
    refused("its format is 9");
    segment_destroy(&segment);
    segment = saved();
    patch(40, -1); /* the seed */
    refused("its header is damaged");
    segment_destroy(&segment);
    assert_int_equal(snapshot_set_aside(path), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    refused("");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    refused("it is no file");
    assert_int_equal(rmdir(path), 0);
}

static void times_mean_the_same_on_another_boot(void **state)
{
    (void)state;
    struct snapshot_clock then = {
        .boot = 1, .monotonic_ns = 1000 * NS_PER_SECOND, .wall_ns = 5000 * NS_PER_SECOND};
    struct snapshot_clock now = {
        .boot = 1, .monotonic_ns = 1030 * NS_PER_SECOND, .wall_ns = 9000 * NS_PER_SECOND};
    assert_int_equal(snapshot_shift(&then, &now), 0);
    /* Off for 100 s, up for 10: what lay 60 s ahead is over since 40. */
    now = (struct snapshot_clock){
        .boot = 2, .monotonic_ns = 10 * NS_PER_SECOND, .wall_ns = 5100 * NS_PER_SECOND};
    int64_t shift = snapshot_shift(&then, &now);
    assert_int_equal((int64_t)(1060 * NS_PER_SECOND) + shift, -30 * (int64_t)NS_PER_SECOND);
    /* The wall clock went back: no time has passed. */
    now.wall_ns = 4000 * NS_PER_SECOND;
    shift = snapshot_shift(&then, &now);
    assert_int_equal((int64_t)(1060 * NS_PER_SECOND) + shift, 70 * (int64_t)NS_PER_SECOND);
}

#define SNAPSHOT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SNAPSHOT_TEST(what_was_saved_comes_back),
        SNAPSHOT_TEST(none_is_no_error),
        SNAPSHOT_TEST(the_one_before_stays_until_the_new_one_is_whole),
        SNAPSHOT_TEST(a_torn_zone_starts_cold_alone),
        SNAPSHOT_TEST(a_zone_that_makes_no_sense_starts_cold),
        SNAPSHOT_TEST(another_version_of_a_zone_starts_cold),
        SNAPSHOT_TEST(cut_anywhere_it_is_told_and_nothing_is_read_beyond),
        SNAPSHOT_TEST(what_is_foreign_is_refused_and_kept_aside),
        SNAPSHOT_TEST(times_mean_the_same_on_another_boot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
