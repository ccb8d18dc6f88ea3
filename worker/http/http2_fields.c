/* http2_fields: fields of the common form as nghttp2 takes them. */
#include "worker/http/http2_fields.h"

#include <stdlib.h>

/* Each is new nearly every time: they would only push others out of the peer's table (RFC 7541, section 4). */
static const uint64_t not_indexed =
    (uint64_t)1 << FIELD_X_REQUEST_ID | (uint64_t)1 << FIELD_ETAG | (uint64_t)1 << FIELD_LAST_MODIFIED;

size_t http2_fields_list(const struct fields *fields, nghttp2_nv *list)
{
    size_t count = 0;
    for (unsigned i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (!field_forwards(field))
            continue;
        list[count] = http2_field(field->name, field->value);
        if (not_indexed >> field->id & 1)
            list[count].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
        count++;
    }
    return count;
}

bool http2_fields_trailers(nghttp2_session *library, int32_t id, const struct fields *trailers)
{
    if (trailers->count == 0)
        return false;
    nghttp2_nv *list = malloc(trailers->count * sizeof *list);
    if (!list)
        abort();
    size_t count = http2_fields_list(trailers, list);
    bool submitted = count && nghttp2_submit_trailer(library, id, list, count) == 0;
    free(list);
    return submitted;
}
