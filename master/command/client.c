/* client: may block, it runs in a command and not in the gateway. Called by reload, stop, reopen and status. */
#include "master/command/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/error.h"
#include "shared/conf/load.h"
#include "shared/conf/settings.h"
#include "worker/role/role.h"

enum { REPLY_MAX = 65536, BODY_MAX = 16 << 20 };

bool client_surplus(const struct options *options)
{
    if (options->argc > 1)
        fprintf(stderr, "gatehouse: %s takes no argument \"%s\"\n", options->argv[0], options->argv[1]);
    return options->argc > 1;
}

int client_paths(const struct options *options, struct client_paths *paths)
{
    struct arena *arena = arena_new(64 * 1024);
    struct errors errors;
    bool whole;
    errors_init(&errors, arena);
    const struct settings *settings = conf_load(options->config, &settings_section,
                                                role_generation_kind.extensions, arena, &errors, &whole);
    /* Also a configuration with errors says where; one that can't be parsed leaves the usual place. */
    if (!settings && !options->control)
        fprintf(stderr,
                "%sgatehouse: %s doesn't say where the gateway listens: the default is tried (or --control "
                "PATH)\n",
                errors_text(&errors, arena), options->config);
    if (!settings)
        settings = conf_defaults(&settings_section, arena, &errors);
    if (!settings) {
        fprintf(stderr, "%s", errors_text(&errors, arena));
        arena_free(&arena);
        return -1;
    }
    *paths = (struct client_paths){options->control ? options->control : settings->control,
                                   settings->admin.socket, arena};
    return 0;
}

/* A connection to a UNIX socket, or -1 with errno. */
static int connect_to(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static const char *connect_why(void)
{
    if (errno == ENOENT || errno == ECONNREFUSED)
        return "the gateway is not running";
    if (errno == EACCES || errno == EPERM)
        return "permission denied (root or the gateway's own user may)";
    return strerror(errno);
}

/* Waits for the end: the socket closes when the master's process is gone. */
static void wait_for_end(int fd)
{
    char byte;
    ssize_t got;
    do
        got = recv(fd, &byte, 1, 0);
    while (got > 0 || (got < 0 && errno == EINTR));
}

int client_order(const char *control, const char *verb, bool end, char **text)
{
    int fd = connect_to(control, SOCK_SEQPACKET);
    if (fd < 0) {
        fprintf(stderr, "gatehouse: %s: %s\n", control, connect_why());
        return -1;
    }
    char *reply = malloc(REPLY_MAX + 1);
    if (!reply)
        abort();
    ssize_t got = send(fd, verb, strlen(verb), MSG_NOSIGNAL);
    do
        got = got < 0 && errno != EINTR ? got : recv(fd, reply, REPLY_MAX, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0 && end)
        wait_for_end(fd);
    close(fd);
    if (got <= 0) {
        fprintf(stderr, "gatehouse: %s: %s\n", control,
                got < 0 ? strerror(errno) : "the gateway ended before it told the outcome");
        free(reply);
        return -1;
    }
    reply[got] = '\0';
    int status = reply[0] == '0' ? 0 : 1;
    *text = strdup(reply + 1);
    free(reply);
    if (!*text)
        abort();
    return status;
}

int client_command(const struct options *options, const char *verb, bool end)
{
    struct client_paths paths;
    char *text;
    if (client_surplus(options))
        return 2;
    if (client_paths(options, &paths))
        return 1;
    int status = client_order(paths.control, verb, end, &text);
    arena_free(&paths.arena);
    if (status < 0)
        return 1;
    if (status)
        fprintf(stderr, "%s\ngatehouse: %s failed\n", text, verb);
    else
        printf("%s\n", text);
    free(text);
    return status;
}

/* Reads to the end of the connection or the time; the length, or -1 with errno. */
static ssize_t read_to_end(int fd, char *out, size_t size, uint64_t deadline)
{
    size_t length = 0;
    while (length < size) {
        uint64_t now = clock_monotonic_ns() / NS_PER_MS;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = now < deadline ? poll(&wait, 1, (int)(deadline - now)) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready <= 0)
            return -1;
        ssize_t got = recv(fd, out + length, size - length, MSG_DONTWAIT);
        if (got == 0)
            return (ssize_t)length;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        length += got > 0 ? (size_t)got : 0;
    }
    errno = EMSGSIZE;
    return -1;
}

/* What stands behind the head; NULL: it is no answer. One to an HTTP/1.0 request has no chunks. `*done`: a 200. */
static char *body_of(char *answer, bool *done)
{
    char *end = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, "HTTP/1.", 7) != 0 || !end)
        return NULL;
    *done = strncmp(answer + 8, " 200", 4) == 0;
    return end + 4;
}

/* The answer, whole; NULL and `*why`. */
static char *exchange(int fd, const char *request, int milliseconds, const char **why)
{
    uint64_t deadline = clock_monotonic_ns() / NS_PER_MS + (uint64_t)milliseconds;
    size_t length = strlen(request);
    char *answer = malloc(BODY_MAX + 1);
    if (!answer)
        abort();
    ssize_t got = send(fd, request, length, MSG_NOSIGNAL);
    if (got == (ssize_t)length)
        got = read_to_end(fd, answer, BODY_MAX, deadline);
    if (got >= 0) {
        answer[got] = '\0';
        return answer;
    }
    *why = strerror(errno);
    free(answer);
    return NULL;
}

char *client_ask(const char *socket, const char *method, const char *target, int milliseconds, bool *done,
                 const char **why)
{
    char request[4096];
    int length = snprintf(request, sizeof(request),
                          "%s %s HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, target);
    *why = "the request is too long";
    if (length >= (int)sizeof(request))
        return NULL;
    int fd = connect_to(socket, SOCK_STREAM);
    if (fd < 0) {
        *why = connect_why();
        return NULL;
    }
    char *answer = exchange(fd, request, milliseconds, why);
    close(fd);
    char *body = answer ? body_of(answer, done) : NULL;
    char *copy = body ? strdup(body) : NULL;
    if (body && !copy)
        abort();
    if (answer && !body)
        *why = "its answer is none";
    free(answer);
    return copy;
}
