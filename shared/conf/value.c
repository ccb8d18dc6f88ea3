/* value: what is written becomes a field of a structure, by its row. load.c calls it.
 *
 * Defaults come the same way as the user's text, so that a row can't have a default that it would refuse.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "shared/conf/loader.h"

const char *value_kind_text(enum value_kind kind)
{
    static const char *const texts[] = {"true or false", "a number", "a number with a point",
                                        "text",          "a list",   "a group"};
    return texts[kind];
}

/* For an error: what was written, if it is short. */
static const char *value_text(struct conf_loader *loader, const struct value *value)
{
    switch (value->kind) {
    case VALUE_FLAG:
        return value->flag ? "true" : "false";
    case VALUE_INTEGER:
        return arena_printf(loader->scratch, "%lld", (long long)value->integer);
    case VALUE_REAL:
        return arena_printf(loader->scratch, "%g", value->real);
    case VALUE_TEXT:
        return arena_printf(loader->scratch, "\"%.60s%s\"", value->text, strlen(value->text) > 60 ? "…" : "");
    default:
        return value_kind_text(value->kind);
    }
}

static bool value_bounded(const struct row *row)
{
    return row->min != 0 || row->max != 0;
}

/* "1 to 1000", in the row's unit. */
static const char *value_bounds(struct conf_loader *loader, const struct row *row)
{
    struct arena *arena = loader->scratch;
    if (row->kind == ROW_DURATION)
        return arena_printf(arena, "\"%s\" to \"%s\"", units_duration(row->min, arena),
                            units_duration(row->max, arena));
    if (row->kind == ROW_SIZE)
        return arena_printf(arena, "\"%s\" to \"%s\"", units_size(row->min, arena),
                            units_size(row->max, arena));
    return arena_printf(arena, "%lld to %lld", (long long)row->min, (long long)row->max);
}

/* True: within the row's bounds; else reported. */
static bool value_within(struct conf_loader *loader, const struct row *row, const struct value *value,
                         int64_t number)
{
    if (!value_bounded(row) || (number >= row->min && number <= row->max))
        return true;
    loader_error(loader, "%s is too %s (write %s)", value_text(loader, value),
                 number < row->min ? "small" : "large", value_bounds(loader, row));
    return false;
}

static void store_flag(struct conf_loader *loader, const struct row *row, bool *target,
                       const struct value *value)
{
    (void)row;
    if (value->kind == VALUE_FLAG)
        *target = value->flag;
    else
        loader_error(loader, "must be true or false, not %s (write true or false, without quotes)",
                     value_kind_text(value->kind));
}

static bool number_of(struct conf_loader *loader, const struct row *row, const struct value *value,
                      int64_t *number)
{
    if (value->kind != VALUE_INTEGER) {
        const char *example = value_bounded(row)          ? value_bounds(loader, row)
                              : value->kind == VALUE_TEXT ? "it without quotes"
                                                          : "5";
        loader_error(loader, "must be a whole number, not %s (write %s)", value_kind_text(value->kind),
                     example);
        return false;
    }
    *number = value->integer;
    return value_within(loader, row, value, value->integer);
}

static void store_number(struct conf_loader *loader, const struct row *row, int64_t *target,
                         const struct value *value)
{
    int64_t number;
    if (number_of(loader, row, value, &number))
        *target = number;
}

static void store_real(struct conf_loader *loader, const struct row *row, double *target,
                       const struct value *value)
{
    if (value->kind != VALUE_INTEGER && value->kind != VALUE_REAL) {
        loader_error(loader, "must be a number, not %s (write it without quotes, as in 0.5)",
                     value_kind_text(value->kind));
        return;
    }
    if (value_bounded(row) && !(value->real >= (double)row->min && value->real <= (double)row->max)) {
        loader_error(loader, "%s is too %s (write %s)", value_text(loader, value),
                     value->real < (double)row->min ? "small" : "large", value_bounds(loader, row));
        return;
    }
    *target = value->real;
}

