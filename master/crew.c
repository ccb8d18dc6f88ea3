/* crew: made by the transaction for each generation; the current one and the lasting one are kept full by the loop. */
#include "master/crew.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "master/master.h"
#include "master/spawn.h"
#include "shared/base/log.h"

enum { BACKOFF_FIRST_MS = 1000, BACKOFF_MOST_MS = 30000 };

/* How long the keeper may take to write down what it has and go, before its successor is told GO. */
enum { SINGLE_GRACE_MS = 5000 };

static unsigned role_count(const struct role *role, const struct settings *settings)
{
    return role->count ? role->count(settings) : 1;
}

/* Calls for the posts of one kind of crew: counts them, and fills them in when there is a crew. */
static unsigned posts(struct crew *crew, const struct settings *settings)
{
    unsigned count = 0;
    for (const struct role *role = roles; role < roles + ROLE_COUNT; role++) {
        if (!role->main || role->lasting != (settings == NULL))
            continue;
        unsigned many = role_count(role, settings);
        for (unsigned i = 0; crew && i < many; i++)
            crew->posts[count + i] =
                (struct post){.role = role, .number = i, .crew = crew, .inbox = {-1, -1}};
        count += many;
    }
    return count;
}

unsigned crew_size(const struct settings *settings)
{
    return posts(NULL, settings);
}

struct crew *crew_new(struct generation *generation, struct inheritance *inheritance, unsigned max_files)
{
    const struct settings *settings = generation ? generation->settings : NULL;
    unsigned count = posts(NULL, settings);
    struct crew *crew = calloc(1, sizeof(*crew) + count * sizeof(struct post));
    if (!crew)
        abort();
    crew->generation = generation;
    if (inheritance)
        crew->inheritance = *inheritance;
    crew->max_files = max_files;
    crew->count = count;
    posts(crew, settings);
    return crew;
}

int crew_open_inbox(struct post *post)
{
    if (!(post->role->inherits & INHERIT_INBOX) || post->inbox[0] >= 0)
        return 0;
    return channel_pair(post->inbox);
}

static void close_inbox(struct post *post)
{
    for (unsigned i = 0; i < 2; i++) {
        if (post->inbox[i] >= 0)
            close(post->inbox[i]);
        post->inbox[i] = -1;
    }
}

void crew_succeeds(const struct crew *crew, struct child *child)
{
    struct channel_message message = {.verb = CHANNEL_SUCCESSORS};
    unsigned count = crew ? crew->count : 0;
    /* Where there are more than one is told of, each begins at another. */
    for (unsigned i = 0; i < count && message.fd_count < CHANNEL_FDS; i++) {
        const struct post *post = &crew->posts[(child->number + i) % count];
        if (post->role == child->role && post->inbox[1] >= 0)
            message.fds[message.fd_count++] = post->inbox[1];
    }
    if (child->channel >= 0 && channel_send(child->channel, &message) && errno != EPIPE)
        log_warning("%s can't be told who takes its connections over: %m", child_name(child).text);
}

void crew_free(struct master *master, struct crew **crew)
{
    if (!*crew)
        return;
    LIST_EACH(link, &master->children)
    {
        struct child *child = CONTAINER_OF(link, struct child, link);
        if (child->post && child->post->crew == *crew)
            child->post = NULL;
    }
    for (unsigned i = 0; i < (*crew)->count; i++)
        close_inbox(&(*crew)->posts[i]);
    listen_forget(&(*crew)->inheritance);
    generation_free(&(*crew)->generation);
    free(*crew);
    *crew = NULL;
}

int crew_start(struct master *master, struct crew *crew, char *why, size_t size)
{
    for (unsigned i = 0; i < crew->count; i++)
        if (spawn_post(master, &crew->posts[i], why, size))
            return -1;
    return 0;
}

const struct post *crew_late(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        const struct post *post = &crew->posts[i];
        if (!post->child || post->child->state == CHILD_STARTING)
            return post;
    }
    return NULL;
}

void crew_refill(struct master *master, struct crew *crew)
{
    char why[256];
    for (unsigned i = 0; i < crew->count; i++) {
        struct post *post = &crew->posts[i];
        if (post->child || master->now < post->due)
            continue;
        if (spawn_post(master, post, why, sizeof(why)) == 0)
            continue;
        post->backoff = crew_backoff(post->backoff, true);
        post->due = master->now + post->backoff;
        log_error("%s %u can't be started: %s; tried again in %u s", post->role->name, post->number, why,
                  post->backoff / 1000);
    }
}

/* Whether another one of its role lives; it is told to make room, if it is not on its way already. */
static bool must_wait(struct master *master, const struct child *child)
{
    bool wait = false;
    LIST_EACH(link, &master->children)
    {
        struct child *other = CONTAINER_OF(link, struct child, link);
        /* Those of a transaction in progress wait for GO themselves. What outlives generations has a set of its own. */
        if (other == child || other->role != child->role ||
            (other->post && other->post->crew != child->post->crew) ||
            (child->role->lasting && other->set != child->set))
            continue;
        if (master->state != MASTER_STARTING) /* before that nothing of an older program is touched */
            child_stop(master, other, SINGLE_GRACE_MS);
        wait = true;
    }
    return wait;
}

void crew_go(struct master *master, struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        struct child *child = crew->posts[i].child;
        if (child && child->state == CHILD_READY && !(child->role->single && must_wait(master, child)))
            child_go(master, child);
    }
}

unsigned crew_backoff(unsigned before, bool early)
{
    if (!early)
        return 0;
    if (before == 0)
        return BACKOFF_FIRST_MS;
    return before > BACKOFF_MOST_MS / 2 ? BACKOFF_MOST_MS : before * 2;
}
