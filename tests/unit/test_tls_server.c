/* A listener's TLS without a network: who gets which certificate and by which rules, and which sessions go on. */
#include "tests/unit/certificates.h"
#include "tests/unit/conf.h"

#include "master/ticket_keys.h"
#include "shared/base/clock.h"
#include "worker/net/tls_clients.h"
#include "worker/net/tls_server.h"
#include "worker/net/tls_shown.h"

static struct certificate people, alice, open_leaf, closed_leaf, rsa_leaf;
static struct segment segment;
static struct tickets *tickets;
static SSL_CTX *client_context;

static int set_up(void **state)
{
    static const struct zone_kind *const kinds[] = {&tickets_kind, NULL};
    const char *why;
    struct segment_plan plan = {.slots = 1, .size_at_most = 1 << 20};
    fixture_setup(state);
    people = certificate_make((struct wanted){.common_name = "people", .authority = true});
    alice = certificate_make(
        (struct wanted){.common_name = "alice",
                        .issuer = &people,
                        .usage = "clientAuth",
                        .names = "DNS:alice.example,URI:spiffe://example/alice,IP:192.0.2.1"});
    open_leaf = certificate_make((struct wanted){.common_name = "open", .names = "DNS:open.example"});
    closed_leaf = certificate_make((struct wanted){.common_name = "closed", .names = "DNS:closed.example"});
    rsa_leaf = certificate_make(
        (struct wanted){.common_name = "rsa", .names = "DNS:open.example", .key = EVP_RSA_gen(2048)});
    certificate_write("people.pem", &people, NULL, NULL);
    certificate_write("open.pem", &open_leaf, NULL, NULL);
    certificate_write_key("open.key", &open_leaf, NULL);
    certificate_write("closed.pem", &closed_leaf, NULL, NULL);
    certificate_write_key("closed.key", &closed_leaf, NULL);
    certificate_write("rsa.pem", &rsa_leaf, NULL, NULL);
    certificate_write_key("rsa.key", &rsa_leaf, NULL);
    assert_int_equal(segment_create(&segment, kinds, &plan, fixture.arena, &why), 0);
    tickets = segment_zone(&segment, &tickets_kind, NULL);
    ticket_keys_turn(tickets, 3600000);
    client_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(client_context, SSL_SESS_CACHE_OFF); /* a session is used several times */
    return 0;
}

static int tear_down(void **state)
{
    struct certificate *const all[] = {&people, &alice, &open_leaf, &closed_leaf, &rsa_leaf};
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        certificate_free(all[i]);
    SSL_CTX_free(client_context);
    segment_destroy(&segment);
    return fixture_teardown(state);
}

static const char two_names[] =
    "listeners = ( { listen = \"127.0.0.1:1\"; tls = { certificates = ( { cert = \"open.pem\"; key = "
    "\"open.key\"; },"
    "{ cert = \"rsa.pem\"; key = \"rsa.key\"; },"
    "{ cert = \"closed.pem\"; key = \"closed.key\";"
    "  client_certificates = { mode = \"required\"; ca = \"people.pem\"; }; } ); }; } );";

static struct tls_server *server_of(const char *text)
{
    const struct settings *settings = conf_right(text);
    const struct listener_settings *listener = settings->listeners.items[0];
    struct tls_server *server = tls_server_new(listener->tls, fixture.arena, &fixture.errors);
    assert_string_equal(errors_text(&fixture.errors, fixture.error_arena), "");
    assert_non_null(server);
    tls_server_open_tickets(server, tickets, 3600000);
    return server;
}

/* Both ends of a handshake, and what the server came to. */
struct pair {
    SSL *client, *server;
    bool done;
};

static struct pair meet(const struct tls_server *server, const char *name, SSL_SESSION *session, int version,
                        const struct certificate *own)
{
    struct pair pair = {SSL_new(client_context), tls_server_session(server), false};
    BIO *near, *far;
    char byte;
    assert_int_equal(BIO_new_bio_pair(&near, 1 << 16, &far, 1 << 16), 1);
    SSL_set_bio(pair.client, near, near);
    SSL_set_bio(pair.server, far, far);
    SSL_set_connect_state(pair.client);
    SSL_set_min_proto_version(pair.client, version);
    SSL_set_max_proto_version(pair.client, version);
    if (name)
        SSL_set_tlsext_host_name(pair.client, name);
    if (session)
        SSL_set_session(pair.client, session);
    if (own) {
        SSL_use_certificate(pair.client, own->x509);
        SSL_use_PrivateKey(pair.client, own->key);
    }
    for (unsigned i = 0; i < 8; i++) {
        SSL_do_handshake(pair.client);
        SSL_do_handshake(pair.server);
    }
    SSL_read(pair.client, &byte, 1); /* tickets */
    ERR_clear_error();
    pair.done = SSL_is_init_finished(pair.client) && SSL_is_init_finished(pair.server);
    return pair;
}

