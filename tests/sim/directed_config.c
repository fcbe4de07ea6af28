/* SPDX-License-Identifier: MIT */
/* Short stories of configurations: files that change, and what is promised. */
#include "stories.h"

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
    GO_C,
    IDLE_C,
    SIX_C,
    NO_ROOM,
    ROOM
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
    case IDLE_C:
        demand(sim, C, 0);
        break;
    case SIX_C:
        demand(sim, C, 6);
        break;
    case NO_ROOM:
    case ROOM:
        sim->full = what == NO_ROOM ? 1 : 0;
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
void commit_alone_begin(struct sim *sim, uint64_t seed) {
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

void old_report_begin(struct sim *sim, uint64_t seed) {
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

/* What C was granted before the commit, and gave back, comes again after it, when C remembers no
 * record and so no sequence of it. */
static double old_grant_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    bool deal = from == A && to == C && message->type == CORE_SEND_DEAL && seconds(sim) < 6;
    for (uint32_t i = 0; deal && i < message->deal.parts; i++) {
        const struct core_part *part = &message->deal.part[i];
        if (part->to == sim->node[C].hash && part->grants > 0 && part->grant[0].share > 15) {
            net_again(sim, C, message, 15 - seconds(sim));
        }
    }
    return 0;
}

void old_grant_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 27;

    start(sim, seed, config_story);
    sim->intercept = old_grant_intercept;
    sim_add_config(sim, 7, &limit);
    at(sim, 3, GREEDY_C);
    at(sim, moment(sim, 6, 7), IDLE_C);
    at(sim, 8, LOAD_A);
    at(sim, 8.1, LOAD_B);
    at(sim, 8.2, LOAD_C);
    at(sim, 13, HUNGRY_ALL);
    at(sim, 13, GREEDY_C);
}

/* A commit while a member without a session still has more in use than its new reserve. */
static double unknown_b_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    (void)to;
    bool quiet = seconds(sim) > 18 && seconds(sim) < 22 && from == B;
    return quiet && message->type != CORE_SEND_VOTE ? -1 : 0;
}

void commit_use_begin(struct sim *sim, uint64_t seed) {
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

/* A commit while it drains: it has promised its new home, and may have that in use. */
void leave_commit_begin(struct sim *sim, uint64_t seed) {
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

/* A member joins the next coordinator before it has heard of the commit, because a share that finds
 * no room keeps it from that; then it goes to its new home. Between the commit and the new
 * leadership only a late deal, with that share, reaches C; then anything but an admission. */
static double behind_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    const double s = seconds(sim);
    bool grants = false, admits = false;

    if (message->type == CORE_SEND_VOTE_REQUEST && s > 9.8) {
        return from == A ? 0 : -1;
    }
    for (uint32_t i = 0; message->type == CORE_SEND_DEAL && i < message->deal.parts; i++) {
        const struct core_part *part = &message->deal.part[i];
        bool own = part->to == sim->node[C].hash;
        grants = grants || (own && part->grants > 0 && message->deal.epoch == 1);
        admits = admits || (own && part->admission);
    }
    if (to != C || from == C || s < 9.8 || s > 16) {
        return 0;
    }
    return s > 13.1 ? (admits ? -1 : 0) : grants ? 13.1 - s : -1;
}

void behind_join_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 27;

    start(sim, seed, config_story);
    sim->intercept = behind_intercept;
    sim_add_config(sim, 7, &limit);
    at(sim, 3, HUNGRY_ALL);
    at(sim, 5, LOAD_A);
    at(sim, 5.1, LOAD_C);
    at(sim, 5.2, LOAD_B_BUSY);
    at(sim, moment(sim, 9.85, 9.95), SIX_C);
    at(sim, 10.2, FITS_B);
    at(sim, moment(sim, 10.9, 11), FIRST);
    at(sim, 13, NO_ROOM);
    at(sim, 13.15, ROOM);
    at(sim, 14.4, GREEDY_C);
}

/* ---- an admission of a session that was given up ---- */

enum { FULL_C, LESS_FOR_C, FULL_AB, WITHDRAW_C };

static void given_up_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    switch (what) {
    case FULL_C:
        demand(sim, C, 60);
        break;
    case LESS_FOR_C:
        node_load_file(sim, C, 1);
        break;
    case FULL_AB:
        demand(sim, A, 60);
        demand(sim, B, 60);
        break;
    default:
        node_load_file(sim, C, 0);
        break;
    }
}

/* Each admission of C comes again when its session is over by its own hand, and nothing else does.
 */
static double given_up_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    bool deal = to == C && from != C && message->type == CORE_SEND_DEAL;
    for (uint32_t i = 0; deal && seconds(sim) < 4 && i < message->deal.parts; i++) {
        const struct core_part *part = &message->deal.part[i];
        if (part->to == sim->node[C].hash && part->admission) {
            net_again(sim, C, message, 4.2);
        }
    }
    return deal && seconds(sim) > 5.9 ? -1 : 0;
}

void old_admission_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 9;

    start(sim, seed, given_up_story);
    sim->intercept = given_up_intercept;
    sim_add_config(sim, 7, &limit);
    at(sim, .5, FULL_C);
    at(sim, moment(sim, 3.2, 3.4), LESS_FOR_C);
    at(sim, 5, FULL_AB);
    at(sim, moment(sim, 6, 6.3), WITHDRAW_C);
}

/* ---- a bridge that starts anew does not name what a proposal keeps from it ---- */

enum { LESS_C, MORE_C, WITHOUT_C, WANT_A, WANT_B, WANT_AB, RESTART_AC };

