/* The segment: its layout, what it reserves, and what it says when it can't. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/shm/shared.h"

static size_t ant_size(const struct segment_plan *plan)
{
    return plan->slots * 1000;
}

static size_t bee_size(const struct segment_plan *plan)
{
    return plan->log_ring + 1;
}

static void init(void *zone, size_t size, const struct segment_plan *plan)
{
    (void)plan;
    unsigned char *bytes = zone;
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], 0);
    memset(bytes, 'z', size);
}

static const struct zone_kind ant = {"ant", 1, ant_size, init, NULL, NULL, NULL, NULL, false};
static const struct zone_kind bee = {"bee", 7, bee_size, init, NULL, NULL, NULL, NULL, false};
static const struct zone_kind *const kinds[] = {&ant, &bee, NULL};

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void zones_are_laid_out(void **state)
{
    (void)state;
    struct segment segment;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 5, .log_ring = 8192, .size_at_most = 1 << 20};
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), 0);

    size_t size = 0;
    char *first = segment_zone(&segment, &ant, &size);
    assert_non_null(first);
    assert_int_equal(size, 5000);
    assert_int_equal((uintptr_t)first % SEGMENT_PAGE, 0);
    char *second = segment_zone(&segment, &bee, &size);
    assert_int_equal(size, 8193);
    assert_int_equal((uintptr_t)second % SEGMENT_PAGE, 0);
    assert_true(second >= first + 5000 && second + size <= segment.base + segment.size);
    assert_int_equal(first[4999], 'z');
    assert_int_equal(first[5000], 0);

    /* Reserved, and it can't be made smaller under the others' feet. */
    struct stat st;
    assert_int_equal(fstat(segment.fd, &st), 0);
    assert_true((size_t)st.st_blocks * 512 >= segment.size);
    assert_int_equal(ftruncate(segment.fd, 4096), -1);
    assert_int_equal(errno, EPERM);
    assert_true(fcntl(segment.fd, F_GETFD) & FD_CLOEXEC);
    segment_destroy(&segment);
    assert_null(segment.base);
    assert_int_equal(segment.fd, -1);
}

static void a_zone_is_found_by_name_and_version(void **state)
{
    (void)state;
    struct segment segment;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 5, .log_ring = 8192, .size_at_most = 1 << 20};
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), 0);
    const struct zone_kind older = {"bee", 6, bee_size, init, NULL, NULL, NULL, NULL, false},
                           other = {"be", 7, bee_size, init, NULL, NULL, NULL, NULL, false};
    assert_null(segment_zone(&segment, &older, NULL));
    assert_null(segment_zone(&segment, &other, NULL));
    struct segment cut = segment;
    cut.size -= SEGMENT_PAGE;
    assert_null(segment_zone(&cut, &bee, NULL));
    segment_destroy(&segment);
    assert_null(segment_zone(&segment, &bee, NULL));
}

static void too_little_state_size_names_the_zones(void **state)
{
    (void)state;
    struct segment segment;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 5, .log_ring = 8192, .size_at_most = 16384};
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), -1);
    assert_string_equal(why,
                        "state.size: 16K is too little: the shared memory needs 24K (ant 5K, bee 9K, for 5 "
                        "processes): set it to \"24K\" or more, or lower log.buffer or "
                        "another setting of state");
    /* What it asks for is enough, and no byte less is. */
    plan.size_at_most = 24 * 1024 - 1;
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), -1);
    plan.size_at_most = 24 * 1024;
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), 0);
    segment_destroy(&segment);
}

static void too_little_memory_is_said(void **state)
{
    (void)state;
    struct segment segment;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 1, .log_ring = (size_t)1 << 45, .size_at_most = SIZE_MAX};
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), -1);
    assert_non_null(strstr(why, "the shared memory needs 33554433M, but "));
    assert_non_null(strstr(why, "lower state.size"));
    plan.log_ring = SIZE_MAX - 100;
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), -1);
    assert_non_null(strstr(why, "log.buffer"));
}

static void limits_of_the_process_are_said(void **state)
{
    (void)state;
    struct segment segment;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 5, .log_ring = 8192, .size_at_most = 1 << 20};
    struct rlimit old, less;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    less = (struct rlimit){8192, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_non_null(strstr(why, "ulimit -f"));

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    less = (struct rlimit){3, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), -1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_non_null(strstr(why, "24K of shared memory could not be reserved (memfd_create: "));
    assert_null(segment.base);
}