/* "30s" or "64K" from what was written; false: reported. */
static bool store_units(struct conf_loader *loader, const struct row *row, int64_t *target,
                        const struct value *value)
{
    bool duration = row->kind == ROW_DURATION;
    const char *forms = duration ? "\"250ms\", \"30s\", \"5m\", \"1h\", \"1d\" or \"0\""
                                 : "\"512\", \"64K\", \"1M\", \"1G\" or \"0\"";
    int64_t number;
    if (value->kind == VALUE_INTEGER && value->integer >= 0) {
        loader_error(loader, "a %s is text with its unit, not a number (write \"%lld%s\")",
                     duration ? "duration" : "size", (long long)value->integer,
                     duration && value->integer ? "s" : "");
        return false;
    }
    if (value->kind != VALUE_TEXT) {
        loader_error(loader, "must be a %s, not %s (write %s)", duration ? "duration" : "size",
                     value_kind_text(value->kind), forms);
        return false;
    }
    if (!(duration ? conf_parse_duration : conf_parse_size)(value->text, &number)) {
        loader_error(loader, "%s is not a %s (write %s)", value_text(loader, value),
                     duration ? "duration" : "size", forms);
        return false;
    }
    if (!value_within(loader, row, value, number))
        return false;
    *target = number;
    return true;
}

/* A text for the row: a secret is fetched, a path made absolute. NULL: reported. */
static const char *string_of(struct conf_loader *loader, const struct row *row, const struct value *value)
{
    if (value->kind != VALUE_TEXT) {
        bool simple = value->kind == VALUE_INTEGER || value->kind == VALUE_FLAG;
        loader_error(loader, "must be text, not %s (write %s)", value_kind_text(value->kind),
                     simple ? arena_printf(loader->scratch, "\"%s\"", value_text(loader, value))
                            : "it in double quotes");
        return NULL;
    }
    if (row->flags & ROW_SECRET)
        return secret_text(loader, value->text);
    if (!(row->flags & ROW_PATH))
        return arena_strdup(loader->arena, value->text);
    for (unsigned i = 0; row->words && row->words[i]; i++)
        if (strcmp(value->text, row->words[i]) == 0)
            return row->words[i];
    if (!*value->text) {
        loader_error(loader, "must be a path, not an empty text");
        return NULL;
    }
    const char *path = path_absolute(loader, value->text);
    return path ? arena_strdup(loader->arena, path) : NULL;
}

static void store_string(struct conf_loader *loader, const struct row *row, const char **target,
                         const struct value *value)
{
    const char *text = string_of(loader, row, value);
    if (text)
        *target = text;
}

static void store_word(struct conf_loader *loader, const struct row *row, int *target,
                       const struct value *value)
{
    unsigned count = 0;
    while (row->words[count])
        count++;
    if (value->kind == VALUE_TEXT)
        for (unsigned i = 0; i < count; i++)
            if (strcmp(value->text, row->words[i]) == 0) {
                *target = (int)i;
                return;
            }
    const char *list = "";
    for (unsigned i = 0; i < count; i++)
        list = arena_printf(loader->scratch, "%s%s\"%s\"", list,
                            i == 0           ? ""
                            : i + 1 == count ? " or "
                                             : ", ",
                            row->words[i]);
    if (value->kind != VALUE_TEXT) {
        loader_error(loader, "must be a word, not %s (write %s)", value_kind_text(value->kind), list);
        return;
    }
    const char *closest = suggest_closest(value->text, row->words, count);
    loader_error(loader, "%s is not known (write %s%s)", value_text(loader, value), list,
                 closest && count > 2 ? arena_printf(loader->scratch, "; did you mean \"%s\"?", closest)
                                      : "");
}

/* One element of ROW_STRINGS or ROW_NUMBERS into its place; false: reported. */
static bool store_element(struct conf_loader *loader, const struct row *row, void *items, unsigned index,
                          const struct value *value)
{
    if (row->kind == ROW_NUMBERS)
        return number_of(loader, row, value, (int64_t *)items + index);
    const char *text = string_of(loader, row, value);
    ((const char **)items)[index] = text ? text : "";
    return text;
}

