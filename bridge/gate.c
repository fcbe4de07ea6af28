/* SPDX-License-Identifier: MIT */
/* The thread that takes connections, gives each its turn, and ends those that are too many. */
#include "gate_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ACCEPTED = 32, /* taken before others have their turn */
    GREETED = 8,   /* greetings that go on before messages have their turn: signing takes time */
    PAUSE_MS = 100,
    UNHEARD_MS = 30000, /* a member that confirms nothing for so long is gone */
};

uint64_t gate_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- too many ---- */

static bool greets(const struct gate_connection *c) {
    return !c->in;
}

static void end(struct gate *gate, size_t i) {
    gate_connection_close(gate->connection[i]);
    gate->connection[i] = gate->connection[--gate->connections];
}

static size_t count_address(const struct gate *gate, const char *address) {
    size_t count = 0;
    for (size_t i = 0; i < gate->connections; i++)
        count += greets(gate->connection[i]) && strcmp(gate->connection[i]->address, address) == 0
                     ? 1
                     : 0;
    return count;
}

/* Make room: the oldest greeter of the address that has most of them goes. Who floods from one
 * address so takes no place from others. @return false: there is none. */
static bool drop_greeter(struct gate *gate) {
    size_t worst = SIZE_MAX;
    size_t most = 0;
    for (size_t i = 0; i < gate->connections; i++) {
        const struct gate_connection *c = gate->connection[i];
        if (!greets(c))
            continue;
        size_t count = count_address(gate, c->address);
        if (worst == SIZE_MAX || count > most ||
            (count == most && c->since < gate->connection[worst]->since)) {
            worst = i;
            most = count;
        }
    }
    if (worst == SIZE_MAX)
        return false;
    (void)gate_refuse(gate, gate->connection[worst], REFUSAL_SILENT);
    end(gate, worst);
    return true;
}

/* Is there room for it? A member has one connection to us, and for a moment an old one
 * beside it: with more, its oldest goes. Without TLS nobody knows whose one is. */
static bool has_room(struct gate *gate, const struct gate_connection *c) {
    size_t oldest = SIZE_MAX;
    size_t count = 0;
    for (size_t i = 0; i < gate->connections; i++) {
        const struct gate_connection *other = gate->connection[i];
        if (greets(other) || other->who != c->who)
            continue;
        count++;
        if (oldest == SIZE_MAX || other->since < gate->connection[oldest]->since)
            oldest = i;
    }
    if (!gate->tls)
        return count < atomic_load_explicit(&gate->most, memory_order_relaxed);
    if (count >= GATE_PER_MEMBER) {
        (void)gate_refuse(gate, gate->connection[oldest], REFUSAL_TOO_MANY);
        end(gate, oldest);
    }
    return true;
}

/* @return GATE_ENDED: it has no place, or cannot be let in. */
static enum gate_result admit(struct gate *gate, struct gate_connection *c) {
    c->greeted = false;
    return has_room(gate, c) ? gate_let_in(gate, c) : gate_refuse(gate, c, REFUSAL_TOO_MANY);
}

/* ---- who comes ---- */

static void set_options(int fd) {
    const int yes = 1;
    const unsigned unheard = UNHEARD_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard, sizeof unheard);
}

bool gate_make_room(struct gate *gate) {
    if (gate->connections < gate->room)
        return true;
    const size_t room = 2 * gate->room + 16;
    struct gate_connection **connection =
        reallocarray(gate->connection, room, sizeof(struct gate_connection *));
    if (connection != NULL)
        gate->connection = connection;
    struct pollfd *polled = reallocarray(gate->polled, GATE_FIXED + room, sizeof *polled);
    if (polled != NULL)
        gate->polled = polled;
    if (connection == NULL || polled == NULL)
        return false;
    gate->room = room;
    return true;
}

static void say_address(const struct sockaddr_storage *from, char *out) {
    const struct sockaddr_in6 *six = (const void *)from;
    const struct sockaddr_in *four = (const void *)from;
    if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        (void)inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, out, INET6_ADDRSTRLEN);
    else if (from->ss_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &six->sin6_addr, out, INET6_ADDRSTRLEN);
    else
        (void)inet_ntop(AF_INET, &four->sin_addr, out, INET6_ADDRSTRLEN);
}

/* @return false: nobody is there, or nobody can be taken now. */
static bool take_one(struct gate *gate) {
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof from;
    char address[INET6_ADDRSTRLEN] = "?";
    int fd = accept4(gate->listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        /* Descriptors are out: those who do not greet have to go; else wait, and do not spin. */
        bool out = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (out && !drop_greeter(gate))
            gate->listen_again = gate_now() + PAUSE_MS;
        return errno == ECONNABORTED || errno == EINTR;
    }
    say_address(&from, address);
    set_options(fd);
    size_t greeters = 0;
    for (size_t i = 0; i < gate->connections; i++)
        greeters += greets(gate->connection[i]) ? 1 : 0;
    if (greeters >= gate->greeters_max)
        (void)drop_greeter(gate);
    if (!gate_make_room(gate)) {
        close(fd);
        return false;
    }
    struct gate_connection *c = gate_connection_open(gate, fd, address);
    if (c != NULL)
        gate->connection[gate->connections++] = c;
    return c != NULL;
}

