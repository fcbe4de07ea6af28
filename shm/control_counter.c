/* SPDX-License-Identifier: MIT */
/* The bridge's view of counters: what is wanted, and setting shares. */
#include <string.h>

#include "control_private.h"
#include "excess.h"
#include "limit.h"
#include "mutant.h"
#include "resolve.h"
#include "slot.h"
#include "wait.h"

enum {
    RECENT_MS = 1000, /* how long a refusal counts as a wish */
    COUNT_EVERY_MS = 5,
};

int control_counter_find(struct control *control, const char *name, uint32_t *index) {
    const struct segment *segment = &control->handle->segment;
    struct ruleset_match match;
    uint64_t rules;
    int result = resolve_counter(segment, name, &match, &rules);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    struct counter_setup setup;
    result = limit_setup(segment, &match, rules, &setup);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    uint32_t generation;
    result = counter_insert(segment, control->me, match.counter, match.length, &setup, index,
                            &generation);
    if (result == SLOTSHARE_OK) {
        limit_settle(segment, *index);
    }
    return result;
}

int control_counter_look(struct control *control, const char *name, uint32_t *index) {
    uint32_t generation;
    int result = counter_find(&control->handle->segment, name, strlen(name), index, &generation);
    return result == SLOTSHARE_FULL ? SLOTSHARE_EINVAL : result;
}

bool control_excess_left(const struct control *control, uint32_t index, int64_t *left_ms) {
    const struct segment *segment = &control->handle->segment;
    const struct counter *counter = counter_at(segment, index);
    if (!counter || excess_count(segment, counter) == 0) {
        return false;
    }
    uint64_t deadline = excess_deadline(segment, counter, 0);
    if (deadline == UINT64_MAX) {
        return false;
    }
    *left_ms = (int64_t)(deadline - clock_boot());
    return true;
}

bool control_pin(struct control *control, uint32_t index, const char *name) {
    const struct segment *segment = &control->handle->segment;
    struct counter *counter = counter_at(segment, index);
    if (!counter) {
        return false;
    }
    /* seq_cst: pinned first; then whoever is about to retire it finds another word (retire.c) */
    atomic_store_explicit(&counter->pinned, 1, memory_order_seq_cst);
    if (slot_touch(segment, control->me, counter) == COUNT_RETIRED || !view_live(counter) ||
        counter_name(segment, index, control->name) < 0 || strcmp(control->name, name) != 0) {
        control_unpin(control, index);
        return false;
    }
    return true;
}

void control_unpin(struct control *control, uint32_t index) {
    struct counter *counter = counter_at(&control->handle->segment, index);
    if (counter) {
        atomic_store_explicit(&counter->pinned, 0, memory_order_release);
    }
}

/* Who waits for what, over all owners, not more often than is of use. */
static void count_waiting(struct control *control, uint64_t now) {
    const struct segment *segment = &control->handle->segment;
    if (control->round != 0 && now - control->counted < COUNT_EVERY_MS) {
        return;
    }
    control->round++;
    control->counted = now;
    for (uint32_t i = 1; i < segment->owner_count; i++) {
        uint32_t waiting = atomic_load_explicit(&segment->owners[i].waiting, memory_order_relaxed);
        if (waiting != NONE && waiting <= segment->counter_max) {
            struct sample *sample = &control->sample[waiting - 1];
            sample->waiting = sample->round == control->round ? sample->waiting + 1 : 1;
            sample->round = control->round;
        }
    }
}

/* in use + those who wait, or who tried and come back. One caller that tries again and again looks
 * like many: so refusals count for no more than what is in use and two, which still lets a host
 * that starts from nothing double its share with each round trip. */
