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

static const struct zone_kind ant = {"ant", 1, ant_size, init, NULL, NULL, NULL, false};
static const struct zone_kind bee = {"bee", 7, bee_size, init, NULL, NULL, NULL, false};
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
    const struct zone_kind older = {"bee", 6, bee_size, init, NULL, NULL, NULL, false},
                           other = {"be", 7, bee_size, init, NULL, NULL, NULL, false};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_are_laid_out),
        cmocka_unit_test(a_zone_is_found_by_name_and_version),
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
