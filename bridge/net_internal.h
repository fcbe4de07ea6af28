/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_NET_INTERNAL_H
#define SLOTSHARE_BRIDGE_NET_INTERNAL_H
/** What net.c (sockets, messages) and net_tend.c (looking after connections) share. */
#include <stdatomic.h>

#include <nng/nng.h>

#include "net.h"
#include "net_probe.h"
#include "net_tls.h"

struct net_peer {
    const struct conf_member *member; /**< NULL: this node itself, nothing below is used */
    int event_fd;                     /**< the net's, for the callbacks */
    nng_socket socket;
    nng_dialer dialer;
    int fd;                /**< readable when messages are there; belongs to nng */
    nng_tls_config *tls;   /**< NULL: plain TCP */
    _Atomic uint32_t pipe; /**< id of the connection, 0: none; written by threads of nng */
    nng_msg *message;      /**< that net_receive() gave out last */

    /* Only the caller's thread, in net_tend() and net_receive(). */
    uint32_t known_pipe; /**< of the connection that the log knows of */
    uint64_t since;      /**< when it came or went */
    uint64_t heard;      /**< when a message last came */
    uint64_t next_probe;
    struct net_probe *probe;
    int reason;        /**< that the log knows of; -1: none */
    unsigned lost;     /**< how often in a row it could be reached all the same */
    uint64_t next_log; /**< when to tell the same reason again */
    struct log_rate came_rate, went_rate, silent_rate;
};

struct net {
    const struct conf *conf;
    const struct log *log;
    int event_fd;
    nng_socket publisher;
    nng_listener listener;
    nng_tls_config *tls; /**< of the listener; NULL: plain TCP */
    uint16_t port;
    atomic_uint subscribers; /**< connections to the publisher */
    unsigned subscribers_max;
    struct log_rate refused_rate;
    atomic_uint refused; /**< connections ended because there were too many */
    unsigned refused_known;
    uint32_t peers;
    struct net_peer peer[CONF_MEMBERS_MAX];
};

#endif
