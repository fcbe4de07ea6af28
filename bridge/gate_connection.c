/* SPDX-License-Identifier: MIT */
/* One connection: TLS, and the greeting. */
#include "gate_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TLS_HANDSHAKE = 22, /* the first byte of everything that begins a session */
    DRAINED = 16,       /* pieces read and thrown away at an end, at most */
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

bool gate_waits(struct gate_connection *c, int code) {
    if (code != MBEDTLS_ERR_SSL_WANT_READ && code != MBEDTLS_ERR_SSL_WANT_WRITE)
        return false;
    c->events = code == MBEDTLS_ERR_SSL_WANT_READ ? POLLIN : POLLOUT;
    return true;
}

/* As get(), whether there is TLS or not. */
static int receive(struct gate_connection *c, unsigned char *bytes, size_t size) {
    return c->side != NULL ? mbedtls_ssl_read(&c->session, bytes, size) : get(c, bytes, size);
}

/* ---- come and go ---- */

struct gate_connection *gate_connection_open(struct gate *gate, int fd, const char *address) {
    struct gate_connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    c->fd = fd;
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
    for (unsigned i = 0; i < DRAINED && recv(c->fd, bytes, sizeof bytes, 0) > 0; i++)
        ;
}

void gate_connection_close(struct gate_connection *c) {
    drain(c);
    if (c->begun)
        mbedtls_ssl_free(&c->session);
    if (c->side != NULL && --c->side->users == 0) {
        tls_side_close(c->side->side);
        free(c->side);
    }
    close(c->fd);
    for (; c->queued > 0; c->queued--)
        gate_message_drop(c->queue[c->first++ % GATE_QUEUE]);
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
        return gate_waits(c, code) ? GATE_GOES_ON
                                   : gate_refuse(gate, c, tls_refusal(&c->session, code));
    c->shaken = true;
    c->who = find_name(gate, mbedtls_ssl_get_peer_cert(&c->session));
    return c->who != GATE_NOBODY ? GATE_GOES_ON : gate_refuse(gate, c, REFUSAL_WRONG_NAME);
}

enum gate_result gate_let_in(struct gate *gate, struct gate_connection *c) {
    c->in = true;
    c->since = gate_now();
    gate_queue(c, gate->greeting);
    return gate_flush(c);
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
            return gate_waits(c, got) ? GATE_GOES_ON : gate_refuse(gate, c, REFUSAL_LEFT);
        c->got += (size_t)got;
        if (memcmp(c->header, subscriber, c->got) != 0)
            return gate_refuse(gate, c, REFUSAL_NOT_A_BRIDGE);
    }
    c->greeted = true;
    return GATE_GOES_ON;
}

/* ---- once it is let in ---- */

/* A subscriber says nothing after its greeting, and leaves in time. */
static enum gate_result listen_to(struct gate *gate, struct gate_connection *c) {
    unsigned char byte;
    int got = receive(c, &byte, 1);
    if (got > 0)
        return gate_refuse(gate, c, REFUSAL_NOT_A_BRIDGE);
    return gate_waits(c, got) ? GATE_GOES_ON : GATE_ENDED;
}

enum gate_result gate_carry(struct gate *gate, struct gate_connection *c) {
    return listen_to(gate, c) == GATE_GOES_ON ? gate_flush(c) : GATE_ENDED;
}
