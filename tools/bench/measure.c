/* SPDX-License-Identifier: MIT */
/* Worker processes that run two subjects in turns. */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

enum { SIDES = 2, ROUNDS = 41, ROUNDS_CROWDED = 7, SLICE_NS_CROWDED = 60000000 };

/* What the driver and the workers tell each other. A turn is one side of one round, from 1. */
struct worker {
    _Atomic uint32_t done; /* the last turn that it has finished; 1: it is ready */
    _Atomic uint32_t failed;
    double rate; /* operations per nanosecond in that turn */
    char error[BENCH_ERROR_MAX];
};
struct stage {
    _Atomic uint32_t turn;
    struct worker worker[BENCH_PROCESSES_MAX];
};

struct plan {
    const struct subject *side[SIDES];
    unsigned sides, processes, rounds;
    uint64_t slice; /* nanoseconds of one turn */
};

int bench_fail(struct bench *bench, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(bench->error, sizeof bench->error, format, args);
    va_end(args);
    return -1;
}

uint64_t bench_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void *shared_memory(struct bench *bench, size_t size) {
    void *out = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (out == MAP_FAILED) {
        (void)bench_fail(bench, "cannot share %zu bytes: %s", size, strerror(errno));
        return NULL;
    }
    return out;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

struct spread spread_of(double *values, unsigned count) {
    qsort(values, count, sizeof *values, compare);
    return (struct spread){
        .middle = values[count / 2], .low = values[count / 4], .high = values[count * 3 / 4]};
}

/* ---- in a worker ----------------------------------------------------------------------------- */

/* Only as many processes as there are processors are tied to one each: the others would rather be
 * where there is room. */
static void pin(unsigned worker, unsigned processes) {
    cpu_set_t allowed;
    cpu_set_t own;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        (int)processes > CPU_COUNT(&allowed)) {
        return;
    }
    CPU_ZERO(&own);
    for (unsigned cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && seen++ == worker) {
            CPU_SET(cpu, &own);
        }
    }
    (void)sched_setaffinity(0, sizeof own, &own);
}

/* The time that a subject is charged with. What a busy machine gives to others is not counted,
 * unless the subject waits for others itself. */
