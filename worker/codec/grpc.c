/* grpc: what gRPC adds to HTTP. Called for requests of gRPC clients, and for what upstreams answer them. */
#include "worker/codec/grpc.h"

static const struct {
    struct str name;
    unsigned http; /* see grpc_status_to_http() */
} statuses[GRPC_STATUS_COUNT] = {
    [GRPC_OK] = {STR("OK"), 200},
    [GRPC_CANCELLED] = {STR("CANCELLED"), 499},
    [GRPC_UNKNOWN] = {STR("UNKNOWN"), 500}, /* what servers answer when a handler throws */
    [GRPC_INVALID_ARGUMENT] = {STR("INVALID_ARGUMENT"), 400},
    [GRPC_DEADLINE_EXCEEDED] = {STR("DEADLINE_EXCEEDED"), 504},
    [GRPC_NOT_FOUND] = {STR("NOT_FOUND"), 404},
    [GRPC_ALREADY_EXISTS] = {STR("ALREADY_EXISTS"), 409},
    [GRPC_PERMISSION_DENIED] = {STR("PERMISSION_DENIED"), 403},
    [GRPC_RESOURCE_EXHAUSTED] = {STR("RESOURCE_EXHAUSTED"), 429}, /* a quota of the caller's, mostly */
    [GRPC_FAILED_PRECONDITION] = {STR("FAILED_PRECONDITION"), 400},
    [GRPC_ABORTED] = {STR("ABORTED"), 409},
    [GRPC_OUT_OF_RANGE] = {STR("OUT_OF_RANGE"), 400},
    [GRPC_UNIMPLEMENTED] = {STR("UNIMPLEMENTED"), 404}, /* the caller's mistake, as a wrong path is */
    [GRPC_INTERNAL] = {STR("INTERNAL"), 500},
    [GRPC_UNAVAILABLE] = {STR("UNAVAILABLE"), 503},
    [GRPC_DATA_LOSS] = {STR("DATA_LOSS"), 500},
    [GRPC_UNAUTHENTICATED] = {STR("UNAUTHENTICATED"), 401},
};

struct mapping {
    uint16_t http;
    uint8_t status; /* enum grpc_status */
};

static const struct mapping of_http[] = {
    {200, GRPC_UNKNOWN}, /* it should have said one */
    {400, GRPC_INTERNAL},      {401, GRPC_UNAUTHENTICATED}, {403, GRPC_PERMISSION_DENIED},
    {404, GRPC_UNIMPLEMENTED}, {429, GRPC_UNAVAILABLE},     {502, GRPC_UNAVAILABLE},
    {503, GRPC_UNAVAILABLE},   {504, GRPC_UNAVAILABLE},
};

static const struct mapping of_problem[] = {
    {400, GRPC_INTERNAL}, /* gRPC libraries make no such requests: no argument of the caller's is wrong */
    {401, GRPC_UNAUTHENTICATED},    {403, GRPC_PERMISSION_DENIED},  {404, GRPC_UNIMPLEMENTED},
    {405, GRPC_UNIMPLEMENTED},      {408, GRPC_DEADLINE_EXCEEDED},  {413, GRPC_RESOURCE_EXHAUSTED},
    {415, GRPC_UNIMPLEMENTED},      {421, GRPC_UNAVAILABLE}, /* another connection is the remedy */
    {429, GRPC_RESOURCE_EXHAUSTED}, {431, GRPC_RESOURCE_EXHAUSTED}, {500, GRPC_INTERNAL},
    {501, GRPC_UNIMPLEMENTED},      {502, GRPC_UNAVAILABLE},        {503, GRPC_UNAVAILABLE},
    {504, GRPC_DEADLINE_EXCEEDED},  {505, GRPC_UNIMPLEMENTED},      {508, GRPC_INTERNAL},
};

static enum grpc_status look_up(const struct mapping *rows, size_t count, unsigned http)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].http == http)
            return (enum grpc_status)rows[i].status;
    return GRPC_UNKNOWN;
}

