/* SPDX-License-Identifier: MIT */
/* The one who kills, stops, and counts. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storm.h"

void storm_fail(struct storm *storm, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)printf("WRONG: ");
    (void)vprintf(format, args);
    (void)printf("\n");
    va_end(args);
    storm->failed = true;
}

typedef void (*body)(struct storm *storm, struct process *me);

static void worker(struct storm *storm, struct process *me) {
    worker_main(storm, me);
}

static void probe(struct storm *storm, struct process *me) {
    probe_main(storm, me);
}

static void observer(struct storm *storm, struct process *me) {
    observer_main(storm, me);
}

static void reaper(struct storm *storm, struct process *me) {
    reaper_main(storm, me);
}

/* @return false: there is no place now */
static bool start(struct storm *storm, body run, bool elder, bool steady) {
    struct process *place = process_place(storm->page, 0);
    pid_t self = getpid();
    if (!place) {
        return false;
    }
    place->elder = elder;
    place->steady = steady;
    place->reaper = run == reaper;
    storm_random(&storm->random);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self) {
            _exit(0);
        }
        place->pid = getpid();
        run(storm, place);
    }
    place->pid = pid > 0 ? pid : 0;
    return pid > 0;
}

/* Those whom it forked are killed with it, but may take longer to be gone than its place takes to
 * be used again: nothing that they hold counts any more. It is gone, so there will be no others. */
static void disown(struct page *page, unsigned parent) {
    for (unsigned p = 0; p < PROCESSES; p++) {
        if (page->process[p].parent == parent + 1) {
            page->process[p].dying = 1;
        }
    }
}

/* A place is free again when its process is gone for certain. Orphans come to the supervisor. */
static void bury(struct storm *storm) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    for (unsigned p = 0; p < PROCESSES; p++) {
        struct process *process = &storm->page->process[p];
        pid_t pid = process->pid;
        if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) {
            if (process->elder) {
                storm_fail(storm, "process %d ended by itself", (int)pid);
            }
            disown(storm->page, p);
            for (unsigned l = 0; l < LANES; l++) {
                lane_clear(&process->lane[l]);
            }
            process->pid = 0;
        }
    }
}

static bool is_worker(const struct process *process) {
    return process->pid > 0 && process->parent == 0 && !process->elder && !process->dying;
}

static unsigned count_workers(const struct storm *storm, bool reapers) {
    unsigned count = 0;
    for (unsigned p = 0; p < PROCESSES; p++) {
        const struct process *process = &storm->page->process[p];
        count += is_worker(process) && process->reaper == reapers;
    }
    return count;
}

static void hit(struct storm *storm) {
    struct process *process = NULL;
    for (unsigned tries = 0; tries < 16 && !(process && process->pid > 0 && !process->parent);
         tries++) {
        process = &storm->page->process[storm_random(&storm->random) % PROCESSES];
    }
    uint32_t dice = storm_random(&storm->random) % 4;
    if (process->pid <= 0 || process->parent != 0 || process->steady) {
        return;
    }
    if (process->stopped) {
        process->stopped = false;
        kill(process->pid, SIGCONT);
    } else if (dice < 2 && is_worker(process)) {
        process->dying = 1;
        kill(process->pid, SIGKILL);
        storm->kills++;
        storm->reapers += process->reaper && !storm->page->alone;
    } else if (dice == 2) {
        process->stopped = true;
        kill(process->pid, SIGSTOP);
        storm->stops++;
    }
}

enum { REAPERS = 3 };

static void mess(struct storm *storm, uint64_t until_us) {
    while (storm_now_us() < until_us) {
        bury(storm);
        while (count_workers(storm, false) < storm->workers && start(storm, worker, false, false)) {
        }
        while (count_workers(storm, true) < REAPERS && start(storm, reaper, false, false)) {
        }
        hit(storm);
        storm_nap(storm_random(&storm->random) % 10000);
    }
}

