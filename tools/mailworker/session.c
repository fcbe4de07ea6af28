/* SPDX-License-Identifier: MIT */
/*
 * How to put slotshare under an SMTP client: one slot per socket. The slot is taken just before
 * the socket is opened and given back just after it is closed, in the two callbacks that libcurl
 * has for this. Everything follows from that: a connection that is reused for the next message
 * keeps its slot; one whose slot is in excess ends between two messages; one that libcurl finds
 * dead and replaces gives its slot back and takes a new one; a connect that fails gives it back;
 * and a worker that is killed gives it back when the kernel has closed its sockets.
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

enum {
    CONNECT_MS = 10000, /* for the TCP connection, besides the wait for a slot */
    SEND_MS = 60000,    /* for a whole message */
    SOCKETS_MAX = 4,    /* libcurl replaces a dead connection before it has closed the old one */
    NAME_MAX_BYTES = 600,
    HEAD_MAX = 1200, /* bytes of a message's headers */
};

struct open_socket {
    curl_socket_t socket;
    slotshare_slot slot;
};

struct session {
    const struct session_options *options;
    const struct destination *to;
    struct slotshare_connection connection;
    CURL *curl;
    struct curl_slist *resolve;
    struct open_socket open[SOCKETS_MAX];
    unsigned open_count;
    unsigned connections;
    int taken; /* what the last take of a slot returned */
    char *message;
    size_t length, sent;
    char error[CURL_ERROR_SIZE];
};

/* libcurl wants a socket: that takes a slot. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
    struct session *session = arg;
    (void)purpose;
    if (session->open_count == SOCKETS_MAX)
        return CURL_SOCKET_BAD;

    struct open_socket *open = &session->open[session->open_count];
    session->taken = slotshare_acquire_wait(session->options->segment, &session->connection,
                                            &open->slot, session->options->wait_ms);
    if (session->taken != SLOTSHARE_OK)
        return CURL_SOCKET_BAD; /* nothing was opened, nothing is held */

    open->socket = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (open->socket < 0) {
        slotshare_release(session->options->segment, open->slot);
        return CURL_SOCKET_BAD;
    }
    session->open_count++;
    session->connections++;
    return open->socket;
}

/* libcurl is done with a socket: close it first, then give the slot back. */
static int close_socket(void *arg, curl_socket_t socket) {
    struct session *session = arg;
    int failed = close(socket);
    for (unsigned i = 0; i < session->open_count; i++) {
        if (session->open[i].socket == socket) {
            slotshare_release(session->options->segment, session->open[i].slot);
            session->open[i] = session->open[--session->open_count];
            break;
        }
    }
    return failed;
}

static size_t read_message(char *buffer, size_t size, size_t count, void *arg) {
    struct session *session = arg;
    size_t room = size * count, left = session->length - session->sent;
    size_t bytes = left < room ? left : room;
    memcpy(buffer, session->message + session->sent, bytes);
    session->sent += bytes;
    return bytes;
}

