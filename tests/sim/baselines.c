/* SPDX-License-Identifier: MIT */
/* slotshare beside other ways to keep a limit, under the same faults. */
#include <stdio.h>
#include <stdlib.h>

#include "baseline.h"

static const char *const policy_names[POLICIES] = {
    [POLICY_SLOTSHARE] = "slotshare",
    [POLICY_SPLIT] = "limit split by hand",
    [POLICY_GOSSIP] = "totals by gossip, 1 s",
    [POLICY_LEASE] = "store, leases of 60 s",
    [POLICY_LEASE_CLOCK] = "the same, a clock 90 s ahead",
};

static const char *const fault_names[SIM_FAULT_LEVELS] = {"none", "a few", "many", "very many"};

struct result {
    uint64_t runs, over;
    struct sim_usage usage;
};

static void compare_run(struct sim *sim, enum sim_policy policy, uint64_t seed, int level,
                        struct result *result) {
    baseline_choose(sim, policy);
    scenario_compare(sim, seed, level);
    baseline_measure(sim);
    plan_begin(sim);
    sim_run(sim, sim->seconds);
    const struct sim_usage *usage = baseline_usage(sim);
    result->runs++;
    result->over += sim->over != 0;
    result->usage.used += usage->used;
    result->usage.possible += usage->possible;
    result->usage.worst = usage->worst > result->usage.worst ? usage->worst : result->usage.worst;
    sim_clear(sim);
}

/* ---- how long until what a dead node held is used again ---- */

enum { VICTIM = 2, RECLAIM_MAX_S = 300 };

static bool used_again(const struct sim *sim, enum sim_policy policy) {
    for (int key = 0; key < sim->keys; key++) {
        int32_t kept = policy == POLICY_SLOTSHARE ? sim->node[VICTIM].reserve[1][key] : 0;
        if (sim->total[key] < sim->config[0].limit[key] - kept) {
            return false;
        }
    }
    return true;
}

/* @return seconds; less than 0: not within RECLAIM_MAX_S. *over: it had been over the limit before,
 * so that nothing was missing. */
static double reclaim_run(struct sim *sim, enum sim_policy policy, uint64_t seed, int *over) {
    baseline_choose(sim, policy);
    scenario_reclaim(sim, seed, VICTIM);
    plan_begin(sim);
    double dies = sim->seconds, now = dies, took = -1;
    sim_run(sim, dies);
    *over += sim->over != 0;
    for (; took < 0 && now < dies + RECLAIM_MAX_S; now += .01) {
        sim_run(sim, now + .01);
        took = used_again(sim, policy) ? now + .01 - dies : -1;
    }
    sim_clear(sim);
    return took;
}

static int by_size(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_reclaim(struct sim *sim) {
    enum { RUNS = 31 };

    printf("\n| a node of five dies, all are hungry | what it held is used again after | worst |\n"
           "|---|---|---|\n");
    for (int policy = 0; policy < POLICIES; policy++) {
        double took[RUNS];
        int never = 0, over = 0;
        for (int i = 0; i < RUNS; i++) {
            took[i] = reclaim_run(sim, (enum sim_policy)policy, (uint64_t)i + 1, &over);
            never += took[i] < 0;
        }
        qsort(took, RUNS, sizeof *took, by_size);
        if (over > 0 && took[RUNS / 2] < .02) {
            printf("| %s | it was over the limit, in %d of %d runs | |\n", policy_names[policy],
                   over, RUNS);
        } else if (never > 0) {
            printf("| %s | %s | in %d of %d runs not within %d s |\n", policy_names[policy],
                   never > RUNS / 2 ? "never" : "", never, RUNS, RECLAIM_MAX_S);
        } else {
            printf("| %s | %.1f s | %.1f s |\n", policy_names[policy], took[RUNS / 2],
                   took[RUNS - 1]);
        }
        fflush(stdout);
    }
}

int baselines_run(uint64_t seeds) {
    struct sim *sim = calloc(1, sizeof *sim);
    bool good = true;

    if (sim == NULL) {
        abort();
    }
    printf("| faults | | runs over the limit | most held, of the limit | used, of what could be |\n"
           "|---|---|---|---|---|\n");
    for (int level = 0; level < SIM_FAULT_LEVELS; level++) {
        for (int policy = 0; policy < POLICIES; policy++) {
            struct result result = {0};
            for (uint64_t seed = 1; seed <= seeds; seed++) {
                compare_run(sim, (enum sim_policy)policy, seed, level, &result);
            }
            printf("| %s | %s | %llu of %llu | %.2f | %.1f%% |\n",
                   policy == 0 ? fault_names[level] : "", policy_names[policy],
                   (unsigned long long)result.over, (unsigned long long)result.runs,
                   result.usage.worst, 100 * result.usage.used / result.usage.possible);
            fflush(stdout);
            good = good && (policy != POLICY_SLOTSHARE || result.over == 0);
        }
    }
    print_reclaim(sim);
    sim_end(sim);
    free(sim);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
