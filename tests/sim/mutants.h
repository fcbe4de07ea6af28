/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_SIM_MUTANTS_H
#define SLOTSHARE_TESTS_SIM_MUTANTS_H
/** One rule left out of the core or of the world around it, so that a run must go over. */
#include "../../bridge/core/mutants.h"
#include "sim.h"

/** Those of the world: hosts that do not do their part. After the core's. */
enum {
    WORLD_NO_DRAIN = MUTANT_COUNT,
    WORLD_COMMIT_RAISES,
    WORLD_NO_END,
    WORLD_NO_FORMER,
    WORLD_MUTANTS_END
};

struct mutant {
    int id;
    const char *rule; /* of PROTOCOL.md */
    const char *text;
    const char *scenario; /* where to look for it */
    uint64_t seeds;       /* at most */
};
/** Ends with an id of 0. */
extern const struct mutant mutants[];

/** Leave that rule out of a world and the cores that it will create. 0: none. */
void mutants_apply(struct sim *sim, int id);

#endif
