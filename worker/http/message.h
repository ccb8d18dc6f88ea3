/* message: the one form of a request's and a response's head, whatever HTTP version it came by.
 *
 * Texts point into memory that lives as long as the exchange (its arena) or as the program.
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include "shared/base/arena.h"
#include "shared/base/buf.h"

enum method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_OPTIONS,
    METHOD_CONNECT,
    METHOD_TRACE,
    METHOD_OTHER, /* known to the parser, but to nothing here: told apart by its text */
};

enum field_id {
    FIELD_OTHER,
#define FIELD(id, name, flags) FIELD_##id,
#include "worker/http/fields.def"
#undef FIELD
    FIELD_COUNT
};
_Static_assert(FIELD_COUNT <= 64, "fields.present is one word");

enum { FIELD_HOP = 1, FIELD_ONE = 2 };

/* A bit for each known field with the flag. */
#define FIELD(id, name, flags) | (uint64_t)((flags)&FIELD_HOP ? 1 : 0) << FIELD_##id
static const uint64_t fields_hop = 0
#include "worker/http/fields.def"
    ;
#undef FIELD
#define FIELD(id, name, flags) | (uint64_t)((flags)&FIELD_ONE ? 1 : 0) << FIELD_##id
static const uint64_t fields_one = 0
#include "worker/http/fields.def"
    ;
#undef FIELD

struct field {
    struct str name, value;
    enum field_id id;
    bool
        line; /* in memory the name is followed by ": ", the value and CRLF: it can be copied as a whole. Who changes the
                  name or the value clears it. */
};

struct fields {
    struct field *items;
    unsigned count, capacity;
    uint64_t present; /* a bit for each known field that is there */
};

enum body_kind {
    BODY_NONE,
    BODY_LENGTH, /* `length` bytes */
    BODY_STREAM, /* until its end is told (chunked, HTTP/2, or the end of the connection) */
};

struct request_head {
    enum method method;
    struct str method_text;
    struct str target;    /* as it came */
    struct str scheme;    /* "http" */
    struct str authority; /* host and port as the client named them; empty: none */
    struct str path;      /* the target's path, as it came */
    struct str query;     /* without the `?`; NULL data: there was none */
    unsigned version;     /* 10, 11, 20 */
    struct fields fields;
    struct fields trailers; /* when the body is done */
    enum body_kind body;
    uint64_t length;
    struct str
        upgrade; /* the protocol that the client asks to go on with: Upgrade, or :protocol; empty: none */
    bool expect_continue;
    bool keep_alive; /* the client could send another request on this connection */
};

struct response_head {
    unsigned status;
    unsigned version;  /* that it came by, as of a request; 0: it is our own */
    struct str reason; /* empty: the standard one */
    struct fields fields;
    enum body_kind body;
    uint64_t length;
    bool keep_alive;
};

/* "GET" → METHOD_GET; METHOD_OTHER for what isn't in the list. */
enum method method_of(struct str text);

/* A method whose repetition does no harm (RFC 9110, section 9.2.2). */
static inline bool method_idempotent(enum method method)
{
    return method != METHOD_POST && method != METHOD_PATCH && method != METHOD_CONNECT &&
           method != METHOD_OTHER;
}

/* The identifier of a field name in any case; FIELD_OTHER if it is none of the known. */
enum field_id field_id_of(struct str name);

/* The first field of a known name, or NULL. */
const struct field *fields_get(const struct fields *fields, enum field_id id);
/* The same by any name. */
const struct field *fields_find(const struct fields *fields, struct str name);
struct str fields_value(const struct fields *fields, enum field_id id); /* empty with NULL data: absent */

/* Adds a field; its memory comes from `arena`. The texts are not copied. */
void fields_add(struct fields *fields, struct arena *arena, struct str name, struct str value);
void fields_add_known(struct fields *fields, struct arena *arena, enum field_id id, struct str name,
                      struct str value);
/* Takes all of a known name out. */
void fields_remove(struct fields *fields, enum field_id id);

/* Adds a name to Vary of an answer, unless that has it (RFC 9110, section 12.5.5). */
void fields_add_vary(struct fields *fields, struct arena *arena, struct str name);

/* Whether a field is written: it has a name and isn't hop-by-hop (RFC 9110, section 7.6.1; those that Connection names
 * are without a name since the message was parsed). Framing is written from the head, never from a field. */
static inline bool field_forwards(const struct field *field)
{
    return field->id == FIELD_OTHER ? field->name.length != 0 : !(fields_hop >> field->id & 1);
}

/* Writes the fields that go on (field_forwards()), but for those in `leave_out` (a bit for each known name), each on a line
 * that ends with CRLF. */
void fields_write(const struct fields *fields, uint64_t leave_out, struct buf *out);

/* A version's name, for logs: 10, 11, 20 as of a head. */
struct str version_text(unsigned version);

/* The standard reason phrase, "Unknown" for a status without one. */
struct str status_reason(unsigned status);

/* Whether a response with this status to this method has no body, whatever its fields say (RFC 9112, section 6.3). */
static inline bool response_bodyless(enum method method, unsigned status)
{
    return method == METHOD_HEAD || status < 200 || status == 204 || status == 304;
}

#endif
