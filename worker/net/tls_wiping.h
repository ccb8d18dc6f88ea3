/* tls_wiping: while a private key is read, all memory that OpenSSL gives back is overwritten: its decoders leave copies of the
 * key's file in what they free, which processes that are forked later would have, those without traffic too.
 */
#ifndef NET_TLS_WIPING_H
#define NET_TLS_WIPING_H

#include <stdbool.h>

void tls_wiping(bool on);

#endif
