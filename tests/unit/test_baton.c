/* The baton: what one program writes, another reads, also of a later or an earlier version. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "master/master.h"

static struct master from, to;
static struct baton baton;
static char why[1024];

static int some_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd > 2);
    return fd;
}

static void empty(struct master *master)
{
    memset(master, 0, sizeof(*master));
    master->arena = arena_new(4096);
    list_init(&master->children);
    list_init(&master->listeners.list);
    control_init(&master->control);
    logfiles_init(&master->logs);
    upgrade_init(&master->upgrade, "/usr/sbin/gatehouse");
    master->config = "/etc/gatehouse.conf";
    master->stray.read_end = master->stray.write_end = master->pidfile.fd = -1;
    master->shared.segment.fd = -1;
}

static void forget(struct master *master)
{
    while (!list_empty(&master->children)) {
        struct child *child = CONTAINER_OF(master->children.next, struct child, link);
        list_remove(&child->link);
        free(child);
    }
    while (!list_empty(&master->listeners.list)) {
        struct listening *entry = CONTAINER_OF(master->listeners.list.next, struct listening, link);
        list_remove(&entry->link);
        free(entry);
    }
    free(master->crew);
    free(master->shared.wake.fds);
    arena_free(&master->arena);
}

static int set_up(void **state)
{
    (void)state;
    empty(&from);
    empty(&to);
    baton = (struct baton){.fd = -1};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    baton_close(&baton);
    forget(&from);
    forget(&to);
    return 0;
}

/* A master with one of each. */
static void furnish(struct master *master)
{
    const char *reason;
    master->crew = calloc(1, sizeof(*master->crew));
    master->background = true;
    master->born = 1234567890123;
    master->cut = 3;
    master->reload.serial = 9;
    master->reload.number = 7;
    master->log.slot = 2;
    master->upgrade.set = 1;
    master->control.fd = some_fd();
    master->control.path = "/run/control.sock";
    master->control.inode = 77;
    master->pidfile = (struct pidfile){"/run/a \"pid\".pid", some_fd()};
    master->logs.fds[LOG_ERROR] = some_fd();
    master->logs.fds[LOG_ACCESS] = some_fd();
    master->logs.syslog[LOG_ACCESS] = true;
    master->shared.segment.fd = some_fd();
    master->shared.wake.count = 2;
    master->shared.wake.fds = calloc(2, sizeof(int));
    for (unsigned i = 0; i < 2; i++)
        master->shared.wake.fds[i] = some_fd();
    struct listening *entry = calloc(1, sizeof(*entry));
    entry->fd = some_fd();
    entry->rights = (struct rights){0660, (uid_t)-1, 8};
    entry->admin = true;
    assert_true(address_parse(STR("[::1]:8080"), &entry->address, &reason));
    list_push_back(&master->listeners.list, &entry->link);
    struct child *child = calloc(1, sizeof(*child));
    *child = (struct child){.role = &roles[ROLE_WORKER],
                            .number = 1,
                            .generation = 7,
                            .pid = 4711,
                            .slot = 1,
                            .started = 1764000000000000001,
                            .channel = some_fd(),
                            .state = CHILD_DRAINING,
                            .go_at = 5,
                            .kill_at = 6,
                            .set = 1};
    list_push_back(&master->children, &child->link);
    master->control.clients[3] = (struct client){some_fd(), CLIENT_AWAITS_UPGRADE, 8, 0};
}

