/* SPDX-License-Identifier: MIT */
#include "counter.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "entry.h"
#include "limit.h"
#include "mutant.h"
#include "slot.h"

/* A name as the words that the table stores. */
struct words {
    uint32_t word[NAME_INLINE + NAME_PART * NAME_PARTS_MAX];
    uint32_t count, length;
    uint64_t hash;
};

static void words_from(const struct segment *segment, const char *name, size_t length,
                       struct words *out) {
    out->length = (uint32_t)length;
    out->count = (uint32_t)((length + 3) / 4);
    out->word[out->count ? out->count - 1 : 0] = 0;
    memcpy(out->word, name, length);
    out->hash = XXH3_64bits_withSecret(name, length, segment->header->secret,
                                       sizeof segment->header->secret);
}

static _Atomic uint64_t *bucket_of(const struct segment *segment, uint64_t hash) {
    return &segment->buckets[hash & (segment->bucket_count - 1)];
}

/* relaxed: names are read between two reads of the generation, see generation_is() */
static bool words_equal(const _Atomic uint32_t *stored, const uint32_t *wanted, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (atomic_load_explicit(&stored[i], memory_order_relaxed) != wanted[i]) {
            return false;
        }
    }
    return true;
}

static bool name_equal(const struct segment *segment, const struct counter *counter,
                       const struct words *name) {
    uint32_t done = name->count < NAME_INLINE ? name->count : NAME_INLINE;
    if (!words_equal(counter->name, name->word, done)) {
        return false;
    }
    uint32_t next = atomic_load_explicit(&counter->part, memory_order_relaxed);
    while (done < name->count) {
        const struct counter_part *part = entry_part(segment, next);
        uint32_t count = name->count - done < NAME_PART ? name->count - done : NAME_PART;
        if (!part || !words_equal(part->name, name->word + done, count)) {
            return false;
        }
        done += count;
        next = atomic_load_explicit(&part->next, memory_order_relaxed);
    }
    return true;
}

/* The second read of a sequence lock: the fence keeps the reads of the name before it. */
static bool generation_is(const struct counter *counter, uint32_t generation) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&counter->generation, memory_order_relaxed) == generation;
}

static bool matches(const struct segment *segment, const struct counter *counter,
                    const struct words *name, uint32_t *generation) {
    *generation = atomic_load_explicit(&counter->generation, memory_order_acquire);
    return atomic_load_explicit(&counter->hash, memory_order_relaxed) == name->hash &&
           (atomic_load_explicit(&counter->scope_length, memory_order_relaxed) & 0xffff) ==
               name->length &&
           name_equal(segment, counter, name) && generation_is(counter, *generation);
}

/* It is on its way out of the table, for good: somebody else's entry of the same name may be in it
 * already. acquire: whoever finds a word that was reset for the next name sees the chain as it was
 * after the entry had left it. */
static bool is_retired(const struct counter *counter) {
    return word_count(atomic_load_explicit(&counter->word, memory_order_acquire)) == COUNT_RETIRED;
}

/* Walk a chain once. @return SLOTSHARE_OK: found; SLOTSHARE_FULL: not in this chain, whose head was
 * *head all the time; SLOTSHARE_ESTALE: the chain changed, walk again; SLOTSHARE_EDAMAGED. */
static int walk(const struct segment *segment, const struct words *name, uint64_t *head,
                uint32_t *index, uint32_t *generation) {
    _Atomic uint64_t *bucket = bucket_of(segment, name->hash);
    *head = atomic_load_explicit(bucket, memory_order_acquire);
    uint32_t next = bucket_first(*head);
    for (uint32_t steps = 0; next != NONE; steps++) {
        struct counter *counter = counter_at(segment, next - 1);
        if (!counter || steps > counter_count(segment)) {
            /* An index out of range or a circle: damage, unless the chain changed meanwhile. */
            return atomic_load_explicit(bucket, memory_order_acquire) == *head ? SLOTSHARE_EDAMAGED
                                                                               : SLOTSHARE_ESTALE;
        }
        if (matches(segment, counter, name, generation) && !is_retired(counter)) {
            *index = next - 1;
            if (*generation % 2 == 0) {
                return SLOTSHARE_OK;
            }
            /* Linked, but its inserter has not said so yet: if the chain is still the same it is
             * really in the table, and anyone may say so. */
            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(bucket, memory_order_acquire) != *head) {
                return SLOTSHARE_ESTALE;
            }
            if (segment->read_only) {
                *generation += 1; /* as it will be; whoever may write says so */
            } else {
                entry_publish(counter, generation);
            }
            return SLOTSHARE_OK;
        }
        next = atomic_load_explicit(&counter->next, memory_order_acquire);
    }
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(bucket, memory_order_acquire) == *head ? SLOTSHARE_FULL
                                                                       : SLOTSHARE_ESTALE;
}

