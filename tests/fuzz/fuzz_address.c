/* Addresses: what is taken, written out and read again is the same; what is not says why. */
#include "tests/fuzz/fuzz.h"

#include "shared/base/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address address, again;
    const char *why = NULL;
    if (!address_parse((struct str){(const char *)data, size}, &address, &why)) {
        CHECK(why && *why);
        return 0;
    }
    CHECK(address.length > 0 && address.length <= sizeof(address.un));
    char text[ADDRESS_TEXT_SIZE];
    size_t length = address_format(&address, text);
    CHECK(length == strlen(text) && length < ADDRESS_TEXT_SIZE - 1);
    CHECK(address_parse((struct str){text, length}, &again, &why));
    CHECK(address_eq(&address, &again) && address.length == again.length);
    length = address_format_host(&address, text);
    CHECK(length == strlen(text));
    address_unmap(&address);
    CHECK(address_eq(&address, &address));
    return 0;
}
