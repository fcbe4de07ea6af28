/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_LIMIT_H
#define SLOTSHARE_SHM_LIMIT_H
/**
 * Limits that change while workers run. There is one rule set in force and, for a while, one that
 * is to follow; while it is pending, counters that it deals differently keep to the lower of both,
 * and when it is committed they start from its opening deal. Slots that are held stay counted
 * where they are, and no worker restarts.
 *
 * A counter may be inserted at any moment, by a worker that looked at the rule sets a while ago.
 * It goes into the table with a cap that admits nothing (CAP_UNSET); its inserter then looks at
 * the rule sets once more and sets the cap by compare-and-swap. Whoever publishes a rule set does
 * so before walking the table, and settles what it finds unset. So either the walk sees the new
 * entry or the inserter sees the new rule set, and if the inserter dies the next one to find the
 * entry settles it.
 */
#include "../conf/ruleset.h"
#include "counter.h"

/** What the rule sets say of what this match counts. rules: generation of the set that `match` was
 * resolved against. @return SLOTSHARE_OK, SLOTSHARE_EDAMAGED. */
int limit_setup(const struct segment *segment, const struct ruleset_match *match, uint64_t rules,
                struct counter_setup *setup);

/**
 * What the rule sets say now of a counter in the table, by its name. (What is written in its entry
 * may be old, or about another counter: a worker may stand still for any time before it writes it.)
 * Of a name that the set in force never makes: what is written there.
 */
void limit_read(const struct segment *segment, const struct counter *counter, const char *name,
                struct counter_setup *setup);

/** The cap of a counter that has no record: the opening deal, no more than the pending one. */
uint64_t limit_cap(const struct counter_setup *setup);

/** Is this counter's cap still to be set? */
static inline bool limit_unsettled(const struct segment *segment, uint32_t index) {
    /* acquire: pairs with the compare-and-swap that sets it */
    return atomic_load_explicit(&segment->counters[index].cap, memory_order_acquire) == CAP_UNSET;
}

/** Give a new counter its cap, by its name. Harmless when it has one. */
void limit_settle(const struct segment *segment, uint32_t index);

/** The pending rule set is not to follow after all. Caps stay where it lowered them to, until
 * limit_refresh(). Nothing happens when none is pending. */
void limit_withdraw(const struct segment *segment);

/** Caps of counters without a record, as the rule sets say now: after a withdrawal, or when a
 * predecessor may have died on the way. A record keeps the share that it has. */
void limit_refresh(const struct segment *segment, uint32_t me);

/**
 * Write a rule set beside the one in force, as pending, and lower the caps that it lowers: when
 * this returns no take succeeds that either of the two refuses. The caller is the only one who
 * may (the bridge, or on a single host the holder of LOCK_CREATE).
 * @return SLOTSHARE_OK; SLOTSHARE_EBUSY: one is pending already; SLOTSHARE_ECONFIG: too large for
 *         its place in the segment.
 */
int limit_publish(const struct segment *segment, uint32_t me, const void *rules, size_t size);

/** A cap of this counter, no more than the pending rule set deals to it. */
uint64_t limit_under_pending(const struct segment *segment, uint32_t index, uint64_t cap);

/** The home of a counter under the pending rule set; -1: unlimited or only observed there, or
 * nothing changes for it. */
int32_t limit_pending_home(const struct segment *segment, uint32_t index);

/** Nothing uses more than its home under the pending rule set. */
bool limit_fits(const struct segment *segment);

/** The pending rule set is in force from now on; what it deals differently starts anew, from its
 * home, without a record. Goes on where a predecessor died. */
void limit_commit(const struct segment *segment, uint32_t me);

/** The pending rule set; size 0 when there is none. */
struct ruleset limit_pending(const struct segment *segment);

/** This node is drained, or is about to be: no take succeeds. */
bool limit_drained(const struct segment *segment);

#endif
