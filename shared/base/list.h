/* list: a doubly linked ring inside the things it links; the head is an element of its own. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(head)  \
    {                    \
        &(head), &(head) \
    }
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define LIST_EACH(cursor, head) \
    for (struct list *cursor = (head)->next; cursor != (head); cursor = cursor->next)

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_insert_after(struct list *where, struct list *item)
{
    item->next = where->next;
    item->prev = where;
    where->next->prev = item;
    where->next = item;
}

static inline void list_push_front(struct list *head, struct list *item)
{
    list_insert_after(head, item);
}

static inline void list_push_back(struct list *head, struct list *item)
{
    list_insert_after(head->prev, item);
}

/* Takes the item out; it is then a ring of its own, so that removing it twice is harmless. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* The first item, taken out, or NULL. */
static inline struct list *list_pop(struct list *head)
{
    if (list_empty(head))
        return NULL;
    struct list *item = head->next;
    list_remove(item);
    return item;
}

#endif
