/* SPDX-License-Identifier: MIT */
/* Two at once: the victim stopped at i, then the helper at j. */
#include <stdio.h>
#include <string.h>

#include "steps.h"

enum ending {
    VICTIM_DIES_FIRST,     /* and is reaped; then the helper goes on */
    VICTIM_DIES_HELPER_ON, /* reaped after the helper has gone on */
    HELPER_DIES_FIRST,
    HELPER_DIES_VICTIM_ON,
    BOTH_DIE_VICTIM_FIRST, /* reaped in this order */
    BOTH_DIE_HELPER_FIRST,
    BOTH_DIE_TOGETHER, /* reaped in one pass */
    BOTH_GO_ON_VICTIM_FIRST,
    BOTH_GO_ON_HELPER_FIRST,
    ENDINGS
};

static void finish(struct world *world, unsigned role) {
    actor_finish(world, role);
}

static void die(struct world *world, unsigned role) {
    actor_kill(world, role);
    world_reap(world);
}

static void end(struct world *world, enum ending ending) {
    unsigned first = ending == HELPER_DIES_FIRST || ending == HELPER_DIES_VICTIM_ON ||
                     ending == BOTH_DIE_HELPER_FIRST || ending == BOTH_GO_ON_HELPER_FIRST;
    unsigned other = 1 - first;
    switch (ending) {
    case VICTIM_DIES_FIRST:
    case HELPER_DIES_FIRST:
        die(world, first);
        finish(world, other);
        break;
    case VICTIM_DIES_HELPER_ON:
    case HELPER_DIES_VICTIM_ON:
        actor_kill(world, first);
        finish(world, other);
        world_reap(world);
        break;
    case BOTH_DIE_VICTIM_FIRST:
    case BOTH_DIE_HELPER_FIRST:
        die(world, first);
        die(world, other);
        break;
    case BOTH_DIE_TOGETHER:
        actor_kill(world, 0);
        actor_kill(world, 1);
        world_reap(world);
        break;
    case BOTH_GO_ON_VICTIM_FIRST:
    case BOTH_GO_ON_HELPER_FIRST:
        finish(world, first);
        finish(world, other);
        break;
    default:
        break;
    }
    (void)world_check(world, "both have ended");
}

static bool victim_goes_on(enum ending ending) {
    return ending == HELPER_DIES_FIRST || ending == HELPER_DIES_VICTIM_ON ||
           ending == BOTH_GO_ON_VICTIM_FIRST || ending == BOTH_GO_ON_HELPER_FIRST;
}

static bool helper_goes_on(enum ending ending) {
    return ending == VICTIM_DIES_FIRST || ending == VICTIM_DIES_HELPER_ON ||
           ending == BOTH_GO_ON_VICTIM_FIRST || ending == BOTH_GO_ON_HELPER_FIRST;
}

/* In turn; but one who dies where nothing has changed since the last instruction has died there
 * already. */
static enum ending next_ending(const struct world *world, unsigned i, int j, unsigned *turn) {
    for (;;) {
        enum ending ending = (enum ending)((*turn)++ % ENDINGS);
        if ((world->victim_track.differs[i] || victim_goes_on(ending)) &&
            (j < 0 || world->helper_track.differs[j] || helper_goes_on(ending))) {
            return ending;
        }
    }
}

/* The helper is ready before the victim begins, so that the tag it meets is the victim's. What way
 * it goes depends on where the victim stands: j < 0 records it. */
static void point(struct world *world, const struct op *op[2], int i, int j, enum ending ending) {
    point_begin(world, (unsigned)i, (unsigned)j, (int)ending, "%s/%s", op[0]->name, op[1]->name);
    if (actor_start(world, 1, op[1]) && actor_start(world, 0, op[0])) {
        if (i < 0) {
            actor_record(world, 0, &world->victim_track);
        } else {
            actor_go(world, 0, &world->victim_track, (unsigned)i);
        }
        if (j < 0) {
            actor_record(world, 1, &world->helper_track);
        } else {
            actor_go(world, 1, &world->helper_track, (unsigned)j);
        }
        end(world, ending);
    }
    point_end(world);
}

/* The start of j moves with i, so that all j come up. */
static void all_pairs(struct world *world, const char *victim, const char *helper,
                      unsigned stride_i, unsigned stride_j) {
    const struct op *op[2] = {op_find(victim), op_find(helper)};
    unsigned turn = 0;
    bool known = false;
    point(world, op, -1, -1, BOTH_DIE_TOGETHER);
    for (unsigned i = 0; i < world->victim_track.count && !fed_up(world); i++) {
        /* The helper goes the same way for as long as the victim changes nothing. */
        known = known && !world->victim_track.differs[i];
        if (i % stride_i != 0) {
            continue;
        }
        if (!known) {
            point(world, op, (int)i, -1, next_ending(world, i, -1, &turn));
            known = true;
        }
        for (unsigned j = i % stride_j; j < world->helper_track.count && !fed_up(world);
             j += stride_j) {
            point(world, op, (int)i, (int)j, next_ending(world, i, (int)j, &turn));
        }
    }
}

void mode_pair(struct world *world) {
    static const char *const names[][2] = {{"take", "take"}, {"take", "give"},  {"give", "take"},
                                           {"give", "give"}, {"close", "take"}, {"take", "close"}};
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        bool long_one = k >= 4;
        all_pairs(world, names[k][0], names[k][1], world->stride,
                  long_one ? 7 * world->stride : world->stride);
    }
}

void mode_insert(struct world *world) {
    static const char *const names[][2] = {
        {"insert", "insert"},   {"insert", "insert-beside"}, {"insert-long", "insert-long"},
        {"retire", "insert"},   {"insert", "retire"},        {"retire", "take-idle"},
        {"take-idle", "retire"}};
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        all_pairs(world, names[k][0], names[k][1], world->stride, 3 * world->stride);
    }
}
