/* SPDX-License-Identifier: MIT */
/* One rule left out at a time: each must go over or get stuck, or nobody would notice if the rule
 * went. */
#include "mutants.h"

#include <stdio.h>
#include <stdlib.h>

const struct mutant mutants[] = {
    {MUTANT_NO_DRAIN_WAIT, "16", "a lost member's part is dealt again before it has drained",
     "churn", 200},
    {WORLD_NO_DRAIN, "D", "hosts do not end what is over their share", "churn", 200},
    {MUTANT_LOST_AT_USE, "16", "a lost member counts with what it last had in use", "late-use", 20},
    {MUTANT_NO_BOOT_WAIT, "6", "votes at once after a boot", "boot-vote", 40},
    {MUTANT_VOTE_NOT_STORED, "7", "a restarted bridge forgets its vote", "kept-vote", 40},
    {MUTANT_BOOT_WITH_SESSION, "cap", "starts at the opening deal after a boot", "chaos", 100},
    {MUTANT_NO_PENDING, "21", "a pending configuration holds nobody back", "nasty", 200},
    {MUTANT_NO_GRANT_FLOOR, "5", "a forgotten record's grant counts again", "grant-again", 20},
    {MUTANT_NO_TERM_FENCE, "10", "deal messages of older terms count", "old-term", 20},
    {MUTANT_ACK_FROM_RECEIPT, "1", "a session runs from the acknowledgement's arrival", "late-ack",
     20},
    {MUTANT_ACK_AFTER_LOSS, "16", "an acknowledgement is given when the session is over",
     "lost-ack", 20},
    {MUTANT_OLD_EPOCH_REPORT, "23", "a report from before a commit counts after it", "old-report",
     20},
    {MUTANT_OLD_EPOCH_GRANT, "24", "a grant from before a commit counts after it", "old-grant", 20},
    {MUTANT_RESUME, "9", "a lapsed leadership is resumed", "resume", 20},
    {MUTANT_NO_ECHO, "14", "a stale heartbeat counts", "stale-join", 20},
    {MUTANT_NO_MASS, "13", "unknown members hold only their reserve", "churn", 200},
    {MUTANT_HELD_WITHOUT_USE, "4", "what is in use above the share is not told", "chaos", 200},
    {MUTANT_REPORT_BEFORE_APPLIED, "4", "a share counts as applied when it was asked for", "nasty",
     400},
    {MUTANT_FAILED_APPLIED, "4", "a share that could not be set counts as set", "nasty", 400},
    {MUTANT_NO_SCAN, "2", "a join with what was read before the session ended", "old-reading", 20},
    {WORLD_COMMIT_RAISES, "23", "a commit raises a member without a session", "commit-alone", 20},
    {MUTANT_COMMIT_AT_RESERVE, "22",
     "after a commit a member without a session has only its reserve", "commit-use", 40},
    {MUTANT_ADMIT_AS_SAID, "17", "an admission gives what the join said, free or not", "late-join",
     20},
    {MUTANT_NO_OTHERS, "17", "a join that says too much is at the cost of the unknown",
     "slept-join", 20},
    {MUTANT_OLD_READING, "13", "a join without a session takes all that it says from the unknown",
     "drained-join", 20},
    {MUTANT_ROW_PENDING, "13", "who had something pending is thought to have had its home",
     "pending-row", 20},
    {MUTANT_BEHIND_AS_SAID, "23", "who has not heard of a commit yet holds no more than it says",
     "behind-join", 20},
    {MUTANT_HOME_PENDING, "13", "who has something pending is thought to have its home",
     "pending-join", 20},
    {MUTANT_RESERVE_PENDING, "13", "who has something pending is thought to have its reserve",
     "promised-join", 20},
    {MUTANT_LEAVE_AT_RESERVE, "29", "who leaves counts with its reserve, whatever is in use",
     "leave-busy", 20},
    {MUTANT_LEFT_FOR_GOOD, "29", "a commit does not end what was said in leaving", "leave-commit",
     20},
    {WORLD_NO_END, "cap", "workers use a share when its session is over", "churn", 100},
    {MUTANT_SESSION_FIRST, "3", "a session starts before its shares are applied", "nasty", 600},
    {MUTANT_SHORT_VOTE, "8", "a vote is over before the leadership that it gave", "kept-vote", 20},
    {MUTANT_REPORT_ANY_GRANT, "15", "a report from before a grant lowers what is counted", "nasty",
     600},
    {MUTANT_GROW_UNCOUNTED, "15", "growth is sent before it is counted", "nasty", 600},
    {MUTANT_NO_RESEND, "15", "a grant is sent once", "lost-grant", 20},
    {MUTANT_READY_UNPROMISED, "22", "a proposal counts as a promise", "reloads", 300},
    {MUTANT_FOUND_UNPROMISED, "26", "new nodes need not promise what is founded", "found-alone",
     20},
    {MUTANT_OLD_MAJORITY, "23",
     "a majority of what is committed alone gives the lease for a commit", "old-majority", 20},
    {MUTANT_PROMISE_NOT_KEPT, "22", "a promise is forgotten at a restart", "reloads", 300},
    {WORLD_NO_FORMER, "22", "what others have promised is not proposed again", "reloads", 3000},
    {MUTANT_FOREIGN_GOES_ON, "25", "who does not have what is committed goes on", "reloads", 300},
    {MUTANT_RECORD_STAYS, "23", "a share is thought to outlive a commit", "reloads", 300},
    {MUTANT_BELOW_RESERVE, "21", "who has only proposed counts with less than its reserve",
     "reloads", 300},
    {MUTANT_WITHDRAW_KEEPS, "21", "a proposal that is replaced leaves the session", "reloads", 300},
    {MUTANT_TRUST_READS, "21", "what was read before a proposal is what is in use", "reloads",
     3000},
    {MUTANT_OLD_ADMISSION, "21", "an admission from before a session was given up starts one",
     "old-admission", 20},
    {MUTANT_GONE_IN_SESSION, "24", "who is removed keeps its session", "back-soon", 20},
    {MUTANT_NEW_BEHIND, "25", "a new node is told of a commit that may be overtaken", "new-behind",
     20},
    {MUTANT_OVERTAKEN_FREE, "25", "a promise that was overtaken binds no more", "overtaken", 20},
    {MUTANT_EARLIER_ANSWER, "25", "an answer from before a proposal proves a commit", "new-turns",
     20},
    {MUTANT_FOUNDER_BOUND, "26", "a promise to found something binds for ever", "founder-bound",
     20},
    {MUTANT_ADOPT_UNPROVEN, "25", "a new node believes any commit that it hears of", "old-word",
     20},
    {MUTANT_VOUCH_LASTS, "27", "who was dead once is dead after the next commit", "was-dead", 20},
    {MUTANT_TAKE_OVER_SEEN, "28", "takes over though another group can be seen", "seen", 20},
    {MUTANT_ENFORCE_UNCHANGED, "35", "a limit that comes to be enforced goes on as it was",
     "observe", 3000},
    {MUTANT_OBSERVED_TRUE, "34", "what is only observed holds what it has in use", "observe", 300},
    {0, NULL, NULL, NULL, 0},
};

