/* SPDX-License-Identifier: MIT */
/* Reapers that die or stand still, and owner records that are used again. */
#include <stdio.h>
#include <string.h>

#include "../../../shm/slot.h"
#include "steps.h"

/* Somebody who died at this place of its operation. */
static bool corpse(struct world *world, const struct op *op, const struct track *track,
                   unsigned place) {
    bool ready = actor_start(world, 0, op);
    if (ready) {
        actor_go(world, 0, track, place);
    }
    actor_kill(world, 0);
    world_settle(world);
    return ready;
}

static void record_death(struct world *world, const struct op *op) {
    point_begin(world, 0, 0, 0, "%s", op->name);
    if (actor_start(world, 0, op)) {
        actor_record(world, 0, &world->victim_track);
    }
    point_end(world);
}

static const char *const deaths[] = {"take-after-take", "give", "take-second-thread", "insert-long",
                                     "close"};
enum { DEATHS = sizeof deaths / sizeof deaths[0] };

/* ---- reaper ---------------------------------------------------------------------------------- */

/* j < 0: record the reaper's way, which depends on what it finds */
static void reaper_to(struct world *world, int j) {
    if (actor_start(world, 1, op_find("reap"))) {
        if (j < 0) {
            actor_record(world, 1, &world->helper_track);
        } else {
            actor_go(world, 1, &world->helper_track, (unsigned)j);
        }
    }
}

static void reaper_point(struct world *world, const struct op *op, unsigned i, int j, int turn) {
    (void)turn;
    point_begin(world, i, (unsigned)j, 0, "%s, reap", op->name);
    if (corpse(world, op, &world->victim_track, i)) {
        reaper_to(world, j);
    }
    point_end(world);
}

typedef void (*reaping)(struct world *world, const struct op *op, unsigned i, int j, int turn);

/* In slot.c, where it is decided what had happened, every instruction counts: elsewhere one may
 * stand for its neighbours. That file's functions lie together in the program. */
static bool in_recovery(const struct track *track, unsigned j) {
    enum { BYTES = 2048 };
    uintptr_t middle = (uintptr_t)slot_recover;
    return track->address[j] >= middle - BYTES && track->address[j] < middle + BYTES;
}

/* Every different place to die at, and for each the reaper's way: nothing left out in slot.c for so
 * many of the deaths. */
static void every_reaping(struct world *world, reaping point, unsigned dense_deaths) {
    unsigned turn = 0, place = 0;
    for (unsigned k = 0; k < DEATHS; k++) {
        const struct op *op = op_find(deaths[k]);
        bool dense = k < dense_deaths;
        record_death(world, op);
        for (unsigned i = 0; i < world->victim_track.count && !fed_up(world); i++) {
            if (!world->victim_track.differs[i] || (k >= 2 && !world->full_form && place++ % 5)) {
                continue;
            }
            point(world, op, i, -1, 0);
            for (unsigned j = 0; j < world->helper_track.count && !fed_up(world); j++) {
                if (j % world->stride == i % world->stride ||
                    (dense && in_recovery(&world->helper_track, j))) {
                    point(world, op, i, (int)j, (int)turn++);
                }
            }
        }
    }
}

void mode_reaper(struct world *world) {
    every_reaping(world, reaper_point, 0);
}

/* ---- reaper-twice ---------------------------------------------------------------------------- */

/* Two reapers died, the second with half of the first one's work done, and somebody new comes. */
static void twice_point(struct world *world, const struct op *op, unsigned i, unsigned j, int k) {
    point_begin(world, j, (unsigned)k, 0, "%s@%u, reap, reap", op->name, i);
    if (corpse(world, op, &world->victim_track, i) &&
        corpse(world, op_find("reap"), &world->helper_track, j) &&
        actor_start(world, 0, op_find("reap"))) {
        if (k < 0) {
            actor_record(world, 0, &world->third_track);
        } else {
            actor_go(world, 0, &world->third_track, (unsigned)k);
        }
        actor_kill(world, 0);
        world_settle(world);
        if (actor_start(world, 2, op_find("take-first"))) {
            actor_finish(world, 2);
        }
        traffic(world);
        world_reap(world);
        (void)world_check(world, "reaped");
    }
    point_end(world);
}

