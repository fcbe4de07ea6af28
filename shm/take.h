/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_TAKE_H
#define SLOTSHARE_SHM_TAKE_H
/** One try to take a slot, for the calls that wait and those that do not. */
#include "handle.h"

enum { REAP_EVERY_MS = 100 };

/**
 * Try once, and once more if the dead made room.
 * @param queued  the caller has waited for this counter: it need not yield to those who wait
 * @return as slotshare_counter_acquire()
 */
int take_try(slotshare *handle, struct thread *self, slotshare_counter counter, bool queued,
             slotshare_slot *out);

/** Count the takes that the thread has kept to itself. */
void take_count(slotshare *handle, struct thread *self);

/** A take was refused for good, or begins to wait: count it, and tell the bridge. */
void take_refused(slotshare *handle, uint32_t index);

/** The segment was removed, or is about to be. */
static inline bool take_closed(const slotshare *handle) {
    /* acquire: pairs with the store by whoever found the file removed */
    return atomic_load_explicit(&handle->segment.header->closed, memory_order_acquire) != 0;
}

#endif
