/* The PROXY protocol: a table of headers and what becomes of them, each also read a byte at a time; what is written is
 * read again. */
#include <stdio.h>

#include "tests/unit/unit.h"

#include "worker/codec/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Reads what is there, in memory of exactly that size: no look beyond its end. */
static enum proxy_result read_some(const char *data, size_t length, struct proxy_header *header,
                                   const char **why)
{
    char *copy = malloc(length + 1);
    assert_non_null(copy);
    memcpy(copy + 1, data, length);
    enum proxy_result result = proxy_protocol_read(copy + 1, length, header, why);
    free(copy);
    return result;
}

/* As it comes: MORE for each shorter piece until `*used` bytes give another result. */
static enum proxy_result read_bytes(struct str input, struct proxy_header *header, const char **why,
                                    size_t *used)
{
    for (*used = 0; *used <= input.length; ++*used) {
        enum proxy_result result = read_some(input.data, *used, header, why);
        if (result != PROXY_MORE)
            return result;
    }
    --*used;
    return PROXY_MORE;
}

static void good(struct str input, size_t length, const char *source, const char *destination)
{
    struct proxy_header whole, header;
    const char *why = "";
    char text[ADDRESS_TEXT_SIZE];
    size_t used;
    if (read_some(input.data, input.length, &whole, &why) != PROXY_WHOLE)
        fail_msg("%.*s: %s", STR_ARG(input), why);
    assert_int_equal(whole.length, length);
    assert_int_equal(read_bytes(input, &header, &why, &used), PROXY_WHOLE);
    assert_int_equal(used, length);
    assert_int_equal(header.known, whole.known);
    assert_int_equal(whole.known, source != NULL);
    if (!source)
        return;
    address_format(&whole.source, text);
    assert_string_equal(text, source);
    address_format(&whole.destination, text);
    assert_string_equal(text, destination);
    assert_true(address_eq(&whole.source, &header.source));
    assert_true(address_eq(&whole.destination, &header.destination));
}

/* Malformed, in one piece and by bytes; known so at `at` bytes. */
static void bad(struct str input, size_t at, const char *says)
{
    struct proxy_header header;
    const char *why = "";
    size_t used;
    if (read_some(input.data, input.length, &header, &why) != PROXY_MALFORMED)
        fail_msg("%.*s is taken", STR_ARG(input));
    if (!strstr(why, says))
        fail_msg("%.*s: \"%s\" instead of \"%s\"", STR_ARG(input), why, says);
    assert_int_equal(read_bytes(input, &header, &why, &used), PROXY_MALFORMED);
    assert_non_null(strstr(why, says));
    if (used != at)
        fail_msg("%.*s: malformed at %zu, not at %zu", STR_ARG(input), used, at);
}

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *source, *destination;
    } rows[] = {
        {"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324", "192.168.0.11:443"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
         "255.255.255.255:65535"},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0"},
        {"PROXY TCP6 2001:db8::1 2001:DB8::2 1 2\r\n", "[2001:db8::1]:1", "[2001:db8::2]:2"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"PROXY TCP6 :: ::1 80 81\r\n", "[::]:80", "[::1]:81"},
        {"PROXY TCP6 ::ffff:10.0.0.1 ::ffff:10.0.0.2 80 81\r\n", "10.0.0.1:80", "10.0.0.2:81"},
        {"PROXY TCP6 ::ffff:0a00:0001 fd00::1 80 81\r\n", "10.0.0.1:80", "[fd00::1]:81"},
        {"PROXY UNKNOWN\r\n", NULL, NULL},
        {"PROXY UNKNOWN \r\n", NULL, NULL},
        {"PROXY UNKNOWN 10.0.0.1 whatever 00 it \t says\r\n", NULL, NULL},
        {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "65535 65535\r\n",
         NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char input[256];
        size_t length = strlen(rows[i].line);
        snprintf(input, sizeof input, "%sGET / HTTP/1.1\r\n\r\n", rows[i].line);
        good((struct str){input, length}, length, rows[i].source, rows[i].destination);
        good(str_of(input), length, rows[i].source, rows[i].destination);
    }
}

