/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_SIM_NODE_H
#define SLOTSHARE_TESTS_SIM_NODE_H
/** What the files that make up a node share: host.c, shell.c and node.c. */
#include "sim.h"

uint64_t host_key_hash(int key);
/** Compute the node's homes and reserves, of both configurations. */
void host_deal(struct sim *sim, int node);
/** One slot; id: of the connection. */
void host_take(struct sim *sim, int node, int key, uint64_t id);
/** Workers take what they want and may, and ring when they are refused. */
void host_fill_up(struct sim *sim, int node, int key);
void host_on_close(struct sim *sim, const struct sim_event *event);
void host_on_workers(struct sim *sim, const struct sim_event *event);

/** Perform what the core asked for, as far as the bridge gets. */
void shell_perform_all(struct sim *sim, int node);
sim_time shell_stopped_until(const struct sim_node *n);
bool shell_runs(const struct sim *sim, int node, uint64_t generation);
void shell_on_tick(struct sim *sim, const struct sim_event *event);
void shell_on_continue(struct sim *sim, const struct sim_event *event);
void shell_on_scan(struct sim *sim, const struct sim_event *event);

#endif
