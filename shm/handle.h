/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_HANDLE_H
#define SLOTSHARE_SHM_HANDLE_H
/**
 * An open segment in one process: the mapping, this process's owner records (one per thread that
 * takes slots; the first, the leader, stands for the process and has the lock), and the slot
 * records that it has to itself. Everything here is private memory of the process.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "segment.h"

enum { STASH = 32 };

/** What one thread has to itself. Reused by a later thread when its own has ended. */
struct thread {
    slotshare *handle;
    struct thread *next; /* all of the handle's; under its mutex */
    bool busy;           /* a thread uses it; under the mutex */
    uint32_t owner;      /* its record; 0: none yet */
    uint32_t held;       /* the lower half of the word of a slot that is held with this record */
    uint32_t epoch;      /* of the handle, when owner was set */
    uint32_t stashed;    /* free slot records at hand */
    uint32_t stash[STASH];
    uint32_t inserted;        /* counters that it was the first to name */
    uint32_t rapid, unlooked; /* refusals in one tick; those to come without a look at the clock */
    uint64_t refused;         /* the coarse clock when a refusal last looked */
    uint64_t session_tick;    /* the coarse clock (clock_tick) when a session was last looked at */
    uint64_t known;           /* CLOCK_BOOTTIME then */
    uint64_t counted_tick;    /* the coarse clock when takes were last counted */
    uint32_t uncounted;       /* takes since then, of this counter */
    uint32_t taken_from;      /* (index + 1) */
};

struct slotshare {
    struct segment segment;
    uint64_t serial; /* random: tells handles apart that had the same address */
    enum owner_kind kind;
    pthread_mutex_t mutex; /* attaching, threads, chunks, reaping: never on a hot path */
    pthread_key_t key;     /* -> struct thread */
    struct thread *threads;
    _Atomic uint32_t epoch; /* +1 in the child of a fork: nothing of before is its own */
    uint32_t leader;        /* 0: not attached */
    int lock;               /* keeps the leader's byte locked (lock_keep); -1: none */
    uint32_t chunk_hint;
    _Atomic uint64_t free_slots; /* {version:32, first + 1:32}, linked by slot.link */
    slotshare *next_handle;      /* fork.c */
};

/** Become an owner if this process is not one yet. The mutex is held.
 * @return SLOTSHARE_OK, SLOTSHARE_EOWNERS, SLOTSHARE_ESYSTEM. */
int handle_attach(slotshare *handle);

/** Give everything back and let the owner records go. The mutex is held. */
void handle_detach(slotshare *handle);

/** The calling thread's own. @return SLOTSHARE_OK, SLOTSHARE_EOWNERS, SLOTSHARE_ESYSTEM. */
int handle_thread_slow(slotshare *handle, struct thread **out);

/** The handle that a thread used last, and what it has there: one look instead of a call. Private
 * to the thread, and only ever believed for the very handle that it names. handle_mine(): is it
 * this one? */
struct thread_cache {
    uint64_t serial;
    struct thread *thread;
};
extern _Thread_local struct thread_cache handle_cache __attribute__((tls_model("initial-exec")));

static inline bool handle_mine(const slotshare *handle, struct thread **out) {
    *out = handle_cache.thread;
    /* In the child of a fork the cache is empty: handle_forget(). */
    return handle_cache.serial == handle->serial;
}

static inline int handle_thread(slotshare *handle, struct thread **out) {
    return handle_mine(handle, out) ? SLOTSHARE_OK : handle_thread_slow(handle, out);
}

/** Forget what belongs to the parent, after a fork, in the child. */
void handle_forget(slotshare *handle);

/** The thread-exit destructor of `key`. */
void handle_thread_exit(void *thread);

/** A free slot record of this process, when the thread has none at hand.
 * @return its index, or UINT32_MAX: the table is full. */
uint32_t handle_slot_slow(slotshare *handle, struct thread *self);

/** A record that is free again: for this thread, or for all threads when it has enough. */
void handle_slot_share(slotshare *handle, uint32_t slot);
static inline void handle_slot_free(slotshare *handle, struct thread *self, uint32_t slot) {
    if (self->stashed < STASH) {
        self->stash[self->stashed++] = slot;
    } else {
        handle_slot_share(handle, slot);
    }
}

/** Give back what dead owners held, if the last pass of any process is older than min_ms (0: in any
 * case). @return slots given back; owner and slot records may have become free without any. */
uint32_t handle_reap(slotshare *handle, uint64_t min_ms);

/** All that `leader`'s process has: finish what is in flight (if dead), give back its slots, free
 * its records. The caller has the lock of the leader or is it. @return slots given back. */
uint32_t reap_process(const struct segment *segment, uint32_t leader, bool dead);

/** Keep handles right over fork(). @return 0 or an errno. */
int fork_watch(slotshare *handle);
void fork_unwatch(slotshare *handle);

/** Load the config file of a single host. @return SLOTSHARE_OK; SLOTSHARE_ECONFIG: it has errors,
 * or a [cluster] section. */
int handle_config(const char *path, struct conf **conf, const struct error_text *error);

/** Open and attach as this kind, for slotshare_open() and control_open(). origin: create the
 * segment from it if there is none; NULL: do not. */
int handle_open(slotshare **out, const char *name, const char *directory,
                const struct segment_origin *origin, bool read_only, enum owner_kind kind,
                const struct error_text *error);

#endif
