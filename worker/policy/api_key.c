/* api_key: a consumer shows a key that it was given. What is stored of a key is its SHA-256 digest: keys are random and long,
 * so that nothing slower is needed. A digest is looked up in one table, however many consumers there are.
 */
#include "shared/base/clock.h"
#include "shared/base/token.h"
#include "worker/codec/sha256.h"
#include "worker/codec/uri.h"
#include "worker/request/identity.h"
#include "worker/request/request.h"

/* One that is longer is not looked at. */
enum { KEY_MAX = 512 };

struct api_key_settings {
    struct origin origin;
    int in; /* enum place */
    const char *name;
    bool strip;
};

enum place { PLACE_HEADER, PLACE_QUERY, PLACE_COOKIE };

static const char *const places[] = {"header", "query", "cookie", NULL};

/* One that is declared. */
struct key_source {
    enum place place;
    struct str name;
    struct str challenge; /* the value of WWW-Authenticate */
    bool strip;
};

/* Compiled for a route. */
struct api_key {
    const struct key_source **sources;
    unsigned count;
    struct sha256 *sha256;
    const struct consumers *consumers;
};

/* --- settings --- */

#define DECLARED(kind_, member, ...) ROW_(kind_, struct api_key_settings, member, __VA_ARGS__)

static const struct row declared_rows[] = {
    DECLARED(ROW_WORD, in, .fallback = "header", .words = places, .help = "where a request has its key"),
    DECLARED(ROW_STRING, name, .fallback = "X-Api-Key",
             .help = "the name of the header field, the query parameter or the cookie"),
    DECLARED(ROW_FLAG, strip, .fallback = "true",
             .help = "services don't get to see the key (of a header field; a query or a cookie goes on as "
                     "it came)"),
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct api_key_settings *settings = structure;
    if (!is_token(str_of(settings->name)))
        conf_error(loader, settings->origin, "name",
                   "\"%s\" is not a name (letters, digits, \"-\" and \"_\")", settings->name);
}

static const struct section declared_section = {.name = "api_key",
                                                .size = sizeof(struct api_key_settings),
                                                .rows = declared_rows,
                                                .shorthand = "name",
                                                .check = check};

static const struct section section = {
    .name = "api_key", .size = sizeof(struct scheme_settings), .rows = scheme_rows, .shorthand = "use"};

/* --- compiling --- */

/* The scheme's name is no registered one, but what such gateways say. */
static const struct key_source *compile_source(struct compiler *compiler,
                                               struct conf_declaration *declaration)
{
    const struct api_key_settings *settings = declaration->conf;
    if (declaration->compiled)
        return declaration->compiled;
    struct key_source *source = arena_zalloc(compiler->arena, sizeof *source);
    source->place = (enum place)settings->in;
    source->name = str_of(settings->name);
    source->strip = settings->strip;
    source->challenge = str_of(arena_printf(compiler->arena, "ApiKey realm=\"%s\", in=\"%s\", name=\"%s\"",
                                            declaration->name, places[settings->in], settings->name));
    declaration->compiled = source;
    return source;
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct scheme_settings *settings = conf;
    struct api_key *api_key = arena_zalloc(compiler->arena, sizeof *api_key);
    api_key->sources = arena_array(compiler->arena, settings->use.count, sizeof *api_key->sources);
    api_key->consumers = compiler->settings->consumer_table;
    api_key->sha256 = sha256_new(compiler->arena);
    for (unsigned i = 0; i < settings->use.count; i++) {
        struct conf_declaration *declaration = compile_declared(compiler, "use", settings->use.items[i]);
        if (declaration)
            api_key->sources[api_key->count++] = compile_source(compiler, declaration);
    }
    return api_key;
}

/* --- requests --- */

