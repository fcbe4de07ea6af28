/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_CHANGES_H
#define SLOTSHARE_SHM_CHANGES_H
/**
 * What an operator changes on a single host without the file: overrides of limits, and that the
 * node is drained. It lies in the rule set, so it stays as long as the segment.
 *
 * Nobody is there to end an override in time, so its end is safe without anybody: what an override
 * lends above the file's limit is lent like a share in a cluster, and the session of a single host
 * ends with the first override that does (otherwise never). From then on a take that what the file
 * says does not cover fails by itself; whoever is refused finds that the time has come, and loads
 * the limits without that override. An override that lowered a limit ends in this way, too: it only
 * matters to those that it refuses. All of that goes by the host's own CLOCK_BOOTTIME.
 */
#include "handle.h"

/** Override whose time is over are taken away, if nobody else is about to change the limits.
 * Cheap when there is none. @return true: something has changed, try again. */
bool changes_expire(slotshare *handle, uint32_t me);

/** The changes in the rule set in force; those that have ended are left out. @return 0; -1. */
int changes_now(const slotshare *handle, struct conf_changes *out);

/** Keep others from changing limits, on a single host; the mutex is held. @return a descriptor,
 * whose closing ends it; -1: told. */
int changes_lock(const slotshare *handle, const struct error_text *error);

/** Bring a configuration, its changes in effect, into force; locked. @return as reload_publish().
 */
int changes_publish(slotshare *handle, uint32_t me, const struct conf *conf,
                    const struct error_text *error);

#endif