/* ---- the thread ---- */

/* Certificates that were renewed: the old ones stay as long as somebody uses them. */
static void take_side(struct gate *gate) {
    (void)pthread_mutex_lock(&gate->lock);
    struct tls_side *next = gate->next;
    gate->next = NULL;
    (void)pthread_mutex_unlock(&gate->lock);
    if (next == NULL)
        return;
    struct gate_side *side = calloc(1, sizeof *side);
    if (side == NULL) {
        tls_side_close(next);
        return;
    }
    *side = (struct gate_side){next, 1};
    struct gate_side *old = gate->side;
    gate->side = side;
    if (old != NULL && --old->users == 0) {
        tls_side_close(old->side);
        free(old);
    }
}

static void look(struct gate *gate) {
    const uint64_t now = gate_now();
    int timeout = -1;
    gate->polled[0] = (struct pollfd){.fd = gate->wake_fd, .events = POLLIN};
    gate->polled[1] =
        (struct pollfd){.fd = now >= gate->listen_again ? gate->listener : -1, .events = POLLIN};
    if (now < gate->listen_again)
        timeout = PAUSE_MS;
    (void)pthread_mutex_lock(&gate->lock);
    for (size_t i = 0; i < gate->connections; i++) {
        const struct gate_connection *c = gate->connection[i];
        gate->polled[GATE_FIXED + i] = (struct pollfd){.fd = c->fd, .events = c->events};
        if (greets(c)) {
            const uint64_t end_at = c->since + GATE_GREET_MS;
            const int left = end_at > now ? (int)(end_at - now) : 0;
            timeout = timeout < 0 || left < timeout ? left : timeout;
        }
    }
    (void)pthread_mutex_unlock(&gate->lock);
    if (poll(gate->polled, GATE_FIXED + gate->connections, timeout) < 0)
        memset(gate->polled, 0, (GATE_FIXED + gate->connections) * sizeof *gate->polled);
}

static bool has_news(const struct gate *gate, size_t i) {
    return gate->polled[GATE_FIXED + i].revents != 0;
}

/* From the last to the first: an end puts the last in its place, which had its turn. Messages
 * before greetings, and of those a few at a time. */
static void carry(struct gate *gate) {
    for (size_t i = gate->connections; i-- > 0;) {
        struct gate_connection *c = gate->connection[i];
        if (!greets(c) && (c->failed || (has_news(gate, i) && gate_carry(gate, c) == GATE_ENDED)))
            c->since = 0; /* marked: the places must not move yet */
    }
}

static void greet(struct gate *gate) {
    const uint64_t now = gate_now();
    const size_t count = gate->connections;
    unsigned budget = GREETED;
    for (size_t n = 0; n < count && budget > 0; n++) {
        const size_t i = (gate->turn + n) % count;
        struct gate_connection *c = gate->connection[i];
        if (!greets(c))
            continue;
        enum gate_result result = GATE_GOES_ON;
        if (has_news(gate, i)) {
            budget--;
            result = gate_greet(gate, c);
        }
        if (result == GATE_GOES_ON && !c->greeted && now >= c->since + GATE_GREET_MS)
            result = gate_refuse(gate, c, REFUSAL_SILENT);
        if (result == GATE_ENDED)
            c->since = 0;
    }
    gate->turn++;
}

/* Who was marked goes, and who has greeted comes in. Places move now. */
static void sort_out(struct gate *gate) {
    for (size_t i = gate->connections; i-- > 0;) {
        if (gate->connection[i]->since == 0)
            end(gate, i);
    }
    /* When one ends, the last takes its place, and may be one that has greeted: begin again. */
    for (size_t i = 0; i < gate->connections; i++) {
        struct gate_connection *c = gate->connection[i];
        if (!c->greeted)
            continue;
        if (admit(gate, c) == GATE_ENDED)
            c->since = 0;
        i = SIZE_MAX;
    }
    for (size_t i = gate->connections; i-- > 0;) {
        if (gate->connection[i]->since == 0)
            end(gate, i);
    }
}

void *gate_run(void *arg) {
    struct gate *gate = arg;
    while (!atomic_load_explicit(&gate->stop, memory_order_relaxed)) {
        uint64_t ignored;
        look(gate);
        if (gate->polled[0].revents != 0 && read(gate->wake_fd, &ignored, sizeof ignored) > 0)
            take_side(gate);
        (void)pthread_mutex_lock(&gate->lock);
        carry(gate);
        (void)pthread_mutex_unlock(&gate->lock);
        greet(gate);
        const bool comes = gate->polled[1].revents != 0;
        (void)pthread_mutex_lock(&gate->lock);
        sort_out(gate);
        for (unsigned n = 0; comes && n < ACCEPTED && take_one(gate); n++)
            ;
        (void)pthread_mutex_unlock(&gate->lock);
    }
    while (gate->connections > 0)
        gate_connection_close(gate->connection[--gate->connections]);
    return NULL;
}
