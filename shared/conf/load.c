/* load: a configuration becomes structures, by the rows of its sections.
 *
 * generation.c calls it. It walks the tree in the order of the file, so that errors come in that order; conversions
 * are in value.c, and how the text becomes a tree is in source.c, lex.c, syntax.c and tree.c, in this order.
 */
#include "shared/conf/load.h"

#include <assert.h>
#include <stdio.h>

#include "shared/conf/loader.h"

static void load_section(struct conf_loader *loader, const struct section *section, void *structure);

__attribute__((format(printf, 3, 0))) static void loader_report(struct conf_loader *loader, bool warning,
                                                                const char *format, va_list arguments)
{
    const char *text = arena_vprintf(loader->scratch, format, arguments);
    const char *path = place_text(loader->place, NULL, loader->scratch);
    (warning ? errors_warn : errors_add)(loader->errors, loader->place->origin, "%s%s%s", path,
                                         *path ? ": " : "", text);
}

void loader_error(struct conf_loader *loader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    loader_report(loader, false, format, arguments);
    va_end(arguments);
}

/* Where the setting of a check stands: it is a path from the section that is checked. If nothing is there, or not all
 * of it, `fallback`. */
static struct origin check_origin(struct conf_loader *loader, const char *setting, struct origin fallback)
{
    const struct node *node = loader->place->node;
    struct str rest = str_of(setting);
    while (node && rest.length) {
        size_t length = strcspn(rest.data, ".[");
        if (length) {
            node = node_member(node, arena_strndup(loader->scratch, rest.data, length));
        } else if (*rest.data == '[') {
            unsigned index = 0;
            if (sscanf(rest.data, "[%u]", &index) != 1)
                return fallback;
            length = strcspn(rest.data, "]") + 1;
            if (node_value(node).kind == VALUE_LIST)
                node = node_at(node, index);
        } else {
            length = 1;
        }
        rest = str_from(rest, length < rest.length ? length : rest.length);
    }
    if (node && setting && node != loader->place->node)
        return node_origin(loader->tree, node);
    return fallback.file ? fallback : loader->place->origin;
}

__attribute__((format(printf, 5, 0))) static void check_report(struct conf_loader *loader, bool warning,
                                                               struct origin origin, const char *setting,
                                                               const char *format, va_list arguments)
{
    const char *text = arena_vprintf(loader->scratch, format, arguments);
    const char *path = place_text(loader->place, setting, loader->scratch);
    (warning ? errors_warn : errors_add)(loader->errors, check_origin(loader, setting, origin), "%s%s%s",
                                         path, *path ? ": " : "", text);
}

void conf_error(struct conf_loader *loader, struct origin origin, const char *setting, const char *format,
                ...)
{
    va_list arguments;
    va_start(arguments, format);
    check_report(loader, false, origin, setting, format, arguments);
    va_end(arguments);
}

void conf_warn(struct conf_loader *loader, struct origin origin, const char *setting, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    check_report(loader, true, origin, setting, format, arguments);
    va_end(arguments);
}

struct origin conf_origin(struct conf_loader *loader, const char *setting)
{
    return check_origin(loader, setting, (struct origin){NULL, 0});
}

struct setting conf_setting(struct conf_loader *loader, const char *setting)
{
    return (struct setting){conf_origin(loader, setting),
                            arena_strdup(loader->arena, place_text(loader->place, setting, loader->scratch))};
}

struct arena *conf_arena(struct conf_loader *loader)
{
    return loader->arena;
}

static void *structure_new(struct conf_loader *loader, const struct section *section)
{
    return arena_zalloc(loader->arena, section->size);
}

/* The place of an element of a list that stands at loader->place. */
static struct place place_element(struct conf_loader *loader, unsigned index, const struct node *node)
{
    return (struct place){
        .up = loader->place, .index = index, .node = node, .origin = node_origin(loader->tree, node)};
}

/* The place of a setting; absent (node NULL) it stands where its section does. */
static struct place place_setting(struct conf_loader *loader, const char *name, const struct node *node)
{
    struct origin origin = node ? node_origin(loader->tree, node) : loader->place->origin;
    return (struct place){.up = loader->place, .name = str_of(name), .node = node, .origin = origin};
}

/* How many elements a ROW_LIST or ROW_MAP may have. */
static void check_count(struct conf_loader *loader, const struct row *row, unsigned count)
{
    if (row->min == 0 && row->max == 0)
        return;
    if (count < (uint64_t)row->min)
        loader_error(loader, "has %u elements, at least %lld are needed", count, (long long)row->min);
    else if (count > (uint64_t)row->max)
        loader_error(loader, "has %u elements, at most %lld are possible", count, (long long)row->max);
}

