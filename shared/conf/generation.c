/* generation: a configuration from its file to sealed memory. The master and `gatehouse check` call it. */
#include "shared/conf/generation.h"

#include "shared/conf/load.h"

/* What was reported outlives the generation: its files' names must not be in the generation's arena. */
static void generation_keep_names(struct errors *errors)
{
    const char *from = NULL, *kept = NULL;
    for (struct error *error = errors->first; error; error = error->next) {
        if (!error->origin.file)
            continue;
        if (error->origin.file != from) {
            from = error->origin.file;
            kept = arena_strdup(errors->arena, from);
        }
        error->origin.file = kept;
    }
}

static void free_arena(void *object)
{
    struct arena *arena = object;
    arena_free(&arena);
}

struct generation *generation_load(const char *path, uint64_t number, const struct generation_kind *kind,
                                   struct errors *errors)
{
    struct arena *arena = arena_new_sealable(1 << 20);
    struct generation *generation = arena_zalloc(arena, sizeof(*generation));
    generation->number = number;
    generation->path = arena_strdup(arena, path);
    generation->arena = arena;
    generation->wants.arena = arena;
    bool whole = false;
    generation->settings = conf_load(path, &settings_section, kind->extensions, arena, errors, &whole);
    if (whole && kind->compile) /* with errors too, so that all of them are told at once */
        generation->site = kind->compile(generation->settings, &generation->wants, arena, errors);
    generation_keep_names(errors);
    if (errors->count > 0) {
        arena_free(&arena);
        return NULL;
    }
    struct arena *writable = arena_new_sealable(1 << 12); /* never sealed */
    generation->cells = arena_array(writable, generation->wants.count + 1, sizeof *generation->cells);
    arena_on_free(arena, free_arena, writable);
    arena_seal(arena);
    return generation;
}

void generation_free(struct generation **generation)
{
    if (!*generation)
        return;
    struct arena *arena = (*generation)->arena;
    *generation = NULL;
    arena_free(&arena);
}
