/* merge: what was found for a name, put into the list of its places. Pure. */
#ifndef SERVICE_MERGE_H
#define SERVICE_MERGE_H

#include "shared/shm/names.h"

struct merged {
    unsigned added, removed; /* addresses */
    unsigned left_out;       /* that found no place */
    bool changed;            /* these, or priorities and weights */
    bool fresh[NAME_PLACES]; /* places that have another address now */
};

/* Who is in the list and was found keeps its place, who wasn't found leaves, who is new takes a vacant place, rather one
 * with few calls `in_flight` to the address before. `max` places count; beyond them is nothing. Sorts `found`. */
void merge_addresses(struct name_list *list, unsigned max, struct name_address *found, unsigned count,
                     const uint32_t *in_flight, struct merged *merged);

#endif
