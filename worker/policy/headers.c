/* headers: takes fields out of requests and answers, and puts others in.
 *
 * It has two parts. That of the request runs when all is known of the request that a value may say; that of the answer is
 * entered early, so that it runs for every answer of the route, whoever made it. Values see the message as it was before
 * this policy changed it: a field can be renamed.
 */
#include "shared/base/log.h"
#include "shared/base/token.h"
#include "worker/request/request.h"

struct direction_settings {
    struct origin origin;
    struct conf_strings remove, set, add;
};

struct headers_settings {
    struct origin origin;
    struct direction_settings request, response;
};

struct removal {
    struct str name; /* without the `*` */
    bool prefix;
};

struct change {
    struct str name;
    enum field_id id;
    const struct expr *value;
    bool set; /* in the place of those that are there */
};

/* One direction, compiled. */
struct changes {
    struct removal *removals;
    struct change *changes;
    unsigned removal_count, change_count;
};

enum { VALUE_MAX = 8192, LIST_MAX = 64 };

/* --- what may not be changed --- */

#define LENGTH_IS_OURS "the gateway says itself where a body ends"
#define HOP_IS_OURS "it is between two neighbours only, and the gateway's own"
#define ORIGIN_IS_OURS "the gateway writes it (see the settings `forwarded` and `trusted_proxies`)"

static const struct {
    enum field_id id;
    const char *why;
} refused[] = {
    {FIELD_HOST, "write proxy.host to ask an upstream for another"},
    {FIELD_CONTENT_LENGTH, LENGTH_IS_OURS},
    {FIELD_TRANSFER_ENCODING, LENGTH_IS_OURS},
    {FIELD_TRAILER, LENGTH_IS_OURS},
    {FIELD_CONNECTION, HOP_IS_OURS},
    {FIELD_KEEP_ALIVE, HOP_IS_OURS},
    {FIELD_PROXY_CONNECTION, HOP_IS_OURS},
    {FIELD_TE, HOP_IS_OURS},
    {FIELD_UPGRADE, HOP_IS_OURS},
    {FIELD_HTTP2_SETTINGS, HOP_IS_OURS},
    {FIELD_EXPECT, HOP_IS_OURS},
    {FIELD_VIA, "the gateway writes it (see forwarded.via)"},
    {FIELD_FORWARDED, ORIGIN_IS_OURS},
    {FIELD_X_FORWARDED_FOR, ORIGIN_IS_OURS},
    {FIELD_X_FORWARDED_PROTO, ORIGIN_IS_OURS},
    {FIELD_X_FORWARDED_HOST, ORIGIN_IS_OURS},
    {FIELD_X_REQUEST_ID, "the gateway writes it (another field may have the value ${id})"},
};

/* NULL: it may be changed. */
static const char *why_refused(enum field_id id)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].id == id)
            return refused[i].why;
    return NULL;
}

/* --- settings --- */

/* "Name: value"; false: there is no colon. */
static bool split_line(const char *text, struct str *name, const char **value)
{
    const char *colon = strchr(text, ':');
    if (!colon)
        return false;
    *name = (struct str){text, (size_t)(colon - text)};
    *value = colon + 1 + strspn(colon + 1, " ");
    return true;
}

static void check_name(struct conf_loader *loader, const struct direction_settings *direction,
                       const char *setting, struct str name)
{
    const char *why = why_refused(field_id_of(name));
    if (!is_token(name))
        conf_error(loader, direction->origin, setting, "\"%.*s\" is no name of a field", STR_ARG(name));
    else if (why)
        conf_error(loader, direction->origin, setting, "%.*s can't be changed here: %s", STR_ARG(name), why);
}

static void check_lines(struct conf_loader *loader, const struct direction_settings *direction,
                        const char *setting, const struct conf_strings *lines, bool once)
{
    if (lines->count > LIST_MAX)
        conf_error(loader, direction->origin, setting, "has %u fields (%d at most)", lines->count, LIST_MAX);
    for (unsigned i = 0; i < lines->count; i++) {
        struct str name, other;
        const char *value;
        if (!split_line(lines->items[i], &name, &value)) {
            conf_error(loader, direction->origin, setting, "\"%s\" has no colon (write \"Name: value\")",
                       lines->items[i]);
            continue;
        }
        check_name(loader, direction, setting, name);
        if (!once && field_id_of(name) == FIELD_X_REAL_IP)
            conf_error(loader, direction->origin, setting, "%.*s has one value (write it under set)",
                       STR_ARG(name));
        for (unsigned j = 0; once && j < i; j++)
            if (split_line(lines->items[j], &other, &value) && str_case_eq(name, other))
                conf_error(loader, direction->origin, setting,
                           "%.*s is set twice (write one of them under add)", STR_ARG(name));
    }
}

