/* SPDX-License-Identifier: MIT */
/* Processes under ptrace. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../shm/control_private.h"
#include "../../../shm/wait.h"
#include "steps.h"

struct start {
    struct world *world;
    struct told *told;
    const struct op *op;
};

static void stop_here(void) {
    (void)syscall(SYS_tkill, syscall(SYS_gettid), SIGSTOP);
}

static void *act(void *arg) {
    struct start *start = arg;
    struct told *told = start->told;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        told->phase = PHASE_FAILED;
        _exit(1);
    }
    start->op->prepare(start->world, told);
    if (told->phase == PHASE_FAILED) {
        _exit(1);
    }
    told->leader = start->world->handle->leader;
    told->phase = PHASE_READY;
    told->tid = (pid_t)syscall(SYS_gettid);
    stop_here();
    told->phase = PHASE_RUNNING;
    start->op->run(start->world, told);
    if (start->world->handle) {
        told->leader = start->world->handle->leader;
    }
    told->phase = PHASE_DONE;
    stop_here();
    for (;;) {
        pause();
    }
}

/* The only thread but this one: the queue's. */
static pid_t other_thread(void) {
    pid_t found = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        found = tid > 0 && tid != getpid() ? tid : found;
    }
    if (tasks) {
        closedir(tasks);
    }
    return found;
}

/* The queue's thread is stepped; this one is its user. */
_Noreturn static void use_queue(struct start *start) {
    struct told *told = start->told;
    start->op->prepare(start->world, told);
    if (told->phase == PHASE_FAILED) {
        _exit(1);
    }
    told->leader = start->world->handle->leader;
    told->tid = other_thread();
    while (!told->go) {
        sched_yield();
    }
    start->op->run(start->world, told);
    told->phase = PHASE_DONE;
    for (;;) {
        pause();
    }
}

_Noreturn static void live(struct start *start) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (start->world->control) {
        close(start->world->control->lock); /* the controller alone is the bridge */
    }
    if (start->op->queue) {
        use_queue(start);
    }
    if (!start->op->threaded) {
        (void)act(start);
    }
    warm(start->world); /* the first thread uses the process's first record */
    pthread_t thread;
    if (pthread_create(&thread, NULL, act, start) != 0) {
        start->told->phase = PHASE_FAILED;
        _exit(1);
    }
    while (start->op->second && !start->told->go) {
        sched_yield();
    }
    if (start->op->second) {
        (void)start->op->second(start->world, start->told);
        start->told->went = 1;
    }
    for (;;) {
        pause();
    }
}

/* ---- starting and ending --------------------------------------------------------------------- */

/* @return false: it is dead */
static bool await_stop(const struct actor *actor) {
    int status;
    pid_t got;
    do {
        got = waitpid(actor->tid, &status, __WALL);
    } while (got < 0 && errno == EINTR);
    return got == actor->tid && WIFSTOPPED(status);
}

void actor_finish(struct world *world, unsigned role) {
    struct actor *actor = &world->actor[role];
    if (actor->queue) { /* it does not stop, it sleeps */
        (void)ptrace(PTRACE_CONT, actor->tid, NULL, NULL);
        while (actor->told->phase != PHASE_DONE) {
            sched_yield();
        }
        return;
    }
    while (actor->told->phase != PHASE_DONE) {
        if (ptrace(PTRACE_CONT, actor->tid, NULL, NULL) != 0 || !await_stop(actor)) {
            mistake(world, "actor %u died by itself", role);
            return;
        }
    }
}

/* ptrace() takes addresses and numbers as pointers */
/* NOLINTBEGIN(performance-no-int-to-ptr) */

/* ---- where it is ----------------------------------------------------------------------------- */

/* Where the actor is, and whether a system call comes next. Another machine's registers have other
 * names: there the way is gone in single steps, which is slower and not less. */
