/* main: the program `gatehouse`. Reads the command line and runs a row of the commands' table. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/options.h"
#include "master/program.h"
#include "master/resume.h"
#include "shared/base/title.h"

/* Bytes of words and environment that must be there for a title; its longest part is the pidfile's path. */
enum { TITLE_ROOM = 256 };
#define ROOM_VARIABLE "GATEHOUSE_TITLE_ROOM"

/* A master that is killed leaves processes that are found by their title, which is written over the words and the
 * environment that we were started with. With too few of them we start ourselves again with more. */
static void make_title_room(char **argv)
{
    char filler[TITLE_ROOM], program[4096]; /* by its name, which ps shows too */
    size_t room = 0;
    for (char **word = argv; *word; word++)
        room += strlen(*word) + 1;
    for (char **word = environ; *word; word++)
        room += strlen(*word) + 1;
    if (room >= TITLE_ROOM || getenv(ROOM_VARIABLE))
        return;
    memset(filler, '-', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (length <= 0 || setenv(ROOM_VARIABLE, filler, 1))
        return; /* without /proc nobody looks for titles either */
    program[length] = '\0';
    execv(program, argv);
}

static void help(FILE *out)
{
    fputs("usage: gatehouse [COMMAND] [-c FILE] [-f] [--json] [--control PATH]\n\ncommands:\n", out);
    for (const struct command *command = commands; command->name; command++)
        fprintf(out, "  %-8s %-24s %s\n", command->name, command->arguments, command->help);
    fprintf(out,
            "\noptions:\n"
            "  -c, --config FILE    the configuration (default: %s)\n"
            "  -f, --foreground     run: stay in the foreground\n"
            "      --json           status: as JSON\n"
            "      --control PATH   reload, stop, reopen, upgrade, status: the control socket of the running "
            "gateway\n"
            "  -h, --help           this text\n"
            "  -V, --version        the version\n",
            GATEHOUSE_CONFIG);
}

static int unknown_command(const char *name)
{
    const char *close = options_suggest(commands, name);
    if (close)
        fprintf(stderr, "gatehouse: %s: no such command (did you mean \"%s\"?)\n", name, close);
    else
        fprintf(stderr, "gatehouse: %s: no such command (gatehouse --help lists them)\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    struct options options = {.config = GATEHOUSE_CONFIG};
    enum options_wanted wanted;
    char why[256], program[4096], resume[64];

    make_title_room(argv);
    options.program = program_path(argv[0], program, sizeof(program));
    options.resume = resume_wanted(resume, sizeof(resume));
    title_init(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (options_parse(argc, argv, &options, &wanted, why, sizeof(why))) {
        fprintf(stderr, "gatehouse: %s (gatehouse --help lists them)\n", why);
        return 2;
    }
    if (wanted == OPTIONS_HELP) {
        help(stdout);
        return 0;
    }
    if (wanted == OPTIONS_VERSION) {
        puts("gatehouse " PACKAGE_VERSION);
        return 0;
    }
    const struct command *command = options_command(commands, options.argv[0]);
    return command ? command->run(&options) : unknown_command(options.argv[0]);
}
