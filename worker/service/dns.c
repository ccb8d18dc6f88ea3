/* dns: the one file that knows c-ares. Called by resolver.c. */
#include "worker/service/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/log.h"

enum { UDP_SIZE = 1232, CLASS_IN = 1, TYPE_SRV = 33 }; /* RFC 9715: what isn't cut to pieces on its way */

struct dns {
    struct loop *loop;
    ares_channel channel;
    struct timer timer; /* c-ares' next deadline */
    struct list sockets;
    bool over; /* being freed */
};

/* A socket of c-ares. The source comes first: it is what loop_free_later() may write to. */
struct dns_socket {
    struct source source;
    struct list link;
    struct dns *dns;
};

/* A question, until it is answered. */
struct question {
    struct dns *dns;
    union {
        dns_on_addresses *addresses;
        dns_on_services *services;
    } done;
    void *context;
};

/* --- the loop --- */

/* After everything that may have changed what c-ares waits for. */
static void set_timer(struct dns *dns)
{
    struct timeval left, *next = ares_timeout(dns->channel, NULL, &left);
    if (!next) {
        timer_clear(&dns->loop->timers, &dns->timer);
        return;
    }
    uint64_t ms = (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1;
    timer_clear(&dns->loop->timers, &dns->timer);
    timer_set(&dns->loop->timers, &dns->timer, dns->loop->now_ms + ms);
}

static void on_timer(struct timer *timer)
{
    struct dns *dns = CONTAINER_OF(timer, struct dns, timer);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(dns);
}

static void on_event(struct source *source, uint32_t events)
{
    struct dns *dns = CONTAINER_OF(source, struct dns_socket, source)->dns;
    ares_socket_t fd = source->fd;
    bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & EPOLLOUT;
    ares_process_fd(dns->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    set_timer(dns);
}

static struct dns_socket *find_socket(struct dns *dns, int fd)
{
    LIST_EACH(link, &dns->sockets)
    {
        struct dns_socket *socket = CONTAINER_OF(link, struct dns_socket, link);
        if (socket->source.fd == fd)
            return socket;
    }
    return NULL;
}

static void add_socket(struct dns *dns, int fd, uint32_t events)
{
    struct dns_socket *socket = malloc(sizeof *socket);
    if (!socket)
        abort();
    *socket = (struct dns_socket){.source = {.fd = fd, .on_event = on_event}, .dns = dns};
    if (loop_add(dns->loop, &socket->source, events) < 0) {
        log_error("a name server's socket can't be watched: %m"); /* its questions will time out */
        free(socket);
        return;
    }
    list_push_back(&dns->sockets, &socket->link);
}

/* What c-ares wants of a socket now; nothing before it closes it. */
static void on_socket(void *context, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = context;
    struct dns_socket *socket = find_socket(dns, fd);
    uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    if (!socket && events)
        add_socket(dns, fd, events);
    else if (socket && events)
        loop_change(dns->loop, &socket->source, events);
    else if (socket) {
        loop_remove(dns->loop, &socket->source);
        list_remove(&socket->link);
        loop_free_later(dns->loop, socket);
    }
}

/* --- opening, closing --- */

static const char *set_servers(struct dns *dns, const struct resolver_settings *settings)
{
    if (!settings->servers.count)
        return NULL;
    size_t size = (size_t)settings->servers.count * (ADDRESS_TEXT_SIZE + 1) + 1;
    char *memory = malloc(size);
    if (!memory)
        abort();
    struct buf text = buf_on(memory, size - 1);
    for (unsigned i = 0; i < settings->servers.count; i++) {
        char address[ADDRESS_TEXT_SIZE];
        size_t length = address_format(&settings->addresses[i], address);
        if (i)
            buf_char(&text, ',');
        buf_add(&text, address, length);
    }
    memory[text.length] = '\0';
    int status = ares_set_servers_ports_csv(dns->channel, memory);
    free(memory);
    return status == ARES_SUCCESS ? NULL : ares_strerror(status);
}

struct dns *dns_new(struct loop *loop, const struct resolver_settings *settings, const char **why)
{
    struct dns *dns = malloc(sizeof *dns);
    if (!dns)
        abort();
    *dns = (struct dns){.loop = loop};
    list_init(&dns->sockets);
    timer_init(&dns->timer, on_timer);
    struct ares_options options = {.flags = ARES_FLAG_EDNS,
                                   .timeout = (int)settings->timeout,
                                   .tries = (int)settings->attempts,
                                   .ednspsz = UDP_SIZE,
                                   .sock_state_cb = on_socket,
                                   .sock_state_cb_data = dns};
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&dns->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
                                       ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        *why = ares_strerror(status);
        free(dns);
        return NULL;
    }
    *why = set_servers(dns, settings);
    if (*why)
        dns_free(&dns);
    return dns;
}

void dns_free(struct dns **dns)
{
    if (!*dns)
        return;
    (*dns)->over = true;
    ares_destroy((*dns)->channel);
    ares_library_cleanup();
    timer_clear(&(*dns)->loop->timers, &(*dns)->timer);
    free(*dns);
    *dns = NULL;
}

/* --- questions --- */

static enum name_failure failure_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return NAME_FOUND;
    case ARES_ENOTFOUND:
        return NAME_NO_SUCH;
    case ARES_ENODATA:
        return NAME_EMPTY;
    case ARES_ETIMEOUT:
        return NAME_TIMED_OUT;
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
    case ARES_ECONNREFUSED: /* what c-ares makes of those before it */
        return NAME_UNREACHABLE;
    case ARES_EBADRESP:
    case ARES_EFORMERR:
    case ARES_EBADNAME:
    case ARES_EBADSTR:
        return NAME_MALFORMED;
    default:
        return NAME_FAILED;
    }
}

