/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_NET_PROBE_H
#define SLOTSHARE_BRIDGE_NET_PROBE_H
/**
 * Finds out why a member cannot be reached: nng's sockets connect again and again in silence, so
 * this makes one connection by hand and keeps the error. A thread of nng's does the work; the
 * functions are for one thread at a time.
 */
#include <stdbool.h>
#include <stddef.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

struct net_probe;

enum { NET_PROBE_TIMEOUT_MS = 3000 };

/**
 * Start to connect.
 * @param tls      how, for a tls+tcp:// URL; NULL for tcp://
 * @param event_fd an eventfd to be added to when it is finished; -1: none
 * @return NULL when memory is out or the URL is no good.
 */
struct net_probe *net_probe_start(const char *url, nng_tls_config *tls, int event_fd);

/** @return true when it is finished: *result is 0 or an NNG_E* code. */
bool net_probe_done(const struct net_probe *probe, int *result);

/** Wait until it is finished. @return as *result above. */
int net_probe_wait(struct net_probe *probe);

/** Ends it, whether finished or not. NULL is ignored. */
void net_probe_free(struct net_probe *probe);

/** What a result means for people who configure members. member: whose URL was tried.
 * @return a sentence in `text`. */
const char *net_probe_reason(int result, const char *member, char *text, size_t size);

#endif
