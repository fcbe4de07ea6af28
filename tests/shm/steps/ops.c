/* SPDX-License-Identifier: MIT */
/* The operations that are stepped: the library's own calls, as a program makes them. */
#include <stdio.h>
#include <string.h>

#include "../../../shm/retire.h"
#include "steps.h"

/* Names that are as long as names can be. */
struct slotshare_connection connection_of(const char *which) {
    static char binding[SLOTSHARE_BINDING_MAX + 1], domain[SLOTSHARE_DOMAIN_MAX + 1];
    memset(binding, 'b', SLOTSHARE_BINDING_MAX);
    memset(domain, which[0], SLOTSHARE_DOMAIN_MAX);
    if (strcmp(which, "long") == 0 || strcmp(which, "idle-long") == 0) {
        return (struct slotshare_connection){.binding = binding, .domain = domain};
    }
    if (strcmp(which, "idle") == 0) {
        return (struct slotshare_connection){.domain = which};
    }
    if (strcmp(which, "new") == 0 || strcmp(which, "beside") == 0) {
        return (struct slotshare_connection){.domain = world_neighbour(which[0] == 'b')};
    }
    return (struct slotshare_connection){.host = which};
}

bool controller_take(struct world *world, slotshare_counter counter, slotshare_slot *slot) {
    if (slotshare_counter_acquire(world->handle, counter, slot) != SLOTSHARE_OK) {
        return false;
    }
    world->mine[counter.index]++;
    return true;
}

void controller_give(struct world *world, slotshare_slot slot) {
    uint32_t index = world->segment->slots[slot.record].counter;
    if (slotshare_release(world->handle, slot) != SLOTSHARE_OK) {
        mistake(world, "the controller cannot give back a slot that it holds");
        return;
    }
    world->mine[index]--;
}

bool traffic(struct world *world) {
    slotshare_slot slot;
    if (!controller_take(world, world->hot, &slot)) {
        mistake(world, "the controller cannot take a slot of a counter that has room");
        return false;
    }
    controller_give(world, slot);
    return true;
}

void failed(struct told *told) {
    told->phase = PHASE_FAILED;
}

void actor_take(struct world *world, struct told *told, slotshare_counter counter) {
    slotshare_slot slot;
    told->result = slotshare_counter_acquire(world->handle, counter, &slot);
    told->counter = counter.index;
    told->held += told->result == SLOTSHARE_OK;
}

/* ---- preparing ------------------------------------------------------------------------------- */

static slotshare_slot prepared[2]; /* each actor has its own copy */

static void prepare_nothing(struct world *world, struct told *told) {
    (void)world;
    (void)told;
}

bool warm(struct world *world) {
    slotshare_slot slot;
    return slotshare_counter_acquire(world->handle, world->hot, &slot) == SLOTSHARE_OK &&
           slotshare_release(world->handle, slot) == SLOTSHARE_OK;
}

void prepare_warm(struct world *world, struct told *told) {
    if (!warm(world)) {
        failed(told);
    }
}

static void prepare_taken(struct world *world, struct told *told) {
    prepare_warm(world, told);
    actor_take(world, told, world->hot);
    if (told->held != 1 ||
        slotshare_counter_acquire(world->handle, world->hot, &prepared[1]) != SLOTSHARE_OK ||
        slotshare_release(world->handle, prepared[1]) != SLOTSHARE_OK) {
        failed(told);
    }
}

/* The slot to give back; its tag is the word's, as nothing came after it. */
static void prepare_one(struct world *world, struct told *told) {
    prepare_warm(world, told);
    if (slotshare_counter_acquire(world->handle, world->hot, &prepared[0]) != SLOTSHARE_OK) {
        failed(told);
    }
    told->counter = world->hot.index;
    told->held = 1;
}

static void prepare_two(struct world *world, struct told *told) {
    prepare_one(world, told);
    if (slotshare_counter_acquire(world->handle, world->hot, &prepared[1]) != SLOTSHARE_OK) {
        failed(told);
    }
    told->held = 2;
}

/* Its tag is on another counter, too. */
static void prepare_elsewhere(struct world *world, struct told *told) {
    slotshare_slot slot;
    if (slotshare_counter_acquire(world->handle, world->heal, &slot) != SLOTSHARE_OK ||
        slotshare_release(world->handle, slot) != SLOTSHARE_OK) {
        failed(told);
    }
    prepare_one(world, told);
}

/* Without a touch on the counters: the dead one's tag must stay where it is. */
static void prepare_attached(struct world *world, struct told *told) {
    struct thread *self;
    if (handle_thread(world->handle, &self) != SLOTSHARE_OK) {
        failed(told);
    }
}

/* Whoever is refused next reaps, however short ago the last pass was. */
static void prepare_reaping(struct world *world, struct told *told) {
    prepare_warm(world, told);
    atomic_store(&world->segment->header->reaped, 0);
}

