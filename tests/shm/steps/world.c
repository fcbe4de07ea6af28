/* SPDX-License-Identifier: MIT */
/* The segments that the points share: made once for each setting, as they were again after each
 * point. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../conf/conf.h"
#include "../../../shm/lock.h"
#include "steps.h"

enum { SHARE_HOT = 8, RULES = 2 };

const struct limits limits_start = {.hot = SHARE_HOT, .full = 1, .other = 128};

static const char node[] = "[node]\nname = a\nowners = 9\nslots = %d\ncounters = 64\n"
                           "counters_max = %d\n";
static const char cluster[] =
    "[cluster]\ntls = off\nname = steps\nreplicate = outbound_domains\nreserve = 10%\n"
    "member a = tcp://127.0.0.1:17946\n"
    "member b = tcp://127.0.0.1:17947\n"
    "member c = tcp://127.0.0.1:17948\n";
static const char limited[] = "[global]\ncluster_max_outbound_connections = %d\n"
                              "[host \"hot\"]\ncluster_max_outbound_connections = %d\n"
                              "[host \"full\"]\ncluster_max_outbound_connections = %d\n"
                              "[host \"heal\"]\ncluster_max_outbound_connections = %d\n"
                              "[binding \"%s\"]\ncluster_max_outbound_connections = 40\n"
                              "count_per = binding domain\n";

const char *world_name(void) {
    return "steps";
}

static bool write_config(const struct world *world, const char *path, struct limits limits) {
    FILE *file = fopen(path, "w");
    if (!file) {
        return false;
    }
    bool growing = world->setting == GROWING, clustered = world->setting == CLUSTER;
    bool good = fprintf(file, node, growing ? 256 : 64, growing ? 128 : 64) > 0;
    if (clustered) {
        good = good && fputs(cluster, file) >= 0;
    }
    /* In the cluster three nodes share each limit; on a single host it is the share. */
    int nodes = clustered ? 3 : 1;
    good = good && fprintf(file, limited, limits.other, nodes * limits.hot, nodes * limits.full,
                           nodes, connection_of("long").binding) > 0;
    return fclose(file) == 0 && good;
}

const char *world_config(const struct world *world, struct limits limits) {
    static char path[sizeof world->directory + 48];
    (void)snprintf(path, sizeof path, "%s/conf-%d-%d-%d", world->directory, limits.hot, limits.full,
                   limits.other);
    if (access(path, F_OK) != 0 && !write_config(world, path, limits)) {
        perror(path);
    }
    return path;
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
           (share < 0 || !world->control ||
            control_share_set(world->control, counter->index, share, 1) >= 0);
}

/* ---- as it was ------------------------------------------------------------------------------- */

/* All but the rule sets, which are only restored: what is in force is told by the header. */
struct region {
    char *start;
    size_t bytes;
};
enum { FRONT, BACK, SETS, REGIONS };

static struct region region(const struct world *world, unsigned which) {
    struct header *header = world->segment->header;
    char *base = (char *)header;
    uint64_t from[] = {0, header->counters_offset, header->rules_offset, 0};
    uint64_t bytes[] = {header->rules_offset,
                        counter_count(world->segment) * sizeof(struct counter),
                        RULES * (uint64_t)header->rules_bytes, 0};
    return (struct region){base + from[which], bytes[which]};
}

static bool remember(struct world *world) {
    size_t bytes = 0;
    for (unsigned r = 0; r < REGIONS; r++) {
        bytes += region(world, r).bytes;
    }
    free(world->clean);
    free(world->seen);
    world->clean = malloc(bytes);
    world->seen = calloc(1, bytes + COUNTERS * sizeof(struct counter));
    if (!world->clean || !world->seen) {
        return false;
    }
    char *to = world->clean;
    for (unsigned r = 0; r < REGIONS; r++) {
        struct region part = region(world, r);
        memcpy(to, part.start, part.bytes);
        to += part.bytes;
    }
    memcpy(world->start, world->mine, sizeof world->start);
    return true;
}

void world_reset(struct world *world) {
    const char *from = world->clean;
    const struct header *header = world->segment->header;
    for (unsigned r = 0; r < REGIONS; r++) {
        struct region part = region(world, r); /* the header comes first: the number of counters */
        if (r != SETS || world->setting == SINGLE) {
            memcpy(part.start, from, part.bytes);
        }
        from += part.bytes;
    }
    if (world->setting == GROWING) { /* what has grown is a hole again */
        struct region back = region(world, BACK);
        off_t end = back.start + back.bytes - (char *)header;
        (void)fallocate(world->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end,
                        (off_t)header->size - end);
    }
}

bool world_changed(struct world *world) {
    char *last = world->seen;
    bool changed = false;
    for (unsigned r = 0; r < SETS; r++) {
        struct region part = region(world, r);
        if (memcmp(last, part.start, part.bytes) != 0) {
            memcpy(last, part.start, part.bytes);
            changed = true;
        }
        last += part.bytes;
    }
    return changed;
}

/* ---- opening --------------------------------------------------------------------------------- */

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

/* Seen once before by retirement, and idle since: the next visit may retire them. */
static void make_idle(struct world *world) {
    atomic_store(&world->segment->counters[world->idle.index].swept, 0);
    atomic_store(&world->segment->counters[world->idle_long.index].swept, 0);
}

