/* SPDX-License-Identifier: MIT */
/* What monitors see. Reads only; each index that comes from the segment is checked. */
#include <slotshare/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "counter.h"
#include "entry.h"
#include "excess.h"
#include "handle.h"
#include "limit.h"
#include "lock.h"
#include "view.h"

/* relaxed loads throughout: each value by itself, for people */
#define READ(place) atomic_load_explicit(&(place), memory_order_relaxed)

/* Bounded on the reading side, too: a reload may overwrite the text while it is read. */
static void copy_text(char *to, size_t size, const char *from) {
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

static uint64_t age(uint64_t now, uint64_t then) {
    return then != 0 && now > then ? now - then : 0;
}

static uint32_t leader_of(const struct segment *segment, uint32_t owner) {
    return owner_leader(READ(segment->owners[owner].state));
}

/* Slots held, all of them or those of one leader. */
static uint32_t count_held(const struct segment *segment, uint64_t leader_state) {
    uint32_t held = 0;
    for (uint32_t chunk = 0; chunk < segment->chunk_count; chunk++) {
        uint64_t state = READ(segment->chunks[chunk]);
        if (state == 0 || (leader_state && state != leader_state)) {
            continue;
        }
        for (uint32_t i = 0; i < SLOTS_PER_CHUNK; i++) {
            held += slot_state(READ(segment->slots[chunk * SLOTS_PER_CHUNK + i].word)) != SLOT_FREE;
        }
    }
    return held;
}

static uint32_t count_owners(const struct segment *segment) {
    uint32_t used = 0;
    for (uint32_t i = 1; i < segment->owner_count; i++) {
        used += owner_kind(READ(segment->owners[i].state)) != OWNER_FREE;
    }
    return used;
}

static int probe_fd(const struct segment *segment) {
    /* Asking who has a lock needs no right to take one. */
    return open(segment->lock_path, O_RDONLY | O_CLOEXEC);
}

static bool probe_alive(int fd, uint32_t byte) {
    return fd < 0 || lock_probe(fd, byte, 1) != 0; /* cannot ask: assume the best */
}

static void cluster_stat(const struct segment *segment, const struct ruleset *rules,
                         struct slotshare_segment_stat *out) {
    copy_text(out->node, sizeof out->node, ruleset_node(rules));
    int fd = probe_fd(segment);
    out->bridge_alive = fd >= 0 && lock_probe(fd, LOCK_BRIDGE, 1) == 1;
    if (fd >= 0) {
        close(fd);
    }
    uint64_t end = READ(segment->header->session_end);
    uint64_t now = clock_boot();
    out->session = !READ(segment->header->clustered) || view_session(segment);
    out->session_left_ms = !READ(segment->header->clustered) || end == UINT64_MAX || end == 0
                               ? 0
                               : (int64_t)end - (int64_t)now;
    out->drained = limit_drained(segment);
    int coordinator = READ(segment->header->coordinator);
    if (coordinator >= 0) {
        copy_text(out->coordinator, sizeof out->coordinator,
                  ruleset_member_name(rules, (uint32_t)coordinator));
    }
}

int slotshare_stat_segment(slotshare *handle, struct slotshare_segment_stat *out) {
    if (!handle || !out) {
        return SLOTSHARE_EINVAL;
    }
    const struct segment *segment = &handle->segment;
    const struct header *header = segment->header;
    *out = (struct slotshare_segment_stat){.layout = LAYOUT_VERSION,
                                           .incarnation = header->incarnation,
                                           .age_ms = age(clock_boot(), header->created),
                                           .counters_used = entry_count(segment),
                                           .counters_room = counter_count(segment),
                                           .counters_max = segment->counter_max,
                                           .owners_used = count_owners(segment),
                                           .owners_max = segment->owner_count - 1,
                                           .slots_used = count_held(segment, 0),
                                           .slots_max = segment->slot_count,
                                           .reaps = READ(header->reaps),
                                           .slots_reaped = READ(header->slots_reaped),
                                           .clustered = READ(header->clustered) != 0};
    memcpy(out->name, segment->name, sizeof out->name);
    memcpy(out->path, segment->path, sizeof out->path);
    struct ruleset rules = segment_rules(segment, &out->rules);
    cluster_stat(segment, &rules, out);
    return READ(header->closed) || !segment_still_there(segment) ? SLOTSHARE_EGONE : SLOTSHARE_OK;
}

static bool fill_counter(const struct segment *segment, uint32_t index,
                         struct slotshare_counter_stat *out) {
    const struct counter *counter = &segment->counters[index];
    *out = (struct slotshare_counter_stat){.index = index};
    if (!view_live(counter) || counter_name(segment, index, out->name) < 0) {
        return false;
    }
    struct counter_setup setup;
    limit_read(segment, counter, out->name, &setup);
    uint64_t cap = READ(counter->cap);
    out->scope = setup.scope;
    view_source(segment, setup.line, setup.until, out->source, sizeof out->source);
    out->limit = setup.limit < 0 ? SLOTSHARE_UNLIMITED : setup.limit;
    out->share = view_share(segment, cap);
    out->reserve = view_reserve(cap);
    out->in_use = view_in_use(counter);
    out->peak = (int)(READ(counter->peak) & 0xfffff);
    int cluster = READ(counter->cluster_in_use);
    out->cluster_in_use = cluster > out->in_use ? cluster : out->in_use;
    out->contended = READ(counter->contended) != 0;
    out->takes = READ(counter->takes);
    out->refusals = READ(counter->refusals);
    out->observed = cap != CAP_UNSET && (cap & CAP_OBSERVE) != 0;
    out->would_refuse = READ(counter->would_refuse);
    out->excess = (int)excess_count(segment, counter);
    uint64_t deadline = out->excess ? excess_deadline(segment, counter, 0) : UINT64_MAX;
    out->excess_left_ms = deadline == UINT64_MAX ? 0 : (int64_t)(deadline - clock_boot());
    return true;
}

int slotshare_stat_counters(slotshare *handle, slotshare_counter_visitor visit, void *arg) {
    if (!handle || !visit) {
        return SLOTSHARE_EINVAL;
    }
    const struct segment *segment = &handle->segment;
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        struct slotshare_counter_stat counter;
        /* first a cheap look: most entries of a large table are free */
        if (use_kind(READ(segment->counters[i].use)) == ENTRY_FREE ||
            !fill_counter(segment, i, &counter)) {
            continue;
        }
        counter.waiting = view_waiting(segment, i, &counter.longest_wait_ms);
        if (visit(&counter, arg)) {
            break;
        }
    }
    return SLOTSHARE_OK;
}

