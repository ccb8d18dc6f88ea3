/* expr: compiles text with ${…} into a flat row of pieces, literals and names in turn, and writes it for a request.
 * Called by the loader (compile, each_name) and by policies (eval).
 */
#include "worker/codec/expr.h"

#include <assert.h>

#include "worker/codec/uri.h"

/* A literal, or a name with its default. */
struct piece {
    bool literal;
    bool rest;     /* the value keeps its slashes */
    bool in_query; /* a literal `?` stands before */
    enum expr_form form;
    int id;
    struct str text; /* the literal, or the default */
    struct str argument;
};

struct expr {
    size_t count;
    struct piece pieces[];
};

/* A compilation under way. */
struct compiler {
    struct arena *arena;
    const struct expr_name *names;
    bool braces;
    const char **why;
    struct expr *expr;
    char *literals; /* all literal text, unescaped; `pieces` point into it */
    size_t used;    /* of `literals` */
    size_t begun;   /* where the present literal begins */
    bool in_query;
};

static void end_literal(struct compiler *compiler)
{
    size_t length = compiler->used - compiler->begun;
    if (length == 0)
        return;
    struct str text = {compiler->literals + compiler->begun, length};
    compiler->expr->pieces[compiler->expr->count++] = (struct piece){.literal = true, .text = text};
    compiler->in_query = compiler->in_query || str_index(text, '?') >= 0;
    compiler->begun = compiler->used;
}

/* The word nearest to `word`, or NULL: none is near. */
static const char *nearest(const struct expr_name *names, struct str word)
{
    enum { NEAR = 2 };
    const char *best = NULL;
    unsigned least = NEAR + 1;
    for (; names->word; names++) {
        unsigned distance = str_distance(word, str_of(names->word), NEAR);
        if (distance < least && distance < word.length) {
            least = distance;
            best = names->word;
        }
    }
    return best;
}

static bool unknown(struct compiler *compiler, struct str word, struct str argument)
{
    struct str whole = {word.data, argument.data ? word.length + 1 + argument.length : word.length};
    const char *near = nearest(compiler->names, whole); /* one with dots in it, too */
    for (const struct expr_name *name = compiler->names; name->word; name++) {
        if (!str_eq(word, str_of(name->word)))
            continue;
        *compiler->why = argument.data
                             ? arena_printf(compiler->arena, "${%s} takes nothing behind a dot", name->word)
                             : arena_printf(compiler->arena, "${%s} needs a name behind a dot: ${%s.NAME}",
                                            name->word, name->word);
        return false;
    }
    if (near) {
        *compiler->why = arena_printf(compiler->arena, "there is no ${%.*s} here (did you mean ${%s}?)",
                                      STR_ARG(whole), near);
        return false;
    }
    near = nearest(compiler->names, word);
    if (near)
        *compiler->why = arena_printf(compiler->arena, "there is no ${%.*s} here (did you mean ${%s%s}?)",
                                      STR_ARG(word), near, argument.data ? ".…" : "");
    else
        *compiler->why = arena_printf(compiler->arena, "there is no ${%.*s} here", STR_ARG(whole));
    return false;
}

static bool is_name(struct str text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == 0x7f || c == '{' || c == '$')
            return false;
    }
    return text.length > 0;
}

static bool is_word(const struct expr_name *names, struct str name)
{
    while (names->word && (names->argument || !str_eq(name, str_of(names->word))))
        names++;
    return names->word != NULL;
}

/* Adds the name `word`, or `word.argument` (`argument.data` not NULL); a `*` at the argument's end says rest. */
static bool add_name(struct compiler *compiler, struct str word, struct str argument, struct str otherwise)
{
    bool rest = argument.length > 1 && argument.data[argument.length - 1] == '*';
    if (rest)
        argument.length--;
    const struct expr_name *name = compiler->names;
    while (name->word && !(name->argument == (argument.data != NULL) && str_eq(word, str_of(name->word))))
        name++;
    if (!name->word)
        return unknown(compiler, word, argument);
    end_literal(compiler);
    struct piece *piece = &compiler->expr->pieces[compiler->expr->count++];
    *piece = (struct piece){.rest = rest, .in_query = compiler->in_query, .form = name->form, .id = name->id};
    if (argument.data)
        piece->argument = arena_str(compiler->arena, argument);
    if (otherwise.data)
        piece->text = arena_str(compiler->arena, otherwise);
    return true;
}

