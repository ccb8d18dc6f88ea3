/* unit: what every unit test includes: CMocka, and a way to see a process die. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/str.h"

/* The signal that ends a child which calls `run(context)`, or 0: it returned from it. */
static inline int dies_of(void (*run)(void *context), void *context)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* not the sanitizer's handlers */
        signal(SIGABRT, SIG_DFL);
        int null = open("/dev/null", O_WRONLY);
        if (null < 0 || dup2(null, STDERR_FILENO) < 0)
            _exit(1);
        run(context);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        return WTERMSIG(status);
    assert_int_equal(WEXITSTATUS(status), 0);
    return 0;
}

#define assert_str(s, text) assert_str_at((s), (text), __FILE__, __LINE__)

/* `s` has the bytes of `text`. */
static inline void assert_str_at(struct str s, const char *text, const char *file, int line)
{
    if (s.length != strlen(text) || (s.length && memcmp(s.data, text, s.length) != 0)) {
        print_error("\"%.*s\" is not \"%s\"\n", STR_ARG(s), text);
        _fail(file, line);
    }
}

#endif
