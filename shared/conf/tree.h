/* tree: what libconfig made of the tokens. tree.c alone knows libconfig. */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include "shared/conf/token.h"

struct node; /* a setting, or an element of a list */
struct tree;

enum value_kind { VALUE_FLAG, VALUE_INTEGER, VALUE_REAL, VALUE_TEXT, VALUE_LIST, VALUE_GROUP };

/* What is written at a node. Text belongs to the tree. */
struct value {
    enum value_kind kind;
    bool flag;
    int64_t integer;
    double real; /* of an integer too */
    const char *text;
};

/* NULL: reported. It is freed with the tokens' arena. */
struct tree *tree_build(const struct tokens *tokens);
const struct node *tree_root(const struct tree *tree);

struct value node_value(const struct node *node);
const char *node_name(const struct node *node); /* NULL for an element */
struct origin node_origin(const struct tree *tree, const struct node *node);

/* Of a list or a group: how many, and one by its index; a step each. */
unsigned node_count(const struct node *node);
const struct node *node_at(const struct node *node, unsigned index);

/* The setting of a group, or NULL. */
const struct node *node_member(const struct node *node, const char *name);

#endif
