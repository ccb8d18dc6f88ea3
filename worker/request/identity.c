/* identity: see identity.h. */
#include "worker/request/identity.h"

#include "worker/request/request.h"

const struct row scheme_rows[] = {
    ROW_(ROW_STRINGS, struct scheme_settings, use, .flags = ROW_REQUIRED,
         .help = "the names under auth that the route takes, any of them"),
    ROW_END,
};

void identity_begin_any(struct request *request)
{
    request->identifying = arena_zalloc(request->arena, sizeof *request->identifying);
}

static enum verdict missing(struct request *request)
{
    return request_fail(request, PROBLEM_CREDENTIALS_MISSING,
                        "the route wants to know who calls (WWW-Authenticate tells how)");
}

enum verdict identity_end_any(struct request *request)
{
    const struct identifying *identifying = request->identifying;
    if (request->identity)
        return VERDICT_NEXT;
    if (!identifying->problem)
        return missing(request);
    return request_fail(request, identifying->problem, "%s", identifying->detail);
}

bool identity_settled(const struct request *request)
{
    return request->identifying && request->identity;
}

/* What the earlier one lacks is the later one's. */
static const struct identity *merged(struct request *request, const struct identity *first,
                                     const struct identity *second)
{
    struct identity *both = arena_alloc(request->arena, sizeof *both);
    *both = *first;
    if (!both->subject.length)
        both->subject = second->subject;
    if (!both->consumer)
        both->consumer = second->consumer;
    if (!both->claim) {
        both->claim = second->claim;
        both->claims = second->claims;
    }
    if (second->expires && (!both->expires || second->expires < both->expires))
        both->expires = second->expires;
    return both;
}

enum verdict identity_accept(struct request *request, const struct identity *identity)
{
    const struct identity *first = request->identity;
    if (first && first->consumer && identity->consumer && first->consumer != identity->consumer)
        return identity_reject(request, PROBLEM_CREDENTIALS_REFUSED,
                               "the credentials are those of different consumers");
    request->identity = first ? merged(request, first, identity) : identity;
    return VERDICT_NEXT;
}

enum verdict identity_absent(struct request *request)
{
    return request->identifying ? VERDICT_NEXT : missing(request);
}

enum verdict identity_reject(struct request *request, enum problem problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *detail = arena_vprintf(request->arena, format, arguments);
    va_end(arguments);
    struct identifying *identifying = request->identifying;
    if (!identifying)
        return request_fail(request, problem, "%s", detail);
    if (!identifying->problem) {
        identifying->problem = problem;
        identifying->detail = detail;
    }
    return VERDICT_NEXT;
}

void identity_challenge(struct request *request)
{
    const struct chain *chain = request->chain;
    for (const struct link *link = chain->links, *end = link + chain->count; link < end; link++)
        if (link->policy->challenge)
            link->policy->challenge(request, link->compiled);
}
