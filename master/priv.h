/* priv: as whom the children run, and how a child becomes that. */
#ifndef MASTER_PRIV_H
#define MASTER_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shared/base/error.h"
#include "shared/conf/settings.h"

struct priv {
    bool changes; /* we are root, so that the children become another user */
    uid_t uid;    /* the children's */
    gid_t gid;
    gid_t *groups; /* supplementary ones; the owner's to free */
    int group_count;
};

/* Looks the names up (in the master, once: a child asks no name service). What is wrong goes to `errors`. */
void priv_resolve(struct priv *priv, const struct settings *settings, struct errors *errors);
void priv_free(struct priv *priv);

/* "name" or a number; -1 and false when there is none. NULL is true and -1: leave it. */
bool priv_user(const char *name, uid_t *uid);
bool priv_group(const char *name, gid_t *gid);

/* In the child, before its role's main(): no way back. 0, or -1 and `why` in words. */
int priv_drop(const struct priv *priv, char *why, size_t size);

#endif