static void check_removals(struct conf_loader *loader, const struct direction_settings *direction)
{
    const struct conf_strings *names = &direction->remove;
    if (names->count > LIST_MAX)
        conf_error(loader, direction->origin, "remove", "has %u names (%d at most)", names->count, LIST_MAX);
    for (unsigned i = 0; i < names->count; i++) {
        struct str name = str_of(names->items[i]);
        ptrdiff_t star = str_index(name, '*');
        if (star >= 0 && (star == 0 || (size_t)star != name.length - 1))
            conf_error(loader, direction->origin, "remove",
                       "\"%s\": a * stands at the end, behind the beginning of a name (write \"X-Debug-*\")",
                       names->items[i]);
        else
            check_name(loader, direction, "remove", name);
    }
}

static void check_direction(struct conf_loader *loader, void *structure)
{
    const struct direction_settings *direction = structure;
    check_lines(loader, direction, "set", &direction->set, true);
    check_lines(loader, direction, "add", &direction->add, false);
    check_removals(loader, direction);
}

#define DIRECTION(kind_, member, ...) ROW_(kind_, struct direction_settings, member, __VA_ARGS__)

static const struct row direction_rows[] = {
    DIRECTION(ROW_STRINGS, remove,
              .help = "first: names of fields to take out; X-Debug-* takes all that begin so"),
    DIRECTION(
        ROW_STRINGS, set,
        .help = "then: \"Name: value\" in the place of what has the name; with ${…}; a value that comes out "
                "empty leaves nothing there"),
    DIRECTION(ROW_STRINGS, add,
              .help = "then: \"Name: value\" beside what has the name; an empty value adds nothing"),
    ROW_END,
};

static const struct section direction_section = {.name = "headers.direction",
                                                 .size = sizeof(struct direction_settings),
                                                 .rows = direction_rows,
                                                 .check = check_direction};

static const struct row rows[] = {
    ROW_(ROW_GROUP, struct headers_settings, request, .section = &direction_section,
         .help = "the request, on its way to the content"),
    ROW_(ROW_GROUP, struct headers_settings, response, .section = &direction_section,
         .help = "every answer, the gateway's own too"),
    ROW_END,
};

static const struct section section = {
    .name = "headers", .size = sizeof(struct headers_settings), .rows = rows};

/* --- compiling --- */

static void compile_lines(struct compiler *compiler, const char *setting, const struct conf_strings *lines,
                          bool set, struct changes *changes)
{
    for (unsigned i = 0; i < lines->count; i++) {
        struct str name;
        const char *value;
        if (!split_line(lines->items[i], &name, &value) || !compile_line(compiler, setting, value, true))
            continue;
        changes->changes[changes->change_count++] =
            (struct change){.name = name,
                            .id = field_id_of(name),
                            .value = compile_expr(compiler, setting, value, false),
                            .set = set};
    }
}

/* NULL: nothing is to be done. */
static const struct changes *compile(struct compiler *compiler, const char *direction,
                                     const struct direction_settings *settings)
{
    struct arena *arena = compiler->arena;
    struct changes *changes = arena_zalloc(arena, sizeof *changes);
    if (settings->origin.file)
        compiler->origin = settings->origin;
    changes->removals = arena_array(arena, settings->remove.count, sizeof *changes->removals);
    changes->changes =
        arena_array(arena, settings->set.count + settings->add.count, sizeof *changes->changes);
    for (unsigned i = 0; i < settings->remove.count; i++) {
        struct str name = str_of(settings->remove.items[i]);
        bool prefix = str_ends(name, STR("*"));
        name.length -= prefix;
        changes->removals[changes->removal_count++] = (struct removal){name, prefix};
    }
    compile_lines(compiler, arena_printf(arena, "%s.set", direction), &settings->set, true, changes);
    compile_lines(compiler, arena_printf(arena, "%s.add", direction), &settings->add, false, changes);
    return changes->removal_count + changes->change_count ? changes : NULL;
}