static int32_t wants(struct control *control, uint32_t index, int32_t in_use) {
    const struct counter *counter = &control->handle->segment.counters[index];
    struct sample *sample = &control->sample[index];
    uint64_t now = clock_boot();
    uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_relaxed);
    uint64_t refusals = atomic_load_explicit(&counter->refusals, memory_order_relaxed) +
                        atomic_load_explicit(&counter->would_refuse, memory_order_relaxed);
    /* What would not be in use if it had been refused would be tried for again. */
    int32_t beyond = cap & CAP_OBSERVE && in_use > (int32_t)cap_share(cap)
                         ? in_use - (int32_t)cap_share(cap)
                         : 0;
    in_use -= beyond;
    uint32_t generation = atomic_load_explicit(&counter->generation, memory_order_relaxed);
    count_waiting(control, now);
    if (sample->generation != generation) {
        *sample = (struct sample){
            .generation = generation, .waiting = sample->waiting, .round = sample->round};
    }
    if (refusals != sample->refusals) {
        uint64_t growth = refusals > sample->refusals ? refusals - sample->refusals : 1;
        sample->recent = growth > COUNT_MAX ? COUNT_MAX : (uint32_t)growth;
        sample->refusals = refusals;
        sample->grown = now;
    } else if (now - sample->grown > RECENT_MS) {
        sample->recent = 0;
    }
    int32_t most = in_use + 2;
    int32_t tried = (int32_t)sample->recent < most ? (int32_t)sample->recent : most;
    int32_t waiting = sample->round == control->round ? (int32_t)sample->waiting : 0;
    int32_t more = waiting > tried ? waiting : tried;
    int32_t sum = in_use + (beyond > more ? beyond : more);
    return sum > CONF_LIMIT_MAX ? CONF_LIMIT_MAX : sum;
}

/* Above its share: somebody on another node may wait for each slot that is given back. */
static int32_t in_use_now(struct counter *counter, uint64_t cap) {
    int32_t in_use = view_in_use(counter);
    if (in_use > 0 && (uint32_t)in_use > cap_enforced_share(cap)) {
        wait_watch_drain(counter);
        in_use = view_in_use(counter);
    }
    return in_use;
}

int control_counter_read(struct control *control, uint32_t index, struct control_counter *out) {
    const struct segment *segment = &control->handle->segment;
    struct counter *counter = counter_at(segment, index);
    if (!counter || !view_live(counter)) {
        return SLOTSHARE_EINVAL;
    }
    int length = counter_name(segment, index, control->name);
    if (length < 0) {
        return SLOTSHARE_EINVAL;
    }
    struct counter_setup setup;
    limit_read(segment, counter, control->name, &setup);
    uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_acquire);
    int32_t in_use = in_use_now(counter, cap);
    *out = (struct control_counter){
        .index = index,
        .name = control->name,
        .hash = deal_hash(control->name, (size_t)length),
        .limit = setup.limit,
        .home = setup.home,
        .reserve = view_reserve(cap),
        .share = cap_share(cap) == CAP_UNLIMITED ? -1 : (int32_t)cap_share(cap),
        .record = atomic_load_explicit(&counter->record, memory_order_relaxed) != 0,
        .grant = atomic_load_explicit(&counter->grant, memory_order_relaxed),
        .in_use = in_use,
        .wants = wants(control, index, in_use)};
    return SLOTSHARE_OK;
}

int32_t control_share_set(struct control *control, uint32_t index, int32_t share, uint64_t grant) {
    const struct segment *segment = &control->handle->segment;
    struct counter *counter = counter_at(segment, index);
    if (!counter || !view_live(counter) || share < 0 || share > CONF_LIMIT_MAX) {
        return SLOTSHARE_EINVAL;
    }
    limit_settle(segment, index);
    uint64_t before = atomic_load_explicit(&counter->cap, memory_order_relaxed);
    uint64_t after = limit_under_pending(
        segment, index, cap_make((uint32_t)share, cap_reserve(before)) | (before & CAP_OBSERVE));
    /* record before cap, so that a successor applies the share again; release, and then the touch:
     * slot.h, rule 7; the grant last, so that it is never claimed before it is true */
    atomic_store_explicit(&counter->record, 1, memory_order_relaxed);
    atomic_store_explicit(&counter->cap, after, memory_order_release);
    uint32_t count = MUTANT(NO_TOUCH) ? word_count(atomic_load(&counter->word))
                                      : slot_touch(segment, control->me, counter);
    atomic_store_explicit(&counter->grant, grant, memory_order_release);
    excess_lowered(counter, before, after, count);
    if (cap_share(after) > cap_share(before)) {
        wait_wake_all(segment, counter);
    }
    return count == COUNT_RETIRED ? 0 : in_use_now(counter, after);
}