static int find_words(const struct segment *segment, const struct words *name, uint64_t *head,
                      uint32_t *index, uint32_t *generation) {
    int result;
    do {
        result = walk(segment, name, head, index, generation);
    } while (result == SLOTSHARE_ESTALE); /* somebody else made progress: lock-free */
    return result;
}

int counter_find(const struct segment *segment, const char *name, size_t length, uint32_t *index,
                 uint32_t *generation) {
    struct words words;
    uint64_t head;
    words_from(segment, name, length, &words);
    return find_words(segment, &words, &head, index, generation);
}

static void store_words(_Atomic uint32_t *to, const uint32_t *from, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        atomic_store_explicit(&to[i], from[i], memory_order_relaxed);
    }
}

/* relaxed throughout: published by the compare-and-swap on the bucket (release) */
static void fill(struct counter *counter, const struct words *name,
                 const struct counter_setup *setup) {
    atomic_store_explicit(&counter->cap, MUTANT(CAP_EARLY) ? limit_cap(setup) : CAP_UNSET,
                          memory_order_relaxed);
    atomic_store_explicit(&counter->wait, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->yield, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->takes, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->refusals, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->would_refuse, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->peak, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->swept, UINT32_MAX, memory_order_relaxed);
    atomic_store_explicit(&counter->hash, name->hash, memory_order_relaxed);
    atomic_store_explicit(&counter->rules, setup->rules, memory_order_relaxed);
    atomic_store_explicit(&counter->grant, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->record, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->limit, setup->limit, memory_order_relaxed);
    atomic_store_explicit(&counter->home, setup->home, memory_order_relaxed);
    atomic_store_explicit(&counter->line, setup->line, memory_order_relaxed);
    atomic_store_explicit(&counter->scope_length, (uint32_t)setup->scope << 16 | name->length,
                          memory_order_relaxed);
    atomic_store_explicit(&counter->cluster_in_use, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->contended, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->pinned, 0, memory_order_relaxed);
    store_words(counter->name, name->word, name->count < NAME_INLINE ? name->count : NAME_INLINE);
}

/* Claim an entry and as many parts as the name needs. @return SLOTSHARE_OK, SLOTSHARE_ECOUNTERS. */
static int build(const struct segment *segment, uint32_t me, const struct words *name,
                 const struct counter_setup *setup, uint32_t *out) {
    uint32_t index = entry_claim(segment, me, 0);
    if (index == UINT32_MAX) {
        return SLOTSHARE_ECOUNTERS;
    }
    struct counter *counter = &segment->counters[index];
    entry_reset(segment, me, counter);
    fill(counter, name, setup);
    uint32_t generation = atomic_load_explicit(&counter->generation, memory_order_relaxed);
    _Atomic uint32_t *link = &counter->part;
    uint32_t number = 1;
    for (uint32_t done = NAME_INLINE; done < name->count; done += NAME_PART) {
        uint32_t part_index = entry_claim(segment, me, number++);
        if (part_index == UINT32_MAX) {
            atomic_store_explicit(link, NONE, memory_order_relaxed);
            entry_abandon(segment, me);
            return SLOTSHARE_ECOUNTERS;
        }
        struct counter_part *part = entry_part(segment, part_index + 1);
        uint32_t count = name->count - done < NAME_PART ? name->count - done : NAME_PART;
        store_words(part->name, name->word + done, count);
        atomic_store_explicit(&segment->counters[part_index].cap,
                              (uint64_t)generation << 32 | (index + 1), memory_order_relaxed);
        atomic_store_explicit(link, part_index + 1, memory_order_relaxed);
        link = &part->next;
    }
    atomic_store_explicit(link, NONE, memory_order_relaxed);
    *out = index;
    return SLOTSHARE_OK;
}

