/* SPDX-License-Identifier: MIT */
/* Short stories, one rule each: what random runs seldom meet. */
#include <stdlib.h>

#include "stories.h"

/* ---- two coordinators at once, because a vote was forgotten ---- */

enum { HUNGRY_A, CUT_AC, HUNGRY_C, CRASH_B, RESTART_B };

static void vote_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == HUNGRY_A) {
        demand(sim, A, 60);
    } else if (what == CUT_AC) {
        set_cut(sim, A, C, true);
        set_cut(sim, C, A, true);
    } else if (what == HUNGRY_C) {
        demand(sim, C, 60);
    } else {
        isolate(sim, A, true, true);
        if (what == CRASH_B) {
            node_host_crash(sim, B, 0.01);
        } else {
            node_bridge_crash(sim, B, 0.01);
        }
    }
}

static void vote_begin(struct sim *sim, uint64_t seed, uint64_t crash) {
    start(sim, seed, vote_story);
    at(sim, 3, HUNGRY_A);
    at(sim, 10, CUT_AC);
    at(sim, 12, HUNGRY_C);
    at(sim, moment(sim, 14, 15), crash);
}

static void boot_vote_begin(struct sim *sim, uint64_t seed) {
    vote_begin(sim, seed, CRASH_B);
}

static void kept_vote_begin(struct sim *sim, uint64_t seed) {
    vote_begin(sim, seed, RESTART_B);
}

/* ---- the join of an earlier incarnation arrives after the next one was admitted ---- */

enum { BOOT, HUNGRY_B, OTHERS };

static double stale_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    if (from == C && to == A && message->type == CORE_SEND_HEARTBEAT && seconds(sim) > 5 &&
        seconds(sim) < 8 && message->heartbeat.join == CORE_JOIN_FRESH) {
        return 12;
    }
    return 0;
}

static void stale_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == BOOT) {
        node_host_crash(sim, C, 0.01);
    } else if (what == HUNGRY_B) {
        demand(sim, C, 60);
    } else {
        demand(sim, A, 60);
        demand(sim, B, 60);
    }
}

static void stale_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, stale_story);
    sim->intercept = stale_intercept;
    at(sim, 5, BOOT);
    at(sim, moment(sim, 7.6, 7.9), BOOT);
    at(sim, 11, HUNGRY_B);
    at(sim, 18, OTHERS);
}

/* ---- a coordinator sleeps, another one deals and dies, the first wakes up ---- */

enum { PAUSE_A, WAKE_A, KILL_C, FEED_C };

static double resume_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    (void)to;
    if (seconds(sim) < 9) {
        return 0;
    }
    if (from == B && message->type == CORE_SEND_VOTE_REQUEST) {
        return -1;
    }
    return from == C && message->type != CORE_SEND_VOTE_REQUEST ? -1 : 0;
}

static void resume_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == PAUSE_A) {
        node_pause(sim, A, 20);
    } else if (what == FEED_C) {
        demand(sim, C, 60);
    } else if (what == WAKE_A) {
        demand(sim, A, 60);
    } else {
        node_bridge_crash(sim, C, 60);
    }
}

static void resume_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, resume_story);
    sim->intercept = resume_intercept;
    at(sim, moment(sim, 9.5, 10), PAUSE_A);
    at(sim, 12, FEED_C);
    at(sim, 29, WAKE_A);
    at(sim, moment(sim, 31, 32), KILL_C);
}

/* ---- a grant of an older term arrives when a later coordinator has counted without it ---- */

static double old_term_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    if (to != C || message->type != CORE_SEND_DEAL || seconds(sim) < 9) {
        return 0;
    }
    for (uint32_t i = 0; i < message->deal.parts; i++) {
        const struct core_part *part = &message->deal.part[i];
        if (part->to == sim->node[C].hash && from == A && part->grants > 0) {
            return 3.6;
        }
        if (part->to == sim->node[C].hash && from == B && part->admission) {
            return -1;
        }
    }
    return 0;
}

