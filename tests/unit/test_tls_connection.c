/* TLS on sockets, as a server has it: handshakes whose output doesn't fit, many at a time, and connections behind them. The
 * client is OpenSSL's own.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/certificates.h"
#include "worker/net/connection.h"
#include "worker/net/tls_accept.h"
#include "worker/net/tls_takeover.h"

enum { MANY = 20, LARGE = 4 << 20 };

static struct loop loop;
static struct net net;
static struct stats_row stats;
static struct tls_accept accepting;
static SSL_CTX *server_context, *client_context;

/* The server's end of a connection; what it was told. */
struct end {
    struct connection connection; /* first: see connection_close() */
    size_t received;
    bool eof, blocked;
    int error;
    char why[100];
};

static struct end *ends[MANY];
static unsigned secured, refused;
static char why[100];
static bool stop_at_once;

static size_t on_data(struct connection *connection, char *data, size_t length)
{
    struct end *end = CONTAINER_OF(connection, struct end, connection);
    (void)data;
    end->received += length;
    return length;
}

static void on_eof(struct connection *connection)
{
    CONTAINER_OF(connection, struct end, connection)->eof = true;
}

static void on_error(struct connection *connection, int error)
{
    struct end *end = CONTAINER_OF(connection, struct end, connection);
    end->error = error;
    snprintf(end->why, sizeof end->why, "%s", connection_error(connection, error));
    connection_stop(connection);
}

static void on_blocked(struct connection *connection)
{
    CONTAINER_OF(connection, struct end, connection)->blocked = true;
}

static void on_drained(struct connection *connection)
{
    CONTAINER_OF(connection, struct end, connection)->blocked = false;
}

static const struct connection_events events = {.on_data = on_data,
                                                .on_eof = on_eof,
                                                .on_error = on_error,
                                                .on_blocked = on_blocked,
                                                .on_drained = on_drained};

static void on_secured(struct tls_accept *from, const struct arrival *arrival, struct tls *tls)
{
    assert_ptr_equal(from, &accepting);
    struct end *end = calloc(1, sizeof *end);
    assert_int_equal(connection_adopt(&end->connection, &net, arrival->fd, tls, &events), 0);
    ends[secured++] = end;
    if (stop_at_once)
        connection_stop(&end->connection);
}

static void on_refused(struct tls_accept *from, const struct arrival *arrival, const char *words)
{
    assert_ptr_equal(from, &accepting);
    (void)arrival;
    refused++;
    snprintf(why, sizeof why, "%s", words ? words : "");
}

static void on_plain(struct tls_accept *from, const struct arrival *arrival)
{
    (void)from;
    close(arrival->fd);
    snprintf(why, sizeof why, "plain");
}

/* `names`: of the certificate; many make it large. */
static void make_contexts(const char *names)
{
    struct certificate certificate = certificate_make((struct wanted){.common_name = "a", .names = names});
    server_context = SSL_CTX_new(TLS_server_method());
    client_context = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_use_certificate(server_context, certificate.x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_context, certificate.key), 1);
    tls_takeover_prepare(server_context);
    certificate_free(&certificate);
}

static int setup(void **state)
{
    (void)state;
    memset(ends, 0, sizeof ends);
    secured = refused = 0;
    *why = 0;
    stop_at_once = false;
    assert_int_equal(loop_init(&loop, NULL), 0);
    assert_int_equal(net_init(&net, &loop, &stats), 0);
    tls_accept_init(&accepting, &net);
    accepting.on_secured = on_secured;
    accepting.on_refused = on_refused;
    accepting.on_plain = on_plain;
    make_contexts("DNS:a");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < secured; i++)
        connection_close(&ends[i]->connection, false);
    tls_accept_close(&accepting);
    assert_int_equal(accepting.count, 0);
    loop_turn(&loop, 0); /* which frees what was closed */
    net_close(&net);
    loop_close(&loop);
    SSL_CTX_free(server_context);
    SSL_CTX_free(client_context);
    return 0;
}

/* The client's end of a connection that is accepted; with as little room in between as can be when `narrow`. */
static int knock(bool narrow)
{
    int pair[2], least = 1;
    struct arrival arrival = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    if (narrow)
        assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
    arrival.fd = pair[1];
    SSL *ssl = SSL_new(server_context);
    SSL_set_accept_state(ssl);
    assert_true(tls_accept_open(&accepting, &arrival, ssl, 10000));
    return pair[0];
}