int counter_insert(const struct segment *segment, uint32_t me, const char *name, size_t length,
                   const struct counter_setup *setup, uint32_t *index, uint32_t *generation) {
    struct words words;
    uint64_t head;
    words_from(segment, name, length, &words);
    int result = find_words(segment, &words, &head, index, generation);
    if (result != SLOTSHARE_FULL) {
        return result;
    }
    uint32_t mine;
    result = build(segment, me, &words, setup, &mine);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    struct counter *counter = &segment->counters[mine];
    /* Before it can be found: whoever finds it may say that it is in the table, and to say so once
     * more from the number that is then read would take it back. */
    uint32_t odd = atomic_load_explicit(&counter->generation, memory_order_relaxed);
    for (;;) {
        result = find_words(segment, &words, &head, index, generation);
        if (result != SLOTSHARE_FULL) { /* somebody else was faster */
            entry_abandon(segment, me);
            return result;
        }
        atomic_store_explicit(&counter->next, bucket_first(head), memory_order_relaxed);
        /* release: whoever walks the chain sees the whole entry */
        if (atomic_compare_exchange_strong_explicit(bucket_of(segment, words.hash), &head,
                                                    bucket_make(bucket_version(head) + 1, mine + 1),
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            break;
        }
    }
    *index = mine;
    *generation = MUTANT(PUBLISHED_TWICE) ? atomic_load(&counter->generation) : odd;
    entry_publish(counter, generation);
    entry_finish(segment, me);
    return SLOTSHARE_OK;
}

static void copy_words(const _Atomic uint32_t *from, uint32_t count, char *out) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = atomic_load_explicit(&from[i], memory_order_relaxed);
        memcpy(out + 4 * (size_t)i, &word, 4);
    }
}

int counter_name(const struct segment *segment, uint32_t index, char *out) {
    const struct counter *counter = counter_at(segment, index);
    if (!counter) {
        return -1;
    }
    uint32_t generation = atomic_load_explicit(&counter->generation, memory_order_acquire);
    uint32_t length = atomic_load_explicit(&counter->scope_length, memory_order_relaxed) & 0xffff;
    if (generation % 2 != 0 || length == 0 || length > SLOTSHARE_COUNTER_MAX) {
        return -1;
    }
    uint32_t words[NAME_INLINE + NAME_PART * NAME_PARTS_MAX];
    uint32_t count = (length + 3) / 4;
    uint32_t done = count < NAME_INLINE ? count : NAME_INLINE;
    copy_words(counter->name, done, (char *)words);
    uint32_t next = atomic_load_explicit(&counter->part, memory_order_relaxed);
    while (done < count) {
        const struct counter_part *part = entry_part(segment, next);
        if (!part) {
            return -1;
        }
        uint32_t more = count - done < NAME_PART ? count - done : NAME_PART;
        copy_words(part->name, more, (char *)(words + done));
        done += more;
        next = atomic_load_explicit(&part->next, memory_order_relaxed);
    }
    memcpy(out, words, length);
    out[length] = '\0';
    return generation_is(counter, generation) && strlen(out) == length ? (int)length : -1;
}

/* Where in its chain is this entry? @return 1 found, *previous is the link to it or NULL for the
 * head; 0 not in the chain; -1 the chain changed or is damaged. */
static int locate(const struct segment *segment, uint32_t index, uint64_t *head,
                  _Atomic uint32_t **previous) {
    uint64_t hash = atomic_load_explicit(&segment->counters[index].hash, memory_order_relaxed);
    _Atomic uint64_t *bucket = bucket_of(segment, hash);
    *head = atomic_load_explicit(bucket, memory_order_acquire);
    *previous = NULL;
    uint32_t next = bucket_first(*head);
    for (uint32_t steps = 0; next != NONE && steps <= counter_count(segment); steps++) {
        if (next - 1 == index) {
            return 1;
        }
        struct counter *counter = counter_at(segment, next - 1);
        if (!counter) {
            return -1;
        }
        *previous = &counter->next;
        next = atomic_load_explicit(&counter->next, memory_order_acquire);
    }
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(bucket, memory_order_acquire) == *head ? 0 : -1;
}