void mutants_apply(struct sim *sim, int id) {
#ifdef SLOTSHARE_MUTANTS
    core_mutant = id < MUTANT_COUNT ? id : MUTANT_NONE;
#endif
    sim->no_drain = id == WORLD_NO_DRAIN;
    sim->no_pending = id == MUTANT_NO_PENDING;
    sim->no_end = id == WORLD_NO_END;
    sim->forgets_promise = id == MUTANT_PROMISE_NOT_KEPT;
    sim->commit_raises = id == WORLD_COMMIT_RAISES;
    sim->no_former = id == WORLD_NO_FORMER;
}

int mutants_run(bool stories) {
    struct sim *sim = calloc(1, sizeof *sim);
    int missed = 0, count = 0;

    if (sim == NULL) {
        abort();
    }
    for (const struct mutant *mutant = mutants; mutant->id != 0; mutant++) {
        struct sim_request request = {.scenario = sim_scenario(mutant->scenario),
                                      .mutant = mutant->id};
        bool caught = false;
        while (!caught && request.seed < mutant->seeds) {
            request.seed++;
            enum sim_verdict verdict = run_one(sim, &request);
            caught = verdict == SIM_OVER || verdict == SIM_STUCK;
            sim_clear(sim);
        }
        count++;
        missed += caught ? 0 : 1;
        printf("%-6s rule %-7s %-62s %s", caught ? "caught" : "MISSED", mutant->rule, mutant->text,
               mutant->scenario);
        printf(caught ? ", seed %llu\n" : ", %llu seeds\n", (unsigned long long)request.seed);
        if (caught && stories) {
            shrink_and_tell(sim, &request);
            putchar('\n');
        }
        fflush(stdout);
    }
    sim_end(sim);
    free(sim);
    printf("%d of %d rules left out were noticed\n", count - missed, count);
    return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Of these mistakes chance alone sees nothing go over in so few runs, but the accounts are wrong.
 * @return how many were not noticed. */
static int test_accounts(struct sim *sim) {
    static const struct {
        int mutant;
        const char *scenario;
    } cases[] = {{MUTANT_NO_SCAN, "nasty"},
                 {MUTANT_ACK_FROM_RECEIPT, "nasty"},
                 {MUTANT_BELOW_RESERVE, "reloads"}};
    int bad = 0;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sim_request request = {.scenario = sim_scenario(cases[i].scenario),
                                      .mutant = cases[i].mutant};
        enum sim_verdict verdict = SIM_GOOD;
        while (verdict == SIM_GOOD && request.seed < 400) {
            request.seed++;
            sim_clear(sim);
            verdict = run_one(sim, &request);
        }
        printf("%s ", verdict == SIM_DOUBT ? "good" : "BAD ");
        run_print_verdict(sim, &request, stdout);
        bad += verdict == SIM_DOUBT ? 0 : 1;
        sim_clear(sim);
    }
    return bad;
}

