/* merge: called by resolver.c when a look-up is complete. */
#include "worker/service/merge.h"

#include <stdlib.h>
#include <string.h>

/* By priority, then in an order that doesn't change from answer to answer: name servers turn theirs around. */
static int in_order(const void *one, const void *other)
{
    const struct name_address *a = one, *b = other;
    if (a->priority != b->priority)
        return (int)a->priority - (int)b->priority;
    if (a->family != b->family)
        return (int)a->family - (int)b->family;
    int order = memcmp(a->ip, b->ip, sizeof a->ip);
    return order ? order : (int)a->port - (int)b->port;
}

static int find(const struct name_address *list, unsigned count, const struct name_address *address)
{
    for (unsigned i = 0; i < count; i++)
        if (name_address_same(&list[i], address))
            return (int)i;
    return -1;
}

/* -1: none. A place that just became vacant still has calls, as a rule. */
static int vacant_place(const struct name_list *list, unsigned max, const uint32_t *in_flight)
{
    int best = -1;
    for (unsigned i = 0; i < max; i++)
        if (list->at[i].family == NAME_VACANT && (best < 0 || in_flight[i] < in_flight[best]))
            best = (int)i;
    return best;
}

static void leave(struct name_list *list, unsigned max, const struct name_address *found, unsigned count,
                  struct merged *merged)
{
    for (unsigned i = 0; i < NAME_PLACES; i++) {
        struct name_address *at = &list->at[i];
        if (at->family == NAME_VACANT || (i < max && find(found, count, at) >= 0))
            continue;
        *at = (struct name_address){.family = NAME_VACANT};
        merged->removed++;
    }
}

static void stay_or_come(struct name_list *list, unsigned max, const struct name_address *address,
                         const uint32_t *in_flight, struct merged *merged)
{
    int place = find(list->at, max, address);
    if (place >= 0) {
        struct name_address *at = &list->at[place];
        merged->changed |= at->priority != address->priority || at->weight != address->weight;
        *at = *address;
        return;
    }
    place = vacant_place(list, max, in_flight);
    if (place < 0) {
        merged->left_out++;
        return;
    }
    list->at[place] = *address;
    merged->fresh[place] = true;
    merged->added++;
}

void merge_addresses(struct name_list *list, unsigned max, struct name_address *found, unsigned count,
                     const uint32_t *in_flight, struct merged *merged)
{
    *merged = (struct merged){.added = 0};
    if (count)
        qsort(found, count, sizeof *found, in_order);
    leave(list, max, found, count, merged);
    for (unsigned i = 0; i < count; i++)
        if (find(found, i, &found[i]) < 0) /* not again what came before it */
            stay_or_come(list, max, &found[i], in_flight, merged);
    list->count = 0;
    for (unsigned i = 0; i < max; i++)
        list->count += list->at[i].family != NAME_VACANT;
    merged->changed |= merged->added || merged->removed;
}