/* The source's field. One that is there twice has no one value: `*twice`. Services get none to see, if it says so. */
static struct str take_field(struct request *request, const struct key_source *source, bool *twice)
{
    struct fields *fields = &request->head->fields;
    struct str value = {NULL, 0};
    for (struct field *field = fields->items, *end = field + fields->count; field < end; field++) {
        if (field->name.length != source->name.length || !str_case_eq(field->name, source->name))
            continue;
        *twice |= value.data != NULL;
        value = field->value;
        if (source->strip)
            *field = (struct field){.id = FIELD_OTHER}; /* without a name it is nowhere written */
    }
    return value;
}

static struct str query_of(struct request *request, struct str name)
{
    struct str raw;
    if (!uri_query_value(request->head->query, name, &raw))
        return (struct str){NULL, 0};
    char *out = arena_alloc(request->arena, raw.length + 1);
    ptrdiff_t length = uri_decode(raw, true, out, raw.length);
    return length < 0 ? raw : (struct str){out, (size_t)length};
}

static struct str take_key(struct request *request, const struct key_source *source, bool *twice)
{
    switch (source->place) {
    case PLACE_QUERY:
        return query_of(request, source->name);
    case PLACE_COOKIE:
        return request_cookie(request, source->name);
    case PLACE_HEADER:
        break;
    }
    return take_field(request, source, twice);
}

/* Good until the second of its end, which is no longer good. */
static bool is_over(const struct request *request, uint64_t expires)
{
    return expires && request->worker->loop.wall_ns / NS_PER_SECOND >= expires;
}

static enum verdict look_up(struct request *request, const struct api_key *api_key, struct str text)
{
    unsigned char digest[SHA256_BYTES];
    if (text.length == 0 || text.length > KEY_MAX)
        return identity_reject(request, PROBLEM_CREDENTIALS_MALFORMED, "the API key is empty or too long");
    if (!sha256_of(api_key->sha256, text, digest))
        return request_fail(request, PROBLEM_OUT_OF_RESOURCES, "no memory to look at the API key");
    const struct consumer_key *key = consumers_by_key(api_key->consumers, digest);
    if (!key)
        return identity_reject(request, PROBLEM_CREDENTIALS_REFUSED, "the API key is not known");
    if (is_over(request, key->expires))
        return identity_reject(request, PROBLEM_CREDENTIALS_EXPIRED, "the API key has expired");
    struct identity *identity = arena_zalloc(request->arena, sizeof *identity);
    identity->scheme = STR("api_key");
    identity->subject = key->consumer->name;
    identity->consumer = key->consumer;
    identity->expires = key->expires;
    return identity_accept(request, identity);
}

/* `*next`: the first source that wasn't looked at. */
static enum verdict identify(struct request *request, const struct api_key *api_key, unsigned *next)
{
    while (*next < api_key->count) {
        const struct key_source *source = api_key->sources[(*next)++];
        bool twice = false;
        struct str text = take_key(request, source, &twice);
        if (twice)
            return identity_reject(request, PROBLEM_CREDENTIALS_MALFORMED, "%.*s is there more than once",
                                   STR_ARG(source->name));
        if (text.data)
            return look_up(request, api_key, text);
    }
    return identity_absent(request);
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct api_key *api_key = compiled;
    unsigned next = 0;
    bool ignored = false;
    enum verdict verdict = identity_settled(request) ? VERDICT_NEXT : identify(request, api_key, &next);
    for (; next < api_key->count; next++) /* another one was enough, but this is a key too */
        if (api_key->sources[next]->place == PLACE_HEADER)
            take_field(request, api_key->sources[next], &ignored);
    return verdict;
}

static void challenge(struct request *request, const void *compiled)
{
    const struct api_key *api_key = compiled;
    for (unsigned i = 0; i < api_key->count; i++)
        request_add_field(request, STR("WWW-Authenticate"), api_key->sources[i]->challenge);
}

const struct policy policy_api_key = {
    .name = "api_key",
    .help = "who calls is told by a key that it was given",
    .stage = STAGE_IDENTIFY,
    .section = &section,
    .declared = &declared_section,
    .compile = compile,
    .on_request = on_request,
    .challenge = challenge,
};
