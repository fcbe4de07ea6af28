/* SPDX-License-Identifier: MIT */
/* slot-bench-crowd: what bridge-cost lets the workers of many nodes do, in one process. On every
 * node it wants more of each contended counter than there is, and now and then a connection ends
 * and another one takes its place; the idle ones it has used once.
 * Usage: slot-bench-crowd CONTENDED IDLE MOST LIMIT DIRECTORY:SEGMENT...
 * MOST: slots that a node tries to hold on a contended counter. LIMIT: of each of them. It says
 * "ready" when all counters exist, and ends when its standard input does. Commands there, a line
 * each:
 *     held      says what each node holds of the contended counters, and then how often all
 *               together held more than the limit of one
 *     end I     the workers of node I die: what they held is gone
 *     begin I   they start anew, in the segment that is there then; says "ready"
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

enum { NODES_MAX = 64, ROUND_MS = 500 };

struct crowd {
    const char *directory, *segment;
    slotshare *handle;          /* NULL: nobody works there */
    slotshare_counter *counter; /* of the contended ones */
    slotshare_slot *slot;       /* most of each */
    unsigned *held;
};

struct work {
    unsigned contended, idle, most, limit, nodes;
    struct crowd node[NODES_MAX];
    unsigned *total; /* held of each contended counter by all together */
    unsigned long over;
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

static void split(struct crowd *crowd, char *place) {
    char *colon = strrchr(place, ':');
    if (colon == NULL)
        fail(place, SLOTSHARE_EINVAL);
    *colon = '\0';
    crowd->directory = place;
    crowd->segment = colon + 1;
}

static void start(struct work *work, struct crowd *crowd) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    char domain[64];
    options.directory = crowd->directory;
    int result = slotshare_open(&crowd->handle, crowd->segment, &options);
    if (result != SLOTSHARE_OK)
        fail(crowd->segment, result);
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

static void die(struct work *work, struct crowd *crowd) {
    for (unsigned i = 0; i < work->contended; i++)
        work->total[i] -= crowd->held[i];
    slotshare_close(crowd->handle);
    free(crowd->counter);
    free(crowd->held);
    free(crowd->slot);
    *crowd = (struct crowd){.directory = crowd->directory, .segment = crowd->segment};
}

/* One connection ends, and as many are begun as there are slots: the last try is refused. */
static void go_round(struct work *work, struct crowd *crowd, unsigned round) {
    for (unsigned i = 0; i < work->contended; i++) {
        slotshare_slot *slot = crowd->slot + (size_t)i * work->most;
        unsigned *held = &crowd->held[i];
        int result = SLOTSHARE_OK;
        if (*held > 0 && (i + round) % 4 == 0) {
            (void)slotshare_release(crowd->handle, slot[--*held]);
            work->total[i]--;
        }
        while (*held < work->most && result == SLOTSHARE_OK) {
            result = slotshare_counter_acquire(crowd->handle, crowd->counter[i], &slot[*held]);
            *held += result == SLOTSHARE_OK;
            work->total[i] += result == SLOTSHARE_OK;
        }
        work->over += work->total[i] > work->limit;
        if (result < 0)
            fail("take", result);
    }
}

static void say_held(const struct work *work) {
    for (unsigned i = 0; i < work->nodes; i++) {
        unsigned long held = 0;
        for (unsigned j = 0; j < work->contended && work->node[i].handle != NULL; j++)
            held += work->node[i].held[j];
        (void)printf("%lu ", held);
    }
    (void)printf("%lu\n", work->over);
}

/* @return false: there are no more commands. */
static bool obey(struct work *work) {
    char line[64];
    ssize_t size = read(STDIN_FILENO, line, sizeof line - 1); /* who asks waits for the answer */
    if (size <= 0)
        return false;
    line[size] = '\0';
    const char *space = strchr(line, ' ');
    unsigned long i = space != NULL ? strtoul(space, NULL, 10) : NODES_MAX;
    struct crowd *crowd = i < work->nodes ? &work->node[i] : NULL;
    if (line[0] == 'h') {
        say_held(work);
    } else if (line[0] == 'e' && crowd != NULL && crowd->handle != NULL) {
        die(work, crowd);
        (void)puts("ended");
    } else if (line[0] == 'b' && crowd != NULL && crowd->handle == NULL) {
        start(work, crowd);
        (void)puts("ready");
    } else {
        fail(line, SLOTSHARE_EINVAL);
    }
    (void)fflush(stdout);
    return true;
}

/* The nodes one after the other, evenly over the round, as workers of real nodes would be. */
static void go_on(struct work *work) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned each = ROUND_MS / work->nodes;
    for (unsigned round = 0;; round++) {
        for (unsigned i = 0; i < work->nodes; i++) {
            if (work->node[i].handle != NULL)
                go_round(work, &work->node[i], round);
            if (poll(&input, 1, (int)each) != 0 && !obey(work))
                return;
        }
    }
}

int main(int argc, char **argv) {
    static struct work work;
    if (argc < 6 || argc - 5 > NODES_MAX)
        return 2;
    work.contended = (unsigned)strtoul(argv[1], NULL, 10);
    work.idle = (unsigned)strtoul(argv[2], NULL, 10);
    work.most = (unsigned)strtoul(argv[3], NULL, 10);
    work.limit = (unsigned)strtoul(argv[4], NULL, 10);
    work.nodes = (unsigned)(argc - 5);
    work.total = must_have(work.contended, sizeof *work.total);
    for (unsigned i = 0; i < work.nodes; i++) {
        split(&work.node[i], argv[5 + i]);
        start(&work, &work.node[i]);
    }
    (void)puts("ready");
    (void)fflush(stdout);
    go_on(&work);
    return 0; /* what is held comes back by itself */
}
