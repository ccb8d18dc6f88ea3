/* The record layer of TLS 1.3 and TLS 1.2. The first byte chooses the suite and what the rest is: bytes off the wire, or a sequence of
 * {two bytes of length, content} that the other side seals (of TLS 1.2: the first byte of the content is its type), so that it gets past the cipher. The results are within
 * bounds, the same when a record comes in two reads, and what we seal afterwards is what the other side opens. */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/tls_sealer.h"

enum { SEALED = 8 };

static const uint16_t suites[SEALED] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9, 0xc02b, 0xcca9};

static struct tls_record server, client;

/* The server's next record is under this key: its sender is to use that too. */
static void follow_key_update(void)
{
    uint8_t key[TLS_KEY_MAX];
    struct tls_direction *sending = &client.sending;
    memcpy(sending->secret, server.receiving.secret, sizeof sending->secret);
    CHECK(tls_keys_derive(client.suite, sending->secret, key, sending->iv));
    CHECK(EVP_EncryptInit_ex2(sending->cipher, client.suite->cipher(), key, NULL, NULL) == 1);
    sending->sequence = 0;
}

/* Opens one record; true when more may follow. `first` of its bytes come before the others. */
static bool open_record(const uint8_t *input, size_t length, size_t first, size_t *used)
{
    uint8_t *copy = malloc(length ? length : 1), *output = malloc(length ? length : 1);
    CHECK(copy && output);
    memcpy(copy, input, length);
    struct tls_opened opened;
    uint64_t before = server.receiving.sequence;
    enum tls_record_result result = tls_record_open(&server, copy, first, output, &opened);
    if (result == TLS_RECORD_MORE) {
        CHECK(opened.used == 0 && server.receiving.sequence == before);
        result = tls_record_open(&server, copy, length, output, &opened);
    }
    CHECK(opened.used <= length);
    *used = opened.used;
    if (result == TLS_RECORD_DATA)
        CHECK(opened.data.data == (const char *)output && opened.data.length > 0 &&
              opened.data.length <= TLS_RECORD_DATA_MAX && opened.data.length < opened.used);
    else
        CHECK(opened.data.length == 0);
    if (result == TLS_RECORD_FAILED)
        CHECK(opened.alert != TLS_ALERT_CLOSE_NOTIFY);
    free(copy);
    free(output);
    return result == TLS_RECORD_DATA || result == TLS_RECORD_NOTHING;
}

static void open_raw(const uint8_t *data, size_t size)
{
    size_t used;
    while (open_record(data, size, size / 2, &used)) {
        data += used;
        size -= used;
    }
}

static void open_sealed(const uint8_t *data, size_t size)
{
    static uint8_t record[TLS_RECORD_HEADER + TLS_EXPLICIT_MAX + TLS_RECORD_SEALED_MAX + TLS_TAG_LENGTH];
    bool more = true;
    while (more && size >= 2) {
        size_t length = (size_t)(data[0] << 8 | data[1]) % (TLS_RECORD_SEALED_MAX + 1);
        data += 2;
        size -= 2;
        if (length > size)
            length = size;
        bool typed = client.suite->version == TLS_SUITE_1_2 && length > 0;
        size_t sealed = typed ? sealer_put(&client, data[0], data + 1, length - 1, record)
                              : sealer_seal(&client, data, length, record);
        size_t used;
        more = open_record(record, sealed, length % sealed, &used);
        CHECK(!more || used == sealed);
        if (server.receiving.sequence == 0 && server.suite->version == TLS_SUITE_1_3)
            follow_key_update();
        data += length;
        size -= length;
    }
}

/* However it ended: what we seal now can be opened. */
static void answer(void)
{
    const struct str piece = STR("an answer");
    uint8_t out[256];
    size_t size = tls_record_seal(&server, &piece, 1, out), at = 0;
    CHECK(size > 0 && size <= tls_record_sealed(&server, piece.length));
    struct tls_opened opened = {0};
    while (at < size) {
        enum tls_record_result result =
            tls_record_open(&client, out + at, size - at, out + at + TLS_RECORD_HEADER, &opened);
        CHECK(result == TLS_RECORD_DATA || result == TLS_RECORD_NOTHING);
        at += opened.used;
    }
    CHECK(str_eq(opened.data, piece));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    CHECK(sealer_pair(&server, &client, tls_keys_suite(suites[data[0] % SEALED])));
    if (data[0] & SEALED)
        open_sealed(data + 1, size - 1);
    else
        open_raw(data + 1, size - 1);
    answer();
    tls_record_end(&server);
    tls_record_end(&client);
    return 0;
}
