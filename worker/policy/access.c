/* access: who may come. Where from is asked at the edge, before anybody looks at credentials; who, when the schemes of the route
 * have found that out. Each setting that is there must hold; of a list, one of its elements is enough.
 */
#include "shared/base/network_set.h"
#include "worker/request/identity.h"
#include "worker/request/request.h"

struct claim_settings {
    struct origin origin;
    const char *name;
    struct conf_strings values;
};

struct access_policy_settings {
    struct origin origin;
    struct conf_strings consumers, groups, scopes, ip, deny_ip, methods;
    struct conf_list claims; /* struct claim_settings */
};

/* Compiled for a route. */
struct access {
    const struct access_policy_settings *settings;
    const struct network_set *ip, *deny_ip; /* NULL: not asked for */
};

/* --- settings --- */

static const struct row claim_rows[] = {
    ROW_(ROW_STRINGS, struct claim_settings, values, .flags = ROW_REQUIRED, .help = "what it may be"),
    ROW_END,
};

static const struct section claim_section = {.name = "claim",
                                             .size = sizeof(struct claim_settings),
                                             .rows = claim_rows,
                                             .shorthand = "values",
                                             .name_offset = offsetof(struct claim_settings, name)};

#define ACCESS(kind_, member, ...) ROW_(kind_, struct access_policy_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    ACCESS(ROW_STRINGS, consumers, .help = "the consumers that may come"),
    ACCESS(ROW_STRINGS, groups, .help = "the groups whose consumers may come"),
    ACCESS(ROW_STRINGS, scopes, .help = "the scopes that a token must have, all of them (claims scope, scp)"),
    ACCESS(ROW_MAP, claims, .section = &claim_section,
           .help = "claims that must be one of some values: { NAME = [ \"a\", \"b\" ]; }"),
    ACCESS(ROW_STRINGS, ip,
           .help = "the addresses and networks of clients that may come: 10.0.0.0/8, fd00::/8, unix:"),
    ACCESS(ROW_STRINGS, deny_ip, .help = "those that may not, whatever ip says"),
    ACCESS(ROW_STRINGS, methods, .help = "the methods that may be used"),
    ROW_END,
};

static void check_networks(struct conf_loader *loader, const struct access_policy_settings *settings,
                           const char *name, const struct conf_strings *texts)
{
    struct network network;
    for (unsigned i = 0; i < texts->count; i++)
        if (!network_parse(str_of(texts->items[i]), &network))
            conf_error(
                loader, settings->origin, name,
                "\"%s\" is not an address (write \"10.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\" or \"unix:\")",
                texts->items[i]);
}

static bool asks_who(const struct access_policy_settings *settings)
{
    return settings->consumers.count || settings->groups.count || settings->scopes.count ||
           settings->claims.count;
}

static void check(struct conf_loader *loader, void *structure)
{
    const struct access_policy_settings *settings = structure;
    check_networks(loader, settings, "ip", &settings->ip);
    check_networks(loader, settings, "deny_ip", &settings->deny_ip);
    if (!asks_who(settings) && !settings->ip.count && !settings->deny_ip.count && !settings->methods.count)
        conf_error(loader, settings->origin, NULL,
                   "asks for nothing (write consumers, groups, scopes, claims, ip, deny_ip or methods)");
}

static const struct section section = {
    .name = "access", .size = sizeof(struct access_policy_settings), .rows = rows, .check = check};

/* --- compiling --- */

static const struct network_set *set_of(struct arena *arena, const struct conf_strings *texts)
{
    struct network *networks = arena_array(arena, texts->count, sizeof *networks);
    unsigned count = 0;
    for (unsigned i = 0; i < texts->count; i++)
        count += network_parse(str_of(texts->items[i]), &networks[count]);
    return texts->count ? network_set_new(arena, networks, count) : NULL;
}

static const void *compile_where(struct compiler *compiler, const void *conf)
{
    const struct access_policy_settings *settings = conf;
    if (!settings->ip.count && !settings->deny_ip.count && !settings->methods.count)
        return NULL;
    struct access *access = arena_zalloc(compiler->arena, sizeof *access);
    access->settings = settings;
    access->ip = set_of(compiler->arena, &settings->ip);
    access->deny_ip = set_of(compiler->arena, &settings->deny_ip);
    return access;
}

