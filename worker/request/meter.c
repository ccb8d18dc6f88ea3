/* meter: the keys of limits, quotas and concurrency, and their common answers. Called by those policies.
 *
 * A key is a hash of the meter's identity (where it is written, or its name) and of the values that it tells requests
 * apart by, each with its length before it, so that no two lists of values look alike.
 */
#include "worker/request/meter.h"

#include "shared/base/hash.h"
#include "shared/base/log.h"

enum part_kind { PART_IP, PART_EXPR };

struct meter_part {
    enum part_kind kind;
    unsigned ipv6_prefix;
    const struct expr *expr;
};

const char *const meter_when_full_words[] = {"admit", "reject", NULL};
const char *const meter_count_words[] = {"requests", "bytes", "bytes_in", "bytes_out", NULL};

/* --- compiling --- */

void meter_check(struct conf_loader *loader, const struct meter_settings *settings)
{
    enum { PARTS_MOST = 8 };
    if (settings->by.count == 0 || settings->by.count > PARTS_MOST)
        conf_error(loader, settings->origin, "by", "has %u parts (write 1 to %d of them)", settings->by.count,
                   PARTS_MOST);
    for (const char *c = settings->name ? settings->name : ""; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\') {
            conf_error(loader, settings->origin, "name",
                       "\"%s\" can't stand in a field (write printable ASCII, without \" and \\)",
                       settings->name);
            break;
        }
    if (settings->name && !*settings->name)
        conf_error(loader, settings->origin, "name", "is empty (leave it out)");
}

static bool same_strings(const struct conf_strings *a, const struct conf_strings *b)
{
    for (unsigned i = 0; a->count == b->count && i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return a->count == b->count;
}

/* Where the use of the policy that has this configuration stands in a level's list. */
struct standing {
    unsigned like;    /* of those before it that have the same `by` and no name */
    unsigned unnamed; /* of those before it without a name */
    bool twice;       /* one of them has the same name and `by`, and would count the same again */
};

static bool stands_in(const struct conf_policies *level, const struct meter_settings *settings,
                      const char *policy, struct standing *standing)
{
    *standing = (struct standing){0, 0, false};
    for (unsigned i = 0; i < level->count; i++) {
        const struct meter_settings *other = level->items[i].conf;
        if (level->items[i].off || strcmp(level->items[i].extension->name, policy) != 0)
            continue;
        if (other == settings)
            return true;
        standing->twice |= other->name && settings->name && strcmp(other->name, settings->name) == 0 &&
                           same_strings(&other->by, &settings->by);
        standing->unnamed += !other->name;
        standing->like += !other->name && same_strings(&other->by, &settings->by);
    }
    return false;
}

static bool same_match(const struct match_settings *a, const struct match_settings *b)
{
    const char *one[] = {a->path, a->prefix, a->regex}, *other[] = {b->path, b->prefix, b->regex};
    for (unsigned i = 0; i < 3; i++)
        if ((one[i] != NULL) != (other[i] != NULL) || (one[i] && strcmp(one[i], other[i]) != 0))
            return false;
    return same_strings(&a->methods, &b->methods);
}

/* A route as its limits know it, over all configurations: its name, or what it matches; the same with and without the
 * segment of its version. */
static const char *route_identity(const struct route *route, struct arena *arena)
{
    const struct route_settings *settings = route->settings;
    const struct match_settings *match = &settings->match;
    if (settings->name)
        return arena_printf(arena, "%s\n%s", route->api->name, settings->name);
    const char *kind = match->path ? "path" : match->prefix ? "prefix" : "regex";
    const char *text = match->path ? match->path : match->prefix ? match->prefix : match->regex;
    unsigned before = 0;
    for (unsigned i = 0; route->api->routes.items[i] != settings; i++) {
        const struct route_settings *other = route->api->routes.items[i];
        before += !other->name && same_match(&other->match, match);
    }
    text = arena_printf(arena, "%s\n\n%s\n%s\n%u", route->api->name, kind, text, before);
    for (unsigned i = 0; i < match->methods.count; i++)
        text = arena_printf(arena, "%s\n%s", text, match->methods.items[i]);
    return text;
}

/* Where it is written; `name` is that for people. */
static const char *place_of(struct compiler *compiler, const struct meter_settings *settings,
                            struct standing *standing, const char **name)
{
    const struct route *route = compiler->route;
    struct arena *arena = compiler->arena;
    if (route && stands_in(&route->settings->policies, settings, compiler->policy, standing)) {
        *name = arena_printf(arena, "%s/%.*s", route->api->name, STR_ARG(route->name));
        return arena_printf(arena, "route\n%s", route_identity(route, arena));
    }
    if (route && stands_in(&route->api->policies, settings, compiler->policy, standing)) {
        *name = route->api->name;
        return arena_printf(arena, "api\n%s", route->api->name);
    }
    stands_in(&compiler->settings->defaults.policies, settings, compiler->policy, standing);
    *name = "defaults";
    return "defaults";
}

/* Text without variables. */
static bool is_plain(const char *text)
{
    return !strstr(text, "${");
}

/* consumer, consumer.plan, and so on. */
static bool names_identity(const char *name)
{
    static const char *const words[] = {"consumer", "claim", "auth"};
    size_t length = strcspn(name, ".}:");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length && strncmp(name, words[i], length) == 0)
            return true;
    return false;
}

