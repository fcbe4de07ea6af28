/* SPDX-License-Identifier: MIT */
/* The segment that all points share, and what must be true of it between two points. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../../conf/conf.h"
#include "../../../shm/entry.h"
#include "../../../shm/lock.h"
#include "../../../shm/retire.h"
#include "steps.h"

enum { SHOWN = 5, SHARE_HOT = 8 };

static const char settings[] = "[node]\nname = a\nowners = 7\nslots = 64\ncounters = 64\n"
                               "counters_max = 64\n"
                               "[cluster]\nname = steps\nreplicate = outbound_domains\n"
                               "member a = tcp://127.0.0.1:17946\n"
                               "member b = tcp://127.0.0.1:17947\n"
                               "member c = tcp://127.0.0.1:17948\n"
                               "[global]\ncluster_max_outbound_connections = 128\n"
                               "[host \"hot\"]\ncluster_max_outbound_connections = 12\n"
                               "[host \"full\"]\ncluster_max_outbound_connections = 3\n"
                               "[host \"heal\"]\ncluster_max_outbound_connections = 3\n"
                               "[binding \"%s\"]\ncluster_max_outbound_connections = 40\n"
                               "count_per = binding domain\n";

const char *world_name(void) {
    return "steps";
}

static struct conf *load(struct world *world) {
    char path[sizeof world->directory + 16];
    (void)snprintf(path, sizeof path, "%s/conf", world->directory);
    FILE *file = fopen(path, "w");
    if (!file) {
        return NULL;
    }
    int printed = fprintf(file, settings, connection_of("long").binding);
    int closed = fclose(file);
    struct conf_errors errors = {0};
    struct conf *conf = NULL;
    if (printed > 0 && closed == 0 && conf_load(path, &conf, &errors) != 0) {
        for (size_t i = 0; i < errors.count; i++) {
            (void)fprintf(stderr, "%s\n", errors.line[i]);
        }
    }
    conf_errors_free(&errors);
    (void)unlink(path);
    return conf;
}

/* A session that does not end while the harness runs. */
static void open_session(struct control *control) {
    struct control_memory memory;
    control_memory_load(control, &memory);
    memory.session_end = control_now() + UINT64_C(24) * 3600 * 1000;
    control_memory_store(control, &memory);
}

static bool find(struct world *world, const char *which, slotshare_counter *counter, int share) {
    struct slotshare_connection connection = connection_of(which);
    return slotshare_counter_find(world->handle, &connection, counter) == SLOTSHARE_OK &&
           (share < 0 || control_share_set(world->control, counter->index, share, 1) >= 0);
}

/* All but the rule sets, which never change. */
struct region {
    char *start;
    size_t bytes;
};

static struct region region(const struct world *world, unsigned which) {
    struct header *header = world->segment->header;
    char *base = (char *)header;
    return which == 0
               ? (struct region){base, header->rules_offset}
               : (struct region){base + header->counters_offset, COUNTERS * sizeof(struct counter)};
}

static bool remember(struct world *world) {
    struct region front = region(world, 0), back = region(world, 1);
    world->clean = malloc(front.bytes + back.bytes);
    if (!world->clean) {
        return false;
    }
    memcpy(world->clean, front.start, front.bytes);
    memcpy(world->clean + front.bytes, back.start, back.bytes);
    return true;
}

void world_reset(struct world *world) {
    struct region front = region(world, 0), back = region(world, 1);
    memcpy(front.start, world->clean, front.bytes);
    memcpy(back.start, world->clean + front.bytes, back.bytes);
}

uint64_t world_hash(const struct world *world) {
    uint64_t hash = 0;
    for (unsigned which = 0; which < 2; which++) {
        struct region part = region(world, which);
        const uint64_t *words = (const uint64_t *)(const void *)part.start;
        for (size_t i = 0; i < part.bytes / sizeof *words; i++) {
            hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
            hash ^= hash >> 29;
        }
    }
    return hash;
}

static char neighbour[2][16];

const char *world_neighbour(unsigned which) {
    return neighbour[which];
}

