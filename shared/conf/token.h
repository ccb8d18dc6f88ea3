/* token: the words of a configuration, of the file and of all that it includes, each with the file and line it is from.
 *
 * libconfig gets its text from here, a token a line, so that a line it tells is a token, and includes, numbers beyond
 * 32 bits and good messages are ours. Everything lives in the arena of the reading.
 */
#ifndef CONF_TOKEN_H
#define CONF_TOKEN_H

#include "shared/base/arena.h"
#include "shared/base/error.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_EQUALS,
    TOKEN_FLAG,
    TOKEN_INTEGER,
    TOKEN_REAL,
    TOKEN_TEXT, /* with its quotes */
    TOKEN_GROUP_OPEN,
    TOKEN_GROUP_CLOSE,
    TOKEN_LIST_OPEN,
    TOKEN_LIST_CLOSE,
    TOKEN_ARRAY_OPEN,
    TOKEN_ARRAY_CLOSE,
    TOKEN_COMMA,
    TOKEN_SEMICOLON
};

struct token {
    enum token_kind kind;
    bool dropped; /* libconfig is not shown it: a trailing comma, a setting that is there twice */
    bool spans;   /* a text of several lines: its closing quote may be missing */
    struct origin origin;
    struct str text;
};

struct tokens {
    struct arena *arena; /* of the reading: all but the names of files */
    struct arena *names; /* outlives the reading: settings point to the names of their files */
    struct errors *errors;
    struct token *items;
    unsigned count, size;
    size_t bytes; /* read so far, of all files */
    unsigned files;
};

/* How much a configuration may be, so that a wrong path can't eat the machine. */
enum { CONF_BYTES = 64 << 20, CONF_FILES = 10000, CONF_INCLUDES = 10, CONF_NESTING = 64 };

/* A file that is being read; the one that includes it is `up`. */
struct source {
    const struct source *up;
    const char *path;
    uint64_t device, inode;
    unsigned depth;
};

/* source.c: reads a file and its words. `from` is where it is included (file NULL: it is the first). False when it
 * couldn't be read. */
bool source_read(struct tokens *tokens, const struct source *up, const char *path, struct origin from);

/* source.c: `@include "pattern"`, found at `from`. */
void source_include(struct tokens *tokens, const struct source *source, const char *pattern,
                    struct origin from);

/* lex.c: the words of a file's text, which has a NUL behind it. */
void lex_text(struct tokens *tokens, const struct source *source, struct str text);

/* lex.c: whether it can be the name of a setting. */
bool lex_is_name(struct str word);

void token_add(struct tokens *tokens, struct token token);

/* Whether the words are settings. Reports what is wrong, drops what is there twice. False: libconfig can't read it. */
bool syntax_check(struct tokens *tokens);

#endif