bool counter_unlink(const struct segment *segment, uint32_t index) {
    uint64_t hash = atomic_load_explicit(&segment->counters[index].hash, memory_order_relaxed);
    _Atomic uint64_t *bucket = bucket_of(segment, hash);
    for (uint32_t tries = 0; tries < 1000000; tries++) {
        uint64_t head;
        _Atomic uint32_t *previous;
        int found = locate(segment, index, &head, &previous);
        if (found < 0) {
            continue;
        }
        uint32_t first = bucket_first(head);
        if (found) {
            uint32_t next =
                atomic_load_explicit(&segment->counters[index].next, memory_order_relaxed);
            if (previous) {
                atomic_store_explicit(previous, next, memory_order_release);
            } else {
                first = next;
            }
        }
        /* Always raise the version, also when a predecessor died after it had unlinked the entry:
         * walks that passed it must notice. */
        if (atomic_compare_exchange_strong_explicit(bucket, &head,
                                                    bucket_make(bucket_version(head) + 1, first),
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            return true;
        }
    }
    return false; /* a circle: damaged */
}

void counter_free_parts(const struct segment *segment, uint32_t index) {
    struct counter *counter = &segment->counters[index];
    uint32_t generation = atomic_load_explicit(&counter->generation, memory_order_relaxed);
    /* The parts were made under the odd generation before the even one that has just ended. */
    uint64_t parent = (uint64_t)(generation - 2) << 32 | (index + 1);
    uint32_t parts[NAME_PARTS_MAX];
    uint32_t count = 0;
    uint32_t next = atomic_load_explicit(&counter->part, memory_order_relaxed);
    while (count < NAME_PARTS_MAX && next != NONE) {
        const struct counter *part = counter_at(segment, next - 1);
        if (!part || atomic_load_explicit(&part->cap, memory_order_relaxed) != parent) {
            break; /* freed by a predecessor who died, and another's by now */
        }
        parts[count++] = next;
        next = atomic_load_explicit(&entry_part(segment, next)->next, memory_order_relaxed);
    }
    while (count-- > 0) { /* the last one first: the links to it stay until it is free */
        uint32_t use = use_make(0, ENTRY_PART);
        if (atomic_compare_exchange_strong_explicit(&segment->counters[parts[count] - 1].use, &use,
                                                    use_make(0, ENTRY_FREE), memory_order_acq_rel,
                                                    memory_order_relaxed)) {
            atomic_fetch_sub_explicit(&segment->header->counters_used, 1, memory_order_relaxed);
        }
    }
}

void counter_recover(const struct segment *segment, uint32_t victim) {
    struct owner *owner = &segment->owners[victim];
    uint32_t claim = atomic_load_explicit(&owner->claims[0], memory_order_acquire);
    struct counter *counter = claim == NONE ? NULL : counter_at(segment, claim - 1);
    if (!counter) {
        return;
    }
    uint32_t mine = use_make(victim, ENTRY_CLAIMED);
    if (atomic_load_explicit(&counter->use, memory_order_acquire) == mine) {
        uint64_t head;
        _Atomic uint32_t *previous;
        int found;
        uint32_t tries = 0;
        do {
            found = locate(segment, claim - 1, &head, &previous);
        } while (found < 0 && tries++ < 1000000);
        if (found > 0 && !MUTANT(FREE_LINKED)) {
            uint32_t generation = atomic_load_explicit(&counter->generation, memory_order_relaxed);
            if (generation % 2 != 0) {
                entry_publish(counter, &generation);
            }
            entry_finish(segment, victim);
            entry_recount(segment);
            return;
        }
    }
    entry_abandon(segment, victim);
    entry_recount(segment);
}

void counter_want(const struct segment *segment, uint32_t index) {
    _Atomic uint64_t *word = &segment->wanted[index / 64];
    _Atomic uint64_t *summary = &segment->wanted[segment->wanted_words + index / 4096];
    uint64_t bit = UINT64_C(1) << (index % 64);
    uint64_t summary_bit = UINT64_C(1) << (index / 64 % 64);
    /* Both are looked at each time: a process may have died after it had set the first. */
    if (!(atomic_load_explicit(word, memory_order_relaxed) & bit)) {
        atomic_fetch_or_explicit(word, bit, memory_order_release);
    }
    if (!(atomic_load_explicit(summary, memory_order_relaxed) & summary_bit)) {
        atomic_fetch_or_explicit(summary, summary_bit, memory_order_release);
    }
}
