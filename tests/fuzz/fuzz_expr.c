/* Expressions: up to the first NUL byte the text, behind it the value that all its names have. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/expr.h"

static const struct expr_name names[] = {
    {"host", 1, false, ""}, {"header", 2, true, ""}, {"params", 3, true, ""},
    {"made", 4, false, ""}, {NULL, 0, false, NULL},
};

static struct str resolve(void *context, int id, struct str argument, struct buf *scratch)
{
    const struct str *value = context;
    CHECK(id >= 1 && id <= 4 && (argument.length > 0) == (id == 2 || id == 3));
    if (id != 4)
        return *value;
    size_t from = scratch->length;
    buf_hex(scratch, value->length, 16);
    return str_from(buf_str(scratch), from);
}

static void count(void *context, int id, struct str argument)
{
    (void)argument;
    CHECK(id >= 1 && id <= 4);
    ++*(unsigned *)context;
}

static size_t count_of(struct str text, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += text.data[i] == c;
    return count;
}

/* A value adds none of the bytes that mean something where it lands: there are as many with the value `x`. */
static void check(const struct expr *expr, struct str value, enum expr_escape escape, size_t size)
{
    static const char *const never[] = {
        [EXPR_PLAIN] = "",           [EXPR_SEGMENT] = "?#&\r\n\"", [EXPR_QUERY] = "/?#&\r\n\"",
        [EXPR_HEADER] = "\r\n",      [EXPR_JSON] = "\r\n",         [EXPR_LOG] = "\"\r\n",
        [EXPR_TARGET] = "?#&\r\n\"",
    };
    char *memory = malloc(size + 1), *plain_memory = malloc(size + 1), scratch_memory[64];
    CHECK(memory && plain_memory);
    struct buf out = buf_on(memory, size), plain = buf_on(plain_memory, size),
               scratch = buf_on(scratch_memory, 64);
    struct str x = STR("x"), constant;
    expr_eval(expr, resolve, &value, escape, &out, &scratch);
    expr_eval(expr, resolve, &x, escape, &plain, &scratch);
    CHECK(out.length <= size && scratch.length == 0);
    if (expr_constant(expr, &constant) && !out.overflow)
        CHECK(str_eq(buf_str(&out), constant));
    if (!out.overflow && !plain.overflow)
        for (const char *c = never[escape]; *c; c++)
            CHECK(count_of(buf_str(&out), *c) <= count_of(buf_str(&plain), *c));
    free(memory);
    free(plain_memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t length = nul ? (size_t)(nul - data) : size;
    struct arena *arena = arena_new(1024);
    char *text = arena_strndup(arena, (const char *)data, length);
    struct str value = {NULL, 0};
    if (nul)
        value = (struct str){(const char *)nul + 1, size - length - 1};
    for (int braces = 0; braces < 2; braces++) {
        const char *why = NULL;
        const struct expr *expr = expr_compile(arena, text, names, braces, &why);
        CHECK((expr == NULL) == (why != NULL));
        if (!expr)
            continue;
        unsigned used = 0;
        struct str constant;
        expr_each_name(expr, count, &used);
        CHECK((used == 0) == expr_constant(expr, &constant));
        for (int escape = EXPR_PLAIN; escape <= EXPR_TARGET; escape++) {
            check(expr, value, (enum expr_escape)escape, 4096);
            check(expr, value, (enum expr_escape)escape, size / 2);
        }
    }
    arena_free(&arena);
    return 0;
}
