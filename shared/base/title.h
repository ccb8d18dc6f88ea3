/* title: what ps shows of this process, in place of its command line. */
#ifndef BASE_TITLE_H
#define BASE_TITLE_H

/* In main(), before anything keeps a pointer to argv's words or to the environment: remembers where the words are,
 * and moves the environment away, so that a title may be longer than the command line was. What other code needs of
 * `argv` later it must have copied; until the first title_set() the words are left alone. */
void title_init(int argc, char **argv);

/* Cut to the room there is; without title_init() nothing happens. */
void title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