static void it_says_all(void **state)
{
    (void)state;
    furnish(&from);
    assert_int_equal(baton_make(&baton, &from, some_fd(), some_fd(), why, sizeof(why)), 0);
    struct baton read = {.fd = baton.fd};
    assert_int_equal(baton_read(&read, &to, why, sizeof(why)), 0);
    assert_true(to.background);
    assert_int_equal(to.born, 1234567890123);
    assert_int_equal(to.cut, 3);
    assert_int_equal(to.reload.serial, 9);
    assert_int_equal(to.reload.number, 7);
    assert_int_equal(to.log.slot, 2);
    assert_int_equal(to.upgrade.set, 1);
    assert_string_equal(to.control.path, "/run/control.sock");
    assert_int_equal(to.control.inode, 77);
    assert_string_equal(to.pidfile.path, "/run/a \"pid\".pid");
    assert_int_equal(to.pidfile.fd, from.pidfile.fd);
    assert_true(to.logs.syslog[LOG_ACCESS] && !to.logs.syslog[LOG_ERROR]);
    assert_int_equal(to.stray.read_end, -1);
    assert_int_equal(to.upgrade.found.segment_count, 1);
    assert_int_equal(to.upgrade.found.wake_count, 2);
    assert_int_equal(to.upgrade.found.wake[1], from.shared.wake.fds[1]);
    struct listening *entry = CONTAINER_OF(to.listeners.list.next, struct listening, link);
    assert_true(entry->admin && entry->current && !entry->coming);
    assert_int_equal(entry->rights.owner, (uid_t)-1);
    assert_int_equal(entry->rights.group, 8);
    struct child *child = CONTAINER_OF(to.children.next, struct child, link);
    assert_ptr_equal(child->role, &roles[ROLE_WORKER]);
    assert_int_equal(child->pid, 4711);
    assert_int_equal(child->started, 1764000000000000001);
    assert_int_equal(child->state, CHILD_DRAINING);
    assert_true(child->adopted);
    assert_int_equal(to.control.clients[0].wait, CLIENT_AWAITS_UPGRADE);
    assert_int_equal(to.control.clients[0].ticket, 8);
    struct baton_back back;
    assert_false(baton_came_back(&read, &back));
    read.fd = -1;
    baton_close(&read);
}

static void what_stays_open_is_what_it_names(void **state)
{
    (void)state;
    furnish(&from);
    int other = some_fd();
    assert_int_equal(baton_make(&baton, &from, some_fd(), some_fd(), why, sizeof(why)), 0);
    baton_pass(&baton, true);
    assert_int_equal(fcntl(from.control.fd, F_GETFD), 0);
    assert_int_equal(fcntl(from.shared.wake.fds[1], F_GETFD), 0);
    assert_int_equal(fcntl(from.control.clients[3].fd, F_GETFD), 0);
    assert_int_equal(fcntl(baton.fd, F_GETFD), 0);
    assert_int_equal(fcntl(other, F_GETFD), FD_CLOEXEC);
    baton_pass(&baton, false);
    assert_int_equal(fcntl(from.control.fd, F_GETFD), FD_CLOEXEC);
}

static void the_way_back_says_why(void **state)
{
    (void)state;
    struct baton_back back = {.why = "no luck", .reload = true, .stop = true}, said;
    furnish(&from);
    assert_int_equal(baton_make(&baton, &from, some_fd(), some_fd(), why, sizeof(why)), 0);
    from.cut = 5;
    assert_int_equal(baton_return(&baton, &from, &back, why, sizeof(why)), 0);
    struct baton read = {.fd = baton.fd};
    assert_int_equal(baton_read(&read, &to, why, sizeof(why)), 0);
    assert_true(baton_came_back(&read, &said));
    assert_string_equal(said.why, "no luck");
    assert_true(said.reload && said.stop && !said.reopen && !said.now);
    assert_int_equal(to.cut, 5);
    read.fd = -1;
    baton_close(&read);
}

/* What a program of format 1 wrote; %d is a descriptor. It must be read for ever. */
static const char first_format[] =
    "{\"format\":1,\"version\":\"0.1.0\",\"program\":\"/p\",\"config\":\"/"
    "c\",\"background\":false,\"born\":1,"
    "\"cut\":0,\"serial\":1,\"generation\":1,\"slot\":0,\"set\":0,\"image\":%d,\"settings\":%d,"
    "\"segments\":[%d],\"wake\":[%d],"
    "\"control\":{\"fd\":%d,\"path\":\"/k\",\"device\":1,\"inode\":2},\"pidfile\":{\"fd\":%d,\"path\":\"/"
    "i\"},"
    "\"stray\":[-1,-1],\"logs\":{\"error\":{\"fd\":%d,\"syslog\":false},\"access\":{\"fd\":%d,\"syslog\":"
    "true}},"
    "\"listeners\":[{\"fd\":%d,\"address\":\"unix:/"
    "s\",\"admin\":false,\"backlog\":9,\"mode\":432,\"owner\":-1,"
    "\"group\":-1,\"device\":1,\"inode\":2}],"
    "\"children\":[{\"role\":\"%s\",\"number\":0,\"generation\":1,\"pid\":4711,\"slot\":1,\"started\":5,"
    "\"channel\":%d,\"state\":\"%s\",\"go_at\":1,\"kill_at\":0,\"set\":0}],"
    "\"inboxes\":[{\"role\":\"worker\",\"number\":0,\"fds\":[%d,%d]}],"
    "\"clients\":[{\"fd\":%d,\"wait\":\"%s\",\"ticket\":0,\"until\":0}]%s}";

