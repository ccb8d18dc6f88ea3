/* program: asked by main() before the command line is written over. */
#include "master/program.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(const char *path)
{
    struct stat found, self;
    return stat(path, &found) == 0 && stat("/proc/self/exe", &self) == 0 && found.st_dev == self.st_dev &&
           found.st_ino == self.st_ino;
}

/* folder/name, absolute; NULL: the folder is relative to one that is gone. */
static char *join(const char *folder, size_t length, const char *name)
{
    char *here = folder[0] == '/' ? NULL : getcwd(NULL, 0), *path = NULL;
    if ((folder[0] != '/' && !here) || asprintf(&path, "%s%s%.*s%s%s", here ? here : "", here ? "/" : "",
                                                (int)length, folder, length ? "/" : "", name) < 0)
        path = NULL;
    free(here);
    return path;
}

/* As execvp() looks for it. */
static char *search(const char *name)
{
    const char *folders = getenv("PATH");
    while (folders && *folders) {
        size_t length = strcspn(folders, ":");
        char *path = length ? join(folders, length, name) : NULL;
        if (path && is_ours(path))
            return path;
        free(path);
        folders += length + (folders[length] == ':');
    }
    return NULL;
}

char *program_path(const char *name)
{
    char self[PATH_MAX], *path = NULL;
    if (name && name[0] == '/')
        path = strdup(name);
    else if (name && strchr(name, '/'))
        path = join("", 0, name);
    else if (name)
        path = search(name);
    if (path && is_ours(path))
        return path;
    free(path);
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0)
        return NULL;
    self[length] = '\0';
    return strdup(self);
}
