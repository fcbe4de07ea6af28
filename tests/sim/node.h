/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_SIM_NODE_H
#define SLOTSHARE_TESTS_SIM_NODE_H
/** What the files that make up a node share: files.c, host.c, shell.c and node.c. */
#include "sim.h"

/** A counter is not the same under what is committed and what is loaded. */
bool files_differ(const struct sim *sim, const struct sim_node *n, int key);
/** This configuration refuses nothing to this node: it is a member, and the limit only observed. */
bool files_observe(const struct sim *sim, const struct sim_node *n, int file, int key);
/** Nothing is refused: neither what is committed nor what is loaded enforces its limit. */
bool files_observed(const struct sim *sim, const struct sim_node *n, int key);
/** What a segment has that is made now. */
void files_new_segment(struct sim_node *n);
/** What the core is told when it starts; then its counters. */
void files_options(const struct sim *sim, struct sim_node *n, struct core_options *options);
void files_define(struct sim *sim, int node);
/** Load the file soon if it is another one than what is loaded. */
void files_changed(struct sim *sim, int node);
/** Propose this configuration, whatever lies there as the file. */
void files_load(struct sim *sim, int node, int file);
void files_promise(struct sim *sim, int node, const struct core_action *action);
void files_commit(struct sim *sim, int node, const struct core_action *action);
/** What an operator does who sees what the bridges report. */
void files_operate(struct sim *sim);
/** Who runs, promised and hears what: for the trace. */
void files_show(struct sim *sim);

/** What is loaded is promised by others: nothing else may take its place. */
bool former_binds(struct sim *sim, int node);
/** What is loaded is a proposal: remember it on the disk. */
void former_store(struct sim *sim, int node);
/** This node goes back to this configuration, which somebody has promised, by itself. */
bool former_known(const struct sim *sim, const struct sim_node *n, int file);
/** A heartbeat was heard: go back to what others have promised, when it was proposed here. */
void former_heard(struct sim *sim, int node, const struct core_heartbeat *heartbeat);

uint64_t host_key_hash(int key);
/** Compute the node's homes and reserves, of all configurations. */
void host_deal(struct sim *sim, int node);
/** Is the limit kept? node: who has just taken, -1: nobody. */
void host_check(struct sim *sim, int key, int node);
/** One slot; id: of the connection. */
void host_take(struct sim *sim, int node, int key, uint64_t id);
/** Workers take what they want and may, and ring when they are refused. */
void host_fill_up(struct sim *sim, int node, int key);
void host_on_close(struct sim *sim, const struct sim_event *event);
void host_on_workers(struct sim *sim, const struct sim_event *event);

/** After an event: does what a coordinator counts cover what is held? If not, sim->doubt says so.
 */
void accounts_check(struct sim *sim, const struct sim_event *event);

/** Perform what the core asked for, as far as the bridge gets. */
void shell_perform_all(struct sim *sim, int node);
sim_time shell_stopped_until(const struct sim_node *n);
bool shell_runs(const struct sim *sim, int node, uint64_t generation);
void shell_on_tick(struct sim *sim, const struct sim_event *event);
void shell_on_continue(struct sim *sim, const struct sim_event *event);
void shell_on_scan(struct sim *sim, const struct sim_event *event);

#endif