static void part(struct pair *pair)
{
    SSL_shutdown(pair->client); /* or its session would not be gone on with */
    SSL_free(pair->client);
    SSL_free(pair->server);
    ERR_clear_error();
}

static bool got(const struct pair *pair, const struct certificate *certificate)
{
    return pair->done && X509_cmp(SSL_get0_peer_certificate(pair->client), certificate->x509) == 0;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void test_names(void **state)
{
    (void)state;
    struct tls_server *server = server_of(two_names);
    for (unsigned i = 0; i < 2; i++) {
        struct pair pair = meet(server, "open.example", NULL, versions[i], NULL);
        assert_true(got(&pair, &open_leaf));
        part(&pair);
        pair = meet(server, "unknown.example", NULL, versions[i], NULL);
        assert_true(got(&pair, &open_leaf));
        part(&pair);
        pair = meet(server, NULL, NULL, versions[i], NULL);
        assert_true(got(&pair, &open_leaf));
        part(&pair);
        pair = meet(server, "closed.example", NULL, versions[i], NULL);
        assert_false(pair.done);
        part(&pair);
        pair = meet(server, "closed.example", NULL, versions[i], &alice);
        assert_true(got(&pair, &closed_leaf));
        part(&pair);
    }
    SSL_CTX_set1_sigalgs_list(client_context, "rsa_pss_rsae_sha256");
    struct pair pair = meet(server, "OPEN.example", NULL, TLS1_3_VERSION, NULL);
    assert_true(got(&pair, &rsa_leaf));
    part(&pair);
}

static void test_shown(void **state)
{
    (void)state;
    struct tls_server *server = server_of(two_names);
    struct pair pair = meet(server, "closed.example", NULL, TLS1_3_VERSION, &alice);
    struct tls_shown *shown = tls_shown_new(pair.server);
    assert_str(shown->verified, "yes");
    assert_str(shown->subject, "CN=alice");
    assert_str(shown->common_name, "alice");
    assert_str(shown->issuer, "CN=people");
    assert_str(shown->names, "DNS:alice.example, URI:spiffe://example/alice, IP:192.0.2.1");
    assert_int_equal(shown->fingerprint.length, 64);
    assert_true(shown->serial.length > 0);
    free(shown);
    part(&pair);
    pair = meet(server, "open.example", NULL, TLS1_3_VERSION, &alice);
    assert_null(tls_shown_new(pair.server)); /* it wasn't asked for */
    part(&pair);
}

static void test_misdirected(void **state)
{
    (void)state;
    struct tls_server *server = server_of(two_names);
    struct pair pair = meet(server, "open.example", NULL, TLS1_3_VERSION, NULL);
    const struct tls_context *context = tls_server_context(pair.server);
    assert_true(tls_server_may_ask(context, STR("open.example")));
    assert_true(tls_server_may_ask(context, STR("unknown.example")));
    assert_true(tls_server_may_ask(context, STR("")));
    assert_false(tls_server_may_ask(context, STR("closed.example")));
    assert_false(tls_server_may_ask(context, STR("Closed.Example.")));
    part(&pair);
    pair = meet(server, "closed.example", NULL, TLS1_2_VERSION, &alice);
    context = tls_server_context(pair.server);
    assert_true(tls_server_may_ask(context, STR("closed.example")));
    assert_false(tls_server_may_ask(context, STR("open.example")));
    part(&pair);
}

/* On the same server, on another one with the same keys, and not by other rules. */
static void test_sessions(void **state)
{
    (void)state;
    struct tls_server *server = server_of(two_names), *other = server_of(two_names);
    for (unsigned i = 0; i < 2; i++) {
        struct pair pair = meet(server, "open.example", NULL, versions[i], NULL);
        SSL_SESSION *session = SSL_get1_session(pair.client);
        assert_false(SSL_session_reused(pair.server));
        part(&pair);
        pair = meet(server, "open.example", session, versions[i], NULL);
        assert_true(pair.done && SSL_session_reused(pair.server));
        part(&pair);
        pair = meet(other, "open.example", session, versions[i], NULL);
        assert_true(pair.done && SSL_session_reused(pair.server));
        part(&pair);
        pair = meet(server, "closed.example", session, versions[i], NULL);
        assert_false(pair.done);
        part(&pair);
        pair = meet(server, "closed.example", session, versions[i], &alice);
        assert_true(pair.done && !SSL_session_reused(pair.server));
        part(&pair);
        SSL_SESSION_free(session);
    }
}

/* The clock of the rules is set forward: then alice's certificate has expired. */
static void test_expired_since(void **state)
{
    (void)state;
    struct tls_server *server = server_of(two_names);
    struct client_certificate_settings settings = {
        .mode = CLIENT_CERTIFICATES_REQUIRED, .ca = "people.pem", .depth = 2};
    struct tls_clients clients;
    struct pair pair = meet(server, "closed.example", NULL, TLS1_2_VERSION, &alice);
    assert_true(pair.done);
    SSL_SESSION *session = SSL_get_session(pair.server);
    assert_true(tls_clients_load(&clients, &settings, (int64_t)(clock_wall_ns() / NS_PER_SECOND),
                                 fixture.arena, &fixture.errors));
    assert_true(tls_clients_still(&clients, session));
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(clients.store),
                               (time_t)(clock_wall_ns() / NS_PER_SECOND) + 100 * CERTIFICATE_DAY);
    assert_false(tls_clients_still(&clients, session));
    tls_clients_free(&clients);
    certificate_write_crl("people.crl", &people, &alice, 7);
    settings.crl = "people.crl";
    assert_true(tls_clients_load(&clients, &settings, (int64_t)(clock_wall_ns() / NS_PER_SECOND),
                                 fixture.arena, &fixture.errors));
    assert_false(tls_clients_still(&clients, session));
    tls_clients_free(&clients);
    part(&pair);
}

