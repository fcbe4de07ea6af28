/* SPDX-License-Identifier: MIT */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

#include "../conf/deal.h"

enum { FILES = STATE_PROPOSED_LAST + 1, LINE_MAX_BYTES = 512 };

struct state {
    int directory;
    char node[SLOTSHARE_BINDING_MAX + 1], cluster[SLOTSHARE_NAME_MAX + 1];
    char name[FILES][SLOTSHARE_NAME_MAX + 16];
    char *path[FILES];
};

static int fail(char *error, size_t size, const char *path, const char *what) {
    (void)snprintf(error, size, "%s: cannot %s: %s", path, what, strerror(errno));
    return -1;
}

/* ---- the directory ---- */

static int open_directory(const char *path, char *error, size_t size) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const char *wrong = NULL;
    if (fd < 0 && errno == ENOENT) {
        (void)snprintf(error, size,
                       "state = %s: there is no such directory; the bridge remembers there what "
                       "the cluster has committed. Make it: install -d -m 0700 %s (owned by the "
                       "bridge's user)",
                       path, path);
        return -1;
    }
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
        (void)snprintf(error, size,
                       "state = %s: not a directory, or a symbolic link; name the directory itself",
                       path);
        return -1;
    }
    if (fd < 0 || fstat(fd, &status) != 0)
        (void)fail(error, size, path, "open the state directory");
    else if (status.st_uid != geteuid() && status.st_uid != 0)
        wrong = "belongs to another user; chown it to the bridge's user";
    else if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        wrong = "others may write to it; chmod 0700 it";
    else if (faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        wrong = "this user may not write to it; chown it to the bridge's user, mode 0700";
    else
        return fd;
    if (wrong != NULL)
        (void)snprintf(error, size, "state = %s: %s", path, wrong);
    if (fd >= 0)
        close(fd);
    return -1;
}

int state_open(struct state **out, const char *directory, const char *name, const char *node,
               const char *cluster, char *error, size_t error_size) {
    static const char *const suffix[FILES] = {"committed", "promised",  "proposed1",
                                              "proposed2", "proposed3", "proposed4"};
    *out = NULL;
    int fd = open_directory(directory, error, error_size);
    if (fd < 0)
        return -1;
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        close(fd);
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    state->directory = fd;
    (void)snprintf(state->node, sizeof state->node, "%s", node);
    (void)snprintf(state->cluster, sizeof state->cluster, "%s", cluster);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(state->name[i], sizeof state->name[i], "%s.%s", name, suffix[i]);
        if (asprintf(&state->path[i], "%s/%s", directory, state->name[i]) < 0)
            state->path[i] = NULL;
    }
    bool complete = true;
    for (int i = 0; i < FILES; i++)
        complete = complete && state->path[i] != NULL;
    if (!complete) {
        state_close(state);
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    *out = state;
    return 0;
}

void state_close(struct state *state) {
    if (state == NULL)
        return;
    close(state->directory);
    for (int i = 0; i < FILES; i++)
        free(state->path[i]);
    free(state);
}

const char *state_path(const struct state *state, enum state_file file) {
    return state->path[file];
}

/* ---- reading ---- */

static uint64_t check_of(uint64_t epoch, uint64_t digest, const char *text, size_t size) {
    const uint64_t all[] = {epoch, digest, deal_hash(text, size)};
    return deal_hash((const char *)all, sizeof all);
}

