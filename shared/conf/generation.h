/* generation: one configuration, read once and never changed.
 *
 * Loaded into one arena, checked, compiled, sealed; then processes are forked to serve it. Nothing is swapped in
 * place: a reload makes another generation.
 */
#ifndef CONF_GENERATION_H
#define CONF_GENERATION_H

#include "shared/conf/settings.h"
#include "shared/conf/wants.h"

struct site; /* what worker/request compiles from the settings: routes, chains, upstreams */

struct generation {
    uint64_t number; /* 1, 2, …: set by the master */
    const char *path;
    struct arena *arena;
    const struct settings *settings;
    const struct site *site;
    struct wants wants; /* the cells of shared memory that it needs */
    uint32_t
        *cells; /* their numbers, by the want's index: not sealed, the master writes them before it forks */
};

/* What the layers above bring to a load: the policies' settings, and what compiles them. */
struct generation_kind {
    const struct conf_extension *extensions;
    /* NULL and errors, or the compiled site. The settings are whole, but names in them may be there twice or lead
     * nowhere (an API's listeners): then that is reported already, and what it makes is thrown away. */
    const struct site *(*compile)(const struct settings *settings, struct wants *wants, struct arena *arena,
                                  struct errors *errors);
    /* For a process that doesn't serve with it: no private key of it stays in its memory. */
    void (*wipe_keys)(const struct generation *generation);
    /* Tells the names that ${…} knows; for the manual. */
    void (*each_name)(void (*tell)(void *context, const char *name, bool argument, const char *help),
                      void *context);
};

/* Loads, checks, compiles and seals. NULL when errors->count > 0 (and all that was made is freed). */
struct generation *generation_load(const char *path, uint64_t number, const struct generation_kind *kind,
                                   struct errors *errors);

/* Frees it and nulls the pointer. */
void generation_free(struct generation **generation);

#endif
