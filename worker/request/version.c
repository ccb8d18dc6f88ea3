/* version: how a request asks for a version of an API. The router calls it, for routes whose API has one that isn't told
 * by the path. */
#include "worker/request/version.h"

#include "shared/base/buf.h"
#include "worker/codec/accept.h"

enum { ASKED_MAX = 256, VERSION_SHOWN = 40 /* bytes of a text for people, and of one version in it */ };

static bool is_named(const struct field *field, enum field_id id, struct str name)
{
    return field->id == id && (id != FIELD_OTHER || str_case_eq(field->name, name));
}

static unsigned header_fits(const struct version_settings *version, const struct fields *fields)
{
    struct str name = str_of(version->header), wanted = str_of(version->name);
    enum field_id id = field_id_of(name);
    bool there = false;
    for (unsigned i = 0; i < fields->count; i++) {
        if (!is_named(&fields->items[i], id, name))
            continue;
        if (!str_case_eq(fields->items[i].value, wanted))
            return 0;
        there = true;
    }
    return there || version->standard ? VERSION_BEST : 0;
}

/* The best of all ranges: one that names the version is better than one that names none and wants it as much. Those name
 * no version that an API without one would answer too. */
static unsigned type_fits(const struct version_settings *version, const struct fields *fields)
{
    struct str wanted = str_of(version->name);
    unsigned best = 0;
    bool any = false;
    for (unsigned i = 0; fields->present >> FIELD_ACCEPT & 1 && i < fields->count; i++) {
        struct str rest = fields->items[i].value;
        struct accept_range range;
        while (fields->items[i].id == FIELD_ACCEPT && accept_next(&rest, &range)) {
            unsigned fits = 0;
            any = true;
            if (range.quality && accept_names(&range, wanted))
                fits = 2 * range.quality + 1;
            else if (range.quality && version->standard && !range.version.data)
                fits = 2 * range.quality;
            best = fits > best ? fits : best;
        }
    }
    return any ? best : version->standard ? VERSION_BEST : 0;
}

unsigned version_fits(const struct version_settings *version, const struct request_head *head)
{
    return version->by == VERSION_HEADER ? header_fits(version, &head->fields)
                                         : type_fits(version, &head->fields);
}

struct str version_field(const struct version_settings *version)
{
    return version->by == VERSION_HEADER ? str_of(version->header) : STR("Accept");
}

static void add(struct buf *out, struct str version)
{
    if (out->size - out->length < VERSION_SHOWN + 4)
        return; /* enough */
    BUF_LITERAL(out, "\"");
    buf_str_add(out,
                (struct str){version.data, version.length > VERSION_SHOWN ? VERSION_SHOWN : version.length});
    BUF_LITERAL(out, "\", ");
}

const char *version_asked(const struct version_settings *version, const struct request_head *head,
                          struct arena *arena)
{
    const struct fields *fields = &head->fields;
    struct str name = version_field(version);
    enum field_id id = field_id_of(name);
    char memory[ASKED_MAX];
    struct buf asked = buf_on(memory, sizeof memory);
    for (unsigned i = 0; i < fields->count; i++) {
        struct str rest = fields->items[i].value;
        struct accept_range range;
        if (!is_named(&fields->items[i], id, name))
            continue;
        if (version->by == VERSION_HEADER)
            add(&asked, rest);
        while (version->by == VERSION_MEDIA_TYPE && accept_next(&rest, &range))
            if (range.version.data)
                add(&asked, range.version);
    }
    if (asked.length == 0)
        return arena_printf(arena, " without a version (field %.*s)", STR_ARG(name));
    return arena_printf(arena, " in version %.*s (field %.*s)", (int)asked.length - 2, memory, STR_ARG(name));
}
