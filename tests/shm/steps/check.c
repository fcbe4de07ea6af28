/* SPDX-License-Identifier: MIT */
/* What must be true of the table between two points, and putting it right after a death. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../../../shm/counter.h"
#include "../../../shm/entry.h"
#include "../../../shm/limit.h"
#include "../../../shm/lock.h"
#include "../../../shm/retire.h"
#include "steps.h"

enum { SHOWN = 5 };

void mistake(struct world *world, const char *format, ...) {
    world->mistakes++;
    if (world->mistakes > SHOWN) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)printf("  WRONG %s %s i=%u j=%u ending %d: ", world->mode, world->what, world->i,
                 world->j, world->ending);
    (void)vprintf(format, args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    (void)printf("\n");
    (void)fflush(stdout);
    va_end(args);
}

/* ---- recovering ------------------------------------------------------------------------------ */

static bool lives(const struct world *world, uint32_t leader) {
    if (leader == world->bridge || leader == world->me) {
        return true;
    }
    for (unsigned i = 0; i < ROLES; i++) {
        if (world->actor[i].pid > 0 && world->actor[i].told->leader == leader) {
            return true;
        }
    }
    return false;
}

static void nap(void) {
    struct timespec time = {.tv_nsec = 100000};
    (void)nanosleep(&time, NULL);
}

void world_settle(const struct world *world) {
    for (uint32_t i = 1; i < world->segment->owner_count; i++) {
        uint64_t state = atomic_load(&world->segment->owners[i].state);
        if (owner_kind(state) == OWNER_FREE || owner_leader(state) != i || lives(world, i)) {
            continue;
        }
        for (unsigned tries = 0; lock_probe(world->probe, LOCK_OWNERS + i, 1) == 1; tries++) {
            if (tries == 10000) {
                return; /* an actor that is stopped before it could tell who it is */
            }
            nap();
        }
    }
}

void world_reap(struct world *world) {
    world_settle(world);
    (void)handle_reap(world->handle, 0);
}

/* ---- comparing ------------------------------------------------------------------------------- */

struct survey {
    uint32_t expected[COUNTERS], held[COUNTERS], linked[COUNTERS];
    uint32_t entries;
    bool good;
};

#define WRONG(...)                                                                                 \
    do {                                                                                           \
        survey->good = false;                                                                      \
        mistake(world, __VA_ARGS__);                                                               \
    } while (0)

static void check_owners(struct world *world, struct survey *survey, const char *when) {
    for (uint32_t i = 1; i < world->segment->owner_count; i++) {
        const struct owner *owner = &world->segment->owners[i];
        uint64_t state = owner->state;
        uint64_t announce = owner->announce;
        if (announce_what(announce) != ANNOUNCE_IDLE) {
            WRONG("%s: owner %u is left with an announcement of kind %u", when, i,
                  announce_what(announce));
        }
        for (unsigned c = 0; c <= NAME_PARTS_MAX; c++) {
            if (owner->claims[c] != NONE) {
                WRONG("%s: owner %u is left with a claim on entry %u", when, i,
                      owner->claims[c] - 1);
            }
        }
        if (owner->waiting != NONE) {
            WRONG("%s: owner %u is left waiting", when, i);
        }
        if (owner_kind(state) != OWNER_FREE && !lives(world, owner_leader(state))) {
            WRONG("%s: owner %u of the dead process %u is not free", when, i, owner_leader(state));
        }
    }
    for (unsigned role = 0; role < ROLES; role++) {
        uint32_t leader = world->actor[role].pid > 0 ? world->actor[role].told->leader : 0;
        if (leader && owner_leader(world->segment->owners[leader].state) != leader) {
            WRONG("%s: the record %u of a living process is free", when, leader);
        }
    }
}

static void check_slots(struct world *world, struct survey *survey, const char *when) {
    for (uint32_t i = 0; i < world->segment->slot_count; i++) {
        const struct slot *slot = &world->segment->slots[i];
        uint64_t word = slot->word;
        uint64_t chunk = world->segment->chunks[i / SLOTS_PER_CHUNK];
        if (slot_state(word) == SLOT_FREE) {
            continue;
        }
        if (slot_state(word) != SLOT_HELD || slot->counter >= COUNTERS) {
            WRONG("%s: slot %u is left in state %u", when, i, slot_state(word));
            continue;
        }
        survey->held[slot->counter]++;
        if (!chunk) {
            WRONG("%s: slot %u is held, but its chunk is nobody's", when, i);
        }
    }
    for (uint32_t i = 0; i < world->segment->chunk_count; i++) {
        uint64_t chunk = world->segment->chunks[i];
        if (chunk && (!lives(world, owner_leader(chunk)) ||
                      world->segment->owners[owner_leader(chunk)].state != chunk)) {
            WRONG("%s: chunk %u belongs to nobody who lives (%u)", when, i, owner_leader(chunk));
        }
    }
}

static void check_chains(struct world *world, struct survey *survey, const char *when) {
    for (uint32_t b = 0; b < world->segment->bucket_count; b++) {
        uint32_t next = bucket_first(world->segment->buckets[b]);
        for (unsigned steps = 0; next != NONE; steps++) {
            const struct counter *counter = counter_at(world->segment, next - 1);
            if (!counter || steps > COUNTERS) {
                WRONG("%s: chain %u leads nowhere", when, b);
                break;
            }
            if ((counter->hash & (world->segment->bucket_count - 1)) != b) {
                WRONG("%s: entry %u is in the wrong chain", when, next - 1);
            }
            survey->linked[next - 1]++;
            next = counter->next;
        }
    }
}

