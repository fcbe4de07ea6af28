/* SPDX-License-Identifier: MIT */
/* One victim: alone, with its tag overwritten, while others go on, against a lowered share, against
 * another thread of its own process. */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "steps.h"

static bool is(const struct op *op, const char *name) {
    return strcmp(op->name, name) == 0;
}

/* Somebody who died holding a slot that the operation is going to need. */
static void leave_corpse(struct world *world, const struct op *op) {
    if (is(op, "heal") || is(op, "reap")) {
        if (actor_start(world, 1, op_find("heal"))) {
            actor_finish(world, 1);
        }
        actor_kill(world, 1);
        world_settle(world);
    }
}

/* ---- alone ----------------------------------------------------------------------------------- */

static const char *const every[] = {"take",
                                    "take-after-take",
                                    "take-by-name",
                                    "take-new-name",
                                    "take-first",
                                    "take-stale",
                                    "take-second-thread",
                                    "give",
                                    "wait",
                                    "refused",
                                    "heal",
                                    "insert",
                                    "insert-long",
                                    "retire",
                                    "attach",
                                    "open",
                                    "close",
                                    "reap",
                                    "wait-in-vain",
                                    "queue-open",
                                    "queue-add",
                                    "queue-thread",
                                    "queue-cancel",
                                    "queue-close"};
enum { EVERY = sizeof every / sizeof every[0] };

/* What it does when nobody disturbs it; else the rest of the points shows nothing. */
static void check_result(struct world *world, const struct op *op) {
    if (world->actor[0].told->result != op->result) {
        mistake(world, "%s returned %d", op->name, world->actor[0].told->result);
    }
}

void walk(struct world *world, const struct op *op, int place) {
    if (actor_start(world, 0, op)) {
        if (place < 0) {
            actor_record(world, 0, &world->victim_track);
        } else {
            actor_go(world, 0, &world->victim_track, (unsigned)place);
        }
    }
}

/* First the way is recorded, which is a point as well, with the victim at its end. */
void every_place(struct world *world, const char *name, int endings, trial point) {
    const struct op *op = op_find(name);
    if (world->only_op && strcmp(world->only_op, name) != 0) {
        return;
    }
    point(world, op, -1, 0);
    for (int ending = 0; ending < endings; ending++) {
        unsigned first = (unsigned)ending * 7 % world->stride;
        for (unsigned i = first; i < world->victim_track.count && !fed_up(world);
             i += world->stride) {
            point(world, op, (int)i, ending);
        }
    }
}

void every_change(struct world *world, const char *name, int endings, trial point) {
    const struct op *op = op_find(name);
    point(world, op, -1, 0);
    for (unsigned i = 0; i < world->victim_track.count && !fed_up(world); i++) {
        for (int ending = 0; ending < endings && world->victim_track.differs[i]; ending++) {
            point(world, op, (int)i, ending);
        }
        if (!world->victim_track.differs[i] && i % world->stride == 0) {
            point(world, op, (int)i, endings - 1);
        }
    }
}

static void alone_point(struct world *world, const struct op *op, int place, int ending) {
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    leave_corpse(world, op);
    walk(world, op, place);
    if (place < 0) {
        check_result(world, op);
    }
    point_end(world);
}

void mode_alone(struct world *world) {
    world->exact_hint = true;
    for (unsigned k = 0; k < EVERY; k++) {
        every_place(world, every[k], 1, alone_point);
    }
    world->exact_hint = false;
}

/* ---- tag ------------------------------------------------------------------------------------- */

/* 0: somebody takes and gives after its death; 1: and keeps; 2: while it stands still */
static void tag_point(struct world *world, const struct op *op, int place, int ending) {
    slotshare_slot kept;
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    if (ending == 2) {
        traffic(world);
    }
    actor_kill(world, 0);
    if (ending == 0) {
        traffic(world);
    }
    bool keeps = ending == 1 && controller_take(world, world->hot, &kept);
    world_reap(world);
    (void)world_check(world, "reaped");
    if (keeps) {
        controller_give(world, kept);
    }
    point_end(world);
}

