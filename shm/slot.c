/* SPDX-License-Identifier: MIT */
#include "slot.h"

#include "hot.h"
#include "mutant.h"

/* Why these orders are enough, once for all of this file:
 *
 * - announce: stored with release before the CAS on a counter's word. The CAS is acq_rel, and every
 *   change of a word is a CAS, so the words form one release sequence: whoever reads a tag with
 *   acquire also sees the announcement that was stored before that tag was written, or a later one.
 * - ack: set (acq_rel) before the helper's own CAS on the word, so whoever reads, with acquire, a
 *   word that no longer bears the tag sees the ack (rule 4 of slot.h relies on that).
 * - cap: stored with release before slot_touch(); a take reads the word (acquire), then the cap.
 *   If it read the word from before the touch its CAS fails; else it sees the new cap.
 * - the CAS on give-back is seq_cst because a waiter's flag is read after it (wait.h).
 * - a slot's word: HELD is stored with release after the CAS; other processes read it only for
 *   recovery, after the kernel has said that its writer is dead, and that orders everything. */

static uint32_t announce_start(struct owner *self, uint32_t slot, enum announce_what what) {
    /* relaxed: only this thread moves seq on; helpers change nothing but ack */
    uint64_t last = atomic_load_explicit(&self->announce, memory_order_relaxed);
    uint32_t seq = announce_seq(last) + 1;
    if (!MUTANT(LATE_ANNOUNCE) || what != ANNOUNCE_TAKE) {
        atomic_store_explicit(&self->announce, announce_make(seq, slot, what),
                              memory_order_release);
    }
    return seq;
}

static void announce_end(struct owner *self, uint32_t seq) {
    /* release: the slot's word was stored before; a plain store beats a late ack, which would
     * expect the announcement as it was */
    atomic_store_explicit(&self->announce, announce_make(seq, 0, ANNOUNCE_IDLE),
                          memory_order_release);
}

/* Rule 1: before the tag in `word` is overwritten, its owner must be able to know. */
__attribute__((noinline)) static void help_other(const struct segment *segment, uint64_t word) {
    struct owner *other = owner_at(segment, word_owner(word));
    if (!other) {
        return; /* damaged: there is nobody to tell */
    }
    uint64_t announce = atomic_load_explicit(&other->announce, memory_order_acquire);
    if (announce_seq(announce) == word_seq(word) && announce_what(announce) != ANNOUNCE_IDLE &&
        !(announce & ANNOUNCE_ACK)) {
        /* If this fails, another helper was faster or the owner has gone on: it knows either way.
         */
        atomic_compare_exchange_strong_explicit(&other->announce, &announce,
                                                announce | ANNOUNCE_ACK, memory_order_acq_rel,
                                                memory_order_relaxed);
    }
}

static void help(const struct segment *segment, uint32_t me, uint64_t word) {
    uint32_t owner = word_owner(word);
    if (owner != OWNER_NOBODY && owner != me && !MUTANT(NO_ACK)) { /* of my own I know */
        help_other(segment, word);
    }
}

/* relaxed: which counter a slot is for is stored before the announcement (release) that names the
 * slot, and read by the thread that gives it back or by recovery. */
static struct counter *counter_of(const struct segment *segment, const struct slot *slot) {
    return counter_at(segment, atomic_load_explicit(&slot->counter, memory_order_relaxed));
}

static bool still_admitted(enum admit admit, slot_session session, void *arg) {
    return admit == ADMIT_FREELY || (admit == ADMIT_WHILE_SESSION && session(arg));
}

/* Taken when the session was over. */
COLD static int take_back(const struct segment *segment, uint32_t me, uint32_t slot, uint64_t tag) {
    struct counter *counter;
    int given = slot_give(segment, me, slot, tag, true, &counter);
    return given == SLOTSHARE_OK ? SLOTSHARE_FULL : given;
}

