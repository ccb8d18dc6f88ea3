/* lex: a file's text becomes tokens, by the rules of libconfig's scanner.
 *
 * source.c calls it. Differences, all of them for the user's good: a number has no silent range, a text can't hide a
 * NUL, and text that stands without its quotes is told and read on, so that one mistake doesn't hide the next.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "shared/conf/token.h"

struct lexer {
    struct tokens *tokens;
    const struct source *source;
    const char *at, *end;
    unsigned line;
};

void token_add(struct tokens *tokens, struct token token)
{
    if (tokens->count == tokens->size) {
        unsigned size = tokens->size ? 2 * tokens->size : 1024;
        struct token *items = arena_alloc(tokens->arena, size * sizeof(*items));
        if (tokens->count)
            memcpy(items, tokens->items, tokens->count * sizeof(*items));
        tokens->items = items;
        tokens->size = size;
    }
    tokens->items[tokens->count++] = token;
}

static struct origin lex_here(const struct lexer *lexer)
{
    return (struct origin){lexer->source->path, lexer->line};
}

static void lex_add(struct lexer *lexer, enum token_kind kind, const char *data, size_t length)
{
    token_add(lexer->tokens, (struct token){.kind = kind, .origin = lex_here(lexer), .text = {data, length}});
}

/* When a text of several lines stands just before a mistake, its quote is the likely cause. */
static const char *lex_hint(const struct lexer *lexer)
{
    const struct tokens *tokens = lexer->tokens;
    if (!tokens->count || !tokens->items[tokens->count - 1].spans)
        return "";
    return arena_printf(tokens->arena, "; the text before it began in line %u: is its closing quote missing?",
                        tokens->items[tokens->count - 1].origin.line);
}

static void lex_newlines(struct lexer *lexer, const char *from, const char *to)
{
    for (const char *p = from; p < to && (p = memchr(p, '\n', (size_t)(to - p))); p++)
        lexer->line++;
}

/* Blanks and comments. */
static void lex_skip(struct lexer *lexer)
{
    while (lexer->at < lexer->end) {
        const char *at = lexer->at;
        size_t left = (size_t)(lexer->end - at);
        if (*at == '\n' || *at == ' ' || *at == '\t' || *at == '\r' || *at == '\f') {
            lexer->line += *at == '\n';
            lexer->at++;
        } else if (*at == '#' || (left > 1 && at[0] == '/' && at[1] == '/')) {
            const char *end = memchr(at, '\n', left);
            lexer->at = end ? end : lexer->end;
        } else if (left > 1 && at[0] == '/' && at[1] == '*') {
            const char *end = memmem(at + 2, left - 2, "*/", 2);
            if (!end)
                errors_add(lexer->tokens->errors, lex_here(lexer),
                           "syntax: this comment is never closed (end it by */)");
            lexer->at = end ? end + 2 : lexer->end;
            lex_newlines(lexer, at, lexer->at);
        } else {
            return;
        }
    }
}

/* Where the text that starts at `at` has its closing quote; NULL: nowhere. */
static const char *lex_text_end(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '"')
            return at;
        if (*at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\'))
            at++;
    }
    return NULL;
}

/* The text in one line, for a token is a line of what libconfig reads. */
static struct str lex_flatten(struct arena *arena, struct str text)
{
    char *flat = arena_alloc(arena, 3 * text.length), *out = flat;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i], next = i + 1 < text.length ? text.data[i + 1] : '\0';
        if (c == '\n') {
            *out++ = '\\';
            *out++ = 'n';
        } else if (c == '\\' && next == '\n') { /* a backslash that means itself */
            *out++ = '\\';
            *out++ = '\\';
        } else {
            *out++ = c;
            if (c == '\\' && (next == '\\' || next == '"')) {
                *out++ = next;
                i++;
            }
        }
    }
    return (struct str){flat, (size_t)(out - flat)};
}

/* Whether `\x00` is in it: C's strings would end there. */
static bool lex_hides_nul(struct str text)
{
    for (size_t i = 0; i + 3 < text.length; i++) {
        if (text.data[i] != '\\')
            continue;
        if ((text.data[i + 1] | 0x20) == 'x' && text.data[i + 2] == '0' && text.data[i + 3] == '0')
            return true;
        if (text.data[i + 1] == '\\' || text.data[i + 1] == '"')
            i++;
    }
    return false;
}

/* From a quote to the next, with both. data NULL: reported, and the file is at its end. */
static struct str lex_quoted(struct lexer *lexer)
{
    const char *end = lex_text_end(lexer->at, lexer->end);
    if (!end) {
        errors_add(lexer->tokens->errors, lex_here(lexer),
                   "syntax: this text is never closed (a \" is missing)%s", lex_hint(lexer));
        lexer->at = lexer->end;
        return (struct str){NULL, 0};
    }
    struct str text = {lexer->at, (size_t)(end + 1 - lexer->at)};
    lexer->at = end + 1;
    return text;
}

