/* SPDX-License-Identifier: MIT */
/* Many seeds, by several processes that take them in small lots. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

enum { LOT = 8, JOBS_MAX = 64, FAILURES_MAX = 100 };

struct tally {
    uint64_t runs, over, stuck, accounts;
    uint64_t count[SIM_COUNTS];
};

struct failure {
    const struct sim_scenario *scenario; /* the same address in every process: they are forked */
    uint64_t seed;
    enum sim_verdict verdict;
};

/* Shared by all processes. Every field has one writer, or is a counter: no order is needed beyond
 * that of fork() and waitpid(). */
struct board {
    atomic_uint_fast64_t next; /* seed to be run, less the first */
    atomic_bool stop;
    atomic_uint failures;
    struct failure failure[FAILURES_MAX];
    struct worker {
        atomic_uint_fast64_t done, bad, seed;
        struct tally tally; /* written at its end */
    } worker[JOBS_MAX];
};

static double seconds_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void run_seed(struct sim *sim, const struct sim_campaign *campaign, struct board *board,
                     struct worker *worker, const struct sim_request *request) {
    enum sim_verdict verdict = run_one(sim, request);
    struct tally *tally = &worker->tally;

    tally->runs++;
    tally->over += verdict == SIM_OVER;
    tally->stuck += verdict == SIM_STUCK;
    tally->accounts += verdict == SIM_DOUBT;
    for (int i = 0; i < SIM_COUNTS; i++) {
        tally->count[i] += sim->count[i];
    }
    if (verdict != SIM_GOOD) {
        unsigned at = atomic_fetch_add(&board->failures, 1);
        if (at < FAILURES_MAX) {
            board->failure[at] = (struct failure){request->scenario, request->seed, verdict};
        }
        atomic_fetch_add(&worker->bad, 1);
        if (campaign->keep_going) { /* what is told at the end may be hours away */
            fprintf(stderr, "bad: --scenario %s --trace %llu\n", request->scenario->name,
                    (unsigned long long)request->seed);
        } else {
            atomic_store(&board->stop, true);
        }
    }
    atomic_fetch_add(&worker->done, 1);
    sim_clear(sim);
}

static void work(const struct sim_campaign *campaign, struct board *board, struct worker *worker) {
    struct sim *sim = calloc(1, sizeof *sim);

    if (sim == NULL) {
        abort();
    }
    while (!atomic_load(&board->stop)) {
        uint64_t from = atomic_fetch_add(&board->next, LOT);
        if (from >= campaign->seeds) {
            break;
        }
        uint64_t end = from + LOT < campaign->seeds ? from + LOT : campaign->seeds;
        for (; from < end; from++) {
            struct sim_request request = {.seed = campaign->first + from,
                                          .mutant = campaign->mutant};
            atomic_store(&worker->seed, request.seed);
            request.scenario =
                campaign->scenario != NULL ? campaign->scenario : sim_scenario_of(request.seed);
            if (!campaign->directed) {
                run_seed(sim, campaign, board, worker, &request);
            }
            for (const struct sim_scenario *s = sim_directed; campaign->directed && s->name != NULL;
                 s++) {
                request.scenario = s;
                run_seed(sim, campaign, board, worker, &request);
            }
        }
    }
    sim_end(sim);
    free(sim);
}

/* ---- what people see ---- */

static uint64_t done_by_all(struct board *board, int jobs, uint64_t *bad) {
    uint64_t done = 0;

    *bad = 0;
    for (int i = 0; i < jobs; i++) {
        done += atomic_load(&board->worker[i].done);
        *bad += atomic_load(&board->worker[i].bad);
    }
    return done;
}

static void progress(const struct sim_campaign *campaign, struct board *board, double took) {
    uint64_t bad = 0, done = done_by_all(board, campaign->jobs, &bad);
    double rate = (double)done / took;

    fprintf(stderr, "%llu of %llu runs, %llu bad, %.0f a second, %.0f s to go%s",
            (unsigned long long)done, (unsigned long long)campaign->seeds, (unsigned long long)bad,
            rate, rate > 0 ? (double)(campaign->seeds - done) / rate : 0.0,
            isatty(STDERR_FILENO) ? "   \r" : "\n");
}

