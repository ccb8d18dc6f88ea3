/* status_certificates: called by status.c. The keeper has no keys any more, but what is told of the certificates. */
#include "worker/role/status_certificates.h"

#include "shared/base/clock.h"
#include "worker/net/tls_server.h"
#include "worker/request/site.h"

static const char *state_of(const struct tls_identity *identity, int64_t now)
{
    if (identity->ends < now)
        return "expired";
    if (identity->starts > now)
        return "not valid yet";
    return tls_identity_days(identity, now) < TLS_WARN_DAYS ? "expires soon" : "valid";
}

/* A time that clock_rfc3339() can't tell is none: certificates may end in the year 9999. */
static json_t *time_text(int64_t seconds)
{
    char text[CLOCK_RFC3339_SIZE];
    if (seconds <= 0 || (uint64_t)seconds > UINT64_MAX / NS_PER_SECOND)
        return json_null();
    clock_rfc3339((uint64_t)seconds * NS_PER_SECOND, text);
    return json_string(text);
}

static json_t *staple_of(const struct tls_server *server, unsigned index, int64_t now)
{
    int64_t until;
    bool sent = tls_server_staple(server, index, now, &until).length > 0;
    return until ? json_pack("{s:o, s:b}", "until", time_text(until), "sent", sent) : json_null();
}

static json_t *certificate(const struct listener_settings *listener, const struct tls_server *server,
                           unsigned index, int64_t now)
{
    unsigned count;
    const struct tls_identity *identity = &tls_server_identities(server, &count)[index];
    json_t *names = json_array();
    for (unsigned i = 0; i < identity->name_count; i++)
        json_array_append_new(names, json_stringn(identity->names[i].data, identity->names[i].length));
    /* A subject may have bytes that are no UTF-8: jansson makes nothing of them. */
    json_t *subject = json_string(identity->subject);
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:i, s:s, s:o}", "listener", listener->name, "file",
                     identity->settings->cert, "subject", subject ? subject : json_null(), "names", names,
                     "key", tls_algorithm_names[identity->algorithm], "ends", time_text(identity->ends),
                     "days", tls_identity_days(identity, now), "state", state_of(identity, now), "staple",
                     staple_of(server, index, now));
}

json_t *status_certificates(const struct worker *worker)
{
    const struct conf_list *listeners = &worker->site->settings->listeners;
    int64_t now = (int64_t)(worker->loop.wall_ns / NS_PER_SECOND);
    json_t *list = json_array();
    for (unsigned i = 0; i < listeners->count; i++) {
        unsigned count = 0;
        const struct tls_server *server = worker->site->tls[i];
        if (server)
            tls_server_identities(server, &count);
        for (unsigned j = 0; j < count; j++)
            json_array_append_new(list, certificate(listeners->items[i], server, j, now));
    }
    return list;
}