static void old_term_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == PAUSE_A) {
        node_pause(sim, A, 2.6);
    } else {
        demand(sim, what == FEED_C ? C : B, 60);
    }
}

static void old_term_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, old_term_story);
    sim->intercept = old_term_intercept;
    at(sim, 9.5, FEED_C);
    at(sim, moment(sim, 9.8, 10), PAUSE_A);
    at(sim, 12, WAKE_A);
}

/* ---- a forgotten record, and its grant again ---- */

enum { GROW_C, NONE, HOMES, MORE_C };

static double again_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    (void)from;
    if (to != C || message->type != CORE_SEND_DEAL || seconds(sim) > 13) {
        return 0;
    }
    for (uint32_t i = 0; i < message->deal.parts; i++) {
        const struct core_part *part = &message->deal.part[i];
        if (part->to == sim->node[C].hash && !part->admission && part->grants > 0 &&
            part->grant[0].share > 15) {
            net_again(sim, to, message, 16);
        }
    }
    return 0;
}

static void again_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == GROW_C) {
        demand(sim, C, 60);
    } else if (what == NONE) {
        demand(sim, C, 0);
    } else {
        demand(sim, A, 10);
        demand(sim, B, 10);
        demand(sim, C, what == MORE_C ? 60 : 10);
    }
}

static void again_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, again_story);
    sim->intercept = again_intercept;
    at(sim, 10, GROW_C);
    at(sim, moment(sim, 13.5, 14), NONE);
    at(sim, 24.5, HOMES);
    at(sim, 25.5, MORE_C);
}

/* ---- leaving ---- */

enum { LEAVE_A, LEAVE_C, WANT_AB, WANT_BC, WANT_C, FROM_A, FROM_C };

/* Of the one that left, all but the reserve must be in use elsewhere. */
static void must_be_handed_over(struct sim *sim, int left) {
    const int64_t wanted = 30 - 5 + sim->node[left].in_use[0];

    if (sim->total[0] != wanted) {
        snprintf(sim->stuck, sizeof sim->stuck, "%lld of %lld in use at %.1f s",
                 (long long)sim->total[0], (long long)wanted, seconds(sim));
    }
}

static void leave_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    switch (what) {
    case LEAVE_A:
    case LEAVE_C:
        node_bridge_leave(sim, what == LEAVE_A ? A : C, 60);
        break;
    case WANT_AB:
    case WANT_BC:
        demand(sim, B, 60);
        demand(sim, what == WANT_AB ? A : C, 60);
        break;
    case WANT_C:
        demand(sim, C, 60);
        break;
    default:
        must_be_handed_over(sim, what == FROM_A ? A : C);
        break;
    }
}

/* Of a counter that nobody fought over the part of one that left is there at once. */
static void leave_start(struct sim *sim, uint64_t seed) {
    start(sim, seed, leave_story);
    sim->leave_s = 3; /* as bridges do */
}

static void leave_idle_begin(struct sim *sim, uint64_t seed) {
    leave_start(sim, seed);
    at(sim, moment(sim, 9, 10), LEAVE_C);
    at(sim, 10.2, WANT_AB);
    at(sim, 12, FROM_C); /* it would come back by itself at 18.5 */
}

/* Also that of the coordinator. */
static void leave_leader_begin(struct sim *sim, uint64_t seed) {
    leave_start(sim, seed);
    at(sim, moment(sim, 9, 10), LEAVE_A);
    at(sim, 10.2, WANT_BC);
    at(sim, 13, FROM_A);
}

/* What is in use when it leaves is not handed over before it has ended. */
static void leave_busy_begin(struct sim *sim, uint64_t seed) {
    leave_start(sim, seed);
    at(sim, 5, WANT_C);
    at(sim, moment(sim, 9, 10), LEAVE_C);
    at(sim, 10.2, WANT_AB);
    at(sim, 22, FROM_C);
}

