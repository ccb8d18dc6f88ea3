/* The table of pairs under limits and quotas: keys that share buckets, places that change hands, and processes that die at
 * each step of a change. The table is compiled into the test, which stops where its steps are. */
static void zone_step(const char *name);
#define PAIRS_STEP(name) zone_step(name)
#include "shared/shm/limits.h"
#include "shared/shm/pairs.c"
#include "tests/unit/zone.h"

/* Words: an idle one is 1, one in use is any other. */
static bool add_one(void *context, uint64_t word, uint64_t *next)
{
    (void)context;
    *next = word < 2 ? 3 : word + 1;
    return true;
}

static bool make_idle(void *context, uint64_t word, uint64_t *next)
{
    (void)context;
    *next = 1;
    return word != 1;
}

static bool keep(void *context, uint64_t word, uint64_t *next)
{
    *(uint64_t *)context = word;
    *next = 99;
    return false;
}

static bool idle(const void *context, uint64_t word)
{
    (void)context;
    return word == 1;
}

static void renew(void *context)
{
    (void)context;
}

static const struct pairs_rule adding = {add_one, idle, renew}, idling = {make_idle, idle, renew},
                               keeping = {keep, idle, renew};

static int open_small(void **state)
{
    (void)state;
    zone_open(2 * SEGMENT_PAGE);
    return 0;
}

static int open_large(void **state)
{
    (void)state;
    zone_open(4 << 20);
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    zone_close();
    return 0;
}

static uint64_t key_number(uint64_t number)
{
    return pairs_key(shared.limits, &number, sizeof number);
}

static enum pairs_result update(const struct lock_caller *caller, uint64_t key, const struct pairs_rule *rule)
{
    uint64_t ignored = 0;
    return pairs_update(shared.limits, caller, key, rule, &ignored, LOCK_TRIES);
}

/* Keys whose two buckets are those of `like`. */
static void colliding(uint64_t like, uint64_t *keys, unsigned count)
{
    struct bucket *first = bucket_of(shared.limits, like, 0), *second = bucket_of(shared.limits, like, 1);
    keys[0] = like;
    for (uint64_t number = 1000, found = 1; found < count; number++) {
        uint64_t key = key_number(number);
        if (bucket_of(shared.limits, key, 0) == first && bucket_of(shared.limits, key, 1) == second &&
            key != like)
            keys[found++] = key;
    }
}

static void layout(void **state)
{
    (void)state;
    const struct pairs *pairs = shared.limits;
    assert_int_equal((uintptr_t)bucket_of(pairs, 1, 0) % 64, 0);
    assert_true(pairs_room(pairs) >= 100);
    size_t size;
    assert_ptr_equal(segment_zone(&shared.segment, &limits_kind, &size), pairs);
    assert_true(pairs->buckets + pairs->bucket_count * sizeof(struct bucket) <= size);
    assert_true(sizeof(struct pairs) + pairs->lock_count * sizeof(struct lock) <= pairs->buckets);
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t key = key_number(i);
        assert_ptr_not_equal(bucket_of(pairs, key, 0), bucket_of(pairs, key, 1));
        for (unsigned which = 0; which < 2; which++) {
            size_t offset = (size_t)((char *)bucket_of(pairs, key, which) - (char *)pairs);
            assert_true(offset >= pairs->buckets && offset + sizeof(struct bucket) <= size);
        }
    }
    assert_true(key_number(1) != key_number(2) && key_number(1));
}

static void a_key_has_a_word(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    uint64_t key = key_number(1), other = key_number(2), seen = 77;
    assert_int_equal(pairs_word(shared.limits, key), 0);
    assert_int_equal(pairs_update(shared.limits, &caller, key, &keeping, &seen, 1), PAIRS_KEPT);
    assert_int_equal(seen, 0); /* it has none, and was not given one */
    assert_int_equal(pairs_word(shared.limits, key), 0);
    assert_int_equal(update(&caller, key, &adding), PAIRS_DONE);
    assert_int_equal(update(&caller, key, &adding), PAIRS_DONE);
    assert_int_equal(pairs_word(shared.limits, key), 4);
    assert_int_equal(pairs_word(shared.limits, other), 0);
    assert_int_equal(pairs_update(shared.limits, &caller, key, &keeping, &seen, 1), PAIRS_KEPT);
    assert_int_equal(seen, 4);
    assert_int_equal(pairs_word(shared.limits, key), 4);
}

/* Between its looks at the key and at the word the place becomes another key's, who is refused. */
static bool robbed_first(void *context, uint64_t word, uint64_t *next)
{
    struct robbery {
        unsigned calls;
        uint64_t key, other, last;
    } *robbery = context;
    struct pair *pair = find(shared.limits, robbery->key);
    robbery->last = word;
    *next = 5;
    if (robbery->calls++)
        return true;
    atomic_store(&pair->key, robbery->other);
    return false;
}

