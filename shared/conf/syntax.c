/* syntax: whether the tokens are settings, told in words; and what is there twice.
 *
 * load.c calls it before libconfig, whose "syntax error" says neither what nor why. It is the grammar of libconfig,
 * with a comma allowed behind the last element, so that each file of an included pattern can end with one. The first
 * mistake of grammar ends it, all settings that are there twice are told.
 */
#include <stdlib.h>

#include "shared/conf/place.h"
#include "shared/conf/token.h"

/* One setting of a group that is being read. */
struct use {
    struct str name;
    unsigned first, end; /* its tokens */
};

struct syntax {
    struct tokens *tokens;
    unsigned at; /* the next token */
    unsigned depth;
    const struct place *place;
    struct use *uses; /* of the open groups, the innermost last */
    unsigned use_count, use_size;
};

static bool syntax_value(struct syntax *syntax, const char *after);
static bool syntax_settings(struct syntax *syntax, enum token_kind closer);

static struct token *syntax_peek(struct syntax *syntax)
{
    return &syntax->tokens->items[syntax->at];
}

/* Always false. */
__attribute__((format(printf, 3, 4))) static bool syntax_error(struct syntax *syntax, struct origin origin,
                                                               const char *format, ...)
{
    struct tokens *tokens = syntax->tokens;
    va_list arguments;
    va_start(arguments, format);
    const char *text = arena_vprintf(tokens->arena, format, arguments);
    va_end(arguments);
    const char *path = place_text(syntax->place, NULL, tokens->arena);
    const struct token *before = syntax->at ? &tokens->items[syntax->at - 1] : NULL;
    if (before && before->spans)
        text = arena_printf(tokens->arena,
                            "%s; the text before it began in line %u: is its closing quote missing?", text,
                            before->origin.line);
    errors_add(tokens->errors, origin, "%s: %s", *path ? path : "syntax", text);
    return false;
}

/* How an error calls a token. */
static const char *syntax_name(struct syntax *syntax, const struct token *token)
{
    enum { SHOWN = 40 };
    int length = token->text.length > SHOWN ? SHOWN : (int)token->text.length;
    const char *dots = token->text.length > SHOWN ? "…" : "";
    switch (token->kind) {
    case TOKEN_END:
        return "the end of the file";
    case TOKEN_TEXT:
        return arena_printf(syntax->tokens->arena, "the text %.*s%s", length, token->text.data, dots);
    case TOKEN_INTEGER:
    case TOKEN_REAL:
        return arena_printf(syntax->tokens->arena, "the number %.*s", STR_ARG(token->text));
    default:
        return arena_printf(syntax->tokens->arena, "\"%.*s%s\"", length, token->text.data, dots);
    }
}

static int use_compare(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    size_t length = x->name.length < y->name.length ? x->name.length : y->name.length;
    int order = memcmp(x->name.data, y->name.data, length);
    if (order)
        return order;
    if (x->name.length != y->name.length)
        return x->name.length < y->name.length ? -1 : 1;
    return x->first < y->first ? -1 : 1;
}

static void use_add(struct syntax *syntax, struct use use)
{
    if (syntax->use_count == syntax->use_size) {
        unsigned size = syntax->use_size ? 2 * syntax->use_size : 64;
        struct use *uses = arena_alloc(syntax->tokens->arena, size * sizeof(*uses));
        if (syntax->use_count)
            memcpy(uses, syntax->uses, syntax->use_count * sizeof(*uses));
        syntax->uses = uses;
        syntax->use_size = size;
    }
    syntax->uses[syntax->use_count++] = use;
}

/* The group that began with the use `base` is at its end: tells and drops what was there before. */
static void syntax_duplicates(struct syntax *syntax, unsigned base)
{
    struct token *tokens = syntax->tokens->items;
    unsigned count = syntax->use_count - base;
    syntax->use_count = base;
    if (count < 2)
        return;
    struct use *uses = syntax->uses + base;
    qsort(uses, count, sizeof(*uses), use_compare);
    const struct use *first = uses;
    for (struct use *use = uses + 1; use < uses + count; use++) {
        if (!str_eq(use->name, first->name)) {
            first = use;
            continue;
        }
        struct place place = {.up = syntax->place, .name = use->name};
        const struct origin *before = &tokens[first->first].origin, *now = &tokens[use->first].origin;
        const char *file = before->file == now->file ? "line" : before->file;
        errors_add(syntax->tokens->errors, *now, "%s: is there twice, first in %s%s%u (remove one%s)",
                   place_text(&place, NULL, syntax->tokens->arena), file,
                   before->file == now->file ? " " : ":", before->line,
                   before->file == now->file ? "" : ", or put the @include inside its brackets");
        for (unsigned i = use->first; i < use->end; i++)
            tokens[i].dropped = true;
    }
}