/* ---- quiet points ---------------------------------------------------------------------------- */

static bool all_rest(const struct storm *storm) {
    for (unsigned p = 0; p < PROCESSES; p++) {
        const struct process *process = &storm->page->process[p];
        if (process->pid > 0 &&
            (process->parent != 0 || process->resting != process->threads || process->dying)) {
            return false;
        }
    }
    return true;
}

static bool come_to_rest(struct storm *storm) {
    storm->page->rest = 1;
    for (unsigned p = 0; p < PROCESSES; p++) {
        struct process *process = &storm->page->process[p];
        if (process->stopped && process->pid > 0) {
            kill(process->pid, SIGCONT);
        }
        process->stopped = false;
    }
    uint64_t deadline = storm_now_us() + 60000000;
    unsigned calm = 0;
    while (calm < 3 && storm_now_us() < deadline) { /* threads may be between two states */
        bury(storm);
        calm = all_rest(storm) ? calm + 1 : 0;
        storm_nap(2000);
    }
    for (unsigned p = 0; p < PROCESSES && calm == 3; p++) {
        if (storm->page->process[p].pid < 0) {
            storm->page->process[p].pid = 0; /* taken by one who died before it could fork */
        }
    }
    if (calm < 3) {
        storm_fail(storm, "the processes did not come to rest within a minute");
    }
    return calm == 3;
}

struct tally {
    const struct storm *storm;
    uint32_t in_use[KINDS], dead, owners, strangers, counters;
    uint64_t slots;
};

static unsigned kind_of(const char *name) {
    for (unsigned c = 0; c < LIMITED; c++) {
        char wanted[16];
        (void)snprintf(wanted, sizeof wanted, "host:c%u", c);
        if (strcmp(name, wanted) == 0) {
            return c;
        }
    }
    return OTHERS;
}

static int on_counter(const struct slotshare_counter_stat *counter, void *arg) {
    struct tally *tally = arg;
    tally->in_use[kind_of(counter->name)] += (uint32_t)counter->in_use;
    tally->counters++;
    return 0;
}

static int on_owner(const struct slotshare_owner_stat *owner, void *arg) {
    struct tally *tally = arg;
    tally->owners++;
    tally->dead += !owner->alive;
    return 0;
}

static int on_slot(const struct slotshare_slot_stat *slot, void *arg) {
    (void)slot;
    ((struct tally *)arg)->slots++;
    return 0;
}

static struct tally count(struct storm *storm) {
    struct tally tally = {.storm = storm};
    if (slotshare_stat_counters(storm->handle, on_counter, &tally) != SLOTSHARE_OK ||
        slotshare_stat_owners(storm->handle, on_owner, &tally) != SLOTSHARE_OK ||
        slotshare_stat_slots(storm->handle, on_slot, &tally) != SLOTSHARE_OK) {
        storm_fail(storm, "the statistics say that the segment is damaged");
    }
    return tally;
}

/* Whoever is refused gives back what the dead held; this counter's limit is 0. */
static struct tally reap(struct storm *storm) {
    const struct slotshare_connection closed = {.host = "closed"};
    slotshare_slot slot;
    uint64_t deadline = storm_now_us() + 10000000;
    struct tally tally;
    do {
        int result = slotshare_acquire(storm->handle, &closed, &slot);
        if (result != SLOTSHARE_FULL) {
            storm_fail(storm, "a take on a closed counter: %s", slotshare_strerror(result));
        }
        storm_nap(20000);
        tally = count(storm);
    } while (tally.dead && storm_now_us() < deadline);
    if (tally.dead) {
        storm_fail(storm, "%u dead owners were not reaped within 10 s", tally.dead);
    }
    return tally;
}

/* Who holds what, for whoever has to find out why. */
static int show_slot(const struct slotshare_slot_stat *slot, void *arg) {
    (void)arg;
    (void)printf("  slot of counter %u, process %d, for %llu ms\n", slot->counter, (int)slot->pid,
                 (unsigned long long)slot->age_ms);
    return 0;
}

