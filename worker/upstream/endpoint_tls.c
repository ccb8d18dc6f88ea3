/* endpoint_tls: how connections to an endpoint are made by TLS. */
#include "worker/upstream/endpoint_tls.h"

void endpoint_tls_open(struct endpoint *endpoint, struct arena *arena)
{
    const struct endpoint_settings *settings = endpoint->settings;
    char text[ADDRESS_TEXT_SIZE];
    if (!endpoint->cluster->tls)
        return;
    endpoint->tls_name = settings->host;
    if (settings->host || settings->address.any.sa_family == AF_UNIX)
        return;
    address_format_host(&settings->address, text);
    endpoint->tls_name = arena_strdup(arena, text);
}

const struct tls_target *endpoint_tls_target(struct endpoint *endpoint, struct str before,
                                             struct tls_target *target)
{
    if (!endpoint->cluster->tls)
        return NULL;
    *target = (struct tls_target){.client = endpoint->cluster->tls,
                                  .name = endpoint->tls_name,
                                  .session = &endpoint->tls_session,
                                  .before = before};
    return target;
}

void endpoint_tls_forget(struct endpoint *endpoint)
{
    tls_client_forget(&endpoint->tls_session);
}
