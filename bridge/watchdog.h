/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_WATCHDOG_H
#define SLOTSHARE_BRIDGE_WATCHDOG_H
/**
 * A thread that sees whether the main loop still turns, and ends the process by SIGABRT when it
 * does not: whoever started the bridge starts it again, and where core dumps are kept one shows
 * where each thread stood. What the workers hold is in the segment and stays. systemd's watchdog
 * does the same, earlier; this one is for those who have none.
 *
 * Time is counted in ticks of this thread, each after a sleep: a process that was stopped, or whose
 * machine was suspended, gets one tick for all of that time, and nobody is ended for it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "log.h"

/** How long the loop may take for one turn: far above what it has to do (2 s to reload 50,000
 * limits), and above what a disk that fails takes to say so. */
#ifndef WATCHDOG_TICKS
#define WATCHDOG_TICKS 60
#endif
enum { WATCHDOG_TICK_MS = 1000 };

/** All zero to begin with. */
struct watchdog {
    uint32_t ticks_max; /**< without a turn, then it ends the process */
    uint32_t tick_ms;
    int fd;        /**< where its line goes */
    timer_t timer; /**< sends the SIGABRT when not even the line can be written */
    pthread_t thread;

    /* Of the loop, for the thread. All relaxed: each says one thing by itself. */
    _Atomic uint64_t turns;
    _Atomic(const char *) step; /**< what the loop does now */
    atomic_bool to_syslog;

    /* The thread's own; `ticks` is atomic for tests that look at it. */
    uint64_t turns_seen;
    _Atomic uint64_t ticks; /**< since the start */
    uint32_t quiet;         /**< ticks since the last turn was seen */
};

/**
 * Start the thread, with all signals but SIGABRT blocked. It is never ended: it watches the end of
 * the process, too. `dog` must stay where it is until then.
 * @param ticks_max  at least 1; WATCHDOG_TICKS
 * @param tick_ms    WATCHDOG_TICK_MS
 * @param fd         where its line goes: as the log's
 * @return 0; an errno.
 */
int watchdog_start(struct watchdog *dog, uint32_t ticks_max, uint32_t tick_ms, int fd);

/** The loop has turned. `log` says whether the log is syslog now. No system call. */
void watchdog_turn(struct watchdog *dog, const struct log *log);

/** The loop begins with something; step: a constant string, a word. No system call. */
void watchdog_step(struct watchdog *dog, const char *step);

/** One tick, of the thread or of a test. @return true: it is time to end the process. */
bool watchdog_tick(struct watchdog *dog);

#endif
