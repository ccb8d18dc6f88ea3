/* Memory that comes and goes: what is given back is taken again, of its size, and all of it is freed in the end. */
#include "tests/unit/unit.h"

#include "worker/net/recycler.h"

static void test_sizes(void **state)
{
    struct recycler recycler = {.count = {0}};
    void *taken[64];
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 64; i++) {
            size_t size = i * 33;
            taken[i] = recycler_take(&recycler, size);
            memset(taken[i], (int)i, size);
        }
        for (unsigned i = 0; i < 64; i++) {
            for (size_t at = 0; at < i * 33; at++)
                assert_int_equal(((unsigned char *)taken[i])[at], i);
            recycler_give(&recycler, taken[i]);
        }
    }
    recycler_give(&recycler, NULL);
    recycler_empty(&recycler);
    for (unsigned place = 0; place < RECYCLER_SIZES; place++)
        assert_int_equal(recycler.count[place], 0);
}

static void test_cleared_and_resized(void **state)
{
    struct recycler recycler = {.count = {0}};
    (void)state;
    char *memory = recycler_take(&recycler, 100);
    memset(memory, 'x', 100);
    recycler_give(&recycler, memory);
    memory = recycler_take_cleared(&recycler, 10, 10);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(memory[i], 0);
    memset(memory, 'y', 100);
    for (size_t size = 100; size < 5000; size += 700) {
        memory = recycler_resize(&recycler, memory, size);
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(memory[i], 'y');
    }
    assert_ptr_equal(recycler_resize(&recycler, memory, 1), memory);
    recycler_give(&recycler, memory);
    memory = recycler_resize(&recycler, NULL, 1);
    recycler_give(&recycler, memory);
    recycler_empty(&recycler);
}

/* What a burst needed goes back to the heap. */
static void test_a_burst(void **state)
{
    enum { BURST = 3000 };
    struct recycler recycler = {.count = {0}};
    void *taken[BURST];
    (void)state;
    for (unsigned i = 0; i < BURST; i++)
        taken[i] = recycler_take(&recycler, 64);
    for (unsigned i = 0; i < BURST; i++)
        recycler_give(&recycler, taken[i]);
    assert_true(recycler.count[1] <= 1024);
    recycler_empty(&recycler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_cleared_and_resized),
        cmocka_unit_test(test_a_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
