/* SPDX-License-Identifier: MIT */
/* Certificates that change while the bridge runs. */
#include "net_internal.h"

#include <sys/stat.h>

#include "../conf/deal.h"

enum { LOOK_MS = 5000 };

int net_certificates(const struct net *net, const char *const path[3], bool listens,
                     struct net_tls_files *files, struct tls_side **side, char *error,
                     size_t error_size) {
    *side = NULL;
    if (net_tls_load(files, path, error, error_size) != 0)
        return -1;
    *side = tls_side_open(files, listens, net->conf->node, error, error_size);
    if (*side != NULL)
        return 0;
    net_tls_free(files);
    return -1;
}

/* Everything is made before anything is changed. */
static enum net_renewal take(struct net *net, const char *const path[3], char *error,
                             size_t error_size) {
    const bool listens = net_tls_wanted(net_listen_url(net));
    struct net_tls_files files;
    struct tls_side *side = NULL;
    if (net_certificates(net, path, listens, &files, &side, error, error_size) != 0)
        return NET_RENEWAL_BAD;
    if (net_tls_same(&files, &net->files)) {
        net_tls_free(&net->files); /* the paths may be others */
        net->files = files;
        tls_side_close(side);
        return NET_RENEWAL_SAME;
    }
    net_tls_free(&net->files);
    net->files = files;
    if (listens)
        gate_renew(net->gate, side);
    else
        tls_side_close(side);
    for (uint32_t i = 0; i < net->peers; i++)
        net->peer[i].stale = net->peer[i].used && net->peer[i].tls != NULL;
    return NET_RENEWAL_NEW;
}

/* path may be those of the files in use: they are not looked at any more after take(). */
static enum net_renewal renew(struct net *net, const char *const path[3], char *error,
                              size_t error_size) {
    const enum net_renewal result = take(net, path, error, error_size);
    net->watch.known = net->watch.seen = net_watch_look(net);
    if (result == NET_RENEWAL_NEW)
        log_event(net->log, LOG_LEVEL_INFO, "certificates_renewed", "certificate",
                  net->files.path[0], "note",
                  "connections made from now on use them; those that are there stay", NULL);
    else if (result == NET_RENEWAL_BAD)
        log_event(net->log, LOG_LEVEL_ERROR, "certificates_refused", "reason", error, "note",
                  "those read before stay in use", NULL);
    return result;
}

enum net_renewal net_renew(struct net *net, const struct conf *conf, char *error,
                           size_t error_size) {
    const char *const path[3] = {conf->certificate, conf->key, conf->ca};
    error[0] = '\0';
    return net->files.ca != NULL ? renew(net, path, error, error_size) : NET_RENEWAL_NONE;
}

uint64_t net_watch_look(const struct net *net) {
    uint64_t look[3][5] = {0}; /* one that is not there looks like nothing */
    for (size_t i = 0; i < 3; i++) {
        struct stat info;
        if (stat(net->files.path[i], &info) != 0)
            continue;
        look[i][0] = info.st_ino;
        look[i][1] = (uint64_t)info.st_size;
        look[i][2] = info.st_mode;
        look[i][3] = (uint64_t)info.st_mtim.tv_sec;
        look[i][4] = (uint64_t)info.st_mtim.tv_nsec;
    }
    return deal_hash((const char *)look, sizeof look);
}

/* Three files change one after the other: they are read when they look the same twice. */
void net_watch_files(struct net *net, uint64_t now_ms) {
    struct net_watch *watch = &net->watch;
    char error[1024];
    if (net->files.ca == NULL || now_ms < watch->next)
        return;
    watch->next = now_ms + LOOK_MS;
    const uint64_t look = net_watch_look(net);
    const bool settled = look == watch->seen;
    watch->seen = look;
    if (look == watch->known || !settled)
        return;
    const char *const path[3] = {net->files.path[0], net->files.path[1], net->files.path[2]};
    (void)renew(net, path, error, sizeof error);
}
