/* settings_version: which version of an API an API is, how a request asks for it, and when it ends. */
#include <ctype.h>

#include "shared/base/clock.h"
#include "shared/base/token.h"
#include "shared/conf/sections.h"

/* What may stand in a path's segment, a field's value and a media type alike. */
static bool is_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
            return false;
    return isalnum((unsigned char)*text);
}

static void check_date(struct conf_loader *loader, const struct version_settings *version,
                       const char *setting, const char *text, uint64_t *seconds)
{
    if (text && !clock_parse(str_of(text), seconds))
        conf_error(loader, version->origin, setting,
                   "\"%s\" is not a date (write \"2027-01-31\" or \"2027-01-31T00:00:00Z\")", text);
}

/* The names by which it is asked for; what isn't said gets its usual value. */
static void check_by(struct conf_loader *loader, struct version_settings *version)
{
    struct arena *arena = conf_arena(loader);
    if (version->header && version->by != VERSION_HEADER)
        conf_error(loader, version->origin, "header", "has no effect (write by = \"header\" with it)");
    else if (version->header && !is_token(str_of(version->header)))
        conf_error(loader, version->origin, "header", "\"%s\" is not the name of a header field",
                   version->header);
    if (version->segment && version->by != VERSION_PATH)
        conf_error(loader, version->origin, "segment", "has no effect (write by = \"path\" with it)");
    else if (version->segment && !is_plain(version->segment))
        conf_error(
            loader, version->origin, "segment",
            "\"%s\" is not a segment of a path (write \"v2\": letters, digits, \"-\", \".\" and \"_\")",
            version->segment);
    if (version->by == VERSION_HEADER && !version->header)
        version->header = "Api-Version";
    if (version->by == VERSION_PATH && !version->segment)
        version->segment = arena_printf(arena, "v%s", version->name);
}

static void version_check(struct conf_loader *loader, void *structure)
{
    struct version_settings *version = structure;
    if (!is_plain(version->name))
        conf_error(loader, version->origin, "name",
                   "\"%s\" is not a version (write \"2\": letters, digits, \"-\", \".\" and \"_\")",
                   version->name);
    check_by(loader, version);
    check_date(loader, version, "deprecation", version->deprecation, &version->deprecated_from);
    check_date(loader, version, "sunset", version->sunset, &version->sunset_from);
    /* RFC 9745, section 4. */
    if (version->deprecated_from && version->sunset_from && version->sunset_from < version->deprecated_from)
        conf_error(loader, version->origin, "sunset", "\"%s\" is before its deprecation, \"%s\"",
                   version->sunset, version->deprecation);
    if (!version->link)
        return;
    if (!version->deprecation && !version->sunset)
        conf_error(loader, version->origin, "link", "has no effect (write deprecation or sunset with it)");
    for (const unsigned char *c = (const unsigned char *)version->link; *c; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("<>\"", *c)) {
            conf_error(loader, version->origin, "link", "\"%s\" is not a URL (percent-encode what isn't)",
                       version->link);
            return;
        }
}

static const char *const by_words[] = {"path", "header", "media-type", NULL};

#define VERSION(kind_, member, ...) ROW_(kind_, struct version_settings, member, __VA_ARGS__)

static const struct row version_rows[] = {
    VERSION(ROW_STRING, name, .flags = ROW_REQUIRED, .help = "the version as clients name it: 2"),
    VERSION(ROW_WORD, by, .words = by_words, .fallback = "path",
            .help = "where they name it: a segment of the path, a header field, or the media type in Accept"),
    VERSION(ROW_STRING, header, .help = "by header: the field; Api-Version if it isn't said"),
    VERSION(ROW_STRING, segment,
            .help = "by path: the segment behind the API's prefix; v and the name if it isn't said"),
    {.kind = ROW_FLAG,
     .name = "default",
     .offset = offsetof(struct version_settings, standard),
     .fallback = "false",
     .help = "whether requests that name no version get this one"},
    VERSION(ROW_STRING, deprecation,
            .help = "since when it is deprecated, 2027-01-31 or with a time: answers say so (RFC 9745)"),
    VERSION(ROW_STRING, sunset, .help = "when it will be gone: answers say so (RFC 8594)"),
    VERSION(ROW_STRING, link, .help = "a URL that tells more about its end; answers have it as Link"),
    ROW_END,
};

const struct section version_section = {
    .name = "version",
    .size = sizeof(struct version_settings),
    .rows = version_rows,
    .shorthand = "name",
    .check = version_check,
};
