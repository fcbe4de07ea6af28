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

#include "net_tls.h"

struct net_probe;

enum { NET_PROBE_TIMEOUT_MS = 3000 };

/** What was found. */
struct net_probe_result {
    int code;         /**< 0: reached; else an NNG_E* code */
    enum refusal why; /**< what its TLS is refused for, or ours by it; REFUSALS: nothing of it */
    char name[REFUSAL_NAME_MAX + 1]; /**< that its certificate names; may be empty */
};

/**
 * Start to connect.
 * @param url       tcp://HOST:PORT or tls+tcp://HOST:PORT
 * @param files     our certificates, for the latter; read before this returns
 * @param member    whom its certificate must name
 * @param event_fd  an eventfd to be added to when it is finished; -1: none
 * @return NULL when memory is out or the URL is no good.
 */
struct net_probe *net_probe_start(const char *url, const struct net_tls_files *files,
                                  const char *member, int event_fd);

/** @return true when it is finished, and *result. */
bool net_probe_done(const struct net_probe *probe, struct net_probe_result *result);

/** Ends it, whether finished or not. NULL is ignored. */
void net_probe_free(struct net_probe *probe);

/** What a result means for people who configure members. member: whose URL was tried.
 * @return a sentence in `text`. */
const char *net_probe_reason(const struct net_probe_result *result, const char *member, char *text,
                             size_t size);

#endif