/* Reads such a text, into `to`. */
static int read_text(const char *role, const char *child_state, const char *wait, const char *more)
{
    char text[4096];
    int fd = some_fd(), client = some_fd();
    int length = snprintf(text, sizeof(text), first_format, fd, fd, fd, fd, fd, fd, fd, fd, fd, role, fd,
                          child_state, fd, fd, client, wait, more);
    assert_true(length > 0 && (size_t)length < sizeof(text));
    baton.fd = memfd_create("baton", 0);
    assert_int_equal(write(baton.fd, text, (size_t)length), length);
    return baton_read(&baton, &to, why, sizeof(why));
}

static void the_first_format_is_read_for_ever(void **state)
{
    (void)state;
    assert_int_equal(read_text("worker", "serving", "upgrade", ""), 0);
    assert_string_equal(baton_version(&baton), "0.1.0");
    struct child *child = CONTAINER_OF(to.children.next, struct child, link);
    assert_ptr_equal(child->role, &roles[ROLE_WORKER]);
    assert_int_equal(child->state, CHILD_SERVING);
    assert_int_equal(to.control.clients[0].wait, CLIENT_AWAITS_UPGRADE);
}

/* Members, roles, states and wishes of a later program. */
static void what_is_unknown_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(read_text("oracle", "dreaming", "wisdom", ",\"moon\":{\"phase\":[1,2]}"), 0);
    struct child *child = CONTAINER_OF(to.children.next, struct child, link);
    assert_string_equal(child->role->name, "oracle");
    assert_true(child->role->drains && !child->role->lasting);
    assert_int_equal(child->state, CHILD_SERVING);
    assert_int_equal(to.control.clients[0].fd, -1);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    baton.fd = memfd_create("baton", 0);
    assert_int_equal(baton_read(&baton, &to, why, sizeof(why)), -1);
    assert_int_equal(pwrite(baton.fd, "{\"format\":2}", 12, 0), 12);
    assert_int_equal(baton_read(&baton, &to, why, sizeof(why)), -1);
    assert_non_null(strstr(why, "is of format 2, this program knows 1"));
    json_decref(baton.root);
    assert_int_equal(pwrite(baton.fd, "{\"format\":1}", 12, 0), 12);
    assert_int_equal(baton_read(&baton, &to, why, sizeof(why)), -1);
    assert_non_null(strstr(why, "program"));
}

static void a_descriptor_that_is_not_open_is_found(void **state)
{
    (void)state;
    furnish(&from);
    int image = some_fd();
    assert_int_equal(baton_make(&baton, &from, image, some_fd(), why, sizeof(why)), 0);
    close(image);
    struct baton read = {.fd = baton.fd};
    assert_int_equal(baton_read(&read, &to, why, sizeof(why)), -1);
    assert_non_null(strstr(why, "a descriptor is missing"));
    read.fd = -1;
    baton_close(&read);
}

static void a_path_that_is_no_text_is_refused(void **state)
{
    (void)state;
    furnish(&from);
    from.config = "/etc/\xff.conf";
    assert_int_equal(baton_make(&baton, &from, some_fd(), some_fd(), why, sizeof(why)), -1);
    assert_non_null(strstr(why, "UTF-8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_says_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_stays_open_is_what_it_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_way_back_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_format_is_read_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_unknown_is_no_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_descriptor_that_is_not_open_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_path_that_is_no_text_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
