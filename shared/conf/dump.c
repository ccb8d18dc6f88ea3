/* dump: the effective values, as a configuration that reads back the same; and which of them a reload can't change.
 * `gatehouse config --dump`, and the master's reload and upgrade call it. */
#include <stdlib.h>
#include <string.h>

#include "shared/conf/loader.h"
#include "shared/conf/print.h"

/* What stands for a secret. */
#define MASK "********"

struct dump {
    FILE *out;
    bool whole; /* secrets as they are */
    struct arena *scratch;
    unsigned depth;
};

static void dump_section(struct dump *dump, const struct section *section, const void *structure);

static void dump_indent(struct dump *dump)
{
    fprintf(dump->out, "%*s", (int)dump->depth * 4, "");
}

/* In quotes, with libconfig's escapes. */
static void dump_text(struct dump *dump, const char *text)
{
    fputc('"', dump->out);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(dump->out, "\\%c", *c);
        else if (*c == '\n')
            fputs("\\n", dump->out);
        else if (*c == '\t')
            fputs("\\t", dump->out);
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            fprintf(dump->out, "\\x%02x", (unsigned char)*c);
        else
            fputc(*c, dump->out);
    }
    fputc('"', dump->out);
}

static void dump_number(struct dump *dump, int64_t number)
{
    bool large = number < INT32_MIN || number > INT32_MAX;
    fprintf(dump->out, "%lld%s", (long long)number, large ? "L" : "");
}

/* The shortest form that reads back the same, with a point in it. */
static void dump_real(struct dump *dump, double real)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, real);
        if (strtod(text, NULL) == real)
            break;
    }
    int whole = (int)strspn(text, "-0123456789");
    fprintf(dump->out, "%.*s%s%s", whole, text, text[whole] == '.' ? "" : ".0", text + whole);
}

static void dump_strings(struct dump *dump, const struct conf_strings *strings, bool secret)
{
    fputs("[", dump->out);
    for (unsigned i = 0; i < strings->count; i++) {
        fputs(i ? ", " : " ", dump->out);
        dump_text(dump, secret ? MASK : strings->items[i]);
    }
    fputs(" ]", dump->out);
}

static void dump_numbers(struct dump *dump, const struct conf_numbers *numbers)
{
    fputs("[", dump->out);
    for (unsigned i = 0; i < numbers->count; i++) {
        fputs(i ? ", " : " ", dump->out);
        dump_number(dump, numbers->items[i]);
    }
    fputs(" ]", dump->out);
}

static void dump_group(struct dump *dump, const struct section *section, const void *structure)
{
    fputs("{\n", dump->out);
    dump->depth++;
    dump_section(dump, section, structure);
    dump->depth--;
    dump_indent(dump);
    fputs("}", dump->out);
}

/* ( {…}, {…} ) */
static void dump_list(struct dump *dump, const struct section *section, const struct conf_list *list)
{
    fputs("(", dump->out);
    for (unsigned i = 0; i < list->count; i++) {
        fputs(i ? ", " : " ", dump->out);
        dump_group(dump, section, list->items[i]);
    }
    fputs(" )", dump->out);
}

/* { name = {…}; } */
static void dump_map(struct dump *dump, const struct section *section, const struct conf_list *list)
{
    fputs("{\n", dump->out);
    dump->depth++;
    for (unsigned i = 0; i < list->count; i++) {
        dump_indent(dump);
        fprintf(dump->out,
                "%s = ", *(const char *const *)((const char *)list->items[i] + section->name_offset));
        dump_group(dump, section, list->items[i]);
        fputs(";\n", dump->out);
    }
    dump->depth--;
    dump_indent(dump);
    fputs("}", dump->out);
}

/* What is declared, by the policies that it is for; the file may name one policy only once. */
static void dump_declared(struct dump *dump, const struct conf_declared *declared)
{
    const struct conf_extension *open = NULL;
    fputs("{\n", dump->out);
    dump->depth++;
    for (unsigned i = 0; i < declared->count; i++) {
        const struct conf_declaration *item = &declared->items[i];
        if (item->extension != open) {
            dump_indent(dump);
            fprintf(dump->out, "%s = {\n", item->extension->name);
            open = item->extension;
            dump->depth++;
        }
        dump_indent(dump);
        fprintf(dump->out, "%s = ", item->name);
        dump_group(dump, item->extension->declared, item->conf);
        fputs(";\n", dump->out);
        if (i + 1 == declared->count || declared->items[i + 1].extension != open) {
            dump->depth--;
            dump_indent(dump);
            fputs("};\n", dump->out);
        }
    }
    dump->depth--;
    dump_indent(dump);
    fputs("}", dump->out);
}

/* Whether there is nothing to write: written, it would be another value than it is. */
static bool dump_absent(const struct row *row, const void *field)
{
    switch (row->kind) {
    case ROW_DECLARED:
        return ((const struct conf_declared *)field)->count == 0;
    case ROW_NUMBER:
    case ROW_DURATION:
    case ROW_SIZE:
        return !row->fallback && row->min > 0 &&
               *(const int64_t *)field == 0; /* it may not be 0: it isn't there */
    case ROW_STRING:
        return !*(const char *const *)field;
    case ROW_OPTIONAL:
        return !*(void *const *)field;
    case ROW_STRINGS:
        return !((const struct conf_strings *)field)->count && !row->fallback;
    case ROW_NUMBERS:
        return !((const struct conf_numbers *)field)->count && !row->fallback;
    case ROW_LIST:
    case ROW_MAP:
        return !((const struct conf_list *)field)->count;
    default:
        return false;
    }
}

