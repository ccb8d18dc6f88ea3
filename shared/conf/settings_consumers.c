/* settings_consumers: who calls, and by which keys. */
#include "shared/base/clock.h"
#include "shared/conf/sections.h"

static const char prefix[] = "sha256:";

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_digest(const char *text, unsigned char digest[32])
{
    if (strncmp(text, prefix, sizeof prefix - 1) != 0 || strlen(text) != sizeof prefix - 1 + 64)
        return false;
    text += sizeof prefix - 1;
    for (unsigned i = 0; i < 32; i++) {
        int high = hex_of(text[2 * i]), low = hex_of(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static void check_expires(struct conf_loader *loader, struct origin origin, const char *text,
                          uint64_t *seconds)
{
    if (text && !clock_parse(str_of(text), seconds))
        conf_error(loader, origin, "expires",
                   "\"%s\" is not a date (write \"2027-01-31\" or \"2027-01-31T00:00:00Z\")", text);
    else if (text && *seconds == 0)
        *seconds = 1; /* 0 says never */
}

/* The text itself is not shown: who writes a key where its digest belongs has a secret in the log otherwise. */
static void key_check(struct conf_loader *loader, void *structure)
{
    struct consumer_key_settings *key = structure;
    if (!parse_digest(key->digest, key->sha256))
        conf_error(loader, key->origin, "digest",
                   "is not \"sha256:\" and 64 hexadecimal digits (the SHA-256 of the key, not the key)");
    check_expires(loader, key->origin, key->expires, &key->expires_at);
}

#define KEY(kind_, member, ...) ROW_(kind_, struct consumer_key_settings, member, __VA_ARGS__)

static const struct row key_rows[] = {
    KEY(ROW_STRING, digest, .flags = ROW_REQUIRED,
        .help = "\"sha256:\" and the SHA-256 of the key in 64 hexadecimal digits"),
    KEY(ROW_STRING, expires, .help = "until when the key is good; without it: as long as it stands here"),
    ROW_END,
};

static const struct section key_section = {.name = "key",
                                           .size = sizeof(struct consumer_key_settings),
                                           .rows = key_rows,
                                           .shorthand = "digest",
                                           .check = key_check};

static const struct row metadata_rows[] = {
    ROW_(ROW_STRING, struct consumer_metadata_settings, value, .flags = ROW_REQUIRED,
         .help = "what ${consumer.NAME} is"),
    ROW_END,
};

static const struct section metadata_section = {.name = "metadata",
                                                .size = sizeof(struct consumer_metadata_settings),
                                                .rows = metadata_rows,
                                                .shorthand = "value",
                                                .name_offset =
                                                    offsetof(struct consumer_metadata_settings, name)};

/* Names and groups go into fields of requests, and groups into a list with commas. */
static const char *text_wrong(const char *text, bool comma)
{
    if (!*text)
        return "is empty";
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            return "has a control character in it";
        else if (*c == ',' && comma)
            return "has a comma in it (groups are told as \"a,b\")";
    return NULL;
}

static void consumer_check(struct conf_loader *loader, void *structure)
{
    struct consumer_settings *consumer = structure;
    const char *wrong = text_wrong(consumer->name, false);
    if (wrong)
        conf_error(loader, consumer->origin, "name", "\"%s\" %s", consumer->name, wrong);
    for (unsigned i = 0; i < consumer->groups.count; i++) {
        wrong = text_wrong(consumer->groups.items[i], true);
        if (wrong)
            conf_error(loader, consumer->origin, "groups", "\"%s\" %s", consumer->groups.items[i], wrong);
    }
    for (unsigned i = 0; i < consumer->metadata.count; i++) {
        const struct consumer_metadata_settings *item = consumer->metadata.items[i];
        if (strcmp(item->name, "plan") == 0 || strcmp(item->name, "groups") == 0)
            conf_error(loader, item->origin, "metadata",
                       "\"%s\" is the name of something else that ${consumer.%s} tells (name it otherwise)",
                       item->name, item->name);
    }
    check_expires(loader, consumer->origin, consumer->expires, &consumer->expires_at);
}

#define CONSUMER(kind_, member, ...) ROW_(kind_, struct consumer_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    CONSUMER(ROW_STRING, name, .flags = ROW_REQUIRED, .help = "what logs, limits and services call it"),
    CONSUMER(ROW_LIST, keys, .section = &key_section, .help = "its keys for api_key, by their digests"),
    CONSUMER(ROW_STRING, plan, .help = "the name of its plan, which ${consumer.plan} tells"),
    CONSUMER(ROW_STRINGS, groups, .help = "the groups that it is in"),
    CONSUMER(ROW_MAP, metadata, .section = &metadata_section,
             .help = "what else is known of it: { NAME = \"text\"; }, told by ${consumer.NAME}"),
    CONSUMER(ROW_STRING, expires, .help = "until when it may call; without it: as long as it stands here"),
    CONSUMER(ROW_FLAG, enabled, .fallback = "true", .help = "false: none of its credentials is accepted"),
    ROW_END,
};

const struct section consumer_section = {
    .name = "consumer", .size = sizeof(struct consumer_settings), .rows = rows, .check = consumer_check};
