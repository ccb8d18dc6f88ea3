/* settings_tls: TLS on a listener. */
#include "shared/conf/sections.h"

#define CERTIFICATE(kind_, member, ...) ROW_(kind_, struct certificate_settings, member, __VA_ARGS__)

static const struct row certificate_rows[] = {
    CERTIFICATE(ROW_STRING, cert, .flags = ROW_REQUIRED | ROW_PATH,
                .help = "a PEM file: the certificate, then those of the authorities that lead to its root"),
    CERTIFICATE(ROW_STRING, key, .flags = ROW_REQUIRED | ROW_PATH,
                .help = "a PEM file: its private key; read by the master, before it gives up its rights"),
    ROW_END,
};

static const struct section certificate_section = {
    .name = "certificate", .size = sizeof(struct certificate_settings), .rows = certificate_rows};

#define TLS(kind_, member, ...) ROW_(kind_, struct tls_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    TLS(ROW_LIST, certificates, .flags = ROW_REQUIRED, .section = &certificate_section, .min = 1, .max = 1024,
        .help = "whom the listener is to its clients"),
    TLS(ROW_DURATION, handshake_timeout, .fallback = "10s", .min = 100, .max = 600000,
        .help = "how long a client may take from its connection to the end of the handshake"),
    ROW_END,
};

const struct section tls_section = {.name = "tls", .size = sizeof(struct tls_settings), .rows = rows};