static bool fill_table(struct world *world) {
    slotshare_slot slot;
    bool good = find(world, "hot", &world->hot, SHARE_HOT) &&
                find(world, "full", &world->full, 1) && find(world, "heal", &world->heal, 1) &&
                find(world, "idle", &world->idle, -1) &&
                find(world, "idle-long", &world->idle_long, -1) &&
                controller_take(world, world->hot, &world->base) &&
                controller_take(world, world->full, &slot);
    make_idle(world);
    return good;
}

/* Every entry is a counter that somebody uses. */
static bool use_all(struct world *world) {
    slotshare_counter counter[] = {world->heal, world->idle, world->idle_long};
    slotshare_slot slot;
    bool good = true;
    for (unsigned k = 0; k < sizeof counter / sizeof counter[0]; k++) {
        good = good && controller_take(world, counter[k], &slot);
    }
    for (unsigned k = 0; good && world->segment->header->counters_used < 64; k++) {
        char domain[16];
        (void)snprintf(domain, sizeof domain, "used%u", k);
        struct slotshare_connection connection = {.domain = domain};
        good = slotshare_counter_find(world->handle, &connection, &counter[0]) == SLOTSHARE_OK &&
               controller_take(world, counter[0], &slot);
    }
    return good;
}

struct conf *world_conf(const struct world *world, struct limits limits) {
    struct conf_errors errors = {0};
    struct conf *conf = NULL;
    if (conf_load(world_config(world, limits), &conf, &errors) != 0) {
        for (size_t i = 0; i < errors.count; i++) {
            (void)fprintf(stderr, "%s\n", errors.line[i]);
        }
    }
    conf_errors_free(&errors);
    return conf;
}

static int open_control(struct world *world, char *error, size_t size) {
    struct conf *conf = world_conf(world, limits_start);
    if (!conf) {
        return SLOTSHARE_ECONFIG;
    }
    int result = control_open(&world->control, conf, world_name(), world->directory, error, size);
    conf_free(conf);
    return result;
}

static bool open_table(struct world *world, char *error, size_t size) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = world->directory;
    options.config = world->setting == CLUSTER ? NULL : world_config(world, limits_start);
    options.error = error;
    options.error_size = size;
    if ((world->setting == CLUSTER && open_control(world, error, size) != SLOTSHARE_OK) ||
        slotshare_open(&world->handle, world_name(), &options) != SLOTSHARE_OK) {
        return false;
    }
    world->segment = &world->handle->segment;
    if (world->control) {
        open_session(world->control);
        world->bridge = atomic_load(&world->segment->header->bridge_owner);
    }
    world->me = world->handle->leader;
    world->probe = lock_file_open(world->segment->lock_path, false);
    world->file = open(world->segment->path, O_RDWR | O_CLOEXEC);
    return world->probe >= 0 && world->file >= 0;
}

/* In memory, where there is such a place: a disk would have to be told of each change. */
static bool make_directory(struct world *world) {
    static const char *const places[] = {"/dev/shm", "/tmp"};
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        (void)snprintf(world->directory, sizeof world->directory, "%s/slotshare-steps-XXXXXX",
                       places[i]);
        if (mkdtemp(world->directory)) {
            return true;
        }
    }
    world->directory[0] = '\0';
    return false;
}

bool world_open(struct world *world, enum setting setting, const char **why) {
    static char error[512];
    world->setting = setting;
    world->probe = world->file = -1;
    memset(world->mine, 0, sizeof world->mine);
    *why = "a directory for the segment";
    struct told *told =
        mmap(NULL, sizeof *told * ROLES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!make_directory(world) || told == MAP_FAILED) {
        return false;
    }
    for (unsigned i = 0; i < ROLES; i++) {
        world->actor[i] = (struct actor){.told = &told[i]};
    }
    *why = error;
    if (!open_table(world, error, sizeof error)) {
        return false;
    }
    *why = "the counters";
    if (!fill_table(world) || !remember(world) || !find_neighbours(world) ||
        (setting == GROWING && (!use_all(world) || !remember(world)))) {
        return false;
    }
    *why = "memory";
    return track_new(&world->victim_track) && track_new(&world->helper_track) &&
           track_new(&world->third_track);
}

static void remove_directory(const struct world *world) {
    DIR *directory = opendir(world->directory);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    if (directory) {
        closedir(directory);
    }
    (void)rmdir(world->directory);
}

void world_close(struct world *world) {
    slotshare_close(world->handle);
    control_close(world->control);
    world->handle = NULL;
    world->control = NULL;
    world->bridge = 0;
    if (world->probe >= 0) {
        close(world->probe);
    }
    if (world->file >= 0) {
        close(world->file);
    }
    if (world->actor[0].told) {
        (void)munmap(world->actor[0].told, sizeof(struct told) * ROLES);
        world->actor[0].told = NULL;
    }
    free(world->clean);
    free(world->seen);
    world->clean = world->seen = NULL;
    track_free(&world->victim_track);
    track_free(&world->helper_track);
    track_free(&world->third_track);
    if (world->directory[0]) {
        remove_directory(world);
    }
}
