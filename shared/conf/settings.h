/* settings: the structures of the configuration file, filled by the rows in settings.c. */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include "shared/base/network.h"
#include "shared/conf/row.h"

enum access_format { ACCESS_JSON, ACCESS_COMBINED, ACCESS_TEMPLATE };

struct access_settings {
    struct origin origin;
    const char *file;     /* NULL: no access log; "stderr", "syslog" */
    int format;           /* enum access_format */
    const char *template; /* for "template": a text with ${…} */
};

struct log_settings {
    struct origin origin;
    const char *error; /* a path, "stderr" or "syslog" */
    int level;         /* enum log_level */
    int64_t buffer;    /* bytes of a process's ring */
    struct access_settings access;
};

struct state_settings {
    struct origin origin;
    int64_t size;                        /* bytes of the shared segment at most */
    int64_t upstreams;                   /* cells of that zone */
    int64_t endpoints;                   /* likewise */
    int64_t limits, quotas, concurrency; /* bytes of those zones */
    int64_t tokens;                      /* likewise */
    int64_t names;                       /* endpoints that are names, likewise */
    int64_t staples;                     /* certificates with a fetched OCSP response, likewise */
    int64_t key_sets;                    /* key sets of issuers, likewise */
    const char *file;                    /* the snapshot; NULL: none */
    int64_t interval;                    /* between two snapshots */
};

struct admin_settings {
    struct origin origin;
    const char *socket; /* path */
    const char *group;  /* NULL: root's */
};

/* What an HTTP/2 connection of a client may take, beside the others. */
struct http2_settings {
    struct origin origin;
    int64_t max_streams;       /* at a time */
    int64_t window;            /* bytes of a request's body that wait for its upstream */
    int64_t connection_window; /* of all together */
    int64_t max_resets;        /* cancelled streams; 0: no limit */
    int64_t max_overhead;      /* points; 0: no limit */
};

/* What a client connection may take. Milliseconds and bytes. */
struct client_settings {
    struct origin origin;
    int64_t header_timeout;    /* from the first byte of a head to its end */
    int64_t keepalive_timeout; /* between requests */
    int64_t body_timeout;      /* between two reads of a body */
    int64_t send_timeout;      /* between two writes that the client takes */
    bool half_close;           /* a client that sends no more still gets its answers */
    int64_t max_line;          /* bytes of the request line */
    int64_t max_head;          /* bytes of request line and header fields */
    int64_t max_fields;        /* header fields */
    int64_t max_body;          /* bytes; 0: no limit */
    int64_t max_requests;      /* on a connection; 0: no limit */
    int64_t max_per_address;   /* connections of an address, a worker; 0: no limit */
    int64_t least_rate;        /* bytes a second, of a body and of taking an answer; 0: none */
    int64_t least_rate_window; /* over which it is measured */
    struct http2_settings http2;
};

/* What upstreams are told of where a request came from. */
struct forwarded_settings {
    struct origin origin;
    bool x_forwarded; /* X-Forwarded-For, -Proto, -Host */
    bool forwarded;   /* Forwarded */
    bool via;
    const char *pseudonym; /* our name in Via */
    int64_t max_hops;      /* how often a request's Via may name us; 0: any number */
    struct str name;       /* derived: the pseudonym */
    struct str via_of[3];  /* derived: our element of Via, by enum via */
};

enum via { VIA_10, VIA_11, VIA_20 }; /* the version that a message was received by */

/* Of a listener: whether the PROXY protocol's header comes first. */
enum proxy_accept { PROXY_ACCEPT_OFF, PROXY_ACCEPT_ON, PROXY_ACCEPT_TRUSTED };

/* Whether clients are to show a certificate. */
enum client_certificates {
    CLIENT_CERTIFICATES_OFF,
    CLIENT_CERTIFICATES_OPTIONAL,
    CLIENT_CERTIFICATES_REQUIRED
};

struct client_certificate_settings {
    struct origin origin;
    int mode;             /* enum client_certificates */
    const char *ca, *crl; /* PEM files, or NULL */
    int64_t depth;        /* authorities between a client's certificate and the one of `ca` that is trusted */
    struct setting ca_at, crl_at;
};

