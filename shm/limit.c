/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include <string.h>

#include "excess.h"
#include "mutant.h"
#include "resolve.h"
#include "slot.h"
#include "view.h"

/* How one rule set deals a counter to this node. */
struct deal {
    struct deal_members members;
    int32_t limit, home, reserve;
    bool observed;
};

/* On a single host what an override allows beyond the file is lent, until its end, which is that
 * of the session there (changes.c): the reserve is what the file says; nothing where it has no such
 * stanza, because then connections are to be counted elsewhere. */
static int32_t own_for_good(const struct ruleset_match *match) {
    if (!match->overridden) {
        return match->limit;
    }
    if (match->line == 0) {
        return 0;
    }
    bool raised = match->base >= 0 && (match->limit < 0 || match->limit > match->base);
    return raised ? match->base : match->limit;
}

static int deal_counter(const struct segment *segment, const struct ruleset *rules,
                        const struct ruleset_match *match, struct deal *out) {
    out->limit = out->home = match->limit;
    out->reserve = own_for_good(match);
    out->members.count = 0;
    bool drained = ruleset_drained(rules);
    out->observed = match->observed && !drained; /* a drained node takes nothing at all, */
    /* relaxed: set before the segment could be seen */
    if (!atomic_load_explicit(&segment->header->clustered, memory_order_relaxed)) {
        if (drained) {
            out->home = out->reserve = 0;
        }
        return SLOTSHARE_OK;
    }
    uint64_t self;
    if (ruleset_members(rules, &out->members, &self) != SLOTSHARE_OK) {
        return SLOTSHARE_EDAMAGED;
    }
    out->observed = out->observed && self != 0; /* nor does one that holds no shares */
    out->home =
        deal_home(&out->members, self, deal_hash(match->counter, match->length), match->limit);
    out->reserve = deal_reserve(&out->members, self, match->limit);
    if (drained) {
        out->home = out->reserve = 0; /* of what is unlimited, too */
    }
    return SLOTSHARE_OK;
}

static bool same_deal(const struct deal *a, const struct deal *b) {
    return a->limit == b->limit && a->home == b->home && a->reserve == b->reserve &&
           a->observed == b->observed && a->members.count == b->members.count &&
           a->members.reserve_percent == b->members.reserve_percent &&
           memcmp(a->members.hash, b->members.hash, a->members.count * sizeof a->members.hash[0]) ==
               0;
}

int limit_setup(const struct segment *segment, const struct ruleset_match *match, uint64_t rules,
                struct counter_setup *setup) {
    struct deal now = {0};
    struct deal next = {0};
    struct ruleset_match later;
    *setup = (struct counter_setup){.limit = match->limit,
                                    .line = match->line,
                                    .until = match->overridden ? match->until : 0,
                                    .scope = match->scope,
                                    .rules = rules};
    /* seq_cst: an inserter reads it after its entry is in the table, see limit.h */
    setup->pending = atomic_load_explicit(&segment->header->pending, memory_order_seq_cst);
    struct ruleset set = segment_rules_at(segment, rules);
    if (deal_counter(segment, &set, match, &now) != SLOTSHARE_OK) {
        return SLOTSHARE_EDAMAGED;
    }
    setup->home = now.home;
    setup->reserve = now.reserve;
    setup->observed = now.observed;
    if (setup->pending) {
        struct ruleset pending = segment_rules_at(segment, setup->pending);
        /* A name that the pending set never makes will get no more takes; until then it is as it
         * was. */
        if (ruleset_counter(&pending, match->counter, &later) == SLOTSHARE_OK &&
            deal_counter(segment, &pending, &later, &next) == SLOTSHARE_OK) {
            setup->changes = !same_deal(&now, &next);
            setup->next_home = next.home;
            setup->next_reserve = next.reserve;
            setup->next_observed = next.observed;
        }
    }
    return SLOTSHARE_OK;
}

static uint32_t cap_number(int32_t value) {
    return value < 0 ? CAP_UNLIMITED : (uint32_t)value;
}

static uint32_t lower(uint32_t a, uint32_t b) {
    return a < b ? a : b; /* CAP_UNLIMITED is the largest */
}

/* The cap under the set in force is (share, reserve); no more than the pending one deals, which is
 * as much as anybody takes when that one only observes. Only when both observe nothing is refused:
 * a file that enforces acts at once, one that does so no longer when all have it. */
static uint64_t cap_under(const struct counter_setup *setup, uint32_t share, uint32_t reserve) {
    bool observed = setup->observed && (!setup->changes || setup->next_observed);
    if (setup->changes && !setup->next_observed) {
        share = lower(share, cap_number(setup->next_home));
        reserve = lower(reserve, cap_number(setup->next_reserve));
    }
    return cap_make(share, reserve) | (observed ? CAP_OBSERVE : 0);
}

uint64_t limit_cap(const struct counter_setup *setup) {
    return cap_under(setup, cap_number(setup->home), cap_number(setup->reserve));
}

