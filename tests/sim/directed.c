/* SPDX-License-Identifier: MIT */
/* Short stories, one rule each: what random runs seldom meet. Three nodes, one counter of 30 (home
 * 10, reserve 5), a network that loses only what the story says. The seed moves the moments. */
#include <stdlib.h>

#include "sim.h"

enum { A, B, C };

static void demand(struct sim *sim, int node, int32_t wanted) {
    sim->node[node].demand[0] = wanted;
    if (wanted == 0) {
        node_close_all(sim, node, 0);
    }
    node_workers(sim, node);
}

static void set_cut(struct sim *sim, int from, int to, bool is_cut) {
    sim->cut[from][to] = is_cut ? 1 : 0;
}

static void isolate(struct sim *sim, int node, bool out, bool in) {
    for (int i = 0; i < 3; i++) {
        set_cut(sim, node, i, out);
        set_cut(sim, i, node, in);
    }
}

static double seconds(const struct sim *sim) {
    return (double)sim->now / 1e6;
}

static void start(struct sim *sim, uint64_t seed, sim_story story) {
    struct core_timers timers = core_timers_default();
    const int32_t limit = 30;

    timers.drain = 2000;
    timers.grace = 600;
    sim_start(sim, seed, 3, &limit, 1, 50, &timers);
    sim->hold_s = 1e6;
    sim->tail = 0;
    sim->story = story;
}

static void at(struct sim *sim, double s, uint64_t what) {
    plan_step(sim, s, STEP_STORY)->a = what;
}

/* A moment that the seed picks. */
static double moment(struct sim *sim, double from, double to) {
    return sim_draw_uniform(&sim->planner, from, to);
}

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

/* ---- configurations ---- */

enum {
    LOAD_A,
    LOAD_B,
    LOAD_C,
    LOAD_B_BUSY,
    FITS_B,
    ALONE_C,
    HEAR_C,
    HUNGRY_ALL,
    HUNGRY_B_ONLY,
    MODEST,
    GREEDY_C,
    FIRST,
    HEAL_C,
    BUSY_C,
    GO_C
};

static void config_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    switch (what) {
    case LOAD_A:
    case LOAD_B:
    case LOAD_C:
        node_load(sim, what == LOAD_A ? A : what == LOAD_B ? B : C);
        break;
    case LOAD_B_BUSY: /* it promises, but does not fit yet, as if something were in use there */
        node_load(sim, B);
        sim->node[B].fits_told = true;
        break;
    case FITS_B:
        sim->node[B].fits_told = false;
        break;
    case ALONE_C:
        isolate(sim, C, true, true);
        break;
    case HEAR_C:
        isolate(sim, C, true, false);
        demand(sim, C, 60);
        break;
    case HUNGRY_ALL:
        demand(sim, A, 60);
        demand(sim, B, 60);
        break;
    case HUNGRY_B_ONLY:
        demand(sim, A, 20); /* its home in the second configuration */
        demand(sim, B, 60);
        break;
    case MODEST:
        demand(sim, C, 10);
        break;
    case BUSY_C:
        demand(sim, C, 15);
        break;
    case GREEDY_C:
        demand(sim, C, 60);
        break;
    case GO_C:
        node_bridge_leave(sim, C, 60);
        break;
    case HEAL_C:
        isolate(sim, C, false, false);
        break;
    default:
        node_bridge_crash(sim, A, 0.05);
        break;
    }
}

static void doubled_limit(struct sim *sim) {
    const int32_t limit = 60;
    sim_add_config(sim, 7, &limit);
}

/* A member without a session learns of a commit: it must not go to its new home. */
static void commit_alone_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, config_story);
    doubled_limit(sim);
    at(sim, 5, LOAD_A);
    at(sim, 5.1, LOAD_C);
    at(sim, 5.2, LOAD_B_BUSY);
    at(sim, moment(sim, 9.5, 10), ALONE_C);
    at(sim, 30, HUNGRY_ALL);
    at(sim, 40, FITS_B);
    at(sim, 56, HEAR_C);
}

/* A report from before a commit arrives after it, and lowers what is counted: C learns of the
 * commit late. */