static void fill_owner(const struct segment *segment, uint32_t index, uint64_t state, int fd,
                       struct slotshare_owner_stat *out) {
    const struct owner *owner = &segment->owners[index];
    uint32_t leader = owner_leader(state);
    *out = (struct slotshare_owner_stat){.index = index,
                                         .leader = leader,
                                         .pid = (int32_t)READ(owner->pid),
                                         .alive = probe_alive(fd, LOCK_OWNERS + leader),
                                         .bridge = owner_kind(state) == OWNER_BRIDGE,
                                         .age_ms = age(clock_boot(), READ(owner->attached))};
    out->held = leader == index ? count_held(segment, state) : 0;
    uint32_t waiting = READ(owner->waiting);
    out->waiting = waiting != NONE;
    out->waiting_on = waiting != NONE ? waiting - 1 : 0;
    out->waiting_ms = waiting != NONE ? view_waits_ms(owner) : -1;
    uint64_t words[2] = {READ(owner->command[0]), READ(owner->command[1])};
    memcpy(out->command, words, sizeof out->command);
    out->command[sizeof out->command - 1] = '\0';
}

int slotshare_stat_owners(slotshare *handle, slotshare_owner_visitor visit, void *arg) {
    if (!handle || !visit) {
        return SLOTSHARE_EINVAL;
    }
    const struct segment *segment = &handle->segment;
    int fd = probe_fd(segment);
    for (uint32_t i = 1; i < segment->owner_count; i++) {
        uint64_t state = READ(segment->owners[i].state);
        if (owner_kind(state) == OWNER_FREE) {
            continue;
        }
        struct slotshare_owner_stat owner;
        fill_owner(segment, i, state, fd, &owner);
        if (visit(&owner, arg)) {
            break;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return SLOTSHARE_OK;
}

int slotshare_stat_slots(slotshare *handle, slotshare_slot_visitor visit, void *arg) {
    if (!handle || !visit) {
        return SLOTSHARE_EINVAL;
    }
    const struct segment *segment = &handle->segment;
    uint64_t now = clock_coarse();
    int result = SLOTSHARE_OK;
    for (uint32_t i = 0; i < segment->slot_count; i++) {
        const struct slot *slot = &segment->slots[i];
        uint64_t word = READ(slot->word);
        if (slot_state(word) == SLOT_FREE) {
            continue;
        }
        uint32_t owner = slot_owner(word);
        uint32_t counter = READ(slot->counter);
        /* Read once: what is checked is what is used, whoever writes meanwhile. */
        uint32_t leader = owner < segment->owner_count ? leader_of(segment, owner) : owner;
        if (leader >= segment->owner_count || counter >= counter_count(segment)) {
            result = SLOTSHARE_EDAMAGED;
            continue;
        }
        struct slotshare_slot_stat stat = {.counter = counter,
                                           .owner = leader,
                                           .pid = (int32_t)READ(segment->owners[leader].pid),
                                           .age_ms = age(now, clock_tick_ms(READ(slot->since)))};
        if (visit(&stat, arg)) {
            break;
        }
    }
    return result;
}

int slotshare_stat_members(slotshare *handle, slotshare_member_visitor visit, void *arg) {
    enum { CONNECTED_MS = 2000 };
    if (!handle || !visit) {
        return SLOTSHARE_EINVAL;
    }
    const struct segment *segment = &handle->segment;
    uint64_t generation;
    struct ruleset rules = segment_rules(segment, &generation);
    uint32_t count = ruleset_member_count(&rules);
    uint64_t now = clock_boot();
    for (uint32_t i = 0; i < count && i < CONF_MEMBERS_MAX; i++) {
        struct slotshare_member_stat member = {.heard_ms = -1};
        copy_text(member.name, sizeof member.name, ruleset_member_name(&rules, i));
        copy_text(member.url, sizeof member.url, ruleset_member_url(&rules, i));
        uint64_t heard = READ(segment->header->member_heard[i]);
        member.self = strcmp(member.name, ruleset_node(&rules)) == 0;
        member.coordinator = READ(segment->header->coordinator) == (int)i;
        member.heard_ms = heard ? (int64_t)age(now, heard) : -1;
        member.drained = ruleset_member_drained(&rules, i);
        member.connected = member.self || (heard && age(now, heard) < CONNECTED_MS);
        if (visit(&member, arg)) {
            break;
        }
    }
    return SLOTSHARE_OK;
}
