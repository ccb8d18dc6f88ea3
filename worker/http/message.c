/* message: methods, fields and statuses. */
#include "worker/http/message.h"

#include <assert.h>

static const struct str known[FIELD_COUNT] = {
    [FIELD_OTHER] = {"", 0},
#define FIELD(id, name, flags) [FIELD_##id] = {name, sizeof(name) - 1},
#include "worker/http/fields.def"
#undef FIELD
};

/* Known names by length, first and last letter: few share a place, and a name that is not known mostly ends here. */
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
        unsigned place = place_of(known[id]);
        next_of[id] = first_of[place];
        first_of[place] = (uint8_t)id;
    }
}

#define UPPER_TO_LOWER UINT64_C(0x2020202020202020)

static inline uint64_t folded(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word | UPPER_TO_LOWER;
}

/* Whether a name, in any case, is a known one of the same length. Known names have lower-case letters, digits and hyphens:
 * but for the letters' case, only controls fold to these, and no name has controls. */
static bool is_known(const char *name, const char *lower, size_t length)
{
    if (length < 8) {
        for (size_t i = 0; i < length; i++)
            if ((name[i] | 0x20) != lower[i])
                return false;
        return true;
    }
    for (size_t i = 0; i + 8 < length; i += 8)
        if (folded(name + i) != folded(lower + i))
            return false;
    return folded(name + length - 8) == folded(lower + length - 8);
}

enum field_id field_id_of(struct str name)
{
    if (name.length == 0)
        return FIELD_OTHER;
    for (unsigned id = first_of[place_of(name)]; id; id = next_of[id])
        if (known[id].length == name.length && is_known(name.data, known[id].data, name.length))
            return id;
    return FIELD_OTHER;
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
    fields->items[fields->count++] = (struct field){name, value, id, false};
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

static bool varies_by(const struct fields *fields, struct str name)
{
    for (unsigned i = 0; fields->present >> FIELD_VARY & 1 && i < fields->count; i++)
        if (fields->items[i].id == FIELD_VARY &&
            (str_list_has(fields->items[i].value, name) || str_list_has(fields->items[i].value, STR("*"))))
            return true;
    return false;
}

/* A list field: one more line is one more element. */
void fields_add_vary(struct fields *fields, struct arena *arena, struct str name)
{
    if (!varies_by(fields, name))
        fields_add_known(fields, arena, FIELD_VARY, STR("Vary"), name);
}

void fields_write(const struct fields *fields, uint64_t leave_out, struct buf *out)
{
    const struct field *field = fields->items, *end = field + fields->count;
    while (field < end) {
        if (leave_out >> field->id & 1 || !field_forwards(field)) {
            field++;
            continue;
        }
        if (!field->line) {
            buf_str_add(out, field->name);
            BUF_LITERAL(out, ": ");
            buf_str_add(out, field->value);
            BUF_LITERAL(out, "\r\n");
            field++;
            continue;
        }
        /* Lines that follow each other in memory are copied at once. */
        const char *from = field->name.data, *to = from;
        do {
            to = field->value.data + field->value.length + 2;
            field++;
        } while (field < end && field->line && field->name.data == to && !(leave_out >> field->id & 1) &&
                 field_forwards(field));
        buf_add(out, from, (size_t)(to - from));
    }
}

struct str version_text(unsigned version)
{
    switch (version) {
    case 10:
        return STR("HTTP/1.0");
    case 20:
        return STR("HTTP/2");
    default:
        return STR("HTTP/1.1");
    }
}

struct str status_reason(unsigned status)
{
    static const struct str reasons[600] = {
#define REASON(code, text) [code] = {text, sizeof(text) - 1},
#include "worker/http/reasons.def"
#undef REASON
    };
    return status < 600 && reasons[status].data ? reasons[status] : STR("Unknown");
}
