/* SPDX-License-Identifier: MIT */
/* Messages on their way to those that were let in. */
#include "gate_internal.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 64 /* pieces sent before others have their turn */ };

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

enum gate_result gate_flush(struct gate_connection *c) {
    c->events = POLLIN;
    for (unsigned i = 0; i < ROUNDS && c->queued > 0; i++) {
        const struct gate_message *message = c->queue[c->first];
        /* mbedTLS wants the same bytes again when it could not send them. */
        c->first_begun = true;
        int done = gate_transmit(c, message->bytes + c->sent, message->size - c->sent);
        if (done <= 0) {
            const bool waits = gate_waits(c, done);
            c->events |= POLLIN;
            return waits ? GATE_GOES_ON : GATE_ENDED;
        }
        c->sent += (size_t)done;
        if (c->sent == message->size)
            end_first(c);
    }
    if (c->queued > 0)
        c->events |= POLLOUT; /* it was only the turn that ended */
    return GATE_GOES_ON;
}

/* @return true: there is work for the gate's thread. */
static bool send_to(struct gate_connection *c, struct gate_message *message) {
    gate_queue(c, message);
    if ((c->events & POLLOUT) != 0)
        return false; /* that thread waits for it already */
    c->failed = gate_flush(c) == GATE_ENDED;
    return c->failed || (c->events & POLLOUT) != 0;
}

int gate_publish(struct gate *gate, const uint8_t *bytes, size_t size) {
    uint8_t length[GATE_HEADER];
    bool work = false;
    for (unsigned i = 0; i < GATE_HEADER; i++)
        length[i] = (uint8_t)((uint64_t)size >> (8 * (GATE_HEADER - 1 - i)));
    struct gate_message *message = gate_message_new(length, sizeof length, bytes, size);
    if (message == NULL)
        return -1;
    (void)pthread_mutex_lock(&gate->lock);
    for (size_t i = 0; i < gate->connections; i++) {
        struct gate_connection *c = gate->connection[i];
        if (c->in && !c->failed)
            work = send_to(c, message) || work;
    }
    gate_message_drop(message);
    (void)pthread_mutex_unlock(&gate->lock);
    if (work)
        gate_wake(gate);
    return 0;
}