bool meter_needs_identity(const void *conf)
{
    const struct meter_settings *settings = conf;
    for (unsigned i = 0; i < settings->by.count; i++) {
        const char *text = settings->by.items[i];
        if (is_plain(text) && names_identity(text))
            return true;
        for (const char *name = text; (name = strstr(name, "${"));)
            if (names_identity(name += 2))
                return true;
    }
    return false;
}

/* One element of `by`. What is the same for all requests of the route goes into `*fixed`, the identity's text. */
static bool compile_part(struct compiler *compiler, const struct meter_settings *settings, const char *text,
                         struct meter_part *parts, unsigned *count, const char **fixed)
{
    struct arena *arena = compiler->arena;
    const struct route *route = compiler->route;
    *fixed = arena_printf(arena, "%s\nby %s", *fixed, text);
    if (strcmp(text, "all") == 0)
        return true;
    if (strcmp(text, "api") == 0) {
        *fixed = arena_printf(arena, "%s %s", *fixed, route ? route->api->name : "");
        return true;
    }
    if (strcmp(text, "route") == 0) {
        *fixed = arena_printf(arena, "%s %s", *fixed, route ? route_identity(route, arena) : "");
        return true;
    }
    struct meter_part *part = &parts[(*count)++];
    if (strcmp(text, "ip") == 0) {
        *part = (struct meter_part){.kind = PART_IP, .ipv6_prefix = (unsigned)settings->ipv6_prefix};
        return true;
    }
    *part = (struct meter_part){.kind = PART_EXPR};
    part->expr =
        compile_expr(compiler, "by", is_plain(text) ? arena_printf(arena, "${%s}", text) : text, false);
    return part->expr;
}

static struct str label_of(struct compiler *compiler, const struct meter_settings *settings,
                           const struct standing *standing)
{
    if (settings->name)
        return str_of(settings->name);
    return str_of(standing->unnamed
                      ? arena_printf(compiler->arena, "%s-%u", compiler->policy, standing->unnamed + 1)
                      : compiler->policy);
}