static double old_report_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    if (from == A && to == C && message->type == CORE_SEND_DEAL && message->deal.epoch == 2) {
        return seconds(sim) < 33 ? .8 : 0;
    }
    if (to == C && message->type != CORE_SEND_DEAL && seconds(sim) > 29) {
        return -1; /* heartbeats would tell it, too */
    }
    bool after = message->type == CORE_SEND_HEARTBEAT && message->heartbeat.epoch == 2;
    return from == C && to == A && after && seconds(sim) < 36 ? .6 : 0;
}

static void old_report_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, config_story);
    sim->intercept = old_report_intercept;
    doubled_limit(sim);
    at(sim, 5, LOAD_B);
    at(sim, 5.1, LOAD_C);
    at(sim, 10, MODEST);
    at(sim, 12, HUNGRY_B_ONLY);
    at(sim, moment(sim, 29.5, 30), LOAD_A);
    at(sim, 31.2, GREEDY_C);
}

/* A commit while a member without a session still has more in use than its new reserve. */
static double unknown_b_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    (void)to;
    bool quiet = seconds(sim) > 18 && seconds(sim) < 22 && from == B;
    return quiet && message->type != CORE_SEND_VOTE ? -1 : 0;
}

static void commit_use_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, config_story);
    sim->timers.drain = 8000;
    for (int i = 0; i < 3; i++) {
        node_host_crash(sim, i, 0.001); /* so that they start again with that */
    }
    sim->intercept = unknown_b_intercept;
    doubled_limit(sim);
    at(sim, 5, LOAD_A);
    at(sim, 5.1, LOAD_C);
    at(sim, 5.2, LOAD_B_BUSY);
    at(sim, 10, BUSY_C);
    at(sim, 13, ALONE_C);
    at(sim, 19, FITS_B);
    at(sim, moment(sim, 17.9, 18.1), FIRST);
    at(sim, 20.7, HEAL_C);
    at(sim, 21, HUNGRY_ALL);
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

/* ---- a join with what was read before the session ended ---- */

enum { SHARE_C, REST_C, PAUSE_C, TAKE_C, LONE_C, REACH_C, HUNGRY_AB };

static void read_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    switch (what) {
    case SHARE_C:
    case TAKE_C:
        demand(sim, C, 60);
        break;
    case REST_C:
        demand(sim, C, 0);
        break;
    case PAUSE_C:
        node_pause(sim, C, 7.5);
        isolate(sim, C, true, true);
        break;
    case REACH_C:
        isolate(sim, C, false, false);
        break;
    case LONE_C:
        isolate(sim, C, true, true);
        break;
    default:
        demand(sim, A, 60);
        demand(sim, B, 60);
        break;
    }
}

static void old_reading_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, read_story);
    at(sim, 5, SHARE_C);
    at(sim, 8, REST_C);
    at(sim, moment(sim, 9, 9.5), PAUSE_C);
    at(sim, 10.5, TAKE_C);
    at(sim, 14, HUNGRY_AB);
    at(sim, 16, REACH_C); /* the first that it reads when it goes on is fresh */
}

/* Cut off while it rests with a large share, and busy again before its session ends. */
static void late_use_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, read_story);
    at(sim, 5, SHARE_C);
    at(sim, 8, REST_C);
    at(sim, moment(sim, 9, 10), LONE_C);
    at(sim, 11.5, TAKE_C);
    at(sim, 12, HUNGRY_AB);
}

/* Idle while the others use everything, cut off, and back at its reserve without a session. */
static void reserve_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, read_story);
    at(sim, 5, HUNGRY_AB);
    at(sim, moment(sim, 9, 10), LONE_C);
    at(sim, 16.1, TAKE_C);
}

/* What it speaks of has drained while the join was under way, and was dealt to others. */
static double late_join_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    if (from != C || to != A || message->type != CORE_SEND_HEARTBEAT || seconds(sim) < 10) {
        return 0;
    }
    bool when = seconds(sim) > 17 && seconds(sim) < 18.2;
    return when && message->heartbeat.join == CORE_JOIN_EXPIRED ? 1.3 : -1;
}

static void late_join_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, read_story);
    sim->intercept = late_join_intercept;
    at(sim, 5, SHARE_C);
    at(sim, 17.5, HUNGRY_AB);
}

/* ---- an acknowledgement that took long ---- */

static double late_ack_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    if ((from != C && to != C) || seconds(sim) < 9) {
        return 0;
    }
    if (seconds(sim) > 10) {
        return -1;
    }
    return to == C && message->type == CORE_SEND_DEAL ? 5 : 0;
}

