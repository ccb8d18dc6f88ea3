/* Listen: which sockets are kept, made and closed from one generation to the next. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "master/listen.h"

static struct listeners listeners;
static struct arena *arena;
static struct errors errors;
static char folder[] = "/tmp/gatehouse-listen-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    arena = arena_new(4096);
    errors_init(&errors, arena);
    listen_init(&listeners, &(struct orphans){.pidfile = "/nowhere", .uid = geteuid()});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    listen_close(&listeners, true);
    arena_free(&arena);
    return rmdir(folder); /* every socket removed its file */
}

/* A free port of this machine: the kernel doesn't give it to others at once. */
static unsigned free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    close(fd);
    return ntohs(in.sin_port);
}

/* Settings with these listeners: "tcp" ports or names in the folder. */
static struct settings *settings_of(const char *const *texts)
{
    struct settings *settings = arena_zalloc(arena, sizeof(*settings));
    settings->listeners.items = arena_array(arena, 8, sizeof(void *));
    for (unsigned i = 0; texts[i]; i++) {
        struct listener_settings *listener = arena_zalloc(arena, sizeof(*listener));
        const char *why;
        listener->listen = texts[i];
        listener->backlog = 16;
        listener->unix_mode = 0660;
        assert_true(address_parse(str_of(texts[i]), &listener->address, &why));
        settings->listeners.items[settings->listeners.count++] = listener;
    }
    return settings;
}

#define SETTINGS(...) settings_of((const char *const[]){__VA_ARGS__, NULL})

static const char *at(const char *name)
{
    return arena_printf(arena, "unix:%s/%s", folder, name);
}

static const char *path(const char *name)
{
    return arena_printf(arena, "%s/%s", folder, name);
}

/* Whether somebody can connect: 0, or an errno. */
static int connects(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strcpy(un.sun_path, path(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = connect(fd, (struct sockaddr *)&un, sizeof(un)) ? errno : 0;
    close(fd);
    return error;
}

static void a_generation_listens_when_it_is_told(void **state)
{
    (void)state;
    struct inheritance one = {NULL, 0};
    struct settings *settings = SETTINGS(at("a"), at("b"));
    settings->admin.socket = path("admin");
    assert_int_equal(listen_prepare(&listeners, settings, &one, &errors), 0);
    assert_int_equal(one.count, 3);
    assert_ptr_equal(one.bound[1].listener, settings->listeners.items[1]);
    assert_null(one.bound[2].listener);
    assert_int_equal(connects("a"), ECONNREFUSED);
    assert_int_equal(listen_start(&listeners, &errors), 0);
    listen_commit(&listeners);
    assert_int_equal(connects("a"), 0);
    assert_int_equal(connects("admin"), 0);
    struct stat file;
    assert_int_equal(stat(path("a"), &file), 0);
    assert_int_equal(file.st_mode & 0777, 0660);
    listen_close(&listeners, false);
    assert_int_equal(connects("a"), ENOENT);
    assert_int_equal(connects("admin"), 0);
    listen_forget(&one);
}

static void sockets_are_found_again(void **state)
{
    (void)state;
    struct inheritance one = {NULL, 0}, two = {NULL, 0};
    assert_int_equal(listen_prepare(&listeners, SETTINGS(at("a"), at("b")), &one, &errors), 0);
    assert_int_equal(listen_start(&listeners, &errors), 0);
    listen_commit(&listeners);
    struct settings *settings = SETTINGS(at("c"), at("a"));
    ((struct listener_settings *)settings->listeners.items[1])->unix_mode = 0600;
    assert_int_equal(listen_prepare(&listeners, settings, &two, &errors), 0);
    assert_int_equal(two.bound[1].fd, one.bound[0].fd);
    assert_int_equal(connects("c"), ECONNREFUSED);
    assert_int_equal(connects("b"), 0);
    assert_int_equal(listen_start(&listeners, &errors), 0);
    listen_commit(&listeners);
    assert_int_equal(listen_count(&listeners), 2);
    assert_int_equal(connects("a"), 0);
    assert_int_equal(connects("b"), ENOENT);
    assert_int_equal(connects("c"), 0);
    struct stat file;
    assert_int_equal(stat(path("a"), &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    listen_forget(&one);
    listen_forget(&two);
}

static void undoing_leaves_what_serves(void **state)
{
    (void)state;
    struct inheritance one = {NULL, 0}, two = {NULL, 0};
    assert_int_equal(listen_prepare(&listeners, SETTINGS(at("a")), &one, &errors), 0);
    assert_int_equal(listen_start(&listeners, &errors), 0);
    listen_commit(&listeners);
    assert_int_equal(listen_prepare(&listeners, SETTINGS(at("a"), at("b")), &two, &errors), 0);
    listen_undo(&listeners);
    assert_int_equal(listen_count(&listeners), 1);
    assert_int_equal(connects("a"), 0);
    assert_int_equal(connects("b"), ENOENT);
    /* Wanted by nobody any more: a commit without it closes it. */
    listen_forget(&two);
    assert_int_equal(listen_prepare(&listeners, SETTINGS(at("b")), &two, &errors), 0);
    assert_int_equal(listen_start(&listeners, &errors), 0);
    listen_commit(&listeners);
    assert_int_equal(connects("a"), ENOENT);
    assert_int_equal(connects("b"), 0);
    listen_forget(&one);
    listen_forget(&two);
}

static void taken_addresses_are_refused(void **state)
{
    (void)state;
    struct inheritance one = {NULL, 0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(in);
    int yes = 1;
    /* The other one allows sharing, as another gateway would. */
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)), 0);
    assert_int_equal(bind(other, (struct sockaddr *)&in, length), 0);
    assert_int_equal(getsockname(other, (struct sockaddr *)&in, &length), 0);
    assert_int_equal(listen(other, 1), 0);
    struct settings *settings = SETTINGS(arena_printf(arena, "127.0.0.1:%u", ntohs(in.sin_port)));
    assert_int_equal(listen_prepare(&listeners, settings, &one, &errors), -1);
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.first->text, "another process listens there"));
    listen_undo(&listeners);
    assert_int_equal(listen_count(&listeners), 0);
    close(other);
    listen_forget(&one);
}