bool meter_compile(struct compiler *compiler, const void *conf, const char *variant, struct meter *meter)
{
    const struct meter_settings *settings = conf;
    struct arena *arena = compiler->arena;
    struct meter_part *parts = arena_array(arena, settings->by.count, sizeof *parts);
    struct standing standing;
    const char *people;
    const char *text = place_of(compiler, settings, &standing, &people);
    bool good = !standing.twice;
    if (standing.twice)
        compile_error(compiler, "name",
                      "\"%s\" stands here twice with the same `by`: each request would count "
                      "twice (leave one out, or name it otherwise)",
                      settings->name);
    if (settings->name)
        text = arena_printf(arena, "name\n%s", settings->name);
    else
        text = arena_printf(arena, "%s\n%u", text, standing.like);
    text = arena_printf(arena, "%s\n%s\n%s", compiler->policy, variant, text);
    *meter = (struct meter){.parts = parts,
                            .label = label_of(compiler, settings, &standing),
                            .admit_when_full = settings->when_full == METER_ADMIT,
                            .dry_run = settings->dry_run};
    for (unsigned i = 0; i < settings->by.count; i++)
        good &= compile_part(compiler, settings, settings->by.items[i], parts, &meter->part_count, &text);
    meter->name =
        settings->name ? meter->label : str_of(arena_printf(arena, "%s of %s", meter->label.data, people));
    meter->identity = hash_name(str_of(text));
    return good;
}

/* --- keys --- */

static void add_address(struct buf *out, const struct address *address, unsigned ipv6_prefix)
{
    if (address->any.sa_family == AF_INET) {
        buf_add(out, (const char *)&address->in.sin_addr, sizeof address->in.sin_addr);
    } else if (address->any.sa_family == AF_INET6) {
        unsigned char bytes[16];
        memcpy(bytes, &address->in6.sin6_addr, sizeof bytes);
        for (unsigned i = 0; i < sizeof bytes; i++) {
            unsigned bits = ipv6_prefix > 8 * i ? ipv6_prefix - 8 * i : 0;
            bytes[i] &= bits >= 8 ? 0xff : (unsigned char)(0xff00 >> bits);
        }
        buf_add(out, (const char *)bytes, sizeof bytes);
    } else {
        BUF_LITERAL(out, "unix");
    }
}

enum { KEY_BYTES = 4096 };

/* What the key is the hash of, in `memory`; NULL data: it is too long. */
static struct str key_bytes(const struct meter *meter, struct request *request, char memory[KEY_BYTES])
{
    struct buf out = buf_on(memory, KEY_BYTES);
    buf_add(&out, (const char *)&meter->identity, sizeof meter->identity);
    for (const struct meter_part *part = meter->parts, *end = part + meter->part_count; part < end; part++) {
        size_t from = out.length + sizeof(uint32_t);
        uint32_t length = 0;
        buf_add(&out, (const char *)&length, sizeof length);
        if (part->kind == PART_IP)
            add_address(&out, request_client(request), part->ipv6_prefix);
        else
            request_eval(request, part->expr, EXPR_PLAIN, &out);
        if (out.overflow)
            return (struct str){NULL, 0};
        length = (uint32_t)(out.length - from);
        memcpy(memory + from - sizeof length, &length, sizeof length);
    }
    return buf_str(&out);
}

/* --- what counts --- */

/* "404", "4xx" or "500-599": the bits are set. False: it is none of them. */
static bool set_statuses(struct str text, struct meter_when *when)
{
    uint64_t first, last;
    struct str end = text, begin = str_cut(&end, '-');
    bool class = text.length == 3 && text.data[1] == 'x' && text.data[2] == 'x';
    if (class && text.data[0] >= '1' && text.data[0] <= '5') {
        first = 100 * (uint64_t)(text.data[0] - '0');
        last = first + 99;
    } else {
        if (!str_to_u64(begin, 599, &first) || (end.data && !str_to_u64(end, 599, &last)))
            return false;
        last = end.data ? last : first;
    }
    for (uint64_t status = first; status <= last; status++)
        when->statuses[status / 64] |= (uint64_t)1 << (status % 64);
    return first >= 100 && first <= last;
}

static void check_when(struct conf_loader *loader, void *structure)
{
    const struct meter_when_settings *settings = structure;
    struct meter_when ignored = {{0}};
    for (unsigned i = 0; i < settings->status.count; i++)
        if (!set_statuses(str_of(settings->status.items[i]), &ignored))
            conf_error(loader, settings->origin, "status",
                       "\"%s\" is no status (write \"200\", \"2xx\" or \"500-599\")",
                       settings->status.items[i]);
}

