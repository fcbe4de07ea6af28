/* SPDX-License-Identifier: MIT */
#include "view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../conf/ruleset.h"

bool view_live(const struct counter *counter) {
    uint32_t use = atomic_load_explicit(&counter->use, memory_order_acquire);
    uint32_t generation = atomic_load_explicit(&counter->generation, memory_order_acquire);
    /* CLAIMED with an even generation: in the table, its inserter has yet to say so */
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_relaxed);
    return generation % 2 == 0 && generation != 0 && word_count(word) != COUNT_RETIRED &&
           (use_kind(use) == ENTRY_LIVE || use_kind(use) == ENTRY_CLAIMED);
}

bool view_session(const struct segment *segment) {
    uint64_t end = atomic_load_explicit(&segment->header->session_end, memory_order_acquire);
    return end == UINT64_MAX || clock_boot() < end;
}

int view_share(const struct segment *segment, uint64_t cap) {
    uint32_t share = view_session(segment) ? cap_share(cap) : cap_reserve(cap);
    return share == CAP_UNLIMITED ? SLOTSHARE_UNLIMITED : (int)share;
}

int view_reserve(uint64_t cap) {
    return cap_reserve(cap) == CAP_UNLIMITED ? SLOTSHARE_UNLIMITED : (int)cap_reserve(cap);
}

int view_in_use(const struct counter *counter) {
    uint32_t count = word_count(atomic_load_explicit(&counter->word, memory_order_acquire));
    return count == COUNT_RETIRED ? 0 : (int)count;
}

int64_t view_waits_ms(const struct owner *owner) {
    uint64_t since = atomic_load_explicit(&owner->waits_since, memory_order_relaxed);
    uint64_t now = clock_boot();
    return since != 0 && now > since ? (int64_t)(now - since) : 0;
}

int view_waiting(const struct segment *segment, uint32_t index, int64_t *longest_ms) {
    int waiting = 0;
    *longest_ms = -1;
    /* relaxed, here and below: for people, and for guesses */
    if (atomic_load_explicit(&segment->counters[index].wait, memory_order_relaxed) == 0) {
        return 0;
    }
    for (uint32_t i = 1; i < segment->owner_count; i++) {
        const struct owner *owner = &segment->owners[i];
        if (atomic_load_explicit(&owner->waiting, memory_order_relaxed) == index + 1) {
            int64_t waits = view_waits_ms(owner);
            *longest_ms = waits > *longest_ms ? waits : *longest_ms;
            waiting++;
        }
    }
    return waiting;
}

/* "override until ...; " @return its length. */
static size_t say_override(uint64_t until, uint32_t line, char *out, size_t size) {
    time_t end = (time_t)until;
    struct tm utc;
    char text[32];
    if (gmtime_r(&end, &utc) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        (void)snprintf(text, sizeof text, "?");
    }
    int length = snprintf(out, size, "override until %s%s", text, line ? ", then " : ", then none");
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

void view_source(const struct segment *segment, uint32_t line, uint64_t until, char *out,
                 size_t size) {
    size_t used = until ? say_override(until, line, out, size) : 0;
    out[used] = '\0';
    if (line) {
        uint64_t generation;
        struct ruleset rules = segment_rules(segment, &generation);
        /* Bounded: a reload may overwrite the text while it is read. Of a long path the end says
         * more than the beginning. */
        size_t shown = until ? 160 : 200;
        const char *file = ruleset_file(&rules);
        size_t length = strnlen(file, 4096);
        const char *cut = length > shown ? "..." : "";
        (void)snprintf(out + used, size - used, "%s%.*s:%u", cut, (int)shown,
                       length > shown ? file + length - shown : file, line);
    }
}
