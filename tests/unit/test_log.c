/* Log lines: their form, levels, escapes, bounds and where they go. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>

#include "shared/base/log.h"

struct captured {
    unsigned lines;
    enum log_level level;
    size_t length;
    char text[8192];
};

static void capture(void *context, enum log_level level, const char *line, size_t length)
{
    struct captured *captured = context;
    assert_true(length < sizeof(captured->text));
    captured->lines++;
    captured->level = level;
    captured->length = length;
    memcpy(captured->text, line, length);
    captured->text[length] = '\0';
    errno = EIO; /* a sink's errors are not the caller's */
}

static struct captured captured;

static int set_up(void **state)
{
    (void)state;
    memset(&captured, 0, sizeof(captured));
    log_to(capture, &captured);
    log_set_level(LEVEL_NOTICE);
    log_set_process("master");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_to(NULL, NULL);
    return 0;
}

static const char *message(void)
{
    const char *at = strstr(captured.text, "]: ");
    assert_non_null(at);
    return at + 3;
}

static void test_form(void **state)
{
    (void)state;
    log_notice("%s %d", "started", 4);
    assert_int_equal(captured.lines, 1);
    assert_int_equal(captured.level, LEVEL_NOTICE);
    assert_string_equal(message(), "started 4\n");
    regex_t regex;
    assert_int_equal(regcomp(&regex,
                             "^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
                             "notice master\\[[0-9]+\\]: started 4\n$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    assert_int_equal(regexec(&regex, captured.text, 0, NULL, 0), 0);
    regfree(&regex);
    char process[64];
    snprintf(process, sizeof(process), " worker[%d]: ", (int)getpid());
    log_set_process("worker");
    log_error("x");
    assert_non_null(strstr(captured.text, process));
    assert_non_null(strstr(captured.text, " error "));
}

static void test_levels(void **state)
{
    (void)state;
    log_info("not said");
    log_debug("not said");
    assert_int_equal(captured.lines, 0);
    log_warning("said");
    assert_int_equal(captured.level, LEVEL_WARNING);
    log_set_level(LEVEL_DEBUG);
    log_debug("said");
    log_set_level(LEVEL_ERROR);
    log_warning("not said");
    log_error("said");
    assert_int_equal(captured.lines, 3);
    static const char *const words[] = {"error", "warning", "notice", "info", "debug"};
    for (int i = LEVEL_ERROR; i <= LEVEL_DEBUG; i++)
        assert_string_equal(log_level_words[i], words[i]);
    assert_null(log_level_words[LEVEL_DEBUG + 1]);
}

static void test_one_line(void **state)
{
    (void)state;
    log_error("a\nb\r\t\x1b[0m\x7f é \\");
    assert_string_equal(message(), "a\\x0ab\\x0d\\x09\\x1b[0m\\x7f é \\\n");
}

static void test_bounded(void **state)
{
    (void)state;
    log_error("%s%0*d", "", 3000, 0);
    assert_int_equal(strlen(message()), 3001); /* whole */
    log_error("%0*d", 100000, 0);
    assert_in_range(captured.length, 4000, 4096);
    assert_string_equal(captured.text + captured.length - 8, "0 [cut]\n");
    char controls[2000];
    memset(controls, '\n', sizeof(controls) - 1);
    controls[sizeof(controls) - 1] = '\0';
    log_error("%s", controls); /* four times as long when escaped */
    assert_in_range(captured.length, 4000, 4096);
    assert_ptr_equal(strchr(captured.text, '\n'), captured.text + captured.length - 1);
}

static void test_errno(void **state)
{
    (void)state;
    errno = ENOENT;
    log_error("%m");
    assert_int_equal(errno, ENOENT);
    assert_string_equal(message(), "No such file or directory\n");
}

static void test_standard_error(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_to(NULL, NULL);
    log_error("to the terminal");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    char text[256] = "";
    ssize_t length = read(ends[0], text, sizeof(text) - 1);
    assert_true(length > 0);
    assert_non_null(strstr(text, "]: to the terminal\n"));
    assert_int_equal(read(ends[0], text, sizeof(text)), 0);
    close(ends[0]);
    assert_int_equal(captured.lines, 0);
}

static void test_seldom(void **state)
{
    (void)state;
    struct log_seldom seldom = {0};
    for (int i = 0; i < LOG_SELDOM_LINES; i++) {
        assert_true(log_seldom(&seldom, 5000));
        assert_int_equal(seldom.left_out, 0);
    }
    for (int i = 0; i < 7; i++)
        assert_false(log_seldom(&seldom, 5000 + LOG_SELDOM_MS - 1));
    assert_true(log_seldom(&seldom, 5000 + LOG_SELDOM_MS));
    assert_int_equal(seldom.left_out, 7);
    assert_true(log_seldom(&seldom, 5000 + LOG_SELDOM_MS));
    assert_int_equal(seldom.left_out, 0);
}

int main(void)
{
#define WITH_SINK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SINK(test_form),    WITH_SINK(test_levels), WITH_SINK(test_one_line),
        WITH_SINK(test_bounded), WITH_SINK(test_errno),  WITH_SINK(test_standard_error),
        WITH_SINK(test_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
