/* What names stand for: the zone, its two buffers, and how answers are merged into places. */
#include <arpa/inet.h>
#include <stdio.h>

#include "shared/shm/names.h"
#include "shared/shm/shared.h"
#include "tests/unit/unit.h"
#include "worker/service/merge.h"

static struct arena *arena;
static struct shared shared;
static struct name_cell *cell;

static int set_up(void **state)
{
    (void)state;
    const char *why;
    struct segment_plan plan = {.slots = 2, .log_ring = 4096, .size_at_most = 1 << 22, .names = 2};
    arena = arena_new(4096);
    assert_int_equal(shared_create(&shared, &plan, arena, &why), 0);
    cell = names_cell(shared.names, (unsigned)cells_take(shared.names, "u/n:80", 1, 1));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shared_destroy(&shared);
    arena_free(&arena);
    return 0;
}

/* 10.0.0.n:port */
static struct name_address make(unsigned n, uint16_t port)
{
    return (struct name_address){
        .family = NAME_IPV4, .port = port, .weight = 1, .ip = {10, 0, 0, (uint8_t)n}};
}

/* --- the zone --- */

static void nothing_is_read_before_something_is_published(void **state)
{
    (void)state;
    struct name_list list;
    uint64_t seen = 0;
    assert_false(twin_changed(&cell->twin, 0));
    assert_false(name_read(cell, &list, &seen));
    assert_int_equal(seen, 0);
}

static void what_is_published_is_read(void **state)
{
    (void)state;
    struct name_list list = {.failure = NAME_FOUND}, copy;
    uint64_t seen = 0;
    for (unsigned i = 1; i < 6; i++) {
        list.at[i] = make(i, 80);
        list.count = 77; /* the reader counts for itself */
        name_publish(cell, &list);
        assert_true(twin_changed(&cell->twin, seen));
        assert_true(name_read(cell, &copy, &seen));
        assert_false(twin_changed(&cell->twin, seen));
        assert_int_equal(copy.count, i);
        assert_memory_equal(copy.at, list.at, sizeof list.at);
    }
}

static void what_is_no_family_is_vacant(void **state)
{
    (void)state;
    struct name_list list = {.failure = 12345}, copy;
    uint64_t seen;
    memset(list.at, 0xff, sizeof list.at);
    name_publish(cell, &list);
    assert_true(name_read(cell, &copy, &seen));
    assert_int_equal(copy.count, 0);
    assert_non_null(name_failure_text(copy.failure));
}

/* A writer that is killed between any two words leaves what was current whole, and the next one goes on. */
static void a_writer_that_dies_in_the_middle(void **state)
{
    (void)state;
    struct name_list list = {.failure = NAME_FOUND}, copy;
    uint64_t seen, before;
    list.at[0] = make(1, 80);
    name_publish(cell, &list);
    assert_true(name_read(cell, &copy, &before));
    for (unsigned words = 0; words <= NAME_WORDS; words += 7) {
        struct name_list half;
        memset(&half, 0xee, sizeof half);
        _Atomic uint64_t *other = cell->words + (~before & 1) * NAME_WORDS;
        for (unsigned i = 0; i < words; i++)
            atomic_store(&other[i], 0xeeeeeeeeeeeeeeee);
        assert_true(name_read(cell, &copy, &seen));
        assert_int_equal(seen, before);
        assert_int_equal(copy.count, 1);
    }
    list.at[0] = make(2, 80);
    name_publish(cell, &list);
    assert_true(name_read(cell, &copy, &seen));
    assert_memory_equal(copy.at, list.at, sizeof list.at);
}

