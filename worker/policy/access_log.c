/* access_log: a line for each request, as log.access says, into this process's log ring. */
#include "worker/request/request.h"

struct access_log {
    const struct expr *line;
    bool json;
};

/* The formats are templates; an administrator's own is one more. */
static const char json_line[] =
    "{\"time\":\"${time}\",\"id\":\"${id}\",\"client\":\"${client}\",\"method\":\"${method}\",\"host\":\"${"
    "host}\","
    "\"target\":\"${target}\",\"version\":\"${version}\",\"status\":${status},\"bytes_in\":${bytes_in},"
    "\"bytes_out\":${bytes_out},\"duration\":${duration},\"api\":\"${api}\",\"route\":\"${route}\","
    "\"upstream\":\"${upstream}\",\"endpoint\":\"${endpoint}\",\"upstream_time\":${upstream_time:-null},"
    "\"problem\":\"${problem}\",\"user_agent\":\"${header.user-agent}\"}";
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
    const char *text = settings->format == ACCESS_JSON       ? json_line
                       : settings->format == ACCESS_COMBINED ? combined_line
                                                             : settings->template;
    log->json = settings->format == ACCESS_JSON;
    compiler->origin = settings->origin;
    compiler->policy = "log.access";
    if (text)
        log->line = compile_expr(compiler, "template", text, false);
    return log;
}

static void on_done(struct request *request, const void *compiled)
{
    const struct access_log *log = compiled;
    struct worker *worker = request->worker;
    char *line = logs_reserve(worker->shared->logs, worker->slot_index, LOG_LINE_MAX);
    if (!line)
        return; /* counted as dropped */
    struct buf out = buf_on(line, LOG_LINE_MAX - 1);
    request_eval(request, log->line, log->json ? EXPR_JSON : EXPR_LOG, &out);
    if (out.overflow && log->json) {
        out.length = 0;
        buf_printf(&out, "{\"id\":\"%.*s\",\"status\":%u,\"too_long\":true}", STR_ARG(request->id),
                   request->response.status);
    }
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
