/* signing: signs requests to an upstream, each try as it is sent: what is signed is read from the head that was written for it. */
#include "worker/upstream/signing.h"

#include "worker/codec/signature.h"
#include "worker/codec/signature_base.h"
#include "worker/codec/structured.h"
#include "worker/request/request.h"

enum { INPUT_MAX = 4096, NONCE_WORDS = 2 };

bool signing_knows(struct str name)
{
    static const struct str derived[] = {
        {"@method", 7}, {"@authority", 10}, {"@request-target", 15}, {"@path", 5}, {"@query", 6}};
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++)
        if (str_eq(name, derived[i]))
            return true;
    return name.length && name.data[0] != '@';
}

/* --- the head that was written --- */

static struct str next_line(struct str *rest)
{
    struct str line = str_cut(rest, '\n');
    line.length -= line.length > 0; /* the CR */
    return line;
}

/* `fields` is the text of the lines; `*at` how many bytes of it were looked at. */
static bool next_field(const void *fields, struct str name, unsigned *at, struct str *value)
{
    const struct str *lines = fields;
    struct str rest = str_from(*lines, *at);
    while (rest.length) {
        struct str line = next_line(&rest), field = str_cut(&line, ':');
        *at = (unsigned)(lines->length - rest.length);
        if (str_case_eq(field, name)) {
            *value = str_trim(line);
            return true;
        }
    }
    return false;
}

/* "GET /path?query HTTP/1.1", then the fields, the first of which is Host. */
static struct signature_message message_of(struct str scheme, const struct buf *head, struct str *lines)
{
    struct signature_message message = {.scheme = scheme, .fields = lines, .field = next_field};
    unsigned at = 0;
    *lines = buf_str(head);
    struct str line = next_line(lines);
    message.method = str_cut(&line, ' ');
    message.query = str_cut(&line, ' ');
    message.path = str_cut(&message.query, '?');
    next_field(lines, STR("host"), &at, &message.authority);
    return message;
}

/* --- the signature --- */

static void add_components(const struct signing *signing, const struct signature_message *message,
                           struct buf *input)
{
    bool any = false;
    buf_char(input, '(');
    for (unsigned i = 0; i < signing->count; i++) {
        struct str name = signing->components[i], value;
        unsigned at = 0;
        if (name.data[0] != '@' && !message->field(message->fields, name, &at, &value))
            continue;
        buf_str_add(input, any ? STR(" \"") : STR("\""));
        buf_str_add(input, name);
        buf_char(input, '"');
        any = true;
    }
    buf_char(input, ')');
}

static void add_parameters(const struct signing *signing, struct request *request, struct buf *input)
{
    uint64_t now = request->worker->loop.wall_ns / NS_PER_SECOND;
    BUF_LITERAL(input, ";created=");
    buf_u64(input, now);
    if (signing->expires) {
        BUF_LITERAL(input, ";expires=");
        buf_u64(input, now + signing->expires);
    }
    if (signing->nonce) {
        BUF_LITERAL(input, ";nonce=\"");
        for (unsigned i = 0; i < NONCE_WORDS; i++)
            buf_hex(input, random_next(&request->worker->random), 16);
        buf_char(input, '"');
    }
    buf_str_add(input, signing->said);
}

bool signing_write(const struct signing *signing, struct request *request, struct str scheme,
                   struct buf *head)
{
    char input_memory[INPUT_MAX], base_memory[SIGNATURE_BASE_MAX];
    unsigned char signature[SIGNATURE_MAX];
    struct buf text = buf_on(input_memory, sizeof input_memory);
    struct buf base = buf_on(base_memory, sizeof base_memory);
    struct str lines, component;
    struct signature_message message = message_of(scheme, head, &lines);
    struct signature_input input;
    add_components(signing, &message, &text);
    add_parameters(signing, request, &text);
    if (text.overflow || signature_input_parse(buf_str(&text), &input) ||
        signature_base(&input, &message, &base, &component))
        return false;
    size_t length = signature_sign(signing->key, buf_str(&base), signature);
    if (length == 0)
        return false;
    BUF_LITERAL(head, "Signature-Input: ");
    buf_str_add(head, signing->label);
    buf_char(head, '=');
    buf_str_add(head, buf_str(&text));
    BUF_LITERAL(head, "\r\nSignature: ");
    buf_str_add(head, signing->label);
    buf_char(head, '=');
    structured_add_bytes((struct str){(const char *)signature, length}, head);
    BUF_LITERAL(head, "\r\n");
    return !head->overflow;
}
