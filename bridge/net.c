/* SPDX-License-Identifier: MIT */
#include "net_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <nng/protocol/pubsub0/pub.h>

/* A thread of nng's: somebody subscribes to us, or has gone. More than there can be members
 * (each may hold an old connection beside the new one) must not cost us memory. */
static void on_subscriber_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    struct net *net = arg;
    if (event == NNG_PIPE_EV_REM_POST) {
        atomic_fetch_sub_explicit(&net->subscribers, 1, memory_order_relaxed);
        return;
    }
    if (atomic_fetch_add_explicit(&net->subscribers, 1, memory_order_relaxed) >=
        atomic_load_explicit(&net->subscribers_max, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&net->refused, 1, memory_order_relaxed);
        (void)nng_pipe_close(pipe);
        net_wake(net->event_fd);
    }
}

static int listen_error(int rc, const char *url, char *error, size_t error_size) {
    const char *text = nng_strerror(rc);
    if (rc == NNG_EADDRINUSE)
        text = "the port is in use, by another bridge or another program ('ss -ltnp' shows "
               "which); end it, or choose another port";
    else if (rc == NNG_EADDRINVAL)
        text = "the host is not known, or no address of this machine; check the URL, or set "
               "listen = URL in [node]";
    else if (rc == NNG_EPERM)
        text = "not permitted: ports below 1024 need CAP_NET_BIND_SERVICE";
    (void)snprintf(error, error_size, "cannot listen on %s: %s", url, text);
    return -1;
}

static const char *listen_url(const struct conf *conf) {
    return conf->listen[0] != '\0' ? conf->listen : conf->member[conf->self].url;
}

/* With certificates: connect to ourselves, to find a wrong file now and with a clear message. */
static int check_self(const struct net *net, const struct net_tls_files *files, char *error,
                      size_t error_size) {
    const struct conf *conf = net->conf;
    nng_tls_config *client = NULL;
    nng_sockaddr address;
    if (nng_listener_get_addr(net->listener, NNG_OPT_LOCADDR, &address) != 0)
        return 0;
    char url[64 + INET6_ADDRSTRLEN];
    char host[INET6_ADDRSTRLEN] = "127.0.0.1";
    if (address.s_family == NNG_AF_INET && address.s_in.sa_addr != 0)
        (void)inet_ntop(AF_INET, &address.s_in.sa_addr, host, sizeof host);
    else if (address.s_family == NNG_AF_INET6)
        (void)inet_ntop(AF_INET6, address.s_in6.sa_addr, host, sizeof host);
    (void)snprintf(url, sizeof url,
                   address.s_family == NNG_AF_INET6 ? "tls+tcp://[%s]:%u" : "tls+tcp://%s:%u",
                   strcmp(host, "::") == 0 ? "::1" : host, net->port);
    if (net_tls_config(&client, files, conf, conf->node, error, error_size) != 0)
        return -1;
    struct net_probe *probe = net_probe_start(url, client, -1);
    int result = probe != NULL ? net_probe_wait(probe) : 0;
    net_probe_free(probe);
    nng_tls_config_free(client);
    /* Other errors (a firewall against ourselves) say nothing about the files. */
    if (result != NNG_EPEERAUTH && result != NNG_ECRYPTO && result != NNG_ECONNSHUT &&
        result != NNG_ECLOSED && result != NNG_ECONNRESET)
        return 0;
    (void)snprintf(error, error_size,
                   "certificate = %s is of no use (%s): it must belong to key = %s, be signed by "
                   "ca = %s, be valid today, and name %s (subject alternative name)",
                   conf->certificate, nng_strerror(result), conf->key, conf->ca, conf->node);
    return -1;
}

static int open_publisher(struct net *net, const struct net_tls_files *files, char *error,
                          size_t error_size) {
    const char *url = listen_url(net->conf);
    int port = 0;
    if (net_tls_wanted(url) &&
        net_tls_config(&net->tls, files, net->conf, NULL, error, error_size) != 0)
        return -1;
    int rc = nng_pub0_open(&net->publisher);
    if (rc == 0)
        rc = nng_socket_set_int(net->publisher, NNG_OPT_SENDBUF, NET_SEND_QUEUE);
    if (rc == 0)
        rc = nng_pipe_notify(net->publisher, NNG_PIPE_EV_ADD_PRE, on_subscriber_pipe, net);
    if (rc == 0)
        rc = nng_pipe_notify(net->publisher, NNG_PIPE_EV_REM_POST, on_subscriber_pipe, net);
    if (rc == 0)
        rc = nng_listener_create(&net->listener, net->publisher, url);
    if (rc == 0 && net->tls != NULL)
        rc = nng_listener_set_ptr(net->listener, NNG_OPT_TLS_CONFIG, net->tls);
    if (rc == 0)
        rc = nng_listener_set_bool(net->listener, NNG_OPT_TCP_KEEPALIVE, true);
    if (rc == 0)
        rc = nng_listener_start(net->listener, 0);
    if (rc == 0)
        rc = nng_listener_get_int(net->listener, NNG_OPT_TCP_BOUND_PORT, &port);
    if (rc != 0)
        return listen_error(rc, url, error, error_size);
    net->port = (uint16_t)port;
    return net->tls != NULL ? check_self(net, files, error, error_size) : 0;
}

static bool any_tls(const struct conf *conf) {
    bool wanted = net_tls_wanted(listen_url(conf));
    for (uint32_t i = 0; i < conf->members; i++)
        wanted = wanted || net_tls_wanted(conf->member[i].url);
    return wanted;
}

static int open_all(struct net *net, char *error, size_t error_size) {
    struct net_tls_files files = {0};
    if (any_tls(net->conf) && net_tls_load(&files, net->conf, error, error_size) != 0)
        return -1;
    int rc = open_publisher(net, &files, error, error_size);
    for (uint32_t i = 0; rc == 0 && i < net->peers; i++) {
        if (net->peer[i].used)
            rc = net_peer_open(net, &net->peer[i], &files, error, error_size);
    }
    net_tls_free(&files);
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
    net->peers = connect ? conf->members : 0;
    net->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (uint32_t i = 0; i < NET_PEERS_MAX; i++)
        net->peer[i].fd = -1;
    for (uint32_t i = 0; i < net->peers; i++) {
        if (i != conf->self)
            net_peer_start(net, &net->peer[i], &conf->member[i]);
    }
    net_count_subscribers(net);
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
    if (net->publisher.id != 0)
        (void)nng_close(net->publisher);
    if (net->tls != NULL)
        nng_tls_config_free(net->tls);
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
    nng_msg *message = NULL;
    if (size > NET_MESSAGE_MAX || nng_msg_alloc(&message, 0) != 0)
        return -1;
    if (nng_msg_append(message, bytes, size) == 0 &&
        nng_sendmsg(net->publisher, message, NNG_FLAG_NONBLOCK) == 0)
        return 0;
    nng_msg_free(message);
    return -1;
}

bool net_connected(const struct net *net, uint32_t i) {
    return i < net->peers && net->peer[i].used &&
           atomic_load_explicit(&net->peer[i].pipe, memory_order_relaxed) != 0;
}

uint16_t net_port(const struct net *net) {
    return net->port;
}
