/* run: `gatehouse [run] -c FILE [-f]`: from the command line to the master. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/command/client.h"
#include "master/daemon.h"
#include "master/master.h"
#include "master/resume.h"
#include "master/spawn.h"

/* The path as seen from "/", where the master will be. Symbolic links stay as they are: they may be changed. */
static char *absolute(const char *path)
{
    char *folder = NULL, *out = NULL;
    if (path[0] == '/')
        return strdup(path);
    folder = getcwd(NULL, 0);
    if (!folder || asprintf(&out, "%s/%s", folder, path) < 0)
        out = NULL;
    free(folder);
    return out;
}

int command_run(const struct options *options)
{
    int report = -1;
    if (client_surplus(options))
        return 2;
    if (options->resume)
        return resume_run(options->resume, options->config, options->program);
    int keep = STDIN_FILENO;
    daemon_standard_files();
    if (spawn_close_others(&keep, 1)) { /* a lock of the caller's, say, must not live as long as we do */
        fprintf(stderr, "gatehouse: descriptors can't be closed: %s\n", strerror(errno));
        return 1;
    }
    char *config = absolute(options->config);
    if (!config) {
        fprintf(stderr, "gatehouse: the working folder is unknown: %s\n", strerror(errno));
        return 1;
    }
    umask(027);
    if (chdir("/")) {
        fprintf(stderr, "gatehouse: /: %s\n", strerror(errno));
        return 1;
    }
    if (!options->foreground && (report = daemon_start()) < 0) {
        fprintf(stderr, "gatehouse: can't go into the background: %s\n", strerror(errno));
        return 1;
    }
    int status = master_run(config, options->program, report);
    free(config);
    return status;
}
