/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service.h"

void client_say(struct client *client, const char *format, ...) {
    va_list arguments;
    size_t room = sizeof client->out - client->out_length;

    va_start(arguments, format);
    int length = vsnprintf(client->out + client->out_length, room, format, arguments);
    va_end(arguments);
    if (length > 0) {
        client->out_length += (size_t)length < room ? (size_t)length : room - 1;
    }
}

static bool flush(struct client *client) {
    while (client->out_length > 0) {
        ssize_t done = send(client->fd, client->out, client->out_length, MSG_NOSIGNAL);
        if (done < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        client->out_length -= (size_t)done;
        memmove(client->out, client->out + done, client->out_length);
    }
    return true;
}

static bool fill(struct client *client) {
    while (!client->ended && client->in_length < sizeof client->in) {
        ssize_t done = recv(client->fd, client->in + client->in_length,
                            sizeof client->in - client->in_length, 0);
        if (done < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        client->ended = done == 0;
        client->in_length += (size_t)done;
    }
    return true;
}

/* Answer whole lines while there is room for the answers. */
static void answer(struct service *service, struct client *client) {
    enum { ROOM = LINE_BYTES / 2 };
    while (!client->waits && client->in_length > 0 && client->out_length < ROOM) {
        char line[LINE_BYTES + 1];
        char *end = memchr(client->in, '\n', client->in_length);
        if (!end && !client->ended && client->in_length < sizeof client->in) {
            return;
        }
        /* The last line may come without its end; a longer one than fits is not understood. */
        size_t length = end ? (size_t)(end - client->in) : client->in_length;
        memcpy(line, client->in, length);
        line[length] = '\0';
        size_t used = length + (end != NULL);
        client->in_length -= used;
        memmove(client->in, client->in + used, client->in_length);
        request_answer(service, client, line);
    }
}

/* While a request waits, nothing is read but its end: that withdraws it. */
static void want(struct service *service, struct client *client) {
    struct epoll_event event = {.data.ptr = client};
    bool reads = !client->ended && !client->waits && client->in_length < sizeof client->in;
    event.events = (reads ? EPOLLIN : 0) | (client->out_length ? EPOLLOUT : 0);
    (void)epoll_ctl(service->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

void client_serve(struct service *service, struct client *client) {
    bool good = !client->gone && fill(client);
    if (good) {
        answer(service, client);
        good = flush(client);
    }
    bool done = client->ended && !client->waits && !client->in_length && !client->out_length;
    if (!client->gone && (!good || done)) {
        client_drop(service, client);
    } else if (!client->gone) {
        want(service, client);
    }
}

void client_drop(struct service *service, struct client *client) {
    if (client->gone) {
        return;
    }
    client->gone = true;
    if (client->waits && service->queue) {
        (void)slotshare_queue_cancel(service->queue, client);
        client->waits = false;
    }
    (void)close(client->fd); /* takes it out of epoll */
    lease_client_gone(service, client);
}
