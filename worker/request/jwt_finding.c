/* jwt_finding: what was found out of a token, as it is kept: the issuer's index, the end, and texts, each with its length before
 * it.
 */
#include <string.h>

#include "worker/request/jwt.h"

static void put_text(struct buf *out, struct str text)
{
    uint16_t length = text.data ? (uint16_t)(text.length + 1) : 0;
    buf_add(out, (const char *)&length, sizeof length);
    if (text.length >= UINT16_MAX)
        out->overflow = true;
    else
        buf_str_add(out, text);
}

static bool get(struct str *in, void *out, size_t size)
{
    if (in->length < size)
        return false;
    memcpy(out, in->data, size);
    *in = str_from(*in, size);
    return true;
}

static bool get_text(struct str *in, struct str *text)
{
    uint16_t length;
    if (!get(in, &length, sizeof length) || (length && in->length < (size_t)length - 1))
        return false;
    *text = length ? (struct str){in->data, (size_t)length - 1} : (struct str){NULL, 0};
    *in = str_from(*in, length ? (size_t)length - 1 : 0);
    return true;
}

void jwt_put(struct buf *out, const struct jwt *jwt, const struct jwt_finding *finding)
{
    const struct jwt_settings *settings = jwt->issuers[finding->issuer]->settings;
    buf_add(out, (const char *)&finding->issuer, sizeof finding->issuer);
    buf_add(out, (const char *)&finding->expires, sizeof finding->expires);
    put_text(out, finding->subject);
    put_text(out, finding->consumer);
    put_text(out, finding->thumbprint);
    for (unsigned i = 0; i < settings->forward.count; i++)
        put_text(out, finding->forwarded[i]);
}

bool jwt_get(struct str in, const struct jwt *jwt, struct arena *arena, struct jwt_finding *finding)
{
    if (!get(&in, &finding->issuer, sizeof finding->issuer) || finding->issuer >= jwt->count ||
        !get(&in, &finding->expires, sizeof finding->expires) || !get_text(&in, &finding->subject) ||
        !get_text(&in, &finding->consumer) || !get_text(&in, &finding->thumbprint))
        return false;
    const struct jwt_settings *settings = jwt->issuers[finding->issuer]->settings;
    finding->forwarded = arena_array(arena, settings->forward.count, sizeof *finding->forwarded);
    for (unsigned i = 0; i < settings->forward.count; i++)
        if (!get_text(&in, &finding->forwarded[i]))
            return false;
    return in.length == 0;
}