/* A list, an array, or a value that stands alone. */
static void store_several(struct conf_loader *loader, const struct row *row, void *target,
                          const struct value *value)
{
    const struct place *outer = loader->place;
    bool list = value->kind == VALUE_LIST;
    unsigned count = list ? node_count(outer->node) : 1;
    size_t size = row->kind == ROW_NUMBERS ? sizeof(int64_t) : sizeof(char *);
    void *items = arena_array(loader->arena, count, size);
    bool good = true;
    if (value->kind == VALUE_GROUP) {
        loader_error(loader, "must be a list, not a group (write [ … ])");
        return;
    }
    for (unsigned i = 0; list && i < count; i++) {
        const struct node *node = node_at(outer->node, i);
        struct place place = {
            .up = outer, .index = i, .node = node, .origin = node_origin(loader->tree, node)};
        struct value element = node_value(node);
        loader->place = &place;
        good &= store_element(loader, row, items, i, &element);
        loader->place = outer;
    }
    if (!list)
        good = store_element(loader, row, items, 0, value);
    if (!good)
        return;
    if (row->kind == ROW_NUMBERS)
        *(struct conf_numbers *)target = (struct conf_numbers){items, count};
    else
        *(struct conf_strings *)target = (struct conf_strings){items, count};
}

void value_store(struct conf_loader *loader, const struct row *row, void *target, const struct value *value)
{
    switch (row->kind) {
    case ROW_FLAG:
        store_flag(loader, row, target, value);
        break;
    case ROW_NUMBER:
        store_number(loader, row, target, value);
        break;
    case ROW_REAL:
        store_real(loader, row, target, value);
        break;
    case ROW_STRING:
        store_string(loader, row, target, value);
        break;
    case ROW_DURATION:
    case ROW_SIZE:
        store_units(loader, row, target, value);
        break;
    case ROW_WORD:
        store_word(loader, row, target, value);
        break;
    case ROW_STRINGS:
    case ROW_NUMBERS:
        store_several(loader, row, target, value);
        break;
    default:
        assert(!"a row of a section");
    }
}

/* A default's text as the value that a user would have written. */
static struct value value_of_text(const struct row *row, const char *text)
{
    struct value value = {.kind = VALUE_TEXT, .text = text};
    char *end = NULL;
    switch (row->kind) {
    case ROW_FLAG:
        value.kind = VALUE_FLAG;
        value.flag = strcmp(text, "true") == 0;
        assert(value.flag || strcmp(text, "false") == 0);
        break;
    case ROW_NUMBER:
    case ROW_NUMBERS:
        value.kind = VALUE_INTEGER;
        value.integer = strtoll(text, &end, 10);
        assert(end != text && !*end);
        break;
    case ROW_REAL:
        value.kind = VALUE_REAL;
        value.real = strtod(text, &end);
        assert(end != text && !*end && isfinite(value.real));
        break;
    default:
        break;
    }
    return value;
}

/* "a, b" */
static void default_several(struct conf_loader *loader, const struct row *row, void *target)
{
    struct str rest = str_of(row->fallback);
    unsigned count = 0, limit = 1;
    for (size_t i = 0; i < rest.length; i++)
        limit += rest.data[i] == ',';
    void *items =
        arena_array(loader->arena, limit, row->kind == ROW_NUMBERS ? sizeof(int64_t) : sizeof(char *));
    while (rest.length) {
        struct str one = str_trim(str_cut(&rest, ','));
        struct value value = value_of_text(row, arena_strndup(loader->scratch, one.data, one.length));
        store_element(loader, row, items, count++, &value);
    }
    if (row->kind == ROW_NUMBERS)
        *(struct conf_numbers *)target = (struct conf_numbers){items, count};
    else
        *(struct conf_strings *)target = (struct conf_strings){items, count};
}

void value_default(struct conf_loader *loader, const struct row *row, void *target)
{
    if (!row->fallback)
        return;
    if (row->kind == ROW_STRINGS || row->kind == ROW_NUMBERS) {
        default_several(loader, row, target);
        return;
    }
    struct value value = value_of_text(row, row->fallback);
    value_store(loader, row, target, &value);
}
