/* Messages of a hand-off: what is read stays within them, and is the same when it was written again. */
#include "tests/fuzz/fuzz.h"

#include "worker/net/handoff.h"

static void records(struct str in)
{
    static char memory[2 * HANDOFF_BYTES_MAX];
    struct handoff_record record, again;
    for (size_t before = in.length; handoff_get_record(&in, &record); before = in.length) {
        CHECK(in.length < before);
        struct str last = record.kind == HANDOFF_TUNNEL ? record.tunnel.upstream_kept : record.held;
        CHECK(record.held.length <= HANDOFF_HELD_MAX && last.length <= HANDOFF_HELD_MAX);
        CHECK(last.data + last.length == in.data);
        CHECK(record.peer.length <= sizeof record.peer.un);
        struct buf out = buf_on(memory, sizeof memory);
        handoff_put_record(&out, &record);
        CHECK(!out.overflow);
        struct str written = buf_str(&out);
        CHECK(handoff_get_record(&written, &again) && written.length == 0);
        CHECK(again.listener == record.listener && again.left_ms == record.left_ms &&
              again.requests == record.requests && again.kind == record.kind && again.flags == record.flags);
        CHECK(str_eq(again.held, record.held) && again.peer.length == record.peer.length &&
              again.destination.length == record.destination.length);
        if (record.kind == HANDOFF_TUNNEL)
            CHECK(again.tunnel.flags == record.tunnel.flags &&
                  str_eq(again.tunnel.head, record.tunnel.head) &&
                  str_eq(again.tunnel.upstream_kept, record.tunnel.upstream_kept));
        if (record.peer.length) {
            char text[ADDRESS_TEXT_SIZE];
            CHECK(address_format(&record.peer, text) < sizeof text);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct handoff_head head;
    struct handoff_listener listener;
    enum handoff_verdict verdict;
    if (!handoff_get_head(&in, &head))
        return 0;
    if (head.verb == HANDOFF_HELLO)
        while (handoff_get_listener(&in, &listener))
            CHECK(listener.address.length <= sizeof listener.address.un);
    else if (head.verb == HANDOFF_TAKEN)
        while (handoff_get_verdict(&in, &verdict))
            CHECK(verdict < HANDOFF_VERDICTS);
    else
        records(in);
    return 0;
}
