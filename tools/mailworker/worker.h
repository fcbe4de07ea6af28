/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TOOLS_MAILWORKER_WORKER_H
#define SLOTSHARE_TOOLS_MAILWORKER_WORKER_H
/** One worker process: its threads, each with one connection at a time. */
#include <stdatomic.h>
#include <stdint.h>

#include "options.h"

/** Shared by all processes of one mailworker, in an anonymous shared mapping, so that what a
 * process had done counts even when it is killed. Zero at the start, except left. */
struct totals {
    _Atomic int64_t left;       /**< messages still to be delivered or being delivered */
    _Atomic uint64_t delivered; /**< the other side said 250 */
    _Atomic uint64_t refused;   /**< no slot in time */
    _Atomic uint64_t failed;
    _Atomic uint64_t connections;
    _Atomic int stop; /**< nonzero: finish the message at hand, then end */
};

/**
 * Run a worker process until its work is done or totals->stop is set. Called in a fresh child.
 *
 * @param deadline  on CLOCK_MONOTONIC, in milliseconds; 0: none
 * @return the process's exit status.
 */
int worker_run(const struct options *options, struct totals *totals, int64_t deadline);

/** CLOCK_MONOTONIC in milliseconds. */
int64_t worker_clock(void);

#endif
