/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_NET_INTERNAL_H
#define SLOTSHARE_BRIDGE_NET_INTERNAL_H
/** What net.c (the listener, messages), net_peer.c (members), net_renew.c (certificates),
 * net_end.c (ending connections) and net_tend.c (looking after them) share. */
#include <arpa/inet.h>
#include <stdatomic.h>

#include <nng/nng.h>

#include "gate.h"
#include "net.h"
#include "net_probe.h"
#include "net_tls.h"
#include "refusal.h"

struct net_peer {
    bool used;    /**< else this node itself, or nobody (any more) */
    bool leaving; /**< not used any more, but its dialer and connection are still there */
    struct conf_member member;
    int event_fd; /**< the net's, for the callbacks */
    nng_socket socket;
    nng_dialer dialer;
    int fd;                /**< readable when messages are there; belongs to nng */
    nng_tls_config *tls;   /**< NULL: plain TCP */
    bool stale;            /**< the certificates were renewed: dial anew when the connection ends */
    _Atomic uint32_t pipe; /**< id of the connection, 0: none; written by threads of nng */
    nng_msg *message;      /**< that net_receive() gave out last */
    uint32_t address_pipe; /**< the connection whose other end `address` is */
    char address[INET6_ADDRSTRLEN];

    /* Only the caller's thread, in net_tend() and net_receive(). */
    uint32_t known_pipe; /**< of the connection that the log knows of */
    uint64_t since;      /**< when it came or went */
    uint64_t heard;      /**< when a message last came */
    uint64_t next_probe;
    struct net_probe *probe;
    int reason;        /**< that the log knows of; -1: none */
    uint32_t ended;    /**< id of the connection that was told to end last */
    unsigned ends;     /**< how often; while it is leaving: how often it was looked at */
    unsigned lost;     /**< how often in a row it could be reached all the same, or had not ended */
    uint64_t next_log; /**< when to tell the same reason again */
    struct log_rate came_rate, went_rate, silent_rate;
};

/** The certificates' files, looked at now and then: have they changed? */
struct net_watch {
    uint64_t next;
    uint64_t known, seen; /**< what they looked like when they were read, and at the last look */
};

struct net {
    const struct conf *conf;
    const struct log *log;
    int event_fd;
    struct gate *gate;
    struct refusal_book book;
    struct net_tls_files files; /**< in use now; all NULL without TLS */
    struct net_watch watch;
    uint64_t tended;   /**< when net_tend() last looked */
    uint32_t peers;    /**< places in peer[] that were ever used */
    const char *first; /**< the address that is sent to first */
    struct net_peer peer[NET_PEERS_MAX];
};

/** A thread of nng's has news for net_tend(). */
void net_wake(int event_fd);
/** Put a member in its place, and make its socket and dialer. @return 0; -1: error is filled. */
void net_peer_start(struct net *net, struct net_peer *peer, const struct conf_member *member);
int net_peer_open(struct net *net, struct net_peer *peer, char *error, size_t error_size);
/** Dial with the certificates in use now, and no longer with others. @return as above. */
int net_peer_dial(struct net *net, struct net_peer *peer, char *error, size_t error_size);
/** Dial no more, and let go of the certificates: at once only where there is no connection. */
void net_peer_drop_dialer(struct net_peer *peer);
/** End a connection, in such a way that nng does not lose a receive over it. REM_POST follows.
 * times: how often that was tried, and nothing has come in since. */
void net_end_pipe(uint32_t id, unsigned times);
/** A member that is leaving: end its connection, then its dialer, as far as that can be done now.
 */
void net_peer_leave(struct net_peer *peer);
/** Forget the message that was given out last. */
void net_drop_message(struct net_peer *peer);
/** How many connections to our gate are enough. */
void net_count_subscribers(struct net *net);

/** Read and check certificates. side: for who listens (else for who dials), checked to be this
 * node's. @return 0; -1: error says what is wrong and *files, *side are empty. */
int net_certificates(const struct net *net, const char *const path[3], bool listens,
                     struct net_tls_files *files, struct tls_side **side, char *error,
                     size_t error_size);
/** The URL to listen on. */
const char *net_listen_url(const struct net *net);
/** Read them anew when their files have changed. */
void net_watch_files(struct net *net, uint64_t now_ms);
/** What the files in use look like now. */
uint64_t net_watch_look(const struct net *net);

#endif
