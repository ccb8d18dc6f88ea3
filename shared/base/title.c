/* title: writes over the memory that the kernel shows as the command line.
 *
 * The one thing kept here is where that memory is: there is one to a process, and children inherit it.
 */
#include "shared/base/title.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *title_start;
static size_t title_room;

/* The words stand one behind the other, the environment behind them; how far without a gap? */
static char *words_end(char *end, char **words)
{
    for (unsigned i = 0; words[i]; i++)
        if (words[i] == end)
            end = words[i] + strlen(words[i]) + 1;
    return end;
}

void title_init(int argc, char **argv)
{
    if (argc < 1)
        return;
    char *end = words_end(argv[0], argv), *behind = words_end(end, environ);
    size_t count = 0;
    while (environ[count])
        count++;
    char **moved = calloc(count + 1, sizeof(*moved));
    for (size_t i = 0; moved && i < count; i++) {
        moved[i] = strdup(environ[i]);
        if (!moved[i])
            return; /* no memory for a nicety: the words' own room must do, and what was copied is lost once */
    }
    if (moved) {
        environ = moved;
        end = behind;
    }
    /* glibc names the program by a pointer into argv[0]. */
    char *name = strdup(program_invocation_name);
    if (!name)
        return;
    program_invocation_name = name;
    char *slash = strrchr(name, '/');
    program_invocation_short_name = slash ? slash + 1 : name;
    title_start = argv[0];
    title_room = (size_t)(end - argv[0]);
}

void title_set(const char *format, ...)
{
    if (!title_room)
        return;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(title_start, title_room, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < title_room)
        memset(title_start + length, 0, title_room - (size_t)length);
}
