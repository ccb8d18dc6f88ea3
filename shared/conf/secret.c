/* secret: what a setting may name instead of saying it: a file or a variable of the environment; and the paths of
 * files. value.c calls it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/conf/loader.h"

enum { SECRET_BYTES = 64 << 10 };

const char *path_absolute(struct conf_loader *loader, const char *path)
{
    if (*path == '/')
        return path;
    const char *file = loader->place->origin.file;
    const char *slash = file ? strrchr(file, '/') : NULL;
    int folder = slash ? (int)(slash - file) : 0;
    if (slash && *file == '/')
        return arena_printf(loader->arena, "%.*s/%s", folder, file, path);
    char *here = getcwd(NULL, 0);
    if (!here) {
        loader_error(loader, "\"%s\" is relative to a folder that is gone: %s (write an absolute path)", path,
                     strerror(errno));
        return NULL;
    }
    const char *absolute = slash ? arena_printf(loader->arena, "%s/%.*s/%s", here, folder, file, path)
                                 : arena_printf(loader->arena, "%s/%s", here, path);
    free(here);
    return absolute;
}

/* One that can't be used as text is refused. `got` has a NUL behind. */
static const char *secret_check(struct conf_loader *loader, const char *path, const char *got, size_t length)
{
    if (length && got[length - 1] == '\n')
        length--;
    if (length && got[length - 1] == '\r')
        length--;
    if (!length)
        loader_error(loader, "the file %s is empty", path);
    else if (memchr(got, '\0', length))
        loader_error(loader, "the file %s has a NUL byte in it (a secret is text)", path);
    else
        return arena_strndup(loader->arena, got, length);
    return NULL;
}

static const char *secret_file(struct conf_loader *loader, const char *name)
{
    struct stat status;
    const char *path = *name ? path_absolute(loader, name) : NULL;
    if (!path) {
        if (!*name)
            loader_error(loader, "no path after \"file:\" (write \"file:/path\")");
        return NULL;
    }
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        loader_error(loader, "can't open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        loader_error(loader, "%s is not a regular file", path);
        close(fd);
        return NULL;
    }
    char *data = arena_alloc(loader->scratch, SECRET_BYTES + 1);
    size_t length = 0;
    ssize_t got;
    while ((got = read(fd, data + length, SECRET_BYTES + 1 - length)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        length += (size_t)got;
    }
    int error = errno;
    close(fd);
    if (got < 0)
        loader_error(loader, "can't read %s: %s", path, strerror(error));
    else if (length > SECRET_BYTES)
        loader_error(loader, "the file %s is longer than %d bytes", path, SECRET_BYTES);
    else
        return secret_check(loader, path, data, length);
    return NULL;
}

const char *secret_text(struct conf_loader *loader, const char *text)
{
    struct str value = str_of(text);
    if (str_starts(value, STR("file:")))
        return secret_file(loader, text + 5);
    if (!str_starts(value, STR("env:")))
        return arena_strdup(loader->arena, text);
    const char *variable = getenv(text + 4);
    if (!variable || !*variable) {
        loader_error(loader, "the variable %s of the environment is %s", text + 4,
                     variable ? "empty" : "not set");
        return NULL;
    }
    return arena_strdup(loader->arena, variable);
}
