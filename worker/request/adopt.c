/* adopt: requests that change the process. */
#include "worker/request/adopt.h"

#include "worker/codec/uri.h"

/* As when its head came, but that what isn't found is no problem of the client's. */
static bool find_route(struct request *request, const struct request_story *story)
{
    struct request_head *head = request->head;
    size_t size = head->path.length + 3 * head->query.length;
    char *out = arena_alloc(request->arena, size ? size : 1);
    struct str query = head->query;
    if (uri_path_normal(head->path, out, head->path.length, &request->path) != URI_OK)
        return false;
    if (query.length &&
        uri_query_normal(query, out + head->path.length, 3 * query.length, &head->query) != URI_OK)
        return false;
    if (router_match(request->exchange->listener, head, request->path, request->arena, &request->match) !=
        ROUTE_FOUND)
        return false;
    const struct route *route = request->match.route;
    return str_eq(route->name, story->route) && str_eq(str_of(route->api->name), story->api);
}

/* The policies take what the request holds. */
static void enter(struct request *request)
{
    const struct chain *chain = request->chain;
    for (; request->entered < chain->count; request->entered++) {
        const struct link *link = &chain->links[request->entered];
        if (link->policy->on_adopt)
            link->policy->on_adopt(request, link->compiled);
    }
}

struct request *request_adopt(struct exchange *exchange, const struct request_story *story)
{
    struct request *request = request_new(exchange);
    request->id = arena_str(request->arena, story->id);
    request->started = story->started;
    request->started_wall = story->started_wall;
    request->upstream_ns = story->upstream_ns;
    request->tries = story->tries;
    request->state = REQUEST_LOG;
    request->responded = request->streaming = request->tunneling = true;
    request->response.status = 101;
    if (find_route(request, story)) {
        request->chain = request->match.route->chain;
        enter(request);
        if (request->tunnel && request->chain->content.policy->on_tunnel)
            return request;
    }
    request_dismiss(request);
    return NULL;
}

void request_dismiss(struct request *request)
{
    request->content = NULL;
    request->moved = true;
    request->state = REQUEST_LOG;
    request_run(request);
}