static const void *compile_request(struct compiler *compiler, const void *conf)
{
    const struct headers_settings *settings = conf;
    return compile(compiler, "request", &settings->request);
}

static const void *compile_response(struct compiler *compiler, const void *conf)
{
    const struct headers_settings *settings = conf;
    return compile(compiler, "response", &settings->response);
}

/* --- changing --- */

static bool has_name(const struct field *field, enum field_id id, struct str name)
{
    return field->id == id && (id != FIELD_OTHER || str_case_eq(field->name, name));
}

static bool is_removed(const struct changes *changes, const struct field *field)
{
    for (unsigned i = 0; i < changes->removal_count; i++) {
        const struct removal *removal = &changes->removals[i];
        struct str name = field->name;
        if (removal->prefix && name.length > removal->name.length)
            name.length = removal->name.length;
        if (str_case_eq(name, removal->name))
            return !why_refused(field->id); /* a pattern may fit what is the gateway's own */
    }
    for (unsigned i = 0; i < changes->change_count; i++)
        if (changes->changes[i].set && has_name(field, changes->changes[i].id, changes->changes[i].name))
            return true;
    return false;
}

static void take_out(const struct changes *changes, struct fields *fields)
{
    unsigned kept = 0;
    fields->present = 0;
    for (unsigned i = 0; i < fields->count; i++) {
        if (is_removed(changes, &fields->items[i]))
            continue;
        fields->present |= (uint64_t)1 << fields->items[i].id;
        fields->items[kept++] = fields->items[i];
    }
    fields->count = kept;
}

/* Into the request's arena, without the spaces around it. False: it is too long. */
static bool evaluate(struct request *request, const struct expr *expr, struct str *value)
{
    char memory[VALUE_MAX];
    struct buf out = buf_on(memory, sizeof memory);
    if (!expr_constant(expr, value)) {
        request_eval(request, expr, EXPR_HEADER, &out);
        *value = str_trim(buf_str(&out));
        *value = value->length ? arena_str(request->arena, *value) : STR("");
    }
    return !out.overflow;
}

/* NULL, or the name of the first field whose value is too long: it is left out. */
static const struct str *change(struct request *request, const struct changes *changes, struct fields *fields)
{
    const struct str *too_long = NULL;
    struct str *values = arena_alloc(request->arena, (changes->change_count + 1) * sizeof *values);
    for (unsigned i = 0; i < changes->change_count; i++)
        if (!evaluate(request, changes->changes[i].value, &values[i])) {
            values[i] = STR("");
            too_long = too_long ? too_long : &changes->changes[i].name;
        }
    take_out(changes, fields);
    for (unsigned i = 0; i < changes->change_count; i++)
        if (values[i].length)
            fields_add_known(fields, request->arena, changes->changes[i].id, changes->changes[i].name,
                             values[i]);
    return too_long;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct changes *changes = compiled;
    if (request->problem) /* it goes nowhere */
        return VERDICT_NEXT;
    const struct str *too_long = change(request, changes, &request->head->fields);
    if (too_long)
        return request_fail(request, PROBLEM_FIELDS_TOO_LARGE,
                            "the field %.*s of this route is longer than %d bytes", STR_ARG(*too_long),
                            VALUE_MAX);
    for (unsigned i = 0; i < changes->change_count; i++)
        request->own_fields |= (uint64_t)changes->changes[i].set << changes->changes[i].id;
    return VERDICT_NEXT;
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    const struct str *too_long = change(request, compiled, &request->response.fields);
    if (too_long)
        log_warning("an answer's field %.*s is longer than %d bytes and was left out", STR_ARG(*too_long),
                    VALUE_MAX);
    return VERDICT_NEXT;
}

static const struct policy response_part = {
    .name = "headers", .stage = STAGE_EDGE, .compile = compile_response, .on_response = on_response};

const struct policy policy_headers = {
    .name = "headers",
    .help = "take header fields out of requests and answers, and put others in",
    .stage = STAGE_SHAPE,
    .section = &section,
    .also = &response_part,
    .compile = compile_request,
    .on_request = on_request,
};
