/* SPDX-License-Identifier: MIT */
/* One run, and how to have it again. */
#include <stdlib.h>

#include "mutants.h"
#include "sim.h"

static void count_cores(struct sim *sim) {
    for (int i = 0; i < sim->top; i++) {
        if (sim->node[i].core != NULL) {
            struct core_stats stats = core_stats(sim->node[i].core);
            for (size_t j = 0; j < sizeof stats / sizeof(uint64_t); j++) {
                ((uint64_t *)&sim->stats)[j] += ((const uint64_t *)&stats)[j];
            }
        }
    }
    sim->count[COUNT_ELECTIONS] = sim->stats.takeovers;
    sim->count[COUNT_ADMISSIONS] = sim->stats.admissions;
    sim->count[COUNT_GRANTS] = sim->stats.grants;
    sim->count[COUNT_COMMITS] = sim->epoch > 1 ? sim->epoch - 1 : 0;
}

static bool wrong_in_stats(const struct sim *sim) {
    return sim->stats.mass_negative + sim->stats.valid_gone + sim->stats.over_dealt != 0;
}

static enum sim_verdict verdict(const struct sim *sim) {
    if (sim->over != 0) {
        return SIM_OVER;
    }
    if (sim->stuck[0] != '\0') {
        return SIM_STUCK;
    }
    return sim->doubt[0] != '\0' || wrong_in_stats(sim) ? SIM_DOUBT : SIM_GOOD;
}

enum sim_verdict run_one(struct sim *sim, const struct sim_request *request) {
    sim->noise = request->noise;
    sim->only = request->only;
    sim->drop_nodes = request->nodes;
    sim->calm = request->calm;
    sim->trace = request->trace;
    sim->trace_key = request->trace_key;
    sim->out = request->out;
    mutants_apply(sim, request->mutant);
    request->scenario->begin(sim, request->seed);
    double seconds = sim->seconds > 0 ? sim->seconds : request->scenario->seconds;
    bool cut_short = request->until_s > 0 && request->until_s < seconds;
    plan_begin(sim);
    sim_run(sim, cut_short ? request->until_s : seconds);
    if (sim->over == 0 && request->scenario->settles && !cut_short) {
        sim_settle(sim);
    }
    count_cores(sim);
    return verdict(sim);
}

void run_print_verdict(const struct sim *sim, const struct sim_request *request, FILE *out) {
    fprintf(out, "seed %llu of %s: ", (unsigned long long)request->seed, request->scenario->name);
    if (sim->over != 0) {
        fprintf(out, "counter %d went over its limit by %lld at %.3f s\n", sim->over_key,
                (long long)sim->over_by, (double)sim->over_at / 1e6);
    } else if (sim->stuck[0] != '\0') {
        fprintf(out, "%s\n", sim->stuck);
    } else if (sim->doubt[0] != '\0') {
        fprintf(out, "doubtful: %s\n", sim->doubt);
    } else {
        fprintf(out, "%s\n",
                wrong_in_stats(sim) ? "doubtful: a coordinator dealt more than there is" : "good");
    }
}

static void print_ids(const uint8_t *only, unsigned steps, FILE *out) {
    const char *between = "";

    for (unsigned id = 1; id <= steps; id++) {
        unsigned last = id;
        if (only[id] == 0) {
            continue;
        }
        while (last < steps && only[last + 1] != 0) {
            last++;
        }
        fprintf(out, last > id ? "%s%u-%u" : "%s%u", between, id, last);
        between = ",";
        id = last;
    }
    if (*between == '\0') {
        fputc('0', out); /* none: there is no step 0 */
    }
}

void run_print_command(const struct sim_request *request, unsigned steps, FILE *out) {
    static const char *const kinds[] = {"loss", "doubled", "late", "stops", "full"};
    const char *between = " --calm ";

    fprintf(out, "cluster-sim --scenario %s --trace %llu", request->scenario->name,
            (unsigned long long)request->seed);
    if (request->mutant != 0) {
        fprintf(out, " --mutant %d", request->mutant);
    }
    if (request->noise != 0) {
        fprintf(out, " --noise %llu", (unsigned long long)request->noise);
    }
    if (request->nodes != 0) {
        fprintf(out, " --nodes %d", request->nodes);
    }
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if ((request->calm >> i & 1) != 0) {
            fprintf(out, "%s%s", between, kinds[i]);
            between = ",";
        }
    }
    if (request->until_s > 0) {
        fprintf(out, " --until %.3f", request->until_s);
    }
    if (request->trace_key != 0) {
        fprintf(out, " --counter %d", request->trace_key - 1);
    }
    if (request->only != NULL) {
        fputs(" --only ", out);
        print_ids(request->only, steps, out);
    }
    fputc('\n', out);
}

uint8_t *run_parse_ids(const char *text) {
    enum { IDS = 1 << 16 };
    uint8_t *ids = calloc(IDS, 1);

    while (ids != NULL && *text != '\0') {
        char *end = NULL;
        unsigned long first = strtoul(text, &end, 10), last = first;
        bool good = end != text;
        if (good && *end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            good = end != text;
        }
        if (!good || last >= IDS || (*end != ',' && *end != '\0')) {
            free(ids);
            return NULL;
        }
        for (; first <= last; first++) {
            ids[first] = 1;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return ids;
}