/* The hash is keyed with a secret of the segment: try names. */
static bool find_neighbours(struct world *world) {
    uint32_t mask = world->segment->bucket_count - 1;
    const struct counter *idle = &world->segment->counters[world->idle.index];
    unsigned found = 0;
    for (unsigned k = 0; k < 100000 && found < 2; k++) {
        char domain[sizeof neighbour[0]];
        (void)snprintf(domain, sizeof domain, "d%u", k);
        struct slotshare_connection connection = {.domain = domain};
        slotshare_counter counter;
        if (slotshare_counter_find(world->handle, &connection, &counter) != SLOTSHARE_OK) {
            return false;
        }
        if (((world->segment->counters[counter.index].hash ^ idle->hash) & mask) == 0) {
            memcpy(neighbour[found++], domain, sizeof domain);
        }
        world_reset(world);
    }
    return found == 2;
}

static bool fill_table(struct world *world) {
    slotshare_slot slot;
    return find(world, "hot", &world->hot, SHARE_HOT) && find(world, "full", &world->full, 1) &&
           find(world, "heal", &world->heal, 1) && find(world, "idle", &world->idle, -1) &&
           find(world, "idle-long", &world->idle_long, -1) &&
           controller_take(world, world->hot, &world->base) &&
           controller_take(world, world->full, &slot);
}

bool world_open(struct world *world, const char **why) {
    *why = "a directory for the segment";
    (void)snprintf(world->directory, sizeof world->directory, "/tmp/slotshare-steps-XXXXXX");
    if (!mkdtemp(world->directory)) {
        return false;
    }
    struct told *told =
        mmap(NULL, sizeof *told * ROLES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct conf *conf = load(world);
    *why = "the configuration";
    if (!conf || told == MAP_FAILED) {
        return false;
    }
    for (unsigned i = 0; i < ROLES; i++) {
        world->actor[i] = (struct actor){.told = &told[i]};
    }
    static char error[512];
    *why = error;
    int result =
        control_open(&world->control, conf, world_name(), world->directory, error, sizeof error);
    conf_free(conf);
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = world->directory;
    options.error = error;
    options.error_size = sizeof error;
    if (result != SLOTSHARE_OK ||
        slotshare_open(&world->handle, world_name(), &options) != SLOTSHARE_OK) {
        return false;
    }
    open_session(world->control);
    world->segment = &world->handle->segment;
    world->bridge = atomic_load(&world->segment->header->bridge_owner);
    world->me = world->handle->leader;
    world->probe = lock_file_open(world->segment->lock_path, false);
    *why = "the counters";
    if (world->probe < 0 || !fill_table(world)) {
        return false;
    }
    *why = "memory";
    if (!remember(world) || !track_new(&world->victim_track) || !track_new(&world->helper_track) ||
        !track_new(&world->third_track)) {
        return false;
    }
    return find_neighbours(world);
}

void world_close(struct world *world) {
    char path[sizeof world->directory + 16];
    slotshare_close(world->handle);
    control_close(world->control);
    if (world->probe > 0) {
        close(world->probe);
    }
    free(world->clean);
    track_free(&world->victim_track);
    track_free(&world->helper_track);
    track_free(&world->third_track);
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s.%s", world->directory, world_name(),
                       i ? "lock" : "seg");
        (void)unlink(path);
    }
    (void)rmdir(world->directory);
}

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
    (void)retire_pass(world->handle, world->me, 0); /* finishes what a dead one had begun */
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

static void check_entries(struct world *world, struct survey *survey, const char *when) {
    for (uint32_t i = 0; i < COUNTERS; i++) {
        uint32_t use = world->segment->counters[i].use;
        survey->entries += use_kind(use) != ENTRY_FREE;
        if (use_kind(use) == ENTRY_LIVE) {
            check_live(world, survey, i, when);
        } else if (survey->held[i] || survey->expected[i]) {
            WRONG("%s: slots of counter %u are held, and it is not in the table", when, i);
        }
    }
    for (uint32_t i = 0; i < COUNTERS; i++) {
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