/* ---- a grant that is lost is sent again ---- */

enum { MORE_FOR_C, HAS_C };

static double lost_grant_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    bool deal = from == A && to == C && message->type == CORE_SEND_DEAL;
    for (uint32_t i = 0; deal && i < message->deal.parts; i++) {
        const struct core_part *part = &message->deal.part[i];
        if (part->to == sim->node[C].hash && part->grants > 0 && seconds(sim) < 10.3) {
            return -1;
        }
    }
    return 0;
}

static void lost_grant_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == MORE_FOR_C) {
        demand(sim, C, 60);
    } else if (sim->node[C].in_use[0] != 20) {
        snprintf(sim->stuck, sizeof sim->stuck, "%d of 20 at %.1f s", sim->node[C].in_use[0],
                 seconds(sim));
    }
}

static void lost_grant_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, lost_grant_story);
    sim->intercept = lost_grant_intercept;
    at(sim, moment(sim, 9, 10), MORE_FOR_C);
    at(sim, 14, HAS_C);
}

/* ---- without a majority, but not without seeing anybody ---- */

enum { HALF_CUT_C, ALL_HUNGRY };

static void seen_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == ALL_HUNGRY) {
        for (int i = A; i <= C; i++) {
            demand(sim, i, 60);
        }
    } else {
        isolate(sim, C, true, true);
        set_cut(sim, B, C, false); /* it hears one that follows another */
    }
}

static void seen_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, seen_story);
    sim->timers.take_over_after = 8000;
    for (int i = 0; i < 3; i++) {
        node_host_crash(sim, i, 0.001); /* so that they start again with that */
    }
    at(sim, moment(sim, 7, 8), HALF_CUT_C);
    at(sim, 9, ALL_HUNGRY);
}

const struct sim_scenario sim_directed[] = {
    {"boot-vote", 30, false, boot_vote_begin},
    {"kept-vote", 30, false, kept_vote_begin},
    {"stale-join", 30, false, stale_begin},
    {"resume", 45, false, resume_begin},
    {"commit-alone", 62, false, commit_alone_begin},
    {"old-report", 40, false, old_report_begin},
    {"old-grant", 18, false, old_grant_begin},
    {"commit-use", 30, false, commit_use_begin},
    {"grant-again", 35, false, again_begin},
    {"old-reading", 25, false, old_reading_begin},
    {"late-join", 25, false, late_join_begin},
    {"slept-join", 25, false, slept_join_begin},
    {"drained-join", 28, false, drained_join_begin},
    {"late-ack", 30, false, late_ack_begin},
    {"lost-ack", 35, false, lost_ack_begin},
    {"old-term", 20, false, old_term_begin},
    {"late-use", 22, false, late_use_begin},
    {"leave-idle", 13, false, leave_idle_begin},
    {"leave-leader", 14, false, leave_leader_begin},
    {"leave-busy", 24, false, leave_busy_begin},
    {"leave-commit", 20, false, leave_commit_begin},
    {"reserve", 20, false, reserve_begin},
    {"lost-grant", 15, false, lost_grant_begin},
    {"old-word", 35, false, old_word_begin},
    {"was-dead", 45, false, was_dead_begin},
    {"new-behind", 35, false, new_behind_begin},
    {"pending-join", 16, false, pending_join_begin},
    {"pending-row", 16, false, pending_row_begin},
    {"behind-join", 18, false, behind_join_begin},
    {"promised-join", 16, false, promised_join_begin},
    {"overtaken", 28, false, overtaken_begin},
    {"old-majority", 27, false, old_majority_begin},
    {"new-turns", 35, false, new_turns_begin},
    {"found-alone", 40, false, found_alone_begin},
    {"founder-bound", 40, false, founder_bound_begin},
    {"back-soon", 14, false, back_soon_begin},
    {"old-admission", 10, false, old_admission_begin},
    {"seen", 50, false, seen_begin},
    {NULL, 0, false, NULL},
};
