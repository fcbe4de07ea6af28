/* SPDX-License-Identifier: MIT */
/* Chance, and what happens next. The heap holds 16 bytes an event and four children a place; the
 * events themselves lie still in a pool that a world keeps from run to run. */
#include <math.h>
#include <stdlib.h>

#include "sim.h"

/* ---- chance ---- */

uint64_t sim_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_draw(uint64_t *state, uint64_t below) {
    return sim_mix(*state += 0x9e3779b97f4a7c15u) % below;
}

double sim_draw_uniform(uint64_t *state, double from, double to) {
    return from + (to - from) * (double)(sim_mix(*state += 0x9e3779b97f4a7c15u) >> 11) * 0x1p-53;
}

double sim_draw_exponential(uint64_t *state, double mean) {
    return -mean * log(1.0 - sim_draw_uniform(state, 0, 1));
}

uint64_t sim_random(struct sim *sim, uint64_t below) {
    return sim_draw(&sim->random, below);
}

double sim_uniform(struct sim *sim, double from, double to) {
    return sim_draw_uniform(&sim->random, from, to);
}

/* ---- events ---- */

static bool before(const struct sim_due *a, const struct sim_due *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void *grown(void *memory, size_t room, size_t each) {
    void *more = realloc(memory, room * each);
    if (more == NULL) {
        abort();
    }
    return more;
}

static uint32_t take_place(struct sim *sim) {
    if (sim->places_free > 0) {
        return sim->free_place[--sim->places_free];
    }
    if (sim->places == sim->heap_room) {
        sim->heap_room = sim->heap_room == 0 ? 1024 : 2 * sim->heap_room;
        sim->heap = grown(sim->heap, sim->heap_room, sizeof *sim->heap);
        sim->place = grown(sim->place, sim->heap_room, sizeof *sim->place);
        sim->free_place = grown(sim->free_place, sim->heap_room, sizeof *sim->free_place);
    }
    return sim->places++;
}

void sim_at(struct sim *sim, double seconds, struct sim_event event) {
    uint32_t place = take_place(sim);
    struct sim_due due = {
        .at = sim->now + (seconds > 0 ? (sim_time)(seconds * 1e6) : 0),
        .order = ++sim->orders,
        .place = place,
    };
    size_t at = sim->heap_count++;

    sim->place[place] = event;
    for (; at > 0 && before(&due, &sim->heap[(at - 1) / 4]); at = (at - 1) / 4) {
        sim->heap[at] = sim->heap[(at - 1) / 4];
    }
    sim->heap[at] = due;
}

static void fill_gap(struct sim *sim, const struct sim_due *last) {
    size_t at = 0, count = sim->heap_count;

    for (;;) {
        size_t child = 4 * at + 1, end = child + 4 < count ? child + 4 : count, least = child;
        if (child >= count) {
            break;
        }
        for (size_t i = child + 1; i < end; i++) {
            least = before(&sim->heap[i], &sim->heap[least]) ? i : least;
        }
        if (!before(&sim->heap[least], last)) {
            break;
        }
        sim->heap[at] = sim->heap[least];
        at = least;
    }
    sim->heap[at] = *last;
}

bool sim_next_event(struct sim *sim, sim_time until, struct sim_event *out) {
    if (sim->heap_count == 0 || sim->heap[0].at > until) {
        return false;
    }
    uint32_t place = sim->heap[0].place;
    sim->now = sim->heap[0].at;
    *out = sim->place[place];
    sim->free_place[sim->places_free++] = place;
    struct sim_due last = sim->heap[--sim->heap_count];
    fill_gap(sim, &last);
    return true;
}
