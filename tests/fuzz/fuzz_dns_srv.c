/* Answers with SRV records: whatever a name server sends, targets are names of hosts, and texts that end. */
#include <ctype.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/codec/dns_srv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_srv records[4];
    uint32_t ttl;
    int count = dns_srv_parse(data, size, records, 4, &ttl);
    CHECK(count >= -1 && count <= 65535);
    for (int i = 0; i < count && i < 4; i++) {
        const char *target = records[i].target;
        CHECK(strnlen(target, DNS_NAME_SIZE) < DNS_NAME_SIZE);
        for (const char *c = target; *c; c++)
            CHECK(isalnum((unsigned char)*c) || *c == '-' || *c == '_' || *c == '.');
        CHECK(*target != '.');
    }
    return 0;
}
