/* chunked: a machine of one byte a step, but for the data itself, which passes whole. Called by whoever reads a body
 * from a peer, client or upstream.
 *
 * Two programs that disagree where a chunk ends is how requests are smuggled; so nothing is forgiven.
 */
#include "worker/codec/chunked.h"

#include <assert.h>

#include "shared/base/token.h"

enum { DIGITS_MAX = 16, EXTENSION_MAX = 256 };

enum state {
    SIZE_FIRST, /* the first digit of a chunk's size */
    SIZE,       /* further digits, or the end of the size */
    EXTENSION,  /* behind `;` */
    SIZE_LF,    /* behind the CR of the size's line */
    DATA,       /* `left` bytes */
    DATA_CR,    /* the line end behind the data */
    DATA_LF,
    LINE,  /* the first byte of a trailer line, or of the last empty one */
    NAME,  /* a trailer field's name */
    VALUE, /* behind its colon */
    VALUE_LF,
    END_LF, /* the LF of the last empty line */
    DONE,
    BROKEN,
    STATES,
};

void chunked_init(struct chunked *chunked)
{
    *chunked = (struct chunked){.state = SIZE_FIRST};
}

void chunked_collect(struct chunked *chunked, char *memory)
{
    assert(chunked->state == LINE && !chunked->trailers);
    chunked->trailers = memory;
}

static enum state broken(struct chunked *chunked, const char *error)
{
    chunked->error = error;
    return BROKEN;
}

static int digit_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum state size_digit(struct chunked *chunked, int digit)
{
    if (chunked->digits == DIGITS_MAX)
        return broken(chunked, "a chunk's size has more than 16 digits");
    chunked->digits++;
    chunked->left = chunked->left << 4 | (unsigned)digit;
    if (chunked->left > INT64_MAX)
        return broken(chunked, "a chunk's size is over 2^63 - 1");
    return SIZE;
}

static enum state on_size_first(struct chunked *chunked, unsigned char c)
{
    int digit = digit_value(c);
    chunked->left = 0;
    chunked->digits = 0;
    return digit < 0 ? broken(chunked, "a chunk's size is not a hexadecimal number")
                     : size_digit(chunked, digit);
}

static enum state on_size(struct chunked *chunked, unsigned char c)
{
    int digit = digit_value(c);
    if (digit >= 0)
        return size_digit(chunked, digit);
    if (c == '\r')
        return SIZE_LF;
    chunked->extension = 0;
    return c == ';' ? EXTENSION : broken(chunked, "a chunk's size is not a hexadecimal number");
}

static enum state on_extension(struct chunked *chunked, unsigned char c)
{
    if (c == '\r')
        return SIZE_LF;
    if (c < 0x20 || c == 0x7f)
        return broken(chunked, "a chunk extension holds a control character");
    if (chunked->extension == EXTENSION_MAX)
        return broken(chunked, "a chunk extension has more than 256 bytes");
    chunked->extension++;
    return EXTENSION;
}

static enum state on_size_lf(struct chunked *chunked, unsigned char c)
{
    if (c != '\n')
        return broken(chunked, "a CR without LF behind a chunk's size");
    return chunked->left ? DATA : LINE;
}

static enum state on_data_cr(struct chunked *chunked, unsigned char c)
{
    return c == '\r' ? DATA_LF : broken(chunked, "a chunk is longer than its size");
}

static enum state on_data_lf(struct chunked *chunked, unsigned char c)
{
    return c == '\n' ? SIZE_FIRST : broken(chunked, "a CR without LF behind a chunk");
}

/* Keeps a byte of the trailer section. */
static enum state keep(struct chunked *chunked, unsigned char c, enum state next)
{
    if (chunked->trailer == CHUNKED_TRAILER_MAX)
        return broken(chunked, "the trailers have more than 8192 bytes");
    chunked->trailers[chunked->trailer++] = (char)c;
    return next;
}

