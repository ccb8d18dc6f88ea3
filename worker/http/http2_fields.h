/* http2_fields: fields of the common form as nghttp2 takes them, for answers, requests and trailers.
 */
#ifndef HTTP_HTTP2_FIELDS_H
#define HTTP_HTTP2_FIELDS_H

#include <nghttp2/nghttp2.h>

#include "worker/http/message.h"

/* A field whose value lives until its frame was sent, or its stream is closed; the library copies the name, in lower case. */
static inline nghttp2_nv http2_field(struct str name, struct str value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.data,
                        .namelen = name.length,
                        .value = (uint8_t *)(uintptr_t)value.data,
                        .valuelen = value.length,
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

/* Appends the fields that go on (field_forwards()) at `list`, which has room for fields->count; how many they were. */
size_t http2_fields_list(const struct fields *fields, nghttp2_nv *list);

/* Submits trailers (RFC 9113, section 8.1). False: there are none to be sent, and none are. */
bool http2_fields_trailers(nghttp2_session *library, int32_t id, const struct fields *trailers);

#endif
