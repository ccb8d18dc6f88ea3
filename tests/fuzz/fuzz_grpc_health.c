/* gRPC's health checks: whatever a server answers, it is read as some status within its bounds; and any name of a service
 * makes a body of the size that was said. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/grpc_health.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy);
    memcpy(copy, data, size);
    struct str body = {copy, size};
    CHECK(grpc_health_name(grpc_health_read(body)));

    size_t length = grpc_health_size(body);
    char *memory = malloc(length);
    CHECK(memory);
    struct buf out = buf_on(memory, length);
    grpc_health_write(body, &out);
    CHECK(!out.overflow && out.length == length);
    CHECK(grpc_health_read(buf_str(&out)) ==
          GRPC_HEALTH_UNKNOWN); /* its field 1 is no number: it is passed over */
    free(memory);
    free(copy);
    return 0;
}
