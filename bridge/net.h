/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_NET_H
#define SLOTSHARE_BRIDGE_NET_H
/**
 * The network: every member publishes to all, and subscribes to each other member by a socket of
 * its own. So who published a message is known by the socket that it came from: the dialed
 * address, and with tls+tcp:// the certificate, which must name the member. Messages may be lost
 * (slow or cut-off peers cost bounded memory), never doubled or reordered within one connection.
 *
 * Connections come and go by themselves. Nothing here blocks, except net_open(), for 3 seconds
 * at most. Not thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../conf/conf.h"
#include "log.h"
#include "refusal.h"

enum {
    NET_MESSAGE_MAX = 256 * 1024, /**< bytes of one message; a longer one ends the connection */
    NET_RECEIVE_QUEUE = 64,       /**< messages kept for us, then the oldest goes */
    NET_SILENT_MS = 5000, /**< a connection that is silent for so long is made anew; only time
                               in which net_tend() was called all along counts */
    NET_RECONNECT_MIN_MS = 50,
    NET_RECONNECT_MAX_MS = 1000,
    NET_PEERS_MAX = 2 * CONF_MEMBERS_MAX, /**< members at once, and some that were removed */
};

struct net;

/**
 * Listen, and start to connect to every other member of conf: member i of conf has the index i
 * here. conf and log must outlive *out.
 * With tls+tcp:// it checks the files first: this node's certificate must be its own, signed by
 * the ca, and valid now.
 *
 * @param error  what was wrong, where, and what to do
 * @return 0; -1: *out is NULL, error is filled.
 */
int net_open(struct net **out, const struct conf *conf, const struct log *log, char *error,
             size_t error_size);
/** Listen only: members are connected to by net_add(). @return as net_open(). */
int net_listen(struct net **out, const struct conf *conf, const struct log *log, char *error,
               size_t error_size);
/**
 * Close everything. Not while messages come in: nng 1.5.2 may then wait for ever for a receive that
 * it has lost. A process that is to end had better just end.
 */
void net_close(struct net *net);

/**
 * Start to connect to one more member. *index is below NET_PEERS_MAX, and none's that is in use.
 * @return 0; -1: too many, or error says what failed.
 */
int net_add(struct net *net, const struct conf_member *member, uint32_t *index, char *error,
            size_t error_size);

/** Let a member go: nothing of it is received any more, and its index may be given out again. */
void net_remove(struct net *net, uint32_t index);

/** Readable when connections have changed: call net_tend(). */
int net_event_fd(const struct net *net);

/** Readable when messages of member i are there; -1 for this node itself, and for no member. */
int net_member_fd(const struct net *net, uint32_t i);

/** What came from a member. bytes are valid until the next call on this net. */
struct net_message {
    const uint8_t *bytes;
    size_t size;
};

/** @return true when *out is a message of member i; false: none is there now. */
bool net_receive(struct net *net, uint32_t i, uint64_t now_ms, struct net_message *out);

/** A message for all that are connected. It goes with net_send(), or by itself when there are some.
 * @return 0; -1: too large, or memory is out. */
int net_publish(struct net *net, const uint8_t *bytes, size_t size);
/** What is published now concerns member i most: net_send() sends to it before others, when it is
 * the only one at its address. */
void net_first(struct net *net, uint32_t i);
/** Send what was published: few large pieces instead of many small ones. */
void net_send(struct net *net);

/** Look after the connections; call it when net_event_fd() is readable and twice a second. Logs
 * members that came, went, are silent or cannot be reached, and why. */
void net_tend(struct net *net, uint64_t now_ms);

/** Is there a connection to member i now? False for this node itself. */
bool net_connected(const struct net *net, uint32_t i);

/** A member could be reached again and again for most of a minute, but no connection to it came
 * about; or one that was told to end had not for NET_SILENT_MS: the network library has lost it,
 * and only a new process helps. */
bool net_stuck(const struct net *net);

/** How many connections were refused, of each reason: that came to us, and (as far as the reason
 * was looked for) that we made. */
void net_refusals(struct net *net, uint64_t out[REFUSALS]);

/** What became of certificates that were to be read anew. */
enum net_renewal {
    NET_RENEWAL_NONE, /**< there is no TLS */
    NET_RENEWAL_SAME, /**< they are those in use */
    NET_RENEWAL_NEW,  /**< connections made from now on use them; those that are there stay */
    NET_RENEWAL_BAD,  /**< error says why; those in use stay in use */
};

/** Read the certificates that conf names anew, and log what became of them. */
enum net_renewal net_renew(struct net *net, const struct conf *conf, char *error,
                           size_t error_size);

/** The TCP port that it listens on. */
uint16_t net_port(const struct net *net);

#endif
