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
 *  1. The announcement {seq, slot, what, ack} is stored before the word is touched. Whoever
 *     overwrites another owner's tag {owner, seq} first keeps it in his own record, as a proof:
 *     otherwise the evidence that the operation happened would be lost with the tag. A proof may be
 *     dropped for a later tag of the same owner in the same counter's word, because an owner does
 *     one thing after the other; before it is dropped for any other, ack is set in the announcement
 *     of the owner whom it is about, by a compare-and-swap that fails when that one has gone on.
 *     (So as long as the same ones work on the same counter, nobody reads or writes a cache line
 *     that another one needs for each of his operations, but for the counter's own.)
 *  2. After a take, the slot's word is set to HELD {owner, seq}: from then on the slot itself is
 *     the proof. Only after that the announcement goes to IDLE, and only after that the caller
 *     learns of the slot; so nobody can give it back while the announcement still says TAKE.
 *  3. A give-back first moves the slot from HELD to GIVING {owner, seq} by compare-and-swap: of two
 *     that give back the same slot one wins, and whichever thread of the process does it, the
 *     slot names the announcement that tells how far it came. A process with one thread, and a
 *     reaper, have no rival and need no compare-and-swap for it.
 *  4. Recovery reads the counter's word first, the proofs second and the announcement's ack last.
 *     In another order somebody could write what was looked for already and remove what is looked
 *     for next, and the operation would be taken for one that never happened.
 *  5. Recovery goes on as the victim: same owner record, next seq. So its own death is recovered
 *     in the same way.
 *  6. seq is never reset, not when a record changes hands either: a tag is used once.
 *  7. Whoever lowers a cap, or makes one that was observed refuse, then replaces the tag
 *     (slot_touch): a take that read the old cap fails.
 */
#include "segment.h"

/** What a take was good for. */
enum slot_cover {
    COVER_RESERVE = 0,
    COVER_LENT,    /* not by the reserve: look at the clock now, see slot_try() */
    COVER_NOTHING, /* the cap only observes: it would have been refused */
};

/** What slot_try() did. */
struct taken {
    uint64_t before; /* the counter's word, as it was */
    uint64_t tag;    /* the slot's word, for slot_give() */
    enum slot_cover cover;
};

/** Somebody else changed the counter's word first, or was helped: try again. */
enum { SLOT_AGAIN = 2 };

/**
 * Take: count + 1 on a counter, recorded in a free slot record of the caller's process. One try.
 *
 * A take that the reserve does not cover is good only while the session of this host is valid. The
 * caller looks at the clock after it, and if the session is over undoes it (slot_undo) before
 * anybody learns of the slot. A look before it would not do, because the thread may sleep between
 * the two; what is known of the time without a look is enough to refuse when the session is over
 * already, so that a share that has lapsed is not counted on again and again.
 *
 * Where the cap only observes, what it would refuse is taken all the same, and told from other
 * takes by its cover. Records and recovery know no difference.
 *
 * @param me          the caller's owner record; no other thread uses it at the same time
 * @param index       of the counter, in range
 * @param generation  of the counter, from when its name was compared
 * @param known       a CLOCK_BOOTTIME in ms that is over
 * @param plain       only if the last change of the counter was the caller's; else SLOT_AGAIN
 * @return SLOTSHARE_OK: *out is filled; SLOTSHARE_FULL; SLOTSHARE_ESTALE: the counter was retired;
 *         SLOT_AGAIN.
 */
int slot_try(const struct segment *segment, uint32_t me, uint32_t index, uint32_t generation,
             uint32_t slot, uint64_t known, bool plain, struct taken *out);

/** Give back what slot_try() has just taken. @return SLOTSHARE_FULL, or SLOTSHARE_EDAMAGED. */
int slot_undo(const struct segment *segment, uint32_t me, uint32_t slot, uint64_t tag);

/**
 * Give back: the slot becomes free and its counter's count goes down by one.
 *
 * @param tag       as slot_try() gave it
 * @param alone     no other thread of the slot's process can be giving it back now
 * @param counter   the counter, for waking and statistics (on SLOTSHARE_OK)
 * @return SLOTSHARE_OK; SLOTSHARE_ESTALE: not held under this tag; SLOTSHARE_EDAMAGED.
 */
int slot_give(const struct segment *segment, uint32_t me, uint32_t slot, uint64_t tag, bool alone,
              struct counter **counter);

/**
 * The same, but only if the last change of the counter was the caller's.
 *
 * @param slot  in range
 * @param tag   of a slot that is HELD
 * @return also SLOT_AGAIN: nothing has changed, call slot_give().
 */
int slot_give_plain(const struct segment *segment, uint32_t me, uint32_t slot, uint64_t tag,
                    bool alone, struct counter **counter);

/** Replace the tag of a counter, leaving its count: what was decided on an older word fails now.
 * @return the count at that moment. */
uint32_t slot_touch(const struct segment *segment, uint32_t me, struct counter *counter);

/**
 * Replace a count of `from` by `to` (the same, or retired to idle), with the caller's tag.
 * @return true when the count was `from`.
 */
bool slot_turn(const struct segment *segment, uint32_t me, struct counter *counter, uint32_t from,
               uint32_t to);

/**
 * Retire a counter whose word is still this one, of count 0. seq_cst.
 * @return false: the word has changed, or something is in use.
 */
bool slot_retire(const struct segment *segment, uint32_t me, struct counter *counter,
                 uint64_t word);

/**
 * Finish what a dead owner had in flight: afterwards its announcement is IDLE, and the slot that it
 * was about is HELD or FREE in agreement with the count. The caller holds the lock of the owner's
 * leader. Repeat it after a death in here.
 */
void slot_recover(const struct segment *segment, uint32_t victim);

#endif
