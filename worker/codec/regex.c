/* regex: PCRE2 patterns. Called when a site is compiled, and for each request that comes to a route with a pattern. */
#include "worker/codec/regex.h"

#include <assert.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* A match may take some milliseconds at most: a worker does nothing else meanwhile. How often the matcher may enter its
 * core; KiB that the interpreter may take; bytes of the stack of compiled patterns. */
enum { MATCH_LIMIT = 50000, HEAP_LIMIT = 1024, STACK_FIRST = 32 << 10, STACK_MOST = 256 << 10 };

/* Pointers only: the set lies in an arena that is sealed; what they point to isn't. */
struct regex_set {
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    pcre2_match_data *match;
};

static void free_set(void *object)
{
    struct regex_set *set = object;
    pcre2_match_data_free(set->match);
    pcre2_match_context_free(set->context);
    pcre2_jit_stack_free(set->stack);
}

static void free_code(void *object)
{
    pcre2_code_free(object);
}

struct regex_set *regex_set_new(struct arena *arena)
{
    struct regex_set *set = arena_zalloc(arena, sizeof *set);
    set->context = pcre2_match_context_create(NULL);
    set->match = pcre2_match_data_create(REGEX_GROUPS, NULL);
    assert(set->context && set->match); /* out of memory */
    pcre2_set_match_limit(set->context, MATCH_LIMIT);
    pcre2_set_heap_limit(set->context, HEAP_LIMIT);
    /* NULL where there is no JIT: patterns are interpreted then. */
    set->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MOST, NULL);
    if (set->stack)
        pcre2_jit_stack_assign(set->context, NULL, set->stack);
    arena_on_free(arena, free_set, set);
    return set;
}

/* PCRE2's table of names: for each two bytes of the group's number, then the name with its NUL. In the order of the
 * names; ours is that of the groups. */
static void list_names(struct regex *regex, struct arena *arena)
{
    uint32_t count = 0, size = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &table);
    struct regex_name *names = arena_array(arena, count, sizeof *names);
    for (uint32_t i = 0; i < count; i++, table += size) {
        struct regex_name name = {arena_str(arena, str_of((const char *)table + 2)),
                                  (unsigned)table[0] << 8 | table[1]};
        uint32_t at = i;
        for (; at > 0 && names[at - 1].group > name.group; at--)
            names[at] = names[at - 1];
        names[at] = name;
    }
    regex->names = names;
    regex->name_count = count;
}

static const char *error_text(int code, size_t offset, struct str pattern, struct arena *arena)
{
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(code, text, sizeof text / sizeof *text);
    if (offset >= pattern.length)
        return arena_printf(arena, "%s, at its end", (const char *)text);
    return arena_printf(arena, "%s, at offset %zu, before \"%.20s\"", (const char *)text, offset,
                        pattern.data + offset);
}

const struct regex *regex_compile(struct regex_set *set, struct str pattern, struct arena *arena,
                                  const char **why)
{
    const uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL | PCRE2_NEVER_UTF;
    struct regex *regex = arena_zalloc(arena, sizeof *regex);
    int code = 0;
    size_t offset = 0;
    uint32_t groups = 0;
    regex->set = set;
    pattern = arena_str(arena, pattern); /* with a NUL, for error_text() */
    regex->code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.length, options, &code, &offset, NULL);
    if (!regex->code) {
        *why = error_text(code, offset, pattern, arena);
        return NULL;
    }
    arena_on_free(arena, free_code, regex->code);
    pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups >= REGEX_GROUPS) {
        *why = arena_printf(
            arena, "it has %u groups, at most %u are possible (write (?:…) for those that only group)",
            groups, REGEX_GROUPS - 1);
        return NULL;
    }
    list_names(regex, arena);
    for (unsigned i = 1; i < regex->name_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (str_eq(regex->names[i].name, regex->names[j].name)) {
                *why = arena_printf(arena, "it names two groups \"%.*s\"", STR_ARG(regex->names[i].name));
                return NULL;
            }
    /* Where it can't be done (a system that forbids it, a pattern that is too large) the pattern is interpreted. */
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    return regex;
}

enum regex_result regex_match(const struct regex *regex, struct str text)
{
    const struct regex_set *set = regex->set;
    int result = pcre2_match(regex->code, (PCRE2_SPTR)(text.data ? text.data : ""), text.length, 0, 0,
                             set->match, set->context);
    if (result > 0)
        return REGEX_MATCH;
    if (result == PCRE2_ERROR_NOMATCH)
        return REGEX_NONE;
    return REGEX_EXCEEDED; /* steps, depth, heap or stack */
}

struct str regex_group(const struct regex *regex, struct str text, unsigned group)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(regex->set->match);
    /* Groups behind the last that took part are unset too. */
    if (ends[2 * group] == PCRE2_UNSET || ends[2 * group] > ends[2 * group + 1])
        return (struct str){NULL, 0};
    return (struct str){text.data + ends[2 * group], ends[2 * group + 1] - ends[2 * group]};
}
