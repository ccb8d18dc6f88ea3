/* The value language: what compiles to what, how values are written, what is refused. */
#include "tests/unit/unit.h"

#include "worker/codec/expr.h"

enum { HOST = 1, HEADER, PARAMS, QUERY_ALL, QUERY_ONE, MADE };

static const struct expr_name names[] = {
    {"host", HOST, false, "the host"},
    {"header", HEADER, true, "a header"},
    {"params", PARAMS, true, "a path parameter"},
    {"query", QUERY_ALL, false, "the query"},
    {"query", QUERY_ONE, true, "a query parameter"},
    {"made", MADE, true, "a value that is made"},
    {NULL, 0, false, NULL},
};

static struct arena *arena;
static const char *value = "v"; /* of headers and parameters; NULL: none */
static char scratch_memory[32];

static struct str resolve(void *context, int id, struct str argument, struct buf *scratch)
{
    assert_ptr_equal(context, &arena);
    switch (id) {
    case HOST:
        assert_null(argument.data);
        return STR("example.com");
    case QUERY_ALL:
        return STR("a=1");
    case QUERY_ONE:
        return argument;
    case MADE: {
        size_t from = scratch->length;
        buf_printf(scratch, "<%.*s>", STR_ARG(argument));
        return str_from(buf_str(scratch), from);
    }
    default:
        return str_of(value);
    }
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(4096);
    value = "v";
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static const struct expr *compiled(const char *text, bool braces)
{
    const char *why = "?";
    const struct expr *expr = expr_compile(arena, text, names, braces, &why);
    if (!expr)
        fail_msg("%s: %s", text, why);
    return expr;
}

/* Evaluated with too little room too: that is told, and nothing is written beyond. NULL: it can't be written. */
static void eval(const char *text, bool braces, enum expr_escape escape, const char *expected)
{
    const struct expr *expr = compiled(text, braces);
    char memory[256];
    struct buf out = buf_on(memory, sizeof(memory)), scratch = buf_on(scratch_memory, sizeof(scratch_memory));
    expr_eval(expr, resolve, &arena, escape, &out, &scratch);
    assert_int_equal(out.overflow, expected == NULL);
    if (!expected)
        return;
    assert_str(buf_str(&out), expected);
    assert_int_equal(scratch.length, 0);
    size_t length = out.length;
    for (size_t size = 0; size < length; size++) {
        char *exact = malloc(size + 1);
        assert_non_null(exact);
        out = buf_on(exact, size);
        expr_eval(expr, resolve, &arena, escape, &out, &scratch);
        assert_true(out.overflow);
        free(exact);
    }
}

static void test_names_and_defaults(void **state)
{
    (void)state;
    eval("", false, EXPR_PLAIN, "");
    eval("plain", false, EXPR_PLAIN, "plain");
    eval("${host}", false, EXPR_PLAIN, "example.com");
    eval("a ${host} b ${header.x-user}${query}", false, EXPR_PLAIN, "a example.com b va=1");
    eval("${query.a.b}", false, EXPR_PLAIN, "a.b"); /* the argument is all behind the first dot */
    eval("${header.x:-none}", false, EXPR_PLAIN, "v");
    value = NULL;
    eval("[${header.x}]", false, EXPR_PLAIN, "[]");
    eval("[${header.x:-none at all}]", false, EXPR_PLAIN, "[none at all]");
    eval("[${header.x:-}]", false, EXPR_PLAIN, "[]");
    eval("[${header.x:-a:-b}]", false, EXPR_PLAIN, "[a:-b]");
    value = "";
    eval("[${header.x:-none}]", false, EXPR_PLAIN, "[none]");
}

static void test_literals(void **state)
{
    (void)state;
    eval("$${host}", false, EXPR_PLAIN, "${host}");
    eval("$$${host}", false, EXPR_PLAIN, "$${host}");
    eval("a$b$$c$", false, EXPR_PLAIN, "a$b$$c$");
    eval("{\"a\": \"${host}\"}", false, EXPR_PLAIN, "{\"a\": \"example.com\"}");
    eval("{params}", false, EXPR_PLAIN, "{params}");
    struct str text;
    assert_true(expr_constant(compiled("a$${b}$${c", false), &text));
    assert_str(text, "a${b}${c");
    assert_true(expr_constant(compiled("", true), &text));
    assert_str(text, "");
    assert_false(expr_constant(compiled("${host}", false), &text));
    assert_false(expr_constant(compiled("a{b}", true), &text));
}

static void test_braces(void **state)
{
    (void)state;
    value = "1 2";
    eval("/users/{id}/x", true, EXPR_TARGET, "/users/1%202/x");
    eval("/${host}/{id}", true, EXPR_TARGET, "/example.com/1%202");
    value = "a/b";
    eval("/{rest}", true, EXPR_TARGET, "/a%2Fb");
    eval("/{rest*}", true, EXPR_TARGET, "/a/b");
    eval("/${params.rest*}", false, EXPR_SEGMENT, "/a/b");
    eval("/x?y={rest*}", true, EXPR_TARGET, "/x?y=a%2Fb"); /* no slashes there */
}

static void test_escapes(void **state)
{
    (void)state;
    value = "a/b?c&d\r\n\"\xff";
    eval("${header.x}", false, EXPR_PLAIN, value);
    eval("/${header.x}", false, EXPR_SEGMENT, "/a%2Fb%3Fc%26d%0D%0A%22%FF");
    eval("x=${header.x}&y=/", false, EXPR_QUERY, "x=a%2Fb%3Fc%26d%0D%0A%22%FF&y=/");
    eval("/{x}?x={x}&y=?{x}", true, EXPR_TARGET,
         "/a%2Fb%3Fc%26d%0D%0A%22%FF?x=a%2Fb%3Fc%26d%0D%0A%22%FF&y=?a%2Fb%3Fc%26d%0D%0A%22%FF");
    eval("u=${header.x};", false, EXPR_HEADER, "u=a/b?c&d;");
    eval("\"${header.x}\"", false, EXPR_JSON, "\"a/b?c&d\\r\\n\\\"\\ufffd\"");
    eval("\"${header.x}\"", false, EXPR_LOG, "\"a/b?c&d\\x0d\\x0a\\x22\\xff\"");
    value = "a\nb";
    eval("${header.x}", false, EXPR_HEADER, "a");
    value = "\rb";
    eval("${header.x}", false, EXPR_HEADER, "");
    value = "a\tb \xc3\xa4\x7f"
            "c";
    eval("${header.x}", false, EXPR_HEADER, "a\tb \xc3\xa4");
    value = "a\x01b";
    eval("${header.x}", false, EXPR_HEADER, "a");
    value = NULL;
    eval("${header.x} ${header.y:-z}", false, EXPR_LOG, "- z");
    eval("${header.y:-/}", false, EXPR_SEGMENT, "%2F"); /* a default is a value */
}

/* A value can't lead out of the path that the template names. */
static void test_dot_segments(void **state)
{
    (void)state;
    value = "..";
    eval("/a/{x}/b", true, EXPR_TARGET, NULL);
    eval("/a/{x}", true, EXPR_TARGET, NULL);
    eval("{x}", true, EXPR_SEGMENT, NULL);
    eval("/a/{x*}?b", true, EXPR_TARGET, NULL);
    eval("/a?b={x}", true, EXPR_TARGET, "/a?b=..");
    eval("a={x}", true, EXPR_QUERY, "a=..");
    value = "a/../../b";
    eval("/a/{x*}", true, EXPR_TARGET, NULL);
    eval("/a/{x}", true, EXPR_TARGET, NULL); /* there are peers that decode a slash first */
    value = ".";
    eval("/a/.{x}", true, EXPR_TARGET, NULL);
    eval("/a/{x}{x}/b", true, EXPR_TARGET, NULL);
    value = "x/";
    eval("/{x*}..", true, EXPR_TARGET, NULL); /* what was written for "x.." */
    value = "x";
    eval("/../{x}", true, EXPR_TARGET, "/../x"); /* the author's own */
    eval("/{x}/../y", true, EXPR_TARGET, "/x/../y");
    eval("/.{x}./y", true, EXPR_TARGET, "/.x./y");
    value = "";
    eval("/.{x}/y", true, EXPR_TARGET, NULL);
    eval("/a?./{x}./..", true, EXPR_TARGET, "/a?././..");
}

static void test_made_values(void **state)
{
    (void)state;
    eval("${made.a}${made.b}", false, EXPR_PLAIN, "<a><b>");
    eval("${made.0123456789}${made.0123456789}${made.0123456789}", false, EXPR_PLAIN,
         "<0123456789><0123456789><0123456789>"); /* each has all the room */
    const struct expr *expr = compiled("${made.0123456789012345678901234567890123456789}", false);
    char memory[256];
    struct buf out = buf_on(memory, sizeof(memory)), scratch = buf_on(scratch_memory, sizeof(scratch_memory));
    expr_eval(expr, resolve, &arena, EXPR_PLAIN, &out, &scratch);
    assert_true(out.overflow); /* not silently empty */
}

static void refused(const char *text, bool braces, const char *part)
{
    const char *why = NULL;
    if (expr_compile(arena, text, names, braces, &why))
        fail_msg("%s was taken", text);
    if (!strstr(why, part))
        fail_msg("%s: \"%s\" has no \"%s\"", text, why, part);
}

static void test_refused(void **state)
{
    (void)state;
    refused("${hots}", false, "did you mean ${host}?");
    refused("${heder.x}", false, "did you mean ${header.");
    refused("${nothing}", false, "there is no ${nothing}");
    refused("${Host}", false, "did you mean ${host}");
    refused("${host.x}", false, "takes nothing behind a dot");
    refused("${header}", false, "${header.NAME}");
    refused("${header.}", false, "not a name");
    refused("${.x}", false, "not a name");
    refused("${}", false, "not a name");
    refused("${:-x}", false, "not a name");
    refused("${ host }", false, "not a name");
    refused("${host", false, "without its }");
    refused("a ${", false, "without its }");
    refused("${header.x:-${host}}", false, "plain text");
    refused("${a${host}}", false, "not a name");
    refused("/{id", true, "without its }");
    refused("/id}", true, "without its {");
    refused("/{}", true, "not a parameter");
    refused("/{*}", true, "not a parameter");
    refused("/{a b}", true, "not a parameter");
    const char *why;
    assert_null(expr_compile(arena, "/{id}", names + 3, true, &why)); /* a table without params */
    assert_non_null(strstr(why, "there is no ${params}"));
}

static void note(void *context, int id, struct str argument)
{
    struct buf *seen = context;
    buf_printf(seen, "%d:%.*s ", id, STR_ARG(argument));
}

static void test_each_name(void **state)
{
    (void)state;
    char memory[256];
    struct buf seen = buf_on(memory, sizeof(memory));
    expr_each_name(compiled("x${host}{id}y{rest*}${header.a:-b}", true), note, &seen);
    assert_str(buf_str(&seen), "1: 3:id 3:rest 2:a ");
}

/* What is compiled keeps nothing of the source text. */
static void test_own_memory(void **state)
{
    (void)state;
    char *text = strdup("a${header.x:-d}b{p}");
    assert_non_null(text);
    const struct expr *expr = compiled(text, true);
    memset(text, '#', strlen(text));
    free(text);
    value = NULL;
    char memory[64];
    struct buf out = buf_on(memory, sizeof(memory)), scratch = buf_on(scratch_memory, sizeof(scratch_memory));
    expr_eval(expr, resolve, &arena, EXPR_PLAIN, &out, &scratch);
    assert_str(buf_str(&out), "adb");
}

int main(void)
{
#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_names_and_defaults),
        WITH_ARENA(test_literals),
        WITH_ARENA(test_braces),
        WITH_ARENA(test_escapes),
        WITH_ARENA(test_dot_segments),
        WITH_ARENA(test_made_values),
        WITH_ARENA(test_refused),
        WITH_ARENA(test_each_name),
        WITH_ARENA(test_own_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
