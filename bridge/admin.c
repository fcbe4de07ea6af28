/* SPDX-License-Identifier: MIT */
#include "admin.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

struct admin {
    nng_socket socket;
    int fd;
    atomic_int clients;
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
};

/* A thread of nng's: a client has come or gone. relaxed: the number is all there is. */
static void on_client(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    struct admin *admin = arg;
    if (event == NNG_PIPE_EV_REM_POST)
        atomic_fetch_sub_explicit(&admin->clients, 1, memory_order_relaxed);
    else if (atomic_fetch_add_explicit(&admin->clients, 1, memory_order_relaxed) >=
             ADMIN_CLIENTS_MAX)
        (void)nng_pipe_close(pipe);
}

static int listen_at(struct admin *admin) {
    char url[sizeof admin->path + 8];
    nng_listener listener = NNG_LISTENER_INITIALIZER;
    (void)snprintf(url, sizeof url, "ipc://%s", admin->path);
    /* The caller is the only bridge of this segment: what lies here is of one that is dead. */
    (void)unlink(admin->path);
    int rc = nng_rep0_open(&admin->socket);
    if (rc == 0)
        rc = nng_socket_set_size(admin->socket, NNG_OPT_RECVMAXSZ, ADMIN_REQUEST_MAX);
    if (rc == 0)
        rc = nng_pipe_notify(admin->socket, NNG_PIPE_EV_ADD_PRE, on_client, admin);
    if (rc == 0)
        rc = nng_pipe_notify(admin->socket, NNG_PIPE_EV_REM_POST, on_client, admin);
    if (rc == 0)
        rc = nng_socket_get_int(admin->socket, NNG_OPT_RECVFD, &admin->fd);
    if (rc == 0)
        rc = nng_listener_create(&listener, admin->socket, url);
    if (rc == 0)
        rc = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0660);
    if (rc == 0)
        rc = nng_listener_start(listener, 0);
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
    int rc = length < (int)sizeof admin->path ? listen_at(admin) : NNG_EADDRINVAL;
    if (rc == 0) {
        *out = admin;
        return 0;
    }
    (void)snprintf(error, error_size, "%.*s.admin: cannot listen for 'slotshare status': %s", stem,
                   segment_path,
                   rc == NNG_EADDRINVAL ? "the path is too long for a socket; choose a shorter "
                                          "directory in [node]"
                                        : nng_strerror(rc));
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

/* @return NULL: it was refused. */
static json_t *understand(struct admin *admin, nng_msg *message, const char **command) {
    int version = 0;
    json_error_t error;
    json_t *request =
        json_loadb(nng_msg_body(message), nng_msg_len(message), JSON_REJECT_DUPLICATES, NULL);
    if (json_unpack_ex(request, &error, 0, "{s:i, s:s}", "slotshare", &version, "command",
                       command) != 0)
        refuse(admin, "not a request: an object with slotshare and command is needed");
    else if (version != ADMIN_VERSION)
        refuse(admin, "a request of another version: use the slotshare of this slotshare-bridge");
    else
        return request;
    json_decref(request);
    return NULL;
}

bool admin_receive(struct admin *admin, json_t **request, const char **command) {
    nng_msg *message = NULL;
    *request = NULL;
    while (*request == NULL && nng_recvmsg(admin->socket, &message, NNG_FLAG_NONBLOCK) == 0) {
        *request = understand(admin, message, command);
        nng_msg_free(message);
    }
    return *request != NULL;
}

void admin_reply(struct admin *admin, json_t *reply, json_t *errors) {
    nng_msg *message = NULL;
    bool ok = json_array_size(errors) == 0;
    (void)json_object_set_new(reply, "slotshare", json_integer(ADMIN_VERSION));
    (void)json_object_set_new(reply, "ok", json_boolean(ok));
    if (!ok)
        (void)json_object_set(reply, "errors", errors);
    char *text = json_dumps(reply, JSON_COMPACT);
    if (text != NULL && nng_msg_alloc(&message, 0) == 0) {
        /* Without a reply the client gives up after a while. */
        if (nng_msg_append(message, text, strlen(text)) != 0 ||
            nng_sendmsg(admin->socket, message, NNG_FLAG_NONBLOCK) != 0)
            nng_msg_free(message);
    }
    free(text);
    json_decref(reply);
    json_decref(errors);
}