void limit_read(const struct segment *segment, const struct counter *counter, const char *name,
                struct counter_setup *setup) {
    struct ruleset_match match;
    uint64_t rules;
    if (resolve_counter(segment, name, &match, &rules) == SLOTSHARE_OK &&
        limit_setup(segment, &match, rules, setup) == SLOTSHARE_OK) {
        return;
    }
    /* relaxed: each by itself */
    *setup = (struct counter_setup){
        .limit = atomic_load_explicit(&counter->limit, memory_order_relaxed),
        .home = atomic_load_explicit(&counter->home, memory_order_relaxed),
        .observed = (atomic_load_explicit(&counter->cap, memory_order_relaxed) & CAP_OBSERVE) != 0,
        .line = atomic_load_explicit(&counter->line, memory_order_relaxed),
        .scope = counter_scope(counter)};
}

/* The rule sets of this entry, by its name. @return false: it is no live counter now, or the set in
 * force never makes its name (an old counter, which drains). */
static bool setup_of(const struct segment *segment, uint32_t index, struct counter_setup *setup) {
    char name[SLOTSHARE_COUNTER_MAX + 1];
    struct ruleset_match match;
    uint64_t rules;
    return counter_name(segment, index, name) >= 0 &&
           resolve_counter(segment, name, &match, &rules) == SLOTSHARE_OK &&
           limit_setup(segment, &match, rules, setup) == SLOTSHARE_OK;
}

static bool still_in_force(const struct segment *segment, const struct counter_setup *setup) {
    /* with the fence in limit_publish(): who read bytes of a newer set sees that it is newer */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&segment->header->rules, memory_order_seq_cst) == setup->rules &&
           atomic_load_explicit(&segment->header->pending, memory_order_seq_cst) == setup->pending;
}

/* relaxed: for people and for the bridge, which is told by the cap's release */
static void describe(struct counter *counter, const struct counter_setup *setup) {
    uint32_t length = atomic_load_explicit(&counter->scope_length, memory_order_relaxed) & 0xffff;
    atomic_store_explicit(&counter->limit, setup->limit, memory_order_relaxed);
    atomic_store_explicit(&counter->home, setup->home, memory_order_relaxed);
    atomic_store_explicit(&counter->line, setup->line, memory_order_relaxed);
    atomic_store_explicit(&counter->rules, setup->rules, memory_order_relaxed);
    atomic_store_explicit(&counter->scope_length, (uint32_t)setup->scope << 16 | length,
                          memory_order_relaxed);
}

void limit_settle(const struct segment *segment, uint32_t index) {
    struct counter *counter = &segment->counters[index];
    struct counter_setup setup;
    do {
        if (!limit_unsettled(segment, index) || !setup_of(segment, index, &setup)) {
            return;
        }
    } while (!still_in_force(segment, &setup));
    uint64_t unset = CAP_UNSET;
    describe(counter, &setup);
    atomic_compare_exchange_strong_explicit(&counter->cap, &unset, limit_cap(&setup),
                                            memory_order_seq_cst, memory_order_relaxed);
}

/* ---- publishing and committing --------------------------------------------------------------- */

/* Store a cap, and if it lowers anything, or observes no longer, make takes notice it (slot.h, rule
 * 7). */
static void set_cap(const struct segment *segment, uint32_t me, struct counter *counter,
                    uint64_t cap) {
    uint64_t before = atomic_exchange_explicit(&counter->cap, cap, memory_order_seq_cst);
    if (cap_share(cap) < cap_share(before) || cap_reserve(cap) < cap_reserve(before) ||
        (before & ~cap & CAP_OBSERVE)) {
        excess_lowered(counter, before, cap, slot_touch(segment, me, counter));
    }
}

static void lower_caps(const struct segment *segment, uint32_t me) {
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        struct counter *counter = &segment->counters[i];
        struct counter_setup setup;
        if (!view_live(counter) || !setup_of(segment, i, &setup)) {
            continue;
        }
        limit_settle(segment, i);
        uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_acquire);
        if (setup.changes && cap != CAP_UNSET) {
            set_cap(segment, me, counter, cap_under(&setup, cap_share(cap), cap_reserve(cap)));
        }
    }
}

int limit_publish(const struct segment *segment, uint32_t me, const void *rules, size_t size) {
    struct header *header = segment->header;
    if (atomic_load_explicit(&header->pending, memory_order_acquire)) {
        return SLOTSHARE_EBUSY;
    }
    if (size > segment->rules_bytes) {
        return SLOTSHARE_ECONFIG;
    }
    /* A set that was withdrawn has had a generation of the same parity, and nobody may take one for
     * the other. */
    uint64_t next = atomic_load_explicit(&header->rules, memory_order_relaxed) + 1;
    uint64_t published = atomic_load_explicit(&header->published, memory_order_relaxed);
    while (next <= published) {
        next += 2;
    }
    atomic_store_explicit(&header->published, next, memory_order_relaxed);
    /* release: whoever reads the bytes that follow sees that nothing older is pending (pairs with
     * the fence in still_in_force()) */
    atomic_thread_fence(memory_order_release);
    /* A reader of the set before the last may still be at these bytes; it notices at its end that
     * the generation has moved (resolve.c). */
    memcpy(segment->rules[next & 1], rules, size);
    atomic_store_explicit(&header->rules_used[next & 1], (uint32_t)size, memory_order_relaxed);
    atomic_store_explicit(&header->pending, next, memory_order_seq_cst);
    lower_caps(segment, me);
    return SLOTSHARE_OK;
}

