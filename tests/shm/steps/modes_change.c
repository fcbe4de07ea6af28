/* SPDX-License-Identifier: MIT */
/* Counters that are retired and come again, a table that grows, limits that change. */
#include <stdio.h>
#include <string.h>

#include "../../../shm/counter.h"
#include "../../../shm/retire.h"
#include "steps.h"

/* ---- stale ----------------------------------------------------------------------------------- */

/* Retire the idle counter, if nobody holds a slot of it. */
static bool retire_idle(struct world *world) {
    atomic_store(&world->segment->header->sweep, world->idle.index);
    return retire_pass(world->handle, world->me, 1) == 1;
}

/* Another name in the same entry, with a slot of it held. */
static bool move_in(struct world *world, slotshare_slot *slot) {
    struct slotshare_connection connection = connection_of("new");
    slotshare_counter counter;
    atomic_store(&world->segment->header->cursor, world->idle.index);
    if (slotshare_counter_find(world->handle, &connection, &counter) != SLOTSHARE_OK ||
        counter.index != world->idle.index || !controller_take(world, counter, slot)) {
        mistake(world, "the entry that came free was not used again");
        return false;
    }
    return true;
}

/* A victim with a handle of the idle counter stands still; the counter is retired, and another one
 * moves in. 0: the victim goes on; 1: it dies; 2: the same with nobody in the entry. */
static void stale_point(struct world *world, const struct op *op, int place, int ending) {
    struct told *told = world->actor[0].told;
    slotshare_slot slot;
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    bool retired = place >= 0 && retire_idle(world);
    bool moved = retired && ending != 2 && move_in(world, &slot);
    if (retired && told->phase == PHASE_DONE && told->result == SLOTSHARE_OK) {
        mistake(world, "a counter was retired with a slot held");
    }
    if (ending != 1) {
        actor_finish(world, 0);
        if (retired && told->result == SLOTSHARE_OK && told->counter == world->idle.index &&
            (moved || strcmp(op->name, "take-stale") == 0)) {
            mistake(world, "a handle of a counter that was retired took a slot of another");
        }
        (void)world_check(world, "finished");
    }
    actor_kill(world, 0);
    world_reap(world);
    (void)world_check(world, "reaped");
    if (moved) {
        controller_give(world, slot);
    }
    point_end(world);
}

void mode_stale(struct world *world) {
    static const char *const names[] = {"take-stale", "take-idle"};
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        every_place(world, names[k], 3, stale_point);
    }
}

/* ---- grow ------------------------------------------------------------------------------------ */

/* 0: dies, and the next one who needs room gets it; 1: it goes on. (Others who need room wait for
 * it, as long as it lives: it is making room.) */
static void grow_point(struct world *world, const struct op *op, int place, int ending) {
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    if (ending == 1) {
        actor_finish(world, 0);
        (void)world_check(world, "grown");
    }
    actor_kill(world, 0);
    world_check_room(world);
    world_reap(world);
    (void)world_check(world, "reaped");
    struct slotshare_connection connection = connection_of("beside");
    slotshare_counter counter;
    int result = slotshare_counter_find(world->handle, &connection, &counter);
    if (result != SLOTSHARE_OK || counter_count(world->segment) <= 64) {
        mistake(world, "there is no room for another counter: %s", slotshare_strerror(result));
    }
    point_end(world);
}

void mode_grow(struct world *world) {
    every_place(world, "grow", 2, grow_point);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static void reload(struct world *world, struct limits limits) {
    char error[512] = "";
    int result = slotshare_reload(world->handle, world_config(world, limits), error, sizeof error);
    if (result != SLOTSHARE_OK) {
        mistake(world, "the controller cannot reload: %s %s", slotshare_strerror(result), error);
    }
    world->limits = limits;
}

static uint32_t hot_count(const struct world *world) {
    return word_count(world->segment->counters[world->hot.index].word);
}

/* Take by name until there is no more, and give all back. */
static void fill_hot(struct world *world, uint32_t most) {
    struct slotshare_connection connection = connection_of("hot");
    slotshare_slot slot[16];
    unsigned taken = 0;
    while (taken < 16 &&
           slotshare_acquire(world->handle, &connection, &slot[taken]) == SLOTSHARE_OK) {
        world->mine[world->hot.index]++;
        taken++;
    }
    if (hot_count(world) > most) {
        mistake(world, "%u are in use, under a limit of %u", hot_count(world), most);
    }
    while (taken > 0) {
        controller_give(world, slot[--taken]);
    }
}

/* Others make a new counter while it stands still, and take as many slots as they can get. */
static void busy(struct world *world) {
    struct slotshare_connection connection = connection_of("new");
    slotshare_slot slot;
    /* Once the new set is in force every cap has been lowered. */
    bool committed = world->segment->header->rules != world->rules;
    fill_hot(world, (uint32_t)(committed ? world->next.hot : limits_start.hot));
    int result = slotshare_acquire(world->handle, &connection, &slot);
    if (result != SLOTSHARE_OK) {
        mistake(world, "the controller cannot take a slot: %s", slotshare_strerror(result));
        return;
    }
    world->mine[world->segment->slots[slot.record].counter]++;
    controller_give(world, slot);
}

/* 0: dies, and the next one reloads the same; 1: dies, and the next one reloads what was before;
 * 2, 3: as 0 and 1, and others were busy before; 4: they are busy, and it goes on. */
static void reload_point(struct world *world, const struct op *op, int place, int ending) {
    world->next = (struct limits){.hot = 3, .full = 2, .other = 5};
    (void)world_config(world, world->next);
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    if (ending >= 2) {
        busy(world);
    }
    if (place < 0 || ending == 4) {
        actor_finish(world, 0);
        world->limits = world->next;
        (void)world_check(world, "reloaded");
    }
    actor_kill(world, 0);
    world_reap(world);
    reload(world, ending % 2 ? limits_start : world->next);
    (void)world_check(world, "reloaded by another");
    fill_hot(world, (uint32_t)world->limits.hot);
    point_end(world);
}

void mode_reload(struct world *world) {
    world->rules = world->segment->header->rules;
    every_change(world, "reload", 5, reload_point);
}

/* ---- reload-live ----------------------------------------------------------------------------- */

/* The limits change while the victim stands still: to just what is in use. 0: it goes on; 1: it
 * dies. */
static void reload_live_point(struct world *world, const struct op *op, int place, int ending) {
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    uint32_t before = hot_count(world);
    reload(world, (struct limits){.hot = (int32_t)before, .full = 2, .other = 5});
    if (ending == 0) {
        actor_finish(world, 0);
        (void)world_check(world, "finished");
    }
    if (hot_count(world) > before) {
        mistake(world, "the limit became %u with as many in use, and now %u are", before,
                hot_count(world));
    }
    point_end(world);
}

void mode_reload_live(struct world *world) {
    static const char *const names[] = {
        "take", "take-after-take", "take-by-name", "take-new-name", "insert", "wait", "give"};
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
        every_place(world, names[k], 2, reload_live_point);
    }
}