static uint64_t address_of(const struct actor *actor, bool *call) {
#ifdef __x86_64__
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, actor->tid, NULL, &registers) == 0) {
        errno = 0;
        long text = ptrace(PTRACE_PEEKTEXT, actor->tid, (void *)(uintptr_t)registers.rip, NULL);
        *call = errno != 0 || (text & 0xffff) == 0x050f;
        return registers.rip;
    }
#else
    (void)actor;
#endif
    *call = true;
    return 0;
}

static bool debug_register(const struct actor *actor, unsigned number, uint64_t value) {
#ifdef __x86_64__
    const size_t at = offsetof(struct user, u_debugreg) + number * sizeof(uint64_t);
    return ptrace(PTRACE_POKEUSER, actor->tid, (void *)at, (void *)value) == 0;
#else
    (void)actor;
    (void)number;
    (void)value;
    return false;
#endif
}

/* NOLINTEND(performance-no-int-to-ptr) */

/* The processor is to stop the actor when it comes to this address, or to the end of its way; 0: no
 * more. @return false: no such thing on this machine; nothing has changed. */
static bool stop_at(const struct actor *actor, uint64_t address) {
    enum { ADDRESS, END, CONTROL = 7 };
    if (address == 0) {
        return debug_register(actor, CONTROL, 0);
    }
    uint64_t control = actor->until ? 1 | 4 : 1;
    return debug_register(actor, ADDRESS, address) &&
           (!actor->until || debug_register(actor, END, actor->until)) &&
           debug_register(actor, CONTROL, control);
}

/* ---- one instruction after the other --------------------------------------------------------- */

static bool running(const struct actor *actor) {
    return actor->pid > 0 && !actor->ended && actor->told->phase == PHASE_RUNNING;
}

static void look_for_end(struct actor *actor) {
    bool call;
    actor->ended = actor->until && address_of(actor, &call) == actor->until;
}

static bool step(struct world *world, struct actor *actor) {
    if (ptrace(PTRACE_SINGLESTEP, actor->tid, NULL, NULL) != 0 || !await_stop(actor)) {
        mistake(world, "an actor died by itself");
        return false;
    }
    look_for_end(actor);
    return running(actor);
}

/* Stop it where it comes to this address for the n-th time. @return false: as stop_at(). */
static bool jump(struct actor *actor, uint64_t address, uint32_t n) {
    if (!stop_at(actor, address)) {
        return false;
    }
    while (n-- > 0 && running(actor)) {
        if (ptrace(PTRACE_CONT, actor->tid, NULL, NULL) != 0 || !await_stop(actor)) {
            return false;
        }
        look_for_end(actor);
    }
    (void)stop_at(actor, 0);
    return true;
}

/* ---- starting and ending --------------------------------------------------------------------- */

static bool stop_queue(struct world *world, struct actor *actor) {
    const uint64_t sleeping = (uintptr_t)queues_sleep;
    if (ptrace(PTRACE_SEIZE, actor->tid, NULL, PTRACE_O_EXITKILL) != 0 ||
        ptrace(PTRACE_INTERRUPT, actor->tid, NULL, NULL) != 0 || !await_stop(actor) ||
        !stop_at(actor, sleeping) || ptrace(PTRACE_CONT, actor->tid, NULL, NULL) != 0) {
        return false;
    }
    queues_ring(world->segment->header); /* it may be asleep by now */
    bool good = await_stop(actor);
    (void)stop_at(actor, 0);
    /* Now something to do comes up, before it falls asleep. */
    actor->told->phase = PHASE_RUNNING;
    actor->told->go = 1;
    while (good && !actor->told->went) {
        sched_yield();
    }
    actor->until = sleeping;
    return good;
}

static bool stop_first(struct actor *actor, const struct op *op) {
    if (!await_stop(actor)) {
        return false;
    }
    (void)ptrace(PTRACE_SETOPTIONS, actor->tid, NULL, PTRACE_O_EXITKILL);
    while (actor->told->phase == PHASE_READY) { /* the way back from the stop is not counted */
        if (ptrace(PTRACE_SINGLESTEP, actor->tid, NULL, NULL) != 0 || !await_stop(actor)) {
            return false;
        }
    }
    return !op->begin || (jump(actor, (uintptr_t)op->begin, 1) && running(actor));
}

