/* Keys of session tickets: the master's rotation, the zone, and a reader's sealing and opening. */
#include <openssl/rand.h>
#include <pthread.h>

#include "master/ticket_keys.h"
#include "tests/unit/lone_zone.h"
#include "worker/net/tls_tickets.h"

enum { ROUNDS = 20000, HOUR = 3600 };

static struct tickets *zone;

static int set_up(void **state)
{
    (void)state;
    zone = lone_zone_open(&tickets_kind);
    return 0;
}

/* --- rotation --- */

static void a_key_seals_for_a_lifetime_and_opens_for_another(void **state)
{
    (void)state;
    struct ticket_keys keys = {0};
    uint64_t now = 1000000;
    assert_true(ticket_keys_advance(&keys, now, HOUR));
    assert_int_equal(keys.count, 1);
    struct ticket_key first = keys.key[0];
    assert_false(ticket_keys_advance(&keys, now + HOUR - 1, HOUR));
    assert_true(ticket_keys_advance(&keys, now + HOUR, HOUR));
    assert_int_equal(keys.count, 2);
    assert_memory_equal(&keys.key[1], &first, sizeof first);
    assert_memory_not_equal(keys.key[0].cipher, first.cipher, TICKET_CIPHER);
    assert_memory_not_equal(keys.key[0].name, first.name, TICKET_NAME);
    /* A ticket of its last second lives for an hour from then. */
    assert_false(ticket_keys_advance(&keys, now + 2 * HOUR - 1, HOUR));
    assert_true(ticket_keys_advance(&keys, now + 2 * HOUR, HOUR));
    assert_int_equal(keys.count, 2);
    assert_memory_not_equal(keys.key[1].name, first.name, TICKET_NAME);
}

static void a_shorter_lifetime_replaces_at_once(void **state)
{
    (void)state;
    struct ticket_keys keys = {0};
    ticket_keys_advance(&keys, 1000000, 24 * HOUR);
    assert_true(ticket_keys_advance(&keys, 1000000 + HOUR, HOUR));
    assert_int_equal(keys.count, 2); /* the old one opens for its second hour */
    assert_true(ticket_keys_advance(&keys, 1000000 + 2 * HOUR, HOUR));
    assert_int_equal(keys.count, 2);
}

static void a_clock_that_was_set_back_keeps_no_key_for_ever(void **state)
{
    (void)state;
    struct ticket_keys keys = {0};
    ticket_keys_advance(&keys, 1000000, HOUR);
    struct ticket_key first = keys.key[0];
    assert_true(ticket_keys_advance(&keys, 500000, HOUR));
    assert_int_equal(keys.count, 1);
    assert_memory_not_equal(keys.key[0].name, first.name, TICKET_NAME);
    assert_int_equal(keys.key[0].made, 500000);
}

static void a_long_sleep_leaves_no_old_key(void **state)
{
    (void)state;
    struct ticket_keys keys = {0};
    ticket_keys_advance(&keys, 1000000, HOUR);
    ticket_keys_advance(&keys, 1000000 + HOUR, HOUR);
    assert_true(ticket_keys_advance(&keys, 1000000 + 100 * HOUR, HOUR));
    assert_int_equal(keys.count, 1);
}

/* --- the zone --- */

static bool zone_has(const void *bytes, size_t length)
{
    return memmem(segment.base, segment.size, bytes, length) != NULL;
}

static void a_retired_key_is_nowhere_in_the_memory(void **state)
{
    (void)state;
    struct ticket_keys keys = {0}, read = {0};
    uint64_t seen = 0;
    assert_false(tickets_read(zone, &read, &seen));
    assert_int_equal(seen, 0);
    ticket_keys_advance(&keys, 1000000, HOUR);
    tickets_publish(zone, &keys);
    struct ticket_key first = keys.key[0];
    assert_true(zone_has(first.cipher, TICKET_CIPHER));
    assert_true(tickets_changed(zone, seen));
    assert_true(tickets_read(zone, &read, &seen));
    assert_memory_equal(&read, &keys, sizeof keys);
    assert_false(tickets_changed(zone, seen));
    ticket_keys_advance(&keys, 1000000 + 2 * HOUR, HOUR);
    tickets_publish(zone, &keys);
    assert_false(zone_has(first.cipher, TICKET_CIPHER));
    assert_false(zone_has(first.digest, TICKET_DIGEST));
    assert_null(tickets_kind.save); /* no snapshot ever has it */
}