static void test_lines_that_are_not(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *says;
    } rows[] = {
        {"PROXY TCP5 10.0.0.1 10.0.0.2 1 2\r\n", "none of TCP4"},
        {"PROXY tcp4 10.0.0.1 10.0.0.2 1 2\r\n", "none of TCP4"},
        {"PROXY TCP4\t10.0.0.1 10.0.0.2 1 2\r\n", "none of TCP4"},
        {"PROXY  TCP4 10.0.0.1 10.0.0.2 1 2\r\n", "none of TCP4"},
        {"PROXY UNKNOWNS\r\n", "none of TCP4"},
        {"PROXY \r\n", "none of TCP4"},
        {"PROXY TCP4\r\n", "the source is not"},
        {"PROXY TCP4 \r\n", "the source is not"},
        {"PROXY TCP4  10.0.0.1 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP4 10.0.0 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP4 10.0.0.256 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP4 010.0.0.1 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP4 10.0.0.01 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP4 0x0a.0.0.1 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP4 +10.0.0.1 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP4 ::1 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP4 localhost 10.0.0.2 1 2\r\n", "the source is not"},
        {"PROXY TCP6 10.0.0.1 ::1 1 2\r\n", "the source is not"},
        {"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", "the source is not"},
        {"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", "the source is not"},
        {"PROXY TCP6 1::2::3 ::1 1 2\r\n", "the source is not"},
        {"PROXY TCP6 12345::1 ::1 1 2\r\n", "the source is not"},
        {"PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "the source is not"},
        {"PROXY TCP6 [::1] ::1 1 2\r\n", "the source is not"},
        {"PROXY TCP6 1111:2222:3333:4444:5555:6666:7777:8888:9999:1 ::1 1 2\r\n", "the source is not"},
        {"PROXY TCP4 10.0.0.1\r\n", "the destination is not"},
        {"PROXY TCP4 10.0.0.1  10.0.0.2 1 2\r\n", "the destination is not"},
        {"PROXY TCP4 10.0.0.1 ::2 1 2\r\n", "the destination is not"},
        {"PROXY TCP6 ::1 10.0.0.2 1 2\r\n", "the destination is not"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2\r\n", "the source's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2  1 2\r\n", "the source's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 65536 2\r\n", "the source's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 01 2\r\n", "the source's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 00 2\r\n", "the source's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 -1 2\r\n", "the source's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 +1 2\r\n", "the source's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n", "the destination's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 1 \r\n", "the destination's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 1 99999999999999999999\r\n", "the destination's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 1 2 \r\n", "the destination's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 1 2 3\r\n", "the destination's port"},
        {"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\n", "CRLF"},
        {"PROXY UNKNOWN\n", "CRLF"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        bad(str_of(rows[i].line), strlen(rows[i].line), rows[i].says);
    /* A bare CR is known by what follows it. */
    bad(STR("PROXY UNKNOWN\rx\r\n"), 15, "CRLF");
    bad(STR("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\r\n"), 34, "CRLF");
    /* A NUL doesn't end an address. */
    bad(STR("PROXY TCP4 10.0.0.1\0 10.0.0.2 1 2\r\n"), 35, "the source is not");
}

static void test_longest_line(void **state)
{
    (void)state;
    char input[200];
    memset(input, 'x', sizeof input);
    memcpy(input, "PROXY UNKNOWN ", 14);
    memcpy(input + 105, "\r\n", 2);
    good((struct str){input, sizeof input}, 107, NULL, NULL);
    memcpy(input + 105, "x\r\n", 3);
    bad((struct str){input, sizeof input}, 107, "longer than 107");
    memcpy(input + 105, "abc", 3);
    bad((struct str){input, sizeof input}, 107, "longer than 107");
}

static void test_neither(void **state)
{
    (void)state;
    static const char begins[] = "doesn't begin with a header";
    bad(STR("GET / HTTP/1.1\r\n"), 1, begins);
    bad(STR("POST / HTTP/1.1\r\n"), 2, begins);
    bad(STR("PROXY\tTCP4"), 6, begins);
    bad(STR("proxy TCP4"), 1, begins);
    bad(STR("\r\nGET /"), 3, begins);
    bad(STR("\r\n\r\n\0\r\nQUIX"), 11, begins);
    bad(STR("\x16\x03\x01"), 1, begins);
    struct proxy_header header;
    const char *why;
    assert_int_equal(read_some("", 0, &header, &why), PROXY_MORE);
    assert_int_equal(read_some("PROX", 4, &header, &why), PROXY_MORE);
    assert_int_equal(read_some(SIGNATURE, 12, &header, &why), PROXY_MORE);
}

/* A version 2 header: command and family bytes, then `payload`. */
static char made[8192];
static struct str make(unsigned command, unsigned family, struct str payload)
{
    memcpy(made, SIGNATURE, 12);
    made[12] = (char)command;
    made[13] = (char)family;
    made[14] = (char)(payload.length >> 8);
    made[15] = (char)payload.length;
    memcpy(made + 16, payload.data, payload.length);
    memcpy(made + 16 + payload.length, "GET", 3);
    return (struct str){made, 16 + payload.length + 3};
}

#define IN "\x0a\0\0\1\x0a\0\0\2\x04\xd2\0\x50"
#define IN6 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\x04\xd2\0\x50"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\2\x04\xd2\0\x50"

static void good2(unsigned command, unsigned family, struct str payload, const char *source,
                  const char *destination)
{
    struct str input = make(command, family, payload);
    good(input, input.length - 3, source, destination);
    input.length -= 3;
    good(input, input.length, source, destination);
}

static void test_binary(void **state)
{
    (void)state;
    good2(0x21, 0x11, STR(IN), "10.0.0.1:1234", "10.0.0.2:80");
    good2(0x21, 0x21, STR(IN6), "[2001:db8::1]:1234", "[fd00::2]:80");
    good2(0x21, 0x21, STR(MAPPED), "10.0.0.1:1234", "10.0.0.2:80");
    char both[216] = "/run/a.sock";
    memset(both + 108, 'b', 108);
    both[108] = '\0';
    char long_name[ADDRESS_TEXT_SIZE + 8] = "unix:@";
    memset(long_name + 6, 'b', 107);
    good2(0x21, 0x31, (struct str){both, sizeof both}, "unix:/run/a.sock", long_name);
    memset(both, 0, sizeof both);
    good2(0x21, 0x31, (struct str){both, sizeof both}, "unix:", "unix:");
    /* Those whose addresses are not to be used; what they are is not looked at. */
    good2(0x20, 0x00, STR(""), NULL, NULL);
    good2(0x20, 0x11, STR(IN), NULL, NULL);
    good2(0x20, 0x11, STR("short"), NULL, NULL);
    good2(0x20, 0x32, STR("\3\0\4xxxx"), NULL, NULL);
    good2(0x21, 0x00, STR(""), NULL, NULL);
    good2(0x21, 0x00, STR(IN "no TLV"), NULL, NULL);
    good2(0x21, 0x01, STR("x"), NULL, NULL);
    good2(0x21, 0x10, STR(IN), NULL, NULL);
    good2(0x21, 0x12, STR(IN), NULL, NULL);
    good2(0x21, 0x22, STR(IN6), NULL, NULL);
    good2(0x21, 0x32, STR("x"), NULL, NULL);
}

static void bad2(unsigned command, unsigned family, struct str payload, size_t at, const char *says)
{
    struct str input = make(command, family, payload);
    bad(input, at, says);
}

static void test_binary_that_is_not(void **state)
{
    (void)state;
    bad2(0x11, 0x11, STR(IN), 13, "version is not 2");
    bad2(0x01, 0x11, STR(IN), 13, "version is not 2");
    bad2(0x31, 0x11, STR(IN), 13, "version is not 2");
    bad2(0x22, 0x11, STR(IN), 13, "neither LOCAL nor PROXY");
    bad2(0x2f, 0x11, STR(IN), 13, "neither LOCAL nor PROXY");
    bad2(0x21, 0x41, STR(IN), 14, "family or transport is unknown");
    bad2(0x21, 0xf1, STR(IN), 14, "family or transport is unknown");
    bad2(0x21, 0x13, STR(IN), 14, "family or transport is unknown");
    bad2(0x21, 0x1f, STR(IN), 14, "family or transport is unknown");
    bad2(0x20, 0x40, STR(""), 14, "family or transport is unknown");
    bad2(0x21, 0x11, STR(""), 16, "too short for its addresses");
    bad2(0x21, 0x11, STR("\x0a\0\0\1\x0a\0\0\2\x04\xd2\0"), 27, "too short for its addresses");
    bad2(0x21, 0x21, STR(IN), 28, "too short for its addresses");
    bad2(0x21, 0x31, STR(IN6), 52, "too short for its addresses");
}

static void test_length(void **state)
{
    (void)state;
    static char payload[4096] = IN "\x04\x0f\xe1"; /* a NOOP that fills it up */
    payload[13] = (char)((4080 - 15) >> 8);
    payload[14] = (char)(4080 - 15);
    struct str input = make(0x21, 0x11, (struct str){payload, 4080});
    struct proxy_header header;
    const char *why = "";
    assert_int_equal(read_some(input.data, input.length, &header, &why), PROXY_WHOLE);
    assert_int_equal(header.length, PROXY_PROTOCOL_MAX);
    assert_int_equal(read_some(input.data, PROXY_PROTOCOL_MAX - 1, &header, &why), PROXY_MORE);
    /* One more is known before it comes. */
    bad2(0x21, 0x11, (struct str){payload, 4081}, 16, "longer than 4096");
    bad2(0x20, 0x00, (struct str){payload, 4081}, 16, "longer than 4096");
}

static void test_tlvs(void **state)
{
    (void)state;
    static const char *const source = "10.0.0.1:1234", *const destination = "10.0.0.2:80";
    good2(0x21, 0x11, STR(IN "\4\0\0"), source, destination);
    good2(0x21, 0x11, STR(IN "\1\0\2h2\2\0\1a\xee\0\3xyz"), source, destination);
    good2(0x21, 0x11, STR(IN "\x20\0\5\1\0\0\0\0"), source, destination);
    good2(0x21, 0x11, STR(IN "\x20\0\x0f\1\0\0\0\0\x21\0\7TLSv1.3"), source, destination);
    /* A type of the inner ones is no checksum. */
    good2(0x21, 0x11, STR(IN "\x20\0\x0b\1\0\0\0\0\3\0\3abc"), source, destination);
    bad2(0x21, 0x11, STR(IN "\4"), 29, "reaches over");
    bad2(0x21, 0x11, STR(IN "\4\0"), 30, "reaches over");
    bad2(0x21, 0x11, STR(IN "\4\0\1"), 31, "reaches over");
    bad2(0x21, 0x11, STR(IN "\4\xff\xffxx"), 33, "reaches over");
    bad2(0x21, 0x11, STR(IN "\4\0\0\1\0\3h2"), 36, "reaches over");
    bad2(0x21, 0x11, STR(IN "\x20\0\4\1\0\0\0"), 35, "about TLS");
    bad2(0x21, 0x11, STR(IN "\x20\0\7\1\0\0\0\0\x21\0"), 38, "about TLS");
    bad2(0x21, 0x11, STR(IN "\x20\0\x0a\1\0\0\0\0\x21\0\3ab"), 41, "about TLS");
    char payload[12 + 3 + 129] = IN "\5\0\x80";
    good2(0x21, 0x11, (struct str){payload, sizeof payload - 1}, source, destination);
    payload[14] = (char)0x81;
    bad2(0x21, 0x11, (struct str){payload, sizeof payload}, 16 + sizeof payload, "unique id");
}

/* Worked out apart from the program, bit by bit, with zeros in their place. */
#define SUM_LAST "\xf0\x92\xf7\x51"
#define SUM_MIDDLE "\x7f\x27\x4f\xe7"
#define SUM_IN6 "\xb8\x8c\xd9\x07"

static void test_checksum(void **state)
{
    (void)state;
    static const char *const source = "10.0.0.1:1234", *const destination = "10.0.0.2:80";
    good2(0x21, 0x11, STR(IN "\3\0\4" SUM_LAST), source, destination);
    good2(0x21, 0x11, STR(IN "\3\0\4" SUM_MIDDLE "\4\0\3abc"), source, destination);
    good2(0x21, 0x21, STR(IN6 "\4\0\1x\3\0\4" SUM_IN6), "[2001:db8::1]:1234", "[fd00::2]:80");
    bad2(0x21, 0x11, STR(IN "\3\0\4\0\0\0\0"), 35, "checksum is wrong");
    bad2(0x21, 0x11, STR(IN "\3\0\4" SUM_MIDDLE "\4\0\3abd"), 41, "checksum is wrong");
    bad2(0x21, 0x11, STR(IN "\3\0\3\0\0\0"), 34, "four bytes");
    bad2(0x21, 0x11, STR(IN "\3\0\5\0\0\0\0\0"), 36, "four bytes");
    bad2(0x21, 0x11, STR(IN "\3\0\4" SUM_LAST "\3\0\4" SUM_LAST), 42, "two checksums");
    /* Any bit that changes is found. */
    struct str input = make(0x21, 0x11, STR(IN "\3\0\4" SUM_LAST));
    for (size_t bit = 16 * 8; bit < (16 + 12) * 8; bit++) {
        struct proxy_header header;
        const char *why = "";
        made[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(read_some(input.data, input.length, &header, &why), PROXY_MALFORMED);
        made[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static struct address address_of(const char *text)
{
    struct address address;
    const char *why = "";
    if (!address_parse(str_of(text), &address, &why))
        fail_msg("%s: %s", text, why);
    return address;
}

static void write_it(enum proxy_protocol version, const char *source, const char *destination,
                     struct buf *out)
{
    struct address from = address_of(source ? source : "0.0.0.0:1"), to = address_of(destination);
    proxy_protocol_write(version, source ? &from : NULL, &to, out);
    assert_false(out->overflow);
}

static void test_writing(void **state)
{
    (void)state;
    static const struct {
        const char *source, *destination, *line;
        size_t length; /* of version 2 */
        bool known;
    } rows[] = {
        {"10.0.0.1:1234", "10.0.0.2:80", "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n", 28, true},
        {"[2001:db8::1]:65535", "[::1]:1", "PROXY TCP6 2001:db8::1 ::1 65535 1\r\n", 52, true},
        {"10.0.0.1:1234", "[fd00::1]:80", "PROXY TCP6 ::ffff:10.0.0.1 fd00::1 1234 80\r\n", 52, true},
        {"[fd00::1]:80", "10.0.0.2:8", "PROXY TCP6 fd00::1 ::ffff:10.0.0.2 80 8\r\n", 52, true},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "65535\r\n",
         52, true},
        {"unix:/a", "unix:/b", "PROXY UNKNOWN\r\n", 16, false},
        {"10.0.0.1:1", "unix:/b", "PROXY UNKNOWN\r\n", 16, false},
        {NULL, "10.0.0.2:80", "PROXY UNKNOWN\r\n", 16, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char memory[PROXY_PROTOCOL_WRITTEN_MAX];
        for (enum proxy_protocol version = PROXY_PROTOCOL_V1; version <= PROXY_PROTOCOL_V2; version++) {
            struct buf out = buf_on(memory, sizeof memory);
            write_it(version, rows[i].source, rows[i].destination, &out);
            if (version == PROXY_PROTOCOL_V1)
                assert_str(buf_str(&out), rows[i].line);
            else
                assert_int_equal(out.length, rows[i].length);
            good(buf_str(&out), out.length, rows[i].known ? rows[i].source : NULL, rows[i].destination);
        }
        /* For nobody: LOCAL; for somebody unknown: PROXY, without a family. */
        if (!rows[i].known)
            assert_memory_equal(memory + 12, rows[i].source ? "\x21\0\0\0" : "\x20\0\0\0", 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),        cmocka_unit_test(test_lines_that_are_not),
        cmocka_unit_test(test_longest_line), cmocka_unit_test(test_neither),
        cmocka_unit_test(test_binary),       cmocka_unit_test(test_binary_that_is_not),
        cmocka_unit_test(test_length),       cmocka_unit_test(test_tlvs),
        cmocka_unit_test(test_checksum),     cmocka_unit_test(test_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
