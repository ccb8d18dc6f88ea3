/* signatures: the keys and the request of RFC 9421's examples (appendix B). */
#ifndef TESTS_SIGNATURES_H
#define TESTS_SIGNATURES_H

#include "tests/unit/unit.h"

#include "worker/codec/signature_base.h"

/* B.1.2 */
#define RSA_PSS_PUBLIC                                                   \
    "-----BEGIN PUBLIC KEY-----\n"                                       \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2\n" \
    "+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+\n" \
    "oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq\n" \
    "gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W\n" \
    "Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4\n" \
    "aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI\n" \
    "2wIDAQAB\n"                                                         \
    "-----END PUBLIC KEY-----\n"

/* B.1.3 */
#define ECC_P256_PUBLIC                                                  \
    "-----BEGIN PUBLIC KEY-----\n"                                       \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\n" \
    "w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n"     \
    "-----END PUBLIC KEY-----\n"
#define ECC_P256_PRIVATE                                                 \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "MHcCAQEEIFKbhfNZfpDsW43+0+JjUr9K+bTeuxopu653+hBaXGA7oAoGCCqGSM49\n" \
    "AwEHoUQDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM\n" \
    "4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n"                             \
    "-----END EC PRIVATE KEY-----\n"

/* B.1.4 */
#define ED25519_PUBLIC                                               \
    "-----BEGIN PUBLIC KEY-----\n"                                   \
    "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n" \
    "-----END PUBLIC KEY-----\n"
#define ED25519_PRIVATE                                                  \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n" \
    "-----END PRIVATE KEY-----\n"

/* B.1.5, in base64 */
#define SHARED_SECRET \
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="

/* A line of a head. */
struct signed_field {
    const char *name, *value;
};

/* B.2, with the fields that the tests add; ended by NULL. */
static const struct signed_field example_fields[] = {
    {"Host", "example.com"},
    {"Date", "Tue, 20 Apr 2021 02:07:55 GMT"},
    {"Content-Type", "application/json"},
    {"Content-Digest",
     "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
    {"Content-Length", "18"},
    {"X-List", "one"},
    {"X-List", "two, three"},
    {"X-Empty", ""},
    {"Example-Dict", "a=1,  b=2;x=1;y=2,   c=(a   b    c), d"},
    {NULL, NULL},
};

static inline bool signed_field_next(const void *fields, struct str name, unsigned *at, struct str *value)
{
    const struct signed_field *lines = fields;
    for (; lines[*at].name; (*at)++)
        if (str_case_eq(str_of(lines[*at].name), name)) {
            *value = str_of(lines[(*at)++].value);
            return true;
        }
    return false;
}

static inline struct signature_message example_message(void)
{
    return (struct signature_message){.method = STR("POST"),
                                      .scheme = STR("https"),
                                      .authority = STR("example.com"),
                                      .path = STR("/foo"),
                                      .query = STR("param=Value&Pet=dog"),
                                      .fields = example_fields,
                                      .field = signed_field_next};
}

#endif