static void show(const struct storm *storm) {
    (void)slotshare_stat_slots(storm->handle, show_slot, NULL);
    for (unsigned p = 0; p < PROCESSES; p++) {
        const struct process *process = &storm->page->process[p];
        for (unsigned l = 0; l < LANES && process->pid > 0; l++) {
            for (unsigned c = 0; c < KINDS; c++) {
                if (process->lane[l].held[c] || (l == 0 && process->left[c])) {
                    (void)printf("  process %d, lane %u: %u of %u, left %u\n", (int)process->pid, l,
                                 process->lane[l].held[c], c, process->left[c]);
                }
            }
        }
    }
}

static void compare(struct storm *storm) {
    struct tally tally = reap(storm);
    uint32_t sum = 0;
    for (unsigned c = 0; c < KINDS; c++) {
        uint32_t truth = 0;
        for (unsigned p = 0; p < PROCESSES; p++) {
            const struct process *process = &storm->page->process[p];
            truth += process->pid > 0 ? process->left[c] : 0;
            for (unsigned l = 0; l < LANES && process->pid > 0; l++) {
                truth += process->lane[l].held[c];
            }
        }
        sum += truth;
        if (truth != tally.in_use[c]) {
            storm_fail(storm, "at quiet point %u: counter %u says %u, held are %u", storm->quiet, c,
                       tally.in_use[c], truth);
        }
    }
    if (tally.slots != sum) {
        storm_fail(storm, "at quiet point %u: %llu slot records say held, held are %u",
                   storm->quiet, (unsigned long long)tally.slots, sum);
    }
    storm->quiet++;
    if (storm->failed) {
        show(storm);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum { ELDERS = 2, MEASURED = ELDERS + 2, OBSERVER = ELDERS + 1, HEAP_KIB = 256 };

/* The elders, the observer (in its place), and last the supervisor itself. */
static struct size size_of(const struct storm *storm, unsigned which) {
    if (which == MEASURED - 1) {
        return size_now();
    }
    const struct process *process = &storm->page->process[which < ELDERS ? which : OBSERVER];
    return (struct size){process->files, process->heap};
}

static void compare_sizes(struct storm *storm, struct size first[MEASURED]) {
    for (unsigned i = 0; i < MEASURED; i++) {
        struct size now = size_of(storm, i);
        first[i] = first[i].files ? first[i] : now;
        if (now.files > first[i].files || now.heap > first[i].heap + HEAP_KIB) {
            storm_fail(storm, "a process grew: %u descriptors and %u KiB, then %u and %u",
                       first[i].files, first[i].heap, now.files, now.heap);
        }
    }
}

static void end_all(struct storm *storm) {
    for (unsigned p = 0; p < PROCESSES; p++) {
        struct process *process = &storm->page->process[p];
        if (process->pid > 0) {
            process->elder = false;
            process->dying = 1;
            kill(process->pid, SIGKILL);
        }
    }
    storm->page->end = 1;
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
    }
    bury(storm);
}

void supervise(struct storm *storm) {
    struct size first[MEASURED] = {{0}};
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (unsigned i = 0; i < ELDERS; i++) {
        start(storm, worker, true, false); /* in the first places */
    }
    start(storm, probe, true, true);
    start(storm, observer, true, true);
    uint64_t end = storm_now_us() + storm->seconds * UINT64_C(1000000);
    while (storm_now_us() < end && !storm->failed) {
        uint64_t next = storm_now_us() + 1500000;
        storm->page->alone = storm->quiet % 2;
        mess(storm, next < end ? next : end);
        if (come_to_rest(storm)) {
            compare(storm);
        }
        compare_sizes(storm, first);
        storm->page->rest = 0;
    }
    end_all(storm);
}