static void it_is_shared_but_for_the_header(void **state)
{
    (void)state;
    struct segment segment;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 5, .log_ring = 8192, .size_at_most = 1 << 20};
    assert_int_equal(segment_create(&segment, kinds, &plan, arena, &why), 0);
    volatile char *zone = segment_zone(&segment, &ant, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        zone[7] = 'c';
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)segment.base = 0;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    assert_int_equal(zone[7], 'c');
    assert_ptr_equal(segment_zone(&segment, &ant, NULL), zone);
    segment_destroy(&segment);
}

static void seeds_differ(void **state)
{
    (void)state;
    struct segment a, b;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 5, .log_ring = 8192, .size_at_most = 1 << 20};
    assert_int_equal(segment_create(&a, kinds, &plan, arena, &why), 0);
    assert_int_equal(segment_create(&b, kinds, &plan, arena, &why), 0);
    assert_memory_not_equal(segment_seed(&a), segment_seed(&b), 16);
    assert_true(segment_seed(&a)[0] != segment_seed(&a)[1]);
    segment_destroy(&a);
    segment_destroy(&b);
}

static void shared_has_all_zones(void **state)
{
    (void)state;
    struct shared shared;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 3, .log_ring = 65536, .size_at_most = 4096};
    assert_int_equal(shared_create(&shared, &plan, arena, &why), -1);
    assert_non_null(strstr(why, "slots "));
    assert_non_null(strstr(why, "logs "));
    plan.size_at_most = 1 << 20;
    assert_int_equal(shared_create(&shared, &plan, arena, &why), 0);
    assert_int_equal(shared.slots->count, 3);
    assert_int_equal(shared.stats->slots, 3);
    assert_int_equal(shared.wake.count, 3);
    assert_true(logs_append(shared.logs, 2, LOG_ACCESS, 3, STR("line\n")));
    shared_log_flush(&shared, 2); /* there is no logger yet: nothing happens */
    shared_destroy(&shared);
}

static void descriptors_run_out(void **state)
{
    (void)state;
    struct shared shared;
    const char *why = NULL;
    struct segment_plan plan = {.slots = 100, .log_ring = 4096, .size_at_most = 1 << 24};
    struct rlimit old, less;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    less = (struct rlimit){50, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    int rc = shared_create(&shared, &plan, arena, &why);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(why, "ulimit -n"));
    assert_null(shared.segment.base);
}

/* A copy of the descriptor, as another program would have it after an exec. */
static int copy_of(const struct segment *segment)
{
    int fd = fcntl(segment->fd, F_DUPFD_CLOEXEC, 3);
    assert_true(fd >= 0);
    return fd;
}

static const struct segment_plan small = {.slots = 5, .log_ring = 8192, .size_at_most = 1 << 20};

static void another_program_finds_it_again(void **state)
{
    (void)state;
    struct segment first, second;
    const char *why = NULL;
    assert_int_equal(segment_create(&first, kinds, &small, arena, &why), 0);
    assert_int_equal(segment_open(&second, copy_of(&first), NULL, arena, &why), 0);
    char *ours = segment_zone(&first, &ant, NULL), *theirs = segment_zone(&second, &ant, NULL);
    assert_ptr_not_equal(ours, theirs);
    ours[7] = 'o';
    assert_int_equal(theirs[7], 'o');
    assert_memory_equal(segment_seed(&first), segment_seed(&second), 16);
    const char *how;
    assert_int_equal(segment_fit(&second, &ant, &small, arena, &how), SEGMENT_FITS);

    struct zone_kind newer = ant, more = ant, cat = ant;
    struct segment_plan other = small;
    newer.version = 2;
    other.slots = 6;
    cat.name = "cat";
    assert_int_equal(segment_fit(&second, &newer, &small, arena, &how), SEGMENT_OTHER_LAYOUT);
    assert_string_equal(how, "its version is 2, was 1");
    assert_int_equal(segment_fit(&second, &more, &other, arena, &how), SEGMENT_OTHER_SIZE);
    assert_string_equal(how, "its size would be 6K, is 5K");
    assert_int_equal(segment_fit(&second, &cat, &small, arena, &how), SEGMENT_OTHER_LAYOUT);
    assert_string_equal(how, "there was none");
    segment_destroy(&first);
    assert_int_equal(theirs[7], 'o');
    segment_destroy(&second);
}

