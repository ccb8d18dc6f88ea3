/* table: all policies, from policies.def. */
#ifndef POLICY_TABLE_H
#define POLICY_TABLE_H

#include "worker/request/policy.h"

/* Ended by NULL. */
extern const struct policy *const policy_table[];

/* What they add to the configuration's settings; ended by a NULL name. */
extern struct conf_extension policy_extensions[];

/* The content of the admin socket; not for routes. */
extern const struct policy policy_admin;

#endif