static const struct row when_rows[] = {
    ROW_(ROW_STRINGS, struct meter_when_settings, status,
         .help = "the statuses that count: 200, 2xx, 500-599; without it: all"),
    ROW_END,
};

const struct section meter_when_section = {.name = "count_when",
                                           .size = sizeof(struct meter_when_settings),
                                           .rows = when_rows,
                                           .shorthand = "status",
                                           .check = check_when};

struct meter_when meter_when(const struct conf_strings *statuses)
{
    struct meter_when when = {{0}};
    for (unsigned i = 0; i < statuses->count; i++)
        set_statuses(str_of(statuses->items[i]), &when);
    if (statuses->count == 0)
        memset(&when, 0xff, sizeof when);
    return when;
}

bool meter_when_holds(const struct meter_when *when, const struct request *request)
{
    unsigned status = request->response.status;
    return status < 600 && (when->statuses[status / 64] >> (status % 64) & 1);
}

/* UINT32_MAX at most: a number that is too large must not be a cheap one. */
static bool number_of(struct str text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(text.data[i] - '0');
        if (*number > UINT32_MAX)
            *number = UINT32_MAX;
    }
    return text.length > 0;
}

const struct expr *meter_cost(struct compiler *compiler, const char *text, uint64_t most, uint64_t *cost)
{
    if (!text)
        return NULL;
    if (is_plain(text)) {
        if (!number_of(str_of(text), cost))
            compile_error(compiler, "cost", "\"%s\" is no number (write \"5\", or a text with ${…})", text);
        else if (*cost > most)
            compile_error(compiler, "cost", "%s is more than can ever be had at once (%llu)", text,
                          (unsigned long long)most);
        return NULL;
    }
    return compile_expr(compiler, "cost", text, false);
}

uint64_t meter_cost_of(struct request *request, const struct expr *expr)
{
    char memory[32];
    struct buf out = buf_on(memory, sizeof memory);
    uint64_t cost;
    request_eval(request, expr, EXPR_PLAIN, &out);
    if (out.overflow) /* longer than any number that makes sense */
        return UINT32_MAX;
    return number_of(buf_str(&out), &cost) ? cost : 1;
}

uint64_t meter_bytes_of(const struct request *request, enum meter_count count)
{
    struct exchange *exchange = request->exchange;
    uint64_t in = exchange->bytes_in, out = exchange->ops->sent(exchange);
    switch (count) {
    case METER_BYTES_BOTH:
        return in + out;
    case METER_BYTES_IN:
        return in;
    case METER_BYTES_OUT:
        return out;
    case METER_REQUESTS:
        break;
    }
    return 1;
}

/* --- notes --- */

void *meter_find(const struct request *request, const void *owner)
{
    struct meter_note *note = request->meter_notes;
    while (note && note->owner != owner)
        note = note->next;
    return note;
}

void *meter_note(struct request *request, const struct meter *meter, const void *owner, size_t size,
                 uint64_t (*hash)(const void *zone, const void *data, size_t length), const void *zone)
{
    char memory[KEY_BYTES];
    struct meter_note *note = meter_find(request, owner);
    if (note)
        return note;
    struct str bytes = key_bytes(meter, request, memory);
    if (!bytes.data) {
        request_fail(request, PROBLEM_FIELDS_TOO_LARGE, "what %.*s counts by is longer than %d bytes",
                     STR_ARG(meter->name), KEY_BYTES);
        return NULL;
    }
    note = arena_zalloc(request->arena, size);
    note->owner = owner;
    note->key = hash(zone, bytes.data, bytes.length);
    note->next = request->meter_notes;
    request->meter_notes = note;
    return note;
}

/* The request is refused by one of them: it doesn't count for the others. */
static void undo_all(struct request *request)
{
    for (struct meter_note *note = request->meter_notes; note; note = note->next) {
        if (note->undo)
            note->undo(request, note);
        note->undo = NULL;
    }
}

/* --- answers --- */

