/* SPDX-License-Identifier: MIT */
#include "net_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1024 * 1024 };

bool net_tls_wanted(const char *url) {
    return strncmp(url, "tls+", 4) == 0;
}

/* Reads to the end; files longer than FILE_MAX are no certificates. NULL: errno says why. */
static char *read_open_file(int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0)
        return NULL;
    if (!S_ISREG(info.st_mode)) {
        errno = EINVAL;
        return NULL;
    }
    if (info.st_size > FILE_MAX) {
        errno = EFBIG;
        return NULL;
    }
    size_t size = (size_t)info.st_size;
    size_t done = 0;
    char *text = malloc(size + 1);
    if (text == NULL)
        return NULL;
    while (done < size) {
        ssize_t got = read(fd, text + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(text);
            return NULL;
        }
        if (got == 0)
            break;
        done += (size_t)got;
    }
    text[done] = '\0';
    return text;
}

/* Like PostgreSQL: nobody but its owner may read a key; only one of root's may be shown to a group,
 * which is how a key that several services use is kept. */
static bool key_is_private(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 && (info.st_mode & S_IRWXO) == 0 &&
           ((info.st_mode & S_IRWXG) == 0 ||
            (info.st_uid == 0 && (info.st_mode & (S_IWGRP | S_IXGRP)) == 0));
}

static int read_pem(char **out, char **copy, const char *option, const char *path, bool secret,
                    char *error, size_t error_size) {
    if (path == NULL) {
        (void)snprintf(error, error_size,
                       "tls+tcp:// needs %s = FILE in [cluster] (certificate, key and ca)", option);
        return -1;
    }
    /* O_NONBLOCK: whatever lies there, do not wait for it */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const bool open_to_others = secret && fd >= 0 && !key_is_private(fd);
    *out = fd >= 0 && !open_to_others ? read_open_file(fd) : NULL;
    int why = errno;
    if (fd >= 0)
        close(fd);
    *copy = *out != NULL ? strdup(path) : NULL;
    if (*copy != NULL)
        return 0;
    if (*out != NULL)
        why = ENOMEM;
    if (open_to_others)
        (void)snprintf(error, error_size,
                       "%s = %s: others can read it; chmod 0600 it (0640 when it belongs to root), "
                       "and make a new one if somebody may have",
                       option, path);
    else
        (void)snprintf(error, error_size, "cannot read %s = %s: %s", option, path, strerror(why));
    return -1;
}

int net_tls_load(struct net_tls_files *out, const char *const path[3], char *error,
                 size_t error_size) {
    *out = (struct net_tls_files){0};
    if (read_pem(&out->certificate, &out->path[0], "certificate", path[0], false, error,
                 error_size) == 0 &&
        read_pem(&out->key, &out->path[1], "key", path[1], true, error, error_size) == 0 &&
        read_pem(&out->ca, &out->path[2], "ca", path[2], false, error, error_size) == 0)
        return 0;
    net_tls_free(out);
    return -1;
}

void net_tls_free(struct net_tls_files *files) {
    if (files->key != NULL)
        explicit_bzero(files->key, strlen(files->key));
    free(files->certificate);
    free(files->key);
    free(files->ca);
    for (size_t i = 0; i < 3; i++)
        free(files->path[i]);
    *files = (struct net_tls_files){0};
}

bool net_tls_same(const struct net_tls_files *a, const struct net_tls_files *b) {
    return strcmp(a->certificate, b->certificate) == 0 && strcmp(a->key, b->key) == 0 &&
           strcmp(a->ca, b->ca) == 0;
}

int net_tls_config(nng_tls_config **out, const struct net_tls_files *files, const char *server_name,
                   char *error, size_t error_size) {
    nng_tls_config *config = NULL;
    *out = NULL;
    int rc = nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT);
    if (rc == 0)
        rc = nng_tls_config_version(config, NNG_TLS_1_2, NNG_TLS_1_3);
    if (rc == 0)
        rc = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED);
    if (rc == 0)
        rc = nng_tls_config_server_name(config, server_name);
    if (rc != 0) {
        (void)snprintf(error, error_size, "cannot set up TLS: %s", nng_strerror(rc));
    } else if ((rc = nng_tls_config_ca_chain(config, files->ca, NULL)) != 0) {
        (void)snprintf(error, error_size, "ca = %s holds no PEM certificate (%s)", files->path[2],
                       nng_strerror(rc));
    } else if ((rc = nng_tls_config_own_cert(config, files->certificate, files->key, NULL)) != 0) {
        (void)snprintf(error, error_size,
                       "certificate = %s or key = %s is not what its name says: a PEM "
                       "certificate and its PEM private key without a passphrase are needed "
                       "(%s)",
                       files->path[0], files->path[1], nng_strerror(rc));
    } else {
        *out = config;
        return 0;
    }
    if (config != NULL)
        nng_tls_config_free(config);
    return -1;
}
