/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_GATE_INTERNAL_H
#define SLOTSHARE_BRIDGE_GATE_INTERNAL_H
/** What gate.c (the thread, who comes in and who goes), gate_connection.c (one connection),
 * gate_publish.c (messages) and gate_open.c (for others) share. Everything is the gate's thread's
 * own, but for what `lock` guards: the list of connections, which that thread may read without it,
 * and everything of those that were let in. A handshake, which takes time, needs no lock. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "gate.h"

enum {
    GATE_HEADER = 8,  /* what both sides of SP send first; and before each message its length */
    GATE_FIXED = 2,   /* descriptors that are always polled */
    GATE_NOBODY = -1, /* who: not known */
};

/** Certificates, and how many connections use them. */
struct gate_side {
    struct tls_side *side;
    unsigned users;
};

/** What became of a connection. */
enum gate_result { GATE_GOES_ON, GATE_ENDED };

/** Bytes for many connections, which keep it once. */
struct gate_message {
    size_t users; /**< by lock; who makes it is one */
    size_t size;
    uint8_t bytes[];
};

struct gate_connection {
    int fd;         /**< the other member */
    uint64_t since; /**< when it came; then when it was let in; 0: it is to be ended */
    char address[INET6_ADDRSTRLEN];
    struct gate_side *side; /**< NULL: no TLS */
    bool begun, shaken;     /**< its session is set up; its handshake is done */
    mbedtls_ssl_context session;
    char name[REFUSAL_NAME_MAX + 1]; /**< that its certificate names */
    bool greeted;                    /**< it is to be let in */
    bool in;                         /**< it was let in */
    bool failed;                     /**< who published found that it has ended */
    int who;                         /**< its place in the gate's names */
    short events;
    uint8_t header[GATE_HEADER];
    size_t got; /**< of header */
    /* What it has yet to be sent, from `first` on, in a ring. */
    struct gate_message *queue[GATE_QUEUE];
    unsigned first, queued;
    bool first_begun; /**< it must be sent to its end */
    size_t sent;      /**< of the first */
};

struct gate {
    int listener, wake_fd, event_fd;
    uint16_t port;
    struct refusal_book *book;
    bool tls;
    struct gate_side *side;              /**< for those who come */
    struct gate_message *greeting;       /**< ours, to all */
    unsigned unsent;                     /**< messages; of the thread that publishes */
    struct gate_connection **connection; /**< by lock */
    struct pollfd *polled;
    size_t connections, room;
    size_t greeters_max;
    size_t turn;           /**< whose greeting is looked at first */
    uint64_t listen_again; /**< descriptors are out: do not accept before */
    pthread_t thread;
    bool runs;
    atomic_bool stop; /* relaxed: the wake-up that follows it is a system call */
    atomic_uint most;
    pthread_mutex_t lock;
    struct tls_side *next;                   /**< by lock: for those who come from now on */
    char (*name)[SLOTSHARE_BINDING_MAX + 1]; /**< by lock */
    size_t names;
};

uint64_t gate_now(void);
/** The thread; arg is the gate. */
void *gate_run(void *arg);
/** Room for one more connection. @return false: memory is out. */
bool gate_make_room(struct gate *gate);

/** A new connection. @return NULL: memory is out; fd is closed. */
struct gate_connection *gate_connection_open(struct gate *gate, int fd, const char *address);
void gate_connection_close(struct gate_connection *connection);

/** One that has not greeted: as far as it goes now. Refusals are noted. */
enum gate_result gate_greet(struct gate *gate, struct gate_connection *connection);
/** From now on it is sent what is published. */
enum gate_result gate_let_in(struct gate *gate, struct gate_connection *connection);
/** One that was let in has news: it has gone, or takes more. */
enum gate_result gate_carry(struct gate *gate, struct gate_connection *connection);
/** mbedTLS's result: have c->events wait for what it wants. @return false: nothing, it has failed.
 */
bool gate_waits(struct gate_connection *connection, int code);

/** @return NULL: memory is out. */
struct gate_message *gate_message_new(const void *head, size_t head_size, const void *body,
                                      size_t body_size);
/** One user less. NULL is ignored. */
void gate_message_drop(struct gate_message *message);
/** Put it at the end of a connection's queue; when that is full the oldest goes. */
void gate_queue(struct gate_connection *connection, struct gate_message *message);
/** Send what it takes now. */
enum gate_result gate_flush(struct gate_connection *connection);
/** Have the thread look at everything. */
void gate_wake(const struct gate *gate);
/** Note why a connection is ended. @return GATE_ENDED */
enum gate_result gate_refuse(struct gate *gate, const struct gate_connection *connection,
                             enum refusal why);

#endif
