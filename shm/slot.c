/* SPDX-License-Identifier: MIT */
#include "slot.h"

#include "hot.h"
#include "mutant.h"

/* Why these orders are enough, once for all of this file:
 *
 * - announce: stored with release before the CAS on a counter's word. The CAS is acq_rel, and every
 *   change of a word is a CAS, so the words form one release sequence: whoever reads a tag with
 *   acquire also sees the announcement that was stored before that tag was written, or a later one.
 * - proof: stored before the CAS that overwrites the tag, so whoever reads, with acquire, a word
 * that no longer bears the tag sees the proof, or what took its place (rule 4 of slot.h relies on
 * it).
 * - ack: set (acq_rel) before the proof that it stands for is replaced (release), so whoever reads,
 *   with acquire, that the proof is no longer there sees the ack.
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

/* Rule 1: let the owner of `tag` know that what it announced has happened, if it needs to know. */
static void acknowledge(const struct segment *segment, uint64_t tag) {
    struct owner *other = owner_at(segment, word_owner(tag));
    if (!other) {
        return; /* none, or damaged: there is nobody to tell */
    }
    uint64_t announce = atomic_load_explicit(&other->announce, memory_order_acquire);
    if (announce_seq(announce) == word_seq(tag) && announce_what(announce) != ANNOUNCE_IDLE &&
        !(announce & ANNOUNCE_ACK)) {
        /* If this fails, another helper was faster or the owner has gone on: it knows either way.
         */
        atomic_compare_exchange_strong_explicit(&other->announce, &announce,
                                                announce | ANNOUNCE_ACK, memory_order_acq_rel,
                                                memory_order_relaxed);
    }
}

static struct proof *proof_about(struct owner *self, uint64_t word) {
    return &self->proof[word_owner(word) % PROOFS];
}

/* Rule 1: before the tag in the word of counter `index` is overwritten, keep it as a proof.
 * @return false: the place is taken by a proof that must not just be dropped.
 * relaxed: only this thread, or who recovers it, writes here; the CAS that follows releases it. */
static inline bool keep_proof(struct owner *self, uint32_t me, uint64_t word, uint32_t index) {
    uint32_t other = word_owner(word);
    if (other == me || other == OWNER_NOBODY || MUTANT(NO_ACK)) { /* of my own I know */
        return true;
    }
    struct proof *proof = proof_about(self, word);
    if (UNLIKELY(atomic_load_explicit(&proof->counter, memory_order_relaxed) != index + 1 ||
                 word_owner(atomic_load_explicit(&proof->tag, memory_order_relaxed)) != other)) {
        return false;
    }
    atomic_store_explicit(&proof->tag, word_tag(word), memory_order_relaxed);
    return true;
}

/* The same when the place is taken. It says of which counter the proof is only while that is
 * certain, so that whoever goes on with this record after a death in here does not rely on it. */
COLD static void change_proof(const struct segment *segment, struct owner *self, uint64_t word,
                              uint32_t index) {
    struct proof *proof = proof_about(self, word);
    if (!MUTANT(LOST_PROOF)) {
        acknowledge(segment, atomic_load_explicit(&proof->tag, memory_order_relaxed));
    }
    atomic_store_explicit(&proof->counter, NONE, memory_order_relaxed);
    /* release: whoever sees that the old proof is gone sees the ack; and in this order */
    atomic_store_explicit(&proof->tag, word_tag(word), memory_order_release);
    atomic_store_explicit(&proof->counter, index + 1, memory_order_release);
}

/* relaxed: which counter a slot is for is stored before the announcement (release) that names the
 * slot, and read by the thread that gives it back or by recovery. */
static inline struct counter *counter_of(const struct segment *segment, const struct slot *slot) {
    return counter_at(segment, atomic_load_explicit(&slot->counter, memory_order_relaxed));
}

/* No take: the count has reached the cap, or the entry was retired, whose count is above any. */
static int refused(uint64_t word) {
    return word_count(word) == COUNT_RETIRED ? SLOTSHARE_ESTALE : SLOTSHARE_FULL;
}

