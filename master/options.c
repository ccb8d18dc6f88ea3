/* options: `gatehouse [COMMAND] [-c FILE] [-f] …`. Called by main() once; the commands see the struct options. */
#include "master/options.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/str.h"

/* A word that is an option with a value: "-c FILE", "-cFILE", "--config FILE", "--config=FILE". */
struct valued {
    char letter; /* 0: none */
    const char *word;
    size_t offset; /* of a const char * in struct options */
};

static const struct valued valued[] = {
    {'c', "config", offsetof(struct options, config)},
    {0, "control", offsetof(struct options, control)},
};

struct flag {
    char letter;
    const char *word;
    size_t offset; /* of a bool in struct options */
};

static const struct flag flags[] = {
    {'f', "foreground", offsetof(struct options, foreground)},
    {0, "json", offsetof(struct options, json)},
};

enum match { MATCH_NO, MATCH_BARE, MATCH_WITH_VALUE };

/* Whether `word` is the option; `*value` is what stands in the same word behind it. */
static enum match option_match(const char *word, char letter, const char *name, const char **value)
{
    size_t length = strlen(name);
    if (letter && word[0] == '-' && word[1] == letter) {
        *value = word + 2;
        return word[2] ? MATCH_WITH_VALUE : MATCH_BARE;
    }
    if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, name, length) != 0)
        return MATCH_NO;
    *value = word + 2 + length + 1;
    if (word[2 + length] == '=')
        return MATCH_WITH_VALUE;
    return word[2 + length] ? MATCH_NO : MATCH_BARE;
}

/* How many words the option at argv[0] takes; 0: it is none of ours; -1: its value is missing. */
static int option_take(int argc, char **argv, struct options *options)
{
    const char *value;
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        if (option_match(argv[0], flags[i].letter, flags[i].word, &value) == MATCH_BARE) {
            *(bool *)((char *)options + flags[i].offset) = true;
            return 1;
        }
    for (size_t i = 0; i < sizeof(valued) / sizeof(*valued); i++) {
        enum match match = option_match(argv[0], valued[i].letter, valued[i].word, &value);
        if (match == MATCH_NO)
            continue;
        if (match == MATCH_BARE && argc < 2)
            return -1;
        value = match == MATCH_BARE ? argv[1] : value;
        if (!*value)
            return -1;
        memcpy((char *)options + valued[i].offset, &value, sizeof(value));
        return match == MATCH_BARE ? 2 : 1;
    }
    return 0;
}

static bool is_word(const char *text, const char *short_form, const char *long_form)
{
    return strcmp(text, short_form) == 0 || strcmp(text, long_form) == 0;
}

int options_parse(int argc, char **argv, struct options *options, enum options_wanted *wanted, char *why,
                  size_t size)
{
    static char run[] = "run";
    int kept = 1; /* argv[0] becomes the command's name, argv[1…] what is left for it */
    bool named = false;
    *wanted = OPTIONS_COMMAND;
    for (int i = 1; i < argc;) {
        int taken = option_take(argc - i, argv + i, options);
        if (taken < 0) {
            snprintf(why, size, "%s: a value is missing", argv[i]);
            return -1;
        }
        if (taken == 0 && is_word(argv[i], "-h", "--help"))
            *wanted = OPTIONS_HELP;
        else if (taken == 0 && is_word(argv[i], "-V", "--version"))
            *wanted = OPTIONS_VERSION;
        else if (taken == 0 && !named && argv[i][0] == '-') {
            snprintf(why, size, "%s: no such option", argv[i]);
            return -1;
        } else if (taken == 0 && !named) {
            argv[0] = argv[i];
            named = true;
        } else if (taken == 0)
            argv[kept++] = argv[i];
        i += taken ? taken : 1;
    }
    if (!named)
        argv[0] = run;
    argv[kept] = NULL;
    options->argc = kept;
    options->argv = argv;
    return 0;
}

const struct command *options_command(const struct command *table, const char *name)
{
    for (const struct command *command = table; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

const char *options_suggest(const struct command *table, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = 3; /* two edits are still a slip of the finger */
    for (const struct command *command = table; command->name; command++) {
        unsigned distance = str_distance(str_of(name), str_of(command->name), best_distance);
        if (distance < best_distance && distance < strlen(command->name)) {
            best = command->name;
            best_distance = distance;
        }
    }
    return best;
}