/* What stands between ${ and }. */
static bool add_variable(struct compiler *compiler, struct str inside)
{
    struct str name = inside, otherwise = {NULL, 0};
    for (size_t i = 0; i + 1 < inside.length; i++)
        if (inside.data[i] == ':' && inside.data[i + 1] == '-') {
            name.length = i;
            otherwise = str_from(inside, i + 2);
            break;
        }
    for (size_t i = 0; i + 1 < otherwise.length; i++)
        if (otherwise.data[i] == '$' && otherwise.data[i + 1] == '{') {
            *compiler->why = "a default is plain text: no ${…} inside";
            return false;
        }
    struct str argument = name, word = str_cut(&argument, '.');
    if (is_word(compiler->names, name)) {
        word = name;
        argument = (struct str){NULL, 0};
    }
    if (!is_name(name) || word.length == 0 || (argument.data && argument.length == 0)) {
        *compiler->why = arena_printf(compiler->arena, "${%.*s} is not a name", STR_ARG(inside));
        return false;
    }
    return add_name(compiler, word, argument, otherwise);
}

/* What stands between { and }. */
static bool add_parameter(struct compiler *compiler, struct str inside)
{
    if (!is_name(inside) || str_eq(inside, STR("*"))) {
        *compiler->why = arena_printf(compiler->arena, "{%.*s} is not a parameter's name", STR_ARG(inside));
        return false;
    }
    return add_name(compiler, STR("params"), inside, (struct str){NULL, 0});
}

static bool compile(struct compiler *compiler, struct str text)
{
    while (text.length) {
        if (str_starts(text, STR("$${"))) {
            memcpy(compiler->literals + compiler->used, "${", 2);
            compiler->used += 2;
            text = str_from(text, 3);
            continue;
        }
        bool variable = str_starts(text, STR("${")), parameter = compiler->braces && text.data[0] == '{';
        if (!variable && !parameter) {
            if (compiler->braces && text.data[0] == '}') {
                *compiler->why = "a } without its {";
                return false;
            }
            compiler->literals[compiler->used++] = text.data[0];
            text = str_from(text, 1);
            continue;
        }
        struct str inside = str_from(text, variable ? 2 : 1);
        ptrdiff_t end = str_index(inside, '}');
        if (end < 0) {
            *compiler->why =
                variable ? "a ${ without its } (write $${ for the text itself)" : "a { without its }";
            return false;
        }
        text = str_from(inside, (size_t)end + 1);
        inside.length = (size_t)end;
        if (!(variable ? add_variable(compiler, inside) : add_parameter(compiler, inside)))
            return false;
    }
    end_literal(compiler);
    return true;
}

const struct expr *expr_compile(struct arena *arena, const char *text, const struct expr_name *names,
                                bool braces, const char **why)
{
    struct str all = str_of(text);
    size_t names_most = 0;
    for (size_t i = 0; i < all.length; i++)
        names_most += all.data[i] == '{';
    size_t pieces = 2 * names_most + 1; /* a literal before each name, and one at the end */
    struct compiler compiler = {
        .arena = arena,
        .names = names,
        .braces = braces,
        .why = why,
        .expr = arena_zalloc(arena, sizeof(struct expr) + pieces * sizeof(struct piece)),
        .literals = arena_alloc(arena, all.length + 1),
    };
    if (!compile(&compiler, all))
        return NULL;
    assert(compiler.expr->count <= pieces);
    return compiler.expr;
}

static void add_encoded(struct buf *out, struct str value, enum uri_part part)
{
    ptrdiff_t length = uri_encode(value, part, out->data + out->length, out->size - out->length);
    if (length < 0)
        out->overflow = true;
    else
        out->length += (size_t)length;
}

