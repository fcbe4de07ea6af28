/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_CONTROL_PRIVATE_H
#define SLOTSHARE_SHM_CONTROL_PRIVATE_H
/** What control.c and control_counter.c share. */
#include "control.h"
#include "counter.h"
#include "handle.h"
#include "view.h"

/** What the bridge knows of a counter from its last look. */
struct sample {
    uint64_t refusals;   /* the statistic, then */
    uint64_t grown;      /* when it last grew, CLOCK_BOOTTIME ms */
    uint32_t recent;     /* by how much */
    uint32_t generation; /* of the entry that this is about */
    uint32_t waiting;    /* owners that sleep for it, in ... */
    uint32_t round;      /* ... this round of counting */
};

struct control {
    struct segment paths;  /* where it is; not mapped */
    char directory[512];   /* of it */
    slotshare *handle;     /* NULL: not started yet */
    uint32_t me;           /* the bridge's owner record */
    int lock;              /* keeps LOCK_BRIDGE; -1: none */
    struct sample *sample; /* one per counter entry */
    uint32_t round;        /* of counting who waits */
    uint64_t counted;      /* when, CLOCK_BOOTTIME ms */
    char name[SLOTSHARE_COUNTER_MAX + 1];
};

#endif