static void what_is_there_stays_over_a_turn(void **state)
{
    (void)state;
    struct ticket_keys before, after;
    uint64_t seen;
    ticket_keys_turn(zone, 4ull * HOUR * 1000);
    assert_true(tickets_read(zone, &before, &seen));
    assert_int_equal(before.count, 1);
    ticket_keys_turn(zone, 4ull * HOUR * 1000); /* as another program after an upgrade does */
    assert_true(tickets_read(zone, &after, &seen));
    assert_memory_equal(&before, &after, sizeof before);
}

static void a_count_beyond_bounds_is_not_believed(void **state)
{
    (void)state;
    struct ticket_keys keys = {.count = TICKET_KEYS + 1}, read = {0};
    uint64_t seen = 7;
    tickets_publish(zone, &keys);
    assert_false(tickets_read(zone, &read, &seen));
    assert_int_equal(seen, 7);
    ticket_keys_turn(zone, HOUR * 1000ull); /* and the master makes them anew */
    assert_true(tickets_read(zone, &read, &seen));
    assert_int_equal(read.count, 1);
}

static void *publish_many(void *unused)
{
    struct ticket_keys keys = {.count = 1};
    for (unsigned i = 1; i <= ROUNDS; i++) {
        memset(keys.key[0].cipher, (int)(i & 0xff), TICKET_CIPHER);
        memset(keys.key[0].digest, (int)(i & 0xff), TICKET_DIGEST);
        keys.key[0].made = i;
        tickets_publish(zone, &keys);
    }
    return unused;
}

