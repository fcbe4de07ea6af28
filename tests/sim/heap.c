/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "sim.h"

/* ---- chance ---- */

static uint64_t next_random(struct sim *sim) {
    uint64_t z = (sim->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_random(struct sim *sim, uint64_t below) {
    return next_random(sim) % below;
}

double sim_uniform(struct sim *sim, double from, double to) {
    return from + (to - from) * (double)(next_random(sim) >> 11) * 0x1p-53;
}

double sim_exponential(struct sim *sim, double mean) {
    return -mean * log(1.0 - sim_uniform(sim, 0, 1));
}

/* ---- events: a binary heap ---- */

static bool before(const struct sim_event *a, const struct sim_event *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void sim_at(struct sim *sim, double seconds, struct sim_event event) {
    if (sim->heap_count == sim->heap_room) {
        sim->heap_room = sim->heap_room == 0 ? 1024 : 2 * sim->heap_room;
        sim->heap = realloc(sim->heap, sim->heap_room * sizeof *sim->heap);
        if (sim->heap == NULL) {
            abort();
        }
    }
    event.at = sim->now + (seconds > 0 ? (sim_time)(seconds * 1e6) : 0);
    event.order = ++sim->orders;
    size_t at = sim->heap_count++;
    for (; at > 0 && before(&event, &sim->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
    }
    sim->heap[at] = event;
}

void sim_tell_story(struct sim *sim, double seconds, uint64_t a, uint64_t b) {
    sim_at(sim, seconds, (struct sim_event){.type = EVENT_STORY, .a = a, .b = b});
}

bool sim_next_event(struct sim *sim, sim_time until, struct sim_event *out) {
    if (sim->heap_count == 0 || sim->heap[0].at > until) {
        return false;
    }
    *out = sim->heap[0];
    struct sim_event last = sim->heap[--sim->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= sim->heap_count) {
            break;
        }
        if (child + 1 < sim->heap_count && before(&sim->heap[child + 1], &sim->heap[child])) {
            child++;
        }
        if (!before(&sim->heap[child], &last)) {
            break;
        }
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    sim->heap[at] = last;
    return true;
}