/* Deeper than this no setting goes. */
static bool syntax_enter(struct syntax *syntax)
{
    if (++syntax->depth <= CONF_NESTING)
        return true;
    return syntax_error(syntax, syntax_peek(syntax)->origin, "more than %d brackets deep", CONF_NESTING);
}

/* What `closer` closes was opened by the token `opener`; anything else stands here. */
static bool syntax_unclosed(struct syntax *syntax, const struct token *opener, const char *wanted)
{
    const struct token *token = syntax_peek(syntax);
    if (token->kind == TOKEN_END)
        return syntax_error(syntax, opener->origin, "this \"%.*s\" is never closed", STR_ARG(opener->text));
    return syntax_error(syntax, token->origin, "expected %s, found %s (the \"%.*s\" of line %u is open)",
                        wanted, syntax_name(syntax, token), STR_ARG(opener->text), opener->origin.line);
}

static bool syntax_group(struct syntax *syntax)
{
    const struct token opener = *syntax_peek(syntax);
    syntax->at++;
    if (!syntax_enter(syntax) || !syntax_settings(syntax, TOKEN_GROUP_CLOSE))
        return false;
    if (syntax_peek(syntax)->kind != TOKEN_GROUP_CLOSE)
        return syntax_unclosed(syntax, &opener, "a setting or \"}\"");
    syntax->at++;
    syntax->depth--;
    return true;
}

/* ( … ) and [ … ]. The commas of an included file's end are dropped. */
static bool syntax_list(struct syntax *syntax)
{
    const struct token opener = *syntax_peek(syntax);
    bool array = opener.kind == TOKEN_ARRAY_OPEN;
    enum token_kind closer = array ? TOKEN_ARRAY_CLOSE : TOKEN_LIST_CLOSE;
    const struct place *outer = syntax->place;
    struct place place = {.up = outer};
    syntax->at++;
    if (!syntax_enter(syntax))
        return false;
    while (syntax_peek(syntax)->kind != closer) {
        const struct token *token = syntax_peek(syntax);
        if (token->kind == TOKEN_END || token->kind == TOKEN_GROUP_CLOSE || token->kind == TOKEN_LIST_CLOSE ||
            token->kind == TOKEN_ARRAY_CLOSE)
            return syntax_unclosed(syntax, &opener, array ? "a value or \"]\"" : "a value or \")\"");
        if (array && (token->kind == TOKEN_GROUP_OPEN || token->kind == TOKEN_LIST_OPEN ||
                      token->kind == TOKEN_ARRAY_OPEN))
            return syntax_error(syntax, token->origin,
                                "[ ] holds plain values only (write ( ) for a list of %s)",
                                token->kind == TOKEN_GROUP_OPEN ? "groups" : "lists");
        syntax->place = &place;
        bool good = syntax_value(syntax, array ? "[" : "(");
        syntax->place = outer;
        if (!good)
            return false;
        place.index++;
        if (syntax_peek(syntax)->kind == TOKEN_COMMA)
            syntax->at++;
        else if (syntax_peek(syntax)->kind != closer)
            return syntax_unclosed(syntax, &opener, array ? "\",\" or \"]\"" : "\",\" or \")\"");
    }
    if (syntax_peek(syntax)[-1].kind == TOKEN_COMMA)
        syntax_peek(syntax)[-1].dropped = true;
    syntax->at++;
    syntax->depth--;
    return true;
}

