/* tls_record: the record layer of TLS 1.3 (RFC 8446, section 5) and of TLS 1.2 with an AEAD cipher (RFC 5246, section 6.2.3.3) of a
 * server's connection whose handshake is done. OpenSSL makes the handshake; then its session (more than 10 KiB) goes, and
 * this is what is left of it: two cipher contexts, two sequence numbers, and, for the next keys of TLS 1.3, two secrets.
 *
 * No I/O: records are opened from bytes that were read, and sealed into bytes to send. What the peer does wrong ends in
 * an alert, which the caller sends before it closes.
 */
#ifndef NET_TLS_RECORD_H
#define NET_TLS_RECORD_H

#include "shared/base/str.h"
#include "worker/net/tls_keys.h"

enum {
    TLS_RECORD_HEADER = 5,
    TLS_RECORD_DATA_MAX = 1 << 14,                     /* bytes of data in a record (section 5.1) */
    TLS_RECORD_SEALED_MAX = TLS_RECORD_DATA_MAX + 256, /* behind a header (section 5.2) */
    TLS_RECORD_OVERHEAD = TLS_RECORD_HEADER + 1 + TLS_TAG_LENGTH, /* of TLS 1.3; the 1: the content's type */
    TLS_RECORD_OVERHEAD_MAX = TLS_RECORD_HEADER + TLS_EXPLICIT_MAX + TLS_TAG_LENGTH,
    TLS_RECORD_UPDATE_SIZE = 5 + TLS_RECORD_OVERHEAD,   /* a record with a KeyUpdate */
    TLS_RECORD_ALERT_MAX = 2 + TLS_RECORD_OVERHEAD_MAX, /* a record with an alert */
    TLS_RECORD_IDLE_MAX = 32, /* records without data that a peer may send in a row */
};

/* Alerts (RFC 8446, section 6) that this layer sends or knows. */
enum tls_alert {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_BAD_RECORD_MAC = 20,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_ILLEGAL_PARAMETER = 47,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_PROTOCOL_VERSION = 70,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_USER_CANCELED = 90,
    TLS_ALERT_NO_RENEGOTIATION = 100,
};

struct tls_direction {
    EVP_CIPHER_CTX *cipher;
    uint64_t sequence; /* of the next record under this key */
    uint8_t iv[TLS_IV_LENGTH];
    uint8_t secret[TLS_SECRET_MAX]; /* TLS 1.3 */
};

struct tls_record {
    const struct tls_suite *suite;
    struct tls_direction receiving, sending;
    uint16_t most;      /* bytes of data in a record that is sent */
    uint8_t message[5]; /* the begin of a handshake message, of which more must come */
    uint8_t message_length;
    uint8_t idle;                  /* records without data in a row */
    bool update_asked : 1;         /* the peer wants us to have new keys for sending */
    bool asked_for_update : 1;     /* the peer was asked for new keys, and has the old ones still */
    bool asked_to_renegotiate : 1; /* TLS 1.2: that is to be refused */
    bool ended : 1;                /* an alert was sealed: nothing more is */
};

/* Takes over TLS 1.3 with these secrets, and the sequence numbers that the next records have. `most`: of the data in a record that
 * is sent, for peers that asked for small ones (max_fragment_length). False: OpenSSL failed, nothing is to be closed. */
bool tls_record_start(struct tls_record *record, const struct tls_suite *suite,
                      const struct tls_secrets *secrets, uint64_t received, uint64_t sent, uint16_t most);

/* The same of TLS 1.2, with its keys. */
bool tls_record_start_with(struct tls_record *record, const struct tls_suite *suite,
                           const struct tls_key_block *keys, uint64_t received, uint64_t sent, uint16_t most);

/* Forgets the keys. */
void tls_record_end(struct tls_record *record);

/* --- receiving --- */

enum tls_record_result {
    TLS_RECORD_MORE,    /* the first record isn't whole */
    TLS_RECORD_DATA,    /* `data`: never empty */
    TLS_RECORD_NOTHING, /* a record without data, or one that was for this layer; see tls_record_must_send() */
    TLS_RECORD_CLOSED,  /* close_notify: no data follows; what we send is still read */
    TLS_RECORD_ALERTED, /* the peer gave up, by `alert`: nothing is to be sent any more */
    TLS_RECORD_FAILED,  /* `alert` is to be sent, and the connection closed */
};

struct tls_opened {
    size_t used; /* of the input: all of the record, 0 when it wasn't whole */
    struct str data;
    uint8_t alert;
};

/* Opens the first record of `input` into `output`, which has room for as much, and is either elsewhere or behind the
 * header of the record itself. After one of the last three results there is nothing more to be opened. */
enum tls_record_result tls_record_open(struct tls_record *record, const uint8_t *input, size_t length,
                                       uint8_t *output, struct tls_opened *opened);

/* --- sending --- */

/* Whether records wait that aren't data: to be sealed with the next ones, or with nothing. */
bool tls_record_must_send(const struct tls_record *record);

/* The bytes at most that tls_record_seal() makes of so many. */
size_t tls_record_sealed(const struct tls_record *record, size_t length);

/* Seals the pieces, one behind the other, in records as large as may be. The bytes in `out`; 0 when there was nothing to
 * seal, and when no more can be sent: an alert was the last, or OpenSSL failed. */
size_t tls_record_seal(struct tls_record *record, const struct str *pieces, unsigned count, uint8_t *out);

/* Seals an alert, the last record: its size, or 0: there was one, or OpenSSL failed. */
size_t tls_record_alert(struct tls_record *record, enum tls_alert alert, uint8_t out[TLS_RECORD_ALERT_MAX]);

#endif
