/* names: what endpoints that are names stand for: a cell each, by the name "upstream/host:port". The keeper publishes,
 * everybody reads.
 *
 * An address has a place in the list and keeps it while it is there, so that what the node knows of it (its cell in the
 * zone of endpoints, which is the place's) stays its own.
 */
#ifndef SHM_NAMES_H
#define SHM_NAMES_H

#include "shared/base/address.h"
#include "shared/shm/cells.h"
#include "shared/shm/twin.h"

enum { NAME_PLACES = 128 }; /* the most that an endpoint's `max` can say */

/* Why a look-up failed. */
enum name_failure {
    NAME_NOT_ASKED, /* it didn't: none was made */
    NAME_FOUND,     /* it didn't */
    NAME_NO_SUCH,
    NAME_EMPTY,
    NAME_TIMED_OUT,
    NAME_UNREACHABLE,
    NAME_MALFORMED,
    NAME_NOT_OFFERED,
    NAME_FAILED,
    NAME_FAILURES,
};

enum name_family { NAME_VACANT, NAME_IPV4, NAME_IPV6, NAME_FAMILIES };

struct name_address {
    uint8_t family; /* enum name_family */
    uint8_t reserved;
    uint16_t port;
    uint16_t priority, weight; /* of SRV; else 0 and 1 */
    uint8_t ip[16];            /* the first 4 of them for IPv4 */
};
_Static_assert(sizeof(struct name_address) == 24, "whole words");

struct name_list {
    uint32_t failure; /* enum name_failure: of the last look-up; what was found before stays */
    uint32_t count;   /* places that aren't vacant */
    struct name_address at[NAME_PLACES];
};

enum { NAME_WORDS = sizeof(struct name_list) / sizeof(uint64_t) };

struct name_cell {
    alignas(64) struct twin twin;
    /* The generation whose keeper may publish before it was told GO: the first that wanted the name. */
    _Atomic uint64_t writer;
    alignas(64) _Atomic uint64_t words[2 * NAME_WORDS];
};

extern const struct zone_kind names_kind; /* a struct cells */

static inline struct name_cell *names_cell(struct cells *names, unsigned index)
{
    return cells_at(names, index);
}

static inline void name_publish(struct name_cell *cell, const struct name_list *list)
{
    twin_write(&cell->twin, cell->words, list, NAME_WORDS);
}

/* As twin_read(); what the list says is within bounds. */
bool name_read(const struct name_cell *cell, struct name_list *list, uint64_t *seen);

/* In words, to stand behind "the name": "doesn't exist". */
const char *name_failure_text(uint32_t failure);

/* Family, port and IP are the same: it is the same place. */
bool name_address_same(const struct name_address *a, const struct name_address *b);

/* False: it is vacant, or none to connect to. */
bool name_address_socket(const struct name_address *name, struct address *address);

#endif