/* Whom a listener is, by TLS. */
struct certificate_settings {
    struct origin origin;
    const char *cert;                                        /* a PEM file */
    const char *key;                                         /* likewise, "file:PATH", or "env:NAME" */
    struct conf_strings names;                               /* for which it is used; none: those in it */
    const char *staple;                                      /* a DER file; NULL: none */
    struct client_certificate_settings *client_certificates; /* NULL: the listener's */
    struct setting cert_at, key_at, names_at, staple_at;
};

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

struct tls_settings {
    struct origin origin;
    struct conf_list certificates;    /* struct certificate_settings */
    int64_t handshake_timeout;        /* ms */
    int min_version, max_version;     /* enum tls_version */
    struct conf_strings ciphers;      /* of TLS 1.2 */
    struct conf_strings ciphersuites; /* of TLS 1.3 */
    struct conf_strings curves;
    struct conf_strings alpn;
    struct str protocols; /* derived: the same as ALPN has it, each behind its length */
    bool tickets;
    bool stapling; /* OCSP responses are fetched */
    struct client_certificate_settings client_certificates;
    struct setting at, stapling_at, ciphers_at, ciphersuites_at, curves_at;
};

/* Of TLS on all listeners. */
struct tls_node_settings {
    struct origin origin;
    int64_t ticket_lifetime; /* ms */
};

struct listener_settings {
    struct origin origin;
    const char *name;   /* for `listeners` of an API; default: the address */
    const char *listen; /* as written */
    struct address address;
    int64_t backlog;
    int64_t max_connections;          /* of this listener, a worker; 0: no limit of its own */
    int proxy_protocol;               /* enum proxy_accept */
    struct tls_settings *tls;         /* NULL: plain */
    bool h2c;                         /* of a plain one */
    const char *mode, *owner, *group; /* of a UNIX socket; mode octal, "0660" */
    unsigned unix_mode;               /* parsed */
};

enum resolver_family { RESOLVER_ANY, RESOLVER_IPV4, RESOLVER_IPV6 };

struct shed_settings {
    struct origin origin;
    int64_t lag;    /* ms; 0: no bound */
    int64_t memory; /* bytes of a worker; 0: no bound */
    int64_t hold;   /* ms */
};

struct resolver_settings {
    struct origin origin;
    struct conf_strings servers; /* none: those of /etc/resolv.conf */
    struct address *addresses;   /* derived: the same, parsed */
    int family;                  /* enum resolver_family */
    int64_t timeout;             /* of the first try at a server */
    int64_t attempts;
    int64_t min_ttl, max_ttl;
    int64_t start; /* how long the first answers are waited for before GO */
};

struct endpoint_settings {
    struct origin origin;
    const char *text; /* as written: host:port, unix:/path, name:port or srv:name */
    struct address address;
    const char *host; /* the name that is looked up, and `address` is none; NULL: it isn't a name */
    bool srv;         /* for SRV records */
    uint16_t port;    /* of its addresses; 0 with `srv` */
    int64_t weight;   /* 1 … 1000 */
    int64_t max;      /* addresses that a name may have at a time */
};

/* How many addresses it may have. */
static inline unsigned endpoint_places(const struct endpoint_settings *endpoint)
{
    return endpoint->host ? (unsigned)endpoint->max : 1;
}

struct timeout_settings {
    struct origin origin;
    int64_t connect;  /* to an established connection */
    int64_t response; /* from the request's end to the first byte of the answer */
    int64_t idle;     /* between two reads of the answer, two writes of the request */
    int64_t total;    /* the whole exchange; 0: none */
    int64_t events;   /* instead of `idle`, of an answer that is an event stream; 0: none */
};

enum { UPSTREAM_PLACES = 1024 };   /* addresses of an upstream */
enum { UPSTREAM_ADDRESSES = 128 }; /* of a name */
enum { UPSTREAM_TRIES = 16 };      /* the most that retry.connect can say */

enum balance { BALANCE_ROUND_ROBIN, BALANCE_LEAST, BALANCE_P2C, BALANCE_RANDOM, BALANCE_HASH };

