/* SPDX-License-Identifier: MIT */
#include "edition.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void edition_error(struct conf_errors *errors, const char *path, const char *format, ...) {
    char what[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    char **grown = reallocarray(errors->line, errors->count + 1, sizeof *grown);
    if (grown == NULL)
        return;
    errors->line = grown;
    if (asprintf(&errors->line[errors->count], "%s: %s", path, what) >= 0)
        errors->count++;
}

/* The bytes that are checked are those that are kept: a file may change in between.
 * @return -1 with errno. */
static int read_text(int fd, struct edition *out) {
    size_t room = 0;
    for (;;) {
        if (out->size == room) {
            room = room > 0 ? 2 * room : 16384;
            char *grown = room <= 2 * (size_t)STATE_TEXT_MAX ? realloc(out->text, room) : NULL;
            if (grown == NULL)
                return -1;
            out->text = grown;
        }
        ssize_t got = read(fd, out->text + out->size, room - out->size);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return -1;
        out->size += got > 0 ? (size_t)got : 0;
        if (out->size > STATE_TEXT_MAX) {
            errno = EFBIG;
            return -1;
        }
    }
    return 0;
}

int edition_read(struct edition *out, const char *path, struct conf_errors *errors) {
    *out = (struct edition){0};
    /* O_NONBLOCK: whatever lies there, do not wait for it */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int result = fd < 0 ? -1 : read_text(fd, out);
    if (result != 0)
        edition_error(errors, path,
                      "cannot be read: %s; name a file that is there and that this user may read",
                      strerror(errno));
    if (fd >= 0)
        close(fd);
    if (result == 0)
        result = conf_load_text(path, out->text, out->size, NULL, &out->conf, errors);
    out->file_size = out->size;
    if (result != 0)
        edition_free(out);
    else
        out->digest = conf_digest(out->conf);
    return result;
}

/* Changes begin with a section that no file can have. */
static size_t file_size(const char *text, size_t size) {
    static const char head[] = "\n[changes]\n";
    const char *at = memmem(text, size, head, sizeof head - 1);
    return at != NULL ? (size_t)(at - text) : size;
}

/* What is there has been checked before. @return 0; -1. */
static int load_again(struct edition *out, const struct conf *like) {
    struct conf_errors errors = {0};
    int result =
        conf_load_stored(like->file, out->text, out->size, like->node, &out->conf, &errors);
    conf_errors_free(&errors);
    return result == 0 ? conf_take_local(out->conf, like) : -1;
}

int edition_with(struct edition *out, const struct edition *from,
                 const struct conf_changes *changes) {
    *out = (struct edition){.size = from->file_size, .file_size = from->file_size};
    out->text = malloc(from->file_size + 1 + CONF_CHANGES_TEXT);
    int result = -1;
    if (out->text != NULL) {
        memcpy(out->text, from->text, from->file_size);
        size_t more = conf_changes_text(changes, out->text + from->file_size + 1);
        out->text[from->file_size] = '\n';
        out->size += more > 0 ? more + 1 : 0;
        result = out->size <= STATE_TEXT_MAX ? load_again(out, from->conf) : -1;
    }
    if (result == 0)
        out->digest = conf_digest(out->conf);
    else
        edition_free(out);
    return result;
}

int edition_restore(struct edition *out, struct state_saved *saved, const char *path,
                    const struct conf *file, char *error, size_t error_size) {
    struct conf_errors errors = {0};
    *out = (struct edition){.size = saved->size};
    int result =
        conf_load_stored(path, saved->whole, saved->whole_size, file->node, &out->conf, &errors);
    if (result != 0) {
        (void)snprintf(error, error_size, "%s", errors.count > 0 ? errors.line[0] : path);
    } else {
        memmove(saved->whole, saved->text, saved->size);
        out->text = saved->whole;
        out->file_size = file_size(out->text, out->size);
        out->digest = conf_digest(out->conf);
        if (conf_take_local(out->conf, file) != 0) {
            (void)snprintf(error, error_size, "out of memory");
            result = -1;
        } else if (out->digest != saved->digest) {
            (void)snprintf(error, error_size,
                           "%s: was written by another version of slotshare-bridge, which reads "
                           "it in another way. Remove it: the node then joins the cluster as a "
                           "new one",
                           path);
            result = -1;
        }
    }
    if (out->text == NULL)
        free(saved->whole);
    *saved = (struct state_saved){0};
    conf_errors_free(&errors);
    if (result != 0)
        edition_free(out);
    return result;
}

int edition_copy(struct edition *out, const struct edition *from) {
    *out =
        (struct edition){.size = from->size, .file_size = from->file_size, .digest = from->digest};
    out->text = malloc(from->size + 1);
    int result = -1;
    if (out->text != NULL) {
        memcpy(out->text, from->text, from->size);
        result = load_again(out, from->conf);
    }
    if (result != 0)
        edition_free(out);
    return result;
}

void edition_free(struct edition *edition) {
    conf_free(edition->conf);
    free(edition->text);
    *edition = (struct edition){0};
}

void edition_move(struct edition *to, struct edition *from) {
    edition_free(to);
    *to = *from;
    *from = (struct edition){0};
}

void edition_membership(const struct edition *edition, uint64_t epoch,
                        struct core_membership *out) {
    const struct conf *conf = edition->conf;
    *out = (struct core_membership){.epoch = epoch,
                                    .digest = edition->digest,
                                    .reserve_percent = conf->reserve_percent,
                                    .members = conf->members};
    for (uint32_t i = 0; i < conf->members; i++)
        out->member[i] = (struct core_member){
            .hash = deal_hash(conf->member[i].name, strlen(conf->member[i].name)),
            .witness = conf->member[i].witness || conf->member[i].drained};
}