void control_record_drop(struct control *control, uint32_t index) {
    struct counter *counter = counter_at(&control->handle->segment, index);
    if (counter) {
        atomic_store_explicit(&counter->record, 0, memory_order_release);
        atomic_store_explicit(&counter->grant, 0, memory_order_relaxed);
    }
}

void control_cluster_in_use(struct control *control, uint32_t index, int32_t in_use) {
    struct counter *counter = counter_at(&control->handle->segment, index);
    if (counter) {
        atomic_store_explicit(&counter->cluster_in_use, in_use, memory_order_relaxed);
    }
}

void control_contended(struct control *control, uint32_t index, bool contended) {
    struct counter *counter = counter_at(&control->handle->segment, index);
    if (counter) {
        atomic_store_explicit(&counter->contended, contended, memory_order_relaxed);
    }
}

/* ---- walks ----------------------------------------------------------------------------------- */

typedef bool (*wanted_entry)(const struct segment *segment, uint32_t index);

static void walk(struct control *control, wanted_entry wanted, control_visitor visit, void *arg) {
    const struct segment *segment = &control->handle->segment;
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        struct control_counter counter;
        if (wanted(segment, i) && control_counter_read(control, i, &counter) == SLOTSHARE_OK &&
            visit(&counter, arg)) {
            return;
        }
    }
}

static bool has_record(const struct segment *segment, uint32_t index) {
    return atomic_load_explicit(&segment->counters[index].record, memory_order_relaxed) != 0;
}

static bool is_used(const struct segment *segment, uint32_t index) {
    return view_in_use(&segment->counters[index]) > 0;
}

static bool is_busy(const struct segment *segment, uint32_t index) {
    return is_used(segment, index) ||
           (atomic_load_explicit(&segment->counters[index].contended, memory_order_relaxed) &&
            view_live(&segment->counters[index]));
}

static bool is_unfit(const struct segment *segment, uint32_t index) {
    if (!view_live(&segment->counters[index]) || !is_used(segment, index)) {
        return false;
    }
    int32_t home = limit_pending_home(segment, index);
    return home >= 0 && view_in_use(&segment->counters[index]) > home;
}

static bool over_reserve(const struct segment *segment, uint32_t index) {
    const struct counter *counter = &segment->counters[index];
    uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_relaxed);
    int reserve = view_reserve(cap);
    return !(cap & CAP_OBSERVE) && reserve >= 0 && view_in_use(counter) > reserve;
}

void control_each_record(struct control *control, control_visitor visit, void *arg) {
    walk(control, has_record, visit, arg);
}

void control_each_over_reserve(struct control *control, control_visitor visit, void *arg) {
    walk(control, over_reserve, visit, arg);
}

void control_each_unfit(struct control *control, control_visitor visit, void *arg) {
    walk(control, is_unfit, visit, arg);
}

void control_each_busy(struct control *control, control_visitor visit, void *arg) {
    walk(control, is_busy, visit, arg);
}

static bool visit_word(struct control *control, uint32_t word, control_visitor visit, void *arg) {
    /* acquire: the refusals that were counted before the bit was set */
    uint64_t bits =
        atomic_exchange_explicit(&control->handle->segment.wanted[word], 0, memory_order_acq_rel);
    while (bits) {
        uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(bits);
        struct control_counter counter;
        bits &= bits - 1;
        if (control_counter_read(control, index, &counter) == SLOTSHARE_OK &&
            visit(&counter, arg)) {
            return true;
        }
    }
    return false;
}

void control_each_wanted(struct control *control, control_visitor visit, void *arg) {
    const struct segment *segment = &control->handle->segment;
    _Atomic uint64_t *summary = segment->wanted + segment->wanted_words;
    uint32_t summaries = (segment->wanted_words + 63) / 64;
    for (uint32_t i = 0; i < summaries; i++) {
        uint64_t bits = atomic_load_explicit(&summary[i], memory_order_relaxed)
                            ? atomic_exchange_explicit(&summary[i], 0, memory_order_acq_rel)
                            : 0;
        while (bits) {
            uint32_t word = i * 64 + (uint32_t)__builtin_ctzll(bits);
            bits &= bits - 1;
            if (word < segment->wanted_words && visit_word(control, word, visit, arg)) {
                return;
            }
        }
    }
}
