/* hash: the same key goes to the same endpoint, in every worker, in every gateway with these endpoints, and after every
 * reload.
 *
 * By weighted rendezvous hashing (Thaler and Ravishankar; with weights: Schindelhauer and Schomaker): key and endpoint
 * together give each endpoint a score, and the best has the key. Against a ring: shares are exact by weight (a ring of
 * 160 points an endpoint is off by 8 %), an endpoint that comes or goes moves exactly its own share of the keys, those of
 * one that is out spread over all others by weight, and there is no table to build or to keep in the cache. The price is
 * a look at every endpoint, a multiplication each, as round-robin does. The order in the file has no part in it.
 *
 * Loads are bounded (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads"): an endpoint takes no
 * more than `load` times its share, by weight, of the calls in progress; beyond it the key goes to the next best.
 */
#include <math.h>

#include "shared/base/hash.h"
#include "worker/request/request.h"
#include "worker/upstream/balance.h"

struct hash_point {
    uint64_t seed;
    double inverse; /* of the weight */
};

enum { KEY_MAX = 16384 };

/* The finaliser of splitmix64: every bit of the input changes every bit of the output. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/* At present: one that came back lately gets its keys back little by little. */
static double weight_of(const struct endpoint *endpoint)
{
    return endpoint->weight * endpoint_portion(endpoint);
}

/* The best has the least -ln(u) / weight, u uniform in (0, 1): exponential with the rate `weight`, so that each is the
 * least with its weight's probability. As -ln(u) >= 1 - u, hardly any logarithm is worked out. */
static struct endpoint *best_of(struct cluster *cluster, const struct choice *choice, double bound)
{
    const struct hash_point *points = cluster->points;
    struct endpoint *best = NULL;
    double least = INFINITY;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        double u = ((double)(mix(choice->key ^ points[i].seed) >> 11) + 0.5) * 0x1p-53;
        if ((1 - u) * points[i].inverse >= least || !choice_allows(choice, endpoint) ||
            (bound < INFINITY && endpoint_load_summed(endpoint) >= bound * weight_of(endpoint)))
            continue;
        double score = -log(u) * points[i].inverse / endpoint_portion(endpoint);
        if (score < least) {
            least = score;
            best = endpoint;
        }
    }
    return best;
}

/* An endpoint may have fewer than this for each of its weight: active < x is active < ceil(x). It is over all that the
 * choice allows, so that one of them is always below it. */
static double bound_of(struct cluster *cluster, const struct choice *choice, double load)
{
    double weight = 0;
    uint64_t active = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct endpoint *endpoint = &cluster->endpoints[i];
        if (choice_allows(choice, endpoint)) {
            weight += weight_of(endpoint);
            active += endpoint_load_summed(endpoint);
        }
    }
    return load * (double)(active + 1) / weight;
}

/* An idle endpoint is below any bound, so that a cluster with little to do is looked at once. */
static struct endpoint *pick(struct cluster *cluster, const struct choice *choice)
{
    if (!choice->key)
        return balance_draw(cluster, choice, NULL);
    struct endpoint *best = best_of(cluster, choice, INFINITY);
    double load = cluster->settings->hash->load;
    uint32_t in_progress = best && load > 0 ? endpoint_load(best) : 0;
    if (in_progress == 0)
        return best;
    cluster_sum_loads(cluster);
    in_progress = endpoint_load_summed(best);
    double bound = bound_of(cluster, choice, load);
    return in_progress < bound * weight_of(best) ? best : best_of(cluster, choice, bound);
}

static const struct expr *compile_key(const struct upstream_settings *settings, struct arena *arena,
                                      struct errors *errors)
{
    const char *why;
    struct str constant;
    const struct expr *key = expr_compile(arena, settings->hash->by, request_names, false, &why);
    if (!key)
        errors_add(errors, settings->hash->origin, "upstreams.%s.hash.by: %s", settings->name, why);
    else if (expr_constant(key, &constant))
        errors_add(errors, settings->hash->origin,
                   "upstreams.%s.hash.by: \"%s\" is the same for all requests (write \"${client}\", "
                   "\"${header.x-user}\" or the like)",
                   settings->name, settings->hash->by);
    return key;
}

static void compile(struct balancing *balancing, const struct upstream_settings *settings,
                    struct arena *arena, struct errors *errors)
{
    if (settings->hash)
        balancing->key = compile_key(settings, arena, errors);
}

/* By the text of the address, so that every worker and every gateway comes to the same. */
static void weigh(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct endpoint *endpoint = &cluster->endpoints[i];
        char text[ADDRESS_TEXT_SIZE];
        if (!endpoint_is_there(endpoint)) {
            cluster->points[i] = (struct hash_point){0, INFINITY}; /* never the least */
            continue;
        }
        size_t length = address_format(endpoint->address, text);
        cluster->points[i] =
            (struct hash_point){hash_name((struct str){text, length}), 1.0 / (double)endpoint->weight};
    }
}

static void open(struct cluster *cluster, struct arena *arena)
{
    cluster->points = arena_array(arena, cluster->count, sizeof *cluster->points);
}

/* Not a keyed hash: who can choose the key chooses the endpoint anyway, and other gateways must come to the same. What
 * is longer than KEY_MAX counts as empty. */
uint64_t cluster_hash(const struct cluster *cluster, struct request *request)
{
    char memory[KEY_MAX];
    struct buf key = buf_on(memory, sizeof memory);
    request_eval(request, cluster->key, EXPR_PLAIN, &key);
    if (key.length == 0 || key.overflow)
        return 0;
    uint64_t hash = hash_name(buf_str(&key));
    return hash ? hash : 1;
}

const struct balancer balance_hash = {
    .name = "hash", .pick = pick, .open = open, .weigh = weigh, .compile = compile};
