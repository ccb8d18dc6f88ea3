/* settings_process: the settings of the program itself: shared memory, logs, administration, clients. */
#include "shared/base/log.h"
#include "shared/conf/sections.h"

#define KB (1ll << 10)
#define MB (1ll << 20)
#define GB (1ll << 30)
#define HOUR 3600000

#define STATE(kind_, member, ...) ROW_(kind_, struct state_settings, member, __VA_ARGS__)

static const struct row state_rows[] = {
    STATE(ROW_SIZE, size, .fallback = "256M", .min = 8 * MB, .max = 1024 * GB, .flags = ROW_RESTART,
          .help =
              "how large the shared memory may be; what the settings below need of it is taken at the start"),
    STATE(ROW_NUMBER, upstreams, .fallback = "256", .min = 1, .max = 1 << 16, .flags = ROW_RESTART,
          .help =
              "upstreams, and routes with a breaker, at most: of a configuration and of those before it that "
              "still drain"),
    STATE(ROW_NUMBER, endpoints, .fallback = "1024", .min = 1, .max = 1 << 20, .flags = ROW_RESTART,
          .help = "endpoints at most, counted in the same way; a name counts as often as its `max` says"),
    STATE(ROW_NUMBER, names, .fallback = "64", .min = 1, .max = 1 << 16, .flags = ROW_RESTART,
          .help = "endpoints that are names at most, counted in the same way"),
    STATE(ROW_NUMBER, staples, .fallback = "16", .min = 1, .max = 1 << 14, .flags = ROW_RESTART,
          .help =
              "certificates whose OCSP responses are fetched (`stapling`) at most, counted in the same way"),
    STATE(ROW_NUMBER, key_sets, .fallback = "8", .min = 1, .max = 1 << 12, .flags = ROW_RESTART,
          .help = "key sets of issuers at most, counted in the same way: 128 KB each"),
    STATE(ROW_SIZE, limits, .fallback = "16M", .min = 8 * KB, .max = 64 * GB, .flags = ROW_RESTART,
          .help = "memory for the keys of `limit`: 32 bytes for each that holds something"),
    STATE(ROW_SIZE, quotas, .fallback = "4M", .min = 8 * KB, .max = 64 * GB, .flags = ROW_RESTART,
          .help = "memory for the keys of `quota`: 32 bytes for each with a window that lasts"),
    STATE(ROW_SIZE, concurrency, .fallback = "4M", .min = 8 * KB, .max = GB, .flags = ROW_RESTART,
          .help = "memory for the keys of `concurrency`: for each with requests in flight 2 bytes a process "
                  "that there may be"),
    STATE(ROW_SIZE, tokens, .fallback = "1M", .min = 8 * KB, .max = 4 * GB, .flags = ROW_RESTART,
          .help = "memory for what was found out of good credentials: 1K for each, that isn't checked again "
                  "until it ends"),
    STATE(
        ROW_STRING, file, .flags = ROW_PATH,
        .help =
            "a snapshot of limits and quotas, which they go on from after a restart: a path in a folder that "
            "`user` can write to, such as /var/lib/gatehouse/state; without it they begin anew"),
    STATE(ROW_DURATION, interval, .fallback = "1m", .min = 1000, .max = 24 * HOUR,
          .help = "between two snapshots; one more is written at an orderly stop"),
    ROW_END,
};

const struct section state_section = {
    .name = "state", .size = sizeof(struct state_settings), .rows = state_rows};

/* What a log's file may be instead of a path. */
static const char *const log_targets[] = {"stderr", "syslog", NULL};

/* By enum access_format. */
static const char *const access_formats[] = {"json", "combined", "template", NULL};

static void access_check(struct conf_loader *loader, void *structure)
{
    const struct access_settings *access = structure;
    if (access->format == ACCESS_TEMPLATE && !access->template)
        conf_error(loader, access->origin, "template", "is missing (format = \"template\" needs it)");
    if (access->format != ACCESS_TEMPLATE && access->template)
        conf_error(loader, access->origin, "template", "has no effect (write format = \"template\" with it)");
}

#define ACCESS(kind_, member, ...) ROW_(kind_, struct access_settings, member, __VA_ARGS__)