static const void *compile_who(struct compiler *compiler, const void *conf)
{
    const struct access_policy_settings *settings = conf;
    bool schemes = false;
    if (!asks_who(settings))
        return NULL;
    for (unsigned i = 0; i < compiler->link_count; i++)
        schemes |= compiler->links[i].policy->challenge != NULL;
    if (!schemes && compiler->route)
        compile_error(compiler, NULL,
                      "asks who calls, but the route \"%.*s\" has no scheme that finds it out (add one, such "
                      "as api_key)",
                      STR_ARG(compiler->route->text));
    for (unsigned i = 0; i < settings->consumers.count; i++)
        if (!consumers_by_name(compiler->settings->consumer_table, str_of(settings->consumers.items[i])))
            compile_error(compiler, "consumers",
                          "there is no consumer \"%s\", or it is switched off (see consumers)",
                          settings->consumers.items[i]);
    return settings;
}

/* --- requests --- */

static bool is_one_of(struct str text, const struct conf_strings *list)
{
    for (unsigned i = 0; i < list->count; i++)
        if (str_eq(text, str_of(list->items[i])))
            return true;
    return false;
}

static enum verdict ask_where(struct request *request, const void *compiled)
{
    const struct access *access = compiled;
    const struct conf_strings *methods = &access->settings->methods;
    const struct address *client = request_client(request);
    if ((access->deny_ip && network_set_has(access->deny_ip, client)) ||
        (access->ip && !network_set_has(access->ip, client)))
        return request_fail(request, PROBLEM_FORBIDDEN, "not from this address");
    if (methods->count && !is_one_of(request->head->method_text, methods))
        return request_fail(request, PROBLEM_FORBIDDEN, "not by this method");
    return VERDICT_NEXT;
}

static struct str claim_of(const struct identity *identity, struct str path, struct buf *scratch)
{
    return identity->claim ? identity->claim(identity, path, scratch) : (struct str){NULL, 0};
}

/* Scopes stand in one text with spaces between them (RFC 8693, section 4.2). */
static bool has_scope(struct str scopes, struct str wanted)
{
    while (scopes.length)
        if (str_eq(str_cut(&scopes, ' '), wanted))
            return true;
    return false;
}

static bool has_scopes(const struct identity *identity, const struct conf_strings *wanted)
{
    char memory[4096];
    struct buf scratch = buf_on(memory, sizeof memory);
    struct str scopes = claim_of(identity, STR("scope"), &scratch);
    if (!scopes.data)
        scopes = claim_of(identity, STR("scp"), &scratch);
    for (unsigned i = 0; i < wanted->count; i++)
        if (!has_scope(scopes, str_of(wanted->items[i])))
            return false;
    return true;
}

static bool has_claims(const struct identity *identity, const struct conf_list *wanted)
{
    char memory[4096];
    for (unsigned i = 0; i < wanted->count; i++) {
        const struct claim_settings *claim = wanted->items[i];
        struct buf scratch = buf_on(memory, sizeof memory);
        struct str value = claim_of(identity, str_of(claim->name), &scratch);
        if (!value.data || !is_one_of(value, &claim->values))
            return false;
    }
    return true;
}

static bool in_groups(const struct consumer *consumer, const struct conf_strings *groups)
{
    for (unsigned i = 0; i < groups->count; i++)
        if (consumer_in_group(consumer, str_of(groups->items[i])))
            return true;
    return false;
}

static enum verdict ask_who(struct request *request, const void *compiled)
{
    const struct access_policy_settings *settings = compiled;
    const struct identity *identity = request->identity;
    const struct consumer *consumer = identity_consumer(identity);
    if (!identity)
        return request_fail(request, PROBLEM_FORBIDDEN, "not without saying who calls");
    if (settings->consumers.count && !(consumer && is_one_of(consumer->name, &settings->consumers)))
        return request_fail(request, PROBLEM_FORBIDDEN, "not for this consumer");
    if (settings->groups.count && !(consumer && in_groups(consumer, &settings->groups)))
        return request_fail(request, PROBLEM_FORBIDDEN, "not for the groups of this consumer");
    if (settings->scopes.count && !has_scopes(identity, &settings->scopes))
        return request_fail(request, PROBLEM_FORBIDDEN, "not with these scopes");
    if (settings->claims.count && !has_claims(identity, &settings->claims))
        return request_fail(request, PROBLEM_FORBIDDEN, "not with these claims");
    return VERDICT_NEXT;
}

static const struct policy who_part = {
    .name = "access", .stage = STAGE_AUTHORISE, .compile = compile_who, .on_request = ask_who};

const struct policy policy_access = {
    .name = "access",
    .help = "who may come, and where from",
    .stage = STAGE_EDGE,
    .section = &section,
    .also = &who_part,
    .compile = compile_where,
    .on_request = ask_where,
};
