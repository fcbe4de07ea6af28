/* SPDX-License-Identifier: MIT */
/* Small worlds whose network loses nothing: what the tests of the core share. */
#ifndef SLOTSHARE_TESTS_CORE_WORLD_H
#define SLOTSHARE_TESTS_CORE_WORLD_H

#include "../sim/sim.h"

struct sim *world(int nodes, int32_t limit, uint32_t percent, uint64_t witnesses);
/* Nodes that have two counters of one limit: three of a limit of 30 with 50 percent have a home of
 * 10 and a reserve of 5. Connections last. For finish(). */

void finish(struct sim *sim);
/* No limit was exceeded; frees the world. */

void want(struct sim *sim, int node, int32_t demand);
/* The node's workers want that many slots of the first counter from now on. */

int32_t in_use(struct sim *sim, int node);
/* Slots of the first counter. */

bool has_session(struct sim *sim, int node);

double expiry(struct sim *sim);
/* Seconds from a node's last sign of life until others may have what it held. */

double now(struct sim *sim);
/* Seconds. */

#endif
