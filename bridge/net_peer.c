/* SPDX-License-Identifier: MIT */
/* Members come and go: one subscribing socket for each. */
#include "net_internal.h"

#include <stdio.h>
#include <unistd.h>

#include <nng/protocol/pubsub0/sub.h>

void net_wake(int event_fd) {
    ssize_t written = write(event_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)written; /* a full eventfd is readable all the same */
}

/* A thread of nng's: a connection to a member's publisher came or went. A new one may come
 * before the old one's end is told, hence the comparison. Relaxed: the id is all there is. */
static void on_peer_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    struct net_peer *peer = arg;
    uint32_t id = pipe.id;
    if (event == NNG_PIPE_EV_ADD_POST)
        atomic_store_explicit(&peer->pipe, id, memory_order_relaxed);
    else
        (void)atomic_compare_exchange_strong_explicit(&peer->pipe, &id, 0, memory_order_relaxed,
                                                      memory_order_relaxed);
    net_wake(peer->event_fd);
}

/* The socket outlives the member: nng 1.5.2 may wait for ever when one is closed that messages came
 * to. It is used again for the next member. */
static int open_socket(struct net_peer *peer) {
    if (peer->socket.id != 0)
        return 0;
    int rc = nng_sub0_open(&peer->socket);
    if (rc == 0)
        rc = nng_socket_set(peer->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);
    if (rc == 0)
        rc = nng_socket_set_int(peer->socket, NNG_OPT_RECVBUF, NET_RECEIVE_QUEUE);
    if (rc == 0)
        rc = nng_socket_set_size(peer->socket, NNG_OPT_RECVMAXSZ, NET_MESSAGE_MAX);
    if (rc == 0)
        rc = nng_socket_set_ms(peer->socket, NNG_OPT_RECONNMINT, NET_RECONNECT_MIN_MS);
    if (rc == 0)
        rc = nng_socket_set_ms(peer->socket, NNG_OPT_RECONNMAXT, NET_RECONNECT_MAX_MS);
    if (rc == 0)
        rc = nng_pipe_notify(peer->socket, NNG_PIPE_EV_ADD_POST, on_peer_pipe, peer);
    if (rc == 0)
        rc = nng_pipe_notify(peer->socket, NNG_PIPE_EV_REM_POST, on_peer_pipe, peer);
    if (rc == 0)
        rc = nng_socket_get_int(peer->socket, NNG_OPT_RECVFD, &peer->fd);
    return rc;
}

void net_peer_drop_dialer(struct net_peer *peer) {
    if (peer->dialer.id != 0)
        (void)nng_dialer_close(peer->dialer);
    peer->dialer = (nng_dialer)NNG_DIALER_INITIALIZER;
    if (peer->tls != NULL)
        nng_tls_config_free(peer->tls);
    peer->tls = NULL;
}

int net_peer_dial(struct net *net, struct net_peer *peer, char *error, size_t error_size) {
    const struct conf_member *member = &peer->member;
    nng_tls_config *tls = NULL;
    if (net_tls_wanted(member->url) &&
        net_tls_config(&tls, &net->files, member->name, error, error_size) != 0)
        return -1;
    net_peer_drop_dialer(peer);
    peer->tls = tls;
    int rc = nng_dialer_create(&peer->dialer, peer->socket, member->url);
    if (rc == 0 && tls != NULL)
        rc = nng_dialer_set_ptr(peer->dialer, NNG_OPT_TLS_CONFIG, tls);
    if (rc == 0)
        rc = nng_dialer_set_bool(peer->dialer, NNG_OPT_TCP_KEEPALIVE, true);
    if (rc == 0)
        rc = nng_dialer_start(peer->dialer, NNG_FLAG_NONBLOCK);
    peer->stale = peer->stale && rc != 0;
    if (rc == 0)
        return 0;
    (void)snprintf(error, error_size, "cannot connect to member %s at %s: %s", member->name,
                   member->url, nng_strerror(rc));
    return -1;
}

int net_peer_open(struct net *net, struct net_peer *peer, char *error, size_t error_size) {
    int rc = gate_allow(net->gate, peer->member.name) == 0 ? open_socket(peer) : NNG_ENOMEM;
    if (rc == 0)
        return net_peer_dial(net, peer, error, error_size);
    (void)snprintf(error, error_size, "cannot connect to member %s: %s", peer->member.name,
                   nng_strerror(rc));
    return -1;
}

/* Bridges that restart may have an old connection beside the new one. */
void net_count_subscribers(struct net *net) {
    unsigned used = 1;
    for (uint32_t i = 0; i < net->peers; i++)
        used += net->peer[i].used ? 1 : 0;
    gate_most(net->gate, 4 * used + 16);
}

void net_peer_start(struct net *net, struct net_peer *peer, const struct conf_member *member) {
    peer->used = true;
    peer->member = *member;
    peer->event_fd = net->event_fd;
    peer->known_pipe = 0;
    peer->since = peer->heard = peer->next_probe = peer->next_log = 0;
    peer->reason = -1;
    peer->lost = 0;
    peer->ended = 0;
    peer->ends = 0;
    peer->stale = false;
}

void net_drop_message(struct net_peer *peer) {
    if (peer->message != NULL)
        nng_msg_free(peer->message);
    peer->message = NULL;
}

/* What a place still has of the member before. @return false: its connection has not ended yet. */
static bool empty_place(struct net *net, uint32_t i) {
    struct net_peer *peer = &net->peer[i];
    struct net_message rest;
    if (peer->used || peer->leaving || atomic_load_explicit(&peer->pipe, memory_order_relaxed) != 0)
        return false;
    while (peer->socket.id != 0 && net_receive(net, i, 0, &rest))
        ;
    net_drop_message(peer);
    return true;
}

int net_add(struct net *net, const struct conf_member *member, uint32_t *index, char *error,
            size_t error_size) {
    const char *const path[3] = {net->conf->certificate, net->conf->key, net->conf->ca};
    struct tls_side *side = NULL;
    uint32_t i = 0;
    while (i < NET_PEERS_MAX && !empty_place(net, i))
        i++;
    if (i == NET_PEERS_MAX) {
        (void)snprintf(error, error_size,
                       "cannot connect to member %s: too many have come and gone; restart the "
                       "bridge",
                       member->name);
        return -1;
    }
    if (net_tls_wanted(member->url) && net->files.ca == NULL &&
        net_certificates(net, path, false, &net->files, &side, error, error_size) != 0)
        return -1;
    tls_side_close(side);
    if (i >= net->peers)
        net->peers = i + 1;
    net_peer_start(net, &net->peer[i], member);
    int rc = net_peer_open(net, &net->peer[i], error, error_size);
    if (rc != 0)
        net_remove(net, i);
    net_count_subscribers(net);
    *index = i;
    return rc;
}

void net_remove(struct net *net, uint32_t index) {
    struct net_peer *peer = &net->peer[index];
    if (!peer->used)
        return;
    peer->used = false;
    peer->leaving = true;
    peer->ends = 0;
    net_probe_free(peer->probe);
    peer->probe = NULL;
    net_drop_message(peer);
    net_peer_leave(peer);
    net_count_subscribers(net);
}