static void lex_string(struct lexer *lexer)
{
    struct token token = {.kind = TOKEN_TEXT, .origin = lex_here(lexer), .text = lex_quoted(lexer)};
    if (!token.text.data) /* told; an empty one, so that nothing else seems to be missing */
        token.text = STR("\"\"");
    else
        lex_newlines(lexer, token.text.data, lexer->at);
    token.spans = lexer->line != token.origin.line;
    if (lex_hides_nul(token.text)) {
        errors_add(lexer->tokens->errors, token.origin, "syntax: a text can't contain \\x00");
        token.text = STR("\"\"");
    }
    if (token.spans)
        token.text = lex_flatten(lexer->tokens->arena, token.text);
    token_add(lexer->tokens, token);
}

/* `@include "pattern"`; within the pattern only \\ and \" are escapes. */
static void lex_include(struct lexer *lexer)
{
    struct arena *arena = lexer->tokens->arena;
    struct origin here = lex_here(lexer);
    struct str rest = {lexer->at, (size_t)(lexer->end - lexer->at)};
    size_t word = sizeof("@include") - 1;
    bool is_include = str_starts(rest, STR("@include"));
    while (is_include && word < rest.length && (rest.data[word] == ' ' || rest.data[word] == '\t'))
        word++;
    if (!is_include || word == rest.length || rest.data[word] != '"') {
        errors_add(lexer->tokens->errors, here,
                   "syntax: unexpected \"@\" (write @include \"conf.d/*.conf\")");
        const char *end = memchr(lexer->at, '\n', rest.length);
        lexer->at = end ? end : lexer->end;
        return;
    }
    lexer->at += word;
    struct str quoted = lex_quoted(lexer);
    if (!quoted.data)
        return;
    if (memchr(quoted.data, '\n', quoted.length)) {
        errors_add(lexer->tokens->errors, here,
                   "@include: the path goes over the line's end (a \" is missing)");
        lex_newlines(lexer, quoted.data, lexer->at);
        return;
    }
    char *pattern = arena_alloc(arena, quoted.length), *out = pattern;
    for (size_t i = 1; i + 1 < quoted.length; i++) {
        if (quoted.data[i] == '\\' &&
            (quoted.data[i + 1] == '\\' || (quoted.data[i + 1] == '"' && i + 2 < quoted.length)))
            i++;
        *out++ = quoted.data[i];
    }
    *out = '\0';
    source_include(lexer->tokens, lexer->source, pattern, here);
}

bool lex_is_name(struct str word)
{
    if (!word.length || !(isalpha((unsigned char)*word.data) || *word.data == '*'))
        return false;
    for (size_t i = 1; i < word.length; i++)
        if (!isalnum((unsigned char)word.data[i]) && !strchr("-_*", word.data[i]))
            return false;
    return true;
}

/* A whole number, decimal or 0x…, with libconfig's optional "L". Its token is decimal, with "L" where 32 bits are too
 * few: without it libconfig would cut off the upper half and say nothing. */
static bool lex_integer(struct lexer *lexer, struct str word)
{
    struct arena *arena = lexer->tokens->arena;
    const char *text = arena_strndup(arena, word.data, word.length);
    const char *digits = text + (*text == '-' || *text == '+');
    bool hex = digits == text && text[0] == '0' && (text[1] | 0x20) == 'x';
    char *end;
    if (hex ? !isxdigit((unsigned char)text[2]) : !isdigit((unsigned char)*digits))
        return false;
    errno = 0;
    long long value = strtoll(text, &end, hex ? 16 : 10);
    bool large = errno == ERANGE;
    for (int suffix = 0; *end == 'L' && suffix < 2; suffix++)
        end++;
    if (*end)
        return false;
    if (large)
        errors_add(lexer->tokens->errors, lex_here(lexer), "syntax: the number %s is beyond 64 bits", text);
    if (!hex && digits[0] == '0' && isdigit((unsigned char)digits[1]))
        errors_add(lexer->tokens->errors, lex_here(lexer),
                   "syntax: the number %s begins with 0 (without the 0 if it is decimal, in double quotes if "
                   "it is octal)",
                   text);
    const char *written =
        arena_printf(arena, "%lld%s", value, value < INT32_MIN || value > INT32_MAX ? "L" : "");
    lex_add(lexer, TOKEN_INTEGER, written, strlen(written));
    return true;
}