static void another_keys_word_refuses_nobody(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    const struct pairs_rule rule = {robbed_first, idle, renew};
    struct {
        unsigned calls;
        uint64_t key, other, last;
    } robbery = {.key = key_number(1)};
    uint64_t keys[2];
    colliding(robbery.key, keys, 2);
    robbery.other = keys[1];
    assert_int_equal(update(&caller, robbery.key, &adding), PAIRS_DONE);
    assert_int_equal(pairs_update(shared.limits, &caller, robbery.key, &rule, &robbery, LOCK_TRIES),
                     PAIRS_DONE);
    assert_int_equal(robbery.last, 0);
    assert_int_equal(pairs_word(shared.limits, robbery.key), 5);
    assert_int_equal(pairs_word(shared.limits, robbery.other), 3);
}

/* Eight keys fit into two buckets, the ninth doesn't, and gets the place of one that holds nothing. */
static void only_idle_ones_give_way(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    uint64_t keys[2 * OF_BUCKET + 2];
    colliding(key_number(1), keys, 2 * OF_BUCKET + 2);
    for (unsigned i = 0; i < 2 * OF_BUCKET; i++)
        assert_int_equal(update(&caller, keys[i], &adding), PAIRS_DONE);
    uint64_t ninth = keys[2 * OF_BUCKET], tenth = keys[2 * OF_BUCKET + 1];
    assert_int_equal(update(&caller, ninth, &adding), PAIRS_FULL);
    assert_int_equal(pairs_word(shared.limits, ninth), 0);
    for (unsigned i = 0; i < 2 * OF_BUCKET; i++)
        assert_int_equal(pairs_word(shared.limits, keys[i]), 3);
    assert_int_equal(update(&caller, keys[5], &idling), PAIRS_DONE);
    assert_int_equal(update(&caller, ninth, &adding), PAIRS_DONE);
    assert_int_equal(pairs_word(shared.limits, ninth), 3);
    assert_int_equal(pairs_word(shared.limits, keys[5]), 0);
    assert_int_equal(update(&caller, tenth, &adding), PAIRS_FULL);
    assert_int_equal(update(&caller, keys[5], &adding), PAIRS_FULL);
    for (unsigned i = 0; i < 2 * OF_BUCKET; i++)
        if (i != 5)
            assert_int_equal(pairs_word(shared.limits, keys[i]), 3);
}

/* Two buckets to choose from: half of the table fills up before a key in ten thousand finds no place. */
static void half_of_the_room_can_be_used(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    uint64_t count = pairs_room(shared.limits) / 2, full = 0, seen = 0;
    for (uint64_t i = 0; i < count; i++)
        full += update(&caller, key_number(i), &adding) == PAIRS_FULL;
    assert_true(full <= count / 10000);
    for (uint64_t i = 0; i < count; i++)
        seen += pairs_word(shared.limits, key_number(i)) == 3;
    assert_int_equal(seen + full, count);
}

/* --- who dies --- */

static void update_in_child(const struct lock_caller *caller, void *context)
{
    update(caller, *(uint64_t *)context, &adding);
}

/* A process that is killed at `step` while it changes `key`. */
static struct lock_caller dies_at(const char *step, uint64_t key, bool bury)
{
    struct lock_caller caller;
    stop_at = step;
    pid_t pid = zone_fork(&caller, update_in_child, &key);
    stop_at = NULL;
    zone_await_step(pid);
    zone_kill(pid);
    if (bury)
        zone_bury(&caller);
    return caller;
}

static const char *const insert_steps[] = {"locked", "not found", "place found", "inserted", "dropped"};

/* The key is there whole or not at all, no place is lost, and the next one gets the lock. */
static void a_death_leaves_nothing_stuck(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller();
    for (unsigned i = 0; i < sizeof insert_steps / sizeof *insert_steps; i++) {
        uint64_t key = key_number(i);
        dies_at(insert_steps[i], key, true);
        uint64_t word = pairs_word(shared.limits, key);
        assert_int_equal(word, i < 3 ? 0 : 3);
        assert_int_equal(update(&caller, key, &adding), PAIRS_DONE);
        assert_int_equal(pairs_word(shared.limits, key), word ? 4 : 3);
        for (unsigned slot = 0; slot < ZONE_SLOTS; slot++) /* the logger's duty */
            if (atomic_load(&shared.slots->slot[slot].state) == SLOT_DEAD)
                atomic_store(&shared.slots->slot[slot].state, SLOT_FREE);
    }
    uint64_t key = key_number(0);
    dies_at("word made", key, true);
    assert_int_equal(pairs_word(shared.limits, key), 3);
}