static void late_ack_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, read_story);
    sim->intercept = late_ack_intercept;
    at(sim, 5, SHARE_C);
    at(sim, moment(sim, 13, 14), HUNGRY_AB);
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

/* A commit while it drains: it has promised its new home, and may have that in use. */
static void leave_commit_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, config_story);
    sim->timers.drain = 8000;
    for (int i = 0; i < 3; i++) {
        node_host_crash(sim, i, 0.001); /* so that they start again with that */
    }
    doubled_limit(sim);
    at(sim, 5, BUSY_C);
    at(sim, 6, LOAD_C);
    at(sim, 6.1, LOAD_A);
    at(sim, 6.2, LOAD_B_BUSY);
    at(sim, moment(sim, 9, 10), GO_C);
    at(sim, 10.2, FITS_B);
    at(sim, 11.5, HUNGRY_ALL);
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

/* ---- names that die and come back ---- */

enum { DIES_C, CHANGE_AB, VOUCH_AB, RETURNS_C, GREED_AB, GREED_C, DEAF_B, LOSE_A, STARVE_A };

static void vouch_for_c(struct sim *sim) {
    for (int i = A; i <= B; i++) {
        core_vouch_dead(sim->node[i].core, sim_local(sim, i), sim->node[C].hash);
    }
}

static void name_story(struct sim *sim, uint64_t what, uint64_t file) {
    switch (what) {
    case DIES_C:
        node_bury(sim, C);
        sim->node[C].vouched = 0;
        break;
    case CHANGE_AB:
        node_load_file(sim, A, 1);
        node_load_file(sim, B, 1);
        break;
    case VOUCH_AB:
        vouch_for_c(sim);
        break;
    case RETURNS_C:
        node_return(sim, C, (int)file);
        break;
    case GREED_AB:
        demand(sim, A, 60);
        demand(sim, B, 60);
        break;
    case GREED_C:
        demand(sim, C, 60);
        break;
    case DEAF_B:
        set_cut(sim, C, B, true);
        break;
    case STARVE_A:
        demand(sim, A, 60);
        break;
    default:
        node_bridge_crash(sim, A, 0.05);
        break;
    }
}

/* What the first configuration's members said arrives at a new node of that file, when its name was
 * removed long ago. */
static double old_word_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    bool when = seconds(sim) > 8 && seconds(sim) < 9;
    if (from == A && to == B && message->type == CORE_SEND_HEARTBEAT && when) {
        net_again(sim, C, message, 20);
    }
    return 0;
}

static void old_word_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 30;

    start(sim, seed, name_story);
    sim->intercept = old_word_intercept;
    sim_add_config(sim, 3, &limit);
    at(sim, 5, DIES_C);
    at(sim, 14, CHANGE_AB);
    at(sim, moment(sim, 14.1, 15), VOUCH_AB);
    at(sim, 18, GREED_AB);
    at(sim, 22, RETURNS_C);
    at(sim, 23, GREED_C);
}

/* It comes back and is dealt to; then somebody leads who only knew that it was dead. */
static double b_leads_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    (void)to;
    return from == A && message->type == CORE_SEND_VOTE_REQUEST && seconds(sim) > 30 ? -1 : 0;
}

static void was_dead_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 60;

    start(sim, seed, name_story);
    sim->intercept = b_leads_intercept;
    sim_add_config(sim, 7, &limit);
    at(sim, 5, DIES_C);
    at(sim, 5.1, DEAF_B);
    at(sim, 14, CHANGE_AB);
    at(sim, moment(sim, 14.1, 15), VOUCH_AB);
    plan_step(sim, 20, STEP_STORY)->a = RETURNS_C;
    sim->step[sim->steps - 1].b = 1;
    at(sim, 25, GREED_C);
    at(sim, moment(sim, 30, 31), LOSE_A);
    at(sim, 32, STARVE_A);
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
    {"commit-use", 30, false, commit_use_begin},
    {"grant-again", 35, false, again_begin},
    {"old-reading", 25, false, old_reading_begin},
    {"late-join", 25, false, late_join_begin},
    {"late-ack", 30, false, late_ack_begin},
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
    {"seen", 50, false, seen_begin},
    {NULL, 0, false, NULL},
};
