/* tree: the tokens through libconfig, and access to what it made of them. load.c and value.c call it.
 *
 * libconfig is known here only. It reads a token a line, so that a line that it tells is the index of a token.
 */
#include <assert.h>
#include <libconfig.h>

#include "shared/conf/tree.h"

struct tree {
    const struct tokens *tokens;
    config_t config;
};

static void tree_free(void *object)
{
    struct tree *tree = object;
    config_destroy(&tree->config);
}

/* Each token in its line, an empty line for what is dropped. Arrays are given as lists, which hold numbers of 32 and
 * of 64 bits together; syntax.c saw to it that they hold plain values. */
static const char *tree_text(const struct tokens *tokens)
{
    size_t size = 1;
    for (unsigned i = 0; i < tokens->count; i++)
        size += tokens->items[i].text.length + 1;
    char *text = arena_alloc(tokens->arena, size), *out = text;
    for (unsigned i = 0; i < tokens->count; i++) {
        const struct token *token = &tokens->items[i];
        if (token->kind == TOKEN_ARRAY_OPEN || token->kind == TOKEN_ARRAY_CLOSE) {
            *out = token->kind == TOKEN_ARRAY_OPEN ? '(' : ')';
            out += !token->dropped;
        } else if (!token->dropped && token->text.length) {
            memcpy(out, token->text.data, token->text.length);
            out += token->text.length;
        }
        *out++ = '\n';
    }
    *out = '\0';
    return text;
}

static struct origin tree_origin(const struct tree *tree, unsigned line)
{
    const struct tokens *tokens = tree->tokens;
    if (!line || !tokens->count)
        return (struct origin){NULL, 0};
    return tokens->items[line <= tokens->count ? line - 1 : tokens->count - 1].origin;
}

struct tree *tree_build(const struct tokens *tokens)
{
    struct tree *tree = arena_zalloc(tokens->arena, sizeof(*tree));
    tree->tokens = tokens;
    config_init(&tree->config);
    arena_on_free(tokens->arena, tree_free, tree);
    if (config_read_string(&tree->config, tree_text(tokens)) == CONFIG_TRUE)
        return tree;
    const char *why = config_error_text(&tree->config);
    errors_add(tokens->errors, tree_origin(tree, (unsigned)config_error_line(&tree->config)), "syntax: %s",
               why ? why : "not a configuration");
    return NULL;
}

const struct node *tree_root(const struct tree *tree)
{
    return (const struct node *)config_root_setting(&tree->config);
}

static const config_setting_t *setting_of(const struct node *node)
{
    return (const config_setting_t *)node;
}

struct value node_value(const struct node *node)
{
    const config_setting_t *setting = setting_of(node);
    struct value value = {.kind = VALUE_GROUP};
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_BOOL:
        value.kind = VALUE_FLAG;
        value.flag = config_setting_get_bool(setting);
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        value.kind = VALUE_INTEGER;
        value.integer = config_setting_get_int64(setting);
        value.real = (double)value.integer;
        break;
    case CONFIG_TYPE_FLOAT:
        value.kind = VALUE_REAL;
        value.real = config_setting_get_float(setting);
        break;
    case CONFIG_TYPE_STRING:
        value.kind = VALUE_TEXT;
        value.text = config_setting_get_string(setting);
        if (!value.text) /* an empty text */
            value.text = "";
        break;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        value.kind = VALUE_LIST;
        break;
    default:
        assert(config_setting_is_group(setting));
    }
    return value;
}

const char *node_name(const struct node *node)
{
    return config_setting_name(setting_of(node));
}

struct origin node_origin(const struct tree *tree, const struct node *node)
{
    const config_setting_t *setting = setting_of(node);
    unsigned line = config_setting_source_line(setting);
    /* libconfig has read one token more when it knows that a text of a list is at its end. */
    if (config_setting_type(setting) == CONFIG_TYPE_STRING && !config_setting_name(setting) && line > 1)
        line--;
    return tree_origin(tree, line);
}

unsigned node_count(const struct node *node)
{
    int length = config_setting_length(setting_of(node));
    return length > 0 ? (unsigned)length : 0;
}

const struct node *node_at(const struct node *node, unsigned index)
{
    return (const struct node *)config_setting_get_elem((config_setting_t *)setting_of(node), index);
}

const struct node *node_member(const struct node *node, const char *name)
{
    config_setting_t *setting = (config_setting_t *)setting_of(node);
    if (!config_setting_is_group(setting))
        return NULL;
    return (const struct node *)config_setting_get_member(setting, name);
}