enum grpc_status grpc_status_of_http(unsigned status)
{
    return look_up(of_http, sizeof of_http / sizeof *of_http, status);
}

enum grpc_status grpc_status_of_problem(unsigned status)
{
    return look_up(of_problem, sizeof of_problem / sizeof *of_problem, status);
}

struct str grpc_status_name(unsigned status)
{
    return statuses[status < GRPC_STATUS_COUNT ? status : GRPC_UNKNOWN].name;
}

bool grpc_status_of_name(struct str name, enum grpc_status *status)
{
    for (unsigned i = 0; i < GRPC_STATUS_COUNT; i++)
        if (str_case_eq(statuses[i].name, name)) {
            *status = (enum grpc_status)i;
            return true;
        }
    return false;
}

enum grpc_status grpc_status_parse(struct str value)
{
    uint64_t number;
    return str_to_u64(value, GRPC_STATUS_COUNT - 1, &number) ? (enum grpc_status)number : GRPC_UNKNOWN;
}

unsigned grpc_status_to_http(enum grpc_status status)
{
    return statuses[status].http;
}

/* --- content types --- */

static const struct str types[] = {
    [GRPC_PLAIN] = STR("application/grpc"),
    [GRPC_WEB] = STR("application/grpc-web"),
    [GRPC_WEB_TEXT] = STR("application/grpc-web-text"),
};

struct str grpc_form_type(enum grpc_form form)
{
    return types[form];
}

enum grpc_form grpc_form_of(struct str content_type, struct str *rest)
{
    content_type = str_trim(content_type);
    for (enum grpc_form form = GRPC_PLAIN; form <= GRPC_WEB_TEXT; form++) {
        struct str name = types[form];
        if (content_type.length < name.length ||
            !str_case_eq((struct str){content_type.data, name.length}, name))
            continue;
        struct str more = str_from(content_type, name.length);
        if (more.length && !strchr("+; \t", more.data[0])) /* "-web", or another type altogether */
            continue;
        if (rest)
            *rest = more;
        return form;
    }
    return GRPC_NONE;
}

/* --- time-outs --- */

static const struct {
    char unit;
    uint64_t nanoseconds;
} units[] = {
    {'n', 1}, {'u', 1000}, {'m', 1000000}, {'S', 1000000000}, {'M', 60000000000}, {'H', 3600000000000},
};

enum { UNITS = sizeof units / sizeof *units, MILLISECONDS = 2, TIMEOUT_MOST = 99999999, NS_PER_MS = 1000000 };

bool grpc_timeout_parse(struct str value, uint64_t *ms)
{
    uint64_t number;
    if (value.length < 2 || value.length > 9 ||
        !str_to_u64((struct str){value.data, value.length - 1}, TIMEOUT_MOST, &number))
        return false;
    for (unsigned i = 0; i < UNITS; i++) {
        if (units[i].unit != value.data[value.length - 1])
            continue;
        *ms = units[i].nanoseconds >= NS_PER_MS ? number * (units[i].nanoseconds / NS_PER_MS)
                                                : (number * units[i].nanoseconds + NS_PER_MS - 1) / NS_PER_MS;
        return true;
    }
    return false;
}

void grpc_timeout_write(uint64_t ms, struct buf *out)
{
    unsigned i = MILLISECONDS;
    while (i + 1 < UNITS && ms / (units[i].nanoseconds / NS_PER_MS) > TIMEOUT_MOST)
        i++;
    uint64_t number = ms / (units[i].nanoseconds / NS_PER_MS);
    buf_u64(out, number < TIMEOUT_MOST ? number : TIMEOUT_MOST);
    buf_char(out, units[i].unit);
}

/* --- messages --- */

void grpc_message_write(struct str message, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < message.length; i++) {
        unsigned char c = (unsigned char)message.data[i];
        if (c >= ' ' && c <= '~' && c != '%')
            buf_char(out, (char)c);
        else
            buf_add(out, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
    }
}
