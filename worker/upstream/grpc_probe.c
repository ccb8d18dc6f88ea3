/* grpc_probe: the probe of an endpoint by gRPC. Called by the prober. */
#include "worker/upstream/grpc_probe.h"

struct str grpc_probe_body(const struct health_settings *settings, struct arena *arena)
{
    struct str service = str_of(settings->grpc->service);
    size_t size = grpc_health_size(service);
    struct buf body = buf_on(arena_alloc(arena, size), size);
    grpc_health_write(service, &body);
    return buf_str(&body);
}

void grpc_probe_write(const struct health_settings *settings, struct str body, struct buf *head)
{
    BUF_LITERAL(head, "Content-Type: application/grpc\r\nUser-Agent: gatehouse-health\r\n"
                      "TE: trailers\r\nConnection: TE\r\ngrpc-timeout: ");
    grpc_timeout_write((uint64_t)settings->timeout, head);
    BUF_LITERAL(head, "\r\nContent-Length: ");
    buf_u64(head, body.length);
    BUF_LITERAL(head, "\r\n\r\n");
}

const char *grpc_probe_judge_head(const struct response_head *head, struct arena *arena)
{
    struct str type = fields_value(&head->fields, FIELD_CONTENT_TYPE);
    if (head->status != 200)
        return arena_printf(arena, "it answered %u", head->status);
    if (grpc_form_of(type, NULL) != GRPC_PLAIN)
        return arena_printf(arena, "its answer is not gRPC, but %.*s",
                            STR_ARG(type.length ? type : STR("without a Content-Type")));
    return NULL;
}

const char *grpc_probe_judge(struct str status, struct str body, struct arena *arena)
{
    if (!status.data)
        return "its answer has no grpc-status";
    enum grpc_status said = grpc_status_parse(status);
    if (said != GRPC_OK)
        return arena_printf(arena, "it answered grpc-status %d, %s", (int)said,
                            grpc_status_name((unsigned)said).data);
    enum grpc_health health = grpc_health_read(body);
    return health == GRPC_HEALTH_SERVING ? NULL : arena_printf(arena, "it is %s", grpc_health_name(health));
}
