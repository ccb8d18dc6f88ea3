/* field_line: one line of a header or trailer section. Called by parse.c; eight bytes are looked at in one step. */
#include "worker/http/field_line.h"

#include "shared/base/scan.h"
#include "shared/base/token.h"

static inline bool is_control(char c)
{
    return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

const char *field_control(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t word = scan_load(at), marks = scan_below(word, ' ') | scan_equal(word, 0x7f);
        if (!marks) {
            at += 8;
            continue;
        }
        at += scan_lowest(marks);
        if (*at != '\t')
            return at;
        at++;
    }
    while (at < end && !is_control(*at))
        at++;
    return at;
}

/* The first colon, space or control in [at, end), or `end`. */
static const char *name_end(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word = scan_load(at), marks = scan_below(word, ' ' + 1) | scan_equal(word, ':');
        if (marks)
            return at + scan_lowest(marks);
    }
    while (at < end && *at != ':' && (unsigned char)*at > ' ')
        at++;
    return at;
}

const char *field_line_read(const char *at, const char *end, struct field *field, const char **why)
{
    const char *colon = name_end(at, end);
    field->name = (struct str){at, (size_t)(colon - at)};
    field->id = field->name.length ? field_id_of(field->name) : FIELD_OTHER;
    /* The names that are known are good ones. */
    if (field->id == FIELD_OTHER && !is_token(field->name)) {
        *why = field->name.length ? "a field name has characters that it may not have"
                                  : "a line of the head has no field name";
        return NULL;
    }
    if (*colon != ':') {
        *why = *colon == ' ' || *colon == '\t' ? "there is a space between a field name and its colon"
                                               : "a line of the head is not a field";
        return NULL;
    }
    const char *value = colon + 1;
    while (*value == ' ' || *value == '\t')
        value++;
    const char *line_end = field_control(value, end), *last = line_end;
    if (end - line_end < 2 || line_end[0] != '\r' || line_end[1] != '\n') {
        *why = "a field value has control characters";
        return NULL;
    }
    while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    field->value = (struct str){value, (size_t)(last - value)};
    field->line = value == colon + 2 && colon[1] == ' ' && last == line_end;
    return line_end + 2;
}