static void twice_after(struct world *world, const struct op *op, unsigned i) {
    reaper_point(world, op, i, -1, 0);
    for (unsigned j = 0; j < world->helper_track.count; j++) {
        if (!world->helper_track.differs[j]) {
            continue;
        }
        twice_point(world, op, i, j, -1);
        unsigned place = i + j;
        for (unsigned k = 0; k < world->third_track.count && !fed_up(world); k++) {
            if (world->third_track.differs[k] && place++ % world->stride == 0) {
                twice_point(world, op, i, j, (int)k);
            }
        }
    }
}

void mode_reaper_twice(struct world *world) {
    for (unsigned d = 0; d < 2; d++) {
        const struct op *op = op_find(deaths[d]);
        unsigned place = 0;
        record_death(world, op);
        for (unsigned i = 0; i < world->victim_track.count && !fed_up(world); i++) {
            if (world->victim_track.differs[i] && place++ % (world->full_form ? 1 : 4) == 0) {
                twice_after(world, op, i);
            }
        }
    }
}

/* ---- paused ---------------------------------------------------------------------------------- */

static void paused_point(struct world *world, const struct op *op, unsigned i, int j, int turn) {
    point_begin(world, i, (unsigned)j, turn % 2, "%s, reap paused", op->name);
    if (corpse(world, op, &world->victim_track, i)) {
        reaper_to(world, j);
    }
    traffic(world);
    (void)handle_reap(world->handle, 0); /* may find nothing to do: somebody is at it */
    if (actor_start(world, 2, op_find("take-first"))) {
        actor_finish(world, 2);
    }
    traffic(world);
    if (turn % 2 == 0) {
        actor_finish(world, 1);
    } else {
        actor_kill(world, 1);
    }
    world_reap(world);
    (void)world_check(world, "the reaper went on, or died");
    point_end(world);
}

void mode_paused(struct world *world) {
    every_reaping(world, paused_point, world->full_form ? DEATHS : 2);
}

/* ---- reuse ----------------------------------------------------------------------------------- */

/* Only this record is free: the others are made to look as if the controller used them. */
static void leave_only(struct world *world, uint32_t record) {
    for (uint32_t i = 1; i < world->segment->owner_count; i++) {
        uint64_t state = world->segment->owners[i].state;
        if (i != record && owner_kind(state) == OWNER_FREE) {
            world->segment->owners[i].state =
                owner_make(owner_generation(state) + 1, world->me, OWNER_WORKER);
        }
    }
}

/* A helper stands still at j with what it read of a victim at i; the victim dies, is reaped, and
 * another process gets its record and comes as far as k; then the helper goes on. */
static void reuse_point(struct world *world, const struct op *helper, unsigned i, int j,
                        unsigned k) {
    const struct op *op = op_find("take");
    point_begin(world, (unsigned)j, k, 0, "take@%u, %s, take", i, helper->name);
    if (actor_start(world, 1, helper) && actor_start(world, 0, op)) {
        uint32_t record = world->actor[0].told->leader;
        actor_go(world, 0, &world->victim_track, i);
        if (j < 0) {
            actor_record(world, 1, &world->helper_track);
        } else {
            actor_go(world, 1, &world->helper_track, (unsigned)j);
        }
        actor_kill(world, 0);
        world_reap(world);
        leave_only(world, record);
        if (actor_start(world, 0, op)) {
            if (world->actor[0].told->leader != record) {
                mistake(world, "the record %u was not used again", record);
            }
            actor_go(world, 0, &world->victim_track, k);
            actor_finish(world, 1);
            actor_kill(world, 0);
            world_reap(world);
            (void)world_check(world, "the helper went on");
        }
    }
    point_end(world);
}

static void reuse_with(struct world *world, const struct op *helper, unsigned i) {
    const struct track *track = &world->victim_track;
    reuse_point(world, helper, i, -1, 0);
    for (unsigned k = 0; k < track->count; k++) {
        if (track->differs[k]) {
            for (unsigned j = (i + k) % world->stride;
                 j < world->helper_track.count && !fed_up(world); j += world->stride) {
                reuse_point(world, helper, i, (int)j, k);
            }
        }
    }
}

void mode_reuse(struct world *world) {
    static const char *const helpers[] = {"take", "give"};
    record_death(world, op_find("take"));
    for (unsigned h = 0; h < sizeof helpers / sizeof helpers[0]; h++) {
        for (unsigned i = 0; i < world->victim_track.count && !fed_up(world); i++) {
            if (world->victim_track.differs[i]) {
                reuse_with(world, op_find(helpers[h]), i);
            }
        }
    }
}