static struct question *new_question(struct dns *dns, void *context)
{
    struct question *question = malloc(sizeof *question);
    if (!question)
        abort();
    *question = (struct question){.dns = dns, .context = context};
    return question;
}

/* False: it is none that can be connected to. */
static bool take_address(const struct sockaddr *from, struct name_address *to)
{
    struct address address = {.length = sizeof address.in6};
    memset(to, 0, sizeof *to);
    if (from->sa_family == AF_INET6) {
        memcpy(&address.in6, from, sizeof address.in6);
        address_unmap(&address);
    } else {
        memcpy(&address.in, from, sizeof address.in);
    }
    if (address.any.sa_family == AF_INET6) {
        const struct in6_addr *ip = &address.in6.sin6_addr;
        to->family = NAME_IPV6;
        memcpy(to->ip, ip, 16);
        return !IN6_IS_ADDR_UNSPECIFIED(ip) && !IN6_IS_ADDR_MULTICAST(ip) && !IN6_IS_ADDR_LINKLOCAL(ip);
    }
    uint32_t ip = ntohl(address.in.sin_addr.s_addr);
    to->family = NAME_IPV4;
    memcpy(to->ip, &address.in.sin_addr, 4);
    return ip >> 24 != 0 && ip >> 28 < 14; /* neither 0.0.0.0/8 nor multicast nor what is above */
}

static uint32_t least_ttl(const struct ares_addrinfo *info)
{
    int least = INT32_MAX;
    for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
        least = node->ai_ttl < least ? node->ai_ttl : least;
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname; cname = cname->next)
        least = cname->ttl < least ? cname->ttl : least;
    return least > 0 ? (uint32_t)least : 0;
}

static void on_addresses(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct question *question = context;
    struct name_address items[NAME_PLACES];
    struct dns_addresses addresses = {
        .failure = failure_of(status), .over = question->dns->over, .items = items};
    if (status == ARES_SUCCESS && info) {
        addresses.ttl = least_ttl(info);
        for (const struct ares_addrinfo_node *node = info->nodes; node && addresses.count < NAME_PLACES;
             node = node->ai_next)
            addresses.count += take_address(node->ai_addr, &items[addresses.count]);
    }
    if (addresses.failure == NAME_FOUND && !addresses.count)
        addresses.failure = NAME_EMPTY;
    ares_freeaddrinfo(info);
    question->done.addresses(question->context, &addresses);
    free(question);
}

void dns_ask_addresses(struct dns *dns, const char *host, enum name_family family, dns_on_addresses *done,
                       void *context)
{
    struct question *question = new_question(dns, context);
    struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT,
                                        .ai_family = family == NAME_IPV4 ? AF_INET : AF_INET6};
    question->done.addresses = done;
    ares_getaddrinfo(dns->channel, host, NULL, &hints, on_addresses, question);
    set_timer(dns);
}

static void on_services(void *context, int status, int timeouts, unsigned char *data, int length)
{
    (void)timeouts;
    struct question *question = context;
    struct dns_srv items[NAME_PLACES];
    struct dns_services services = {
        .failure = failure_of(status), .over = question->dns->over, .items = items};
    if (status == ARES_SUCCESS) {
        int count = dns_srv_parse(data, (size_t)length, items, NAME_PLACES, &services.ttl);
        services.count = count < 0 ? 0 : count < NAME_PLACES ? (unsigned)count : NAME_PLACES;
        services.failure = count < 0 ? NAME_MALFORMED : count == 0 ? NAME_EMPTY : NAME_FOUND;
    }
    question->done.services(question->context, &services);
    free(question);
}

void dns_ask_services(struct dns *dns, const char *name, dns_on_services *done, void *context)
{
    struct question *question = new_question(dns, context);
    question->done.services = done;
    ares_search(dns->channel, name, CLASS_IN, TYPE_SRV, on_services, question);
    set_timer(dns);
}