static const struct row access_rows[] = {
    ACCESS(ROW_STRING, file, .flags = ROW_PATH, .words = log_targets,
           .help = "the access log: a path, stderr or syslog; without it: none"),
    ACCESS(ROW_WORD, format, .fallback = "json", .words = access_formats,
           .help = "how a request's line looks"),
    ACCESS(ROW_STRING, template, .help = "the line for format = \"template\": a text with ${…}"),
    ROW_END,
};

static const struct section access_section = {
    .name = "log.access",
    .size = sizeof(struct access_settings),
    .rows = access_rows,
    .shorthand = "file",
    .check = access_check,
};

#define LOG(kind_, member, ...) ROW_(kind_, struct log_settings, member, __VA_ARGS__)

static const struct row log_rows[] = {
    LOG(ROW_STRING, error, .fallback = "/var/log/gatehouse/error.log", .flags = ROW_PATH,
        .words = log_targets, .help = "the error log: a path, stderr or syslog"),
    LOG(ROW_WORD, level, .fallback = "notice", .words = log_level_words,
        .help = "what goes to the error log"),
    LOG(ROW_SIZE, buffer, .flags = ROW_RESTART, .fallback = "256K", .min = 16 * KB, .max = 64 * MB,
        .help = "lines of a process that wait for the logger; what is beyond it is dropped and counted"),
    LOG(ROW_GROUP, access, .section = &access_section, .help = "the access log"),
    ROW_END,
};

const struct section log_section = {.name = "log", .size = sizeof(struct log_settings), .rows = log_rows};

#define ADMIN(kind_, member, ...) ROW_(kind_, struct admin_settings, member, __VA_ARGS__)

static const struct row admin_rows[] = {
    ADMIN(ROW_STRING, socket, .fallback = "/run/gatehouse/admin.sock", .flags = ROW_PATH,
          .help = "the UNIX socket of the administration"),
    ADMIN(ROW_STRING, group, .help = "whose members may use it; without it: root's only"),
    ROW_END,
};

const struct section admin_section = {
    .name = "admin", .size = sizeof(struct admin_settings), .rows = admin_rows};

#define HTTP2(kind_, member, ...) ROW_(kind_, struct http2_settings, member, __VA_ARGS__)

static const struct row http2_rows[] = {
    HTTP2(ROW_NUMBER, max_streams, .fallback = "128", .min = 1, .max = 10000,
          .help = "requests in progress on a connection; a client that begins more is cut off"),
    HTTP2(ROW_SIZE, window, .fallback = "64K", .min = 65535, .max = GB,
          .help = "bytes of a request's body that may wait for who takes them"),
    HTTP2(ROW_SIZE, connection_window, .fallback = "1M", .min = 65535, .max = GB,
          .help = "the same of all requests of a connection together"),
    HTTP2(ROW_NUMBER, max_resets, .fallback = "100", .min = 0, .max = 1000000,
          .help =
              "streams that a client may cancel beyond those that it lets be answered, of which a tenth is "
              "forgiven each second; then it is cut off; 0: no limit"),
    HTTP2(ROW_NUMBER, max_overhead, .fallback = "10000", .min = 0, .max = 100000000,
          .help = "points for frames that carry neither a request nor data (SETTINGS 100, empty frames 50, "
                  "PRIORITY and "
                  "unknown ones 10, PING and WINDOW_UPDATE 4, tiny DATA 1), less 16 for each that does; a "
                  "tenth is forgiven "
                  "each second; a client with more is cut off; 0: no limit"),
    ROW_END,
};

static void http2_check(struct conf_loader *loader, void *structure)
{
    const struct http2_settings *http2 = structure;
    if (http2->connection_window < http2->window)
        conf_error(loader, http2->origin, "connection_window", "is less than window (%lld bytes)",
                   (long long)http2->window);
}

static const struct section http2_section = {
    .name = "client.http2", .size = sizeof(struct http2_settings), .rows = http2_rows, .check = http2_check};

#define CLIENT(kind_, member, ...) ROW_(kind_, struct client_settings, member, __VA_ARGS__)