/* Another process writes all the time: all ports of a list are the same, and so they are of what is read. */
static void readers_see_whole_lists(void **state)
{
    (void)state;
    enum { READS = 20000 };
    pid_t writer = fork();
    if (writer == 0)
        for (struct name_list list = {.failure = NAME_FOUND};;) {
            for (unsigned i = 0; i < NAME_PLACES; i++)
                list.at[i] = make(1, (uint16_t)(list.at[i].port + 1));
            name_publish(cell, &list);
        }
    unsigned good = 0, torn = 0, moved = 0;
    uint16_t last = 0;
    while (good < READS || moved <= 1) { /* on a busy machine the writer may come late */
        struct name_list list;
        uint64_t seen;
        if (!name_read(cell, &list, &seen))
            continue;
        good++;
        moved += list.at[0].port != last;
        last = list.at[0].port;
        for (unsigned i = 1; i < NAME_PLACES; i++)
            torn += list.at[i].port != list.at[0].port;
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    assert_int_equal(torn, 0);
    assert_true(moved > 1);
}

static void addresses_of_sockets(void **state)
{
    (void)state;
    struct name_address name = make(7, 8002);
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    assert_true(name_address_socket(&name, &address));
    address_format(&address, text);
    assert_string_equal(text, "10.0.0.7:8002");
    name = (struct name_address){.family = NAME_IPV6, .port = 1};
    inet_pton(AF_INET6, "fd00::1", name.ip);
    assert_true(name_address_socket(&name, &address));
    address_format(&address, text);
    assert_string_equal(text, "[fd00::1]:1");
    name.family = NAME_VACANT;
    assert_false(name_address_socket(&name, &address));
}

/* --- merging --- */

static struct name_list list;
static uint32_t in_flight[NAME_PLACES];
static struct merged merged;

static void merge(unsigned max, const struct name_address *found, unsigned count)
{
    struct name_address copy[NAME_PLACES];
    memcpy(copy, found, count * sizeof *copy);
    merge_addresses(&list, max, copy, count, in_flight, &merged);
}

static void assert_places(const char *expected)
{
    char text[256] = "";
    for (unsigned i = 0; i < 4; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", i ? " " : "",
                 list.at[i].family == NAME_VACANT ? 0u : list.at[i].ip[3]);
    assert_string_equal(text, expected);
}

static void begin(void)
{
    list = (struct name_list){.failure = NAME_FOUND};
    memset(in_flight, 0, sizeof in_flight);
}

static void an_address_keeps_its_place(void **state)
{
    (void)state;
    begin();
    struct name_address abc[] = {make(3, 80), make(1, 80), make(2, 80)};
    merge(4, abc, 3);
    assert_places("1 2 3 0");
    assert_int_equal(merged.added, 3);
    assert_true(merged.changed && merged.fresh[0] && merged.fresh[2] && !merged.fresh[3]);
    merge(4, abc, 3);
    assert_false(merged.changed);
    struct name_address ac[] = {make(1, 80), make(3, 80)};
    merge(4, ac, 2);
    assert_places("1 0 3 0");
    assert_int_equal(merged.removed, 1);
    assert_int_equal(list.count, 2);
    in_flight[1] = 1; /* calls to the one that was there go on */
    struct name_address acd[] = {make(4, 80), make(1, 80), make(3, 80)};
    merge(4, acd, 3);
    assert_places("1 0 3 4");
    assert_true(merged.fresh[3] && !merged.fresh[0]);
    struct name_address acde[] = {make(4, 80), make(1, 80), make(3, 80), make(5, 80)};
    merge(4, acde, 4);
    assert_places("1 5 3 4");
}

static void a_port_makes_another_address(void **state)
{
    (void)state;
    begin();
    struct name_address found[] = {make(1, 80), make(1, 81), make(1, 80)};
    merge(4, found, 3);
    assert_places("1 1 0 0");
    assert_int_equal(merged.added, 2);
}

static void more_than_there_are_places_for(void **state)
{
    (void)state;
    begin();
    struct name_address found[] = {make(4, 80), make(3, 80), make(2, 80), make(1, 80)};
    merge(2, found, 4);
    assert_places("1 2 0 0");
    assert_int_equal(merged.left_out, 2);
    merge(2, found, 2); /* 4 and 3: those before them leave */
    assert_places("3 4 0 0");
    list.at[3] = make(9, 80); /* by a generation with a larger max */
    merge(2, found, 2);
    assert_places("3 4 0 0");
}

static void shares_change_in_their_place(void **state)
{
    (void)state;
    begin();
    struct name_address found[] = {make(1, 80)};
    merge(4, found, 1);
    found[0].weight = 5;
    merge(4, found, 1);
    assert_true(merged.changed);
    assert_int_equal(merged.added + merged.removed, 0);
    assert_int_equal(list.at[0].weight, 5);
    struct name_address twice[] = {make(1, 80), make(1, 80)};
    twice[0].priority = 7;
    twice[1].priority = 3;
    merge(4, twice, 2);
    assert_int_equal(list.at[0].priority, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_read_before_something_is_published, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_published_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_family_is_vacant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_writer_that_dies_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readers_see_whole_lists, set_up, tear_down),
        cmocka_unit_test(addresses_of_sockets),
        cmocka_unit_test(an_address_keeps_its_place),
        cmocka_unit_test(a_port_makes_another_address),
        cmocka_unit_test(more_than_there_are_places_for),
        cmocka_unit_test(shares_change_in_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
