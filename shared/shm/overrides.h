/* overrides: settings that were changed while the gateway runs, by name, until the configuration says something else.
 *
 * One process writes at a time, the keeper: what it is not about to publish, then it publishes that. Readers look at the
 * serial, and read again when it has moved.
 */
#ifndef SHM_OVERRIDES_H
#define SHM_OVERRIDES_H

#include <stdatomic.h>

#include "shared/base/str.h"
#include "shared/shm/segment.h"

enum { OVERRIDES_MAX = 256, OVERRIDE_NAME = 256, OVERRIDE_VALUE = 64 };

struct override {
    char name[OVERRIDE_NAME];    /* "upstreams.users.endpoints.10.0.0.11:8001.weight" */
    char value[OVERRIDE_VALUE];  /* as it was written */
    char before[OVERRIDE_VALUE]; /* what the configuration said then */
};

struct overrides; /* the zone */
extern const struct zone_kind overrides_kind;

/* Which edition it is: moves when something changes. */
uint64_t overrides_serial(const struct overrides *overrides);

/* All of them into `out`, which has room for OVERRIDES_MAX; `*serial` is the edition's. How many; -1: they changed
 * meanwhile, ask again later. */
int overrides_read(const struct overrides *overrides, struct override *out, uint64_t *serial);

/* Sets or changes one (`value` NULL: takes it away). Keeper. 0, or -1: there is no room for one more, or a text is too
 * long. */
int overrides_set(struct overrides *overrides, struct str name, const char *value, const char *before);

#endif
