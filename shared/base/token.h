/* token: what methods, names of fields and many values are made of (RFC 9110, section 5.6.2). */
#ifndef BASE_TOKEN_H
#define BASE_TOKEN_H

#include "shared/base/str.h"

extern const bool token_bytes[256];

static inline bool token_has(char c)
{
    return token_bytes[(unsigned char)c];
}

/* Without a branch a byte: it is asked of every field's name. */
static inline bool is_token(struct str text)
{
    unsigned good = text.length > 0;
    for (size_t i = 0; i < text.length; i++)
        good &= token_has(text.data[i]);
    return good;
}

#endif