int slot_try(const struct segment *segment, uint32_t me, uint32_t index, uint32_t generation,
             uint32_t slot, uint64_t known, bool plain, struct taken *out) {
    struct counter *counter = &segment->counters[index];
    struct owner *self = &segment->owners[me];
    struct slot *record = &segment->slots[slot];
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_acquire);
    /* The generation is read after the word: if it is still the one whose name was compared, and
     * the CAS below finds the word unchanged, nobody retired the entry in between. */
    if (UNLIKELY(atomic_load_explicit(&counter->generation, memory_order_acquire) != generation)) {
        return SLOTSHARE_ESTALE;
    }
    uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_acquire);
    uint32_t count = word_count(word);
    if (count >= COUNT_MAX) {
        return refused(word);
    }
    out->cover = count >= cap_reserve(cap) ? COVER_LENT : COVER_RESERVE;
    /* acquire: shares stored before the session was extended are seen with it */
    if (out->cover &&
        (count >= cap_share(cap) ||
         atomic_load_explicit(&segment->header->session_end, memory_order_acquire) <= known)) {
        if (LIKELY(!(cap & CAP_OBSERVE))) {
            return refused(word);
        }
        out->cover = COVER_NOTHING;
    }
    if (plain && word_owner(word) != me) {
        return SLOT_AGAIN;
    }
    if (!plain && UNLIKELY(!keep_proof(self, me, word, index))) {
        change_proof(segment, self, word, index);
        return SLOT_AGAIN;
    }
    atomic_store_explicit(&record->counter, index, memory_order_relaxed);
    uint32_t seq = announce_start(self, slot, ANNOUNCE_TAKE);
    uint64_t held = slot_make(me, seq, SLOT_HELD);
    if (MUTANT(RECORD_FIRST)) {
        atomic_store(&record->word, held);
    }
    out->before = word;
    if (UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &counter->word, &word, word_make(count + 1, me, seq), memory_order_acq_rel,
            memory_order_relaxed))) {
        announce_end(self, seq);
        return SLOT_AGAIN;
    }
    if (MUTANT(LATE_ANNOUNCE)) {
        atomic_store(&self->announce, announce_make(seq, slot, ANNOUNCE_TAKE));
    } else if (MUTANT(IDLE_FIRST)) {
        announce_end(self, seq);
    }
    atomic_store_explicit(&record->word, held, memory_order_release);
    announce_end(self, seq);
    out->tag = held;
    return SLOTSHARE_OK;
}

COLD int slot_undo(const struct segment *segment, uint32_t me, uint32_t slot, uint64_t tag) {
    struct counter *counter;
    int given = slot_give(segment, me, slot, tag, true, &counter);
    return given == SLOTSHARE_OK ? SLOTSHARE_FULL : given;
}

/* Count down with the tag {me, seq}. One try. @return SLOTSHARE_OK; SLOTSHARE_EDAMAGED: the count
 * was not positive; SLOT_AGAIN. */
static inline int count_down(const struct segment *segment, uint32_t me, uint32_t seq,
                             uint32_t index) {
    struct owner *self = &segment->owners[me];
    struct counter *counter = &segment->counters[index];
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_acquire);
    uint32_t count = word_count(word);
    if (UNLIKELY(count == 0 || count == COUNT_RETIRED)) {
        return SLOTSHARE_EDAMAGED;
    }
    if (!keep_proof(self, me, word, index)) {
        change_proof(segment, self, word, index);
        return SLOT_AGAIN;
    }
    return LIKELY(atomic_compare_exchange_strong_explicit(
               &counter->word, &word, word_make(count - 1, me, seq), memory_order_seq_cst,
               memory_order_relaxed))
               ? SLOTSHARE_OK
               : SLOT_AGAIN;
}

COLD static int finish_give(const struct segment *segment, uint32_t me, uint32_t seq,
                            struct slot *record, struct counter **counter) {
    *counter = counter_of(segment, record);
    if (MUTANT(FREE_FIRST)) {
        atomic_store(&record->word, slot_make(me, seq, SLOT_FREE));
    }
    int down = SLOTSHARE_EDAMAGED;
    if (*counter) {
        uint32_t index = (uint32_t)(*counter - segment->counters);
        do {
            down = count_down(segment, me, seq, index);
        } while (down == SLOT_AGAIN); /* somebody else has got on: lock-free */
    }
    atomic_store_explicit(&record->word, slot_make(me, seq, SLOT_FREE), memory_order_release);
    announce_end(&segment->owners[me], seq);
    return down;
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

int slot_give_plain(const struct segment *segment, uint32_t me, uint32_t slot, uint64_t tag,
                    bool alone, struct counter **counter) {
    struct owner *self = &segment->owners[me];
    struct slot *record = &segment->slots[slot];
    if (UNLIKELY(atomic_load_explicit(&record->word, memory_order_acquire) != tag)) {
        return SLOTSHARE_ESTALE;
    }
    uint32_t index = atomic_load_explicit(&record->counter, memory_order_relaxed);
    if (UNLIKELY(index >= counter_count(segment))) {
        return SLOT_AGAIN;
    }
    *counter = &segment->counters[index];
    uint64_t word = atomic_load_explicit(&(*counter)->word, memory_order_acquire);
    if (word_count(word) - 1 >= COUNT_MAX || word_owner(word) != me) {
        return SLOT_AGAIN;
    }
    uint32_t seq = announce_start(self, slot, ANNOUNCE_GIVE);
    if (UNLIKELY(
            !claim_give(record, tag, slot_make(me, seq, SLOT_GIVING), alone || MUTANT(NO_CLAIM)))) {
        announce_end(self, seq);
        return SLOTSHARE_ESTALE;
    }
    if (MUTANT(FREE_FIRST)) {
        atomic_store(&record->word, slot_make(me, seq, SLOT_FREE));
    }
    if (UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &(*counter)->word, &word, word_make(word_count(word) - 1, me, seq),
            memory_order_seq_cst, memory_order_relaxed))) {
        return finish_give(segment, me, seq, record, counter);
    }
    atomic_store_explicit(&record->word, slot_make(me, seq, SLOT_FREE), memory_order_release);
    announce_end(self, seq);
    return SLOTSHARE_OK;
}

