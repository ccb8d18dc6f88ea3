/* consumers: who calls, as a table that never changes: made when a configuration is loaded, sealed with it, and only read by
 * workers. A look-up costs the same whatever their number.
 */
#ifndef CONF_CONSUMERS_H
#define CONF_CONSUMERS_H

#include "shared/conf/settings.h"

struct consumer_fact {
    struct str name, value;
};

struct consumer {
    struct str name;
    struct str plan;   /* empty: none */
    struct str groups; /* "a,b" */
    const struct str *group_list;
    unsigned group_count;
    const struct consumer_fact *metadata;
    unsigned metadata_count;
    uint64_t expires; /* seconds of the wall clock; 0: never */
    bool off;         /* none of its credentials is accepted */
};

struct consumer_key {
    unsigned char digest[32];        /* SHA-256 of the key */
    uint64_t expires;                /* the sooner of the key's and its consumer's; 0: never */
    const struct consumer *consumer; /* NULL: the place is free */
};

/* In the loader's arena. Names and keys that are there twice are errors. */
const struct consumers *consumers_build(struct conf_loader *loader, const struct conf_list *list);

/* NULL: there is none, or it is switched off. `consumers` may be NULL. */
const struct consumer_key *consumers_by_key(const struct consumers *consumers,
                                            const unsigned char digest[32]);
const struct consumer *consumers_by_name(const struct consumers *consumers, struct str name);

/* Whether there is one of that name, be it switched off. */
bool consumers_know(const struct consumers *consumers, struct str name);

/* plan, groups, or a name of its metadata; NULL data: there is no such thing. */
struct str consumer_fact(const struct consumer *consumer, struct str name);

bool consumer_in_group(const struct consumer *consumer, struct str group);

#endif
