/* Lists of hops: whatever the bytes, elements stay inside them, and what stands before the last can't change it. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/hops.h"

static bool inside(struct str part, struct str whole)
{
    return part.length == 0 ||
           (part.data >= whole.data && part.data + part.length <= whole.data + whole.length);
}

static void fuzz_list(struct str input, bool quoted)
{
    struct str rest = input, element;
    size_t before = input.length + 1;
    while (hops_last(&rest, quoted, &element)) {
        struct hop hop;
        CHECK(inside(element, input) && element.length > 0 && rest.length < before);
        before = rest.length;
        CHECK(quoted || str_index(element, ',') < 0);
        if (!(quoted ? hop_parse_forwarded : hop_parse)(element, &hop))
            continue;
        CHECK(inside(hop.proto, input) && inside(hop.host, input));
        char text[ADDRESS_TEXT_SIZE];
        struct hop again;
        size_t length = address_format_host(&hop.address, text);
        CHECK(hop_parse((struct str){text, length}, &again));
        CHECK(again.address.any.sa_family == hop.address.any.sa_family);
    }
}

/* A proxy's own element is read as it wrote it, after anything. */
static void fuzz_appended(struct str input)
{
    static const char own[] = ", for=\"[2001:db8::1]:80\";host=\"a\\\"b\";proto=https";
    char *text = malloc(input.length + sizeof own);
    CHECK(text);
    if (input.length)
        memcpy(text, input.data, input.length);
    memcpy(text + input.length, own, sizeof own);
    struct str list = {text, input.length + sizeof own - 1}, element;
    struct hop hop;
    CHECK(hops_last(&list, true, &element));
    CHECK(str_eq(element, str_from(STR(own), 2)));
    CHECK(hop_parse_forwarded(element, &hop) && str_eq(hop.proto, STR("https")));
    free(text);
}

static void fuzz_written(struct str input)
{
    struct address address;
    const char *why;
    char *text = malloc(2 * input.length + 128);
    CHECK(text && address_parse(STR("192.0.2.1:1"), &address, &why));
    struct buf out = buf_on(text, 2 * input.length + 128);
    hop_write_forwarded(&out, &address, input, STR("http"));
    CHECK(!out.overflow);
    struct str list = buf_str(&out), element;
    struct hop hop;
    CHECK(hops_last(&list, true, &element) && list.length == 0);
    CHECK(hop_parse_forwarded(element, &hop));
    CHECK(hop.host.length == 0 || str_eq(hop.host, input));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    fuzz_list(input, false);
    fuzz_list(input, true);
    fuzz_appended(input);
    fuzz_written(input);
    hops_via_count(input, STR("gatehouse"));
    return 0;
}
