/* What gRPC says in header fields: whatever the bytes, what is written is in the grammar, and no time-out grows by being
 * passed on. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/grpc.h"

static void check_timeout(struct str value)
{
    char memory[16];
    struct buf out = buf_on(memory, sizeof memory);
    uint64_t ms, again;
    if (!grpc_timeout_parse(value, &ms))
        return;
    grpc_timeout_write(ms, &out);
    CHECK(!out.overflow && out.length <= 9);
    CHECK(grpc_timeout_parse(buf_str(&out), &again));
    CHECK(again <= ms);
    CHECK(ms > 99999999 || again == ms);
}

static void check_message(struct str value)
{
    size_t size = 3 * value.length;
    char *memory = malloc(size ? size : 1);
    CHECK(memory);
    struct buf out = buf_on(memory, size);
    grpc_message_write(value, &out);
    CHECK(!out.overflow && out.length >= value.length);
    for (size_t i = 0; i < out.length; i++)
        CHECK(memory[i] >= ' ' && memory[i] <= '~');
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy);
    memcpy(copy, data, size);
    struct str value = {copy, size}, rest = {NULL, 0};
    enum grpc_status status;
    check_timeout(value);
    check_message(value);
    CHECK(grpc_status_parse(value) < GRPC_STATUS_COUNT);
    if (grpc_status_of_name(value, &status))
        CHECK(str_case_eq(grpc_status_name(status), value));
    if (grpc_form_of(value, &rest) != GRPC_NONE)
        CHECK(rest.data >= copy && rest.data + rest.length <= copy + size);
    free(copy);
    return 0;
}