static SSL *client_on(int fd)
{
    SSL *client = SSL_new(client_context);
    SSL_set_fd(client, fd);
    SSL_set_connect_state(client);
    return client;
}

static void leave(SSL *client)
{
    close(SSL_get_fd(client));
    SSL_free(client);
}

/* Until the client's handshake and the server's are done. */
static void shake(SSL *client)
{
    unsigned before = secured;
    while (secured == before) {
        SSL_do_handshake(client);
        loop_turn(&loop, 0);
    }
    while (!SSL_is_init_finished(client))
        SSL_do_handshake(client);
}

static void test_a_flight_that_does_not_fit(void **state)
{
    (void)state;
    static char names[20000];
    for (unsigned i = 0; i < 600; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%sDNS:name-%06u.example", i ? "," : "",
                 i);
    SSL_CTX_free(server_context);
    SSL_CTX_free(client_context);
    make_contexts(names);
    SSL *client = client_on(knock(true));
    SSL_do_handshake(client);
    loop_turn(&loop, 0);
    assert_int_equal(secured, 0); /* most of the certificate is kept */
    shake(client);
    assert_int_equal(secured, 1);
    assert_int_equal(SSL_write(client, "hello", 5), 5);
    while (ends[0]->received < 5)
        loop_turn(&loop, 0);
    leave(client);
}

static void test_many_at_a_time_take_turns(void **state)
{
    (void)state;
    SSL *clients[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        clients[i] = client_on(knock(false));
        SSL_do_handshake(clients[i]);
    }
    loop_turn(&loop, 0);
    unsigned answered = 0;
    for (unsigned i = 0; i < MANY; i++) {
        SSL_do_handshake(clients[i]);
        answered += SSL_is_init_finished(clients[i]);
    }
    assert_in_range(answered, 1, MANY - 1);
    while (secured < MANY) {
        loop_turn(&loop, 0);
        for (unsigned i = 0; i < MANY; i++)
            SSL_do_handshake(clients[i]);
    }
    for (unsigned i = 0; i < MANY; i++)
        leave(clients[i]);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t length;
        const char *words;
    } rows[] = {
        {"\x16\x03\x01\x00\x04"
         "ABCD",
         9, "it violated the protocol"},
        {"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 11, "what it sent is not TLS"},
        {"\x15\x03\x01\x00\x02\x02\x30", 7, "it sent what has no place there"},
        {"GET / HTTP/1.1\r\n", 16, "plain"},
        {"\x16\x03\x01", 3, "it was closed within the handshake"},
        {"", 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = knock(false);
        assert_int_equal(write(fd, rows[i].data, rows[i].length), rows[i].length);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        *why = '?';
        while (accepting.count)
            loop_turn(&loop, 0);
        if (i > 0)
            assert_string_equal(why, rows[i].words);
        close(fd);
    }
    assert_int_equal(secured, 0);
}

/* What comes with the end of the handshake waits for its reader. */
static void test_data_with_the_last_flight(void **state)
{
    (void)state;
    static char body[100000];
    stop_at_once = true;
    SSL *client = client_on(knock(false));
    while (!SSL_is_init_finished(client)) {
        loop_turn(&loop, 0);
        SSL_do_handshake(client);
    }
    assert_int_equal(SSL_write(client, body, sizeof body), sizeof body);
    while (secured == 0)
        loop_turn(&loop, 0);
    loop_turn(&loop, 0);
    assert_int_equal(ends[0]->received, 0);
    connection_start(&ends[0]->connection);
    while (ends[0]->received < sizeof body)
        loop_turn(&loop, 0);
    assert_int_equal(ends[0]->received, sizeof body);
    leave(client);
}

/* Who asks for new keys again and again, and takes nothing, gets the answer with the next data, once. */
static void test_key_updates_without_end(void **state)
{
    (void)state;
    static char much[LARGE], got[65536];
    enum { UPDATES = 2000 };
    SSL *client = client_on(knock(false));
    shake(client);
    struct end *end = ends[0];
    connection_send(&end->connection, much, sizeof much);
    assert_true(end->blocked);
    size_t kept = connection_kept(&end->connection);
    for (unsigned i = 0; i < UPDATES; i++) {
        assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(client, "x", 1), 1); /* so many records without data would be too much */
        loop_turn(&loop, 0);
    }
    assert_int_equal(end->received, UPDATES);
    assert_int_equal(connection_kept(&end->connection), kept);
    connection_send(&end->connection, "y", 1);
    assert_in_range(connection_kept(&end->connection), kept + 1, kept + 100);
    size_t taken = 0;
    while (taken < sizeof much + 1) {
        int n = SSL_read(client, got, sizeof got);
        taken += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            loop_turn(&loop, 0);
    }
    assert_int_equal(end->error, 0);
    leave(client);
}

