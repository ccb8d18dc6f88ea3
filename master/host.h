/* host: what the machine lets us have: CPUs (affinity mask, cgroup quota) and descriptors. */
#ifndef MASTER_HOST_H
#define MASTER_HOST_H

#include <stddef.h>
#include <stdint.h>

/* How many workers make sense: the CPUs of the affinity mask, at most the quota of the cgroup, at least 1. */
unsigned host_cpus(void);

/* Whole CPUs of a cgroup v2 "cpu.max" ("max 100000", "150000 100000"), rounded up; 0: no quota, or not understood. */
unsigned host_quota_v2(const char *text);

/* The same from the two files of cgroup v1; quota -1: none. */
unsigned host_quota_v1(const char *quota, const char *period);

/* The path of our cgroup in /proc/self/cgroup: of the v2 hierarchy when `controller` is NULL, else of the v1 hierarchy
 * with that controller. The length of it in `out`, or 0. */
size_t host_cgroup_path(const char *proc_self_cgroup, const char *controller, char *out, size_t size);

/* Raises the limit of descriptors to `need`, the hard one too where we may. 0, or -1 and `why` says what to do. */
int host_raise_files(uint64_t need, char *why, size_t size);

#endif
