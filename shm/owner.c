/* SPDX-License-Identifier: MIT */
/* Attaching: a record in the segment for each thread, and the kernel's proof of life for all. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handle.h"
#include "hot.h"
#include "lock.h"
#include "mutant.h"
#include "take.h"

_Thread_local struct thread_cache handle_cache;

static void describe(struct owner *owner) {
    /* relaxed: for people */
    char command[16] = {0};
    int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, command, sizeof command - 1);
        close(fd);
        for (ssize_t i = 0; i < length; i++) {
            if (command[i] == '\n') {
                command[i] = '\0';
            }
        }
    }
    uint64_t words[2];
    memcpy(words, command, sizeof words);
    atomic_store_explicit(&owner->command[0], words[0], memory_order_relaxed);
    atomic_store_explicit(&owner->command[1], words[1], memory_order_relaxed);
    atomic_store_explicit(&owner->pid, (uint32_t)getpid(), memory_order_relaxed);
    atomic_store_explicit(&owner->attached, clock_boot(), memory_order_relaxed);
    atomic_store_explicit(&owner->waiting, NONE, memory_order_relaxed);
}

/* Turn a free record into one of ours. leader 0: it becomes the leader itself. */
static bool claim_record(const struct segment *segment, uint32_t index, uint32_t leader,
                         enum owner_kind kind) {
    struct owner *owner = &segment->owners[index];
    uint64_t state = atomic_load_explicit(&owner->state, memory_order_acquire);
    if (owner_kind(state) != OWNER_FREE) {
        return false;
    }
    uint64_t mine = owner_make(owner_generation(state) + 1, leader ? leader : index, kind);
    /* acq_rel: what the last user's recovery left in the record is seen */
    return atomic_compare_exchange_strong_explicit(&owner->state, &state, mine,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* The lock first and the record second: a record with a leader that nobody has locked is dead. */
static int attach_at(slotshare *handle, int fd, uint32_t index) {
    const struct segment *segment = &handle->segment;
    uint64_t state = atomic_load_explicit(&segment->owners[index].state, memory_order_relaxed);
    if (owner_kind(state) != OWNER_FREE) {
        return 1;
    }
    bool claimed = MUTANT(RECORD_UNLOCKED) && claim_record(segment, index, 0, handle->kind);
    int taken = lock_take(fd, LOCK_OWNERS + index);
    if (taken != 0) {
        return taken;
    }
    if (!claimed && !claim_record(segment, index, 0, handle->kind)) {
        lock_drop(fd, LOCK_OWNERS + index);
        return 1;
    }
    return 0;
}

static int find_record(slotshare *handle, int fd) {
    uint32_t count = handle->segment.owner_count;
    uint32_t start = (uint32_t)getpid() % (count - 1);
    for (uint32_t i = 0; i < count - 1; i++) {
        uint32_t index = 1 + (start + i) % (count - 1);
        int result = attach_at(handle, fd, index);
        if (result == 0) {
            handle->leader = index;
            return SLOTSHARE_OK;
        }
        if (result < 0) {
            return SLOTSHARE_ESYSTEM;
        }
    }
    return SLOTSHARE_EOWNERS;
}

int handle_attach(slotshare *handle) {
    if (handle->leader) {
        return SLOTSHARE_OK;
    }
    int fd = segment_lock_open(&handle->segment);
    if (fd < 0) {
        return errno == ESTALE ? SLOTSHARE_EGONE : SLOTSHARE_ESYSTEM;
    }
    int result = find_record(handle, fd);
    if (result != SLOTSHARE_OK) {
        close(fd);
        return result;
    }
    handle->lock = lock_keep(fd);
    if (handle->lock < 0) {
        int why = errno;
        struct owner *owner = &handle->segment.owners[handle->leader];
        uint64_t state = atomic_load_explicit(&owner->state, memory_order_relaxed);
        atomic_store_explicit(&owner->state, owner_make(owner_generation(state) + 1, 0, OWNER_FREE),
                              memory_order_release);
        handle->leader = 0;
        close(fd); /* only now: a record in use whose lock is free would look dead */
        errno = why;
        return SLOTSHARE_ESYSTEM;
    }
    describe(&handle->segment.owners[handle->leader]);
    return SLOTSHARE_OK;
}

void handle_detach(slotshare *handle) {
    if (handle->leader) {
        for (struct thread *thread = handle->threads; thread; thread = thread->next) {
            take_count(handle, thread);
        }
        (void)reap_process(&handle->segment, handle->leader, false);
        handle->leader = 0;
    }
    if (handle->lock >= 0) {
        close(handle->lock);
        handle->lock = -1;
    }
}

/* One more record for one more thread; the first thread uses the leader's. The mutex is held. */
static int give_record(slotshare *handle, struct thread *thread) {
    bool leader_used = false;
    for (struct thread *other = handle->threads; other; other = other->next) {
        leader_used = leader_used || other->owner == handle->leader;
    }
    thread->epoch = atomic_load_explicit(&handle->epoch, memory_order_relaxed);
    if (!leader_used) {
        thread->owner = handle->leader;
        return SLOTSHARE_OK;
    }
    for (uint32_t i = 1; i < handle->segment.owner_count; i++) {
        if (claim_record(&handle->segment, i, handle->leader, handle->kind)) {
            thread->owner = i;
            describe(&handle->segment.owners[i]);
            return SLOTSHARE_OK;
        }
    }
    return SLOTSHARE_EOWNERS;
}

static struct thread *idle_thread(slotshare *handle) {
    struct thread *without = NULL;
    for (struct thread *thread = handle->threads; thread; thread = thread->next) {
        if (!thread->busy && thread->owner) {
            return thread;
        }
        without = thread->busy ? without : thread;
    }
    if (!without) {
        without = calloc(1, sizeof *without);
        if (without) {
            without->handle = handle;
            without->next = handle->threads;
            handle->threads = without;
        }
    }
    return without;
}

static int bind_thread(slotshare *handle, struct thread **out) {
    int result = handle_attach(handle);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    struct thread *thread = idle_thread(handle);
    if (!thread) {
        errno = ENOMEM;
        return SLOTSHARE_ESYSTEM;
    }
    if (!thread->owner) {
        result = give_record(handle, thread);
    }
    if (result == SLOTSHARE_OK) {
        int why = pthread_setspecific(handle->key, thread);
        if (why != 0) {
            errno = why;
            return SLOTSHARE_ESYSTEM;
        }
        thread->busy = true;
        thread->held = (uint32_t)slot_make(thread->owner, 0, SLOT_HELD);
        *out = thread;
    }
    return result;
}

static int bind_locked(slotshare *handle, struct thread **out) {
    pthread_mutex_lock(&handle->mutex);
    int result = bind_thread(handle, out);
    pthread_mutex_unlock(&handle->mutex);
    return result;
}

COLD int handle_thread_slow(slotshare *handle, struct thread **out) {
    if (handle->segment.read_only) {
        return SLOTSHARE_EREADONLY;
    }
    struct thread *self = pthread_getspecific(handle->key);
    if (!self || self->epoch != atomic_load_explicit(&handle->epoch, memory_order_relaxed)) {
        int result = bind_locked(handle, &self);
        if (result == SLOTSHARE_EOWNERS) {
            (void)handle_reap(handle, 0); /* the dead make room, whether they held slots or not */
            result = bind_locked(handle, &self);
        }
        if (result != SLOTSHARE_OK) {
            return result;
        }
    }
    handle_cache = (struct thread_cache){.serial = handle->serial, .thread = self};
    *out = self;
    return SLOTSHARE_OK;
}

void handle_thread_exit(void *arg) {
    struct thread *thread = arg;
    slotshare *handle = thread->handle;
    handle_cache = (struct thread_cache){0}; /* destructors that run later may yet give back */
    pthread_mutex_lock(&handle->mutex);
    take_count(handle, thread);
    thread->busy = false; /* the record and the slots that it holds stay with the process */
    pthread_mutex_unlock(&handle->mutex);
}

void handle_forget(slotshare *handle) {
    if (handle->lock >= 0) {
        close(handle->lock); /* the parent has its own; with ours open its death would not show */
        handle->lock = -1;
    }
    handle->leader = 0;
    atomic_fetch_add_explicit(&handle->epoch, 1, memory_order_relaxed);
    atomic_store_explicit(&handle->free_slots, 0, memory_order_relaxed);
    for (struct thread *thread = handle->threads; thread; thread = thread->next) {
        thread->busy = false;
        thread->owner = 0;
        thread->stashed = 0;
        thread->uncounted = 0;
    }
    /* This thread has no place of its own either: another one may be the first to attach. */
    handle_cache = (struct thread_cache){0};
    (void)pthread_setspecific(handle->key, NULL);
}

/* ---- slot records: chunks that the process has to itself, and a free list over them ---------- */

COLD void handle_slot_share(slotshare *handle, uint32_t slot) {
    uint64_t head = atomic_load_explicit(&handle->free_slots, memory_order_relaxed);
    uint64_t next;
    do {
        atomic_store_explicit(&handle->segment.slots[slot].link, (uint32_t)head,
                              memory_order_relaxed);
        next = ((head >> 32) + 1) << 32 | (slot + 1);
        /* release: whoever pops it sees its link; the version keeps a stale pop from succeeding */
    } while (!atomic_compare_exchange_weak_explicit(&handle->free_slots, &head, next,
                                                    memory_order_release, memory_order_relaxed));
}

static uint32_t pop_free(slotshare *handle) {
    uint64_t head = atomic_load_explicit(&handle->free_slots, memory_order_acquire);
    for (;;) {
        struct slot *slot =
            (uint32_t)head == NONE ? NULL : slot_at(&handle->segment, (uint32_t)head - 1);
        if (!slot) {
            return UINT32_MAX; /* none, or a damaged link: then the rest of the list is lost */
        }
        uint64_t next =
            ((head >> 32) + 1) << 32 | atomic_load_explicit(&slot->link, memory_order_relaxed);
        uint32_t found = (uint32_t)head - 1;
        if (atomic_compare_exchange_weak_explicit(&handle->free_slots, &head, next,
                                                  memory_order_acquire, memory_order_acquire)) {
            return found;
        }
    }
}

static uint32_t claim_chunk(slotshare *handle) {
    const struct segment *segment = &handle->segment;
    uint64_t state =
        atomic_load_explicit(&segment->owners[handle->leader].state, memory_order_relaxed);
    for (uint32_t i = 0; i < segment->chunk_count; i++) {
        uint32_t chunk = (handle->chunk_hint + i) % segment->chunk_count;
        uint64_t none = 0;
        /* acq_rel: the last owner's records are seen as it, or its recovery, left them */
        if (atomic_load_explicit(&segment->chunks[chunk], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&segment->chunks[chunk], &none, state,
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            handle->chunk_hint = chunk + 1;
            return chunk;
        }
    }
    return UINT32_MAX;
}

COLD uint32_t handle_slot_slow(slotshare *handle, struct thread *self) {
    uint32_t slot = pop_free(handle);
    if (slot != UINT32_MAX) {
        return slot;
    }
    pthread_mutex_lock(&handle->mutex);
    if (handle->chunk_hint == 0) {
        handle->chunk_hint = handle->leader; /* so that processes do not all search from 0 */
    }
    uint32_t chunk = claim_chunk(handle);
    pthread_mutex_unlock(&handle->mutex);
    if (chunk == UINT32_MAX) {
        return UINT32_MAX;
    }
    uint32_t first = chunk * SLOTS_PER_CHUNK;
    for (uint32_t i = SLOTS_PER_CHUNK; i-- > 1;) {
        self->stash[self->stashed++] = first + i;
    }
    return first;
}
