/* SPDX-License-Identifier: MIT */
/* Messages on their way to those that were let in. */
#include "gate_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    ROUNDS = 64,     /* pieces sent before others have their turn */
    TOGETHER = 16,   /* messages sent as one piece */
    UNSENT_MAX = 16, /* they are sent without being asked for it */
};

struct gate_message *gate_message_new(const void *head, size_t head_size, const void *body,
                                      size_t body_size) {
    struct gate_message *message = malloc(sizeof *message + head_size + body_size);
    if (message == NULL)
        return NULL;
    message->users = 1;
    message->size = head_size + body_size;
    memcpy(message->bytes, head, head_size);
    if (body_size > 0)
        memcpy(message->bytes + head_size, body, body_size);
    return message;
}

void gate_message_drop(struct gate_message *message) {
    if (message != NULL && --message->users == 0)
        free(message);
}

static void end_first(struct gate_connection *c) {
    gate_message_drop(c->queue[c->first]);
    c->first = (c->first + 1) % GATE_QUEUE;
    c->queued--;
    c->first_begun = false;
    c->sent = 0;
}

/* Of which nothing was sent yet. */
static void drop_oldest(struct gate_connection *c) {
    const unsigned second = (c->first + 1) % GATE_QUEUE;
    if (!c->first_begun) {
        end_first(c);
        return;
    }
    gate_message_drop(c->queue[second]);
    c->queue[second] = c->queue[c->first];
    c->first = second;
    c->queued--;
}

void gate_queue(struct gate_connection *c, struct gate_message *message) {
    if (c->queued == GATE_QUEUE)
        drop_oldest(c);
    message->users++;
    c->queue[(c->first + c->queued++) % GATE_QUEUE] = message;
}

/* So many bytes have gone. */
static void account(struct gate_connection *c, size_t count) {
    while (count > 0) {
        const size_t left = c->queue[c->first]->size - c->sent;
        if (count < left) {
            c->sent += count;
            c->first_begun = true;
            return;
        }
        count -= left;
        end_first(c);
    }
}

/* Without TLS. @return as gate_transmit(). */
static int transmit_many(struct gate_connection *c) {
    struct iovec piece[TOGETHER];
    unsigned count = 0;
    for (; count < TOGETHER && count < c->queued; count++) {
        struct gate_message *message = c->queue[(c->first + count) % GATE_QUEUE];
        const size_t sent = count == 0 ? c->sent : 0;
        piece[count] = (struct iovec){message->bytes + sent, message->size - sent};
    }
    const struct msghdr pieces = {.msg_iov = piece, .msg_iovlen = count};
    ssize_t done = sendmsg(c->fd, &pieces, MSG_NOSIGNAL);
    if (done >= 0)
        return (int)done;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
                                             : MBEDTLS_ERR_SSL_CONN_EOF;
}

/* mbedTLS wants the same bytes again when it could not send them. */
static int transmit_one(struct gate_connection *c) {
    const struct gate_message *message = c->queue[c->first];
    c->first_begun = true;
    return mbedtls_ssl_write(&c->session, message->bytes + c->sent, message->size - c->sent);
}

enum gate_result gate_flush(struct gate_connection *c) {
    c->events = POLLIN;
    for (unsigned i = 0; i < ROUNDS && c->queued > 0; i++) {
        int done = c->side != NULL ? transmit_one(c) : transmit_many(c);
        if (done <= 0) {
            const bool waits = gate_waits(c, done);
            c->events |= POLLIN;
            return waits ? GATE_GOES_ON : GATE_ENDED;
        }
        account(c, (size_t)done);
    }
    if (c->queued > 0)
        c->events |= POLLOUT; /* it was only the turn that ended */
    return GATE_GOES_ON;
}

/* To those at the address, or to all others. @return true: there is work for the gate's thread. */
static bool send_all(struct gate *gate, const char *address, bool there) {
    bool work = false;
    for (size_t i = 0; i < gate->connections; i++) {
        struct gate_connection *c = gate->connection[i];
        /* When it waits to be writable the gate's thread goes on. */
        if (!c->in || c->failed || (c->events & POLLOUT) != 0 ||
            (strcmp(c->address, address) == 0) != there)
            continue;
        c->failed = gate_flush(c) == GATE_ENDED;
        work = work || c->failed || (c->events & POLLOUT) != 0;
    }
    return work;
}

void gate_send(struct gate *gate, const char *first) {
    if (gate->unsent == 0)
        return;
    gate->unsent = 0;
    (void)pthread_mutex_lock(&gate->lock);
    bool work = *first != '\0' && send_all(gate, first, true);
    work = send_all(gate, first, false) || work;
    (void)pthread_mutex_unlock(&gate->lock);
    if (work)
        gate_wake(gate);
}

int gate_publish(struct gate *gate, const uint8_t *bytes, size_t size) {
    uint8_t length[GATE_HEADER];
    for (unsigned i = 0; i < GATE_HEADER; i++)
        length[i] = (uint8_t)((uint64_t)size >> (8 * (GATE_HEADER - 1 - i)));
    struct gate_message *message = gate_message_new(length, sizeof length, bytes, size);
    if (message == NULL)
        return -1;
    (void)pthread_mutex_lock(&gate->lock);
    for (size_t i = 0; i < gate->connections; i++) {
        if (gate->connection[i]->in && !gate->connection[i]->failed)
            gate_queue(gate->connection[i], message);
    }
    gate_message_drop(message);
    (void)pthread_mutex_unlock(&gate->lock);
    if (++gate->unsent >= UNSENT_MAX)
        gate_send(gate, "");
    return 0;
}
