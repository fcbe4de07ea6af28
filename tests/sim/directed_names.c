/* SPDX-License-Identifier: MIT */
/* Short stories of names: members that die, are removed, come back, or are founded. */
#include <stdio.h>

#include "stories.h"

/* ---- names that die and come back ---- */

enum {
    DIES_C,
    CHANGE_AB,
    VOUCH_AB,
    RETURNS_C,
    GREED_AB,
    GREED_C,
    DEAF_B,
    LOSE_A,
    STARVE_A,
    TURN_C
};

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
    case TURN_C:
        node_load_file(sim, C, 0);
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

void old_word_begin(struct sim *sim, uint64_t seed) {
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

void was_dead_begin(struct sim *sim, uint64_t seed) {
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

/* A alone knows of the commit that was made without C, and then C is set up anew with the old file.
 */
static double behind_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    bool knows = (message->type == CORE_SEND_DEAL && message->deal.epoch == 2) ||
                 (message->type == CORE_SEND_HEARTBEAT && message->heartbeat.epoch == 2);
    bool asks = message->type == CORE_SEND_VOTE_REQUEST && seconds(sim) > 16;
    return from == A && to != A && (knows || asks) ? -1 : 0;
}

void new_behind_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 12;

    start(sim, seed, name_story);
    sim->intercept = behind_intercept;
    sim_add_config(sim, 7, &limit);
    at(sim, 5, DIES_C);
    at(sim, 13, CHANGE_AB);
    at(sim, moment(sim, 13.2, 14), VOUCH_AB);
    at(sim, 20, RETURNS_C);
    at(sim, 21, GREED_C);
    at(sim, 22, GREED_AB);
}

/* The same, but C first has the file that is promised, and the answer to that is under way when it
 * turns to the old one. */
static double turns_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    bool deal = from == B && to == C && message->type == CORE_SEND_DEAL;
    return deal && seconds(sim) > 20.5 ? .3 : behind_intercept(sim, from, to, message);
}

void new_turns_begin(struct sim *sim, uint64_t seed) {
    new_behind_begin(sim, seed);
    sim->no_former = true; /* nothing but the core's rule is in the way */
    sim->intercept = turns_intercept;
    for (uint32_t i = 0; i < sim->steps; i++) {
        if (sim->step[i].type == STEP_STORY && sim->step[i].a == RETURNS_C) {
            sim->step[i].b = 1;
        }
    }
    at(sim, moment(sim, 24, 25), TURN_C);
}

/* ---- one founds alone, and the others something else ---- */

enum { OTHER_FILE_AB, HUNGRY, THIRD_FILE, C_KNOWS, REMOVE_C, BRING_BACK_C };

static void found_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == C_KNOWS && sim->node[C].epoch != 2) {
        (void)snprintf(sim->stuck, sizeof sim->stuck, "node 2 has committed epoch %llu of 2",
                       (unsigned long long)sim->node[C].epoch);
    }
    for (int i = A; i <= C; i++) {
        if (what == HUNGRY) {
            demand(sim, i, 60);
        } else if (what == THIRD_FILE || (what == OTHER_FILE_AB && i != C)) {
            node_load_file(sim, i, what == THIRD_FILE ? 2 : 1);
        }
    }
}

/* C leads, and is not heard any more when it says that all agree. */
static double found_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    if (from == C && to != C) {
        bool agreed = message->type == CORE_SEND_DEAL &&
                      (message->deal.agreed != 0 || message->deal.epoch != 0);
        return agreed && seconds(sim) < 15 ? -1 : 0;
    }
    return message->type == CORE_SEND_VOTE_REQUEST && seconds(sim) < 10 ? -1 : 0;
}

void found_alone_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 30;

    sim->new_nodes = true;
    start(sim, seed, found_story);
    sim->intercept = found_intercept;
    sim_add_config(sim, 3, &limit);
    at(sim, moment(sim, 9, 10), OTHER_FILE_AB);
    at(sim, 14, HUNGRY);
}

/* What C alone has promised was never committed: it must be able to go with the others again. */
void founder_bound_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 30;

    found_alone_begin(sim, seed);
    sim->no_former = true; /* A and B turn away from it, whatever C says */
    sim_add_config(sim, 7, &limit);
    at(sim, moment(sim, 16, 17), THIRD_FILE);
    at(sim, 38, C_KNOWS);
}

/* ---- a member that is removed, and back before its session would have ended ---- */

static void back_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    for (int i = A; i <= C; i++) {
        if (what == HUNGRY) {
            demand(sim, i, 60);
        } else {
            node_load_file(sim, i, what == REMOVE_C ? 1 : 2);
        }
    }
}

/* It would be admitted soon: not before it has taken what it may. */
static double back_intercept(struct sim *sim, int from, int to, struct sim_message *message) {
    return from == C && to == A && message->type == CORE_SEND_HEARTBEAT &&
                   message->heartbeat.epoch == 3 && seconds(sim) < 12
               ? -1
               : 0;
}

void back_soon_begin(struct sim *sim, uint64_t seed) {
    const int32_t limit = 30;

    start(sim, seed, back_story);
    sim->intercept = back_intercept;
    sim_add_config(sim, 3, &limit);
    sim_add_config(sim, 7, &limit);
    at(sim, moment(sim, 5, 6), REMOVE_C);
    at(sim, 7, BRING_BACK_C);
    at(sim, 8, HUNGRY);
}
