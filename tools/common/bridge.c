/* SPDX-License-Identifier: MIT */
#include "bridge.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { VERSION = 1, ANSWER_MAX = 4 * 1024 * 1024, STEP = 65536 };

bool bridge_path(char out[BRIDGE_PATH_MAX], const char *name, const char *directory) {
    if (directory == NULL || *directory == '\0')
        directory = getenv("SLOTSHARE_DIR");
    if (directory == NULL || *directory == '\0')
        directory = "/run/slotshare";
    int length = snprintf(out, BRIDGE_PATH_MAX, "%s/%s.admin", directory,
                          name != NULL && *name != '\0' ? name : "slotshare");
    return length > 0 && length < BRIDGE_PATH_MAX;
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* @return false: not within the time; errno says why. */
static bool ready(int fd, short what, int64_t end) {
    struct pollfd poll_fd = {.fd = fd, .events = what};
    for (;;) {
        const int64_t left = end - now_ms();
        const int found = poll(&poll_fd, 1, left > 0 ? (int)left : 0);
        if (found > 0)
            return true;
        if (found == 0)
            errno = ETIMEDOUT;
        if (found == 0 || errno != EINTR)
            return false;
    }
}

/* @return the socket; -1: errno says why. */
static int connect_to(const char *path, int64_t end) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* EAGAIN: its queue is full, and Linux has no way to wait for room but to try again. */
    while (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        static const struct timespec nap = {.tv_nsec = 10000000};
        const int error = errno == EAGAIN && now_ms() >= end ? ETIMEDOUT : errno;
        if (error != EAGAIN) {
            close(fd);
            errno = error;
            return -1;
        }
        (void)nanosleep(&nap, NULL);
    }
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t size, int64_t end) {
    while (size > 0) {
        const ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (!(sent < 0 && (errno == EAGAIN || errno == EINTR)) || !ready(fd, POLLOUT, end)) {
            return false;
        }
    }
    return true;
}

/* Up to the end of the line. @return malloc()ed; NULL: errno says why. */
static char *receive_line(int fd, size_t *size, int64_t end) {
    char *line = NULL;
    *size = 0;
    for (size_t room = 0; *size == 0 || line[*size - 1] != '\n';) {
        if (*size == room) {
            char *grown = room < ANSWER_MAX ? realloc(line, room += STEP) : NULL;
            if (grown == NULL) {
                errno = room < ANSWER_MAX ? ENOMEM : EMSGSIZE;
                break;
            }
            line = grown;
        }
        const ssize_t got = recv(fd, line + *size, room - *size, 0);
        if (got == 0) {
            errno = ECONNRESET;
            break;
        }
        if (got > 0)
            *size += (size_t)got;
        else if ((errno != EAGAIN && errno != EINTR) || !ready(fd, POLLIN, end))
            break;
    }
    if (*size > 0 && line[*size - 1] == '\n')
        return line;
    free(line);
    return NULL;
}

static char *exchange(const char *path, const char *question, int timeout_ms, size_t *size) {
    const int64_t end = now_ms() + timeout_ms;
    const int fd = connect_to(path, end);
    if (fd < 0)
        return NULL;
    char *line = send_all(fd, question, strlen(question), end) ? receive_line(fd, size, end) : NULL;
    const int error = errno;
    close(fd);
    errno = error;
    return line;
}

static void tell(char *error, size_t size, const char *path, int why) {
    const char *hint = "the bridge that made it is not running: start slotshare-bridge";
    if (why == ENOENT)
        hint = "no slotshare-bridge serves a segment of this name there";
    else if (why == EACCES || why == EPERM)
        hint = "run as root, or as a user of the segment's group";
    else if (why == ETIMEDOUT || why == ECONNRESET)
        hint = "the bridge stands still, or is very busy; its log may say why";
    (void)snprintf(error, size, "%s: %s (%s)", path, hint, strerror(why));
}

enum bridge_result bridge_ask(const char *path, json_t *question, int timeout_ms, json_t **answer,
                              char *error, size_t error_size) {
    size_t size = 0;
    char *asked = NULL;
    (void)json_object_set_new(question, "slotshare", json_integer(VERSION));
    char *text = json_dumps(question, JSON_COMPACT);
    json_decref(question);
    *answer = NULL;
    errno = ENOMEM;
    char *line = text != NULL && asprintf(&asked, "%s\n", text) > 0
                     ? exchange(path, asked, timeout_ms, &size)
                     : NULL;
    const bool said = line != NULL;
    if (!said)
        tell(error, error_size, path, errno);
    else
        *answer = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    free(asked);
    free(line);
    if (*answer != NULL && ask_number(*answer, "slotshare") == VERSION)
        return ask_is(*answer, "ok") ? BRIDGE_ANSWERED : BRIDGE_REFUSED;
    if (said)
        (void)snprintf(error, error_size,
                       "%s: the answer is of another version: use the programs that belong to "
                       "this slotshare-bridge",
                       path);
    json_decref(*answer);
    *answer = NULL;
    return BRIDGE_SILENT;
}

const char *ask_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

int64_t ask_number(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

bool ask_is(const json_t *object, const char *key) {
    return json_is_true(json_object_get(object, key));
}
