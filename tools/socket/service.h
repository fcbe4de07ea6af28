/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SOCKET_SERVICE_H
#define TOOLS_SOCKET_SERVICE_H
/**
 * slotshare-socket: slots for programs that have no C, over lines on a Unix socket. README.md here
 * is the protocol. One thread; the library's queue waits in its place.
 *
 * A *lease* is a slot that the service holds for a client, and what it depends on.
 */
#include <slotshare/slotshare.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/connection.h"

enum {
    LINE_BYTES = 4096,   /**< of a request, and of an answer */
    CLIENTS_MAX = 4096,  /**< connections at a time */
    REFUSED_MAX = 4096,  /**< refusals that are remembered */
    REFUSED_S = 60,      /**< for so many seconds */
    POLL_MS = 100,       /**< how often the kernel is asked for connections that were passed on */
    WAIT_MAX_S = 600,    /**< longest wait that may be asked for */
    MESSAGE_BYTES = 128, /**< of a client's word for what it does */
    HOST_BYTES = SLOTSHARE_DOMAIN_MAX + 1
};

struct lease {
    struct lease *next;
    uint64_t id;
    uint64_t segment; /**< which opening of the segment it is from */
    slotshare_slot slot;
    struct client *client; /**< goes back when this connection ends; NULL: does not */
    pid_t pid;             /**< goes back when this process has ended; 0: does not */
    int pidfd;
    bool tied; /**< to a TCP connection: not before that is gone */
    bool over; /**< nobody needs it any more but that connection */
    struct connection_ends ends;
};

/** One connection to the service. */
struct client {
    struct client *next;
    int fd;
    pid_t pid;  /**< who connected, as the kernel says */
    bool ended; /**< sends no more */
    bool gone;  /**< to be freed when all events at hand have been seen */
    bool waits; /**< for a slot: its further lines wait, too */
    char in[LINE_BYTES];
    size_t in_length;
    char out[LINE_BYTES];
    size_t out_length;
    /* of the take that it waits for */
    bool until_exit;
    char host[HOST_BYTES], message[MESSAGE_BYTES];
    char counter[SLOTSHARE_COUNTER_MAX + 1];
};

/** A take that was refused, for who asks later. */
struct refusal {
    int64_t until; /**< ms; CLOCK_MONOTONIC */
    char host[HOST_BYTES], message[MESSAGE_BYTES];
};

struct service {
    const char *name, *directory, *config;
    slotshare *handle;
    slotshare_queue *queue;
    uint64_t segment; /**< counts openings */
    bool told;        /**< that there is no segment */
    int epoll, listen;
    int64_t retry_at; /**< ms; not to open the segment again before */
    struct client *clients;
    unsigned client_count;
    struct lease *leases;
    uint64_t last_id;
    struct refusal refused[REFUSED_MAX];
    unsigned refused_next;
};

/** What epoll gives back: a client, or one of these. */
extern char event_listen, event_queue, event_signal, event_process;

int64_t service_clock(void);

/** Open the segment if need be. @return false, after a message (once): there is none. */
bool service_segment(struct service *service);

/** A call went wrong: let the segment go if it is no longer the right one. */
void service_trouble(struct service *service, int result);

/** Answer one line of a client (in place; it is taken apart). */
void request_answer(struct service *service, struct client *client, char *line);

/** A slot that a client waited for, or its time is over. */
void request_ready(struct service *service, const struct slotshare_ready *ready);

/** Append to what the client will read. Longer than its room: it is cut off. */
void client_say(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Write, read and answer as far as possible. */
void client_serve(struct service *service, struct client *client);

/** Mark as gone: no events any more; its leases and its wait end. */
void client_drop(struct service *service, struct client *client);

/** A new lease of the slot for this client. @return NULL: no memory, or the process has ended
 * already; then the slot was given back. */
struct lease *lease_new(struct service *service, struct client *client, slotshare_slot slot,
                        bool until_exit);

/** The client needs it no longer: give it back now, or when its connection is gone. */
void lease_end(struct service *service, struct lease *lease);

/** The same for all that go with a client, or with processes that have ended. */
void lease_client_gone(struct service *service, const struct client *client);
void lease_look(struct service *service, bool all_processes);

/** A lease of this client or its process. id 0: the newest that is not tied. NULL: none. */
struct lease *lease_find(struct service *service, const struct client *client, uint64_t id);

/** The lease that is tied to this connection, whoever took it. NULL: none. */
struct lease *lease_of_ends(struct service *service, const struct connection_ends *ends);

/** Does any lease need POLL_MS? */
bool lease_polls(const struct service *service);

#endif
