/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_NET_HISTORY_H
#define SLOTSHARE_TESTS_NET_HISTORY_H
/**
 * What the workers of all nodes held, and when: one file that all map, because all nodes are
 * namespaces of one machine and CLOCK_MONOTONIC is the same everywhere.
 *
 * Every slot is an interval [taken, given]: taken is read after the library gave the slot, given
 * before it is handed back. A process that is about to be killed is marked with the time before
 * that. So each interval lies within the time in which the slot was really held, and if the sum of
 * the intervals ever exceeds the limit, the cluster did. Nothing is sampled: history.c merges all
 * intervals afterwards, and looks at every instant.
 *
 * The same layout is in history.py.
 */
#include <stdatomic.h>
#include <stdint.h>

enum {
    HISTORY_MAGIC = 0x74656e31,
    NODES = 8,
    COUNTERS = 8,
    PLACES = 1024,   /* worker processes that a history can have */
    LANES = 8192,    /* threads of these */
    RECORDS = 16384, /* slots that one thread takes */
};

/** A slot, in nanoseconds of CLOCK_MONOTONIC. */
struct slot_time {
    _Atomic uint64_t asked; /**< after the first refusal; 0: none */
    _Atomic uint64_t taken;
    _Atomic uint64_t given; /**< 0: held until the history, or the process, ends */
};

/** One thread. Only it writes; count goes up after the record is there. */
struct lane {
    _Atomic uint32_t count;
    uint32_t place, counter;
    struct slot_time slot[RECORDS];
};

/** One process; written by who starts it. */
struct place {
    uint32_t node;
    uint32_t spare;
    _Atomic uint64_t died; /**< 0: it has not been killed */
};

struct history {
    uint32_t magic, nodes, counters, instances;
    uint32_t threads[COUNTERS]; /**< of each process, for each counter */
    _Atomic uint32_t stop;      /**< workers end, after their slots */
    _Atomic uint32_t broken;    /**< a worker saw what must not be */
    _Atomic uint32_t lanes;     /**< in use */
    uint32_t spare;
    _Atomic uint32_t hold_us[COUNTERS];       /**< half to one and a half of it; 0: as long
                                                   as the demand asks for it */
    _Atomic uint32_t demand[NODES][COUNTERS]; /**< connections that each node wants to have */
    struct place place[PLACES];
    struct lane lane[LANES];
};

/** @return CLOCK_MONOTONIC in nanoseconds. */
uint64_t history_now(void);
/** Map it, or print why not and exit. */
struct history *history_map(const char *path);

#endif
