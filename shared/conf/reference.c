/* reference: the manual of all settings, from the rows. `gatehouse config --reference` calls it, as text for a
 * terminal and as roff for gatehouse.conf(5). */
#include <ctype.h>
#include <string.h>

#include "shared/conf/loader.h"
#include "shared/conf/print.h"

struct reference {
    FILE *out;
    struct arena *scratch;
    bool roff;
    bool begun;
};

static void reference_section(struct reference *reference, const struct section *section, const char *path);

/* In roff some characters that are typed mean something else, and so do a dot or quote at a line's start. */
static void reference_put(struct reference *reference, const char *text)
{
    static const struct {
        char typed;
        const char *roff;
    } escapes[] = {{'\\', "\\e"}, {'-', "\\-"}, {'^', "\\(ha"}, {'~', "\\(ti"}, {'`', "\\(ga"}};
    if (reference->roff && (*text == '.' || *text == '\''))
        fputs("\\&", reference->out);
    for (const char *c = text; *c; c++) {
        const char *escape = NULL;
        for (size_t i = 0; reference->roff && i < sizeof(escapes) / sizeof(*escapes); i++)
            if (*c == escapes[i].typed)
                escape = escapes[i].roff;
        if (escape)
            fputs(escape, reference->out);
        else
            fputc(*c, reference->out);
    }
}

/* A row's help as a sentence. */
static const char *reference_sentence(struct reference *reference, const char *help)
{
    char *sentence = arena_printf(reference->scratch, "%s.", help ? help : "");
    *sentence = (char)toupper((unsigned char)*sentence);
    return sentence;
}

static void reference_heading(struct reference *reference, const char *text)
{
    if (reference->roff) {
        fputs(".SS ", reference->out);
        reference_put(reference, text);
        fputc('\n', reference->out);
        return;
    }
    fprintf(reference->out, "\n%s\n", text);
    for (const char *c = text; *c; c++)
        fputc('-', reference->out);
    fputs("\n", reference->out);
}

/* A chapter: settings, policies. */
static void reference_chapter(struct reference *reference, const char *text)
{
    if (reference->roff)
        fprintf(reference->out, ".SH %s\n", text);
    else
        fprintf(reference->out, "%s%s\n", reference->begun ? "\n" : "", text);
    reference->begun = true;
}

/* A setting's name and form; what follows it is indented. */
static void reference_term(struct reference *reference, const char *path, const char *form)
{
    fputs(reference->roff ? ".TP\n\\fB" : "\n", reference->out);
    reference_put(reference, path);
    fputs(reference->roff ? "\\fR" : "", reference->out);
    if (*form) {
        fputs(" = ", reference->out);
        reference_put(reference, form);
    }
    fputc('\n', reference->out);
}

/* A line of its own below the term. */
static void reference_line(struct reference *reference, const char *text, bool first)
{
    if (reference->roff && !first)
        fputs(".br\n", reference->out);
    if (!reference->roff)
        fputs("    ", reference->out);
    reference_put(reference, text);
    fputc('\n', reference->out);
}

/* How a value is written. */
static const char *row_form(struct reference *reference, const struct row *row)
{
    const char *words = "";
    switch (row->kind) {
    case ROW_FLAG:
        return "true | false";
    case ROW_NUMBER:
    case ROW_REAL:
        return "number";
    case ROW_STRING:
        return row->flags & ROW_PATH ? "\"path\"" : "\"text\"";
    case ROW_DURATION:
        return "\"duration\"";
    case ROW_SIZE:
        return "\"size\"";
    case ROW_WORD:
        for (unsigned i = 0; row->words[i]; i++)
            words = arena_printf(reference->scratch, "%s%s\"%s\"", words, i ? " | " : "", row->words[i]);
        return words;
    case ROW_STRINGS:
        return "[ \"text\", ... ]";
    case ROW_NUMBERS:
        return "[ number, ... ]";
    case ROW_GROUP:
    case ROW_OPTIONAL:
        return "{ ... }";
    case ROW_LIST:
        return "( { ... }, ... )";
    case ROW_MAP:
        return "{ NAME = { ... }; ... }";
    case ROW_POLICIES:
        return "";
    case ROW_DECLARED:
        return "{ POLICY = { NAME = { ... }; ... }; ... }";
    }
    return "";
}

static const char *row_bounds(struct reference *reference, const struct row *row)
{
    struct arena *arena = reference->scratch;
    if ((row->min == 0 && row->max == 0) || row->kind == ROW_LIST || row->kind == ROW_MAP)
        return NULL;
    if (row->kind == ROW_DURATION)
        return arena_printf(arena, "\"%s\" to \"%s\"", units_duration(row->min, arena),
                            units_duration(row->max, arena));
    if (row->kind == ROW_SIZE)
        return arena_printf(arena, "\"%s\" to \"%s\"", units_size(row->min, arena),
                            units_size(row->max, arena));
    return arena_printf(arena, "%lld to %lld", (long long)row->min, (long long)row->max);
}

