/* SPDX-License-Identifier: MIT */
/* One connection: TLS, the greeting, and then messages from nng's publisher to the member. */
#include "gate_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    TLS_HANDSHAKE = 22, /* the first byte of everything that begins a session */
    ROUNDS = 16,        /* pieces carried before others have their turn */
};

/* ---- bytes from and to the member ---- */

/* mbedTLS's way to the socket. */
static int put(void *arg, const unsigned char *bytes, size_t size) {
    const struct gate_connection *c = arg;
    ssize_t done = send(c->fd, bytes, size, MSG_NOSIGNAL);
    if (done >= 0)
        return (int)done;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
                                             : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int get(void *arg, unsigned char *bytes, size_t size) {
    const struct gate_connection *c = arg;
    ssize_t done = recv(c->fd, bytes, size, 0);
    if (done > 0)
        return (int)done;
    return done < 0 && (errno == EAGAIN || errno == EINTR) ? MBEDTLS_ERR_SSL_WANT_READ
                                                           : MBEDTLS_ERR_SSL_CONN_EOF;
}

/* What mbedTLS waits for. @return false: nothing, it has failed. */
static bool waits(struct gate_connection *c, int code) {
    if (code != MBEDTLS_ERR_SSL_WANT_READ && code != MBEDTLS_ERR_SSL_WANT_WRITE)
        return false;
    c->events = code == MBEDTLS_ERR_SSL_WANT_READ ? POLLIN : POLLOUT;
    return true;
}

/* As get(), whether there is TLS or not. */
static int receive(struct gate_connection *c, unsigned char *bytes, size_t size) {
    return c->side != NULL ? mbedtls_ssl_read(&c->session, bytes, size) : get(c, bytes, size);
}

static int transmit(struct gate_connection *c, const unsigned char *bytes, size_t size) {
    return c->side != NULL ? mbedtls_ssl_write(&c->session, bytes, size) : put(c, bytes, size);
}

/* ---- come and go ---- */

struct gate_connection *gate_connection_open(struct gate *gate, int fd, const char *address) {
    struct gate_connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    c->fd = fd;
    c->inside = -1;
    c->who = GATE_NOBODY;
    c->since = gate_now();
    c->events = POLLIN;
    (void)snprintf(c->address, sizeof c->address, "%s", address);
    c->side = gate->side;
    if (c->side != NULL)
        c->side->users++;
    return c;
}

/* What lies there unread would make the kernel throw away what we said last, which is why. */
static void drain(const struct gate_connection *c) {
    char bytes[4096];
    (void)shutdown(c->fd, SHUT_WR);
    for (unsigned i = 0; i < ROUNDS && recv(c->fd, bytes, sizeof bytes, 0) > 0; i++)
        ;
}

/* What is there of the member. */
static void end_member(struct gate_connection *c) {
    if (c->fd < 0)
        return;
    drain(c);
    if (c->begun)
        mbedtls_ssl_free(&c->session);
    if (c->side != NULL && --c->side->users == 0) {
        tls_side_close(c->side->side);
        free(c->side);
    }
    close(c->fd);
    c->fd = -1;
}

void gate_orphan(struct gate_connection *c) {
    end_member(c);
    c->orphan = true;
    c->inside_events = POLLIN;
}

void gate_connection_close(struct gate_connection *c) {
    end_member(c);
    if (c->inside >= 0)
        close(c->inside);
    free(c->piece);
    free(c);
}

enum gate_result gate_refuse(struct gate *gate, const struct gate_connection *c, enum refusal why) {
    if (refusal_note(gate->book, why, c->address, c->name, gate_now())) {
        ssize_t written = write(gate->event_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)written; /* a full eventfd is readable all the same */
    }
    return GATE_ENDED;
}

/* ---- the greeting ---- */

/* Looks at the first byte, so that who speaks without TLS is told apart. The session is made now
 * and not before, because it takes 40 kB. */
static enum gate_result begin(struct gate *gate, struct gate_connection *c) {
    unsigned char first;
    ssize_t got = recv(c->fd, &first, 1, MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return GATE_GOES_ON;
    if (got <= 0)
        return gate_refuse(gate, c, REFUSAL_LEFT);
    if (first != TLS_HANDSHAKE)
        return gate_refuse(gate, c, REFUSAL_PLAIN);
    mbedtls_ssl_init(&c->session);
    c->begun = true;
    if (mbedtls_ssl_setup(&c->session, tls_side_config(c->side->side)) != 0)
        return GATE_ENDED; /* memory is out */
    mbedtls_ssl_set_bio(&c->session, c, put, get, NULL);
    tls_keep_name(&c->session, c->name);
    return GATE_GOES_ON;
}

/* Which member the certificate names. */
static int find_name(struct gate *gate, const mbedtls_x509_crt *certificate) {
    int found = GATE_NOBODY;
    (void)pthread_mutex_lock(&gate->lock);
    for (size_t i = 0; i < gate->names && found == GATE_NOBODY; i++) {
        if (tls_names(certificate, gate->name[i]))
            found = (int)i;
    }
    (void)pthread_mutex_unlock(&gate->lock);
    return found;
}

static enum gate_result shake(struct gate *gate, struct gate_connection *c) {
    if (!c->begun) {
        enum gate_result result = begin(gate, c);
        if (result == GATE_ENDED || !c->begun)
            return result;
    }
    int code = mbedtls_ssl_handshake(&c->session);
    if (code != 0)
        return waits(c, code) ? GATE_GOES_ON : gate_refuse(gate, c, tls_refusal(&c->session, code));
    c->shaken = true;
    c->who = find_name(gate, mbedtls_ssl_get_peer_cert(&c->session));
    return c->who != GATE_NOBODY ? GATE_GOES_ON : gate_refuse(gate, c, REFUSAL_WRONG_NAME);
}

enum gate_result gate_let_in(struct gate *gate, struct gate_connection *c) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", gate->inside);
    c->piece = malloc(GATE_PIECE);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->piece == NULL || fd < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, c->header, sizeof c->header, MSG_NOSIGNAL) != (ssize_t)sizeof c->header) {
        if (fd >= 0)
            close(fd);
        return GATE_ENDED; /* descriptors or memory are out: the member comes again */
    }
    c->inside = fd;
    c->since = gate_now();
    c->events = POLLIN;
    c->inside_events = POLLIN;
    /* Its greeting has no message's header, and passes as it is. */
    c->headed = GATE_INSIDE_HEADER;
    c->body = GATE_HEADER;
    return GATE_GOES_ON;
}