struct hash_settings {
    struct origin origin;
    const char *by; /* a text with ${…} */
    double load;    /* an endpoint's share of what is in progress, to the average, at most; 0: no bound */
};

struct pool_settings {
    struct origin origin;
    int64_t idle;         /* idle connections kept an endpoint and worker */
    int64_t idle_timeout; /* how long */
    int64_t requests;     /* that a connection carries at most; 0: no limit */
    int64_t max_age;      /* of a connection that is kept; 0: no limit */
    int64_t streams;      /* of HTTP/2: at a time on a connection */
    int64_t window;       /* of HTTP/2: bytes of an answer that come unasked */
};

struct queue_settings {
    struct origin origin;
    int64_t size;    /* calls that may wait for a connection; 0: none */
    int64_t timeout; /* how long one does */
};

enum health_start { HEALTH_START_UP, HEALTH_START_DOWN };

struct status_range {
    uint16_t first, last;
};

/* Probes by grpc.health.v1.Health/Check. */
struct health_grpc_settings {
    struct origin origin;
    bool enabled;
    const char *service; /* empty: the server as a whole */
};

/* How the keeper probes the endpoints of an upstream. */
struct health_settings {
    struct origin origin;
    const char *path;                  /* NULL: no request, a connection is all that is asked for */
    struct health_grpc_settings *grpc; /* instead of path; NULL: none */
    int method;                        /* an index of "GET", "HEAD", "OPTIONS" */
    const char *host;                  /* NULL: the endpoint's */
    struct conf_strings status;
    struct status_range *statuses; /* derived: the same, parsed */
    unsigned status_count;
    const char *body; /* what must be in the answer's; NULL: anything */
    int64_t port;     /* 0: the endpoint's own */
    int64_t interval, timeout;
    double jitter;      /* percent of the interval */
    int64_t rise, fall; /* results in a row */
    int start;          /* enum health_start */
};

enum ejection_errors { EJECTION_5XX, EJECTION_GATEWAY, EJECTION_CONNECTION };

/* What endpoints are left out for, by what comes of the calls to them. */
struct ejection_settings {
    struct origin origin;
    int errors;          /* enum ejection_errors: what counts as one */
    int64_t consecutive; /* of them in a row; 0: not looked at */
    double ratio;        /* percent of the calls of a window; 0: not looked at */
    double deviation;    /* standard deviations worse than the mean of all; 0: not looked at */
    double slow;         /* times as slow as the others; 0: not looked at */
    int64_t volume;      /* calls of a window without which it says nothing */
    int64_t window;
    int64_t time, max_time; /* how long: the first time, at most */
    double max_percent;     /* of the endpoints, out at a time */
};

struct slow_start_settings {
    struct origin origin;
    int64_t window;
    double aggression;
    double least; /* percent of its weight to begin with */
};

/* What stands in for an answer while a breaker is open: a fixed one, or another upstream's. */
struct fallback_settings {
    struct origin origin;
    const char *upstream;
    int64_t status; /* 0: not said */
    const char *type, *body;
};

/* Of an upstream, or of a route. */
struct breaker_settings {
    struct origin origin;
    int64_t errors; /* failures in a row that open it; 0: not by those */
    double ratio;   /* of failures to calls in the window; 0: not by that, */
    int64_t volume; /* and not below so many calls */
    int64_t window;
    int64_t open, max_open;       /* how long it is open: the first time, at most */
    double jitter;                /* of that, added by chance */
    int64_t probe;                /* how long the probe may take until another call is it */
    struct conf_numbers statuses; /* that are failures; none: 500 and up */
    struct fallback_settings *fallback;
};

struct backoff_settings {
    struct origin origin;
    int64_t base, cap;
};

/* How much may be tried beyond the first time. */
struct budget_settings {
    struct origin origin;
    double ratio;   /* of the calls */
    double minimum; /* a second */
    int64_t window; /* after which what isn't used is lost */
};

enum { RETRY_CONNECT = 1, RETRY_RESET = 2, RETRY_TIMEOUT = 4 };