bool chunked_trailer_forbidden(struct str name)
{
    static const char *const names[] = {
        "Age",
        "Authorization",
        "Cache-Control",
        "Connection",
        "Content-Encoding",
        "Content-Length",
        "Content-Location",
        "Content-Range",
        "Content-Type",
        "Cookie",
        "Cookie2",
        "Date",
        "Expect",
        "Expires",
        "Forwarded",
        "Host",
        "HTTP2-Settings",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "If-Unmodified-Since",
        "Keep-Alive",
        "Location",
        "Max-Forwards",
        "Pragma",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Range",
        "Retry-After",
        "Set-Cookie",
        "Set-Cookie2",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Vary",
        "Via",
        "Warning",
        "WWW-Authenticate",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Real-IP",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_case_eq(name, str_of(names[i])))
            return true;
    return false;
}

static enum state on_line(struct chunked *chunked, unsigned char c)
{
    if (c == '\r')
        return END_LF;
    chunked->line = chunked->trailer;
    if (c == ' ' || c == '\t')
        return broken(chunked, "a trailer field is folded");
    return token_has((char)c) ? keep(chunked, c, NAME)
                              : broken(chunked, "a trailer field's name is malformed");
}

static enum state on_name(struct chunked *chunked, unsigned char c)
{
    if (token_has((char)c))
        return keep(chunked, c, NAME);
    if (c != ':')
        return broken(chunked, "a trailer field's name is malformed");
    struct str name = {chunked->trailers + chunked->line, (size_t)(chunked->trailer - chunked->line)};
    return chunked_trailer_forbidden(name) ? broken(chunked, "a field is not allowed among the trailers")
                                           : keep(chunked, c, VALUE);
}

static enum state on_value(struct chunked *chunked, unsigned char c)
{
    if (c == '\r')
        return keep(chunked, c, VALUE_LF);
    if ((c < 0x20 && c != '\t') || c == 0x7f)
        return broken(chunked, "a trailer field's value holds a control character");
    return keep(chunked, c, VALUE);
}

static enum state on_value_lf(struct chunked *chunked, unsigned char c)
{
    return c == '\n' ? keep(chunked, c, LINE) : broken(chunked, "a CR without LF in a trailer field");
}

static enum state on_end_lf(struct chunked *chunked, unsigned char c)
{
    return c == '\n' ? DONE : broken(chunked, "a CR without LF behind the trailers");
}

enum chunked_result chunked_next(struct chunked *chunked, struct str *input, struct str *data)
{
    static enum state (*const steps[STATES])(struct chunked * chunked, unsigned char c) = {
        [SIZE_FIRST] = on_size_first,
        [SIZE] = on_size,
        [EXTENSION] = on_extension,
        [SIZE_LF] = on_size_lf,
        [DATA_CR] = on_data_cr,
        [DATA_LF] = on_data_lf,
        [LINE] = on_line,
        [NAME] = on_name,
        [VALUE] = on_value,
        [VALUE_LF] = on_value_lf,
        [END_LF] = on_end_lf,
    };
    for (;;) {
        if (chunked->state == DONE)
            return CHUNKED_END;
        if (chunked->state == BROKEN)
            return CHUNKED_ERROR;
        if (input->length == 0)
            return CHUNKED_MORE;
        if (chunked->state == DATA)
            break;
        unsigned char c = (unsigned char)input->data[0];
        if (chunked->state == LINE && !chunked->trailers && c != '\r')
            return CHUNKED_TRAILERS;
        *input = str_from(*input, 1);
        chunked->state = (uint8_t)steps[chunked->state](chunked, c);
    }
    size_t length = input->length < chunked->left ? input->length : (size_t)chunked->left;
    *data = (struct str){input->data, length};
    *input = str_from(*input, length);
    chunked->left -= length;
    if (chunked->left == 0)
        chunked->state = DATA_CR;
    return CHUNKED_DATA;
}

struct str chunked_trailers(const struct chunked *chunked)
{
    assert(chunked->state == DONE);
    if (!chunked->trailers)
        return (struct str){NULL, 0};
    return (struct str){chunked->trailers, chunked->trailer};
}

const char *chunked_error(const struct chunked *chunked)
{
    return chunked->error ? chunked->error : "";
}
