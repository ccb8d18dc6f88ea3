/* Signature-Input: whatever the bytes, a base is made or not, and what was made says at its end what it covers, in a form that is
 * read the same again. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/signature_base.h"
#include "worker/codec/structured.h"

/* One field, "x", of which there are two lines: pieces of the input. */
static bool field_next(const void *fields, struct str name, unsigned *at, struct str *value)
{
    const struct str *lines = fields;
    if (!str_eq(name, STR("x")) || *at == 2)
        return false;
    *value = lines[(*at)++];
    return true;
}

/* The first line is the value of Signature-Input, the second a query, the others a field's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char memory[SIGNATURE_BASE_MAX];
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy);
    memcpy(copy, data, size);
    struct str rest = {copy, size}, text = str_cut(&rest, '\n'), query = str_cut(&rest, '\n');
    struct str lines[2] = {str_cut(&rest, '\n'), rest}, component;
    struct signature_message message = {.method = STR("GET"),
                                        .scheme = STR("https"),
                                        .authority = STR("A.example:443"),
                                        .path = STR("/"),
                                        .query = query,
                                        .fields = lines,
                                        .field = field_next};
    struct signature_input input, again;
    struct buf out = buf_on(memory, sizeof memory);
    if (!signature_input_parse(text, &input) && !signature_base(&input, &message, &out, &component)) {
        static const char mark[] = "\"@signature-params\": ";
        struct str base = buf_str(&out);
        const char *last = memrchr(base.data, '\n', base.length);
        struct str line = last ? str_from(base, (size_t)(last + 1 - base.data)) : base;
        CHECK(str_starts(line, STR(mark)));
        CHECK(!signature_input_parse(str_from(line, sizeof mark - 1), &again));
        CHECK(again.count == input.count && again.created == input.created);
        CHECK(str_eq(again.keyid, input.keyid));
    }
    free(copy);
    return 0;
}