int slot_take(const struct segment *segment, uint32_t me, struct counter *counter,
              uint32_t generation, uint32_t slot, slot_session session, void *arg, uint32_t *count,
              uint64_t *tag) {
    struct owner *self = &segment->owners[me];
    struct slot *record = &segment->slots[slot];
    uint32_t seq = 0;
    enum admit admit;
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_acquire);
    for (;;) {
        /* The generation is read after the word: if it is still the one whose name was compared,
         * and the CAS below finds the word unchanged, nobody retired the entry in between. */
        if (word_count(word) == COUNT_RETIRED ||
            atomic_load_explicit(&counter->generation, memory_order_acquire) != generation) {
            if (seq) {
                announce_end(self, seq);
            }
            return SLOTSHARE_ESTALE;
        }
        uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_acquire);
        admit = slot_admit(word_count(word), cap);
        if (!still_admitted(admit, session, arg)) {
            if (seq) {
                announce_end(self, seq);
            }
            return SLOTSHARE_FULL;
        }
        if (!seq) {
            atomic_store_explicit(&record->counter, (uint32_t)(counter - segment->counters),
                                  memory_order_relaxed);
            seq = announce_start(self, slot, ANNOUNCE_TAKE);
        }
        help(segment, me, word);
        if (MUTANT(RECORD_FIRST)) {
            atomic_store(&record->word, slot_make(me, seq, SLOT_HELD));
        }
        uint64_t next = word_make(word_count(word) + 1, me, seq);
        if (atomic_compare_exchange_weak_explicit(&counter->word, &word, next, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            break;
        }
    }
    if (MUTANT(LATE_ANNOUNCE)) {
        atomic_store(&self->announce, announce_make(seq, slot, ANNOUNCE_TAKE));
    } else if (MUTANT(IDLE_FIRST)) {
        announce_end(self, seq);
    }
    *tag = slot_make(me, seq, SLOT_HELD);
    atomic_store_explicit(&record->word, *tag, memory_order_release);
    announce_end(self, seq);
    *count = word_count(word) + 1;
    /* Once more: this thread may have slept since the clock was read. */
    if (admit == ADMIT_WHILE_SESSION && UNLIKELY(!session(arg))) {
        return take_back(segment, me, slot, *tag);
    }
    return SLOTSHARE_OK;
}

/* Count down with the tag {me, seq}. @return false when the count was not positive (damage). */
static bool count_down(const struct segment *segment, uint32_t me, uint32_t seq,
                       struct counter *counter) {
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_acquire);
    for (;;) {
        uint32_t count = word_count(word);
        if (count == 0 || count == COUNT_RETIRED) {
            return false;
        }
        help(segment, me, word);
        if (atomic_compare_exchange_weak_explicit(&counter->word, &word,
                                                  word_make(count - 1, me, seq),
                                                  memory_order_seq_cst, memory_order_acquire)) {
            return true;
        }
    }
}

static int finish_give(const struct segment *segment, uint32_t me, uint32_t seq,
                       struct slot *record, struct counter **counter) {
    *counter = counter_of(segment, record);
    if (MUTANT(FREE_FIRST)) {
        atomic_store(&record->word, slot_make(me, seq, SLOT_FREE));
    }
    bool down = *counter && count_down(segment, me, seq, *counter);
    atomic_store_explicit(&record->word, slot_make(me, seq, SLOT_FREE), memory_order_release);
    announce_end(&segment->owners[me], seq);
    return down ? SLOTSHARE_OK : SLOTSHARE_EDAMAGED;
}

