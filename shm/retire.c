/* SPDX-License-Identifier: MIT */
#include "retire.h"

#include <unistd.h>

#include "counter.h"
#include "entry.h"
#include "lock.h"
#include "mutant.h"
#include "slot.h"
#include "view.h"

/* An entry leaves the table in steps, each of which a successor can repeat:
 *
 *  1. `retiring` names it;
 *  2. its word goes from count 0 to COUNT_RETIRED: no take succeeds any more, and none that read
 *     the word before can, because its compare-and-swap fails. From here on there is no way back,
 *     and for look-ups the name is not in the table (counter.c): whoever wants it makes a new entry
 *     and need not wait, however long the one who retires stands still;
 *  3. its generation becomes odd: handles and look-ups let go of it;
 *  4. it is unlinked from its chain, and the chain's version is raised;
 *  5. its parts and then the entry itself become free; `retiring` is cleared.
 *
 * After 5 the entry may be claimed anew, so what a successor finds decides whether there is still
 * something to do: only an entry that is LIVE and COUNT_RETIRED is one that a predecessor left. */
static void finish(const struct segment *segment, uint32_t index) {
    struct counter *counter = &segment->counters[index];
    uint32_t generation = atomic_load_explicit(&counter->generation, memory_order_relaxed);
    if (MUTANT(FREE_RETIRED)) {
        atomic_store(&counter->use, use_make(0, ENTRY_FREE));
    }
    if (generation % 2 == 0) {
        /* release: whoever finds the entry recycled finds the generation moved on as well */
        atomic_store_explicit(&counter->generation, generation + 1, memory_order_release);
    }
    if (!counter_unlink(segment, index)) {
        return; /* a damaged chain: the entry stays retired, and is not used again */
    }
    counter_free_parts(segment, index);
    atomic_store_explicit(&counter->use, use_make(0, ENTRY_FREE), memory_order_release);
    atomic_fetch_sub_explicit(&segment->header->counters_used, 1, memory_order_relaxed);
}

static bool is_retired(const struct counter *counter) {
    return use_kind(atomic_load_explicit(&counter->use, memory_order_acquire)) == ENTRY_LIVE &&
           word_count(atomic_load_explicit(&counter->word, memory_order_acquire)) == COUNT_RETIRED;
}

static void resume(const struct segment *segment) {
    uint32_t left = atomic_load_explicit(&segment->header->retiring, memory_order_acquire);
    struct counter *counter = left == NONE ? NULL : counter_at(segment, left - 1);
    if (counter && is_retired(counter)) {
        finish(segment, left - 1);
    }
    if (left != NONE) {
        entry_recount(segment);
    }
    atomic_store_explicit(&segment->header->retiring, NONE, memory_order_release);
}

static bool is_kept(const struct counter *counter) {
    /* seq_cst: the bridge pins first and replaces the word second. Here the word comes first: if
     * this does not see the pin, the word is another one by the time that slot_retire() compares
     * it. */
    return atomic_load_explicit(&counter->pinned, memory_order_seq_cst) != 0;
}

static bool is_idle(struct counter *counter) {
    uint64_t takes = atomic_load_explicit(&counter->takes, memory_order_relaxed);
    uint64_t refusals = atomic_load_explicit(&counter->refusals, memory_order_relaxed);
    uint32_t sum = (uint32_t)(takes + refusals);
    bool same = atomic_exchange_explicit(&counter->swept, sum, memory_order_relaxed) == sum;
    return same && view_in_use(counter) == 0 && !is_kept(counter) &&
           !atomic_load_explicit(&counter->record, memory_order_relaxed);
}

static bool retire_one(const struct segment *segment, uint32_t me, uint32_t index) {
    struct counter *counter = &segment->counters[index];
    /* seq_cst: the word before is_kept(). Whoever pins it after that replaces the word. */
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_seq_cst);
    if (use_kind(atomic_load_explicit(&counter->use, memory_order_acquire)) != ENTRY_LIVE ||
        !is_idle(counter)) {
        return false;
    }
    atomic_store_explicit(&segment->header->retiring, index + 1, memory_order_release);
    bool turned =
        MUTANT(RETIRE_PLAIN) ? view_in_use(counter) == 0 : slot_retire(segment, me, counter, word);
    if (turned) {
        finish(segment, index);
    }
    atomic_store_explicit(&segment->header->retiring, NONE, memory_order_release);
    return turned;
}

void retire_resume(const struct segment *segment) {
    /* relaxed: looked at again under the lock */
    if (atomic_load_explicit(&segment->header->retiring, memory_order_relaxed) == NONE) {
        return;
    }
    int fd = segment_lock_open(segment);
    if (fd >= 0) {
        if (lock_take(fd, LOCK_RETIRE) == 0) { /* else it lives, or another is at it */
            resume(segment);
        }
        close(fd);
    }
}

uint32_t retire_pass(slotshare *handle, uint32_t me, uint32_t visits) {
    const struct segment *segment = &handle->segment;
    if (pthread_mutex_trylock(&handle->mutex) != 0) {
        return 0;
    }
    uint32_t retired = 0;
    int fd = segment_lock_open(segment);
    if (fd >= 0 && lock_take(fd, LOCK_RETIRE) == 0) {
        resume(segment);
        uint32_t count = counter_count(segment);
        count = count ? count : 1; /* damaged: nothing may divide by it */
        uint32_t at = atomic_load_explicit(&segment->header->sweep, memory_order_relaxed) % count;
        for (uint32_t i = 0; i < visits; i++) {
            retired += retire_one(segment, me, (at + i) % count);
        }
        atomic_store_explicit(&segment->header->sweep, (at + visits) % count, memory_order_relaxed);
    }
    if (fd >= 0) {
        close(fd);
    }
    pthread_mutex_unlock(&handle->mutex);
    return retired;
}

bool retire_wanted(const struct segment *segment) {
    uint32_t used = atomic_load_explicit(&segment->header->counters_used, memory_order_relaxed);
    uint32_t count = counter_count(segment);
    /* What is counted beside the entries may be off by some, below 0 as well: see entry_recount().
     */
    return used <= INT32_MAX && used > count - count / 8;
}
