/* Cells by name, and the tally of what processes hold. */
#include "shared/shm/endpoints.h"
#include "shared/shm/shared.h"
#include "shared/shm/upstreams.h"
#include "tests/unit/unit.h"

enum { SLOTS = 70, CELLS = 3 };

static struct arena *arena;
static struct shared shared;
static struct cells *cells;

static int set_up(void **state)
{
    (void)state;
    const char *why;
    struct segment_plan plan = {
        .slots = SLOTS, .log_ring = 4096, .size_at_most = 1 << 22, .upstreams = 1, .endpoints = CELLS};
    arena = arena_new(4096);
    assert_int_equal(shared_create(&shared, &plan, arena, &why), 0);
    cells = shared.endpoints;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shared_destroy(&shared);
    arena_free(&arena);
    return 0;
}

static void a_name_keeps_its_cell(void **state)
{
    (void)state;
    assert_int_equal(cells_take(cells, "u/a", 1, 1), 0);
    assert_int_equal(cells_take(cells, "u/b", 1, 1), 1);
    atomic_store(&endpoints_cell(cells, 1)->down_until, 7);
    assert_int_equal(cells_take(cells, "u/b", 2, 1), 1);
    assert_int_equal(atomic_load(&endpoints_cell(cells, 1)->down_until), 7);
    assert_int_equal(cells_take(cells, "u/a", 2, 1), 0);
    assert_int_equal(cells_use(cells).used, 2);
    assert_int_equal(cells_use(cells).room, CELLS);
}

static void a_cell_is_another_names_when_nobody_uses_it(void **state)
{
    (void)state;
    assert_int_equal(cells_take(cells, "a", 1, 1), 0);
    assert_int_equal(cells_take(cells, "b", 2, 1), 1);
    assert_int_equal(cells_take(cells, "c", 2, 1), 2);
    atomic_store(&endpoints_cell(cells, 0)->down_until, 7);
    /* Generation 1 drains still. */
    assert_int_equal(cells_take(cells, "d", 3, 1), -1);
    assert_int_equal(cells_take(cells, "a", 3, 1), 0);
    assert_int_equal(atomic_load(&endpoints_cell(cells, 0)->down_until), 7);
    /* Now 2 does: nobody else than 3 has a. */
    assert_int_equal(cells_take(cells, "d", 3, 2), -1);
    assert_int_equal(cells_take(cells, "d", 4, 3), 1);
    assert_int_equal(atomic_load(&endpoints_cell(cells, 1)->down_until), 0);
    assert_string_equal(cells->name[1].text, "d");
}

static void one_never_used_goes_before_one_that_may_come_back(void **state)
{
    (void)state;
    assert_int_equal(cells_take(cells, "a", 1, 1), 0);
    assert_int_equal(cells_take(cells, "b", 5, 5), 1);
    assert_int_equal(cells_take(cells, "c", 5, 5), 2);
    assert_int_equal(cells_take(cells, "a", 6, 5), 0);
}

static void long_names_that_differ_late_are_two(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'x', sizeof name);
    name[299] = 0;
    assert_int_equal(cells_take(cells, name, 1, 1), 0);
    name[298] = 'y';
    assert_int_equal(cells_take(cells, name, 1, 1), 1);
    assert_int_equal(strlen(cells->name[1].text), CELL_TEXT - 1);
    assert_int_equal(cells_take(cells, name, 2, 1), 1);
}

static void the_tally_is_of_those_that_live(void **state)
{
    (void)state;
    static const unsigned slots[] = {0, 1, 63, 64, 69};
    for (unsigned i = 0; i < 5; i++) {
        _Atomic uint32_t *row = cells_join(cells, slots[i]);
        tally_add(&row[0], 1);
        tally_add(&row[CELLS - 1], 10);
        tally_add(&row[CELLS - 1], -1);
    }
    assert_int_equal(cells_in_flight(cells, 0), 5);
    assert_int_equal(cells_in_flight(cells, 1), 0);
    assert_int_equal(cells_in_flight(cells, 2), 45);
    shared_release(&shared, 64);
    shared_release(&shared, 64);
    shared_release(&shared, 2);
    assert_int_equal(cells_in_flight(cells, 0), 4);
    assert_int_equal(cells_in_flight(cells, 2), 36);
    cells_join(cells, 64);
    assert_int_equal(cells_in_flight(cells, 0), 4);
    assert_int_equal(cells_in_flight(shared.upstreams, 0), 0);
}

#define CELLS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CELLS_TEST(a_name_keeps_its_cell),
        CELLS_TEST(a_cell_is_another_names_when_nobody_uses_it),
        CELLS_TEST(one_never_used_goes_before_one_that_may_come_back),
        CELLS_TEST(long_names_that_differ_late_are_two),
        CELLS_TEST(the_tally_is_of_those_that_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
