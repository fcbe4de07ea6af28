/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TOOLS_MAILWORKER_SESSION_H
#define SLOTSHARE_TOOLS_MAILWORKER_SESSION_H
/**
 * One SMTP session with one MX host, as a mail server's worker holds it: a connection under a
 * slot, and the messages that go over it one after the other. This is the part that an MTA author
 * wants to read; session.c is short.
 */
#include <stdbool.h>
#include <stddef.h>

#include <slotshare/slotshare.h>

/** Where mail for a domain goes. */
struct destination {
    const char *domain;  /**< the recipients' domain */
    const char *host;    /**< its MX host, as the MX record names it */
    const char *address; /**< where that host listens: an IP address, so that no DNS is needed */
    unsigned port;
    unsigned weight; /**< how often it is chosen, relative to the others */
};

/** What all sessions of a worker have in common. */
struct session_options {
    slotshare *segment;
    const char *binding; /**< the sending identity: what limits of a binding count */
    const char *source;  /**< local IP address to send from; NULL: the system's choice */
    const char *sender;  /**< envelope sender and From: */
    int wait_ms;         /**< longest wait for a slot */
    size_t size;         /**< bytes of a message's body */
};

enum session_result {
    SESSION_DELIVERED, /**< the other side has taken responsibility: it said 250 */
    SESSION_REFUSED,   /**< no slot within wait_ms: keep the message in the queue, try later */
    SESSION_FAILED,    /**< connection or SMTP failed: keep the message, try later */
    SESSION_BROKEN,    /**< the segment cannot be used any more: the process should end */
};

struct session;

/**
 * Begin a session. Opens nothing yet: the connection is opened by the first message.
 *
 * @param options, to  must outlive the session
 * @return NULL when memory is out.
 */
struct session *session_new(const struct session_options *options, const struct destination *to);

/** Close the connection, give its slot back. */
void session_free(struct session *session);

/** Deliver one message. @param id  unique; becomes its Message-ID and local part of its recipient
 */
enum session_result session_send(struct session *session, const char *id);

/** The connection is to end now that a message is delivered: other hosts wait for its slot. */
bool session_in_excess(const struct session *session);

/** Why the last message was not delivered. @return a string that lives as long as the session. */
const char *session_error(const struct session *session);

/** Connections opened so far: more than one when the other side hung up between messages. */
unsigned session_connections(const struct session *session);

#endif