static void add_header(struct buf *out, struct str value)
{
    size_t length = 0;
    for (; length < value.length; length++) {
        unsigned char c = (unsigned char)value.data[length];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            break;
    }
    buf_add(out, value.data, length);
}

static void add_value(struct buf *out, const struct piece *piece, struct str value, enum expr_escape escape)
{
    if (value.length == 0) {
        value = piece->text;
    } else if (piece->form == EXPR_SAFE_FORM) {
        buf_str_add(out, value);
        return;
    }
    switch (escape) {
    case EXPR_PLAIN:
        buf_str_add(out, value);
        return;
    case EXPR_TARGET:
    case EXPR_SEGMENT:
        if (escape == EXPR_TARGET && piece->form == (piece->in_query ? EXPR_QUERY_FORM : EXPR_PATH_FORM))
            buf_str_add(out, value);
        else if (escape == EXPR_TARGET && piece->in_query)
            add_encoded(out, value, URI_QUERY_VALUE);
        else
            add_encoded(out, value, piece->rest ? URI_REST : URI_SEGMENT);
        return;
    case EXPR_QUERY:
        add_encoded(out, value, URI_QUERY_VALUE);
        return;
    case EXPR_HEADER:
        add_header(out, value);
        return;
    case EXPR_JSON:
        buf_json(out, value);
        return;
    case EXPR_LOG:
        if (value.length)
            buf_escaped(out, value);
        else
            buf_char(out, '-');
        return;
    }
    assert(!"an escape of the enum");
}

/* Values and literals together must not make a segment "." or "..": a peer would leave the path that the template
 * names. A segment that is literal alone is its author's. */
struct segments {
    size_t begin; /* where the present segment begins in the output */
    bool named;   /* a name was written into it */
    bool query;   /* behind a `?`: no more segments */
    bool dots;    /* found */
};

static void end_segment(struct segments *segments, const struct buf *out, size_t end)
{
    struct str segment = {out->data + segments->begin, end - segments->begin};
    if (segments->named && (str_eq(segment, STR(".")) || str_eq(segment, STR(".."))))
        segments->dots = true;
    segments->begin = end + 1;
    segments->named = false;
}

/* Looks at what a piece appended to `out` behind `from`. */
static void look(struct segments *segments, const struct buf *out, size_t from, bool named)
{
    segments->named |= named && !segments->query;
    for (size_t i = from; i < out->length && !segments->query; i++) {
        if (out->data[i] != '/' && out->data[i] != '?')
            continue;
        end_segment(segments, out, i);
        segments->named = named;
        segments->query = out->data[i] == '?';
    }
}

void expr_eval(const struct expr *expr, expr_resolve *resolve, void *context, enum expr_escape escape,
               struct buf *out, struct buf *scratch)
{
    bool path = escape == EXPR_SEGMENT || escape == EXPR_TARGET;
    struct segments segments = {.begin = out->length};
    for (const struct piece *piece = expr->pieces, *end = piece + expr->count; piece < end; piece++) {
        size_t from = out->length;
        if (piece->literal) {
            buf_str_add(out, piece->text);
        } else {
            size_t used = scratch->length;
            struct str value = resolve(context, piece->id, piece->argument, scratch);
            add_value(out, piece, value, escape);
            scratch->length = used; /* the value is copied by now */
        }
        if (path)
            look(&segments, out, from, !piece->literal);
    }
    if (path && !segments.query)
        end_segment(&segments, out, out->length);
    if (scratch->overflow || segments.dots)
        out->overflow = true;
}

bool expr_constant(const struct expr *expr, struct str *text)
{
    if (expr->count == 0)
        *text = STR("");
    else if (expr->count == 1 && expr->pieces[0].literal)
        *text = expr->pieces[0].text;
    else
        return false;
    return true;
}

void expr_each_name(const struct expr *expr, void (*each)(void *context, int id, struct str argument),
                    void *context)
{
    for (size_t i = 0; i < expr->count; i++)
        if (!expr->pieces[i].literal)
            each(context, expr->pieces[i].id, expr->pieces[i].argument);
}
