/* unique: names that must not be there twice in a list of the settings. */
#include <stdlib.h>

#include "shared/conf/sections.h"

static int unique_compare(const void *a, const void *b)
{
    const struct unique *x = a, *y = b;
    size_t length = x->text.length < y->text.length ? x->text.length : y->text.length;
    int order = memcmp(x->text.data, y->text.data, length);
    if (order)
        return order;
    if (x->text.length != y->text.length)
        return x->text.length < y->text.length ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void unique_check(struct conf_loader *loader, struct unique *names, unsigned count,
                  const struct conf_list *list, const char *list_name, const char *setting)
{
    struct arena *arena = conf_arena(loader);
    qsort(names, count, sizeof(*names), unique_compare);
    for (unsigned i = 1, first = 0; i < count; i++) {
        if (!str_eq(names[i].text, names[first].text)) {
            first = i;
            continue;
        }
        const struct origin *before = list->items[names[first].index], *now = list->items[names[i].index];
        const char *path = arena_printf(arena, "%s[%u].%s", list_name, names[i].index, setting);
        conf_error(loader, *now, path, "\"%.*s\" is taken by %s[%u], %s:%u (each needs one of its own)",
                   STR_ARG(names[i].text), list_name, names[first].index, before->file ? before->file : "",
                   before->line);
    }
}
