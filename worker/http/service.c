/* service: what the servers of all HTTP versions share in a process. */
#include "shared/base/clock.h"
#include "worker/http/exchange.h"

enum { ARENA_CHUNK = 8192 };

#if defined(__SANITIZE_ADDRESS__)
static const bool keep_arenas = false; /* so that a use after the end is seen */
#else
static const bool keep_arenas = true;
#endif

struct arena *service_arena_take(struct http_service *service)
{
    return service->arena_count ? service->arenas[--service->arena_count] : arena_new(ARENA_CHUNK);
}

void service_arena_give(struct http_service *service, struct arena **arena)
{
    if (!*arena)
        return;
    if (keep_arenas && service->arena_count < sizeof service->arenas / sizeof *service->arenas) {
        arena_reset(*arena);
        service->arenas[service->arena_count++] = *arena;
        *arena = NULL;
        return;
    }
    arena_free(arena);
}

struct str service_date(struct http_service *service)
{
    uint64_t second = service->net->loop->wall_ns / NS_PER_SECOND;
    if (second != service->date_second) {
        clock_http(second, service->date);
        service->date_second = second;
    }
    return (struct str){service->date, CLOCK_HTTP_SIZE - 1};
}