static uint64_t reserved(const struct segment *segment)
{
    struct stat st;
    assert_int_equal(fstat(segment->fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void changed_zones_are_hidden_by_newer_ones(void **state)
{
    (void)state;
    struct segment segment;
    const char *why = NULL;
    assert_int_equal(segment_create(&segment, kinds, &small, arena, &why), 0);
    char *old_ant = segment_zone(&segment, &ant, NULL), *old_bee = segment_zone(&segment, &bee, NULL);
    uint64_t seed = segment_seed(&segment)[0];
    old_ant[3] = 'o';
    old_bee[3] = 'o';

    struct zone_kind newer = ant;
    newer.version = 2;
    const struct zone_kind *const changed[] = {&newer, NULL};
    assert_int_equal(segment_extend(&segment, changed, &small, arena, &why), 0);
    assert_int_equal(segment_seed(&segment)[0], seed);
    char *new_ant = segment_zone(&segment, &newer, NULL);
    assert_int_equal(new_ant[3], 'z');
    assert_ptr_equal(segment_zone(&segment, &bee, NULL), old_bee);
    assert_int_equal(old_ant[3], 'o'); /* who has it may go on */
    /* What it was is out of date for ever. */
    assert_null(segment_zone(&segment, &ant, NULL));
    const char *how;
    assert_int_equal(segment_fit(&segment, &ant, &small, arena, &how), SEGMENT_OTHER_LAYOUT);
    assert_string_equal(how, "its version is 1, was 2");

    uint64_t before = reserved(segment.older);
    segment_trim(&segment);
    assert_non_null(segment.older);
    assert_true(reserved(segment.older) + 4096 <= before);
    assert_int_equal(old_bee[3], 'o');
    assert_int_equal(new_ant[3], 'z');

    const struct zone_kind *const rest[] = {&bee, NULL};
    assert_int_equal(segment_extend(&segment, rest, &small, arena, &why), 0);
    segment_trim(&segment);
    assert_non_null(segment.older); /* the one with the newest ant */
    assert_null(segment.older->older);
    assert_ptr_equal(segment_zone(&segment, &newer, NULL), new_ant);
    segment_destroy(&segment);
}

/* The header of a segment is written over; what is said of it then. */
static const char *broken(size_t offset, uint64_t value, size_t size)
{
    struct segment segment, found;
    const char *why = NULL;
    assert_int_equal(segment_create(&segment, kinds, &small, arena, &why), 0);
    assert_int_equal(pwrite(segment.fd, &value, size, (off_t)offset), (ssize_t)size);
    assert_int_equal(segment_open(&found, copy_of(&segment), NULL, arena, &why), -1);
    assert_int_equal(found.fd, -1);
    segment_destroy(&segment);
    return why;
}

static void what_is_no_segment_is_refused(void **state)
{
    (void)state;
    struct segment found;
    const char *why = NULL;
    assert_non_null(strstr(broken(0, 1, 8), "it is no segment"));
    assert_non_null(strstr(broken(8, 2, 4), "its layout is 2, this program knows 1"));
    assert_non_null(strstr(broken(12, 33, 4), "its header is broken"));
    assert_non_null(strstr(broken(16, 4096, 8), "its header is broken"));
    assert_non_null(strstr(broken(64 + 32, 1 << 20, 8), "its directory is broken"));
    assert_non_null(strstr(broken(64 + 32, 4097, 8), "its directory is broken"));
    assert_non_null(strstr(broken(64 + 32, 0, 8), "its directory is broken"));
    assert_non_null(strstr(broken(64 + 40, UINT64_MAX, 8), "its directory is broken"));

    int fd = memfd_create("short", MFD_ALLOW_SEALING);
    assert_int_equal(segment_open(&found, fd, NULL, arena, &why), -1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    fd = memfd_create("unsealed", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, 8192), 0);
    assert_int_equal(segment_open(&found, fd, NULL, arena, &why), -1);
    assert_non_null(strstr(why, "it is no segment"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_are_laid_out),
        cmocka_unit_test(a_zone_is_found_by_name_and_version),
        cmocka_unit_test(another_program_finds_it_again),
        cmocka_unit_test(changed_zones_are_hidden_by_newer_ones),
        cmocka_unit_test(what_is_no_segment_is_refused),
        cmocka_unit_test(too_little_state_size_names_the_zones),
        cmocka_unit_test(too_little_memory_is_said),
        cmocka_unit_test(limits_of_the_process_are_said),
        cmocka_unit_test(it_is_shared_but_for_the_header),
        cmocka_unit_test(seeds_differ),
        cmocka_unit_test(shared_has_all_zones),
        cmocka_unit_test(descriptors_run_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