/* A client that does take them gets them all, in order, also those that waited behind what was blocked. */
static void test_blocked_output(void **state)
{
    (void)state;
    static char much[LARGE], got[65536];
    for (size_t i = 0; i < sizeof much; i++)
        much[i] = (char)(i * 2654435761u >> 16);
    SSL *client = client_on(knock(false));
    shake(client);
    struct end *end = ends[0];
    for (size_t at = 0, size = 1; at < sizeof much; at += size, size = size * 3 % 100003 + 1) {
        size = size < sizeof much - at ? size : sizeof much - at;
        connection_send(&end->connection, much + at, size);
    }
    connection_flush(&end->connection);
    assert_true(end->blocked);
    size_t taken = 0;
    while (taken < sizeof much) {
        int n = SSL_read(client, got, sizeof got);
        if (n > 0) {
            assert_memory_equal(got, much + taken, n);
            taken += (size_t)n;
        } else {
            loop_turn(&loop, 0);
        }
    }
    assert_false(end->blocked);
    assert_int_equal(connection_sent(&end->connection), sizeof much);
    leave(client);
}

static void test_ends(void **state)
{
    (void)state;
    char byte;
    for (unsigned orderly = 0; orderly < 2; orderly++) {
        SSL *client = client_on(knock(false));
        shake(client);
        struct end *end = ends[orderly];
        assert_int_equal(SSL_write(client, "x", 1), 1);
        if (orderly)
            SSL_shutdown(client);
        else
            shutdown(SSL_get_fd(client), SHUT_WR);
        while (!end->eof)
            loop_turn(&loop, 0);
        assert_int_equal(end->received, 1);
        assert_int_equal(end->connection.cut, !orderly);
        connection_shutdown(&end->connection);
        assert_int_equal(SSL_read(client, &byte, 1), 0);
        assert_int_equal(SSL_get_error(client, 0), SSL_ERROR_ZERO_RETURN); /* with close_notify */
        leave(client);
    }
}

/* The last record and FIN come behind what the socket didn't take, and nobody is told of it. */
static void test_an_end_that_waits(void **state)
{
    (void)state;
    static char much[LARGE], got[65536];
    SSL *client = client_on(knock(false));
    shake(client);
    struct end *end = ends[0];
    connection_send(&end->connection, much, sizeof much);
    assert_true(end->blocked);
    connection_end(&end->connection);
    connection_shutdown(&end->connection);
    size_t taken = 0;
    int n;
    while ((n = SSL_read(client, got, sizeof got)) > 0 || SSL_get_error(client, n) == SSL_ERROR_WANT_READ) {
        taken += n > 0 ? (size_t)n : 0;
        loop_turn(&loop, 0);
    }
    assert_int_equal(taken, sizeof much);
    assert_int_equal(SSL_get_error(client, n), SSL_ERROR_ZERO_RETURN);
    assert_int_equal(read(SSL_get_fd(client), got, 1), 0);
    leave(client);
}

#define ON_SOCKETS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_SOCKETS(test_a_flight_that_does_not_fit),
        ON_SOCKETS(test_many_at_a_time_take_turns),
        ON_SOCKETS(test_what_is_refused),
        ON_SOCKETS(test_data_with_the_last_flight),
        ON_SOCKETS(test_key_updates_without_end),
        ON_SOCKETS(test_blocked_output),
        ON_SOCKETS(test_ends),
        ON_SOCKETS(test_an_end_that_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
