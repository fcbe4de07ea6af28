/* SPDX-License-Identifier: MIT */
/* One rule left out at a time: each run must go over, or nobody would notice if the rule went. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bridge/core/mutants.h"
#include "sim.h"

enum { WORLD_NO_DRAIN = MUTANT_COUNT, WORLD_COMMIT_RAISES };

static const struct mutant {
    int id;
    const char *text;
    const char *scenario; /* where to look for it */
    uint64_t seeds;       /* at most */
} mutants[] = {
    {MUTANT_NO_DRAIN_WAIT, "a lost member's part is dealt again before it has drained", "churn",
     100},
    {WORLD_NO_DRAIN, "hosts do not end what is over their share", "churn", 100},
    {MUTANT_LOST_AT_USE, "a lost member counts with what it last had in use", "churn", 600},
    {MUTANT_NO_BOOT_WAIT, "votes at once after a boot", "boot-vote", 40},
    {MUTANT_VOTE_NOT_STORED, "a restarted bridge forgets its vote", "kept-vote", 40},
    {MUTANT_BOOT_WITH_SESSION, "starts at the opening deal after a boot", "chaos", 100},
    {MUTANT_NO_PENDING, "a pending configuration holds nobody back", "nasty", 200},
    {MUTANT_NO_GRANT_FLOOR, "a forgotten record's grant counts again", "grant-again", 20},
    {MUTANT_NO_TERM_FENCE, "deal messages of older terms count", "churn", 600},
    {MUTANT_ACK_FROM_RECEIPT, "a session runs from the acknowledgement's arrival", "late-ack", 20},
    {MUTANT_OLD_EPOCH_REPORT, "a report from before a commit counts after it", "old-report", 20},
    {MUTANT_RESUME, "a lapsed leadership is resumed", "resume", 20},
    {MUTANT_NO_ECHO, "a stale heartbeat counts", "stale-join", 20},
    {MUTANT_NO_MASS, "unknown members hold only their reserve", "churn", 100},
    {MUTANT_HELD_WITHOUT_USE, "what is in use above the share is not told", "chaos", 100},
    {MUTANT_REPORT_BEFORE_APPLIED, "a share counts as applied when it was asked for", "chaos", 200},
    {MUTANT_NO_SCAN, "a join with what was read before the session ended", "old-reading", 20},
    {WORLD_COMMIT_RAISES, "a commit raises a member without a session", "commit-alone", 20},
    {MUTANT_COMMIT_AT_RESERVE, "after a commit a member without a session has only its reserve",
     "commit-use", 40},
    {MUTANT_ADMIT_AS_SAID, "an admission gives what the join said, free or not", "late-join", 20},
};

/* @return true: somebody went over. */
static bool goes_over(const struct sim_scenario *scenario, uint64_t seed, int mutant) {
    struct sim *sim = calloc(1, sizeof *sim);

    if (sim == NULL) {
        abort();
    }
    core_mutant = mutant < MUTANT_COUNT ? mutant : MUTANT_NONE;
    sim->no_drain = mutant == WORLD_NO_DRAIN;
    sim->no_pending = mutant == MUTANT_NO_PENDING;
    sim->commit_raises = mutant == WORLD_COMMIT_RAISES;
    scenario->begin(sim, seed);
    sim_run(sim, scenario->seconds);
    bool over = sim->over != 0;
    free(sim->story_state);
    sim_end(sim);
    free(sim);
    return over;
}

int mutants_run(void) {
    int missed = 0, count = (int)(sizeof mutants / sizeof *mutants);

    for (int i = 0; i < count; i++) {
        const struct sim_scenario *scenario = sim_scenario(mutants[i].scenario);
        uint64_t seed = 1;
        while (seed <= mutants[i].seeds && !goes_over(scenario, seed, mutants[i].id)) {
            seed++;
        }
        bool caught = seed <= mutants[i].seeds;
        missed += caught ? 0 : 1;
        printf("%-7s %-62s %s", caught ? "caught" : "MISSED", mutants[i].text, mutants[i].scenario);
        if (caught) {
            printf(", seed %llu", (unsigned long long)seed);
        }
        putchar('\n');
        fflush(stdout);
    }
    printf("%d of %d rules left out were noticed\n", count - missed, count);
    return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
