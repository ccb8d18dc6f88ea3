/* Probe: the kernel's table of sockets, which addresses exclude each other, and who listens at a path. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "master/orphans.h"
#include "master/probe.h"

static struct address address(const char *text)
{
    struct address out;
    const char *why = NULL;
    assert_true(address_parse(str_of(text), &out, &why));
    return out;
}

static bool overlap(const char *a, const char *b)
{
    struct address one = address(a), two = address(b);
    assert_int_equal(probe_overlap(&one, &two), probe_overlap(&two, &one));
    return probe_overlap(&one, &two);
}

static void addresses_that_include_each_other(void **state)
{
    (void)state;
    assert_true(overlap("127.0.0.1:80", "127.0.0.1:80"));
    assert_true(overlap("127.0.0.1:80", "0.0.0.0:80"));
    assert_true(overlap("127.0.0.1:80", "[::]:80"));
    assert_true(overlap("[::1]:80", "[::]:80"));
    assert_false(overlap("127.0.0.1:80", "127.0.0.1:81"));
    assert_false(overlap("127.0.0.1:80", "127.0.0.2:80"));
    assert_false(overlap("127.0.0.1:80", "[::1]:80"));
    assert_false(overlap("0.0.0.0:80", "[::1]:80"));
    assert_false(overlap("unix:/a", "unix:/a"));
}

static void lines_of_proc_net_tcp(void **state)
{
    (void)state;
    struct probe_line line;
    struct address expected;
    /* As a little-endian machine prints it: the words stand for themselves on any other. */
    char text[256];
    uint32_t word[4];
    expected = address("127.0.0.1:8080");
    memcpy(word, &expected.in.sin_addr, 4);
    snprintf(text, sizeof(text),
             "   1: %08X:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 "
             "0 100\n",
             word[0]);
    assert_true(probe_parse(text, AF_INET, &line));
    assert_true(address_eq(&line.address, &expected));
    assert_true(line.listens);
    assert_int_equal(line.uid, 1000);
    assert_int_equal(line.inode, 4711);

    expected = address("[2001:db8::1]:443");
    memcpy(word, &expected.in6.sin6_addr, 16);
    snprintf(
        text, sizeof(text),
        "   0: %08X%08X%08X%08X:01BB 00000000000000000000000000000000:0000 01 00000000:00000000 00:00000000 "
        "00000000     0        0 12 1 0 100\n",
        word[0], word[1], word[2], word[3]);
    assert_true(probe_parse(text, AF_INET6, &line));
    assert_true(address_eq(&line.address, &expected));
    assert_false(line.listens);
    assert_int_equal(line.inode, 12);

    assert_false(
        probe_parse("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n", AF_INET, &line));
    assert_false(probe_parse("", AF_INET6, &line));
    assert_false(probe_parse("   0: 0100007F:1F90 00000000:0000\n", AF_INET, &line));
}

struct seen {
    ino_t inode;
    unsigned count, others;
};

static bool see(void *context, const struct probe_line *line)
{
    struct seen *seen = context;
    seen->count += line->inode == seen->inode;
    seen->others += line->inode != seen->inode;
    return line->inode == seen->inode;
}

static void who_listens_is_found(void **state)
{
    (void)state;
    struct address bound = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                            .length = sizeof(bound.in)};
    struct stat file;
    struct seen seen = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &bound.any, bound.length), 0);
    assert_int_equal(getsockname(fd, &bound.any, &bound.length), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(fstat(fd, &file), 0);
    seen.inode = file.st_ino;
    assert_int_equal(probe_bind(&bound), EADDRINUSE);
    assert_true(probe_holders(&bound, see, &seen));
    assert_int_equal(seen.count, 1);
    seen.inode = 0;
    assert_false(probe_holders(&bound, see, &seen));
    close(fd);
    assert_int_equal(probe_bind(&bound), 0);
}

static void what_a_path_is(void **state)
{
    (void)state;
    char folder[] = "/tmp/gatehouse-probe-XXXXXX", path[64];
    pid_t listener;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    assert_int_equal(probe_unix(path, SOCK_STREAM, &listener), PROBE_FREE);

    struct address bound = {.un = {.sun_family = AF_UNIX}, .length = sizeof(bound.un)};
    strcpy(bound.un.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &bound.any, bound.length), 0);
    assert_int_equal(probe_unix(path, SOCK_STREAM, &listener), PROBE_STALE);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(probe_unix(path, SOCK_STREAM, &listener), PROBE_USED);
    assert_int_equal(listener, getpid());
    assert_int_equal(probe_unix(path, SOCK_SEQPACKET, &listener), PROBE_USED);
    close(fd);
    assert_int_equal(probe_unix(path, SOCK_STREAM, &listener), PROBE_STALE);
    assert_int_equal(unlink(path), 0);

    assert_int_equal(probe_unix(folder, SOCK_STREAM, &listener), PROBE_NOT_SOCKET);
    assert_int_equal(rmdir(folder), 0);
}

#define LINE(text) (text), sizeof(text)

static void titles_of_orphans(void **state)
{
    (void)state;
    assert_true(orphans_match(LINE("gatehouse: worker 3 (orphan of /run/g.pid)"), "/run/g.pid"));
    assert_true(orphans_match(LINE("gatehouse: keeper 0 (orphan of /run/g.pid)\0\0\0"), "/run/g.pid"));
    assert_false(orphans_match(LINE("gatehouse: worker 3 (orphan of /run/g.pid)"), "/run/g.pi"));
    assert_false(orphans_match(LINE("gatehouse: worker 3 (orphan of /run/g.pid"), "/run/g.pid"));
    assert_false(orphans_match(LINE("gatehouse: worker 3 (orphan of /run/g.pid)x"), "/run/g.pid"));
    assert_false(orphans_match(LINE("gatehouse: worker 3"), "/run/g.pid"));
    assert_false(orphans_match(LINE("gatehouse: logger 0 (orphan)"), "/run/g.pid"));
    assert_false(orphans_match("", 0, "/run/g.pid"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_include_each_other),
        cmocka_unit_test(lines_of_proc_net_tcp),
        cmocka_unit_test(who_listens_is_found),
        cmocka_unit_test(what_a_path_is),
        cmocka_unit_test(titles_of_orphans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
