/* Host: quotas of control groups in all their forms, and the limit of descriptors. */
#include "tests/unit/unit.h"

#include <sys/resource.h>

#include "master/host.h"

static void quota_of_v2(void **state)
{
    (void)state;
    assert_int_equal(host_quota_v2("max 100000\n"), 0);
    assert_int_equal(host_quota_v2("100000 100000\n"), 1);
    assert_int_equal(host_quota_v2("100001 100000\n"), 2);
    assert_int_equal(host_quota_v2("50000 100000\n"), 1);
    assert_int_equal(host_quota_v2("400000 100000"), 4);
    assert_int_equal(host_quota_v2("18446744073709551615 1\n"), 65536);
    assert_int_equal(host_quota_v2("400000 0\n"), 0);
    assert_int_equal(host_quota_v2("400000\n"), 0);
    assert_int_equal(host_quota_v2(""), 0);
    assert_int_equal(host_quota_v2("-1 100000\n"), 0);
}

static void quota_of_v1(void **state)
{
    (void)state;
    assert_int_equal(host_quota_v1("-1\n", "100000\n"), 0);
    assert_int_equal(host_quota_v1("250000\n", "100000\n"), 3);
    assert_int_equal(host_quota_v1("0\n", "100000\n"), 0);
    assert_int_equal(host_quota_v1("250000\n", "junk\n"), 0);
}

static void path_of_the_group(void **state)
{
    (void)state;
    static const char both[] = "12:cpu,cpuacct:/docker/ab\n3:memory:/m\n0::/system.slice/x.service\n";
    char out[64];
    assert_int_equal(host_cgroup_path(both, NULL, out, sizeof(out)), 23);
    assert_string_equal(out, "/system.slice/x.service");
    assert_int_equal(host_cgroup_path(both, "cpu", out, sizeof(out)), 10);
    assert_string_equal(out, "/docker/ab");
    assert_int_equal(host_cgroup_path(both, "cpuset", out, sizeof(out)), 0);
    assert_int_equal(host_cgroup_path("1:name=systemd:/\n", NULL, out, sizeof(out)), 0);
    assert_int_equal(host_cgroup_path(both, NULL, out, 10), 0);
    assert_int_equal(host_cgroup_path("nonsense", NULL, out, sizeof(out)), 0);
}

static void there_is_a_cpu(void **state)
{
    (void)state;
    assert_true(host_cpus() >= 1);
}

static void descriptors_are_raised_or_refused(void **state)
{
    (void)state;
    struct rlimit limit, now;
    char why[512];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_max >= 128);
    limit.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(host_raise_files(120, why, sizeof(why)), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, 120);
    assert_int_equal(host_raise_files(50, why, sizeof(why)), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, 120);
    /* More than the kernel gives anybody. */
    assert_int_equal(host_raise_files(1ull << 40, why, sizeof(why)), -1);
    assert_non_null(strstr(why, "1099511627776 descriptors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quota_of_v2),
        cmocka_unit_test(quota_of_v1),
        cmocka_unit_test(path_of_the_group),
        cmocka_unit_test(there_is_a_cpu),
        cmocka_unit_test(descriptors_are_raised_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