static void print_tally(const struct tally *tally, double took) {
    for (int i = 0; i < SIM_COUNTS; i++) {
        printf("%14llu %s\n", (unsigned long long)tally->count[i], sim_count_names[i]);
    }
    printf("%llu runs in %.1f s, %.0f a second: %llu over, %llu stuck, %llu with doubtful "
           "accounts\n",
           (unsigned long long)tally->runs, took, (double)tally->runs / took,
           (unsigned long long)tally->over, (unsigned long long)tally->stuck,
           (unsigned long long)tally->accounts);
}

static int by_seed(const void *left, const void *right) {
    const struct failure *a = left, *b = right;
    return (a->seed > b->seed) - (a->seed < b->seed);
}

static void tell_failures(const struct sim_campaign *campaign, struct board *board) {
    unsigned failures = atomic_load(&board->failures);
    unsigned told = failures < FAILURES_MAX ? failures : FAILURES_MAX;
    struct sim *sim = calloc(1, sizeof *sim);

    if (sim == NULL) {
        abort();
    }
    qsort(board->failure, told, sizeof *board->failure, by_seed);
    for (unsigned i = 0; i < told; i++) {
        struct sim_request request = {.scenario = board->failure[i].scenario,
                                      .seed = board->failure[i].seed,
                                      .mutant = campaign->mutant};
        run_one(sim, &request);
        run_print_verdict(sim, &request, stdout);
        sim_clear(sim);
        printf("  again: ");
        run_print_command(&request, 0, stdout);
        if (i == 0) {
            shrink_and_tell(sim, &request);
        }
    }
    if (failures > told) {
        printf("and %u more\n", failures - told);
    }
    sim_end(sim);
    free(sim);
}

/* ---- the processes ---- */

static int start_workers(const struct sim_campaign *campaign, struct board *board, pid_t *pid) {
    for (int i = 0; i < campaign->jobs; i++) {
        fflush(NULL);
        pid[i] = fork();
        if (pid[i] < 0) {
            fprintf(stderr, "cluster-sim: cannot start a process: %s\n", strerror(errno));
            atomic_store(&board->stop, true);
            return i;
        }
        if (pid[i] == 0) {
            work(campaign, board, &board->worker[i]);
            _exit(EXIT_SUCCESS);
        }
    }
    return campaign->jobs;
}

/* @return false: some worker died, or could not be started. */
static bool wait_workers(const struct sim_campaign *campaign, struct board *board, double start) {
    pid_t pid[JOBS_MAX];
    int started = start_workers(campaign, board, pid), left = started;
    bool good = started == campaign->jobs;
    double next = start + 5;

    while (left > 0) {
        int status = 0;
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended <= 0) {
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
            if (seconds_now() > next) {
                progress(campaign, board, seconds_now() - start);
                next += isatty(STDERR_FILENO) ? 1 : 30;
            }
            continue;
        }
        left--;
        for (int i = 0; i < started && (!WIFEXITED(status) || WEXITSTATUS(status) != 0); i++) {
            if (pid[i] == ended) {
                good = false;
                atomic_store(&board->stop, true);
                printf("a process died (status %d) at seed %llu\n", status,
                       (unsigned long long)atomic_load(&board->worker[i].seed));
            }
        }
    }
    return good;
}

int campaign_run(const struct sim_campaign *campaign) {
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct tally sum = {0};
    double start = seconds_now();

    if (board == MAP_FAILED || campaign->jobs > JOBS_MAX) {
        fprintf(stderr, "cluster-sim: %s\n",
                board == MAP_FAILED ? strerror(errno) : "at most 64 processes (-j)");
        return EXIT_FAILURE;
    }
    bool good = wait_workers(campaign, board, start);
    double took = seconds_now() - start;
    for (int i = 0; i < campaign->jobs; i++) {
        const uint64_t *from = (const uint64_t *)&board->worker[i].tally;
        for (size_t j = 0; j < sizeof sum / sizeof *from; j++) {
            ((uint64_t *)&sum)[j] += from[j];
        }
    }
    print_tally(&sum, took);
    if (sum.over + sum.stuck + sum.accounts != 0) {
        tell_failures(campaign, board);
        good = false;
    }
    munmap(board, sizeof *board);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
