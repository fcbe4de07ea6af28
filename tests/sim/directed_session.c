/* SPDX-License-Identifier: MIT */
/* Short stories of sessions: how they end, what is said when they start again, and when. */
#include "stories.h"

enum {
    TAKE_C,
    REST_C,
    PAUSE_C,
    SLEEP_C,
    LONG_SLEEP_C,
    NAP_C,
    LONE_C,
    REACH_C,
    CRASH_A,
    TAKE_A,
    TAKE_B,
    TAKE_AB
};

static int64_t session_left_ms(struct sim *sim, int node) {
    return (int64_t)sim->node[node].memory.session_end - (int64_t)sim_local(sim, node);
}

static void session_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    switch (what) {
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
    case SLEEP_C:
        node_pause(sim, C, 5.3);
        break;
    case LONG_SLEEP_C:
        node_pause(sim, C, 7.5);
        break;
    case NAP_C: /* wakes just before its session ends, with half a second to hear an answer */
        node_pause(sim, C, (double)session_left_ms(sim, C) / 1e3 - .02);
        break;
    case CRASH_A:
        node_bridge_crash(sim, A, 0.05);
        break;
    case REACH_C:
        isolate(sim, C, false, false);
        break;
    case LONE_C:
        isolate(sim, C, true, true);
        break;
    case TAKE_A:
    case TAKE_B:
        demand(sim, what == TAKE_A ? A : B, 60);
        break;
    default:
        demand(sim, A, 60);
        demand(sim, B, 60);
        break;
    }
}

/* ---- a join with what was read before the session ended ---- */

void old_reading_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, session_story);
    at(sim, 5, TAKE_C);
    at(sim, 8, REST_C);
    at(sim, moment(sim, 9, 9.5), PAUSE_C);
    at(sim, 10.5, TAKE_C);
    at(sim, 14, TAKE_AB);
    at(sim, 16, REACH_C); /* the first that it reads when it goes on is fresh */
}

/* Cut off while it rests with a large share, and busy again before its session ends. */
void late_use_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, session_story);
    at(sim, 5, TAKE_C);
    at(sim, 8, REST_C);
    at(sim, moment(sim, 9, 10), LONE_C);
    at(sim, 11.5, TAKE_C);
    at(sim, 12, TAKE_AB);
}

/* Idle while the others use everything, cut off, and back at its reserve without a session. */
void reserve_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, session_story);
    at(sim, 5, TAKE_AB);
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

void late_join_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, session_story);
    sim->intercept = late_join_intercept;
    at(sim, 5, TAKE_C);
    at(sim, 17.5, TAKE_AB);
}

/* ---- what a bridge read before it slept is told afterwards, while another is silent ---- */

/* Once it leads anew, A hears nothing of B, and of C only when that has slept. */
static double slept_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    double s = seconds(sim);
    if (s < 9.4 || from == to) {
        return 0;
    }
    if (message->type == CORE_SEND_VOTE_REQUEST) {
        return from == A ? 0 : -1;
    }
    if (message->type != CORE_SEND_HEARTBEAT && message->type != CORE_SEND_DEAL) {
        return 0;
    }
    bool awake = s > 20 && (from == C || to == C);
    return from != B && to != B && awake ? 0 : -1;
}

void slept_join_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, session_story);
    sim->intercept = slept_intercept;
    at(sim, 3, TAKE_C);
    at(sim, moment(sim, 9.4, 9.5), CRASH_A);
    at(sim, 12, TAKE_AB);
    at(sim, moment(sim, 15.7, 15.8), SLEEP_C);
}

/* What C speaks of has drained while it slept, and B has it, of whom A does not hear any more when
 * it leads anew. */
static double drained_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    if (seconds(sim) < 19.5 || from == to) {
        return 0;
    }
    if (message->type == CORE_SEND_VOTE_REQUEST) {
        return from == A ? 0 : -1;
    }
    bool says = message->type == CORE_SEND_HEARTBEAT || message->type == CORE_SEND_DEAL;
    return says && (from == B || to == B) ? -1 : 0;
}

void drained_join_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, session_story);
    sim->intercept = drained_intercept;
    at(sim, 3, TAKE_C);
    at(sim, 9, LONE_C);
    at(sim, 10, TAKE_B);
    at(sim, moment(sim, 15.7, 15.8), LONG_SLEEP_C);
    at(sim, moment(sim, 19.5, 19.7), CRASH_A);
    at(sim, 20.5, REACH_C);
    at(sim, 21, TAKE_A);
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

void late_ack_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, session_story);
    sim->intercept = late_ack_intercept;
    at(sim, 5, TAKE_C);
    at(sim, moment(sim, 13, 14), TAKE_AB);
}

/* ---- a heartbeat is taken in, then its sender is lost, then it would be acknowledged ---- */

/* Only what C says then gets through, and late: when the coordinator is about to count C as lost.
 */
static double lost_ack_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    int64_t left = session_left_ms(sim, C);

    (void)to;
    if (from != C || message->type != CORE_SEND_HEARTBEAT || seconds(sim) < 9) {
        return 0;
    }
    return left > 0 && left < 100 ? (double)left / 1e3 + moment(sim, .03, .2) : -1;
}

void lost_ack_begin(struct sim *sim, uint64_t seed) {
    start(sim, seed, session_story);
    sim->intercept = lost_ack_intercept;
    at(sim, 5, TAKE_C);
    at(sim, 13.5, NAP_C);
    at(sim, 16, TAKE_AB);
}