/* While the holder lives it keeps the lock, though it does nothing: the others are told to come again. When it is dead,
 * buried or not, or its slot is another's by now, they get it. */
static void only_the_dead_are_robbed(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller(), holder;
    uint64_t key = key_number(1);
    stop_at = "place found";
    pid_t pid = zone_fork(&holder, update_in_child, &key);
    stop_at = NULL;
    zone_await_step(pid);
    assert_int_equal(update(&caller, key, &adding), PAIRS_BUSY);
    assert_int_equal(update(&caller, key, &adding), PAIRS_BUSY);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(update(&caller, key, &adding), PAIRS_DONE); /* nobody buried it: the kernel knows */
    key = key_number(2);
    struct lock_caller dead = dies_at("place found", key, true);
    atomic_store(&shared.slots->slot[dead.slot].state, SLOT_FREE);
    struct lock_caller heir = zone_caller();
    assert_int_equal(heir.slot, dead.slot);
    atomic_store(&shared.slots->slot[heir.slot].pid, (uint32_t)getpid());
    assert_true(heir.name != dead.name);
    assert_int_equal(update(&caller, key, &adding), PAIRS_DONE);
    assert_int_equal(pairs_word(shared.limits, key), 3);
}

/* A process that found a key's pair, and slept while the pair became another key's: it must not charge that one. */
static void a_place_that_changed_hands_is_not_charged(void **state)
{
    (void)state;
    struct lock_caller caller = zone_caller(), sleeper;
    uint64_t keys[2 * OF_BUCKET + 1];
    colliding(key_number(1), keys, 2 * OF_BUCKET + 1);
    for (unsigned i = 0; i < 2 * OF_BUCKET; i++)
        assert_int_equal(update(&caller, keys[i], &adding), PAIRS_DONE);
    struct pair *pair = find(shared.limits, keys[0]);
    stop_at = "word made";
    pid_t pid = zone_fork(&sleeper, update_in_child, &keys[0]);
    stop_at = NULL;
    zone_await_step(pid);
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    /* The same word in the same place, but of another key. */
    assert_int_equal(update(&caller, keys[0], &idling), PAIRS_DONE);
    uint64_t newcomer = keys[2 * OF_BUCKET];
    assert_int_equal(update(&caller, newcomer, &adding), PAIRS_DONE);
    assert_ptr_equal(find(shared.limits, newcomer), pair);
    struct pair_value old = {keys[0], 3}, new = {keys[0], 4};
    assert_false(pair_swap(pair, old, new)); /* what the sleeper will try */
    assert_int_equal(pairs_word(shared.limits, newcomer), 3);
    zone_kill(pid);
}

/* --- contention --- */

enum { ROUNDS = 20000 };

static uint64_t contended[2 * OF_BUCKET];

static void add_in_turn(const struct lock_caller *caller, void *context)
{
    unsigned number = *(unsigned *)context, full = 0;
    while (!atomic_load(&board->go))
        sched_yield();
    for (unsigned i = 0; i < ROUNDS;) {
        uint64_t key = contended[(i + number) % (2 * OF_BUCKET)];
        switch (update(caller, key, &adding)) {
        case PAIRS_DONE:
            i++;
            break;
        case PAIRS_BUSY:
            sched_yield();
            break;
        default:
            full++;
            i++;
        }
    }
    atomic_store(&board->counts[number], full);
}

/* All processes add to the same keys, all in two buckets, from the first insertion on: nothing is lost or there twice. */
static void processes_that_collide_lose_nothing(void **state)
{
    (void)state;
    enum { PROCESSES = 4 };
    pid_t pids[PROCESSES];
    struct lock_caller callers[PROCESSES];
    unsigned numbers[PROCESSES];
    colliding(key_number(1), contended, 2 * OF_BUCKET);
    for (unsigned i = 0; i < PROCESSES; i++) {
        numbers[i] = i;
        pids[i] = zone_fork(&callers[i], add_in_turn, &numbers[i]);
    }
    atomic_store(&board->go, 1);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        assert_int_equal(atomic_load(&board->counts[i]), 0);
    }
    uint64_t total = 0;
    for (unsigned i = 0; i < 2 * OF_BUCKET; i++)
        total += pairs_word(shared.limits, contended[i]) - 2;
    assert_int_equal(total, PROCESSES * ROUNDS);
}

struct adder {
    struct lock_caller caller;
    uint64_t from;
};