/* The digest is of what the rules say, not of where they stand. */
static void test_same_rules(void **state)
{
    (void)state;
    struct client_certificate_settings settings = {
        .mode = CLIENT_CERTIFICATES_REQUIRED, .ca = "people.pem", .depth = 2};
    struct client_certificate_settings others[] = {settings, settings, settings, settings};
    struct tls_clients one, other;
    certificate_write_crl("people.crl", &people, NULL, 7);
    certificate_write("copy.pem", &people, NULL, NULL);
    others[0].ca = "copy.pem";
    others[1].depth = 1;
    others[2].mode = CLIENT_CERTIFICATES_OPTIONAL;
    others[3].crl = "people.crl";
    assert_true(tls_clients_load(&one, &settings, 0, fixture.arena, &fixture.errors));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(tls_clients_load(&other, &others[i], 0, fixture.arena, &fixture.errors));
        assert_int_equal(tls_clients_same(&one, &other), i == 0);
        tls_clients_free(&other);
    }
    tls_clients_free(&one);
}

/* Bytes that are no hello, and hellos with bytes changed, end in an alert and nowhere else. */
static void test_hostile_hellos(void **state)
{
    (void)state;
    struct tls_server *server = server_of(two_names);
    SSL *client = SSL_new(client_context);
    BIO *out = BIO_new(BIO_s_mem());
    char *data;
    SSL_set_bio(client, BIO_new(BIO_s_mem()), out);
    SSL_set_connect_state(client);
    SSL_set_tlsext_host_name(client, "closed.example");
    SSL_do_handshake(client);
    long length = BIO_get_mem_data(out, &data);
    assert_true(length > 100);
    for (long at = 5; at < length; at++) {
        for (unsigned change = 1; change < 256; change += 85) {
            char *copy = test_malloc((size_t)length);
            memcpy(copy, data, (size_t)length);
            copy[at] = (char)(copy[at] ^ (int)change);
            SSL *ssl = tls_server_session(server);
            SSL_set_bio(ssl, BIO_new_mem_buf(copy, (int)length), BIO_new(BIO_s_mem()));
            assert_int_not_equal(SSL_do_handshake(ssl), 1);
            SSL_free(ssl);
            test_free(copy);
        }
    }
    ERR_clear_error();
    SSL_free(client);
}

static void test_wiped(void **state)
{
    (void)state;
    struct tls_server *server = server_of(two_names);
    unsigned count;
    tls_server_wipe(server);
    const struct tls_identity *identities = tls_server_identities(server, &count);
    assert_int_equal(count, 3);
    for (unsigned i = 0; i < count; i++) {
        assert_null(identities[i].key);
        assert_non_null(identities[i].certificate); /* the status tells of it */
    }
}

#define SERVER_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SERVER_TEST(test_names),          SERVER_TEST(test_shown),         SERVER_TEST(test_misdirected),
        SERVER_TEST(test_sessions),       SERVER_TEST(test_expired_since), SERVER_TEST(test_same_rules),
        SERVER_TEST(test_hostile_hellos), SERVER_TEST(test_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