enum gate_result gate_greet(struct gate *gate, struct gate_connection *c) {
    static const uint8_t subscriber[GATE_HEADER] = {0, 'S', 'P', 0, 0, 33, 0, 0};
    if (c->side != NULL && !c->shaken) {
        enum gate_result result = shake(gate, c);
        if (result == GATE_ENDED || !c->shaken)
            return result;
    }
    while (c->got < sizeof c->header) {
        int got = receive(c, c->header + c->got, sizeof c->header - c->got);
        if (got <= 0)
            return waits(c, got) ? GATE_GOES_ON : gate_refuse(gate, c, REFUSAL_LEFT);
        c->got += (size_t)got;
        if (memcmp(c->header, subscriber, c->got) != 0)
            return gate_refuse(gate, c, REFUSAL_NOT_A_BRIDGE);
    }
    c->greeted = true;
    return GATE_GOES_ON;
}

/* ---- messages ---- */

static uint64_t length_of(const uint8_t *bytes) {
    uint64_t length = 0;
    for (size_t i = 0; i < 8; i++)
        length = length << 8 | bytes[i];
    return length;
}

/* nng on a Unix socket puts a byte before the length of each message that it does not put there on
 * TCP: take it out. Works in place, from c->piece + from. */
static size_t translate(struct gate_connection *c, size_t from, size_t count) {
    const uint8_t *in = c->piece + from;
    uint8_t *out = c->piece;
    while (count > 0) {
        if (c->headed < GATE_INSIDE_HEADER) {
            c->inside_header[c->headed++] = *in++;
            count--;
            if (c->headed < GATE_INSIDE_HEADER)
                continue;
            memcpy(out, c->inside_header + 1, GATE_INSIDE_HEADER - 1);
            out += GATE_INSIDE_HEADER - 1;
            c->body = length_of(c->inside_header + 1);
        }
        size_t part = c->body < count ? (size_t)c->body : count;
        memmove(out, in, part);
        out += part;
        in += part;
        count -= part;
        c->body -= part;
        if (c->body == 0)
            c->headed = 0;
    }
    return (size_t)(out - c->piece);
}

/* @return true: the piece has bytes to be sent. */
static bool fetch(struct gate_connection *c, bool *ended) {
    /* The header that has come in parts before is written out now: room for it. */
    ssize_t got =
        recv(c->inside, c->piece + GATE_INSIDE_HEADER, GATE_PIECE - GATE_INSIDE_HEADER, 0);
    *ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    c->sent = 0;
    if (got > 0 && c->answered < GATE_HEADER)
        c->answered += (size_t)got;
    c->filled = got > 0 ? translate(c, GATE_INSIDE_HEADER, (size_t)got) : 0;
    return got > 0;
}

/* @return true: all of the piece is sent. */
static bool flush(struct gate_connection *c, bool *ended) {
    while (c->sent < c->filled) {
        int done = transmit(c, c->piece + c->sent, c->filled - c->sent);
        if (done > 0) {
            c->sent += (size_t)done;
            continue;
        }
        *ended = !waits(c, done);
        c->events |= POLLIN;
        return false;
    }
    return true;
}

/* A subscriber says nothing after its greeting, and leaves in time. */
static enum gate_result listen_to(struct gate *gate, struct gate_connection *c) {
    unsigned char byte;
    int got = receive(c, &byte, 1);
    if (got > 0)
        return gate_refuse(gate, c, REFUSAL_NOT_A_BRIDGE);
    return waits(c, got) ? GATE_GOES_ON : GATE_ENDED;
}

enum gate_result gate_carry(struct gate *gate, struct gate_connection *c) {
    bool ended = false;
    if (c->orphan) {
        if (fetch(c, &ended))
            ended = c->answered >= GATE_HEADER;
        c->filled = 0;
        if (ended)
            c->answered = GATE_HEADER;
        return ended ? GATE_ENDED : GATE_GOES_ON;
    }
    if (listen_to(gate, c) == GATE_ENDED)
        return GATE_ENDED;
    c->events = POLLIN;
    for (unsigned i = 0; i < ROUNDS && flush(c, &ended) && fetch(c, &ended); i++)
        ;
    c->inside_events = c->sent < c->filled ? 0 : POLLIN;
    if (c->sent < c->filled && c->events == POLLIN && !ended)
        c->events = POLLIN | POLLOUT; /* it was only the turn that ended */
    return ended ? GATE_ENDED : GATE_GOES_ON;
}
