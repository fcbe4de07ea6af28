/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHOW_TABLES_H
#define SLOTSHARE_SHOW_TABLES_H
/**
 * A snapshot as plain text, for pipes, files and mails: the facts, then tables. Thread-safe.
 */
#include <stdbool.h>
#include <stdio.h>

#include "snapshot.h"

/**
 * Print it.
 * @param views    bits 1U << VIEW_COUNTERS and so on: which tables; members and nodes only when
 *                 there are any
 * @param trouble  why the bridge has told nothing of the nodes; "": it was not asked, or has
 * @return false: no memory
 */
bool tables_show(FILE *out, const struct snapshot *snapshot, unsigned views, const char *trouble);

#endif
