/* SPDX-License-Identifier: MIT */
/* The gate as others use it: made, ended, told what has changed. */
#include "gate_internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128 };

/* HOST and PORT of a URL; brackets around an IPv6 address are left out. */
static void split(const char *url, char *host, size_t size, const char **port) {
    const char *from = strstr(url, "://") + 3;
    const char *colon = strrchr(from, ':');
    size_t length = (size_t)(colon - from);
    if (*from == '[' && length >= 2) {
        from++;
        length -= 2;
    }
    (void)snprintf(host, size, "%.*s", (int)length, from);
    *port = colon + 1;
}

static int listen_there(struct gate *gate, const struct addrinfo *to) {
    const int yes = 1;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } bound = {.six = {.sin6_family = AF_UNSPEC}};
    socklen_t size = sizeof bound;
    gate->listener = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (gate->listener < 0 ||
        setsockopt(gate->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(gate->listener, to->ai_addr, to->ai_addrlen) != 0 ||
        listen(gate->listener, BACKLOG) != 0 || getsockname(gate->listener, &bound.any, &size) != 0)
        return -1;
    gate->port = ntohs(to->ai_family == AF_INET6 ? bound.six.sin6_port : bound.four.sin_port);
    return 0;
}

static int listen_on(struct gate *gate, const char *url, char *error, size_t error_size) {
    char host[CONF_URL_MAX + 1];
    const char *port;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *to = NULL;
    split(url, host, sizeof host, &port);
    const char *why = "the host is not known, or no address of this machine; check the URL, or set "
                      "listen = URL in [node]";
    if (getaddrinfo(host, port, &hints, &to) == 0) {
        int result = listen_there(gate, to);
        const int code = errno;
        freeaddrinfo(to);
        if (result == 0)
            return 0;
        if (code == EADDRINUSE)
            why = "the port is in use, by another bridge or another program ('ss -ltnp' shows "
                  "which); end it, or choose another port";
        else if (code == EACCES || code == EPERM)
            why = "not permitted: ports below 1024 need CAP_NET_BIND_SERVICE";
        else if (code != EADDRNOTAVAIL)
            why = strerror(code);
    }
    (void)snprintf(error, error_size, "cannot listen on %s: %s", url, why);
    return -1;
}

static size_t greeters_max(void) {
    enum { PART = 8, LEAST = 4 };
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur / PART >= GATE_GREETERS)
        return GATE_GREETERS;
    return limit.rlim_cur / PART > LEAST ? (size_t)limit.rlim_cur / PART : LEAST;
}

static int prepare(struct gate *gate, struct tls_side *side) {
    static const uint8_t publisher[GATE_HEADER] = {0, 'S', 'P', 0, 0, 32, 0, 0};
    if (side != NULL) {
        gate->side = calloc(1, sizeof *gate->side);
        if (gate->side == NULL) {
            tls_side_close(side);
            return -1;
        }
        *gate->side = (struct gate_side){side, 1};
    }
    gate->greeting = gate_message_new(publisher, sizeof publisher, NULL, 0);
    gate->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return gate->greeting != NULL && gate->wake_fd >= 0 && gate_make_room(gate) ? 0 : -1;
}

int gate_open(struct gate **out, const char *url, struct tls_side *side, struct refusal_book *book,
              int event_fd, char *error, size_t error_size) {
    *out = NULL;
    struct gate *gate = calloc(1, sizeof *gate);
    if (gate == NULL) {
        tls_side_close(side);
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    gate->listener = gate->wake_fd = -1;
    gate->tls = side != NULL;
    gate->book = book;
    gate->greeters_max = greeters_max();
    gate->event_fd = event_fd;
    atomic_init(&gate->most, UINT32_MAX);
    (void)pthread_mutex_init(&gate->lock, NULL);
    int result = listen_on(gate, url, error, error_size);
    if (result != 0) {
        tls_side_close(side);
    } else if (prepare(gate, side) != 0) {
        (void)snprintf(error, error_size, "cannot listen on %s: %s", url, strerror(errno));
        result = -1;
    }
    if (result == 0)
        *out = gate;
    else
        gate_close(gate);
    return result;
}

int gate_start(struct gate *gate, char *error, size_t error_size) {
    int code = pthread_create(&gate->thread, NULL, gate_run, gate);
    gate->runs = code == 0;
    if (gate->runs)
        return 0;
    (void)snprintf(error, error_size, "cannot start a thread: %s", strerror(code));
    return -1;
}

void gate_wake(const struct gate *gate) {
    ssize_t written = write(gate->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)written; /* a full eventfd is readable all the same */
}

void gate_close(struct gate *gate) {
    if (gate == NULL)
        return;
    if (gate->runs) {
        atomic_store_explicit(&gate->stop, true, memory_order_relaxed);
        gate_wake(gate);
        (void)pthread_join(gate->thread, NULL);
    }
    if (gate->side != NULL) {
        tls_side_close(gate->side->side);
        free(gate->side);
    }
    tls_side_close(gate->next);
    if (gate->listener >= 0)
        close(gate->listener);
    if (gate->wake_fd >= 0)
        close(gate->wake_fd);
    (void)pthread_mutex_destroy(&gate->lock);
    free(gate->connection);
    free(gate->polled);
    gate_message_drop(gate->greeting);
    free(gate->name);
    free(gate);
}

uint16_t gate_port(const struct gate *gate) {
    return gate->port;
}

void gate_renew(struct gate *gate, struct tls_side *side) {
    (void)pthread_mutex_lock(&gate->lock);
    struct tls_side *unused = gate->next;
    gate->next = side;
    (void)pthread_mutex_unlock(&gate->lock);
    tls_side_close(unused);
    gate_wake(gate);
}

int gate_allow(struct gate *gate, const char *name) {
    int result = 0;
    size_t i = 0;
    (void)pthread_mutex_lock(&gate->lock);
    while (i < gate->names && strcmp(gate->name[i], name) != 0)
        i++;
    if (i == gate->names) {
        void *grown =
            i < GATE_MEMBERS_MAX ? reallocarray(gate->name, i + 1, sizeof *gate->name) : NULL;
        if (grown != NULL) {
            gate->name = grown;
            (void)snprintf(gate->name[i], sizeof gate->name[i], "%s", name);
            gate->names = i + 1;
        }
        result = grown != NULL ? 0 : -1;
    }
    (void)pthread_mutex_unlock(&gate->lock);
    return result;
}

void gate_most(struct gate *gate, unsigned connections) {
    atomic_store_explicit(&gate->most, connections, memory_order_relaxed);
}
