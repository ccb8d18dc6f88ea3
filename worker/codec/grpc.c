/* grpc: what gRPC adds to HTTP. Called for requests of gRPC clients, and for what upstreams answer them. */
#include "worker/codec/grpc.h"

static const struct {
    struct str name;
    bool failure; /* of the server */
} statuses[GRPC_STATUS_COUNT] = {
    [GRPC_OK] = {STR("OK"), false},
    [GRPC_CANCELLED] = {STR("CANCELLED"), false},
    [GRPC_UNKNOWN] = {STR("UNKNOWN"), true}, /* what servers answer when a handler throws */
    [GRPC_INVALID_ARGUMENT] = {STR("INVALID_ARGUMENT"), false},
    [GRPC_DEADLINE_EXCEEDED] = {STR("DEADLINE_EXCEEDED"), true},
    [GRPC_NOT_FOUND] = {STR("NOT_FOUND"), false},
    [GRPC_ALREADY_EXISTS] = {STR("ALREADY_EXISTS"), false},
    [GRPC_PERMISSION_DENIED] = {STR("PERMISSION_DENIED"), false},
    [GRPC_RESOURCE_EXHAUSTED] = {STR("RESOURCE_EXHAUSTED"), false}, /* a quota of the caller's, mostly */
    [GRPC_FAILED_PRECONDITION] = {STR("FAILED_PRECONDITION"), false},
    [GRPC_ABORTED] = {STR("ABORTED"), false},
    [GRPC_OUT_OF_RANGE] = {STR("OUT_OF_RANGE"), false},
    [GRPC_UNIMPLEMENTED] = {STR("UNIMPLEMENTED"), false},
    [GRPC_INTERNAL] = {STR("INTERNAL"), true},
    [GRPC_UNAVAILABLE] = {STR("UNAVAILABLE"), true},
    [GRPC_DATA_LOSS] = {STR("DATA_LOSS"), true},
    [GRPC_UNAUTHENTICATED] = {STR("UNAUTHENTICATED"), false},
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

bool grpc_status_is_failure(enum grpc_status status)
{
    return statuses[status].failure;
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