static void *add_many(void *context)
{
    const struct adder *adder = context;
    for (uint64_t i = 0; i < ROUNDS; i++)
        while (update(&adder->caller, key_number((adder->from + i) % 4096), &adding) != PAIRS_DONE)
            sched_yield();
    return NULL;
}

static void threads_over_many_keys_lose_nothing(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct adder adders[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        adders[i] = (struct adder){zone_caller(), i * 100};
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &adders[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    uint64_t total = 0;
    for (uint64_t i = 0; i < 4096; i++)
        total += pairs_word(shared.limits, key_number(i)) - 2;
    assert_int_equal(total, THREADS * ROUNDS);
}

/* --- snapshots --- */

/* Words of 5 have come to nothing meanwhile. */
static uint64_t later(uint64_t word, const struct zone_time *time)
{
    return word == 5 ? 0 : word + (uint64_t)time->shift_ns;
}

static void pairs_go_through_a_snapshot(void **state)
{
    (void)state;
    enum { ROOM = 64 * SEGMENT_PAGE };
    static uint64_t saved[ROOM / sizeof(uint64_t)];
    struct zone_time time = {.shift_ns = 1000};
    struct lock_caller caller = zone_caller();
    for (uint64_t i = 0; i < 10; i++)
        for (uint64_t j = 0; j <= i; j++)
            assert_int_equal(update(&caller, key_number(i), &adding), PAIRS_DONE);
    atomic_store(pairs_own(shared.limits), 7);
    size_t size = pairs_save(shared.limits, saved, ROOM);
    assert_int_equal(size, (3 + 10 * 2) * sizeof(uint64_t));
    zone_close();
    zone_open(16 * SEGMENT_PAGE); /* of another size */
    uint64_t other = key_number(3);
    assert_true(pairs_load(shared.limits, saved, size, later, &time));
    assert_true(key_number(3) != other); /* the secret is the old one's */
    assert_int_equal(atomic_load(pairs_own(shared.limits)), 7);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(pairs_word(shared.limits, key_number(i)), 3 + i == 5 ? 0 : 1003 + i);
}

static void a_snapshot_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct zone_time time = {.shift_ns = 0};
    uint64_t saved[3 + 2 * (2 * OF_BUCKET + 1)] = {1, 2, 3}, keys[2 * OF_BUCKET + 1];
    for (size_t size = 0; size < 3 * sizeof *saved; size++)
        assert_false(pairs_load(shared.limits, saved, size, later, &time));
    assert_false(pairs_load(shared.limits, saved, 4 * sizeof *saved, later, &time));
    assert_true(pairs_load(shared.limits, saved, 3 * sizeof *saved, later, &time));
    saved[4] = 9; /* a pair of nobody's */
    assert_false(pairs_load(shared.limits, saved, 5 * sizeof *saved, later, &time));
    /* More for one bucket than it has room for: what there is room for is there. */
    colliding(key_number(50), keys, 2 * OF_BUCKET + 1);
    for (unsigned i = 0; i < 2 * OF_BUCKET + 1; i++) {
        saved[3 + 2 * i] = keys[i];
        saved[4 + 2 * i] = 9;
    }
    assert_false(pairs_load(shared.limits, saved, sizeof saved, later, &time));
    unsigned there = 0;
    for (unsigned i = 0; i < 2 * OF_BUCKET + 1; i++)
        there += pairs_word(shared.limits, keys[i]) == 9;
    assert_true(there >= OF_BUCKET && there <= 2 * OF_BUCKET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(layout, open_small, close_it),
        cmocka_unit_test_setup_teardown(a_key_has_a_word, open_small, close_it),
        cmocka_unit_test_setup_teardown(another_keys_word_refuses_nobody, open_small, close_it),
        cmocka_unit_test_setup_teardown(only_idle_ones_give_way, open_small, close_it),
        cmocka_unit_test_setup_teardown(half_of_the_room_can_be_used, open_large, close_it),
        cmocka_unit_test_setup_teardown(a_death_leaves_nothing_stuck, open_small, close_it),
        cmocka_unit_test_setup_teardown(only_the_dead_are_robbed, open_small, close_it),
        cmocka_unit_test_setup_teardown(a_place_that_changed_hands_is_not_charged, open_small, close_it),
        cmocka_unit_test_setup_teardown(processes_that_collide_lose_nothing, open_small, close_it),
        cmocka_unit_test_setup_teardown(threads_over_many_keys_lose_nothing, open_large, close_it),
        cmocka_unit_test_setup_teardown(pairs_go_through_a_snapshot, open_small, close_it),
        cmocka_unit_test_setup_teardown(a_snapshot_that_makes_no_sense_is_refused, open_small, close_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
