/* host: asked at start and at each reload, by the master only. */
#include "master/host.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shared/base/str.h"

static unsigned quota_cpus(uint64_t quota, uint64_t period)
{
    if (period == 0 || quota == 0)
        return 0;
    uint64_t cpus = (quota - 1) / period + 1;
    return cpus > 65536 ? 65536 : (unsigned)cpus;
}

/* A number, then the end, a space or a newline. */
static bool number(const char *text, uint64_t *value)
{
    return str_to_u64((struct str){text, strcspn(text, " \n")}, UINT64_MAX, value);
}

unsigned host_quota_v2(const char *text)
{
    uint64_t quota, period;
    const char *space = strchr(text, ' ');
    if (!space || !number(text, &quota) || !number(space + 1, &period))
        return 0;
    return quota_cpus(quota, period);
}

unsigned host_quota_v1(const char *quota, const char *period)
{
    uint64_t q, p;
    return number(quota, &q) && number(period, &p) ? quota_cpus(q, p) : 0;
}

size_t host_cgroup_path(const char *text, const char *controller, char *out, size_t size)
{
    struct str rest = str_of(text);
    while (rest.length) {
        struct str path = str_cut(&rest, '\n');
        struct str hierarchy = str_cut(&path, ':'), controllers = str_cut(&path, ':');
        bool ours = controller ? str_list_has(controllers, str_of(controller))
                               : str_eq(hierarchy, STR("0")) && controllers.length == 0;
        if (!ours || path.length == 0 || path.data[0] != '/' || path.length >= size)
            continue;
        memcpy(out, path.data, path.length);
        out[path.length] = '\0';
        return path.length;
    }
    return 0;
}

/* A small file of /proc or /sys; false: not there. */
static bool slurp(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, out, size - 1);
    close(fd);
    out[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static unsigned smaller_quota(unsigned a, unsigned b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* The smallest quota of the cgroup and of those above it; in a container our own is seen as the root. */
static unsigned quota_found(const char *mount, char *group, bool v2)
{
    char path[4400], first[64], second[64];
    unsigned quota = 0;
    for (;;) {
        snprintf(path, sizeof(path), "%s%s/%s", mount, group, v2 ? "cpu.max" : "cpu.cfs_quota_us");
        if (slurp(path, first, sizeof(first))) {
            snprintf(path, sizeof(path), "%s%s/cpu.cfs_period_us", mount, group);
            if (v2)
                quota = smaller_quota(quota, host_quota_v2(first));
            else if (slurp(path, second, sizeof(second)))
                quota = smaller_quota(quota, host_quota_v1(first, second));
        }
        char *slash = strrchr(group, '/');
        if (!slash)
            return quota;
        *slash = '\0';
    }
}

unsigned host_cpus(void)
{
    cpu_set_t set;
    char cgroups[4096], group[4096] = "";
    unsigned cpus = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        cpus = (unsigned)CPU_COUNT(&set);
    else if (sysconf(_SC_NPROCESSORS_ONLN) > 0) /* more CPUs than a cpu_set_t has */
        cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

    bool known = slurp("/proc/self/cgroup", cgroups, sizeof(cgroups));
    if (!known || !host_cgroup_path(cgroups, NULL, group, sizeof(group)))
        group[0] = '\0';
    unsigned quota = quota_found("/sys/fs/cgroup", group, true);
    if (known && host_cgroup_path(cgroups, "cpu", group, sizeof(group)))
        quota = smaller_quota(quota, quota_found("/sys/fs/cgroup/cpu", group, false));
    if (quota && quota < cpus)
        cpus = quota;
    return cpus ? cpus : 1;
}

int host_raise_files(uint64_t need, char *why, size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) {
        snprintf(why, size, "the limit of descriptors is unknown: %s", strerror(errno));
        return -1;
    }
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < need) {
        rlim_t hard = limit.rlim_max;
        limit.rlim_cur = need;
        if (hard != RLIM_INFINITY && hard < need)
            limit.rlim_max = need;
        if (setrlimit(RLIMIT_NOFILE, &limit)) {
            snprintf(why, size,
                     "%llu descriptors are needed and the hard limit is %llu (raise it: ulimit -Hn, "
                     "LimitNOFILE= of "
                     "systemd, fs.nr_open; or lower max_connections)",
                     (unsigned long long)need, (unsigned long long)hard);
            return -1;
        }
    }
    return 0;
}