static void a_reader_never_has_half_a_key(void **state)
{
    (void)state;
    pthread_t writer;
    struct ticket_keys keys = {0};
    uint64_t seen = 0;
    assert_int_equal(pthread_create(&writer, NULL, publish_many, NULL), 0);
    while (keys.key[0].made < ROUNDS) {
        if (!tickets_read(zone, &keys, &seen))
            continue;
        for (unsigned i = 0; i < TICKET_CIPHER; i++)
            assert_int_equal(keys.key[0].cipher[i], keys.key[0].made & 0xff);
        assert_memory_equal(keys.key[0].cipher, keys.key[0].digest, TICKET_DIGEST);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
}

/* --- sealing and opening --- */

struct sealed {
    unsigned char name[TICKET_NAME], iv[EVP_MAX_IV_LENGTH], data[64], mac[EVP_MAX_MD_SIZE];
    int length;
    size_t mac_length;
};

struct contexts {
    EVP_CIPHER_CTX *cipher;
    EVP_MAC *algorithm;
    EVP_MAC_CTX *mac;
};

static struct contexts contexts_new(void)
{
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    return (struct contexts){EVP_CIPHER_CTX_new(), algorithm, EVP_MAC_CTX_new(algorithm)};
}

static void contexts_free(struct contexts *contexts)
{
    EVP_CIPHER_CTX_free(contexts->cipher);
    EVP_MAC_CTX_free(contexts->mac);
    EVP_MAC_free(contexts->algorithm);
}

static const unsigned char secret[] = "what a session is";

static void digest(struct contexts *contexts, const struct sealed *sealed, unsigned char *out, size_t *length)
{
    assert_int_equal(EVP_MAC_init(contexts->mac, NULL, 0, NULL), 1);
    assert_int_equal(EVP_MAC_update(contexts->mac, sealed->data, (size_t)sealed->length), 1);
    assert_int_equal(EVP_MAC_final(contexts->mac, out, length, EVP_MAX_MD_SIZE), 1);
}

static int seal(struct tls_tickets *tickets, struct sealed *sealed)
{
    struct contexts contexts = contexts_new();
    int end = 0,
        result = tls_tickets_key(tickets, sealed->name, sealed->iv, contexts.cipher, contexts.mac, true);
    if (result == 1) {
        assert_int_equal(
            EVP_EncryptUpdate(contexts.cipher, sealed->data, &sealed->length, secret, sizeof secret), 1);
        assert_int_equal(EVP_EncryptFinal_ex(contexts.cipher, sealed->data + sealed->length, &end), 1);
        sealed->length += end;
        digest(&contexts, sealed, sealed->mac, &sealed->mac_length);
    }
    contexts_free(&contexts);
    return result;
}

/* As the library does: the digest first. */
static int open_ticket(struct tls_tickets *tickets, struct sealed *sealed)
{
    struct contexts contexts = contexts_new();
    unsigned char mac[EVP_MAX_MD_SIZE], plain[sizeof sealed->data];
    size_t mac_length;
    int length = 0, end = 0;
    int result = tls_tickets_key(tickets, sealed->name, sealed->iv, contexts.cipher, contexts.mac, false);
    if (result > 0) {
        digest(&contexts, sealed, mac, &mac_length);
        assert_int_equal(mac_length, sealed->mac_length);
        assert_memory_equal(mac, sealed->mac, mac_length);
        assert_int_equal(EVP_DecryptUpdate(contexts.cipher, plain, &length, sealed->data, sealed->length), 1);
        assert_int_equal(EVP_DecryptFinal_ex(contexts.cipher, plain + length, &end), 1);
        assert_int_equal(length + end, sizeof secret);
        assert_memory_equal(plain, secret, sizeof secret);
    }
    contexts_free(&contexts);
    return result;
}

static void one_worker_opens_what_another_sealed(void **state)
{
    (void)state;
    struct tls_tickets one = {.zone = zone}, other = {.zone = zone};
    struct ticket_keys keys = {0};
    struct sealed sealed, later;
    assert_int_equal(seal(&one, &sealed), 0); /* there is no key yet */
    ticket_keys_advance(&keys, 1000000, HOUR);
    tickets_publish(zone, &keys);
    assert_int_equal(seal(&one, &sealed), 1);
    assert_int_equal(open_ticket(&other, &sealed), 1);
    ticket_keys_advance(&keys, 1000000 + HOUR, HOUR);
    tickets_publish(zone, &keys);
    assert_int_equal(open_ticket(&other, &sealed), 2); /* to be replaced */
    assert_int_equal(seal(&other, &later), 1);
    assert_memory_not_equal(later.name, sealed.name, TICKET_NAME);
    assert_int_equal(open_ticket(&one, &later), 1); /* sealed by a key that it hadn't seen yet */
    ticket_keys_advance(&keys, 1000000 + 2 * HOUR, HOUR);
    tickets_publish(zone, &keys);
    assert_int_equal(open_ticket(&one, &sealed), 0);
    assert_int_equal(open_ticket(&one, &later), 2);
}

#define TICKETS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_seals_for_a_lifetime_and_opens_for_another),
        cmocka_unit_test(a_shorter_lifetime_replaces_at_once),
        cmocka_unit_test(a_clock_that_was_set_back_keeps_no_key_for_ever),
        cmocka_unit_test(a_long_sleep_leaves_no_old_key),
        TICKETS_TEST(a_retired_key_is_nowhere_in_the_memory),
        TICKETS_TEST(what_is_there_stays_over_a_turn),
        TICKETS_TEST(a_count_beyond_bounds_is_not_believed),
        TICKETS_TEST(a_reader_never_has_half_a_key),
        TICKETS_TEST(one_worker_opens_what_another_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