static uint64_t charged(const struct subject *subject) {
    struct timespec now;
    if (subject->waits) {
        return bench_now();
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int turn(const struct subject *subject, void *state, uint64_t slice, double *rate) {
    uint64_t start = bench_now();
    uint64_t before = charged(subject);
    uint64_t done = 0;
    int result = 0;
    do {
        result = subject->run(state, subject->batch);
        done += subject->batch;
    } while (result == 0 && bench_now() - start < slice);
    *rate = (double)done / (double)(charged(subject) - before);
    return result;
}

static int start_sides(struct bench *bench, const struct plan *plan, unsigned worker,
                       void *state[SIDES]) {
    for (unsigned i = 0; i < plan->sides; i++) {
        state[i] = plan->side[i]->start(bench, plan->side[i], worker);
        if (!state[i]) {
            return -1;
        }
        int result = plan->side[i]->run(state[i], plan->side[i]->batch); /* warm */
        if (result != 0) {
            return bench_fail(bench, "%s: %s", plan->side[i]->name, slotshare_strerror(result));
        }
    }
    return 0;
}

static int play(struct bench *bench, const struct plan *plan, struct stage *stage,
                struct worker *self, void *state[SIDES]) {
    for (uint32_t i = 0; i < plan->rounds * plan->sides; i++) {
        const struct subject *subject = plan->side[i % plan->sides];
        while (atomic_load_explicit(&stage->turn, memory_order_acquire) < i + 2) {
            (void)sched_yield();
        }
        int result = turn(subject, state[i % plan->sides], plan->slice, &self->rate);
        if (result != 0) {
            return bench_fail(bench, "%s: %s", subject->name, slotshare_strerror(result));
        }
        atomic_store_explicit(&self->done, i + 2, memory_order_release);
    }
    return 0;
}

_Noreturn static void work(struct bench *bench, const struct plan *plan, struct stage *stage,
                           unsigned worker) {
    struct worker *self = &stage->worker[worker];
    void *state[SIDES] = {NULL};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(worker, plan->processes);
    int result = start_sides(bench, plan, worker, state);
    if (result == 0) {
        atomic_store_explicit(&self->done, 1, memory_order_release);
        result = play(bench, plan, stage, self, state);
    }
    for (unsigned i = 0; i < plan->sides; i++) {
        if (state[i]) {
            plan->side[i]->stop(state[i]);
        }
    }
    if (result != 0) {
        memcpy(self->error, bench->error, sizeof self->error);
        atomic_store_explicit(&self->failed, 1, memory_order_release);
    }
    _exit(result != 0);
}

/* ---- in the driver --------------------------------------------------------------------------- */

static int await(struct bench *bench, const struct plan *plan, struct stage *stage, uint32_t done) {
    for (unsigned i = 0; i < plan->processes; i++) {
        struct worker *worker = &stage->worker[i];
        while (atomic_load_explicit(&worker->done, memory_order_acquire) < done) {
            if (atomic_load_explicit(&worker->failed, memory_order_acquire)) {
                return bench_fail(bench, "%s", worker->error);
            }
            siginfo_t ended = {0};
            if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0 &&
                ended.si_code != CLD_EXITED) {
                return bench_fail(bench, "a worker died of signal %d", ended.si_status);
            }
            (void)nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        }
    }
    return 0;
}

static int conduct(struct bench *bench, const struct plan *plan, struct stage *stage,
                   double value[SIDES][BENCH_ROUNDS_MAX]) {
    int result = await(bench, plan, stage, 1);
    for (uint32_t i = 0; result == 0 && i < plan->rounds * plan->sides; i++) {
        atomic_store_explicit(&stage->turn, i + 2, memory_order_release);
        result = await(bench, plan, stage, i + 2);
        double rate = 0;
        for (unsigned w = 0; w < plan->processes; w++) {
            rate += stage->worker[w].rate;
        }
        value[i % plan->sides][i / plan->sides] = plan->processes / rate;
    }
    return result;
}

static struct plan make_plan(const struct bench *bench, const struct subject *a,
                             const struct subject *b, unsigned processes) {
    bool crowded = processes > (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    struct plan plan = {.side = {a, b},
                        .sides = b ? 2 : 1,
                        .processes = processes,
                        .rounds = crowded ? ROUNDS_CROWDED : ROUNDS};
    uint64_t total = (uint64_t)bench->milliseconds * 1000000;
    plan.slice = total / plan.rounds / plan.sides;
    if (crowded && bench->milliseconds >= 1000 && plan.slice < SLICE_NS_CROWDED) {
        plan.slice = SLICE_NS_CROWDED; /* some turns of the scheduler */
    }
    return plan;
}

static void summarize(const struct plan *plan, double value[SIDES][BENCH_ROUNDS_MAX],
                      struct measurement *out) {
    double ratio[BENCH_ROUNDS_MAX] = {0};
    for (unsigned i = 0; plan->sides == 2 && i < plan->rounds; i++) {
        ratio[i] = value[0][i] / value[1][i];
    }
    *out = (struct measurement){.rounds = plan->rounds,
                                .ratio = spread_of(ratio, plan->rounds),
                                .value[0] = spread_of(value[0], plan->rounds)};
    if (plan->sides == 2) {
        out->value[1] = spread_of(value[1], plan->rounds);
    }
}

int measure(struct bench *bench, const struct subject *a, const struct subject *b,
            unsigned processes, struct measurement *out) {
    struct plan plan = make_plan(bench, a, b, processes);
    struct stage *stage = shared_memory(bench, sizeof *stage);
    double value[SIDES][BENCH_ROUNDS_MAX] = {{0}};
    pid_t pid[BENCH_PROCESSES_MAX];
    unsigned started = 0;
    int result = stage ? 0 : -1;
    (void)fflush(NULL);
    while (result == 0 && started < processes) {
        pid[started] = fork();
        if (pid[started] == 0) {
            work(bench, &plan, stage, started);
        }
        if (pid[started] < 0) {
            result = bench_fail(bench, "cannot fork: %s", strerror(errno));
        } else {
            started++;
        }
    }
    if (result == 0) {
        result = conduct(bench, &plan, stage, value);
    }
    for (unsigned i = 0; i < started; i++) {
        if (result != 0) {
            (void)kill(pid[i], SIGKILL);
        }
        (void)waitpid(pid[i], NULL, 0);
    }
    if (result == 0) {
        summarize(&plan, value, out);
    }
    if (stage) {
        (void)munmap(stage, sizeof *stage);
    }
    return result;
}
