/* Arenas: alignment, growth, clean-ups, sealing. */
#include "tests/unit/unit.h"

#include "shared/base/arena.h"
#include "shared/base/error.h"

static void test_alignment_and_content(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024);
    unsigned char *all[200];
    for (size_t i = 0; i < 200; i++) {
        all[i] = arena_alloc(arena, i);
        assert_int_equal((uintptr_t)all[i] % alignof(max_align_t), 0);
        memset(all[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++) /* nothing lies over another */
        for (size_t j = 0; j < i; j++)
            assert_int_equal(all[i][j], i);
    arena_free(&arena);
    assert_null(arena);
    arena_free(&arena);
}

static void test_reset_keeps_the_first_chunk(void **state)
{
    (void)state;
    struct arena *arena = arena_new(512);
    char *first = arena_alloc(arena, 100);
    for (int i = 0; i < 100; i++)
        memset(arena_alloc(arena, 100), i, 100);
    memset(arena_alloc(arena, 100000), 1, 100000);
    arena_reset(arena);
    assert_ptr_equal(arena_alloc(arena, 100), first);
    arena_reset(arena);
    memset(arena_alloc(arena, 512), 2, 512); /* as many as the chunk was made for fit at once */
    assert_ptr_equal(arena_alloc(arena, 0), first + 512);
    arena_free(&arena);
}

static void test_large_leaves_the_chunk_in_use(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    char *before = arena_alloc(arena, 16);
    memset(arena_alloc(arena, 5000), 0, 5000);
    assert_ptr_equal(arena_alloc(arena, 16), before + 16);
    arena_alloc(arena, 3200);
    memset(arena_alloc(arena, 1040), 0, 1040); /* over a quarter, and more than is left */
    assert_ptr_equal(arena_alloc(arena, 16), before + 32 + 3200);
    arena_free(&arena);
}

static void test_cleared_and_copied(void **state)
{
    (void)state;
    struct arena *arena = arena_new(256);
    memset(arena_alloc(arena, 256), 0xff, 256);
    arena_reset(arena);
    int *numbers = arena_array(arena, 10, sizeof(int));
    for (int i = 0; i < 10; i++)
        assert_int_equal(numbers[i], 0);
    assert_string_equal(arena_strdup(arena, "text"), "text");
    assert_string_equal(arena_strndup(arena, "text", 2), "te");
    struct str copy = arena_str(arena, STR("a\0b"));
    assert_int_equal(copy.length, 3);
    assert_memory_equal(copy.data, "a\0b", 4);
    assert_string_equal(arena_str(arena, (struct str){NULL, 0}).data, "");
    char *longer = arena_printf(arena, "%0*d", 1000, 7);
    assert_int_equal(strlen(longer), 1000);
    arena_free(&arena);
}

static char order[8];
static size_t ran;

static void note(void *object)
{
    order[ran++] = *(const char *)object;
}

static void test_clean_ups_run_in_reverse(void **state)
{
    (void)state;
    ran = 0;
    static char names[] = "abcd";
    struct arena *arena = arena_new(64);
    for (int i = 0; i < 3; i++)
        arena_on_free(arena, note, names + i);
    arena_reset(arena);
    assert_memory_equal(order, "cba", 3);
    arena_on_free(arena, note, names + 3);
    arena_free(&arena);
    assert_int_equal(ran, 4); /* each once */
    assert_int_equal(order[3], 'd');
}

static void test_sealed_arena_frees(void **state)
{
    (void)state;
    ran = 0;
    struct arena *arena = arena_new_sealable(1000);
    char *name = arena_strdup(arena, "x"); /* a clean-up can read what is sealed */
    arena_on_free(arena, note, name);
    for (int i = 0; i < 100; i++)
        arena_alloc(arena, 1000);
    memset(arena_alloc(arena, 1 << 20), 1, 1 << 20);
    arena_seal(arena);
    assert_string_equal(name, "x");
    arena_free(&arena);
    assert_null(arena);
    assert_int_equal(ran, 1);
    assert_int_equal(order[0], 'x');
}

static void write_to(void *memory)
{
    *(volatile char *)memory = 1;
}

static void alloc_from(void *arena)
{
    arena_alloc(arena, 1);
}

static void test_sealed_arena_cannot_be_written(void **state)
{
    (void)state;
    struct arena *arena = arena_new_sealable(1000);
    char *first = arena_alloc(arena, 10), *large = arena_alloc(arena, 100000),
         *small = arena_alloc(arena, 10);
    assert_int_equal(dies_of(write_to, first), 0);
    arena_seal(arena);
    assert_int_equal(dies_of(write_to, first), SIGSEGV);
    assert_int_equal(dies_of(write_to, small), SIGSEGV);
    assert_int_equal(dies_of(write_to, large + 99999), SIGSEGV);
    assert_int_equal(dies_of(alloc_from, arena), SIGSEGV);
    arena_free(&arena);
}

static void seal(void *arena)
{
    arena_seal(arena);
}

static void overflow(void *arena)
{
    arena_array(arena, SIZE_MAX / 4, 8);
}

static void test_misuse_ends_the_process(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1000);
    assert_int_equal(dies_of(seal, arena), SIGABRT);
    assert_int_equal(dies_of(overflow, arena), SIGABRT);
    arena_free(&arena);
}

static void test_errors_are_collected(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1000), *other = arena_new(100);
    struct errors errors;
    errors_init(&errors, arena);
    assert_string_equal(errors_text(&errors, other), "");
    errors_add(&errors, (struct origin){"a.conf", 7}, "workers: %d is too many", 9999);
    errors_warn(&errors, (struct origin){"a.conf", 8}, "unused");
    errors_add(&errors, (struct origin){NULL, 0}, "user: there is none");
    errors_add(&errors, (struct origin){"b.conf", 0}, "can't be read");
    assert_int_equal(errors.count, 3);
    assert_int_equal(errors.warnings, 1);
    assert_string_equal(errors_text(&errors, other), "a.conf:7: workers: 9999 is too many\n"
                                                     "a.conf:8: warning: unused\n"
                                                     "user: there is none\n"
                                                     "b.conf: can't be read\n");
    arena_free(&arena);
    arena_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_content),
        cmocka_unit_test(test_reset_keeps_the_first_chunk),
        cmocka_unit_test(test_large_leaves_the_chunk_in_use),
        cmocka_unit_test(test_cleared_and_copied),
        cmocka_unit_test(test_clean_ups_run_in_reverse),
        cmocka_unit_test(test_sealed_arena_frees),
        cmocka_unit_test(test_sealed_arena_cannot_be_written),
        cmocka_unit_test(test_misuse_ends_the_process),
        cmocka_unit_test(test_errors_are_collected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
