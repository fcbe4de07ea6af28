/* SPDX-License-Identifier: MIT */
/* slot-bench-crowd: what bridge-cost lets the workers of many nodes do, in one process. On every
 * node it wants more of each contended counter than there is, and now and then a connection ends
 * and another one takes its place; the idle ones it has used once.
 * Usage: slot-bench-crowd CONTENDED IDLE MOST DIRECTORY:SEGMENT...
 * MOST: slots that a node tries to hold on a contended counter. It says "ready" when all counters
 * exist, and ends when its standard input does. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <slotshare/slotshare.h>

enum { NODES_MAX = 64, ROUND_MS = 500 };

struct crowd {
    slotshare *handle;
    slotshare_counter *counter; /* of the contended ones */
    slotshare_slot *slot;       /* most of each */
    unsigned *held;
};

struct work {
    unsigned contended, idle, most, nodes;
    struct crowd node[NODES_MAX];
};

static void fail(const char *what, int result) {
    (void)fprintf(stderr, "slot-bench-crowd: %s: %s\n", what, slotshare_strerror(result));
    exit(1);
}

static void *must_have(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL)
        fail("memory", SLOTSHARE_ESYSTEM);
    return memory;
}

static void use_once(slotshare *handle, const char *domain) {
    struct slotshare_connection to = {NULL, domain, NULL};
    slotshare_slot slot;
    int result = slotshare_acquire(handle, &to, &slot);
    if (result == SLOTSHARE_OK)
        result = slotshare_release(handle, slot);
    if (result < 0)
        fail(domain, result);
}

static void start(struct work *work, struct crowd *crowd, char *place) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    char *name = strrchr(place, ':');
    char domain[64];
    if (name == NULL)
        fail(place, SLOTSHARE_EINVAL);
    *name++ = '\0';
    options.directory = place;
    int result = slotshare_open(&crowd->handle, name, &options);
    if (result != SLOTSHARE_OK)
        fail(place, result);
    crowd->counter = must_have(work->contended, sizeof *crowd->counter);
    crowd->held = must_have(work->contended, sizeof *crowd->held);
    crowd->slot = must_have((size_t)work->contended * work->most, sizeof *crowd->slot);
    for (unsigned i = 0; i < work->contended; i++) {
        (void)snprintf(domain, sizeof domain, "busy%u.example.com", i);
        struct slotshare_connection to = {NULL, domain, NULL};
        result = slotshare_counter_find(crowd->handle, &to, &crowd->counter[i]);
        if (result != SLOTSHARE_OK)
            fail(domain, result);
    }
    for (unsigned i = 0; i < work->idle; i++) {
        (void)snprintf(domain, sizeof domain, "idle%u.example.com", i);
        use_once(crowd->handle, domain);
    }
}

/* One connection ends, and as many are begun as there are slots: the last try is refused. */
static void go_round(struct work *work, struct crowd *crowd, unsigned round) {
    for (unsigned i = 0; i < work->contended; i++) {
        slotshare_slot *slot = crowd->slot + (size_t)i * work->most;
        unsigned *held = &crowd->held[i];
        int result = SLOTSHARE_OK;
        if (*held > 0 && (i + round) % 4 == 0)
            (void)slotshare_release(crowd->handle, slot[--*held]);
        while (*held < work->most && result == SLOTSHARE_OK) {
            result = slotshare_counter_acquire(crowd->handle, crowd->counter[i], &slot[*held]);
            *held += result == SLOTSHARE_OK;
        }
        if (result < 0)
            fail("take", result);
    }
}

/* The nodes one after the other, evenly over the round, as workers of real nodes would be. */
static void go_on(struct work *work) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    unsigned each = ROUND_MS / work->nodes;
    for (unsigned round = 0;; round++) {
        for (unsigned i = 0; i < work->nodes; i++) {
            go_round(work, &work->node[i], round);
            if (poll(&input, 1, (int)each) != 0)
                return;
        }
    }
}

int main(int argc, char **argv) {
    static struct work work;
    if (argc < 5 || argc - 4 > NODES_MAX)
        return 2;
    work.contended = (unsigned)strtoul(argv[1], NULL, 10);
    work.idle = (unsigned)strtoul(argv[2], NULL, 10);
    work.most = (unsigned)strtoul(argv[3], NULL, 10);
    work.nodes = (unsigned)(argc - 4);
    for (unsigned i = 0; i < work.nodes; i++)
        start(&work, &work.node[i], argv[4 + i]);
    (void)puts("ready");
    (void)fflush(stdout);
    go_on(&work);
    return 0; /* what is held comes back by itself */
}
