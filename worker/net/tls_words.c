/* tls_words: why TLS failed, in words: of alerts that the peer sent (RFC 8446, section 6.2), of a certificate that isn't good,
 * of what else OpenSSL's queue of errors has.
 */
#include "worker/net/tls_words.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct words {
    int code;
    const char *text;
};

#define ALERT(code, text)                                       \
    {                                                           \
        SSL_AD_##code, "it gave up with the alert \"" text "\"" \
    }

static const struct words alerts[] = {
    ALERT(UNEXPECTED_MESSAGE, "unexpected message"),
    ALERT(BAD_RECORD_MAC, "bad record MAC"),
    ALERT(RECORD_OVERFLOW, "record overflow"),
    ALERT(HANDSHAKE_FAILURE, "handshake failure"),
    ALERT(BAD_CERTIFICATE, "bad certificate"),
    ALERT(UNSUPPORTED_CERTIFICATE, "unsupported certificate"),
    ALERT(CERTIFICATE_REVOKED, "certificate revoked"),
    ALERT(CERTIFICATE_EXPIRED, "certificate expired"),
    ALERT(CERTIFICATE_UNKNOWN, "certificate unknown"),
    ALERT(ILLEGAL_PARAMETER, "illegal parameter"),
    ALERT(UNKNOWN_CA, "unknown CA"),
    ALERT(ACCESS_DENIED, "access denied"),
    ALERT(DECODE_ERROR, "decode error"),
    ALERT(DECRYPT_ERROR, "decrypt error"),
    ALERT(PROTOCOL_VERSION, "protocol version"),
    ALERT(INSUFFICIENT_SECURITY, "insufficient security"),
    ALERT(INTERNAL_ERROR, "internal error"),
    ALERT(INAPPROPRIATE_FALLBACK, "inappropriate fallback"),
    ALERT(USER_CANCELLED, "user canceled"),
    ALERT(MISSING_EXTENSION, "missing extension"),
    ALERT(UNSUPPORTED_EXTENSION, "unsupported extension"),
    ALERT(UNRECOGNIZED_NAME, "unrecognized name"),
    ALERT(BAD_CERTIFICATE_STATUS_RESPONSE, "bad certificate status response"),
    ALERT(UNKNOWN_PSK_IDENTITY, "unknown PSK identity"),
    ALERT(CERTIFICATE_REQUIRED, "certificate required"),
    ALERT(NO_APPLICATION_PROTOCOL, "no application protocol"),
    {0, NULL},
};

static const struct words certificates[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "its certificate, or one in the chain, has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, "its certificate, or one in the chain, is not valid yet"},
    {X509_V_ERR_HOSTNAME_MISMATCH, "its certificate is for another name"},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, "its certificate is not for its address"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "its certificate is signed by itself, and is not trusted here"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
     "its certificate comes from an authority that is not trusted here"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "its certificate comes from an authority that is not known here, "
                                           "or a certificate of the chain is missing"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "its certificate comes from an authority that is not "
                                                   "known here, or a certificate of the chain is missing"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "its certificate comes from an authority that is not known "
                                                 "here, or a certificate of the chain is missing"},
    {X509_V_ERR_CERT_REVOKED, "its certificate is revoked"},
    {X509_V_ERR_INVALID_PURPOSE, "its certificate is not for this purpose"},
    {0, NULL},
};

static const struct words failures[] = {
    {SSL_R_WRONG_VERSION_NUMBER, "what it sent is not TLS"},
    {SSL_R_HTTP_REQUEST, "what it sent is a plain HTTP request"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "it offers no version of TLS that is allowed here"},
    {SSL_R_VERSION_TOO_LOW, "it offers no version of TLS that is allowed here"},
    {SSL_R_UNEXPECTED_MESSAGE, "it sent what has no place there"},
    {SSL_R_NO_SHARED_CIPHER, "it offers no cipher that is allowed here"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, "it offers no group for the exchange of keys that is allowed here"},
    {SSL_R_NO_SHARED_GROUPS, "it offers no group for the exchange of keys that is allowed here"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "it showed no certificate, and one is required"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "a record that it sent was forged, or damaged"},
    {0, NULL},
};

static const struct words violations[] = {
    {SSL_AD_UNEXPECTED_MESSAGE,
     "it sent what has no place after the handshake, or too much that says nothing"},
    {SSL_AD_BAD_RECORD_MAC, "a record that it sent was forged, or damaged"},
    {SSL_AD_RECORD_OVERFLOW, "a record that it sent is too large"},
    {SSL_AD_DECODE_ERROR, "a message that it sent is malformed"},
    {SSL_AD_ILLEGAL_PARAMETER, "a message that it sent is malformed"},
    {0, NULL},
};

static const char *find(const struct words *words, int code)
{
    while (words->text && words->code != code)
        words++;
    return words->text;
}

const char *tls_words_of_alert(unsigned alert)
{
    const char *text = find(alerts, (int)alert);
    return text ? text : "it gave up with an alert that is not known here";
}

const char *tls_words_for_alert(unsigned alert)
{
    const char *text = find(violations, (int)alert);
    return text ? text : "new keys could not be made for it";
}

const char *tls_words(const SSL *ssl)
{
    unsigned long code = ERR_peek_error(); /* what came first led to the rest */
    int reason = ERR_GET_REASON(code);
    const char *text = NULL;
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        long result = SSL_get_verify_result(ssl);
        text = find(certificates, (int)result);
        return text ? text : X509_verify_cert_error_string(result);
    }
    if (ERR_GET_LIB(code) == ERR_LIB_SSL)
        text = reason >= SSL_AD_REASON_OFFSET ? find(alerts, reason - SSL_AD_REASON_OFFSET)
                                              : find(failures, reason);
    if (!text && code)
        text = ERR_reason_error_string(code);
    return text ? text : "it violated the protocol";
}