static bool claim_give(struct slot *record, uint64_t held, uint64_t giving, bool alone) {
    if (alone) {
        /* release: recovery sees the announcement that this names */
        atomic_store_explicit(&record->word, giving, memory_order_release);
        return true;
    }
    /* acq_rel: the winner sees the counter index that the take stored before HELD */
    return atomic_compare_exchange_strong_explicit(&record->word, &held, giving,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

int slot_give(const struct segment *segment, uint32_t me, uint32_t slot, uint64_t tag, bool alone,
              struct counter **counter) {
    struct owner *self = &segment->owners[me];
    struct slot *record = slot_at(segment, slot);
    if (!record || slot_state(tag) != SLOT_HELD ||
        atomic_load_explicit(&record->word, memory_order_acquire) != tag) {
        return SLOTSHARE_ESTALE;
    }
    uint32_t seq = announce_start(self, slot, ANNOUNCE_GIVE);
    if (!claim_give(record, tag, slot_make(me, seq, SLOT_GIVING), alone || MUTANT(NO_CLAIM))) {
        announce_end(self, seq);
        return SLOTSHARE_ESTALE;
    }
    return finish_give(segment, me, seq, record, counter);
}

bool slot_turn(const struct segment *segment, uint32_t me, struct counter *counter, uint32_t from,
               uint32_t to) {
    struct owner *self = &segment->owners[me];
    /* Nothing to recover: an IDLE announcement, only a fresh tag. */
    uint32_t seq = announce_start(self, 0, ANNOUNCE_IDLE);
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_acquire);
    while (word_count(word) == from) {
        help(segment, me, word);
        if (atomic_compare_exchange_weak_explicit(&counter->word, &word, word_make(to, me, seq),
                                                  memory_order_seq_cst, memory_order_acquire)) {
            return true;
        }
    }
    return false;
}

uint32_t slot_touch(const struct segment *segment, uint32_t me, struct counter *counter) {
    for (;;) {
        uint32_t count = word_count(atomic_load_explicit(&counter->word, memory_order_acquire));
        if (slot_turn(segment, me, counter, count, count)) {
            return count;
        }
    }
}

/* Did the operation {victim, announced seq} change its counter? Rule 4: the word first. */
static bool happened(struct owner *self, uint32_t victim, uint32_t seq,
                     const struct counter *counter) {
    uint64_t early = MUTANT(ACK_FIRST) ? atomic_load(&self->announce) : 0;
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_acquire);
    if (word_owner(word) == victim && word_seq(word) == seq) {
        return true;
    }
    uint64_t announce = atomic_load_explicit(&self->announce, memory_order_acquire);
    return (MUTANT(ACK_FIRST) ? early : announce) & ANNOUNCE_ACK;
}

static void recover_take(const struct segment *segment, uint32_t victim, uint32_t seq,
                         struct slot *record) {
    struct owner *self = &segment->owners[victim];
    uint64_t held = slot_make(victim, seq, SLOT_HELD);
    struct counter *counter = counter_of(segment, record);
    if (atomic_load_explicit(&record->word, memory_order_acquire) != held && counter &&
        happened(self, victim, seq, counter)) {
        atomic_store_explicit(&record->word, held, memory_order_release);
    }
    announce_end(self, seq);
}

static void recover_give(const struct segment *segment, uint32_t victim, uint32_t seq,
                         uint32_t slot, struct slot *record) {
    struct owner *self = &segment->owners[victim];
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
    struct counter *counter = counter_of(segment, record);
    if (slot_state(word) != SLOT_GIVING || slot_owner(word) != victim) {
        announce_end(self, seq); /* it had not begun, or it was done */
        return;
    }
    /* GIVING under an older seq: an earlier recovery found that one not done, announced the next,
     * and died before it could say so in the slot; so the announced one is not done either. */
    if (slot_seq(word) == seq && counter && happened(self, victim, seq, counter)) {
        atomic_store_explicit(&record->word, slot_make(victim, seq, SLOT_FREE),
                              memory_order_release);
        announce_end(self, seq);
        return;
    }
    uint32_t next = announce_start(self, slot, ANNOUNCE_GIVE);
    atomic_store_explicit(&record->word, slot_make(victim, next, SLOT_GIVING),
                          memory_order_release);
    (void)finish_give(segment, victim, next, record, &counter);
}

void slot_recover(const struct segment *segment, uint32_t victim) {
    struct owner *self = owner_at(segment, victim);
    if (!self) {
        return;
    }
    uint64_t announce = atomic_load_explicit(&self->announce, memory_order_acquire);
    uint32_t seq = announce_seq(announce);
    struct slot *record = slot_at(segment, announce_slot(announce));
    if (announce_what(announce) == ANNOUNCE_IDLE) {
        return;
    }
    if (!record) {
        announce_end(self, seq); /* damaged */
    } else if (announce_what(announce) == ANNOUNCE_TAKE) {
        recover_take(segment, victim, seq, record);
    } else {
        recover_give(segment, victim, seq, announce_slot(announce), record);
    }
}