static void our_own_sockets_are_no_strangers(void **state)
{
    (void)state;
    struct inheritance one = {NULL, 0}, two = {NULL, 0};
    unsigned port = free_port();
    assert_int_equal(
        listen_prepare(&listeners, SETTINGS(arena_printf(arena, "0.0.0.0:%u", port)), &one, &errors), 0);
    assert_int_equal(listen_start(&listeners, &errors), 0);
    listen_commit(&listeners);
    assert_int_equal(
        listen_prepare(&listeners, SETTINGS(arena_printf(arena, "127.0.0.1:%u", port)), &two, &errors), 0);
    assert_int_equal(listen_start(&listeners, &errors), 0);
    listen_commit(&listeners);
    assert_int_equal(listen_count(&listeners), 1);
    listen_forget(&one);
    listen_forget(&two);
}

static void stale_paths_are_taken_and_files_are_not(void **state)
{
    (void)state;
    struct inheritance one = {NULL, 0};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strcpy(un.sun_path, path("a"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
    int file = open(path("b"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(listen_prepare(&listeners, SETTINGS(at("a"), at("b")), &one, &errors), -1);
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.first->text, "/b: something that is no socket"));
    listen_undo(&listeners);
    assert_int_equal(connects("a"), ENOENT);
    assert_int_equal(unlink(path("b")), 0);
    listen_forget(&one);
}

static void a_file_of_others_stays(void **state)
{
    (void)state;
    struct inheritance one = {NULL, 0};
    assert_int_equal(listen_prepare(&listeners, SETTINGS(at("a")), &one, &errors), 0);
    assert_int_equal(unlink(path("a")), 0);
    int file = open(path("a"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(file);
    listen_undo(&listeners);
    assert_int_equal(unlink(path("a")), 0);
    listen_forget(&one);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_generation_listens_when_it_is_told),
        TEST(sockets_are_found_again),
        TEST(undoing_leaves_what_serves),
        TEST(taken_addresses_are_refused),
        TEST(our_own_sockets_are_no_strangers),
        TEST(stale_paths_are_taken_and_files_are_not),
        TEST(a_file_of_others_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
