/* priv: resolved by the master at start, dropped by each child between fork and its role. */
#include "master/priv.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/base/str.h"

static bool id_number(const char *name, unsigned *id)
{
    uint64_t value;
    if (!str_to_u64(str_of(name), UINT32_MAX - 1, &value))
        return false;
    *id = (unsigned)value;
    return true;
}

bool priv_user(const char *name, uid_t *uid)
{
    *uid = (uid_t)-1;
    if (!name || id_number(name, uid))
        return true;
    struct passwd *entry = getpwnam(name);
    if (entry)
        *uid = entry->pw_uid;
    return entry != NULL;
}

bool priv_group(const char *name, gid_t *gid)
{
    *gid = (gid_t)-1;
    if (!name || id_number(name, gid))
        return true;
    struct group *entry = getgrnam(name);
    if (entry)
        *gid = entry->gr_gid;
    return entry != NULL;
}

/* The groups that the user database gives the user. */
static void groups_of(struct priv *priv, const char *user)
{
    int count = 16;
    for (;;) {
        priv->groups = realloc(priv->groups, (size_t)count * sizeof(*priv->groups));
        if (!priv->groups)
            abort();
        priv->group_count = count;
        if (getgrouplist(user, priv->gid, priv->groups, &priv->group_count) >= 0)
            return;
        count = priv->group_count > count ? priv->group_count : count * 2;
    }
}

void priv_resolve(struct priv *priv, const struct settings *settings, struct errors *errors)
{
    memset(priv, 0, sizeof(*priv));
    priv->uid = geteuid();
    priv->gid = getegid();
    if (priv->uid != 0)
        return; /* an unprivileged start: everything runs as who started it */

    const char *user = settings->user ? settings->user : "root";
    uid_t uid;
    gid_t gid;
    struct passwd *entry = priv_user(user, &uid) ? getpwuid(uid) : NULL;
    if (!entry && uid == (uid_t)-1) {
        errors_add(errors, settings->origin,
                   "user: there is no user \"%s\" (adduser --system --group %s; or set user)", user, user);
        return;
    }
    if (!priv_group(settings->group, &gid)) {
        errors_add(errors, settings->origin, "group: there is no group \"%s\"", settings->group);
        return;
    }
    priv->changes = true;
    priv->uid = uid;
    priv->gid = gid != (gid_t)-1 ? gid : entry ? entry->pw_gid : (gid_t)uid;
    groups_of(priv, entry ? entry->pw_name : user);
}

void priv_free(struct priv *priv)
{
    free(priv->groups);
    priv->groups = NULL;
}

/* An unprivileged start may come with CAP_NET_BIND_SERVICE: the master needs it, a child doesn't. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return (int)syscall(SYS_capset, &header, none);
}

int priv_drop(const struct priv *priv, char *why, size_t size)
{
    const char *step = "setgroups";
    if (priv->changes) {
        if (setgroups((size_t)priv->group_count, priv->groups))
            goto failed;
        step = "setresgid";
        if (setresgid(priv->gid, priv->gid, priv->gid))
            goto failed;
        step = "setresuid";
        if (setresuid(priv->uid, priv->uid, priv->uid))
            goto failed;
    }
    step = "capset";
    if (priv->uid != 0 && drop_capabilities())
        goto failed;
    step = "no_new_privs";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        goto failed;
#ifndef __SANITIZE_ADDRESS__ /* whose leak check traces the process that it checks */
    step = "dumpable";
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        goto failed;
#endif
    step = "the way back to root is open";
    errno = EPERM;
    if (priv->uid != 0 && setresuid(0, 0, 0) == 0)
        goto failed;
    return 0;
failed:
    snprintf(why, size, "privileges can't be dropped: %s: %s", step, strerror(errno));
    return -1;
}