static enum verdict refuse(struct request *request, const struct meter *meter, enum problem problem,
                           const char *detail)
{
    struct worker *worker = request->worker;
    struct log_seldom *said = &worker->meter_said;
    stat_add(worker->stats, meter->dry_run ? STAT_LIMITED_DRY : STAT_LIMITED, 1);
    if (!meter->dry_run) {
        undo_all(request);
        request->problem = problem;
        request->detail = (char *)detail;
        return VERDICT_FAIL;
    }
    if (log_seldom(said, worker->loop.now_ms))
        log_notice("%.*s would refuse request %.*s (dry_run; %u more lines left out)", STR_ARG(meter->name),
                   STR_ARG(request->id), said->left_out);
    return VERDICT_NEXT;
}

/* Where there is no room is said by the policy's name: state.limits, state.quotas, state.concurrency. */
static void say_full(struct request *request, const struct meter *meter, const char *what)
{
    struct worker *worker = request->worker;
    struct log_seldom *said = &worker->meter_full_said;
    stat_add(worker->stats, STAT_UNCOUNTED, 1);
    if (log_seldom(said, worker->loop.now_ms))
        log_warning("%.*s: no room to count %s (give it more memory, see state; %u more lines left out)",
                    STR_ARG(meter->name), what, said->left_out);
}

static enum verdict full(struct request *request, const struct meter *meter)
{
    say_full(request, meter,
             meter->admit_when_full ? "a request, which is let through" : "a request, which is refused");
    if (meter->admit_when_full)
        return VERDICT_NEXT;
    return refuse(request, meter, PROBLEM_UNCOUNTED,
                  "there is no room to count this request; try again later");
}

void meter_lost(struct request *request, const struct meter *meter)
{
    say_full(request, meter, "bytes");
}

/* The policy that armed the wait is the one that was entered last. */
static void again(struct request *request)
{
    const struct link *link = &request->chain->links[request->entered - 1];
    request_resume(request, link->policy->on_request(request, link->compiled));
}

static enum verdict busy(struct request *request, const struct meter *meter, struct meter_note *note)
{
    enum { LONGEST_MS = 1000, PAUSE_MS = 1 };
    uint64_t now = request->worker->loop.now_ms;
    if (!note->busy_since)
        note->busy_since = now;
    if (now - note->busy_since >= LONGEST_MS)
        return full(request, meter);
    request_wait(request, "meter", PAUSE_MS, again, NULL);
    return VERDICT_WAIT;
}

enum verdict meter_decide(struct request *request, const struct meter *meter, struct meter_note *note,
                          enum count_verdict verdict)
{
    switch (verdict) {
    case COUNT_ADMITTED:
        return VERDICT_NEXT;
    case COUNT_REFUSED:
        return refuse(request, meter, meter->problem, meter->detail);
    case COUNT_NEVER:
        return refuse(request, meter, meter->problem, meter->detail_never);
    case COUNT_FULL:
        return full(request, meter);
    case COUNT_BUSY:
        return busy(request, meter, note);
    }
    return VERDICT_NEXT;
}

void meter_field(struct request *request, const struct meter *meter, struct str field,
                 const struct meter_parameter *parameters, unsigned count)
{
    size_t size = meter->label.length + 2 + count * 32;
    struct buf out = buf_on(arena_alloc(request->arena, size), size);
    buf_char(&out, '"');
    buf_str_add(&out, meter->label);
    buf_char(&out, '"');
    for (unsigned i = 0; i < count; i++) {
        buf_char(&out, ';');
        buf_str_add(&out, str_of(parameters[i].name));
        buf_char(&out, '=');
        buf_u64(&out, parameters[i].value);
    }
    request_add_field(request, field, buf_str(&out));
}

void meter_retry_after(struct request *request, uint64_t seconds)
{
    enum { DIGITS = 20 };
    struct buf out = buf_on(arena_alloc(request->arena, DIGITS), DIGITS);
    buf_u64(&out, seconds ? seconds : 1);
    request_add_field(request, STR("Retry-After"), buf_str(&out));
}