bool slot_turn(const struct segment *segment, uint32_t me, struct counter *counter, uint32_t from,
               uint32_t to) {
    struct owner *self = &segment->owners[me];
    uint32_t index = (uint32_t)(counter - segment->counters);
    /* Nothing to recover: an IDLE announcement, only a fresh tag. */
    uint32_t seq = announce_start(self, 0, ANNOUNCE_IDLE);
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_acquire);
    while (word_count(word) == from) {
        if (!keep_proof(self, me, word, index)) {
            change_proof(segment, self, word, index);
        }
        if (atomic_compare_exchange_weak_explicit(&counter->word, &word, word_make(to, me, seq),
                                                  memory_order_seq_cst, memory_order_acquire)) {
            return true;
        }
    }
    return false;
}

bool slot_retire(const struct segment *segment, uint32_t me, struct counter *counter,
                 uint64_t word) {
    if (word_count(word) != 0) {
        return false;
    }
    struct owner *self = &segment->owners[me];
    uint32_t index = (uint32_t)(counter - segment->counters);
    uint32_t seq = announce_start(self, 0, ANNOUNCE_IDLE);
    if (!keep_proof(self, me, word, index)) {
        change_proof(segment, self, word, index);
    }
    return atomic_compare_exchange_strong_explicit(&counter->word, &word,
                                                   word_make(COUNT_RETIRED, me, seq),
                                                   memory_order_seq_cst, memory_order_relaxed);
}

uint32_t slot_touch(const struct segment *segment, uint32_t me, struct counter *counter) {
    for (;;) {
        uint32_t count = word_count(atomic_load_explicit(&counter->word, memory_order_acquire));
        if (slot_turn(segment, me, counter, count, count)) {
            return count;
        }
    }
}

/* Is there evidence of it outside of the counter's word? The proofs before the ack, rule 4. */
static bool proven(const struct segment *segment, uint32_t victim, uint32_t seq) {
    uint64_t tag = word_make(0, victim, seq);
    for (uint32_t i = 1; i < segment->owner_count; i++) {
        if (atomic_load_explicit(&proof_about(&segment->owners[i], tag)->tag,
                                 memory_order_acquire) == tag) {
            return true;
        }
    }
    return atomic_load_explicit(&segment->owners[victim].announce, memory_order_acquire) &
           ANNOUNCE_ACK;
}

/* Did the operation {victim, announced seq} change its counter? Rule 4: the word first. */
static bool happened(const struct segment *segment, uint32_t victim, uint32_t seq,
                     const struct counter *counter) {
    bool early = MUTANT(ACK_FIRST) && proven(segment, victim, seq);
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_acquire);
    if (word_owner(word) == victim && word_seq(word) == seq) {
        return true;
    }
    return MUTANT(ACK_FIRST) ? early : proven(segment, victim, seq);
}

static void recover_take(const struct segment *segment, uint32_t victim, uint32_t seq,
                         struct slot *record) {
    struct owner *self = &segment->owners[victim];
    uint64_t held = slot_make(victim, seq, SLOT_HELD);
    struct counter *counter = counter_of(segment, record);
    if (atomic_load_explicit(&record->word, memory_order_acquire) != held && counter &&
        happened(segment, victim, seq, counter)) {
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
    if (slot_seq(word) == seq && counter && happened(segment, victim, seq, counter)) {
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