bool actor_start(struct world *world, unsigned role, const struct op *op) {
    struct actor *actor = &world->actor[role];
    bool thread = op->threaded || op->queue;
    *actor->told = (struct told){0};
    struct start start = {.world = world, .told = actor->told, .op = op};
    *actor = (struct actor){.told = actor->told, .queue = op->queue, .pid = fork()};
    if (actor->pid == 0) {
        live(&start);
    }
    while (thread && actor->pid > 0 && actor->told->tid == 0 &&
           actor->told->phase != PHASE_FAILED) {
        sched_yield();
    }
    actor->tid = thread ? actor->told->tid : actor->pid;
    if (actor->pid < 0 || actor->told->phase == PHASE_FAILED ||
        !(op->queue ? stop_queue(world, actor) : stop_first(actor, op))) {
        mistake(world, "%s could not be prepared", op->name);
        actor_kill(world, role);
        return false;
    }
    return true;
}

static void await_end(pid_t id) {
    int status;
    for (;;) {
        pid_t got = waitpid(id, &status, __WALL);
        if ((got < 0 && errno != EINTR) ||
            (got == id && (WIFEXITED(status) || WIFSIGNALED(status)))) {
            return;
        }
    }
}

void actor_kill(struct world *world, unsigned role) {
    struct actor *actor = &world->actor[role];
    if (actor->pid > 0) {
        kill(actor->pid, SIGKILL);
        if (actor->tid > 0 && actor->tid != actor->pid) {
            await_end(actor->tid);
        }
        await_end(actor->pid);
    }
    actor->pid = actor->tid = 0;
}

/* ---- tracks ---------------------------------------------------------------------------------- */

bool track_new(struct track *track) {
    track->address = calloc(TRACK_MAX, sizeof *track->address);
    track->visits = calloc(TRACK_MAX, sizeof *track->visits);
    track->differs = calloc(TRACK_MAX, sizeof *track->differs);
    return track->address && track->visits && track->differs;
}

void track_free(struct track *track) {
    free(track->address);
    free(track->visits);
    free(track->differs);
}

/* How often each address came up: a table by address, emptied for each track. */
static void count_visits(struct track *track) {
    static uint32_t seen[2 * TRACK_MAX]; /* index + 1 of the last visit */
    enum { MASK = 2 * TRACK_MAX - 1 };
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < track->count; i++) {
        uint64_t hash = track->address[i] * UINT64_C(0x9e3779b97f4a7c15) >> 40;
        uint32_t at = (uint32_t)hash & MASK;
        while (seen[at] && track->address[seen[at] - 1] != track->address[i]) {
            at = (at + 1) & MASK;
        }
        track->visits[i] = seen[at] ? track->visits[seen[at] - 1] + 1 : 1;
        seen[at] = i + 1;
    }
}

void actor_record(struct world *world, unsigned role, struct track *track) {
    struct actor *actor = &world->actor[role];
    bool call = true; /* the first place differs */
    track->count = 0;
    while (running(actor) && track->count < TRACK_MAX) {
        track->differs[track->count] = world_changed(world) || call;
        track->address[track->count++] = address_of(actor, &call);
        if (!step(world, actor)) {
            break;
        }
    }
    count_visits(track);
}

/* The nearest place before this one that is cheaper to jump to than to step to. */
static unsigned jump_place(const struct track *track, unsigned place) {
    unsigned from = place < track->count ? place : 0;
    while (from > 0 && track->visits[from] > 2 + place - from) {
        from--;
    }
    return from;
}

void actor_go(struct world *world, unsigned role, const struct track *track, unsigned place) {
    struct actor *actor = &world->actor[role];
    unsigned at = jump_place(track, place);
    if (at > 0 && !jump(actor, track->address[at], track->visits[at])) {
        at = 0;
    }
    while (at++ < place && running(actor)) {
        (void)step(world, actor);
    }
    world->late += !running(actor);
}
