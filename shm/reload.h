/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_RELOAD_H
#define SLOTSHARE_SHM_RELOAD_H
/** From a configuration file that has changed to the rule sets in the segment (limit.h). */
#include "../conf/conf.h"
#include "segment.h"

/**
 * Compile and publish as pending, after a look at what cannot change while workers run.
 * replace: withdraw what is pending; else SLOTSHARE_EBUSY when something is.
 * @return SLOTSHARE_OK, SLOTSHARE_EBUSY, SLOTSHARE_ECONFIG, SLOTSHARE_ESYSTEM.
 */
int reload_publish(const struct segment *segment, uint32_t me, const struct conf *conf,
                   bool replace, const struct error_text *error);

/** Limits may have risen: wake those who wait for a slot. */
void reload_wake(const struct segment *segment);

#endif
