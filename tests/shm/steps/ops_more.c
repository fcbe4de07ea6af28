/* SPDX-License-Identifier: MIT */
/* Operations that change the table as a whole, or go through a queue's thread. */
#include <poll.h>
#include <stdint.h>

#include "../../../shm/grow.h"
#include "../../../shm/limit.h"
#include "../../../shm/retire.h"
#include "steps.h"

static void run_take_stale(struct world *world, struct told *told) {
    actor_take(world, told, world->idle);
}

static void run_insert_new(struct world *world, struct told *told) {
    struct slotshare_connection connection = connection_of("new");
    slotshare_counter counter;
    told->result = slotshare_counter_find(world->handle, &connection, &counter);
}

static void run_reload(struct world *world, struct told *told) {
    told->result = slotshare_reload(world->handle, world_config(world, world->next), NULL, 0);
}

/* ---- as the bridge: with what the controller has open, which lives on as the kernel sees it -- */

static void prepare_pending(struct world *world, struct told *told) {
    prepare_warm(world, told);
    if (control_reload(world->control, world->next_conf, NULL, 0) != SLOTSHARE_OK) {
        failed(told);
    }
}

static void run_publish(struct world *world, struct told *told) {
    told->result = control_reload(world->control, world->next_conf, NULL, 0);
}

static void run_commit(struct world *world, struct told *told) {
    (void)told;
    control_commit(world->control);
}

static void run_withdraw(struct world *world, struct told *told) {
    (void)told;
    control_withdraw(world->control);
}

static void run_share(struct world *world, struct told *told) {
    told->result = control_share_set(world->control, world->hot.index, 1, 2) < 0;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static slotshare_queue *queue; /* each actor has its own copy */
static char cookie[2];

static bool add(struct told *told, const char *which, int number) {
    struct slotshare_connection connection = connection_of(which);
    told->result = slotshare_queue_add(queue, &connection, &cookie[number], 10000);
    return told->result == SLOTSHARE_OK;
}

static void await_ready(void) {
    struct pollfd ready = {.fd = slotshare_queue_fd(queue), .events = POLLIN};
    while (poll(&ready, 1, -1) != 1) {
    }
}

static void next(struct world *world, struct told *told) {
    struct slotshare_ready ready;
    told->result = slotshare_queue_next(queue, &ready);
    if (told->result == SLOTSHARE_OK) {
        told->result = ready.result;
        told->counter = world->segment->slots[ready.slot.record].counter;
        told->held += ready.result == SLOTSHARE_OK;
    }
}

static void run_queue_open(struct world *world, struct told *told) {
    told->result = slotshare_queue_open(world->handle, &queue);
}

static void prepare_queue(struct world *world, struct told *told) {
    prepare_warm(world, told);
    if (slotshare_queue_open(world->handle, &queue) != SLOTSHARE_OK) {
        failed(told);
    }
}

/* One waits for a counter that has room and one for a counter that has none. */
static void prepare_waiting(struct world *world, struct told *told) {
    prepare_queue(world, told);
    if (!add(told, "full", 1) || !add(told, "hot", 0)) {
        failed(told);
        return;
    }
    await_ready();
}

static void run_add(struct world *world, struct told *told) {
    if (add(told, "hot", 0)) {
        told->went = 1;
        await_ready();
        next(world, told);
    }
}

/* The first has its slot by now, and gives it back; the second never gets one. */
static void run_cancel(struct world *world, struct told *told) {
    (void)world;
    told->result = slotshare_queue_cancel(queue, &cookie[0]);
    told->result += slotshare_queue_cancel(queue, &cookie[1]);
}

static void run_queue_close(struct world *world, struct told *told) {
    (void)world;
    (void)told;
    slotshare_queue_close(queue);
    queue = NULL;
}

typedef void (*begin)(void);

const struct op more_ops[] = {
    {.name = "take-stale", prepare_warm, run_take_stale},
    {.name = "grow", prepare_warm, run_insert_new, .begin = (begin)grow_counters},
    {.name = "reload", prepare_warm, run_reload, .begin = (begin)segment_lock_open},
    {.name = "publish", prepare_warm, run_publish, .begin = (begin)limit_publish},
    {.name = "replace", prepare_pending, run_publish, .begin = (begin)limit_withdraw},
    {.name = "commit", prepare_pending, run_commit},
    {.name = "withdraw", prepare_pending, run_withdraw},
    {.name = "share", prepare_warm, run_share},
    {.name = "queue-open", prepare_warm, run_queue_open},
    {.name = "queue-add", prepare_queue, run_add},
    {.name = "queue-cancel", prepare_waiting, run_cancel, .result = 2},
    {.name = "queue-close", prepare_waiting, run_queue_close},
    {.name = "queue-thread", prepare_queue, run_add, .queue = true},
};
const unsigned more_op_count = sizeof more_ops / sizeof more_ops[0];