static const struct row client_rows[] = {
    CLIENT(ROW_DURATION, header_timeout, .fallback = "10s", .min = 100, .max = HOUR,
           .help = "from the first byte of a request's head to its end"),
    CLIENT(ROW_DURATION, keepalive_timeout, .fallback = "75s", .min = 0, .max = 24 * HOUR,
           .help = "how long a connection may wait for its next request; 0: one request a connection"),
    CLIENT(ROW_DURATION, body_timeout, .fallback = "30s", .min = 100, .max = HOUR,
           .help = "between two pieces of a request's body"),
    CLIENT(ROW_DURATION, send_timeout, .fallback = "30s", .min = 100, .max = HOUR,
           .help = "between two pieces of an answer that the client takes"),
    CLIENT(ROW_FLAG, half_close, .fallback = "false",
           .help =
               "a client that has closed its sending side still gets its answers; else it is taken as gone, "
               "and what is done for it ends"),
    CLIENT(ROW_SIZE, max_line, .fallback = "16K", .min = 256, .max = 60 * KB,
           .help = "the request line; more is answered by 414"),
    CLIENT(ROW_SIZE, max_head, .fallback = "32K", .min = 1 * KB, .max = 60 * KB,
           .help = "the request line and all header fields; more is answered by 431"),
    CLIENT(ROW_NUMBER, max_fields, .fallback = "100", .min = 8, .max = 1000,
           .help = "header fields of a request; more is answered by 431"),
    CLIENT(ROW_SIZE, max_body, .fallback = "0", .min = 0, .max = 1024 * 1024 * GB,
           .help = "a request's body; more is answered by 413; 0: no limit"),
    CLIENT(ROW_NUMBER, max_requests, .fallback = "0", .min = 0, .max = 1 << 30,
           .help = "requests on a connection; the last answer says Connection: close; 0: no limit"),
    CLIENT(ROW_NUMBER, max_per_address, .fallback = "0", .min = 0, .max = 1 << 20,
           .help = "connections that one worker holds of an IPv4 address or an IPv6 /64 network, but for "
                   "trusted_proxies; more are answered by 429 and closed; 0: no limit"),
    CLIENT(
        ROW_SIZE, least_rate, .fallback = "10", .min = 0, .max = GB,
        .help =
            "bytes a second that a client must send of a body, else 408, or take of an answer that waits for "
            "it, else it is cut; 0: none"),
    CLIENT(ROW_DURATION, least_rate_window, .fallback = "30s", .min = 100, .max = HOUR,
           .help = "the time over which least_rate is measured; nobody is cut before it"),
    CLIENT(ROW_GROUP, http2, .section = &http2_section,
           .help = "what a connection that speaks HTTP/2 may take"),
    ROW_END,
};

static void client_check(struct conf_loader *loader, void *structure)
{
    const struct client_settings *client = structure;
    if (client->max_line > client->max_head)
        conf_error(loader, client->origin, "max_line",
                   "is more than max_head, of which the line is a part (%u bytes)",
                   (unsigned)client->max_head);
}

const struct section client_section = {
    .name = "client", .size = sizeof(struct client_settings), .rows = client_rows, .check = client_check};

#define SHED(kind_, member, ...) ROW_(kind_, struct shed_settings, member, __VA_ARGS__)

static const struct row shed_rows[] = {
    SHED(ROW_DURATION, lag, .fallback = "0", .min = 0, .max = HOUR,
         .help =
             "how late a worker may come to what is ready to be done, on average over 100 ms; beyond it "
             "requests "
             "of `importance` low are refused (503), beyond twice as much the normal ones too; 0: no bound"),
    SHED(ROW_SIZE, memory, .fallback = "0", .min = 0, .max = 1024 * GB,
         .help = "how much memory a worker may have, without what is shared; beyond it requests of "
                 "`importance` low "
                 "are refused (503), from a quarter more on the normal ones too; 0: no bound"),
    SHED(ROW_DURATION, hold, .fallback = "1s", .min = 10, .max = HOUR,
         .help = "how long requests are refused at least; and they are until the lag is half of its bound, "
                 "the memory "
                 "nine tenths"),
    ROW_END,
};

const struct section shed_section = {
    .name = "shed", .size = sizeof(struct shed_settings), .rows = shed_rows, .shorthand = "lag"};