static void dump_value(struct dump *dump, const struct row *row, const void *field)
{
    bool secret = row->flags & ROW_SECRET && !dump->whole;
    switch (row->kind) {
    case ROW_FLAG:
        fputs(*(const bool *)field ? "true" : "false", dump->out);
        break;
    case ROW_NUMBER:
        dump_number(dump, *(const int64_t *)field);
        break;
    case ROW_REAL:
        dump_real(dump, *(const double *)field);
        break;
    case ROW_STRING:
        dump_text(dump, secret ? MASK : *(const char *const *)field);
        break;
    case ROW_DURATION:
        dump_text(dump, units_duration(*(const int64_t *)field, dump->scratch));
        break;
    case ROW_SIZE:
        dump_text(dump, units_size(*(const int64_t *)field, dump->scratch));
        break;
    case ROW_WORD:
        dump_text(dump, row->words[*(const int *)field]);
        break;
    case ROW_STRINGS:
        dump_strings(dump, field, secret);
        break;
    case ROW_NUMBERS:
        dump_numbers(dump, field);
        break;
    case ROW_GROUP:
        dump_group(dump, row->section, field);
        break;
    case ROW_OPTIONAL:
        dump_group(dump, row->section, *(void *const *)field);
        break;
    case ROW_LIST:
        dump_list(dump, row->section, field);
        break;
    case ROW_MAP:
        dump_map(dump, row->section, field);
        break;
    case ROW_POLICIES:
        break;
    case ROW_DECLARED:
        dump_declared(dump, field);
        break;
    }
}

/* Each extension once, with all its uses: those of one setting stand together. */
static void dump_policies(struct dump *dump, const struct conf_policies *policies)
{
    for (unsigned i = 0, end; i < policies->count; i = end) {
        const struct conf_policy *policy = &policies->items[i];
        for (end = i + 1; end < policies->count && policies->items[end].extension == policy->extension;)
            end++;
        dump_indent(dump);
        fprintf(dump->out, "%s = ", policy->extension->name);
        if (end - i > 1)
            fputs("( ", dump->out);
        for (unsigned j = i; j < end; j++) {
            if (j > i)
                fputs(", ", dump->out);
            if (policies->items[j].off)
                fputs("false", dump->out);
            else
                dump_group(dump, policy->extension->section, policies->items[j].conf);
        }
        fputs(end - i > 1 ? " );\n" : ";\n", dump->out);
    }
}

static void dump_section(struct dump *dump, const struct section *section, const void *structure)
{
    for (const struct row *row = section->rows; row->name; row++) {
        const void *field = (const char *)structure + row->offset;
        if (row->kind == ROW_POLICIES) {
            dump_policies(dump, field);
            continue;
        }
        if (dump_absent(row, field))
            continue;
        dump_indent(dump);
        fprintf(dump->out, "%s = ", row->name);
        dump_value(dump, row, field);
        fputs(";\n", dump->out);
    }
}

static void dump_root(FILE *out, bool whole, const struct section *root, const void *structure)
{
    struct dump dump = {.out = out, .whole = whole, .scratch = arena_new(16 << 10)};
    dump_section(&dump, root, structure);
    arena_free(&dump.scratch);
}

void conf_dump(FILE *out, const struct section *root, const void *structure)
{
    dump_root(out, false, root, structure);
}

void conf_dump_whole(FILE *out, const struct section *root, const void *structure)
{
    dump_root(out, true, root, structure);
}

static bool strings_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Whether the two fields have the same value. A row that needs a restart is a plain value. */
static bool values_equal(const struct row *row, const void *a, const void *b)
{
    const struct conf_strings *x = a, *y = b;
    switch (row->kind) {
    case ROW_FLAG:
        return *(const bool *)a == *(const bool *)b;
    case ROW_WORD:
        return *(const int *)a == *(const int *)b;
    case ROW_REAL:
        return *(const double *)a == *(const double *)b;
    case ROW_STRING:
        return strings_equal(*(const char *const *)a, *(const char *const *)b);
    case ROW_STRINGS:
        if (x->count != y->count)
            return false;
        for (unsigned i = 0; i < x->count; i++)
            if (!strings_equal(x->items[i], y->items[i]))
                return false;
        return true;
    default:
        return *(const int64_t *)a == *(const int64_t *)b;
    }
}

const char *conf_restart_needed(const struct section *root, const void *before, const void *after,
                                struct arena *arena)
{
    for (const struct row *row = root->rows; row->name; row++) {
        const void *a = (const char *)before + row->offset, *b = (const char *)after + row->offset;
        if (row->kind == ROW_GROUP) {
            const char *name = conf_restart_needed(row->section, a, b, arena);
            if (name)
                return arena_printf(arena, "%s.%s", row->name, name);
        } else if (row->flags & ROW_RESTART && !values_equal(row, a, b)) {
            return arena_strdup(arena, row->name);
        }
    }
    return NULL;
}