static void check_parts(struct world *world, struct survey *survey, uint32_t index,
                        const char *when) {
    const struct counter *counter = &world->segment->counters[index];
    uint32_t words = ((counter->scope_length & 0xffff) + 3) / 4;
    uint32_t next = counter->part;
    for (uint32_t done = NAME_INLINE; done < words; done += NAME_PART) {
        const struct counter_part *part = entry_part(world->segment, next);
        if (!part || use_kind(world->segment->counters[next - 1].use) != ENTRY_PART) {
            WRONG("%s: a part of counter %u's name is missing", when, index);
            return;
        }
        survey->linked[next - 1]++;
        next = part->next;
    }
}

static bool same_name(const struct counter *a, const struct counter *b) {
    return a->hash == b->hash && a->scope_length == b->scope_length;
}

static void check_live(struct world *world, struct survey *survey, uint32_t i, const char *when) {
    const struct counter *counter = &world->segment->counters[i];
    if (counter->generation % 2 != 0 || word_count(counter->word) == COUNT_RETIRED) {
        WRONG("%s: counter %u is in the table but not usable", when, i);
    }
    if (word_count(counter->word) != survey->held[i] || survey->held[i] != survey->expected[i]) {
        WRONG("%s: counter %u says %u, its slots %u, the truth %u", when, i,
              word_count(counter->word), survey->held[i], survey->expected[i]);
    }
    check_parts(world, survey, i, when);
    for (uint32_t k = 0; k < i; k++) {
        if (use_kind(world->segment->counters[k].use) == ENTRY_LIVE &&
            same_name(counter, &world->segment->counters[k])) {
            WRONG("%s: counters %u and %u are one name", when, k, i);
        }
    }
}

/* What the limits make of it. */
static int32_t share_of(const struct world *world, const char *name) {
    struct {
        const char *name;
        int32_t share;
    } known[] = {
        {"host:hot", world->limits.hot}, {"host:full", world->limits.full}, {"host:heal", 1}};
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name) == 0) {
            return known[i].share;
        }
    }
    return strncmp(name, "domain:", 7) == 0 ? world->limits.other : 40;
}

/* On a single host there is nobody but the configuration who sets shares. */
static void check_shares(struct world *world, struct survey *survey, const char *when) {
    const struct header *header = world->segment->header;
    if (header->pending) {
        WRONG("%s: a rule set is left pending", when);
    }
    if (header->gate != header->rules) {
        WRONG("%s: the gate is for another rule set", when);
    }
    for (uint32_t i = 0; i < counter_count(world->segment); i++) {
        const struct counter *counter = &world->segment->counters[i];
        char name[SLOTSHARE_COUNTER_MAX + 1];
        if (use_kind(counter->use) != ENTRY_LIVE || counter->cap == CAP_UNSET ||
            counter_name(world->segment, i, name) < 0) {
            continue; /* whoever finds it next sets it */
        }
        int32_t share = share_of(world, name);
        struct counter_setup setup;
        limit_read(world->segment, counter, name, &setup);
        if (counter->cap != cap_make((uint32_t)share, (uint32_t)share) || setup.limit != share) {
            WRONG("%s: %s has the share %u of %d, not %d", when, name, cap_share(counter->cap),
                  setup.limit, share);
        }
    }
}

void world_check_room(struct world *world) {
    struct stat status;
    const struct header *header = world->segment->header;
    uint64_t end = header->counters_offset + counter_count(world->segment) * sizeof(struct counter);
    if (fstat(world->file, &status) != 0 || (uint64_t)status.st_blocks * 512 < end) {
        mistake(world, "%llu bytes may be used, and the disk has given %llu",
                (unsigned long long)end, (unsigned long long)status.st_blocks * 512);
    }
}

static void check_entries(struct world *world, struct survey *survey, const char *when) {
    for (uint32_t i = 0; i < counter_count(world->segment); i++) {
        uint32_t use = world->segment->counters[i].use;
        survey->entries += use_kind(use) != ENTRY_FREE;
        if (use_kind(use) == ENTRY_LIVE) {
            check_live(world, survey, i, when);
        } else if (survey->held[i] || survey->expected[i]) {
            WRONG("%s: slots of counter %u are held, and it is not in the table", when, i);
        }
    }
    for (uint32_t i = 0; i < counter_count(world->segment); i++) {
        uint32_t kind = use_kind(world->segment->counters[i].use);
        uint32_t wanted = kind == ENTRY_LIVE || kind == ENTRY_PART;
        if (survey->linked[i] != wanted || kind == ENTRY_CLAIMED) {
            WRONG("%s: entry %u of kind %u is linked %u times", when, i, kind, survey->linked[i]);
        }
    }
}

bool world_check(struct world *world, const char *when) {
    struct survey all = {.good = true};
    struct survey *survey = &all;
    memcpy(all.expected, world->mine, sizeof all.expected);
    for (unsigned role = 0; role < ROLES; role++) {
        if (world->actor[role].pid > 0) {
            all.expected[world->actor[role].told->counter] += world->actor[role].told->held;
        }
    }
    check_owners(world, survey, when);
    check_slots(world, survey, when);
    check_chains(world, survey, when);
    check_entries(world, survey, when);
    if (world->setting != CLUSTER) {
        check_shares(world, survey, when);
    }
    if (world->segment->header->retiring != NONE) {
        WRONG("%s: entry %u is left half retired", when, world->segment->header->retiring - 1);
    }
    uint32_t hint = world->segment->header->counters_used;
    if (world->exact_hint ? hint != all.entries
                          : hint + ROLES < all.entries || hint > all.entries + ROLES) {
        WRONG("%s: %u entries are used, the header says %u", when, all.entries, hint);
    }
    return all.good;
}
