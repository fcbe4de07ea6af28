/* SPDX-License-Identifier: MIT */
#include "net_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

const char *net_listen_url(const struct net *net) {
    const struct conf *conf = net->conf;
    return conf->listen[0] != '\0' ? conf->listen : conf->member[conf->self].url;
}

static bool any_tls(const struct net *net) {
    bool wanted = net_tls_wanted(net_listen_url(net));
    for (uint32_t i = 0; i < net->conf->members; i++)
        wanted = wanted || net_tls_wanted(net->conf->member[i].url);
    return wanted;
}

static int open_gate(struct net *net, char *error, size_t error_size) {
    const struct conf *conf = net->conf;
    const char *const path[3] = {conf->certificate, conf->key, conf->ca};
    const bool listens = net_tls_wanted(net_listen_url(net));
    struct tls_side *side = NULL;
    if (any_tls(net) &&
        net_certificates(net, path, listens, &net->files, &side, error, error_size) != 0)
        return -1;
    if (!listens) {
        tls_side_close(side);
        side = NULL;
    }
    if (gate_open(&net->gate, net_listen_url(net), side, &net->book, net->event_fd, error,
                  error_size) != 0)
        return -1;
    /* Before anybody comes in: who is refused for nothing may not come back (nng's dialers). */
    for (uint32_t i = 0; i < conf->members; i++) {
        if (i != conf->self)
            (void)gate_allow(net->gate, conf->member[i].name); /* again, and checked, later */
    }
    return gate_start(net->gate, error, error_size);
}

static int open_all(struct net *net, char *error, size_t error_size) {
    int rc = open_gate(net, error, error_size);
    for (uint32_t i = 0; rc == 0 && i < net->peers; i++) {
        if (net->peer[i].used)
            rc = net_peer_open(net, &net->peer[i], error, error_size);
    }
    if (rc == 0)
        net_count_subscribers(net);
    if (rc == 0 && net->files.ca != NULL)
        net->watch.known = net->watch.seen = net_watch_look(net);
    return rc;
}

static int open_net(struct net **out, const struct conf *conf, const struct log *log, bool connect,
                    char *error, size_t error_size) {
    *out = NULL;
    struct net *net = calloc(1, sizeof *net);
    if (net == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    net->conf = conf;
    net->log = log;
    net->first = "";
    net->peers = connect ? conf->members : 0;
    net->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (uint32_t i = 0; i < NET_PEERS_MAX; i++)
        net->peer[i].fd = -1;
    for (uint32_t i = 0; i < net->peers; i++) {
        if (i != conf->self)
            net_peer_start(net, &net->peer[i], &conf->member[i]);
    }
    refusal_open(&net->book);
    int rc = -1;
    if (net->event_fd < 0)
        (void)snprintf(error, error_size, "cannot make an eventfd: %s", strerror(errno));
    else
        rc = open_all(net, error, error_size);
    if (rc == 0)
        *out = net;
    else
        net_close(net);
    return rc;
}

int net_open(struct net **out, const struct conf *conf, const struct log *log, char *error,
             size_t error_size) {
    return open_net(out, conf, log, true, error, error_size);
}

int net_listen(struct net **out, const struct conf *conf, const struct log *log, char *error,
               size_t error_size) {
    return open_net(out, conf, log, false, error, error_size);
}

void net_close(struct net *net) {
    if (net == NULL)
        return;
    gate_close(net->gate);
    for (uint32_t i = 0; i < net->peers; i++) {
        struct net_peer *peer = &net->peer[i];
        net_probe_free(peer->probe);
        if (peer->message != NULL)
            nng_msg_free(peer->message);
        if (peer->socket.id != 0)
            (void)nng_close(peer->socket);
        if (peer->tls != NULL)
            nng_tls_config_free(peer->tls);
    }
    net_tls_free(&net->files);
    refusal_close(&net->book);
    if (net->event_fd >= 0)
        close(net->event_fd);
    free(net);
}

int net_event_fd(const struct net *net) {
    return net->event_fd;
}

int net_member_fd(const struct net *net, uint32_t i) {
    return i < net->peers && net->peer[i].used ? net->peer[i].fd : -1;
}

bool net_receive(struct net *net, uint32_t i, uint64_t now_ms, struct net_message *out) {
    if (i >= net->peers || net->peer[i].socket.id == 0)
        return false;
    struct net_peer *peer = &net->peer[i];
    net_drop_message(peer);
    if (nng_recvmsg(peer->socket, &peer->message, NNG_FLAG_NONBLOCK) != 0) {
        peer->message = NULL;
        return false;
    }
    peer->heard = now_ms;
    out->bytes = nng_msg_body(peer->message);
    out->size = nng_msg_len(peer->message);
    return true;
}

int net_publish(struct net *net, const uint8_t *bytes, size_t size) {
    return size <= NET_MESSAGE_MAX ? gate_publish(net->gate, bytes, size) : -1;
}

/* Who connects to us does not say who it is, without TLS: it is known by its address. */
static void find_address(struct net_peer *peer, uint32_t pipe) {
    nng_sockaddr address = {.s_family = NNG_AF_UNSPEC};
    peer->address[0] = '\0';
    peer->address_pipe = pipe;
    if (nng_pipe_get_addr((nng_pipe){.id = pipe}, NNG_OPT_REMADDR, &address) != 0)
        return;
    if (address.s_family == NNG_AF_INET)
        (void)inet_ntop(AF_INET, &address.s_in.sa_addr, peer->address, sizeof peer->address);
    else if (address.s_family == NNG_AF_INET6)
        (void)inet_ntop(AF_INET6, address.s_in6.sa_addr, peer->address, sizeof peer->address);
}

void net_first(struct net *net, uint32_t i) {
    if (!net_connected(net, i))
        return;
    struct net_peer *peer = &net->peer[i];
    const uint32_t pipe = atomic_load_explicit(&peer->pipe, memory_order_relaxed);
    if (pipe != peer->address_pipe)
        find_address(peer, pipe);
    net->first = peer->address;
}

void net_send(struct net *net) {
    gate_send(net->gate, net->first);
    net->first = "";
}

bool net_connected(const struct net *net, uint32_t i) {
    return i < net->peers && net->peer[i].used &&
           atomic_load_explicit(&net->peer[i].pipe, memory_order_relaxed) != 0;
}

uint16_t net_port(const struct net *net) {
    return gate_port(net->gate);
}

void net_refusals(struct net *net, uint64_t out[REFUSALS]) {
    refusal_counts(&net->book, out);
}