/* ( {…}, {…} ), or one element alone. */
static void load_list(struct conf_loader *loader, const struct row *row, struct conf_list *list)
{
    const struct place *outer = loader->place;
    bool alone = node_value(outer->node).kind != VALUE_LIST;
    if (alone && node_value(outer->node).kind != VALUE_GROUP && !row->section->shorthand) {
        loader_error(loader, "must be a list of groups, not %s (write ( { … }, { … } ))",
                     value_kind_text(node_value(outer->node).kind));
        return;
    }
    list->count = alone ? 1 : node_count(outer->node);
    list->items = arena_array(loader->arena, list->count, sizeof(*list->items));
    for (unsigned i = 0; i < list->count; i++) {
        struct place place = place_element(loader, i, alone ? outer->node : node_at(outer->node, i));
        list->items[i] = structure_new(loader, row->section);
        if (!alone)
            loader->place = &place;
        load_section(loader, row->section, list->items[i]);
        loader->place = outer;
    }
    check_count(loader, row, list->count);
}

/* { name = {…}; } */
static void load_map(struct conf_loader *loader, const struct row *row, struct conf_list *list)
{
    const struct place *outer = loader->place;
    const struct value value = node_value(outer->node);
    if (value.kind != VALUE_GROUP) {
        loader_error(loader, "must be a group of named groups, not %s (write { name = { … }; })",
                     value_kind_text(value.kind));
        return;
    }
    list->count = node_count(outer->node);
    list->items = arena_array(loader->arena, list->count, sizeof(*list->items));
    for (unsigned i = 0; i < list->count; i++) {
        const struct node *node = node_at(outer->node, i);
        struct place place = place_setting(loader, node_name(node), node);
        char *structure = structure_new(loader, row->section);
        list->items[i] = structure;
        if (row->section->name_offset)
            *(const char **)(structure + row->section->name_offset) =
                arena_strdup(loader->arena, node_name(node));
        loader->place = &place;
        load_section(loader, row->section, structure);
        loader->place = outer;
    }
    check_count(loader, row, list->count);
}

/* The names that may stand in a ROW_DECLARED. */
static void unknown_declared(struct conf_loader *loader, const char *name)
{
    unsigned count = 0, size = 0;
    for (const struct conf_extension *extension = loader->extensions; extension && extension->name;
         extension++)
        size++;
    const char **names = arena_array(loader->scratch, size + 1, sizeof(*names));
    for (unsigned i = 0; i < size; i++)
        if (loader->extensions[i].declared)
            names[count++] = loader->extensions[i].name;
    loader_error(loader, "nothing of that kind can be declared%s",
                 suggest_text(name, names, count, loader->scratch));
}

/* What one policy has declared, at loader->place: { NAME = {…}; } */
static void load_declarations(struct conf_loader *loader, const struct conf_extension *extension,
                              struct conf_declared *declared)
{
    const struct row row = {.kind = ROW_MAP, .section = extension->declared};
    const struct node *group = loader->place->node;
    struct conf_list list = {NULL, 0};
    load_map(loader, &row, &list);
    for (unsigned i = 0; i < list.count; i++)
        declared->items[declared->count++] = (struct conf_declaration){
            .extension = extension,
            .origin = *(struct origin *)list.items[i],
            .name = arena_strdup(loader->arena, node_name(node_at(group, i))),
            .conf = list.items[i],
        };
}

/* { POLICY = { NAME = {…}; }; } */
static void load_declared(struct conf_loader *loader, struct conf_declared *declared)
{
    const struct place *outer = loader->place;
    const struct value value = node_value(outer->node);
    unsigned count = 0;
    if (value.kind != VALUE_GROUP) {
        loader_error(loader, "must be a group, not %s (write { KIND = { NAME = { … }; }; })",
                     value_kind_text(value.kind));
        return;
    }
    for (unsigned i = 0; i < node_count(outer->node); i++)
        if (node_value(node_at(outer->node, i)).kind == VALUE_GROUP)
            count += node_count(node_at(outer->node, i));
    declared->items = arena_array(loader->arena, count, sizeof(*declared->items));
    for (unsigned i = 0; i < node_count(outer->node); i++) {
        const struct node *node = node_at(outer->node, i);
        struct place place = place_setting(loader, node_name(node), node);
        const struct conf_extension *extension = loader->extensions;
        while (extension && extension->name &&
               !(extension->declared && strcmp(extension->name, node_name(node)) == 0))
            extension++;
        loader->place = &place;
        if (extension && extension->name)
            load_declarations(loader, extension, declared);
        else
            unknown_declared(loader, node_name(node));
        loader->place = outer;
    }
}

