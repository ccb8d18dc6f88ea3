/* zone: what the tests of shared tables share: a segment of their own, processes with slots in it that can be told to stop
 * at a step and be killed there, and threads.
 */
#ifndef TESTS_UNIT_ZONE_H
#define TESTS_UNIT_ZONE_H

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "shared/base/clock.h"
#include "shared/shm/shared.h"
#include "tests/unit/unit.h"

enum { ZONE_SLOTS = 8 };

/* Of the running test. */
static struct arena *arena;
static struct shared shared;
static struct segment_plan plan;

/* What processes tell each other. */
struct board {
    _Atomic int at_step; /* a child stands at its step */
    _Atomic uint64_t counts[ZONE_SLOTS];
    _Atomic uint64_t first[ZONE_SLOTS], last[ZONE_SLOTS];
    _Atomic int go;
};
static struct board *board;

/* The step at which this process is to stop; NULL: none. */
static const char *stop_at;

/* What happens at a step meanwhile; NULL: nothing. */
static void (*at_step)(const char *name);

static inline void zone_step(const char *name)
{
    if (at_step)
        at_step(name);
    if (!stop_at || strcmp(stop_at, name) != 0)
        return;
    atomic_store(&board->at_step, 1);
    for (;;)
        pause();
}

static inline void zone_open(size_t bytes)
{
    const char *why = NULL;
    plan = (struct segment_plan){.slots = ZONE_SLOTS,
                                 .log_ring = 4096,
                                 .size_at_most = 256 << 20,
                                 .limits = bytes,
                                 .quotas = bytes,
                                 .concurrency = bytes,
                                 .tokens = bytes};
    arena = arena_new(4096);
    assert_int_equal(shared_create(&shared, &plan, arena, &why), 0);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(board, MAP_FAILED);
    stop_at = NULL;
    at_step = NULL;
}

static inline void zone_close(void)
{
    munmap(board, sizeof *board);
    shared_destroy(&shared);
    arena_free(&arena);
}

/* A slot, taken for a process: who it is to locks. */
static inline struct lock_caller zone_caller(void)
{
    int slot = slots_take(shared.slots, 3, 0, 1);
    assert_true(slot >= 0);
    return lock_caller(shared.slots, (unsigned)slot);
}

/* A process with a slot of its own, that runs `run` and ends. */
static inline pid_t zone_fork(struct lock_caller *caller,
                              void (*run)(const struct lock_caller *caller, void *context), void *context)
{
    *caller = zone_caller();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody at his step */
        run(caller, context);
        _exit(0);
    }
    atomic_store(&shared.slots->slot[caller->slot].pid, (uint32_t)pid);
    atomic_store(&shared.slots->slot[caller->slot].state, SLOT_SERVING);
    return pid;
}

/* As the master does when it reaps a process. */
static inline void zone_bury(const struct lock_caller *caller)
{
    shared_release(&shared, caller->slot);
    atomic_store(&shared.slots->slot[caller->slot].state, SLOT_DEAD);
}

static inline void zone_kill(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* Waits until the child stands at its step. It must come there. */
static inline void zone_await_step(pid_t pid)
{
    while (!atomic_load(&board->at_step)) {
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        sched_yield();
    }
    atomic_store(&board->at_step, 0);
}

#endif
