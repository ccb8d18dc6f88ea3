/* message: methods, fields and statuses. */
#include "worker/http/message.h"

#include <assert.h>

#define HOP FIELD_HOP
#define ONE FIELD_ONE
static const struct {
    struct str name;
    unsigned flags;
} known[FIELD_COUNT] = {
    [FIELD_OTHER] = {{"", 0}, 0},
#define FIELD(id, name, flags) [FIELD_##id] = {{name, sizeof(name) - 1}, flags},
#include "worker/http/fields.def"
#undef FIELD
};
#undef HOP
#undef ONE

/* Known names by length and last letter: few share a place, and a name that is not known mostly ends here. */
enum { PLACES = 256 };
static uint8_t first_of[PLACES]; /* an identifier, or 0 */
static uint8_t next_of[FIELD_COUNT];

static unsigned place_of(struct str name)
{
    return (unsigned)(name.length * 31 + ((unsigned char)name.data[name.length - 1] | 32) * 7 +
                      ((unsigned char)name.data[0] | 32)) %
           PLACES;
}

__attribute__((constructor)) static void build_places(void)
{
    for (unsigned id = 1; id < FIELD_COUNT; id++) {
        unsigned place = place_of(known[id].name);
        next_of[id] = first_of[place];
        first_of[place] = (uint8_t)id;
    }
}

enum field_id field_id_of(struct str name)
{
    if (name.length == 0)
        return FIELD_OTHER;
    for (unsigned id = first_of[place_of(name)]; id; id = next_of[id])
        if (str_case_eq(known[id].name, name))
            return id;
    return FIELD_OTHER;
}

unsigned field_flags(enum field_id id)
{
    return known[id].flags;
}

enum method method_of(struct str text)
{
    static const struct str names[] = {
        [METHOD_GET] = {"GET", 3},         [METHOD_HEAD] = {"HEAD", 4},       [METHOD_POST] = {"POST", 4},
        [METHOD_PUT] = {"PUT", 3},         [METHOD_DELETE] = {"DELETE", 6},   [METHOD_PATCH] = {"PATCH", 5},
        [METHOD_OPTIONS] = {"OPTIONS", 7}, [METHOD_CONNECT] = {"CONNECT", 7}, [METHOD_TRACE] = {"TRACE", 5},
    };
    for (unsigned i = 0; i < METHOD_OTHER; i++)
        if (str_eq(names[i], text))
            return i;
    return METHOD_OTHER;
}

const struct field *fields_get(const struct fields *fields, enum field_id id)
{
    if (!(fields->present >> id & 1))
        return NULL;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == id)
            return &fields->items[i];
    return NULL;
}

const struct field *fields_find(const struct fields *fields, struct str name)
{
    enum field_id id = field_id_of(name);
    if (id != FIELD_OTHER)
        return fields_get(fields, id);
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_OTHER && str_case_eq(fields->items[i].name, name))
            return &fields->items[i];
    return NULL;
}

struct str fields_value(const struct fields *fields, enum field_id id)
{
    const struct field *field = fields_get(fields, id);
    return field ? field->value : (struct str){NULL, 0};
}

void fields_add_known(struct fields *fields, struct arena *arena, enum field_id id, struct str name,
                      struct str value)
{
    if (fields->count == fields->capacity) {
        unsigned capacity = fields->capacity ? 2 * fields->capacity : 8;
        struct field *items = arena_alloc(arena, capacity * sizeof *items);
        if (fields->count)
            memcpy(items, fields->items, fields->count * sizeof *items);
        fields->items = items;
        fields->capacity = capacity;
    }
    fields->items[fields->count++] = (struct field){name, value, id};
    fields->present |= (uint64_t)1 << id;
}

void fields_add(struct fields *fields, struct arena *arena, struct str name, struct str value)
{
    fields_add_known(fields, arena, field_id_of(name), name, value);
}

void fields_remove(struct fields *fields, enum field_id id)
{
    if (!(fields->present >> id & 1))
        return;
    unsigned kept = 0;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id != id)
            fields->items[kept++] = fields->items[i];
    fields->count = kept;
    fields->present &= ~((uint64_t)1 << id);
}

struct str status_reason(unsigned status)
{
    switch (status) {
#define REASON(code, text) \
    case code:             \
        return STR(text);
        REASON(100, "Continue")
        REASON(101, "Switching Protocols")
        REASON(103, "Early Hints")
        REASON(200, "OK")
        REASON(201, "Created")
        REASON(202, "Accepted")
        REASON(203, "Non-Authoritative Information")
        REASON(204, "No Content")
        REASON(205, "Reset Content")
        REASON(206, "Partial Content")
        REASON(300, "Multiple Choices")
        REASON(301, "Moved Permanently")
        REASON(302, "Found")
        REASON(303, "See Other")
        REASON(304, "Not Modified")
        REASON(307, "Temporary Redirect")
        REASON(308, "Permanent Redirect")
        REASON(400, "Bad Request")
        REASON(401, "Unauthorized")
        REASON(402, "Payment Required")
        REASON(403, "Forbidden")
        REASON(404, "Not Found")
        REASON(405, "Method Not Allowed")
        REASON(406, "Not Acceptable")
        REASON(407, "Proxy Authentication Required")
        REASON(408, "Request Timeout")
        REASON(409, "Conflict")
        REASON(410, "Gone")
        REASON(411, "Length Required")
        REASON(412, "Precondition Failed")
        REASON(413, "Content Too Large")
        REASON(414, "URI Too Long")
        REASON(415, "Unsupported Media Type")
        REASON(416, "Range Not Satisfiable")
        REASON(417, "Expectation Failed")
        REASON(421, "Misdirected Request")
        REASON(422, "Unprocessable Content")
        REASON(425, "Too Early")
        REASON(426, "Upgrade Required")
        REASON(428, "Precondition Required")
        REASON(429, "Too Many Requests")
        REASON(431, "Request Header Fields Too Large")
        REASON(451, "Unavailable For Legal Reasons")
        REASON(500, "Internal Server Error")
        REASON(501, "Not Implemented")
        REASON(502, "Bad Gateway")
        REASON(503, "Service Unavailable")
        REASON(504, "Gateway Timeout")
        REASON(505, "HTTP Version Not Supported")
        REASON(507, "Insufficient Storage")
#undef REASON
    default:
        return STR("Unknown");
    }
}
