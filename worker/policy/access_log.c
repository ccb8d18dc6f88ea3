/* access_log: a line for each request, as log.access says, into this process's log ring. */
#include "worker/request/identity.h"
#include "worker/request/request.h"

struct access_log {
    const struct expr *template; /* NULL: JSON */
};

static const char combined_line[] =
    "${client} - - [${time}] \"${method} ${target} ${version}\" ${status} ${bytes_out} "
    "\"${header.referer}\" \"${header.user-agent}\"";

static const void *always(const struct settings *settings)
{
    return settings->log.access.file ? &settings->log.access : NULL;
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct access_settings *settings = conf;
    struct access_log *log = arena_zalloc(compiler->arena, sizeof *log);
    const char *text = settings->format == ACCESS_JSON       ? NULL
                       : settings->format == ACCESS_COMBINED ? combined_line
                                                             : settings->template;
    compiler->origin = settings->origin;
    compiler->policy = "log.access";
    if (text)
        log->template = compile_expr(compiler, "template", text, false);
    return log;
}

/* --- the format "json": by hand and not by a template, as it is what most have, for every request --- */

static void client(struct request *request, struct buf *out)
{
    if (out->size - out->length < ADDRESS_TEXT_SIZE)
        out->overflow = true;
    else
        out->length += address_format_host(request_client(request), out->data + out->length);
}

static void what_was_asked(struct request *request, struct buf *out)
{
    const struct request_head *head = request->head;
    BUF_LITERAL(out, "{\"time\":\"");
    request_add_time(request, out);
    BUF_LITERAL(out, "\",\"id\":\"");
    buf_str_add(out, request->id);
    BUF_LITERAL(out, "\",\"client\":\"");
    client(request, out);
    BUF_LITERAL(out, "\",\"method\":\"");
    buf_json(out, head->method_text);
    BUF_LITERAL(out, "\",\"host\":\"");
    buf_json(out, head->authority);
    BUF_LITERAL(out, "\",\"target\":\"");
    buf_json(out, head->target);
    BUF_LITERAL(out, "\",\"version\":\"");
    buf_str_add(out, version_text(request->head->version));
    buf_char(out, '"');
}

static void what_came_of_it(struct request *request, struct buf *out)
{
    const struct route *route = request->match.route;
    BUF_LITERAL(out, ",\"status\":");
    buf_u64(out, request->response.status);
    BUF_LITERAL(out, ",\"bytes_in\":");
    buf_u64(out, request->exchange->bytes_in);
    BUF_LITERAL(out, ",\"bytes_out\":");
    buf_u64(out, request->exchange->ops->sent(request->exchange));
    BUF_LITERAL(out, ",\"duration\":");
    request_add_seconds(request_duration_ns(request), out);
    BUF_LITERAL(out, ",\"api\":\"");
    buf_json(out, str_of(route ? route->api->name : ""));
    BUF_LITERAL(out, "\",\"route\":\"");
    buf_json(out, route ? route->name : STR(""));
    BUF_LITERAL(out, "\",\"upstream\":\"");
    buf_json(out, str_of(request->upstream));
    BUF_LITERAL(out, "\",\"endpoint\":\"");
    buf_json(out, str_of(request->endpoint));
    BUF_LITERAL(out, "\",\"upstream_time\":");
    if (request->upstream_ns)
        request_add_seconds(request->upstream_ns, out);
    else
        BUF_LITERAL(out, "null");
    BUF_LITERAL(out, ",\"problem\":\"");
    if (request->problem)
        buf_str_add(out, problem_rows[request->problem].type);
    BUF_LITERAL(out, "\",\"aborted\":\"");
    buf_str_add(out, request_gone(request));
    if (request->grpc_status.length) {
        BUF_LITERAL(out, "\",\"grpc_status\":\"");
        buf_json(out, request->grpc_status);
    }
    const struct consumer *consumer = identity_consumer(request->identity);
    if (consumer) {
        BUF_LITERAL(out, "\",\"consumer\":\"");
        buf_json(out, consumer->name);
    }
    if (request->fault) {
        BUF_LITERAL(out, "\",\"fault\":\"");
        buf_str_add(out, str_of(request->fault));
    }
    BUF_LITERAL(out, "\",\"user_agent\":\"");
    buf_json(out, fields_value(&request->head->fields, FIELD_USER_AGENT));
    BUF_LITERAL(out, "\"}");
}

static void json_line(struct request *request, struct buf *out)
{
    what_was_asked(request, out);
    what_came_of_it(request, out);
    if (!out->overflow)
        return;
    out->length = 0;
    buf_printf(out, "{\"id\":\"%.*s\",\"status\":%u,\"too_long\":true}", STR_ARG(request->id),
               request->response.status);
}

static void on_done(struct request *request, const void *compiled)
{
    const struct access_log *log = compiled;
    struct worker *worker = request->worker;
    if (request->moved)
        return; /* one line for a tunnel, by the process that has it in the end */
    char *line = logs_reserve(worker->shared->logs, worker->slot_index, LOG_LINE_MAX);
    if (!line)
        return; /* counted as dropped */
    struct buf out = buf_on(line, LOG_LINE_MAX - 1);
    if (log->template)
        request_eval(request, log->template, EXPR_LOG, &out);
    else
        json_line(request, &out);
    out.data[out.length++] = '\n';
    logs_commit(worker->shared->logs, worker->slot_index, LOG_ACCESS, 0, out.length);
}

const struct policy policy_access_log = {
    .name = "log.access",
    .stage = STAGE_OBSERVE,
    .always = always,
    .compile = compile,
    .on_done = on_done,
};
