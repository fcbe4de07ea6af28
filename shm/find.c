/* SPDX-License-Identifier: MIT */
/* From a connection to its counter, making it if it is new. */
#include "grow.h"
#include "handle.h"
#include "limit.h"
#include "resolve.h"
#include "retire.h"
#include "take.h"

enum {
    SWEEP_EVERY = 16,    /* insertions of a thread */
    SWEEP_VISITS = 1024, /* entries looked at then, when the table fills up */
    SWEEP_FULL = 8192,   /* and when it is full */
    MAKE_ROOM_TRIES = 16,
};

/* A name that is new. The table makes room for it, if there are counters that nobody uses. */
static int insert(slotshare *handle, struct thread *self, const struct ruleset_match *match,
                  slotshare_counter *counter) {
    const struct segment *segment = &handle->segment;
    struct counter_setup setup;
    int result = limit_setup(segment, match, counter->rules, &setup);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    /* Enough that the last eighth of the table is not filled before the hand has gone round. */
    if (self->inserted++ % SWEEP_EVERY == 0 && retire_wanted(segment)) {
        (void)retire_pass(handle, self->owner, SWEEP_VISITS);
    }
    for (int tries = 0; tries < MAKE_ROOM_TRIES; tries++) {
        result = counter_insert(segment, self->owner, match->counter, match->length, &setup,
                                &counter->index, &counter->generation);
        /* What is made here others may fill at once: more than one try. */
        if (result != SLOTSHARE_ECOUNTERS ||
            (retire_pass(handle, self->owner, SWEEP_FULL) == 0 && !grow_counters(handle))) {
            break;
        }
    }
    return result;
}

int slotshare_counter_find(slotshare *handle, const struct slotshare_connection *connection,
                           slotshare_counter *counter) {
    struct thread *self;
    if (!handle || !connection || !counter) {
        return SLOTSHARE_EINVAL;
    }
    int result = handle_thread(handle, &self);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    if (take_closed(handle)) {
        return SLOTSHARE_EGONE;
    }
    struct ruleset_match match;
    result = resolve_connection(&handle->segment, connection, &match, &counter->rules);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    result = counter_find(&handle->segment, match.counter, match.length, &counter->index,
                          &counter->generation);
    if (result == SLOTSHARE_FULL) {
        result = insert(handle, self, &match, counter);
    }
    if (result == SLOTSHARE_OK && limit_unsettled(&handle->segment, counter->index)) {
        limit_settle(&handle->segment, counter->index);
    }
    return result;
}
