/* tree: a router's inside, for router.c, which builds it, and match.c, which walks it. */
#ifndef REQUEST_TREE_H
#define REQUEST_TREE_H

#include "shared/base/buf.h"
#include "worker/request/router.h"

/* The routes of one path. */
struct leaf {
    const struct route **routes;
    unsigned count, capacity;
    bool
        ranked; /* methods alone don't decide: conditions, versions or priorities do; `routes` is in their order */
    struct str allow; /* of all routes */
};

struct node;

/* Literal segments by hash: open addressing, a power of two, at most half full. */
struct edge {
    uint64_t hash;
    struct str segment;
    struct node *node; /* NULL: free */
};

struct node {
    struct edge *edges;
    unsigned edge_count, edge_size;
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

struct host {
    uint64_t hash;
    struct str name;   /* lower case; a wildcard's without its `*` */
    struct tree *tree; /* NULL: free */
};

struct hosts {
    struct host *items;
    unsigned count, size;
};

struct router {
    const struct listener_settings *listener;
    struct hosts exact, wildcards;
    struct tree *any;
};

/* Where a segment is, or would be. There is always a free place. */
static inline struct edge *edge_place(struct edge *edges, unsigned size, uint64_t hash, struct str segment)
{
    for (unsigned i = (unsigned)hash & (size - 1);; i = (i + 1) & (size - 1))
        if (!edges[i].node || (edges[i].hash == hash && str_eq(edges[i].segment, segment)))
            return &edges[i];
}

static inline struct host *host_place(struct host *items, unsigned size, uint64_t hash, struct str name)
{
    for (unsigned i = (unsigned)hash & (size - 1);; i = (i + 1) & (size - 1))
        if (!items[i].tree || (items[i].hash == hash && str_eq(items[i].name, name)))
            return &items[i];
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
