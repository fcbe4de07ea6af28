/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_GATE_H
#define SLOTSHARE_BRIDGE_GATE_H
/**
 * The publisher, and the port that other members connect to. It takes connections, asks for their
 * certificate, lets through those of members that greet as nng's subscribers do, and sends each of
 * them what is published, as nng's publisher does. That one (nng 1.5.2) keeps every connection that
 * has not greeted, without an end and without a bound, does not say why it refuses one, and cannot
 * change its certificate. Behind a gate that only carried its bytes each message went through three
 * more threads, for each subscriber: a third of the time of a hand-over on a fast network.
 *
 * One thread, which it starts itself. What has not greeted within GATE_GREET_MS is ended; of such
 * there are at most GATE_GREETERS, and then the oldest of the address that has most of them goes.
 * Messages go out in the thread that publishes; the gate's own goes on with what a connection does
 * not take at once.
 */
#include <stddef.h>
#include <stdint.h>

#include "net_tls.h"
#include "refusal.h"

enum {
    GATE_GREETERS = 64, /**< connections at once that have not greeted yet; fewer when descriptors
                             are few: an eighth of them */
    GATE_GREET_MS = 20000,   /**< in which they have to */
    GATE_PER_MEMBER = 4,     /**< connections of one member; with more, its oldest is ended */
    GATE_MEMBERS_MAX = 1024, /**< names that may ever come in while the bridge runs */
    GATE_QUEUE = 64, /**< messages kept for a slow connection, then the oldest goes; one that is
                          kept for many is there once */
};

struct gate;

/**
 * Listen. Nobody comes in before gate_start(); those who come wait.
 *
 * @param url       tcp://HOST:PORT or tls+tcp://HOST:PORT; port 0: any
 * @param side      for tls+tcp://, and then the gate's own, also on an error; NULL for tcp://
 * @param book      where refusals are noted; must outlive the gate
 * @param event_fd  an eventfd to be added to when there is one to tell
 * @return 0; -1: *out is NULL, error says why.
 */
int gate_open(struct gate **out, const char *url, struct tls_side *side, struct refusal_book *book,
              int event_fd, char *error, size_t error_size);
/** Let in who may. @return 0; -1: error says why. */
int gate_start(struct gate *gate, char *error, size_t error_size);
/** Ends all connections. NULL is ignored. */
void gate_close(struct gate *gate);

/** A message for all that have been let in, which gate_send() sends, or this when there are some.
 * Does not wait. One thread at a time. @return 0; -1: memory is out. */
int gate_publish(struct gate *gate, const uint8_t *bytes, size_t size);
/** Send what was published, in one piece where that can be. The same thread.
 * @param first  an address as inet_ntop() writes it: to connections from there before others; "":
 * to nobody before others */
void gate_send(struct gate *gate, const char *first);

/** The TCP port that it listens on. */
uint16_t gate_port(const struct gate *gate);

/** Connections that come from now on are asked by these certificates; those that are there stay.
 * side is the gate's own from now on. */
void gate_renew(struct gate *gate, struct tls_side *side);

/** A member that may come in, until the gate is closed: one that has been removed must hear that.
 * Only certificates name members; without TLS everybody may. @return 0; -1: memory is out. */
int gate_allow(struct gate *gate, const char *name);

/** How many connections without TLS may be there at once. */
void gate_most(struct gate *gate, unsigned connections);

#endif
