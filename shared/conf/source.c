/* source: the files of a configuration: opening, reading, and what `@include` names.
 *
 * load.c starts with the first file; lex.c calls for each include that it meets. No descriptor stays open.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/conf/token.h"

/* Without an include the error stands at the file itself, without a line. */
#define SOURCE_ERROR(from, path, ...) \
    errors_add(tokens->errors, (from).file ? (from) : (struct origin){(path), 0}, __VA_ARGS__)

/* Opens a regular file; never waits for a pipe's writer. -1: reported. */
static int source_open(struct tokens *tokens, const char *path, struct origin from, struct stat *status)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, status) < 0) {
        SOURCE_ERROR(from, path, "can't open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (S_ISREG(status->st_mode))
        return fd;
    if (S_ISDIR(status->st_mode))
        SOURCE_ERROR(from, path, "%s is a directory (name a file%s)", path,
                     from.file ? ", or a pattern as \"conf.d/*.conf\"" : "");
    else
        SOURCE_ERROR(from, path, "%s is not a regular file", path);
    close(fd);
    return -1;
}

/* The whole of it, with a NUL behind; data NULL: reported. */
static struct str source_text(struct tokens *tokens, int fd, const char *path, struct origin from,
                              size_t expected)
{
    size_t size = expected < CONF_BYTES ? expected + 1 : CONF_BYTES;
    char *data = arena_alloc(tokens->arena, size + 1);
    size_t length = 0;
    for (;;) {
        if (length == size) { /* longer than it said, as files of /proc are */
            char *larger = arena_alloc(tokens->arena, 2 * size + 1);
            memcpy(larger, data, length);
            data = larger;
            size *= 2;
        }
        ssize_t got = read(fd, data + length, size - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            SOURCE_ERROR(from, path, "can't read %s: %s", path, strerror(errno));
            return (struct str){NULL, 0};
        }
        if (got == 0)
            break;
        length += (size_t)got;
        tokens->bytes += (size_t)got;
        if (tokens->bytes > CONF_BYTES) {
            SOURCE_ERROR(from, path, "the configuration is larger than %d MB with %s", CONF_BYTES >> 20,
                         path);
            return (struct str){NULL, 0};
        }
    }
    data[length] = '\0';
    return (struct str){data, length};
}

/* "a.conf includes b.conf includes a.conf" */
static const char *source_cycle(struct tokens *tokens, const struct source *source, const char *path)
{
    if (!source)
        return path;
    return source_cycle(tokens, source->up,
                        arena_printf(tokens->arena, "%s includes %s", source->path, path));
}

/* Whether `source`, about to be read, is being read already, or too deep. */
static bool source_loops(struct tokens *tokens, const struct source *source, struct origin from)
{
    for (const struct source *outer = source->up; outer; outer = outer->up) {
        if (outer->device != source->device || outer->inode != source->inode)
            continue;
        errors_add(tokens->errors, from, "@include: a circle: %s",
                   source_cycle(tokens, source->up, source->path));
        return true;
    }
    if (source->depth <= CONF_INCLUDES)
        return false;
    errors_add(tokens->errors, from, "@include: more than %d files deep", CONF_INCLUDES);
    return true;
}

bool source_read(struct tokens *tokens, const struct source *up, const char *path, struct origin from)
{
    struct stat status;
    if (tokens->bytes > CONF_BYTES) /* told already: what is left of a pattern isn't read in vain */
        return false;
    path = arena_strdup(tokens->names, path);
    if (++tokens->files > CONF_FILES) {
        SOURCE_ERROR(from, path, "@include: more than %d files", CONF_FILES);
        return false;
    }
    int fd = source_open(tokens, path, from, &status);
    if (fd < 0)
        return false;
    struct source source = {up, path, status.st_dev, status.st_ino, up ? up->depth + 1 : 0};
    struct str text = {NULL, 0};
    if (!source_loops(tokens, &source, from))
        text = source_text(tokens, fd, path, from, (size_t)status.st_size);
    close(fd);
    if (text.data)
        lex_text(tokens, &source, text);
    return text.data;
}

/* The folder of `source` with a "/" behind, "" for the current one; as a pattern that means itself if `escaped`. */
static const char *source_folder(struct tokens *tokens, const struct source *source, bool escaped)
{
    const char *slash = strrchr(source->path, '/');
    size_t length = slash ? (size_t)(slash + 1 - source->path) : 0;
    if (!escaped)
        return arena_strndup(tokens->arena, source->path, length);
    char *folder = arena_alloc(tokens->arena, 2 * length + 1), *out = folder;
    for (size_t i = 0; i < length; i++) {
        if (strchr("*?[]\\", source->path[i]))
            *out++ = '\\';
        *out++ = source->path[i];
    }
    *out = '\0';
    return folder;
}

/* A folder that isn't there has no files; one that can't be read is an error. */
static int source_glob_error(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

void source_include(struct tokens *tokens, const struct source *source, const char *pattern,
                    struct origin from)
{
    bool many = strpbrk(pattern, "*?[");
    const char *folder = *pattern == '/' ? "" : source_folder(tokens, source, many);
    const char *path = arena_printf(tokens->arena, "%s%s", folder, pattern);
    if (!*pattern) {
        errors_add(tokens->errors, from, "@include: the path is empty");
        return;
    }
    if (!many) {
        source_read(tokens, source, path, from);
        return;
    }
    glob_t found;
    int status = glob(path, GLOB_MARK, source_glob_error, &found);
    if (status != 0 && status != GLOB_NOMATCH) {
        errors_add(tokens->errors, from, "@include: can't list \"%s\": %s", pattern,
                   status == GLOB_NOSPACE ? "no memory" : strerror(errno));
        globfree(&found);
        return;
    }
    for (size_t i = 0; status == 0 && i < found.gl_pathc; i++) {
        const char *one = found.gl_pathv[i];
        if (*one && one[strlen(one) - 1] == '/')
            errors_warn(tokens->errors, from, "@include: %s is a directory and is left out", one);
        else
            source_read(tokens, source, one, from);
    }
    globfree(&found);
}
