/* SPDX-License-Identifier: MIT */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <nng/nng.h>

enum { PATIENCE_MS = 1000 }; /* for each step of a client */

/* One client after the other: accepted, its line read, answered here, the answer written. What is
 * under way is under way in one aio, whose end is told by an eventfd. (Not nng's REP: its listener
 * stops for good when a client goes while the two greet each other, as of nng 1.5.2.) */
enum step { ACCEPTING, READING, ANSWERING, WRITING };

struct admin {
    nng_stream_listener *listener;
    nng_stream *client;
    nng_aio *aio;
    enum step step;
    int fd;
    size_t used; /* of request */
    char request[ADMIN_REQUEST_MAX];
    char *reply;
    size_t size, written; /* of reply */
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
};

/* A thread of nng's: what was under way has ended. */
static void on_end(void *arg) {
    const struct admin *admin = arg;
    ssize_t written = write(admin->fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)written; /* a full eventfd is readable all the same */
}

static void accept_next(struct admin *admin) {
    if (admin->client != NULL)
        nng_stream_free(admin->client);
    free(admin->reply);
    admin->client = NULL;
    admin->reply = NULL;
    admin->used = admin->size = admin->written = 0;
    admin->step = ACCEPTING;
    nng_aio_set_timeout(admin->aio, NNG_DURATION_INFINITE);
    nng_stream_listener_accept(admin->listener, admin->aio);
}

static void move_bytes(struct admin *admin, enum step step) {
    bool reads = step == READING;
    nng_iov iov = {.iov_buf = reads ? admin->request + admin->used : admin->reply + admin->written,
                   .iov_len =
                       reads ? sizeof admin->request - admin->used : admin->size - admin->written};
    admin->step = step;
    nng_aio_set_timeout(admin->aio, PATIENCE_MS);
    if (nng_aio_set_iov(admin->aio, 1, &iov) != 0)
        accept_next(admin);
    else if (reads)
        nng_stream_recv(admin->client, admin->aio);
    else
        nng_stream_send(admin->client, admin->aio);
}

static int listen_at(struct admin *admin) {
    char url[sizeof admin->path + 8];
    (void)snprintf(url, sizeof url, "ipc://%s", admin->path);
    /* The caller is the only bridge of this segment: what lies here is of one that is dead. */
    (void)unlink(admin->path);
    int rc = nng_aio_alloc(&admin->aio, on_end, admin);
    if (rc == 0)
        rc = nng_stream_listener_alloc(&admin->listener, url);
    if (rc != 0)
        return rc;
    /* Made with its mode. NNG_OPT_IPC_PERMISSIONS would chmod() the path afterwards: by then a
     * worker, who may write to the directory, could have put a link to our key there. */
    const mode_t before = umask(0117);
    rc = nng_stream_listener_listen(admin->listener);
    (void)umask(before);
    return rc;
}

int admin_open(struct admin **out, const char *segment_path, char *error, size_t error_size) {
    struct admin *admin = calloc(1, sizeof *admin);
    int stem = (int)strlen(segment_path) - (int)strlen(".seg");
    *out = NULL;
    if (admin == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    int length = snprintf(admin->path, sizeof admin->path, "%.*s.admin", stem, segment_path);
    admin->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = admin->fd < 0 ? NNG_ENOMEM : 0;
    if (rc == 0)
        rc = length < (int)sizeof admin->path ? listen_at(admin) : NNG_EADDRINVAL;
    if (rc == 0) {
        accept_next(admin);
        *out = admin;
        return 0;
    }
    (void)snprintf(error, error_size, "%.*s.admin: cannot listen for 'slotshare status': %s", stem,
                   segment_path,
                   rc == NNG_EADDRINVAL ? "the path is too long for a socket; choose a shorter "
                                          "directory in [node]"
                                        : nng_strerror(rc));
    if (admin->listener != NULL)
        nng_stream_listener_free(admin->listener);
    if (admin->aio != NULL)
        nng_aio_free(admin->aio);
    if (admin->fd >= 0)
        close(admin->fd);
    free(admin);
    return -1;
}

void admin_close(struct admin *admin) {
    if (admin != NULL)
        (void)unlink(admin->path);
}

int admin_fd(const struct admin *admin) {
    return admin != NULL ? admin->fd : -1;
}

static void refuse(struct admin *admin, const char *why) {
    admin_reply(admin, json_object(), json_pack("[s]", why));
}

json_t *admin_understand(const char *line, size_t size, const char **command, const char **why) {
    int version = 0;
    json_error_t error;
    json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    *why = NULL;
    if (json_unpack_ex(request, &error, 0, "{s:i, s:s}", "slotshare", &version, "command",
                       command) != 0)
        *why = "not a request: an object with slotshare and command is needed";
    else if (version != ADMIN_VERSION)
        *why = "a request of another version: use the slotshare of this slotshare-bridge";
    else
        return request;
    json_decref(request);
    return NULL;
}

/* @return true: the line is whole. */
static bool read_more(struct admin *admin, size_t count) {
    const char *end = memchr(admin->request + admin->used, '\n', count);
    admin->used += count;
    if (end != NULL) {
        admin->used = (size_t)(end - admin->request);
        return true;
    }
    if (admin->used == sizeof admin->request)
        refuse(admin, "a request that is too long");
    else
        move_bytes(admin, READING);
    return false;
}

bool admin_receive(struct admin *admin, json_t **request, const char **command) {
    uint64_t ended;
    *request = NULL;
    if (read(admin->fd, &ended, sizeof ended) != (ssize_t)sizeof ended)
        return false;
    nng_aio_wait(admin->aio); /* for the last instructions of on_end() */
    size_t count = nng_aio_count(admin->aio);
    if (nng_aio_result(admin->aio) != 0) {
        accept_next(admin); /* it has gone, or was too slow */
    } else if (admin->step == ACCEPTING) {
        admin->client = nng_aio_get_output(admin->aio, 0);
        move_bytes(admin, READING);
    } else if (admin->step == READING) {
        if (read_more(admin, count)) {
            const char *why = NULL;
            admin->step = ANSWERING;
            *request = admin_understand(admin->request, admin->used, command, &why);
            if (why != NULL)
                refuse(admin, why);
        }
    } else {
        admin->written += count;
        if (admin->written < admin->size)
            move_bytes(admin, WRITING);
        else
            accept_next(admin);
    }
    return *request != NULL;
}

void admin_reply(struct admin *admin, json_t *reply, json_t *errors) {
    bool ok = json_array_size(errors) == 0;
    (void)json_object_set_new(reply, "slotshare", json_integer(ADMIN_VERSION));
    (void)json_object_set_new(reply, "ok", json_boolean(ok));
    if (!ok)
        (void)json_object_set(reply, "errors", errors);
    admin->reply = json_dumps(reply, JSON_COMPACT);
    json_decref(reply);
    json_decref(errors);
    if (admin->reply == NULL) {
        accept_next(admin);
        return;
    }
    admin->size = strlen(admin->reply);
    admin->reply[admin->size++] = '\n'; /* in the place of the NUL */
    move_bytes(admin, WRITING);
}