struct retry_settings {
    struct origin origin;
    int64_t connect;              /* endpoints that are tried, when they can't be connected to */
    int64_t attempts;             /* tries in all; 1: no retry */
    struct conf_strings on;       /* connect, reset, timeout */
    unsigned on_bits;             /* derived: the same, RETRY_… */
    struct conf_numbers statuses; /* of answers that are asked for again */
    struct conf_strings methods;  /* none: the idempotent ones */
    struct conf_strings grpc;     /* names of grpc-status, of calls to routes with the policy grpc */
    int64_t per_try;              /* until the head of its answer; 0: none */
    struct backoff_settings backoff;
    struct budget_settings budget;
    int64_t retry_after; /* the longest that an answer may ask to wait; one that asks for more is passed on */
    int64_t buffer;      /* bytes of a request's body that are kept to be sent again */
};

/* A second try while the first is waited for. */
struct hedge_settings {
    struct origin origin;
    int64_t delay;     /* 0: by the percentile */
    double percentile; /* of the answers, within whose time they came */
};

/* How many calls may be in progress, learned from how long answers take. */
struct adaptive_settings {
    struct origin origin;
    int64_t least, most;
    double buffer; /* of the least time */
    int64_t interval;
    int64_t probe; /* between two measurings of the least time */
    double jitter; /* of that, added by chance */
};

/* To the endpoints of an upstream. */
struct upstream_tls_settings {
    struct origin origin;
    bool enabled;
    bool verify;
    const char *ca;                   /* a PEM file; NULL: the system's */
    const char *name;                 /* NULL: each endpoint's own */
    struct certificate_settings own;  /* what is shown when it is asked for; `cert` NULL: nothing */
    int min_version, max_version;     /* enum tls_version */
    struct conf_strings ciphers;      /* of TLS 1.2 */
    struct conf_strings ciphersuites; /* of TLS 1.3 */
    struct conf_strings curves;
    bool resume;
    struct setting at, ca_at, ciphers_at, ciphersuites_at, curves_at;
};

enum upstream_protocol { UPSTREAM_HTTP1, UPSTREAM_H2C, UPSTREAM_H2, UPSTREAM_AUTO };

struct upstream_settings {
    struct origin origin;
    const char *name;
    struct conf_list endpoints;        /* struct endpoint_settings */
    int balance;                       /* enum balance */
    struct hash_settings *hash;        /* with BALANCE_HASH, else NULL */
    int proxy_protocol;                /* the version that is sent; 0: none */
    struct upstream_tls_settings *tls; /* NULL: plain */
    int protocol;                      /* enum upstream_protocol */
    struct timeout_settings timeout;
    struct pool_settings keepalive;
    int64_t max_connections;      /* in use, an endpoint and worker; 0: no limit */
    struct queue_settings *queue; /* with max_connections, else NULL */
    struct retry_settings retry;
    struct health_settings *health;         /* NULL: no probes */
    struct ejection_settings *ejection;     /* NULL: none */
    struct slow_start_settings *slow_start; /* NULL: all of its share at once */
    bool panic;                             /* when no endpoint is healthy all of them are tried */
    struct breaker_settings *breaker;       /* NULL: none */
    struct hedge_settings *hedge;           /* likewise */
    struct adaptive_settings *adaptive;     /* likewise */
};

/* What a header field or a query parameter must be; without equals, prefix and regex: there. */
struct condition_settings {
    struct origin origin;
    const char *name;
    const char *equals, *prefix, *regex; /* one of them, or none */
    bool negated;                        /* `not` */
};

/* One of path, prefix and regex. */
struct match_settings {
    struct origin origin;
    const char *path;          /* "/users/{id}", "/files/{rest*}" */
    const char *prefix;        /* "/static": the path itself and all below */
    const char *regex;         /* "/users/(?<id>\\d+)": of the path below the API's prefix */
    struct origin path_origin; /* of whichever is there */
    struct conf_strings methods;
    struct conf_list headers, query; /* struct condition_settings */
    int64_t priority;
};

struct route_settings {
    struct origin origin;
    const char *name; /* NULL: none given */
    struct match_settings match;
    struct conf_policies policies;
};

enum version_by { VERSION_PATH, VERSION_HEADER, VERSION_MEDIA_TYPE };

