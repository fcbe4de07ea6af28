/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_GROW_H
#define SLOTSHARE_SHM_GROW_H
/**
 * A counter table that is too small grows in place. Every process has mapped the file in the size
 * that the table may reach; what is not used yet is a hole in it that takes no memory. Growing is
 * giving the next part of the hole room on the disk and then raising one number, so no process has
 * to map anything anew, no entry moves, and a kill in between changes nothing.
 */
#include "handle.h"

/**
 * Double the counter table, up to counters_max.
 * @return true when there is more room now, whoever made it; false: it is as large as it may be,
 *         the disk is full, or the file is gone; or another process is making room for longer than
 *         a second, because it was stopped while it did.
 */
bool grow_counters(slotshare *handle);

#endif