/* With a point or an exponent; written so that every libconfig knows it for one. */
static bool lex_real(struct lexer *lexer, struct str word)
{
    struct arena *arena = lexer->tokens->arena;
    const char *text = arena_strndup(arena, word.data, word.length);
    char *end;
    if (strspn(text, "0123456789.eE+-") != word.length)
        return false;
    double value = strtod(text, &end);
    if (end == text || *end)
        return false;
    if (!isfinite(value)) {
        errors_add(lexer->tokens->errors, lex_here(lexer), "syntax: the number %s is too large", text);
        value = 0;
    }
    char *written = arena_printf(arena, "%.17g", value);
    size_t whole = strspn(written, "+-0123456789");
    if (written[whole] != '.')
        written = arena_printf(arena, "%.*s.0%s", (int)whole, written, written + whole);
    lex_add(lexer, TOKEN_REAL, written, strlen(written));
    return true;
}

/* What should stand in quotes and doesn't: told, and taken as if it did. */
static void lex_unquoted(struct lexer *lexer, struct str word)
{
    char *text = arena_alloc(lexer->tokens->arena, 2 * word.length + 2), *out = text;
    *out++ = '"';
    for (size_t i = 0; i < word.length; i++) {
        if (word.data[i] == '\\')
            *out++ = '\\';
        *out++ = word.data[i];
    }
    *out++ = '"';
    errors_add(lexer->tokens->errors, lex_here(lexer),
               "syntax: %.*s is text and goes in double quotes (write \"%.*s\")%s", STR_ARG(word),
               STR_ARG(word), lex_hint(lexer));
    lex_add(lexer, TOKEN_TEXT, text, (size_t)(out - text));
}

static bool lex_in_word(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("_*+-.", c));
}

/* Whether a word may end here: else it is a part of text without its quotes, as in a/b. */
static bool lex_ends_word(const char *at, const char *end)
{
    if (at == end || (unsigned char)*at <= ' ' || strchr("=:;,(){}[]\"#", *at))
        return true;
    return *at == '/' && at + 1 < end && (at[1] == '/' || at[1] == '*');
}

/* A name, true, false, a number; anything else is text without its quotes. */
static void lex_word(struct lexer *lexer)
{
    const char *end = lexer->at;
    while (end < lexer->end && lex_in_word(*end))
        end++;
    struct str word = {lexer->at, (size_t)(end - lexer->at)};
    bool whole = lex_ends_word(end, lexer->end);
    if (whole && (str_case_eq(word, STR("true")) || str_case_eq(word, STR("false")))) {
        lex_add(lexer, TOKEN_FLAG, word.data, word.length);
    } else if (whole && lex_is_name(word)) {
        lex_add(lexer, TOKEN_NAME, word.data, word.length);
    } else if (!whole || !word.length || (!lex_integer(lexer, word) && !lex_real(lexer, word))) {
        while (end < lexer->end && (unsigned char)*end > ' ' && !strchr(";,(){}[]\"#", *end))
            end++;
        word.length = (size_t)(end - lexer->at);
        if (word.length)
            lex_unquoted(lexer, word);
    }
    lexer->at = end;
}

/* A sign of one character, or false. */
static bool lex_sign(struct lexer *lexer)
{
    static const char signs[] = "=:{}()[],;";
    static const enum token_kind kinds[] = {
        TOKEN_EQUALS,     TOKEN_EQUALS,     TOKEN_GROUP_OPEN,  TOKEN_GROUP_CLOSE, TOKEN_LIST_OPEN,
        TOKEN_LIST_CLOSE, TOKEN_ARRAY_OPEN, TOKEN_ARRAY_CLOSE, TOKEN_COMMA,       TOKEN_SEMICOLON};
    const char *sign = memchr(signs, *lexer->at, sizeof(signs) - 1);
    if (!sign)
        return false;
    lex_add(lexer, kinds[sign - signs], lexer->at, 1);
    lexer->at++;
    return true;
}

void lex_text(struct tokens *tokens, const struct source *source, struct str text)
{
    struct lexer lexer = {tokens, source, text.data, text.data + text.length, 1};
    const char *nul = memchr(text.data, '\0', text.length);
    if (nul) {
        lex_newlines(&lexer, text.data, nul);
        errors_add(tokens->errors, lex_here(&lexer), "syntax: a NUL byte (is this a text file?)");
        return;
    }
    if (str_starts(text, STR("\xef\xbb\xbf"))) /* the byte order mark of some editors */
        lexer.at += 3;
    for (;;) {
        lex_skip(&lexer);
        if (lexer.at == lexer.end)
            return;
        const char *before = lexer.at;
        if (*lexer.at == '"')
            lex_string(&lexer);
        else if (*lexer.at == '@')
            lex_include(&lexer);
        else if (!lex_sign(&lexer))
            lex_word(&lexer);
        if (lexer.at == before) { /* a control character */
            errors_add(tokens->errors, lex_here(&lexer), "syntax: unexpected byte 0x%02x",
                       (unsigned char)*before);
            lexer.at++;
        }
    }
}
