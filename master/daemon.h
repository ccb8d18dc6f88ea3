/* daemon: into the background, and back to the starting command with the outcome. */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

/* Descriptors 0, 1 and 2 are open from here on, whatever we were started with. */
void daemon_standard_files(void);

/* The process goes on in the background, in a session of its own; the starting one waits for daemon_report() and
 * exits with its status (1 when the background process ends without one). Standard error stays until then.
 * Returns the descriptor to report on, or -1 with errno. */
int daemon_start(void);

/* Ends the wait; the descriptor is closed. `error_fd` becomes standard output and error; -1: /dev/null. */
void daemon_report(int report, int status, int error_fd);

#endif