/* The setting that is at loader->place. */
static void load_row(struct conf_loader *loader, const struct row *row, void *target)
{
    switch (row->kind) {
    case ROW_GROUP:
        load_section(loader, row->section, target);
        break;
    case ROW_OPTIONAL:
        *(void **)target = structure_new(loader, row->section);
        load_section(loader, row->section, *(void **)target);
        break;
    case ROW_LIST:
        load_list(loader, row, target);
        break;
    case ROW_MAP:
        load_map(loader, row, target);
        break;
    case ROW_DECLARED:
        load_declared(loader, target);
        break;
    default: {
        struct value value = node_value(loader->place->node);
        value_store(loader, row, target, &value);
    }
    }
}

/* A setting that isn't there. */
static void default_row(struct conf_loader *loader, const struct row *row, void *target)
{
    if (row->flags & ROW_REQUIRED)
        loader_error(loader, "is missing%s%s%s", row->help ? " (" : "", row->help ? row->help : "",
                     row->help ? ")" : "");
    else if (row->kind == ROW_GROUP)
        load_section(loader, row->section, target);
    else
        value_default(loader, row, target);
}

static const struct row *row_find(const struct section *section, const char *name)
{
    for (const struct row *row = section->rows; row->name; row++)
        if (row->kind != ROW_POLICIES && strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

static const struct row *row_policies(const struct section *section)
{
    for (const struct row *row = section->rows; row->name; row++)
        if (row->kind == ROW_POLICIES)
            return row;
    return NULL;
}

static const struct conf_extension *extension_find(struct conf_loader *loader, const struct section *section,
                                                   const char *name)
{
    if (!loader->extensions || !row_policies(section))
        return NULL;
    for (const struct conf_extension *extension = loader->extensions; extension->name; extension++)
        if (strcmp(extension->name, name) == 0)
            return extension;
    return NULL;
}

static void unknown_setting(struct conf_loader *loader, const struct section *section, const char *name)
{
    bool policies = row_policies(section) && loader->extensions;
    unsigned count = 0, size = 0;
    for (const struct row *row = section->rows; row->name; row++)
        size++;
    for (const struct conf_extension *extension = loader->extensions; policies && extension->name;
         extension++)
        size++;
    const char **names = arena_array(loader->scratch, size + 1, sizeof(*names));
    for (const struct row *row = section->rows; row->name; row++)
        if (row->kind != ROW_POLICIES)
            names[count++] = row->name;
    for (const struct conf_extension *extension = loader->extensions; policies && extension->name;
         extension++)
        names[count++] = extension->name;
    loader_error(loader, "unknown setting%s", suggest_text(name, names, count, loader->scratch));
}

/* One use of an extension, at loader->place. */
static void load_policy(struct conf_loader *loader, const struct conf_extension *extension,
                        struct conf_policy *policy)
{
    struct value value = node_value(loader->place->node);
    *policy = (struct conf_policy){.extension = extension, .origin = loader->place->origin};
    if (value.kind == VALUE_FLAG && !value.flag) {
        policy->off = true;
        return;
    }
    policy->conf = structure_new(loader, extension->section);
    load_section(loader, extension->section, policy->conf);
}

/* A setting that a policy declares, at loader->place: one use, or a list of them. */
static void load_extension(struct conf_loader *loader, const struct conf_extension *extension,
                           struct conf_policies *policies)
{
    const struct place *outer = loader->place;
    bool list = extension->list && node_value(outer->node).kind == VALUE_LIST;
    if (!list) {
        load_policy(loader, extension, &policies->items[policies->count++]);
        return;
    }
    if (!node_count(outer->node))
        loader_error(loader, "the list is empty (write false to switch it off, or leave it out)");
    for (unsigned i = 0; i < node_count(outer->node); i++) {
        struct place place = place_element(loader, i, node_at(outer->node, i));
        loader->place = &place;
        load_policy(loader, extension, &policies->items[policies->count++]);
        loader->place = outer;
    }
}

/* How many uses of extensions a group has at most. */
static unsigned count_policies(const struct node *group)
{
    unsigned count = 0;
    for (unsigned i = 0; i < node_count(group); i++) {
        const struct node *node = node_at(group, i);
        count += node_value(node).kind == VALUE_LIST ? node_count(node) : 1;
    }
    return count;
}

/* The settings of a group, in the file's order. Returns which rows were there, a bit each; `*elements` counts the
 * errors that are in elements of lists and in policies. */
static uint64_t load_settings(struct conf_loader *loader, const struct section *section, void *structure,
                              unsigned *elements)
{
    const struct place *outer = loader->place;
    const struct row *uses = row_policies(section);
    struct conf_policies *policies = uses ? (void *)((char *)structure + uses->offset) : NULL;
    uint64_t seen = 0;
    if (policies && loader->extensions)
        policies->items = arena_array(loader->arena, count_policies(outer->node), sizeof(*policies->items));
    for (unsigned i = 0; i < node_count(outer->node); i++) {
        const struct node *node = node_at(outer->node, i);
        struct place place = place_setting(loader, node_name(node), node);
        const struct row *row = row_find(section, node_name(node));
        const struct conf_extension *extension =
            row ? NULL : extension_find(loader, section, node_name(node));
        unsigned before = loader->errors->count;
        loader->place = &place;
        if (row) {
            assert(row - section->rows < 64);
            seen |= 1ull << (row - section->rows);
            load_row(loader, row, (char *)structure + row->offset);
        } else if (extension) {
            load_extension(loader, extension, policies);
        } else {
            unknown_setting(loader, section, node_name(node));
        }
        loader->place = outer;
        if (extension ||
            (row && (row->kind == ROW_LIST || row->kind == ROW_MAP || row->kind == ROW_DECLARED)))
            *elements += loader->errors->count - before;
    }
    return seen;
}

static void load_defaults(struct conf_loader *loader, const struct section *section, void *structure,
                          uint64_t seen)
{
    const struct place *outer = loader->place;
    for (const struct row *row = section->rows; row->name; row++) {
        if (row->kind == ROW_POLICIES || seen & (1ull << (row - section->rows)))
            continue;
        struct place place = place_setting(loader, row->name, NULL);
        loader->place = &place;
        default_row(loader, row, (char *)structure + row->offset);
        loader->place = outer;
    }
}

/* A section from what stands at loader->place: a group, or a bare value for its shorthand, or nothing. */
static void load_section(struct conf_loader *loader, const struct section *section, void *structure)
{
    const struct node *node = loader->place->node;
    struct value value = node ? node_value(node) : (struct value){.kind = VALUE_GROUP};
    unsigned before = loader->errors->count, elements = 0;
    uint64_t seen = 0;
    *(struct origin *)structure = loader->place->origin;
    if (node && value.kind == VALUE_GROUP) {
        seen = load_settings(loader, section, structure, &elements);
    } else if (node && section->shorthand) {
        const struct row *row = row_find(section, section->shorthand);
        assert(row);
        seen = 1ull << (row - section->rows);
        load_row(loader, row, (char *)structure + row->offset);
    } else if (node) {
        const char *hint = value.kind == VALUE_LIST ? "write { … } without ( )" : "write { … }";
        loader_error(loader, "must be a group, not %s (%s)", value_kind_text(value.kind), hint);
        return;
    }
    load_defaults(loader, section, structure, seen);
    bool own_errors = loader->errors->count - before > elements;
    if (!loader->place->up)
        loader->whole = loader->errors->count == loader->errors_before;
    if (section->check && (!own_errors || !loader->place->up))
        section->check(loader, structure);
}

void *conf_load(const char *path, const struct section *root, const struct conf_extension *extensions,
                struct arena *arena, struct errors *errors, bool *whole)
{
    struct arena *scratch = arena_new(256 << 10);
    struct conf_loader loader = {
        .arena = arena,
        .scratch = scratch,
        .errors = errors,
        .errors_before = errors->count,
        .tokens = {.arena = scratch, .names = arena, .errors = errors},
        .extensions = extensions,
    };
    void *structure = NULL;
    if (source_read(&loader.tokens, NULL, path, (struct origin){NULL, 0}) && syntax_check(&loader.tokens))
        loader.tree = tree_build(&loader.tokens);
    if (loader.tree) {
        const struct place place = {
            .node = tree_root(loader.tree),
            .origin = {arena_strdup(arena, path), 0},
        };
        loader.place = &place;
        structure = structure_new(&loader, root);
        load_section(&loader, root, structure);
    }
    if (whole)
        *whole = loader.whole;
    arena_free(&scratch);
    return structure;
}

void *conf_defaults(const struct section *root, struct arena *arena, struct errors *errors)
{
    struct arena *scratch = arena_new(16 << 10);
    const struct place place = {.node = NULL};
    struct conf_loader loader = {.arena = arena, .scratch = scratch, .errors = errors, .place = &place};
    void *structure = structure_new(&loader, root);
    load_section(&loader, root, structure);
    arena_free(&scratch);
    return structure;
}
