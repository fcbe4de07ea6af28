/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_NOTIFY_H
#define SLOTSHARE_BRIDGE_NOTIFY_H
/**
 * What the service manager wants to hear, as sd_notify(3) tells it: ready, stopping, still alive.
 * Without one (no NOTIFY_SOCKET in the environment) nothing is sent and nothing fails.
 * Not thread-safe: the environment is read.
 */
#include <stdint.h>

/** One state, e.g. "READY=1". Never blocks; when it is lost the manager's time-out tells. */
void notify_send(const char *state);

/** How often "WATCHDOG=1" is to be sent, in milliseconds: half of what the manager allows, as
 * sd_watchdog_enabled(3) advises. 0: it does not watch this process. */
uint64_t notify_watchdog_ms(void);

#endif
