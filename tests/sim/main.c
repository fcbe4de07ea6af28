/* SPDX-License-Identifier: MIT */
/* cluster-sim: run the share protocol through random faults, seed by seed. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

struct totals {
    uint64_t runs, over, stuck, takes, forced, messages, takeovers, commits, accounts;
};

struct request {
    const char *scenario; /* NULL: all in turn */
    uint64_t from, seeds;
    bool trace, directed;
};

static void usage(FILE *to) {
    fputs(
        "usage: cluster-sim [--seeds N] [--from S] [--scenario chaos|nasty|churn]\n"
        "       cluster-sim --trace SEED --scenario NAME\n"
        "Runs the share protocol in virtual time, one random run per seed, and compares what all\n"
        "nodes hold with the limit at every take. Exit status 1: some run went over or got "
        "stuck.\n",
        to);
}

/* One run. @return false: it went over, or did not come back to full use. */
static bool run(const struct sim_scenario *scenario, uint64_t seed, bool trace,
                struct totals *totals) {
    struct sim *sim = calloc(1, sizeof *sim);

    if (sim == NULL) {
        abort();
    }
    sim->trace = trace;
    scenario->begin(sim, seed);
    sim_run(sim, scenario->seconds);
    bool good = sim->over == 0;
    if (good && scenario->settles) {
        sim_settle(sim);
        good = sim->over == 0 && sim->stuck[0] == '\0';
    }
    totals->runs++;
    totals->over += sim->over != 0;
    totals->stuck += sim->stuck[0] != '\0';
    totals->takes += sim->takes;
    totals->forced += sim->forced;
    totals->messages += sim->messages;
    totals->takeovers += sim->stats.takeovers;
    totals->commits += sim->committed == 1;
    totals->accounts +=
        sim->stats.mass_negative + sim->stats.valid_gone + sim->stats.over_dealt != 0;
    if (!good) {
        printf("seed %llu of %s: ", (unsigned long long)seed, scenario->name);
        if (sim->over != 0) {
            printf("counter %d went %lld over at %.3f s\n", sim->over_key, (long long)sim->over_by,
                   (double)sim->over_at / 1e6);
        } else {
            printf("stuck: %s\n", sim->stuck);
        }
        printf("  again: cluster-sim --scenario %s --trace %llu\n", scenario->name,
               (unsigned long long)seed);
    }
    free(sim->story_state);
    sim_end(sim);
    free(sim);
    return good;
}

static double seconds_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_all(const struct request *request) {
    struct totals totals = {0};
    double start = seconds_now();
    const struct sim_scenario *only =
        request->scenario == NULL ? NULL : sim_scenario(request->scenario);

    for (uint64_t i = 0; i < request->seeds; i++) {
        uint64_t seed = request->from + i;
        for (const struct sim_scenario *s = sim_directed; request->directed && s->name != NULL;
             s++) {
            run(s, seed, request->trace, &totals);
        }
        if (!request->directed) {
            run(only != NULL ? only : &sim_scenarios[seed % 3], seed, request->trace, &totals);
        }
    }
    double took = seconds_now() - start;
    printf("%llu runs in %.1f s, %.1f a second: %llu over, %llu stuck; %llu takes, %llu ended by "
           "force, %llu take-overs, %llu commits, %llu messages, %llu with doubtful accounts\n",
           (unsigned long long)totals.runs, took, (double)totals.runs / took,
           (unsigned long long)totals.over, (unsigned long long)totals.stuck,
           (unsigned long long)totals.takes, (unsigned long long)totals.forced,
           (unsigned long long)totals.takeovers, (unsigned long long)totals.commits,
           (unsigned long long)totals.messages, (unsigned long long)totals.accounts);
    return totals.over + totals.stuck == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The mutants are another build of the core, beside this program. */
static int start_mutants(void) {
#ifdef SLOTSHARE_MUTANTS
    return mutants_run();
#else
    static const char name[] = "cluster-sim-mutants";
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof name);
    if (length > 0) {
        path[length] = '\0';
        char *slash = strrchr(path, '/');
        memcpy(slash == NULL ? path : slash + 1, name, sizeof name);
        execl(path, name, "--mutants", (char *)NULL);
    }
    fprintf(stderr, "cluster-sim: cannot start %s: %s\n", name, strerror(errno));
    return EXIT_FAILURE;
#endif
}

static bool number(const char *text, uint64_t *out) {
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return end != text && *end == '\0' && text[0] != '-';
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 's'},    {"from", required_argument, NULL, 'f'},
        {"scenario", required_argument, NULL, 'c'}, {"trace", required_argument, NULL, 't'},
        {"directed", no_argument, NULL, 'd'},       {"mutants", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    struct request request = {.from = 1, .seeds = 300};
    int option = 0;
    bool good = true;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            good = number(optarg, &request.seeds);
            break;
        case 'f':
            good = number(optarg, &request.from);
            break;
        case 'c':
            request.scenario = optarg;
            good = sim_scenario(optarg) != NULL;
            break;
        case 't':
            good = number(optarg, &request.from);
            request.seeds = 1;
            request.trace = true;
            break;
        case 'd':
            request.directed = true;
            break;
        case 'm':
            return start_mutants();
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        default:
            good = false;
            break;
        }
        if (!good) {
            usage(stderr);
            return 2;
        }
    }
    return run_all(&request);
}
