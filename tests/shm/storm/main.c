/* SPDX-License-Identifier: MIT */
/* storm: many processes that take, give, fork, stop and die, and one who counts. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "storm.h"

static const char usage[] = "usage: storm [--seconds N] [--workers N] [--seed N]\n"
                            "\n"
                            "The last line is the verdict. Exit status: 0 nothing wrong; 1 "
                            "something was; 2 usage, or it cannot run here.\n";

const int storm_limit[LIMITED] = {2, 5, 17};

static const char settings[] = "[node]\nowners = 400\nslots = 8192\n"
                               "counters = 256\ncounters_max = 512\n"
                               "[global]\ncluster_max_outbound_connections = 50\n"
                               "[host \"closed\"]\ncluster_max_outbound_connections = 0\n"
                               "[host \"probe\"]\ncluster_max_outbound_connections = 1\n"
                               "[host \"free\"]\ncluster_max_outbound_connections = -1\n";

const char *storm_name(void) {
    return "storm";
}

void storm_nap(unsigned us) {
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L};
    (void)nanosleep(&time, NULL);
}

uint64_t storm_now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void unexpected(struct page *page, int result) {
    int32_t none = 0;
    (void)atomic_compare_exchange_strong(&page->unexpected, &none, result ? result : 100);
}

void lane_tell(struct lane *lane, unsigned kind, int change) {
    lane->version++;
    lane->held[kind] += (uint32_t)change;
    lane->version++;
}

void lane_clear(struct lane *lane) {
    lane->version += 1 + (lane->version % 2 == 0);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        lane->held[kind] = 0;
    }
    lane->version += lane->version % 2;
}

struct process *process_place(struct page *page, uint32_t parent) {
    for (unsigned p = 0; p < PROCESSES; p++) {
        pid_t none = 0;
        struct process *process = &page->process[p];
        if (atomic_compare_exchange_strong(&process->pid, &none, -1)) {
            process->dying = process->threads = process->resting = 0;
            process->parent = parent;
            for (unsigned kind = 0; kind < KINDS; kind++) {
                process->left[kind] = 0;
            }
            process->stopped = process->elder = process->steady = process->reaper = false;
            return process;
        }
    }
    return NULL;
}

static bool write_settings(const char *directory, char *path, size_t size) {
    (void)snprintf(path, size, "%s/conf", directory);
    FILE *file = fopen(path, "w");
    if (!file) {
        return false;
    }
    bool good = fputs(settings, file) >= 0;
    for (unsigned c = 0; c < LIMITED; c++) {
        good = good && fprintf(file, "[host \"c%u\"]\ncluster_max_outbound_connections = %d\n", c,
                               storm_limit[c]) > 0;
    }
    return fclose(file) == 0 && good;
}

static slotshare *open_with(const struct storm *storm, const char *config, bool read_only) {
    char error[512] = "";
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = storm->directory;
    options.config = config;
    options.read_only = read_only;
    options.error = error;
    options.error_size = sizeof error;
    slotshare *handle = NULL;
    if (slotshare_open(&handle, storm_name(), &options) != SLOTSHARE_OK) {
        (void)fprintf(stderr, "storm: %s\n", error);
    }
    return handle;
}

slotshare *storm_open(const struct storm *storm, bool read_only) {
    return open_with(storm, NULL, read_only);
}

/* ---- at the end ------------------------------------------------------------------------------ */

/* All slot records must be there again: take them all. */
static void take_all(struct storm *storm, const struct slotshare_segment_stat *stat) {
    const struct slotshare_connection connection = {.host = "free"};
    uint32_t taken = 0;
    slotshare_slot slot;
    int result;
    while ((result = slotshare_acquire(storm->handle, &connection, &slot)) == SLOTSHARE_OK) {
        taken++;
    }
    if (result != SLOTSHARE_ESLOTS || taken != stat->slots_max) {
        storm_fail(storm, "of %u slot records only %u could be taken: %s", stat->slots_max, taken,
                   slotshare_strerror(result));
    }
}

static int count_one(const struct slotshare_counter_stat *counter, void *arg) {
    (void)counter;
    ++*(uint32_t *)arg;
    return 0;
}

