/* SPDX-License-Identifier: MIT */
/* A failing run becomes a short story: steps of its plan, kinds of weather, nodes and time are left
 * out as long as it fails without them (Zeller and Hildebrandt, "Simplifying and isolating
 * failure-inducing input", 2002). What is left out changes what happens by chance; so a few other
 * chances are tried before a step is said to be needed. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct shrinker {
    struct sim *sim;
    struct sim_request best;
    enum sim_verdict verdict;
    uint8_t *only, *trial; /* by id: what the best needs so far; and what is tried */
    unsigned steps;
    uint64_t runs, runs_max;
};

static bool fails(struct shrinker *s, struct sim_request *request) {
    struct sim *sim = s->sim;

    s->runs++;
    bool same = run_one(sim, request) == s->verdict;
    if (same && s->verdict == SIM_OVER) {
        request->until_s = (double)sim->over_at / 1e6 + .001;
        request->trace_key = sim->over_key + 1;
    }
    if (same && s->verdict == SIM_DOUBT && sim->doubt[0] != '\0') {
        request->until_s = (double)sim->doubt_at / 1e6 + .001;
        request->trace_key = sim->doubt_key + 1;
    }
    sim_clear(sim);
    return same;
}

/* @return true: it fails so too, and is the best one now. */
static bool try_it(struct shrinker *s, struct sim_request request, int chances) {
    for (int i = 0; i < chances && s->runs < s->runs_max; i++) {
        request.noise = i == 0 ? s->best.noise : s->runs;
        if (fails(s, &request)) {
            s->best = request;
            if (request.only == s->trial) {
                uint8_t *old = s->only;
                s->only = s->trial;
                s->trial = old;
            }
            return true;
        }
    }
    return false;
}

static unsigned list(const struct shrinker *s, unsigned *ids) {
    unsigned count = 0;

    for (unsigned id = 1; id <= s->steps; id++) {
        if (s->only[id] != 0) {
            ids[count++] = id;
        }
    }
    return count;
}

/* Leave out `size` steps at a time, the last ones first. @return true: some were. */
static bool pass(struct shrinker *s, unsigned *ids, unsigned size, int chances) {
    unsigned count = list(s, ids);
    bool any = false;

    for (unsigned end = count; end > 0 && s->runs < s->runs_max;) {
        unsigned begin = end > size ? end - size : 0;
        struct sim_request request = s->best;
        memcpy(s->trial, s->only, s->steps + 1);
        for (unsigned i = begin; i < end; i++) {
            s->trial[ids[i]] = 0;
        }
        request.only = s->trial;
        any = try_it(s, request, chances) || any;
        end = begin;
    }
    return any;
}

/* What lies after the end does not happen anyway. */
static void drop_later(struct shrinker *s, const sim_time *at) {
    for (unsigned id = 1; s->best.until_s > 0 && id <= s->steps; id++) {
        if ((double)at[id] / 1e6 > s->best.until_s) {
            s->only[id] = 0;
        }
    }
}

static void calm_down(struct shrinker *s, int chances) {
    for (unsigned bit = CALM_LOSS; bit <= CALM_FULL; bit <<= 1) {
        struct sim_request request = s->best;
        if ((request.calm & bit) == 0) {
            request.calm |= bit;
            try_it(s, request, chances);
        }
    }
}

static void fewer_nodes(struct shrinker *s, int nodes) {
    for (int n = 2; n < nodes; n++) {
        struct sim_request request = s->best;
        request.nodes = n;
        if (try_it(s, request, 6)) {
            return;
        }
    }
}

static void shrink_steps(struct shrinker *s, const sim_time *at, unsigned *ids) {
    unsigned size = list(s, ids) / 2;

    for (int chances = 2; size > 0 && s->runs < s->runs_max;) {
        drop_later(s, at);
        bool any = pass(s, ids, size, chances);
        if (size > 1) {
            size /= 2;
        } else if (!any && chances < 12) {
            chances = 12;
        } else if (!any) {
            break;
        }
    }
    drop_later(s, at);
}

static unsigned lines_of(struct shrinker *s, struct sim_request request) {
    unsigned lines = 0;

    request.trace = true;
    request.out = NULL;
    s->sim->lines = &lines;
    run_one(s->sim, &request);
    sim_clear(s->sim);
    return lines;
}

void shrink(struct sim *sim, const struct sim_request *failing, struct sim_shrunk *out) {
    struct shrinker s = {.sim = sim, .best = *failing, .runs_max = 12000};

    s.best.trace = false;
    s.verdict = run_one(sim, &s.best);
    s.steps = sim->steps;
    int nodes = sim->drawn_nodes;
    s.only = malloc(s.steps + 1);
    s.trial = malloc(s.steps + 1);
    sim_time *at = calloc(s.steps + 1, sizeof *at);
    unsigned *ids = calloc(s.steps + 1, sizeof *ids);
    if (s.only == NULL || s.trial == NULL || at == NULL || ids == NULL) {
        abort();
    }
    for (unsigned i = 0; i < s.steps; i++) {
        at[sim->step[i].id] = sim->step[i].at;
    }
    sim_clear(sim);
    memset(s.only, 1, s.steps + 1);
    s.best.only = s.only;
    out->lines_before = lines_of(&s, s.best);
    if (s.verdict != SIM_GOOD && fails(&s, &s.best)) {
        calm_down(&s, 4);
        fewer_nodes(&s, nodes);
        shrink_steps(&s, at, ids);
        calm_down(&s, 12);
        fewer_nodes(&s, s.best.nodes != 0 ? s.best.nodes : nodes);
        shrink_steps(&s, at, ids);
    }
    s.best.only = s.only;
    out->request = s.best;
    out->only = s.only;
    out->steps = s.steps;
    out->left = list(&s, ids);
    out->runs = s.runs;
    out->lines = lines_of(&s, s.best);
    free(s.trial);
    free(at);
    free(ids);
}

void shrink_and_tell(struct sim *sim, const struct sim_request *failing) {
    struct sim_shrunk shrunk;

    shrink(sim, failing, &shrunk);
    printf("shrunk from %u steps to %u, from %u lines to %u, by %llu runs:\n", shrunk.steps,
           shrunk.left, shrunk.lines_before, shrunk.lines, (unsigned long long)shrunk.runs);
    shrunk.request.trace = true;
    shrunk.request.out = stdout;
    run_one(sim, &shrunk.request);
    sim_clear(sim);
    printf("the story again: ");
    run_print_command(&shrunk.request, shrunk.steps, stdout);
    free(shrunk.only);
}
