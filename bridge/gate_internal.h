/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_GATE_INTERNAL_H
#define SLOTSHARE_BRIDGE_GATE_INTERNAL_H
/** What gate.c (the thread, who comes in and who goes), gate_connection.c (one connection) and
 * gate_open.c (for others) share. Everything is the gate's thread's own, but for what `lock`
 * guards. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "gate.h"

enum {
    GATE_HEADER = 8,            /* what both sides of SP send first */
    GATE_PIECE = 16384,         /* bytes on their way at once; a TLS record holds no more */
    GATE_INSIDE_HEADER = 1 + 8, /* of a message on a Unix socket: a type, and the length */
    GATE_FIXED = 2,             /* descriptors that are always polled */
    GATE_NOBODY = -1,           /* who: not known */
};

/** Certificates, and how many connections use them. */
struct gate_side {
    struct tls_side *side;
    unsigned users;
};

/** What became of a connection. */
enum gate_result { GATE_GOES_ON, GATE_ENDED };

struct gate_connection {
    int fd;         /**< the other member */
    int inside;     /**< nng's publisher; -1: it has not greeted yet */
    uint64_t since; /**< when it came; then when it was let in */
    char address[INET6_ADDRSTRLEN];
    struct gate_side *side; /**< NULL: no TLS */
    bool begun, shaken;     /**< its session is set up; its handshake is done */
    mbedtls_ssl_context session;
    char name[REFUSAL_NAME_MAX + 1]; /**< that its certificate names */
    bool greeted;                    /**< it is to be let in */
    bool orphan; /**< its member has gone, but nng has not answered yet: fd is -1 */
    int who;     /**< its place in the gate's names */
    short events, inside_events;
    uint8_t header[GATE_HEADER];
    size_t got; /**< of header */
    /* Messages from inside: what is left of their header, of their body, of what is to be sent. */
    uint8_t inside_header[GATE_INSIDE_HEADER];
    size_t headed;
    uint64_t body;
    size_t answered; /**< bytes that came from inside, up to those of a greeting */
    uint8_t *piece;  /**< GATE_PIECE bytes, when it was let in */
    size_t filled, sent;
};

struct gate {
    int listener, wake_fd, event_fd;
    uint16_t port;
    char *inside;
    struct refusal_book *book;
    bool tls;
    struct gate_side *side; /**< for those who come */
    struct gate_connection **connection;
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
/** To nng's publisher, with the greeting that came. */
enum gate_result gate_let_in(struct gate *gate, struct gate_connection *connection);
/** The member has gone; nng's side stays until it has answered. */
void gate_orphan(struct gate_connection *connection);
/** One that was let in: carry what there is. */
enum gate_result gate_carry(struct gate *gate, struct gate_connection *connection);
/** Note why a connection is ended. @return GATE_ENDED */
enum gate_result gate_refuse(struct gate *gate, const struct gate_connection *connection,
                             enum refusal why);

#endif
