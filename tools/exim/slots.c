/* SPDX-License-Identifier: MIT */
/*
 * What this process holds. A delivery process has one connection at a time, as a rule; a process
 * that receives mail may have a few, when it calls out to verify addresses.
 *
 * Exim may pass a connection on to another process, which did not take the slot and cannot give it
 * back. Therefore:
 * - While a slot is held, a descriptor stays open that tells slotshare that "this process" lives.
 *   Processes that Exim makes inherit it, over fork() and over execve(), and have it until they
 *   end: so the slot of a connection that was passed on lasts as long as any of them.
 * - A slot is given back by hand only when the kernel says that its connection is closed, whoever
 *   had it open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/connection.h"
#include "exim.h"

enum { HELD_MAX = 16 };

struct held {
    bool used;
    bool passed; /* to another process: the slot comes back when that has ended */
    unsigned port;
    char address[CONNECTION_ADDRESS];
    slotshare_slot slot;
};

/* dlfunc gives no place to keep anything: what an Exim process knows has to be here. */
static struct {
    pid_t pid;
    slotshare *handle; /* where the slots are from */
    struct held held[HELD_MAX];
    int keep;          /* the descriptor; -1: none */
    int64_t waited_ms; /* all waits of this process */
} self = {.keep = -1};

/* A child holds nothing of what its parent does. The descriptor stays open: that is its use. */
static void know_myself(void) {
    if (self.pid != getpid()) {
        memset(&self, 0, sizeof self);
        self.pid = getpid();
        self.keep = -1;
    }
}

struct work {
    struct slotshare_connection connection;
    struct slotshare_explanation why;
    slotshare_slot slot;
    slotshare *handle;
    int wait_ms;
};

static int do_take(void *arg) {
    struct work *work = arg;
    int result = slotshare_acquire(work->handle, &work->connection, &work->slot);
    if (result == SLOTSHARE_FULL && work->wait_ms > 0) {
        result =
            slotshare_acquire_wait(work->handle, &work->connection, &work->slot, work->wait_ms);
    }
    return result;
}

static int do_release(void *arg) {
    struct work *work = arg;
    return slotshare_release(work->handle, work->slot);
}

static int do_keep(void *arg) {
    struct work *work = arg;
    return slotshare_keep_fd(work->handle);
}

static int do_explain(void *arg) {
    struct work *work = arg;
    return slotshare_explain(work->handle, &work->connection, &work->why);
}

static void give_back(struct held *held) {
    struct work work = {.handle = self.handle, .slot = held->slot};

    /* Stale: the segment was made anew. Whatever it says, this process holds it no longer. */
    (void)guarded(do_release, &work);
    held->used = false;
    if (!slots_held() && self.keep >= 0) {
        (void)close(self.keep);
        self.keep = -1;
    }
}

bool slots_held(void) {
    know_myself();
    for (int i = 0; i < HELD_MAX; i++) {
        if (self.held[i].used) {
            return true;
        }
    }
    return false;
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Names that slotshare would not have in a configuration, either: without them. */
static int take_or_less(struct work *work) {
    const char *host = work->connection.host;
    int result = guarded(do_take, work);

    if (result == SLOTSHARE_ENAME) {
        work->connection.host = NULL;
        result = guarded(do_take, work);
    }
    if (result == SLOTSHARE_ENAME) {
        work->connection.host = host;
        work->connection.domain = NULL;
        result = guarded(do_take, work);
    }
    return result;
}

static struct held *room(void) {
    for (int i = 0; i < HELD_MAX; i++) {
        if (!self.held[i].used) {
            return &self.held[i];
        }
    }
    return NULL;
}

/* The slot is ours only when the processes to come will keep it alive. */
static int keep(struct work *work) {
    if (self.keep >= 0) {
        return SLOTSHARE_OK;
    }
    int fd = guarded(do_keep, work);
    if (fd < 0) {
        return fd;
    }
    if (fcntl(fd, F_SETFD, 0) != 0) {
        (void)close(fd);
        return SLOTSHARE_ESYSTEM;
    }
    self.keep = fd;
    return SLOTSHARE_OK;
}

int slot_take(const struct settings *settings, const struct slotshare_connection *connection,
              const char *address, unsigned port) {
    know_myself();
    slot_failed(NULL, 0); /* what was left by connections that could not be opened */
    struct work work = {.connection = *connection, .handle = segment_open(settings)};
    struct held *held = room();
    if (!work.handle) {
        return SLOTSHARE_ENOSEGMENT;
    }
    if (!held) {
        return SLOTSHARE_FULL;
    }
    self.handle = work.handle;
    work.wait_ms = settings->wait_ms - (int)self.waited_ms;
    int64_t began = now_ms();
    int result = take_or_less(&work);
    if (result == SLOTSHARE_EGONE) { /* replaced since we opened it */
        segment_trouble(settings, result);
        work.handle = self.handle = segment_open(settings);
        result = work.handle ? take_or_less(&work) : SLOTSHARE_ENOSEGMENT;
    }
    self.waited_ms += now_ms() - began;
    if (result != SLOTSHARE_OK) {
        return result;
    }
    *held = (struct held){.used = true, .port = port, .slot = work.slot};
    (void)snprintf(held->address, sizeof held->address, "%s", address);
    result = keep(&work);
    if (result != SLOTSHARE_OK) {
        give_back(held);
    }
    return result;
}

int slot_look(const struct settings *settings, const struct slotshare_connection *connection) {
    struct work work = {.connection = *connection, .handle = segment_open(settings)};

    if (!work.handle) {
        return SLOTSHARE_ENOSEGMENT;
    }
    int result = guarded(do_explain, &work);
    if (result == SLOTSHARE_EGONE) {
        segment_trouble(settings, result);
        work.handle = segment_open(settings);
        result = work.handle ? guarded(do_explain, &work) : SLOTSHARE_ENOSEGMENT;
    }
    if (result != SLOTSHARE_OK) {
        return result == SLOTSHARE_ENAME ? SLOTSHARE_OK : result;
    }
    return work.why.would_admit || work.why.waiting < settings->waiters ? SLOTSHARE_OK
                                                                        : SLOTSHARE_FULL;
}

static bool leads_to(const struct held *held, const char *address, unsigned port) {
    return held->used && (!address || (held->port == port && strcmp(held->address, address) == 0));
}

void slot_closed(const char *ends) {
    struct connection_ends connection;
    char address[CONNECTION_ADDRESS];
    unsigned port = 0;

    know_myself();
    bool known = connection_read(&connection, ends) && connection_remote(ends, address, &port);
    for (int i = 0; i < HELD_MAX; i++) {
        struct held *held = &self.held[i];
        if (!leads_to(held, known ? address : NULL, port) || held->passed) {
            continue;
        }
        /* When the kernel does not tell, the slot waits for the end of all processes, too. */
        if (known && connection_state(&connection) == CONNECTION_GONE) {
            give_back(held);
        } else {
            held->passed = true;
        }
        return;
    }
}

void slot_failed(const char *address, unsigned port) {
    know_myself();
    for (int i = 0; i < HELD_MAX; i++) {
        struct held *held = &self.held[i];
        if (leads_to(held, address, port) && !held->passed &&
            !connection_mine(held->address, held->port)) {
            give_back(held);
        }
    }
}