/* A name where a value is wanted: no value, or text without its quotes, which is told and taken. */
static bool syntax_bare(struct syntax *syntax, const char *after)
{
    struct token *token = syntax_peek(syntax);
    if (token[1].kind == TOKEN_EQUALS && token->origin.line != token[-1].origin.line)
        return syntax_error(syntax, token[-1].origin, "no value after \"%s\"", after);
    syntax_error(syntax, token->origin, "%.*s is text and goes in double quotes (write \"%.*s\")",
                 STR_ARG(token->text), STR_ARG(token->text));
    const char *quoted = arena_printf(syntax->tokens->arena, "\"%.*s\"", STR_ARG(token->text));
    token->kind = TOKEN_TEXT;
    token->text = str_of(quoted);
    syntax->at++;
    return true;
}

static bool syntax_value(struct syntax *syntax, const char *after)
{
    struct token *token = syntax_peek(syntax);
    switch (token->kind) {
    case TOKEN_FLAG:
    case TOKEN_INTEGER:
    case TOKEN_REAL:
        syntax->at++;
        return true;
    case TOKEN_TEXT: /* "a" "b" is "ab" */
        while (syntax_peek(syntax)->kind == TOKEN_TEXT)
            syntax->at++;
        return true;
    case TOKEN_NAME:
        return syntax_bare(syntax, after);
    case TOKEN_GROUP_OPEN:
        return syntax_group(syntax);
    case TOKEN_LIST_OPEN:
    case TOKEN_ARRAY_OPEN:
        return syntax_list(syntax);
    default:
        return syntax_error(syntax, token->origin, "expected a value after \"%s\", found %s", after,
                            syntax_name(syntax, token));
    }
}

/* "name" = …, as in JSON: told, and taken without the quotes. */
static void syntax_quoted_name(struct syntax *syntax)
{
    struct token *token = syntax_peek(syntax);
    struct str name = {token->text.data + 1, token->text.length - 2};
    if (token->kind != TOKEN_TEXT || token[1].kind != TOKEN_EQUALS || !lex_is_name(name))
        return;
    syntax_error(syntax, token->origin, "a setting's name goes without quotes (write %.*s = …)",
                 STR_ARG(name));
    token->kind = TOKEN_NAME;
    token->text = name;
}

/* name = value, and what may end it. */
static bool syntax_setting(struct syntax *syntax)
{
    struct token *name = syntax_peek(syntax);
    const struct place *outer = syntax->place;
    struct place place = {.up = outer, .name = name->text};
    struct use use = {.name = name->text, .first = syntax->at};
    if (name[1].kind != TOKEN_EQUALS)
        return syntax_error(syntax, name->origin, "expected \"=\" after \"%.*s\", found %s",
                            STR_ARG(name->text), syntax_name(syntax, name + 1));
    syntax->at += 2;
    syntax->place = &place;
    bool good = syntax_value(syntax, "=");
    syntax->place = outer;
    if (!good)
        return false;
    if (syntax_peek(syntax)->kind == TOKEN_SEMICOLON || syntax_peek(syntax)->kind == TOKEN_COMMA)
        syntax->at++;
    while (syntax_peek(syntax)->kind == TOKEN_SEMICOLON)
        syntax->tokens->items[syntax->at++].dropped = true;
    use.end = syntax->at;
    use_add(syntax, use);
    return true;
}

/* Up to `closer`, which stays. */
static bool syntax_settings(struct syntax *syntax, enum token_kind closer)
{
    unsigned base = syntax->use_count;
    while (syntax_peek(syntax)->kind != closer && syntax_peek(syntax)->kind != TOKEN_END) {
        syntax_quoted_name(syntax);
        if (syntax_peek(syntax)->kind != TOKEN_NAME) {
            const struct token *token = syntax_peek(syntax);
            return syntax_error(syntax, token->origin, "expected a setting%s, found %s",
                                closer == TOKEN_GROUP_CLOSE ? " or \"}\"" : "", syntax_name(syntax, token));
        }
        if (!syntax_setting(syntax))
            return false;
    }
    syntax_duplicates(syntax, base);
    return true;
}

bool syntax_check(struct tokens *tokens)
{
    struct place root = {.up = NULL};
    struct syntax syntax = {.tokens = tokens, .place = &root};
    struct origin end = tokens->count ? tokens->items[tokens->count - 1].origin : (struct origin){NULL, 0};
    token_add(tokens, (struct token){.kind = TOKEN_END, .origin = end});
    return syntax_settings(&syntax, TOKEN_END);
}
