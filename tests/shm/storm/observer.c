/* SPDX-License-Identifier: MIT */
/* The observer, who takes no part; and the probe, who measures how long the dead keep their slot.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storm.h"

struct collected {
    uint32_t version[PROCESSES][LANES];
    pid_t pid[PROCESSES];
    uint32_t held[LIMITED];
    uint32_t still; /* nobody was just writing */
};

static bool counts(const struct page *page, const struct process *process) {
    uint32_t parent = process->parent;
    return process->pid != 0 && !process->dying &&
           (parent == 0 || !page->process[parent - 1].dying);
}

static void collect(const struct page *page, struct collected *out) {
    memset(out, 0, sizeof *out);
    out->still = 1;
    for (unsigned p = 0; p < PROCESSES; p++) {
        const struct process *process = &page->process[p];
        for (unsigned l = 0; l < LANES; l++) {
            out->version[p][l] = process->lane[l].version;
            out->still = out->still && out->version[p][l] % 2 == 0;
            for (unsigned c = 0; c < LIMITED; c++) {
                out->held[c] += counts(page, process) ? process->lane[l].held[c] : 0;
            }
        }
        out->pid[p] = counts(page, process) ? process->pid : 0;
    }
}

/* Twice the same, with nobody at it in between: then all of it was so at one moment. */
static bool snapshot(const struct page *page, struct collected *out) {
    struct collected again;
    collect(page, out);
    collect(page, &again);
    return out->still && memcmp(out, &again, sizeof again) == 0;
}

static int visit(const struct slotshare_counter_stat *counter, void *arg) {
    struct page *page = arg;
    if (counter->limit != SLOTSHARE_UNLIMITED && counter->in_use > counter->limit) {
        (void)printf("WRONG: the statistics say that %s has %d in use, of %d\n", counter->name,
                     counter->in_use, counter->limit);
        page->over++;
    }
    return 0;
}

_Noreturn void observer_main(struct storm *storm, struct process *me) {
    struct page *page = storm->page;
    slotshare *handle = storm_open(storm, true);
    if (!handle) {
        unexpected(page, SLOTSHARE_ENOSEGMENT);
        _exit(1);
    }
    while (!page->end) {
        static struct collected seen;
        for (unsigned tries = 0; tries < 50; tries++) {
            if (snapshot(page, &seen)) {
                page->snapshots++;
                for (unsigned c = 0; c < LIMITED; c++) {
                    if (seen.held[c] > (uint32_t)storm_limit[c]) {
                        (void)printf("WRONG: %u slots of counter %u are held, of %d\n",
                                     seen.held[c], c, storm_limit[c]);
                        page->over++;
                    }
                }
                break;
            }
        }
        if (slotshare_stat_counters(handle, visit, page) != SLOTSHARE_OK) {
            unexpected(page, SLOTSHARE_EDAMAGED);
        }
        if (page->samples++ % 256 == 0) {
            struct size size = size_now();
            me->heap = size.heap;
            me->files = size.files;
        }
        storm_nap(200);
    }
    slotshare_close(handle);
    _exit(0);
}

/* ---- the probe ------------------------------------------------------------------------------- */

static const struct slotshare_connection probed = {.host = "probe"};

_Noreturn static void hold_probe(slotshare *handle, int tell) {
    slotshare_slot slot;
    char result = (char)slotshare_acquire_wait(handle, &probed, &slot, 5000);
    (void)!write(tell, &result, 1);
    for (;;) {
        pause();
    }
}

/* Its holder is killed: when has it the slot that it waits for? Nobody else wants it. */
static void measure(struct storm *storm) {
    struct page *page = storm->page;
    int pipes[2];
    if (pipe(pipes) != 0) {
        unexpected(page, SLOTSHARE_ESYSTEM);
        return;
    }
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self) { /* it was killed before this one could say so */
            _exit(0);
        }
        hold_probe(storm->handle, pipes[1]);
    }
    char result = SLOTSHARE_EINVAL;
    close(pipes[1]);
    if (pid < 0 || read(pipes[0], &result, 1) != 1 || result != SLOTSHARE_OK) {
        unexpected(page, result);
    }
    close(pipes[0]);
    uint64_t start = storm_now_us();
    kill(pid, SIGKILL);
    slotshare_slot slot;
    int got = slotshare_acquire_wait(storm->handle, &probed, &slot, 10000);
    uint64_t took = storm_now_us() - start;
    (void)waitpid(pid, NULL, 0);
    if (got != SLOTSHARE_OK || slotshare_release(storm->handle, slot) != SLOTSHARE_OK) {
        unexpected(page, got);
        return;
    }
    uint32_t place = page->times < TIMES ? page->times++ : TIMES;
    if (place < TIMES) {
        page->time_us[place] = (uint32_t)took;
    }
}

_Noreturn void probe_main(struct storm *storm, struct process *me) {
    uint32_t random = storm->random | 1;
    me->threads = 1;
    while (!storm->page->end) {
        if (storm->page->rest || !storm->page->alone) {
            me->resting = 1;
            storm_nap(500);
            continue;
        }
        me->resting = 0;
        measure(storm);
        storm_nap(storm_random(&random) % 50000);
    }
    _exit(0);
}
