/* Pidfile: one at a time, whoever holds it is named, and it goes with its master. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <sys/stat.h>

#include "master/pidfile.h"

static char folder[] = "/tmp/gatehouse-pidfile-XXXXXX";
static char path[64], why[512];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/pid", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* In another process: 0, it got the lock; 1: refused, with our pid in the message; 2: refused otherwise. */
static int other_takes(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct pidfile other = {.fd = -1};
        char pid[32];
        snprintf(pid, sizeof(pid), "pid %ld", (long)getppid());
        if (pidfile_take(&other, path, why, sizeof(why)) == 0)
            _exit(0);
        _exit(strstr(why, pid) ? 1 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_second_is_told_who_is_first(void **state)
{
    (void)state;
    struct pidfile pidfile = {.fd = -1};
    assert_int_equal(pidfile_take(&pidfile, path, why, sizeof(why)), 0);
    assert_int_equal(other_takes(), 1);
    assert_int_equal(pidfile_write(&pidfile, why, sizeof(why)), 0);
    char text[32] = "", expected[32];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    snprintf(expected, sizeof(expected), "%ld\n", (long)getpid());
    assert_string_equal(text, expected);
    pidfile_remove(&pidfile);
    fclose(file);
    assert_int_equal(access(path, F_OK), -1);
    pidfile_remove(&pidfile); /* once more is harmless */
}

static void what_a_dead_one_left_is_taken(void **state)
{
    (void)state;
    struct pidfile pidfile = {.fd = -1};
    struct stat file;
    assert_int_equal(other_takes(), 0);
    assert_int_equal(pidfile_take(&pidfile, path, why, sizeof(why)), 0);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_size, 0); /* nobody is sent to a pid before we serve */
    pidfile_remove(&pidfile);
}

static void errors_are_told(void **state)
{
    (void)state;
    struct pidfile pidfile = {.fd = -1};
    char missing[80];
    snprintf(missing, sizeof(missing), "%s/no/pid", folder);
    assert_int_equal(pidfile_take(&pidfile, missing, why, sizeof(why)), -1);
    assert_non_null(strstr(why, missing));
    assert_int_equal(pidfile.fd, -1);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(pidfile_take(&pidfile, path, why, sizeof(why)), -1);
    assert_int_equal(unlink(path), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_second_is_told_who_is_first),
        TEST(what_a_dead_one_left_is_taken),
        TEST(errors_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
