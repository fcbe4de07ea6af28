/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_SLOT_H
#define SLOTSHARE_SHM_SLOT_H
/**
 * Taking and giving back: recoverable compare-and-swap (Attiya, Ben-Baruch, Hendler, "Nesting-safe
 * recoverable linearizability", PODC 2018; Ben-David, Blelloch, Friedman, Wei, "Delay-free
 * concurrency on faulty persistent memory", arXiv 1806.04780). Lock-free, no system call, no
 * allocation. A process may die between any two instructions; slot_recover() finds out what its
 * threads had done.
 *
 * A counter's word is {count, owner, seq}: the last operation on it is the one that `owner`
 * announced under `seq`. The rules, each with the mistake that it prevents:
 *
 *  1. The announcement {seq, slot, what, ack} is stored before the word is touched. Before anyone
 *     overwrites another owner's tag {owner, seq} he sets ack in that owner's announcement, by a
 *     compare-and-swap that fails when the owner has gone on: otherwise the proof that the
 *     operation happened would be lost with the tag.
 *  2. After a take, the slot's word is set to HELD {owner, seq}: from then on the slot itself is
 *     the proof. Only after that the announcement goes to IDLE, and only after that the caller
 *     learns of the slot; so nobody can give it back while the announcement still says TAKE.
 *  3. A give-back first moves the slot from HELD to GIVING {owner, seq} by compare-and-swap: of two
 *     that give back the same slot one wins, and whichever thread of the process does it, the
 *     slot names the announcement that tells how far it came. A process with one thread, and a
 *     reaper, have no rival and need no compare-and-swap for it.
 *  4. Recovery reads the counter's word first and the announcement's ack second. In the other
 *     order a helper could set ack and overwrite the tag in between, and the operation would be
 *     taken for one that never happened.
 *  5. Recovery goes on as the victim: same owner record, next seq. So its own death is recovered
 *     in the same way.
 *  6. seq is never reset, not when a record changes hands either: a tag is used once.
 *  7. Whoever lowers a cap then replaces the tag (slot_touch): a take that read the old cap fails.
 */
#include "segment.h"

/** May this count grow, under this cap? Decided by the caller of slot_take(), who knows the clock.
 */
enum admit { ADMIT_NO, ADMIT_FREELY, ADMIT_WHILE_SESSION };

static inline enum admit slot_admit(uint32_t count, uint64_t cap) {
    if (count < cap_reserve(cap)) {
        return count < COUNT_MAX ? ADMIT_FREELY : ADMIT_NO;
    }
    return count < cap_share(cap) && count < COUNT_MAX ? ADMIT_WHILE_SESSION : ADMIT_NO;
}

/**
 * Is the session of this host valid now, by the clock? Asked only when the reserve does not cover a
 * take: before the count is changed, so that a share that has lapsed is never even counted on; and
 * after it, because the thread may have slept between the two. The caller learns of the slot only
 * after the second.
 */
typedef bool (*slot_session)(void *arg);

/**
 * Take: count + 1 on a counter, recorded in a free slot record of the caller's process.
 *
 * @param me          the caller's owner record; no other thread uses it at the same time
 * @param generation  of the counter, from when its name was compared
 * @param count       the count that was reached (on SLOTSHARE_OK)
 * @param tag         the slot's word, for slot_give() (on SLOTSHARE_OK)
 * @return SLOTSHARE_OK, SLOTSHARE_FULL, SLOTSHARE_ESTALE: the counter was retired.
 */
int slot_take(const struct segment *segment, uint32_t me, struct counter *counter,
              uint32_t generation, uint32_t slot, slot_session session, void *arg, uint32_t *count,
              uint64_t *tag);

/**
 * Give back: the slot becomes free and its counter's count goes down by one.
 *
 * @param tag       as slot_take() gave it
 * @param alone     no other thread of the slot's process can be giving it back now
 * @param counter   the counter, for waking and statistics (on SLOTSHARE_OK)
 * @return SLOTSHARE_OK; SLOTSHARE_ESTALE: not held under this tag; SLOTSHARE_EDAMAGED.
 */
int slot_give(const struct segment *segment, uint32_t me, uint32_t slot, uint64_t tag, bool alone,
              struct counter **counter);

/** Replace the tag of a counter, leaving its count: what was decided on an older word fails now.
 * @return the count at that moment. */
uint32_t slot_touch(const struct segment *segment, uint32_t me, struct counter *counter);

/**
 * Replace a count of `from` by `to` (idle to retired, retired to idle), with the caller's tag.
 * @return true when the count was `from`.
 */
bool slot_turn(const struct segment *segment, uint32_t me, struct counter *counter, uint32_t from,
               uint32_t to);

/**
 * Finish what a dead owner had in flight: afterwards its announcement is IDLE, and the slot that it
 * was about is HELD or FREE in agreement with the count. The caller holds the lock of the owner's
 * leader. Repeat it after a death in here.
 */
void slot_recover(const struct segment *segment, uint32_t victim);

#endif