/* Stories must still fail, and be short. @return EXIT_SUCCESS: they do and are. */
int mutants_test_stories(void) {
    static const struct {
        int mutant;
        const char *scenario;
    } cases[] = {{MUTANT_NO_DRAIN_WAIT, "churn"},
                 {MUTANT_NO_MASS, "churn"},
                 {MUTANT_HELD_WITHOUT_USE, "chaos"},
                 {MUTANT_REPORT_BEFORE_APPLIED, "nasty"}};
    struct sim *sim = calloc(1, sizeof *sim);
    int bad = 0;

    if (sim == NULL) {
        abort();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sim_request request = {.scenario = sim_scenario(cases[i].scenario),
                                      .mutant = cases[i].mutant};
        struct sim_shrunk shrunk;
        do {
            request.seed++;
            sim_clear(sim);
        } while (run_one(sim, &request) != SIM_OVER && request.seed < 500);
        sim_clear(sim);
        shrink(sim, &request, &shrunk);
        bool over = run_one(sim, &shrunk.request) == SIM_OVER;
        bool good = over && shrunk.left * 4 <= shrunk.steps && shrunk.lines <= 80;
        sim_clear(sim);
        printf("%s mutant %d in %s, seed %llu: %u of %u steps, %u of %u lines, by %llu runs%s\n",
               good ? "good" : "BAD ", request.mutant, cases[i].scenario,
               (unsigned long long)request.seed, shrunk.left, shrunk.steps, shrunk.lines,
               shrunk.lines_before, (unsigned long long)shrunk.runs,
               over ? "" : ", and it is good now");
        bad += good ? 0 : 1;
        free(shrunk.only);
    }
    bad += test_accounts(sim);
    sim_end(sim);
    free(sim);
    return bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