static void check_end(struct storm *storm) {
    const struct slotshare_connection closed = {.host = "closed"};
    struct slotshare_segment_stat stat;
    uint64_t deadline = storm_now_us() + 10000000;
    do {
        slotshare_slot slot;
        (void)slotshare_acquire(storm->handle, &closed, &slot);
        storm_nap(20000);
        if (slotshare_stat_segment(storm->handle, &stat) != SLOTSHARE_OK) {
            storm_fail(storm, "the segment is not whole");
        }
    } while (stat.owners_used > 1 && storm_now_us() < deadline);
    uint32_t counters = 0;
    (void)slotshare_stat_counters(storm->handle, count_one, &counters);
    if (stat.owners_used != 1 || stat.slots_used != 0 || stat.counters_used != counters) {
        storm_fail(storm, "when all were dead: %u owners, %u slots, %u entries for %u counters",
                   stat.owners_used, stat.slots_used, stat.counters_used, counters);
    }
    take_all(storm, &stat);
    (void)printf("reaped %" PRIu64 " owners with %" PRIu64 " slots; %u counters at the end\n",
                 stat.reaps, stat.slots_reaped, counters);
}

static int ascending(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void report(struct storm *storm) {
    static uint32_t time[TIMES];
    struct page *page = storm->page;
    uint32_t count = page->times;
    for (uint32_t i = 0; i < count; i++) {
        time[i] = page->time_us[i];
    }
    qsort(time, count, sizeof time[0], ascending);
    (void)printf("%" PRIu64 " takes, %" PRIu64 " refusals, %" PRIu64 " with a full table\n",
                 page->takes, page->refusals, page->full_tables);
    (void)printf("%u killed, %u of them reapers; %u stopped; %" PRIu64 " forks, %" PRIu64
                 " threads ended\n",
                 storm->kills, storm->reapers, storm->stops, page->forks, page->threads);
    (void)printf("%" PRIu64 " samples, %" PRIu64
                 " of all at one moment, %u over; %u quiet points\n",
                 page->samples, page->snapshots, page->over, storm->quiet);
    if (count) {
        const uint32_t median = time[count / 2];
        (void)printf("from SIGKILL to the slot of a waiting worker, no bridge: median %.1f ms, "
                     "worst %.1f ms, of %u\n",
                     median / 1e3, time[count - 1] / 1e3, count);
    }
}

static int run(struct storm *storm) {
    char directory[] = "/tmp/slotshare-storm-XXXXXX";
    char path[sizeof directory + 32];
    storm->page =
        mmap(NULL, sizeof *storm->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (storm->page == MAP_FAILED || !mkdtemp(directory)) {
        perror("storm");
        return 2;
    }
    storm->directory = directory;
    if (write_settings(directory, path, sizeof path)) {
        storm->handle = open_with(storm, path, false);
    }
    if (storm->handle) {
        supervise(storm);
        check_end(storm);
        report(storm);
        slotshare_close(storm->handle);
    }
    static const char *const files[] = {"conf", "storm.seg", "storm.lock"};
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
    storm->directory = NULL;
    if (!storm->handle) {
        return 2;
    }
    if (storm->page->over) {
        storm_fail(storm, "over the limit at %u samples", storm->page->over);
    }
    if (storm->page->unexpected) {
        storm_fail(storm, "a call returned %d (%s)", storm->page->unexpected,
                   slotshare_strerror(storm->page->unexpected));
    }
    if (storm->quiet == 0 || storm->page->snapshots == 0 || storm->kills == storm->reapers ||
        storm->reapers == 0 || storm->stops == 0 || storm->page->forks == 0 ||
        storm->page->threads == 0) {
        storm_fail(storm, "nothing was compared");
    }
    (void)printf("storm of %u s: %s\n", storm->seconds,
                 storm->failed ? "NOT EXACT" : "never over, exact at every quiet point, no leaks");
    return storm->failed;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"seed", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct storm storm = {.workers = 12, .seconds = 10, .random = (uint32_t)storm_now_us() | 1};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        unsigned value = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        if (option == 's' && value) {
            storm.seconds = value;
        } else if (option == 'w' && value && value < PROCESSES / 2) {
            storm.workers = value;
        } else if (option == 'r' && value) {
            storm.random = value;
        } else {
            (void)fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    return run(&storm);
}