static int read_whole(int fd, struct state_saved *out) {
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -1;
    if (!S_ISREG(status.st_mode) || status.st_size > STATE_TEXT_MAX + LINE_MAX_BYTES) {
        errno = EFBIG;
        return -1;
    }
    size_t room = (size_t)status.st_size;
    out->whole = malloc(room + 1);
    while (out->whole != NULL && out->whole_size < room) {
        ssize_t got = read(fd, out->whole + out->whole_size, room - out->whole_size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        out->whole_size += (size_t)got;
    }
    if (out->whole == NULL || out->whole_size < room)
        return -1;
    out->whole[room] = '\0';
    return 0;
}

/* A label and the word behind it. @return false: another label, or a word that is too long. */
static bool take_word(const char **at, const char *label, char *out, size_t size) {
    size_t length = strlen(label);
    if (strncmp(*at, label, length) != 0)
        return false;
    *at += length;
    length = strcspn(*at, " \n");
    if (length == 0 || length >= size)
        return false;
    memcpy(out, *at, length);
    out[length] = '\0';
    *at += length;
    return true;
}

static bool take_number(const char **at, const char *label, int base, uint64_t *out) {
    char word[32];
    char *end = NULL;
    if (!take_word(at, label, word, sizeof word) || strspn(word, "0123456789abcdef") < strlen(word))
        return false;
    errno = 0;
    *out = strtoull(word, &end, base);
    return errno == 0 && *end == '\0';
}

struct head {
    char node[SLOTSHARE_BINDING_MAX + 1], cluster[SLOTSHARE_NAME_MAX + 1];
    uint64_t bytes, check;
};

/* Our line: fixed labels, so that nothing else is taken for it. The text ends with a NUL. */
static bool read_head(struct state_saved *out, struct head *head) {
    const char *at = out->whole;
    if (!take_number(&at, "; slotshare state 1: epoch ", 10, &out->epoch) ||
        !take_number(&at, " digest ", 16, &out->digest) ||
        !take_word(&at, " cluster ", head->cluster, sizeof head->cluster) ||
        !take_word(&at, " node ", head->node, sizeof head->node) ||
        !take_number(&at, " bytes ", 10, &head->bytes) ||
        !take_number(&at, " check ", 16, &head->check) || *at != '\n')
        return false;
    out->text = at + 1;
    out->size = out->whole_size - (size_t)(out->text - out->whole);
    return true;
}

static int understand(const struct state *state, enum state_file file, struct state_saved *out,
                      char *error, size_t error_size) {
    struct head head;
    const char *wrong = NULL;
    if (!read_head(out, &head))
        wrong = "is no state of a bridge";
    else if (head.bytes != out->size || out->epoch == 0 || out->digest == 0 ||
             head.check != check_of(out->epoch, out->digest, out->text, out->size))
        wrong = "is damaged";
    if (wrong != NULL) {
        (void)snprintf(error, error_size,
                       "%s: %s. Restore it from a copy; without one, remove it: the node then "
                       "joins the cluster as a new one",
                       state->path[file], wrong);
        return -1;
    }
    if (strcmp(head.node, state->node) == 0 && strcmp(head.cluster, state->cluster) == 0)
        return 1;
    (void)snprintf(error, error_size,
                   "%s: is the state of node %s in cluster %s, and this is %s in %s. Name another "
                   "directory with state = DIR in [node], or restore the right file",
                   state->path[file], head.node, head.cluster, state->node, state->cluster);
    return -1;
}

int state_load(const struct state *state, enum state_file file, struct state_saved *out,
               char *error, size_t error_size) {
    *out = (struct state_saved){0};
    int fd =
        openat(state->directory, state->name[file], O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(error, error_size, state->path[file], "read it");
    int result = read_whole(fd, out) == 0 ? understand(state, file, out, error, error_size)
                                          : fail(error, error_size, state->path[file], "read it");
    close(fd);
    if (result < 0) {
        free(out->whole);
        *out = (struct state_saved){0};
    }
    return result;
}

/* ---- writing ---- */

static int write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t put = write(fd, bytes, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        bytes += put;
        size -= (size_t)put;
    }
    return 0;
}

int state_store(const struct state *state, enum state_file file, uint64_t epoch, uint64_t digest,
                const char *text, size_t size, char *error, size_t error_size) {
    char line[LINE_MAX_BYTES];
    char building[sizeof state->name[0] + 8];
    if (size > STATE_TEXT_MAX) {
        errno = EFBIG;
        return fail(error, error_size, state->path[file], "write it");
    }
    int length = snprintf(line, sizeof line,
                          "; slotshare state 1: epoch %" PRIu64 " digest %016" PRIx64
                          " cluster %s node %s bytes %zu check %016" PRIx64 "\n",
                          epoch, digest, state->cluster, state->node, size,
                          check_of(epoch, digest, text, size));
    (void)snprintf(building, sizeof building, "%s.new", state->name[file]);
    (void)unlinkat(state->directory, building, 0); /* of a bridge that died here */
    int fd = openat(state->directory, building,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(error, error_size, state->path[file], "write it");
    int result = write_all(fd, line, (size_t)length);
    if (result == 0)
        result = write_all(fd, text, size);
    if (result == 0)
        result = fsync(fd);
    if (close(fd) != 0 && result == 0)
        result = -1;
    if (result == 0)
        result = renameat(state->directory, building, state->directory, state->name[file]);
    if (result == 0)
        result = fsync(state->directory);
    if (result == 0)
        return 0;
    (void)fail(error, error_size, state->path[file], "write it");
    (void)unlinkat(state->directory, building, 0);
    return -1;
}

int state_drop(const struct state *state, enum state_file file, char *error, size_t error_size) {
    if (unlinkat(state->directory, state->name[file], 0) != 0)
        return errno == ENOENT ? 0 : fail(error, error_size, state->path[file], "remove it");
    return fsync(state->directory) == 0 ? 0
                                        : fail(error, error_size, state->path[file], "remove it");
}