static void prepare_retire(struct world *world, struct told *told) {
    prepare_warm(world, told);
    atomic_store(&world->segment->header->sweep, world->idle.index);
}

/* ---- running --------------------------------------------------------------------------------- */

static void run_take(struct world *world, struct told *told) {
    actor_take(world, told, world->hot);
}

static void run_refused(struct world *world, struct told *told) {
    actor_take(world, told, world->full);
}

static void run_heal(struct world *world, struct told *told) {
    actor_take(world, told, world->heal);
}

static void by_name(struct world *world, struct told *told, const char *which, int timeout_ms) {
    struct slotshare_connection connection = connection_of(which);
    slotshare_slot slot;
    told->result = slotshare_acquire_wait(world->handle, &connection, &slot, timeout_ms);
    if (told->result == SLOTSHARE_OK) {
        told->counter = world->segment->slots[slot.record].counter;
        told->held++;
    }
}

static void run_take_name(struct world *world, struct told *told) {
    by_name(world, told, "hot", 0);
}

static void run_take_new(struct world *world, struct told *told) {
    by_name(world, told, "new", 0);
}

static void run_wait(struct world *world, struct told *told) {
    by_name(world, told, "hot", 2);
}

static void run_wait_full(struct world *world, struct told *told) {
    by_name(world, told, "full", 1);
}

static void run_give(struct world *world, struct told *told) {
    told->result = slotshare_release(world->handle, prepared[0]);
    told->held -= told->result == SLOTSHARE_OK;
}

static bool second_give(struct world *world, struct told *told) {
    told->result_second = slotshare_release(world->handle, prepared[0]);
    told->held -= told->result_second == SLOTSHARE_OK;
    return true;
}

static void run_find(struct world *world, struct told *told, const char *which) {
    struct slotshare_connection connection = connection_of(which);
    slotshare_counter counter;
    told->result = slotshare_counter_find(world->handle, &connection, &counter);
}

static void run_insert(struct world *world, struct told *told) {
    run_find(world, told, "new");
}

static void run_insert_beside(struct world *world, struct told *told) {
    run_find(world, told, "beside");
}

static void run_take_idle(struct world *world, struct told *told) {
    by_name(world, told, "idle", 0);
}

static void run_insert_long(struct world *world, struct told *told) {
    run_find(world, told, "long");
}

static void run_retire(struct world *world, struct told *told) {
    told->result = (int32_t)retire_pass(world->handle, world->handle->leader, 2);
}

static void run_attach(struct world *world, struct told *told) {
    struct thread *self;
    told->result = handle_thread(world->handle, &self);
}

static void run_open(struct world *world, struct told *told) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = world->directory;
    told->result = slotshare_open(&world->handle, world_name(), &options);
}

static void run_close(struct world *world, struct told *told) {
    slotshare_close(world->handle);
    world->handle = NULL;
    told->leader = 0;
    told->held = 0;
}

static void run_reap(struct world *world, struct told *told) {
    mutants_reaper(world->handle->leader);
    told->result = (int32_t)handle_reap(world->handle, 0);
}

/* ---- the list -------------------------------------------------------------------------------- */

static const struct op ops[] = {
    {.name = "take", prepare_warm, run_take},
    {.name = "take-after-take", prepare_taken, run_take},
    {.name = "take-after-other", prepare_elsewhere, run_take},
    {.name = "take-by-name", prepare_warm, run_take_name},
    {.name = "take-new-name", prepare_warm, run_take_new},
    {.name = "take-first", prepare_nothing, run_take},
    {.name = "take-second-thread", prepare_nothing, run_take, .threaded = true},
    {.name = "refused", prepare_reaping, run_refused, .result = SLOTSHARE_FULL},
    {.name = "heal", prepare_reaping, run_heal},
    {.name = "give", prepare_one, run_give},
    {.name = "give-after-other", prepare_elsewhere, run_give},
    {.name = "give-twice", prepare_one, run_give, .threaded = true, .second = second_give},
    {.name = "wait", prepare_warm, run_wait},
    {.name = "wait-in-vain", prepare_warm, run_wait_full, .result = SLOTSHARE_FULL},
    {.name = "insert", prepare_warm, run_insert},
    {.name = "insert-beside", prepare_warm, run_insert_beside},
    {.name = "take-idle", prepare_warm, run_take_idle},
    {.name = "insert-long", prepare_warm, run_insert_long},
    {.name = "retire", prepare_retire, run_retire, .result = 2},
    {.name = "attach", prepare_nothing, run_attach},
    {.name = "open", prepare_nothing, run_open},
    {.name = "close", prepare_two, run_close},
    {.name = "reap", prepare_attached, run_reap, .result = 1},
};

static const struct op *find(const struct op *list, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

const struct op *op_find(const char *name) {
    const struct op *op = find(ops, sizeof ops / sizeof ops[0], name);
    return op ? op : find(more_ops, more_op_count, name);
}