static void pending_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == LESS_C) {
        demand(sim, C, 3);
        node_load_file(sim, C, 1);
    } else if (what == MORE_C) {
        demand(sim, C, 60);
    } else if (what == WITHOUT_C) {
        demand(sim, C, 0);
        for (int i = A; i <= C; i++) {
            node_load_file(sim, i, 1);
        }
        sim->node[B].fits_told = true; /* as if something did not fit there: no commit */
    } else if (what == WANT_A || what == WANT_AB) {
        demand(sim, A, 60);
        demand(sim, B, what == WANT_AB ? 60 : sim->node[B].demand[0]);
    } else if (what == WANT_B) {
        demand(sim, A, 10); /* its home: no record of that */
        demand(sim, B, 17); /* and what C leaves */
    } else {
        node_bridge_crash(sim, A, 0.05);
        node_bridge_crash(sim, C, 0.05);
        node_pause(sim, C, 2.6); /* it hears A before it has looked at anything */
    }
}

/* Once it leads anew, A hears nothing of B. */
static double pending_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    if (seconds(sim) < 8.9 || from == to) {
        return 0;
    }
    if (message->type == CORE_SEND_VOTE_REQUEST) {
        return from == A ? 0 : -1;
    }
    return from == B && message->type == CORE_SEND_HEARTBEAT ? -1 : 0;
}

void pending_join_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 9;

    start(sim, seed, pending_story);
    sim->intercept = pending_intercept;
    sim_add_config(sim, 7, &limit);
    at(sim, 3, LESS_C);
    at(sim, 5, WANT_AB);
    at(sim, moment(sim, 9, 9.1), RESTART_AC);
}

/* Nobody speaks of the counter in a join, so that it comes up when all but B are known. */
void pending_row_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 9;

    start(sim, seed, pending_story);
    sim->intercept = pending_intercept;
    sim_add_config(sim, 7, &limit);
    at(sim, 3, LESS_C);
    at(sim, 5, WANT_B);
    at(sim, moment(sim, 9, 9.1), RESTART_AC);
    at(sim, 12.5, WANT_A);
}

/* What C has promised leaves it nothing, not its reserve either, and the others have that. */
void promised_join_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 60;

    start(sim, seed, pending_story);
    sim->intercept = pending_intercept;
    sim_add_config(sim, 3, &limit);
    at(sim, 3, MORE_C);
    at(sim, 4, WITHOUT_C);
    at(sim, 5, WANT_AB);
    at(sim, moment(sim, 9, 9.1), RESTART_AC);
}

/* ---- a promise that was overtaken, and a third file ---- */

enum { FIRST_ALL, SECOND_AB, HUNGRY_ALL_THREE, SECOND_C, THIRD_C };

static void overtaken_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    for (int i = A; i <= C; i++) {
        if (what == FIRST_ALL) {
            node_load_file(sim, i, 1);
        } else if (what == SECOND_AB && i != C) {
            node_load_file(sim, i, 2);
        } else if (what == HUNGRY_ALL_THREE) {
            demand(sim, i, 60);
        }
    }
    if (what == SECOND_C || what == THIRD_C) {
        node_load_file(sim, C, what == SECOND_C ? 2 : 3);
    }
}

/* C promises, and hears for long of no commit. */
static double overtaken_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    bool later = (message->type == CORE_SEND_DEAL && message->deal.epoch >= 2) ||
                 (message->type == CORE_SEND_HEARTBEAT && message->heartbeat.epoch >= 2);
    return to == C && from != C && later && seconds(sim) < 20 ? -1 : 0;
}

void overtaken_begin(struct sim *sim, uint64_t seed) {
    const int32_t same = 30, less = 28;

    start(sim, seed, overtaken_story);
    sim->intercept = overtaken_intercept;
    sim_add_config(sim, 3, &same);
    sim_add_config(sim, 3, &less);
    sim_add_config(sim, 7, &same);
    at(sim, 5, FIRST_ALL);
    at(sim, moment(sim, 9, 10), SECOND_AB);
    at(sim, 14, HUNGRY_ALL_THREE);
    at(sim, 22, SECOND_C);
    at(sim, moment(sim, 22.001, 22.003), THIRD_C); /* before it hears that it is committed */
}

/* ---- a commit while those who are left elect another coordinator ---- */

enum { D = C + 1, E, FILLS_A, WITHOUT_BC, LOOK_B, HUNGRY_DE };

static void majority_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    switch (what) {
    case FILLS_A:
        demand(sim, A, 60);
        break;
    case WITHOUT_BC:
        for (int i = A; i <= E; i++) {
            node_load_file(sim, i, 1);
        }
        sim->node[B].fits_told = true; /* as if something did not fit there: no commit yet */
        break;
    case LOOK_B:
        sim->node[B].fits_told = false;
        break;
    default:
        demand(sim, D, 60);
        demand(sim, E, 60);
        break;
    }
}

/* D and E do not hear A, and learn of its commit from B; then nobody hears A. */
static double majority_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    (void)message;
    bool left = from == A && to >= D && seconds(sim) > 12;
    bool lone = sim->node[D].epoch == 2 && from != to && (from == A || to == A);
    return left || lone ? -1 : 0;
}

/* Five nodes: B and C, who vote for A, are taken out, and D and E are a majority of those left. */
void old_majority_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 30;

    start_nodes(sim, seed, 5, majority_story);
    sim->intercept = majority_intercept;
    sim_add_config(sim, 1 << A | 1 << D | 1 << E, &limit);
    at(sim, 3, FILLS_A);
    at(sim, 5, WITHOUT_BC);
    at(sim, moment(sim, 15, 15.5), LOOK_B);
    at(sim, 17, HUNGRY_DE);
}
