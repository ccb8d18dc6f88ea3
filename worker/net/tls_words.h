/* tls_words: why TLS failed, in words. */
#ifndef NET_TLS_WORDS_H
#define NET_TLS_WORDS_H

#include <openssl/types.h>

/* Of the failure that OpenSSL has in its queue now, of this session. Constant text that speaks of the peer as "it". */
const char *tls_words(const SSL *ssl);

/* Likewise, of an alert that it sent, and of one that it is sent by the record layer. */
const char *tls_words_of_alert(unsigned alert);
const char *tls_words_for_alert(unsigned alert);

#endif
