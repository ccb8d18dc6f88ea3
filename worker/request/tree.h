/* tree: a router's inside, for router.c, which builds it, and match.c, which walks it. */
#ifndef REQUEST_TREE_H
#define REQUEST_TREE_H

#include "shared/base/buf.h"
#include "shared/base/hash.h"
#include "worker/request/router.h"

/* Things by name: open addressing, a power of two, at most half full. */
struct entry {
    uint64_t hash;
    struct str name;
    void *thing; /* NULL: free */
};

struct table {
    struct entry *entries;
    unsigned count, size;
};

/* The routes of one path. */
struct leaf {
    const struct route **routes;
    unsigned count, capacity;
    bool
        ranked; /* methods alone don't decide: conditions, versions or priorities do; `routes` is in their order */
    struct str allow; /* of all routes */
};

struct node {
    struct table edges; /* literal segments, to their nodes */
    struct node *template;
    struct leaf *exact;  /* the path ends here */
    struct leaf *rest;   /* and goes on below: /here/{rest*} */
    struct leaf *prefix; /* either */
};

/* A pattern behind a prefix, with its routes. */
struct regex_path {
    const struct route *first; /* whose prefix and pattern they all have */
    struct leaf leaf;
    int64_t priority; /* the highest of its routes */
};

/* The paths of a host. */
struct tree {
    struct node root;
    struct regex_path **regexes; /* in the order in which they are tried */
    unsigned regex_count, regex_capacity;
};

struct router {
    const struct listener_settings *listener;
    struct table exact, wildcards; /* names in lower case, a wildcard's without its `*`, to their trees */
    struct tree *any;
};

/* Where a name is, or would be. There is always a free place. */
static inline struct entry *table_place(const struct table *table, uint64_t hash, struct str name)
{
    for (unsigned i = (unsigned)hash & (table->size - 1);; i = (i + 1) & (table->size - 1)) {
        struct entry *entry = &table->entries[i];
        if (!entry->thing || (entry->hash == hash && str_eq(entry->name, name)))
            return entry;
    }
}

/* NULL: there is none of that name. */
static inline void *table_find(const struct table *table, struct str name)
{
    return table->count ? table_place(table, hash_name(name), name)->thing : NULL;
}

/* Which of two routes of a path is asked first: below 0: `a`; 0: neither is before the other. */
static inline int route_order(const struct route *a, const struct route *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    unsigned headers = a->conditions.header_count + (a->version != NULL);
    unsigned other = b->conditions.header_count + (b->version != NULL);
    if (headers != other)
        return headers > other ? -1 : 1;
    if (a->conditions.query_count != b->conditions.query_count)
        return a->conditions.query_count > b->conditions.query_count ? -1 : 1;
    return 0;
}

/* router.c: the methods of routes, for Allow: "GET, HEAD, POST". */
struct str routes_allow(const struct route *const *routes, unsigned count, struct arena *arena);

#endif