/* "Default: 5. 1 to 10." and so on; "" if there is nothing to say. */
static const char *row_facts(struct reference *reference, const struct row *row)
{
    struct arena *arena = reference->scratch;
    bool quoted =
        row->kind != ROW_FLAG && row->kind != ROW_NUMBER && row->kind != ROW_REAL && row->kind != ROW_NUMBERS;
    const char *facts = "", *bounds = row_bounds(reference, row);
    if (row->flags & ROW_REQUIRED)
        facts = "Required. ";
    if (row->fallback)
        facts = arena_printf(arena, "%sDefault: %s%s%s. ", facts, quoted ? "\"" : "", row->fallback,
                             quoted ? "\"" : "");
    if (bounds)
        facts = arena_printf(arena, "%sFrom %s. ", facts, bounds);
    if (row->flags & ROW_SECRET)
        facts = arena_printf(arena, "%s\"file:PATH\" and \"env:NAME\" fetch it; it is never shown. ", facts);
    if (row->flags & ROW_RESTART)
        facts = arena_printf(arena, "%sA change needs a restart. ", facts);
    size_t length = strlen(facts);
    return length ? arena_strndup(arena, facts, length - 1) : facts;
}

/* What stands for the group by itself. */
static void reference_shorthand(struct reference *reference, const struct section *section)
{
    if (section->shorthand)
        reference_line(
            reference,
            arena_printf(reference->scratch, "A value alone, without { }, is its %s.", section->shorthand),
            false);
}

static void reference_row(struct reference *reference, const struct row *row, const char *path)
{
    const char *name = arena_printf(reference->scratch, "%s%s", path, row->name), *below = name;
    if (row->kind == ROW_POLICIES) {
        reference_term(reference, arena_printf(reference->scratch, "%sPOLICY", path), "");
        reference_line(reference,
                       arena_printf(reference->scratch, "One of the policies below: %s.", row->help), true);
        return;
    }
    reference_term(reference, name, row_form(reference, row));
    reference_line(reference, reference_sentence(reference, row->help), true);
    const char *facts = row_facts(reference, row);
    if (*facts)
        reference_line(reference, facts, false);
    if (!row->section)
        return;
    reference_shorthand(reference, row->section);
    if (row->kind == ROW_LIST)
        below = arena_printf(reference->scratch, "%s[]", name);
    else if (row->kind == ROW_MAP)
        below = arena_printf(reference->scratch, "%s.NAME", name);
    reference_section(reference, row->section, arena_printf(reference->scratch, "%s.", below));
}

static void reference_section(struct reference *reference, const struct section *section, const char *path)
{
    for (const struct row *row = section->rows; row->name; row++)
        reference_row(reference, row, path);
}

/* The plain settings of the top level, then each of its sections. */
static void reference_root(struct reference *reference, const struct section *root)
{
    reference_chapter(reference, "SETTINGS");
    reference_heading(reference, "The program");
    for (const struct row *row = root->rows; row->name; row++)
        if (!row->section)
            reference_row(reference, row, "");
    for (const struct row *row = root->rows; row->name; row++) {
        if (!row->section)
            continue;
        reference_heading(reference, row->name);
        reference_row(reference, row, "");
    }
}

static void reference_extension(struct reference *reference, const struct conf_extension *extension)
{
    reference_heading(reference, extension->name);
    reference_term(reference, extension->name,
                   extension->list ? "{ ... } | ( { ... }, ... ) | false" : "{ ... } | false");
    reference_line(reference, reference_sentence(reference, extension->help), true);
    reference_shorthand(reference, extension->section);
    reference_section(reference, extension->section,
                      arena_printf(reference->scratch, "%s.", extension->name));
    if (!extension->declared)
        return;
    const char *declared = arena_printf(reference->scratch, "auth.%s.NAME", extension->name);
    reference_term(reference, declared, "{ ... }");
    reference_line(reference, "At the top level: what the policy's `use` names.", true);
    reference_shorthand(reference, extension->declared);
    reference_section(reference, extension->declared, arena_printf(reference->scratch, "%s.", declared));
}

static void reference_name(void *context, const char *name, bool argument, const char *help)
{
    struct reference *reference = context;
    reference_term(reference, arena_printf(reference->scratch, "${%s%s}", name, argument ? ".NAME" : ""), "");
    reference_line(reference, reference_sentence(reference, help), true);
}

void conf_reference_names(FILE *out, void (*each)(conf_tell_name *tell, void *context), bool roff)
{
    struct reference reference = {.out = out, .scratch = arena_new(16 << 10), .roff = roff, .begun = true};
    static const char what[] =
        "In a text that may hold variables ${name} is the value, and ${name:-default}\n"
        "the default when there is none or it is empty. $${ is a plain ${.\n";
    reference_chapter(&reference, "VALUES");
    fputs(what, out);
    each(reference_name, &reference);
    arena_free(&reference.scratch);
}

void conf_reference(FILE *out, const struct section *root, const struct conf_extension *extensions, bool roff)
{
    struct reference reference = {.out = out, .scratch = arena_new(64 << 10), .roff = roff};
    static const char units[] =
        "A duration is \"250ms\", \"30s\", \"5m\", \"1h\", \"1d\", \"1y\" (365 days) or \"0\";\n"
        "a size is \"512\", \"64K\", \"1M\", \"1G\" or \"1T\".\n"
        "A relative path is relative to the file that it is written in.\n";
    static const char where[] = "They stand in defaults, in an API and in a route.\n"
                                "A route's wins over its API's, an API's over that of the defaults;\n"
                                "false switches an inherited one off.\n";
    reference_root(&reference, root);
    if (extensions && extensions->name) {
        reference_chapter(&reference, "POLICIES");
        fputs(where, out);
        for (const struct conf_extension *extension = extensions; extension->name; extension++)
            reference_extension(&reference, extension);
    }
    reference_chapter(&reference, "UNITS");
    fputs(units, out);
    arena_free(&reference.scratch);
}
