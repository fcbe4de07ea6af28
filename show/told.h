/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHOW_TOLD_H
#define SLOTSHARE_SHOW_TOLD_H
/**
 * What the bridge of this host tells of the cluster, put into a snapshot: answers to "nodes",
 * "from" and "events" (bridge/daemon_nodes.c). They are not trusted: what is missing or odd is
 * shown as not known. Not thread-safe.
 */
#include <jansson.h>
#include <stdbool.h>

#include "snapshot.h"

/** Nodes and what is waited for. @return false: no memory */
bool told_nodes(struct snapshot *snapshot, const json_t *answer);

/**
 * The counters as a node has told them, with limit and scope as they are here; what only that node
 * knows is not known. Owners and slots, which are those of this host, go.
 * @param name  of the node; must outlive the snapshot
 * @param only  this counter alone; NULL: all
 * @return false: no memory
 */
bool told_from(struct snapshot *snapshot, const json_t *answer, const char *name, const char *only);

/** Events. @return false: no memory */
bool told_events(struct snapshot *snapshot, const json_t *answer);

#endif
