/* The messages of a hand-off. */
#include "tests/unit/handoff.h"

static struct handoff_record a_record(void)
{
    return (struct handoff_record){.listener = 7,
                                   .left_ms = 1234,
                                   .requests = 99,
                                   .kind = HANDOFF_HTTP1,
                                   .flags = HANDOFF_GREETED | HANDOFF_DESTINATION | HANDOFF_HEAD_BEGUN,
                                   .peer = ip("[2001:db8::1]:99"),
                                   .destination = ip("192.0.2.1:80"),
                                   .held = STR("GET / HT")};
}

static struct handoff_record a_tunnel(void)
{
    struct handoff_record record = a_record();
    record.kind = HANDOFF_TUNNEL;
    record.tunnel = (struct handoff_tunnel){.started = 1,
                                            .started_wall = 2,
                                            .upstream_ns = 3,
                                            .bytes_in = 4,
                                            .bytes_out = 5,
                                            .tries = 6,
                                            .silent_ms = 7,
                                            .flags = HANDOFF_CLIENT_ENDED | HANDOFF_UPSTREAM_SHUT,
                                            .endpoint = ip("192.0.2.2:81"),
                                            .head = STR("GET / HTTP/1.1\r\n\r\n"),
                                            .id = STR("id"),
                                            .api = STR("api"),
                                            .route = STR("route"),
                                            .upstream = STR("upstream"),
                                            .position = STR("position"),
                                            .client_kept = STR("client kept"),
                                            .upstream_held = STR("upstream held"),
                                            .upstream_kept = STR("upstream kept")};
    return record;
}

static void tunnels_are_read_as_written(void **state)
{
    (void)state;
    char memory[1024];
    struct buf out = buf_on(memory, sizeof memory);
    struct handoff_record record = a_tunnel(), got;
    const struct handoff_tunnel *tunnel = &got.tunnel;
    handoff_put_record(&out, &record);
    struct str in = buf_str(&out);
    assert_true(handoff_get_record(&in, &got));
    assert_int_equal(in.length, 0);
    assert_int_equal(handoff_fds(&got), 2);
    assert_true(tunnel->started == 1 && tunnel->started_wall == 2 && tunnel->upstream_ns == 3);
    assert_true(tunnel->bytes_in == 4 && tunnel->bytes_out == 5 && tunnel->tries == 6);
    assert_true(tunnel->silent_ms == 7 && tunnel->flags == record.tunnel.flags);
    assert_true(address_eq(&tunnel->endpoint, &record.tunnel.endpoint));
    assert_str(got.held, "GET / HT");
    assert_str(tunnel->head, "GET / HTTP/1.1\r\n\r\n");
    assert_str(tunnel->id, "id");
    assert_str(tunnel->api, "api");
    assert_str(tunnel->route, "route");
    assert_str(tunnel->upstream, "upstream");
    assert_str(tunnel->position, "position");
    assert_str(tunnel->client_kept, "client kept");
    assert_str(tunnel->upstream_held, "upstream held");
    assert_str(tunnel->upstream_kept, "upstream kept");
}

static void messages_are_read_as_written(void **state)
{
    (void)state;
    char memory[1024];
    struct buf out = buf_on(memory, sizeof memory);
    struct handoff_record record = a_record(), got;
    struct handoff_listener listener = {ip("0.0.0.0:80"), handoff_rights("0660", NULL, "www")}, got_listener;
    struct handoff_head head;
    enum handoff_verdict verdict;
    handoff_put_head(&out, HANDOFF_BATCH, 0);
    handoff_put_record(&out, &record);
    handoff_put_listener(&out, &listener);
    handoff_put_verdict(&out, HANDOFF_FULL);
    handoff_set_number(&out, 5);
    struct str in = buf_str(&out);
    assert_true(handoff_get_head(&in, &head));
    assert_int_equal(head.verb, HANDOFF_BATCH);
    assert_int_equal(head.number, 5);
    assert_true(handoff_get_record(&in, &got));
    assert_int_equal(got.listener, 7);
    assert_int_equal(got.left_ms, 1234);
    assert_int_equal(got.requests, 99);
    assert_int_equal(got.kind, HANDOFF_HTTP1);
    assert_int_equal(got.flags, record.flags);
    assert_true(address_eq(&got.peer, &record.peer));
    assert_true(address_eq(&got.destination, &record.destination));
    assert_str(got.held, "GET / HT");
    assert_true(handoff_get_listener(&in, &got_listener));
    assert_true(address_eq(&got_listener.address, &listener.address));
    assert_true(got_listener.rights == listener.rights);
    assert_true(handoff_get_verdict(&in, &verdict));
    assert_int_equal(verdict, HANDOFF_FULL);
    assert_int_equal(in.length, 0);
}

static void rights_differ_by_each_part(void **state)
{
    (void)state;
    uint64_t usual = handoff_rights("0660", "a", NULL);
    assert_true(usual == handoff_rights("0660", "a", NULL));
    assert_true(usual != handoff_rights("0666", "a", NULL));
    assert_true(usual != handoff_rights("0660", NULL, "a"));
    assert_true(usual != handoff_rights("0660", "a", "a"));
}

static void is_not_read_cut(const struct handoff_record *whole)
{
    char memory[1024];
    struct buf out = buf_on(memory, sizeof memory);
    struct handoff_record record = *whole, got;
    handoff_put_record(&out, &record);
    for (size_t length = 0; length < out.length; length++) {
        char *copy = malloc(length + 1); /* of its own: no look beyond its end */
        assert_non_null(copy);
        memcpy(copy, out.data, length);
        struct str in = {copy, length};
        assert_false(handoff_get_record(&in, &got));
        free(copy);
    }
    struct buf small = buf_on(memory, out.length - 1);
    handoff_put_record(&small, &record);
    assert_true(small.overflow);
}

static void what_is_cut_is_not_read(void **state)
{
    (void)state;
    struct handoff_record record = a_record(), tunnel = a_tunnel();
    is_not_read_cut(&record);
    is_not_read_cut(&tunnel);
}

static void strange_addresses_are_not_read(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {1, 2, 8, 15, 27, sizeof(struct sockaddr_un) + 1, UINT32_MAX};
    char memory[1024] = {0};
    struct handoff_listener listener;
    sa_family_t families[] = {AF_INET, AF_INET6, AF_PACKET};
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(memory, &lengths[i], sizeof lengths[i]);
        for (unsigned j = 0; j < 3; j++) {
            memcpy(memory + 4, &families[j], sizeof families[j]);
            struct str in = {memory, sizeof memory};
            if (families[j] == AF_INET && lengths[i] == 27)
                continue; /* long enough for that one */
            assert_false(handoff_get_listener(&in, &listener));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read_as_written),   cmocka_unit_test(tunnels_are_read_as_written),
        cmocka_unit_test(rights_differ_by_each_part),     cmocka_unit_test(what_is_cut_is_not_read),
        cmocka_unit_test(strange_addresses_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
