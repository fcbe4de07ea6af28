/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_SIM_BASELINE_H
#define SLOTSHARE_TESTS_SIM_BASELINE_H
/** Other ways to keep a limit across hosts, in the same world and under the same faults. */
#include "sim.h"

enum { BASELINE_NODES = 8 };

enum sim_policy {
    POLICY_SLOTSHARE,
    POLICY_SPLIT,       /**< each node has its part of the limit, for good */
    POLICY_GOSSIP,      /**< each tells the others what it uses, every second; they leave it room */
    POLICY_LEASE,       /**< a store on one host gives leases that expire */
    POLICY_LEASE_CLOCK, /**< the same, and one client's clock is 90 s ahead */
    POLICIES
};

/** What utilisation and overshoot came to. Sampled every 100 ms. */
struct sim_usage {
    double used, possible; /**< slots times samples: held, up to what could be; what could be */
    double worst;          /**< the most that was ever held, as a part of its limit */
};

/** The world runs this policy. To be called before sim_start(). */
void baseline_choose(struct sim *sim, enum sim_policy policy);
/** Sample from now on. After sim_start(). */
void baseline_measure(struct sim *sim);
const struct sim_usage *baseline_usage(const struct sim *sim);

/* ---- for the world ---- */
bool baseline_runs(const struct sim *sim); /**< another policy than slotshare */
void baseline_host_up(struct sim *sim, int node);
void baseline_host_down(struct sim *sim, int node);
/** Workers want a slot: take what may be taken, or ask for it. */
void baseline_fill_up(struct sim *sim, int node, int key);
void baseline_closed(struct sim *sim, int node, int key, uint64_t id);
void baseline_message(struct sim *sim, int node, const struct sim_message *message);
void baseline_event(struct sim *sim, const struct sim_event *event);

#endif
