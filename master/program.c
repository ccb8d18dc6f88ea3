/* program: asked by main() before the command line is written over. */
#include "master/program.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/str.h"

static bool is_ours(const char *path)
{
    struct stat found, self;
    return stat(path, &found) == 0 && stat("/proc/self/exe", &self) == 0 && found.st_dev == self.st_dev &&
           found.st_ino == self.st_ino;
}

/* The path in the folder, made absolute, into `out`; whether it leads to this program. */
static bool look(struct str folder, const char *name, char *out, size_t size)
{
    bool relative = (folder.length ? folder.data[0] : name[0]) != '/';
    char *here = relative ? getcwd(NULL, 0) : NULL;
    if (relative && !here)
        return false;
    int length = snprintf(out, size, "%s%s%.*s%s%s", here ? here : "", here ? "/" : "", (int)folder.length,
                          folder.data, folder.length ? "/" : "", name);
    free(here);
    return length > 0 && (size_t)length < size && is_ours(out);
}

/* As execvp() looks for it. */
static bool search(const char *name, char *out, size_t size)
{
    const char *variable = getenv("PATH");
    struct str folders = str_of(variable ? variable : "");
    bool found = false;
    while (!found && folders.length) {
        struct str folder = str_cut(&folders, ':');
        found = folder.length && look(folder, name, out, size);
    }
    return found;
}

const char *program_path(const char *name, char *out, size_t size)
{
    if (name && (strchr(name, '/') ? look(STR(""), name, out, size) : search(name, out, size)))
        return out;
    ssize_t length = readlink("/proc/self/exe", out, size - 1);
    if (length <= 0)
        return NULL;
    out[length] = '\0';
    return out;
}