struct version_settings {
    struct origin origin;
    const char *name;                      /* "2" */
    int by;                                /* enum version_by */
    const char *header;                    /* by header: the field */
    const char *segment;                   /* by path: what stands behind the prefix, "v2" */
    bool standard;                         /* `default`: for requests that name no version */
    const char *deprecation, *sunset;      /* as written; NULL: none */
    uint64_t deprecated_from, sunset_from; /* parsed: seconds of the wall clock */
    const char *link;                      /* where the deprecation is told of */
};

struct api_settings {
    struct origin origin;
    const char *name;
    struct conf_strings host;         /* "a.example.com", "*.example.com"; none: any */
    const char *prefix;               /* before every path of its routes; NULL: none */
    struct version_settings *version; /* NULL: it has none */
    struct conf_strings listeners;    /* names; none: all */
    struct conf_policies policies;
    struct conf_list routes; /* struct route_settings */
};

struct defaults_settings {
    struct origin origin;
    struct conf_policies policies;
};

/* A key of a consumer: its digest alone is known here. */
struct consumer_key_settings {
    struct origin origin;
    const char *digest;       /* "sha256:" and 64 hexadecimal digits */
    const char *expires;      /* a time; NULL: never */
    unsigned char sha256[32]; /* derived */
    uint64_t expires_at;      /* derived: seconds of the wall clock; 0: never */
};

struct consumer_metadata_settings {
    struct origin origin;
    const char *name, *value;
};

/* Somebody who calls the services behind: a person, a partner, a program. */
struct consumer_settings {
    struct origin origin;
    const char *name;
    struct conf_list keys; /* struct consumer_key_settings */
    const char *plan;      /* NULL: none */
    struct conf_strings groups;
    struct conf_list metadata; /* struct consumer_metadata_settings */
    const char *expires;       /* a time; NULL: never */
    bool enabled;
    uint64_t expires_at; /* derived: seconds of the wall clock; 0: never */
};

struct consumers; /* consumers.h */

/* The keys of an issuer of tokens, which the keeper fetches. */
struct key_set_settings {
    struct origin origin;
    const char *name;
    const char *url, *issuer;          /* one of them */
    struct upstream_tls_settings *tls; /* for https; NULL: the defaults */
    int64_t timeout;
    int64_t refresh, min_refresh, max_refresh; /* ms */
    struct setting at;                         /* of url or issuer */
};

struct settings {
    struct origin origin;
    int64_t workers; /* 0: one a CPU */
    const char *user, *group;
    const char *pidfile, *control;
    int64_t start_timeout; /* milliseconds */
    int64_t drain_timeout; /* milliseconds; 0: no limit */
    int64_t watchdog;      /* milliseconds; 0: off */
    int64_t max_generations;
    int64_t max_connections;             /* of clients, a worker */
    struct conf_strings trusted_proxies; /* addresses whose X-Request-Id and X-Forwarded-* are believed */
    struct network *trusted;             /* derived: the same, parsed */
    struct state_settings state;
    struct log_settings log;
    struct admin_settings admin;
    struct client_settings client;
    struct forwarded_settings forwarded;
    struct resolver_settings resolver;
    struct shed_settings shed;
    struct tls_node_settings tls;
    struct conf_declared auth;              /* what policies of identity name */
    struct conf_list consumers;             /* struct consumer_settings */
    const struct consumers *consumer_table; /* derived */
    struct conf_list listeners;             /* struct listener_settings */
    struct conf_list upstreams;             /* struct upstream_settings */
    struct conf_list key_sets;              /* struct key_set_settings */
    struct conf_list apis;                  /* struct api_settings */
    struct defaults_settings defaults;
};

/* How many addresses its endpoints may have in all. */
static inline unsigned upstream_places(const struct upstream_settings *upstream)
{
    unsigned count = 0;
    for (unsigned i = 0; i < upstream->endpoints.count; i++)
        count += endpoint_places(upstream->endpoints.items[i]);
    return count;
}

extern const struct section settings_section;
extern const struct section header_condition_section; /* settings_match.c: of a struct condition_settings */
extern const char *const health_methods[];            /* by health_settings.method */

#endif
