/* sign: requests to the service are signed (HTTP Message Signatures, RFC 9421), so that it can tell that they came through here, as
 * they are. The content does it, when it calls (worker/upstream/signing.h).
 */
#include "shared/base/token.h"
#include "worker/codec/signature.h"
#include "worker/codec/structured.h"
#include "worker/request/request.h"
#include "worker/upstream/signing.h"

struct sign_settings {
    struct origin origin;
    const char *key, *keyid, *label, *tag;
    int algorithm;
    struct conf_strings components;
    int64_t expires; /* ms */
    bool nonce;
};

#define SIGN(kind_, member, ...) ROW_(kind_, struct sign_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    SIGN(ROW_STRING, key, .flags = ROW_REQUIRED | ROW_SECRET,
         .help = "the private key in PEM, of hmac-sha256 the secret; \"file:PATH\" or \"env:NAME\""),
    SIGN(ROW_WORD, algorithm, .flags = ROW_REQUIRED, .words = signature_algorithms, .help = "how it signs"),
    SIGN(ROW_STRING, keyid, .flags = ROW_REQUIRED, .help = "by what the service finds the key"),
    SIGN(ROW_STRINGS, components, .fallback = "@method, @authority, @path, @query",
         .help = "what is signed: @method, @authority, @path, @query, @request-target, and names of fields "
                 "in lower "
                 "case; a field that a request doesn't have is left out"),
    SIGN(ROW_DURATION, expires, .fallback = "5m", .min = 0, .max = 86400000,
         .help = "how long it holds; 0: the service decides by its time alone"),
    SIGN(ROW_FLAG, nonce, .fallback = "false",
         .help = "each has a random number in it, for services that refuse a second one"),
    SIGN(ROW_STRING, label, .fallback = "gatehouse", .help = "its key in Signature and Signature-Input"),
    SIGN(ROW_STRING, tag, .help = "for what it is, to the service"),
    ROW_END,
};

/* A text that is written between quotes. */
static void check_text(struct conf_loader *loader, const struct sign_settings *settings, const char *setting,
                       const char *text)
{
    for (const char *c = text ? text : ""; *c; c++)
        if (*c < 0x20 || *c > 0x7e || *c == '"' || *c == '\\') {
            conf_error(loader, settings->origin, setting, "\"%s\" has a byte that can't stand in it", text);
            return;
        }
}

static void check(struct conf_loader *loader, void *structure)
{
    const struct sign_settings *settings = structure;
    struct str label = str_of(settings->label), key, value;
    bool first = true;
    check_text(loader, settings, "keyid", settings->keyid);
    check_text(loader, settings, "tag", settings->tag);
    if (structured_member(&label, &first, &key, &value) != STRUCTURED_MORE || label.length || value.length)
        conf_error(loader, settings->origin, "label",
                   "\"%s\" is no key (lower case letters, digits and _ - . *)", settings->label);
    if (settings->components.count > SIGNING_COMPONENTS)
        conf_error(loader, settings->origin, "components", "%u of them (%d at most)",
                   settings->components.count, SIGNING_COMPONENTS);
    for (unsigned i = 0; i < settings->components.count; i++) {
        struct str name = str_of(settings->components.items[i]);
        bool lower = true;
        for (size_t j = 0; j < name.length; j++)
            lower &= !(name.data[j] >= 'A' && name.data[j] <= 'Z');
        if (!signing_knows(name) || !lower || (name.data[0] != '@' && !is_token(name)))
            conf_error(
                loader, settings->origin, "components",
                "\"%s\" is none that can be signed (a field's name in lower case, or @method, @authority, "
                "@path, @query, @request-target)",
                settings->components.items[i]);
        for (unsigned j = 0; j < i; j++)
            if (str_eq(name, str_of(settings->components.items[j])))
                conf_error(loader, settings->origin, "components", "\"%s\" is there twice",
                           settings->components.items[i]);
    }
}

static const struct section section = {
    .name = "sign", .size = sizeof(struct sign_settings), .rows = rows, .check = check};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct sign_settings *settings = conf;
    struct signing *signing = arena_zalloc(compiler->arena, sizeof *signing);
    const char *why = NULL;
    signing->key = signature_key_new(compiler->arena, settings->algorithm, str_of(settings->key), true, &why);
    if (!signing->key)
        compile_error(compiler, "key", "%s", why);
    signing->label = str_of(settings->label);
    for (unsigned i = 0; i < settings->components.count && i < SIGNING_COMPONENTS; i++)
        signing->components[signing->count++] = str_of(settings->components.items[i]);
    signing->said =
        str_of(arena_printf(compiler->arena, ";keyid=\"%s\";alg=\"%s\"%s%s%s", settings->keyid,
                            signature_algorithms[settings->algorithm], settings->tag ? ";tag=\"" : "",
                            settings->tag ? settings->tag : "", settings->tag ? "\"" : ""));
    signing->expires = (uint64_t)settings->expires / 1000;
    signing->nonce = settings->nonce;
    return signing;
}

/* Two members of one key make a dictionary that means nothing: a client that has taken ours loses what it said. */
static void make_room(struct fields *fields, struct str label)
{
    static const struct str names[] = {{"Signature", 9}, {"Signature-Input", 15}};
    bool taken = false;
    for (unsigned i = 0; i < fields->count; i++)
        for (unsigned j = 0; j < 2; j++)
            if (fields->items[i].id == FIELD_OTHER && str_case_eq(fields->items[i].name, names[j]))
                taken |= structured_find(fields->items[i].value, label).data ||
                         !structured_canonical_dictionary(fields->items[i].value, NULL);
    for (unsigned i = 0; taken && i < fields->count; i++)
        for (unsigned j = 0; j < 2; j++)
            if (fields->items[i].id == FIELD_OTHER && str_case_eq(fields->items[i].name, names[j]))
                fields->items[i].name.length = 0; /* left out */
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    request->signing = compiled;
    make_room(&request->head->fields, request->signing->label);
    return VERDICT_NEXT;
}

const struct policy policy_sign = {
    .name = "sign",
    .help = "requests to the service are signed (RFC 9421)",
    .stage = STAGE_SHAPE,
    .section = &section,
    .compile = compile,
    .on_request = on_request,
};