void limit_refresh(const struct segment *segment, uint32_t me) {
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        struct counter *counter = &segment->counters[i];
        struct counter_setup setup;
        if (!view_live(counter) || !setup_of(segment, i, &setup)) {
            continue;
        }
        limit_settle(segment, i);
        uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_relaxed);
        if (atomic_load_explicit(&counter->record, memory_order_relaxed) == 0) {
            set_cap(segment, me, counter, limit_cap(&setup));
        } else if (cap != CAP_UNSET) { /* what was to refuse may only observe again */
            set_cap(segment, me, counter, cap_under(&setup, cap_share(cap), cap_reserve(cap)));
        }
    }
}

void limit_withdraw(const struct segment *segment) {
    /* seq_cst: as where it is set */
    atomic_store_explicit(&segment->header->pending, 0, memory_order_seq_cst);
}

uint64_t limit_under_pending(const struct segment *segment, uint32_t index, uint64_t cap) {
    struct counter_setup setup;
    if (!atomic_load_explicit(&segment->header->pending, memory_order_acquire) ||
        !setup_of(segment, index, &setup)) {
        return cap;
    }
    return cap_under(&setup, cap_share(cap), cap_reserve(cap));
}

int32_t limit_pending_home(const struct segment *segment, uint32_t index) {
    struct counter_setup setup;
    return setup_of(segment, index, &setup) && setup.changes && !setup.next_observed
               ? setup.next_home
               : -1;
}

bool limit_fits(const struct segment *segment) {
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        struct counter *counter = &segment->counters[i];
        if (!view_live(counter) || view_in_use(counter) == 0) {
            continue;
        }
        int32_t home = limit_pending_home(segment, i);
        if (home >= 0 && view_in_use(counter) > home) {
            return false;
        }
    }
    return true;
}

/* Did the set before this one deal the counter alike? */
static bool dealt_alike(const struct segment *segment, const struct counter_setup *setup,
                        const char *name) {
    struct ruleset old = segment_rules_at(segment, setup->rules - 1);
    struct ruleset new = segment_rules_at(segment, setup->rules);
    struct ruleset_match match;
    struct deal before = {0};
    struct deal now = {0};
    return ruleset_counter(&old, name, &match) == SLOTSHARE_OK &&
           deal_counter(segment, &old, &match, &before) == SLOTSHARE_OK &&
           ruleset_counter(&new, name, &match) == SLOTSHARE_OK &&
           deal_counter(segment, &new, &match, &now) == SLOTSHARE_OK && same_deal(&before, &now);
}

static void start_anew(const struct segment *segment, uint32_t me, uint32_t index) {
    struct counter *counter = &segment->counters[index];
    struct counter_setup setup;
    char name[SLOTSHARE_COUNTER_MAX + 1];
    if (counter_name(segment, index, name) < 0 || !setup_of(segment, index, &setup)) {
        return;
    }
    limit_settle(segment, index);
    if (!dealt_alike(segment, &setup, name)) {
        atomic_store_explicit(&counter->record, 0, memory_order_relaxed);
        atomic_store_explicit(&counter->grant, 0, memory_order_relaxed);
        setup.changes = false; /* what is pending is what is in force */
        set_cap(segment, me, counter, limit_cap(&setup));
    }
    describe(counter, &setup); /* last: says that this one is done */
}

void limit_commit(const struct segment *segment, uint32_t me) {
    struct header *header = segment->header;
    uint64_t next = atomic_load_explicit(&header->pending, memory_order_acquire);
    if (next == 0) {
        return;
    }
    /* This store is the commitment: a successor that finds both the same goes on from here. */
    atomic_store_explicit(&header->rules, next, memory_order_seq_cst);
    if (!atomic_load_explicit(&header->closed, memory_order_relaxed)) {
        atomic_store_explicit(&header->gate, next, memory_order_release);
    }
    if (MUTANT(COMMIT_SHORT)) {
        atomic_store(&header->pending, 0);
    }
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        struct counter *counter = &segment->counters[i];
        if (view_live(counter) &&
            atomic_load_explicit(&counter->rules, memory_order_relaxed) != next) {
            start_anew(segment, me, i);
        }
    }
    atomic_store_explicit(&header->pending, 0, memory_order_seq_cst);
}

struct ruleset limit_pending(const struct segment *segment) {
    uint64_t pending = atomic_load_explicit(&segment->header->pending, memory_order_acquire);
    return pending ? segment_rules_at(segment, pending) : (struct ruleset){.base = NULL, .size = 0};
}

bool limit_drained(const struct segment *segment) {
    uint64_t generation;
    struct ruleset now = segment_rules(segment, &generation);
    struct ruleset next = limit_pending(segment);
    return ruleset_drained(&now) || (next.size > 0 && ruleset_drained(&next));
}
