/* SPDX-License-Identifier: MIT */
#include "admin.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <nng/nng.h>

enum {
    PATIENCE_MS = 1000, /* for each step of a client */
    PLACES = ADMIN_CLIENTS_MAX + 1,
};

/* Each client has a place: accepted, its line read, answered here, the answer written. What is
 * under way there is under way in the place's aio, whose end is told by its flag and an eventfd
 * that counts them. (Not nng's REP: its listener stops for good when a client goes while the two
 * greet each other, as of nng 1.5.2.) */
enum step { FREE, ACCEPTING, READING, ANSWERING, WRITING };

struct place {
    struct admin *admin;
    nng_aio *aio;
    nng_stream *client;
    enum step step;
    atomic_bool ended;
    uint64_t number; /* of clients, as they came */
    size_t used;     /* of request */
    char *reply;
    size_t size, written; /* of reply */
    char request[ADMIN_REQUEST_MAX];
};

struct admin {
    nng_stream_listener *listener;
    int fd;
    uint64_t clients; /* so far */
    struct place *answering;
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    struct place place[PLACES];
};

/* A thread of nng's: what was under way has ended. Release: with what it has left in the aio. */
static void on_end(void *arg) {
    struct place *place = arg;
    const int fd = place->admin->fd;
    atomic_store_explicit(&place->ended, true, memory_order_release);
    ssize_t written = write(fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)written; /* there are fewer ends than an eventfd can count */
}

/* One place waits for the next client. When there is none left for it the oldest client has to go:
 * its end comes back here. */
static void accept_next(struct admin *admin) {
    struct place *free = NULL, *oldest = NULL;
    for (int i = 0; i < PLACES; i++) {
        struct place *place = &admin->place[i];
        if (place->step == ACCEPTING)
            return;
        if (place->step == FREE)
            free = place;
        else if (oldest == NULL || place->number < oldest->number)
            oldest = place;
    }
    if (free == NULL) {
        nng_aio_cancel(oldest->aio);
        return;
    }
    free->step = ACCEPTING;
    nng_aio_set_timeout(free->aio, NNG_DURATION_INFINITE);
    nng_stream_listener_accept(admin->listener, free->aio);
}

static void leave(struct place *place) {
    if (place->client != NULL)
        nng_stream_free(place->client);
    free(place->reply);
    place->client = NULL;
    place->reply = NULL;
    place->used = place->size = place->written = 0;
    place->step = FREE;
    accept_next(place->admin);
}

static void move_bytes(struct place *place, enum step step) {
    bool reads = step == READING;
    nng_iov iov = {.iov_buf = reads ? place->request + place->used : place->reply + place->written,
                   .iov_len =
                       reads ? sizeof place->request - place->used : place->size - place->written};
    place->step = step;
    nng_aio_set_timeout(place->aio, PATIENCE_MS);
    if (nng_aio_set_iov(place->aio, 1, &iov) != 0)
        leave(place);
    else if (reads)
        nng_stream_recv(place->client, place->aio);
    else
        nng_stream_send(place->client, place->aio);
}

static int places_open(struct admin *admin) {
    int rc = 0;
    for (int i = 0; i < PLACES && rc == 0; i++) {
        admin->place[i].admin = admin;
        rc = nng_aio_alloc(&admin->place[i].aio, on_end, &admin->place[i]);
    }
    return rc;
}

static int listen_at(struct admin *admin) {
    char url[sizeof admin->path + 8];
    (void)snprintf(url, sizeof url, "ipc://%s", admin->path);
    /* The caller is the only bridge of this segment: what lies here is of one that is dead. */
    (void)unlink(admin->path);
    int rc = places_open(admin);
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
    admin->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
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
    for (int i = 0; i < PLACES; i++) {
        if (admin->place[i].aio != NULL)
            nng_aio_free(admin->place[i].aio);
    }
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

static void answer(struct place *place, json_t *reply, json_t *errors) {
    bool ok = json_array_size(errors) == 0;
    (void)json_object_set_new(reply, "slotshare", json_integer(ADMIN_VERSION));
    (void)json_object_set_new(reply, "ok", json_boolean(ok));
    if (!ok)
        (void)json_object_set(reply, "errors", errors);
    place->reply = json_dumps(reply, JSON_COMPACT);
    json_decref(reply);
    json_decref(errors);
    if (place->reply == NULL) {
        leave(place);
        return;
    }
    place->size = strlen(place->reply);
    place->reply[place->size++] = '\n'; /* in the place of the NUL */
    move_bytes(place, WRITING);
}

static void refuse(struct place *place, const char *why) {
    answer(place, json_object(), json_pack("[s]", why));
}

/* @return true: the line is whole. */
static bool read_more(struct place *place, size_t count) {
    const char *end = memchr(place->request + place->used, '\n', count);
    place->used += count;
    if (end != NULL) {
        place->used = (size_t)(end - place->request);
        return true;
    }
    if (place->used == sizeof place->request)
        refuse(place, "a request that is too long");
    else
        move_bytes(place, READING);
    return false;
}

static void accepted(struct place *place) {
    place->client = nng_aio_get_output(place->aio, 0);
    place->number = place->admin->clients++;
    move_bytes(place, READING);
}

static void written(struct place *place, size_t count) {
    place->written += count;
    if (place->written < place->size)
        move_bytes(place, WRITING);
    else
        leave(place);
}

/* @return the place where something has ended, as the eventfd says; NULL: there is none. */
static struct place *ended(struct admin *admin) {
    uint64_t one;
    if (read(admin->fd, &one, sizeof one) != (ssize_t)sizeof one)
        return NULL;
    for (int i = 0; i < PLACES; i++) {
        struct place *place = &admin->place[i];
        if (atomic_load_explicit(&place->ended, memory_order_acquire)) {
            nng_aio_wait(place->aio); /* for the last instructions of on_end() */
            atomic_store_explicit(&place->ended, false, memory_order_relaxed);
            return place;
        }
    }
    return NULL;
}

bool admin_receive(struct admin *admin, json_t **request, const char **command) {
    struct place *place = ended(admin);
    *request = NULL;
    if (place == NULL)
        return false;
    size_t count = nng_aio_count(place->aio);
    if (nng_aio_result(place->aio) != 0) {
        leave(place); /* it has gone, was too slow, or too many came after it */
    } else if (place->step == ACCEPTING) {
        accepted(place);
    } else if (place->step == WRITING) {
        written(place, count);
    } else if (read_more(place, count)) {
        const char *why = NULL;
        place->step = ANSWERING;
        *request = admin_understand(place->request, place->used, command, &why);
        admin->answering = place;
        if (why != NULL)
            refuse(place, why);
    }
    accept_next(admin);
    return *request != NULL;
}

void admin_reply(struct admin *admin, json_t *reply, json_t *errors) {
    answer(admin->answering, reply, errors);
}
