/* WebSocket: where frames end is the same however their bytes come, and a key is answered only when it is one. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct websocket_position whole = {0}, pieces = {0};
    const char *bytes = (const char *)data;
    char accept[WEBSOCKET_ACCEPT];
    size_t step = size ? data[0] % 7 + 1 : 1;
    websocket_follow(&whole, bytes, size);
    for (size_t at = 0; at < size; at += step)
        websocket_follow(&pieces, bytes + at, step < size - at ? step : size - at);
    CHECK(whole.have < WEBSOCKET_HEAD_MAX &&
          whole.left <= INT64_MAX + (uint64_t)whole.lost * INT64_MAX + whole.lost);
    CHECK(whole.lost == pieces.lost && whole.closed == pieces.closed);
    CHECK(whole.lost || (whole.left == pieces.left && whole.have == pieces.have));
    CHECK(websocket_between(&whole) == websocket_between(&pieces));
    struct str key = {bytes, size < WEBSOCKET_KEY ? size : WEBSOCKET_KEY};
    if (websocket_key_is_good(key))
        websocket_accept(key, accept);
    return 0;
}