static bool set_up(struct session *session) {
    const struct session_options *options = session->options;
    const struct destination *to = session->to;
    char text[NAME_MAX_BYTES];

    /* Host name to address as in the MX record: "edge.omniti.com:25:192.0.2.1". */
    snprintf(text, sizeof text, "%s:%u:%s", to->host, to->port, to->address);
    session->resolve = curl_slist_append(NULL, text);
    if (!session->resolve)
        return false;

    CURL *curl = session->curl;
    CURLcode bad = CURLE_OK;
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(curl, CURLOPT_##option, value)
    snprintf(text, sizeof text, "smtp://%s:%u/%s", to->host, to->port, "mailworker.example");
    SET(URL, text);
    SET(RESOLVE, session->resolve);
    SET(OPENSOCKETFUNCTION, open_socket);
    SET(OPENSOCKETDATA, session);
    SET(CLOSESOCKETFUNCTION, close_socket);
    SET(CLOSESOCKETDATA, session);
    SET(MAXCONNECTS, 1L);
    SET(MAIL_FROM, options->sender);
    SET(UPLOAD, 1L);
    SET(READFUNCTION, read_message);
    SET(READDATA, session);
    SET(NOSIGNAL, 1L); /* there are threads */
    SET(NOPROXY, "*");
    SET(ERRORBUFFER, session->error);
    SET(CONNECTTIMEOUT_MS, (long)options->wait_ms + CONNECT_MS);
    SET(TIMEOUT_MS, (long)options->wait_ms + SEND_MS);
    if (options->source) {
        snprintf(text, sizeof text, "host!%s", options->source);
        SET(INTERFACE, text);
    }
#undef SET
    return bad == CURLE_OK;
}

struct session *session_new(const struct session_options *options, const struct destination *to) {
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->options = options;
    session->to = to;
    session->connection = (struct slotshare_connection){
        .binding = options->binding, .domain = to->domain, .host = to->host};
    session->message = malloc(options->size + HEAD_MAX);
    session->curl = curl_easy_init();
    if (!session->message || !session->curl || !set_up(session)) {
        session_free(session);
        return NULL;
    }
    return session;
}

void session_free(struct session *session) {
    if (!session)
        return;
    curl_easy_cleanup(session->curl); /* says QUIT and calls close_socket() */
    curl_slist_free_all(session->resolve);
    free(session->message);
    free(session);
}

/* A message as it goes over the wire: headers, and a body of lines of 72 characters. */
static void write_message(struct session *session, const char *id, const char *recipient) {
    char date[64];
    struct tm tm;
    time_t now = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &tm));
    size_t room = session->options->size + HEAD_MAX;
    int head = snprintf(session->message, room,
                        "Date: %s\r\nFrom: <%s>\r\nTo: <%s>\r\nMessage-ID: <%s@%s>\r\n"
                        "Subject: Test message %s\r\n\r\n",
                        date, session->options->sender, recipient, id, session->to->domain, id);
    size_t length = (size_t)head < room ? (size_t)head : room - 1;
    for (size_t i = 0; i < session->options->size; i++)
        session->message[length++] = "x\r\n"[i % 74 < 72 ? 0 : i % 74 - 71];
    session->length = length;
    session->sent = 0;
}

enum session_result session_send(struct session *session, const char *id) {
    char recipient[NAME_MAX_BYTES];
    snprintf(recipient, sizeof recipient, "%s@%s", id, session->to->domain);
    write_message(session, id, recipient);
    struct curl_slist *to = curl_slist_append(NULL, recipient);
    if (!to || curl_easy_setopt(session->curl, CURLOPT_MAIL_RCPT, to) != CURLE_OK) {
        curl_slist_free_all(to);
        return SESSION_FAILED;
    }
    session->taken = SLOTSHARE_OK; /* stays so when the open connection is used again */
    session->error[0] = '\0';
    CURLcode result = curl_easy_perform(session->curl);
    curl_easy_setopt(session->curl, CURLOPT_MAIL_RCPT, NULL);
    curl_slist_free_all(to);

    if (result == CURLE_OK)
        return SESSION_DELIVERED;
    if (session->taken == SLOTSHARE_OK) {
        if (!session->error[0])
            snprintf(session->error, sizeof session->error, "%s", curl_easy_strerror(result));
        return SESSION_FAILED;
    }
    snprintf(session->error, sizeof session->error, "no slot: %s",
             slotshare_strerror(session->taken));
    return session->taken == SLOTSHARE_FULL ? SESSION_REFUSED : SESSION_BROKEN;
}

bool session_in_excess(const struct session *session) {
    bool excess = false;
    for (unsigned i = 0; i < session->open_count; i++)
        excess = excess || slotshare_excess(session->options->segment, session->open[i].slot,
                                            NULL) == SLOTSHARE_EXCESS;
    return excess;
}

const char *session_error(const struct session *session) {
    return session->error;
}

unsigned session_connections(const struct session *session) {
    return session->connections;
}