void mode_tag(struct world *world) {
    static const char *const names[] = {"take", "take-after-take", "give", "take-by-name", "wait",
                                        "close"};
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        every_place(world, names[k], 3, tag_point);
    }
}

/* ---- proof ----------------------------------------------------------------------------------- */

/* Its tag is overwritten on one counter, and then the proof of that by an older tag on another. */
static void elsewhere(struct world *world) {
    slotshare_slot slot;
    traffic(world);
    if (controller_take(world, world->heal, &slot)) {
        controller_give(world, slot);
    } else {
        mistake(world, "the controller cannot take a slot of another counter");
    }
}

/* 0: after its death; 1: while it stands still, and it dies; 2: and it goes on */
static void proof_point(struct world *world, const struct op *op, int place, int ending) {
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    if (ending > 0) {
        elsewhere(world);
    }
    if (ending == 2) {
        actor_finish(world, 0);
        (void)world_check(world, "finished");
    } else {
        actor_kill(world, 0);
    }
    if (ending == 0) {
        elsewhere(world);
    }
    point_end(world);
}

void mode_proof(struct world *world) {
    every_place(world, "take-after-other", 3, proof_point);
    every_place(world, "give-after-other", 3, proof_point);
}

/* ---- live ------------------------------------------------------------------------------------ */

/* What a busy host does meanwhile: all of it must succeed while the victim stands still. */
static void busy(struct world *world) {
    static const char *const names[] = {"new", "long", "idle", "idle-long"};
    traffic(world);
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        struct slotshare_connection connection = connection_of(names[k]);
        slotshare_slot slot;
        if (slotshare_acquire(world->handle, &connection, &slot) != SLOTSHARE_OK) {
            mistake(world, "the controller cannot take a slot of %s", names[k]);
            continue;
        }
        world->mine[world->segment->slots[slot.record].counter]++;
        controller_give(world, slot);
    }
    (void)handle_reap(world->handle, 0);
}

static void live_point(struct world *world, const struct op *op, int place, int ending) {
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    leave_corpse(world, op);
    walk(world, op, place);
    busy(world);
    if (ending == 0) {
        actor_finish(world, 0);
        (void)world_check(world, "finished");
    }
    point_end(world);
}

void mode_live(struct world *world) {
    for (unsigned k = 0; k < EVERY; k++) {
        every_place(world, every[k], 2, live_point);
    }
}

/* ---- share ----------------------------------------------------------------------------------- */

static void share_point(struct world *world, const struct op *op, int place, int ending) {
    _Atomic uint64_t *word = &world->segment->counters[world->hot.index].word;
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    int32_t share = (int32_t)word_count(*word);
    int32_t count = control_share_set(world->control, world->hot.index, share, 2);
    if (ending == 0) {
        actor_finish(world, 0);
        (void)world_check(world, "finished");
    }
    int32_t now = (int32_t)word_count(*word);
    if (count < share || now > count) {
        mistake(world, "the share became %d with %d in use, and now %d are", share, count, now);
    }
    point_end(world);
}

void mode_share(struct world *world) {
    static const char *const names[] = {"take", "take-after-take", "take-by-name", "wait", "give"};
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        every_place(world, names[k], 2, share_point);
    }
}

/* ---- double ---------------------------------------------------------------------------------- */

/* 0: the second thread gives back as well, then the first goes on; 1: then both die; 2: both die
 * while the second is at it. */
static void double_point(struct world *world, const struct op *op, int place, int ending) {
    struct told *told = world->actor[0].told;
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    told->go = 1;
    while (ending < 2 && !told->went) {
        sched_yield();
    }
    if (ending == 0) {
        actor_finish(world, 0);
        if ((told->result == SLOTSHARE_OK) == (told->result_second == SLOTSHARE_OK)) {
            mistake(world, "two threads gave back one slot: %s, %s",
                    slotshare_strerror(told->result), slotshare_strerror(told->result_second));
        }
        (void)world_check(world, "finished");
    }
    point_end(world);
}

void mode_double(struct world *world) {
    every_place(world, "give-twice", 3, double_point);
}
