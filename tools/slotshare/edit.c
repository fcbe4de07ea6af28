/* SPDX-License-Identifier: MIT */
#include "edit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { TEXT_MAX = 16 * 1024 * 1024 };

static int cannot(const char *program, const char *path, const char *what) {
    int why = errno;
    fprintf(stderr, "%s: %s: cannot %s: %s\n", program, path, what, strerror(why));
    return why == EACCES || why == EPERM ? EX_NOPERM : EX_OSERR;
}

/* @return NULL, with errno. */
static char *read_text(const char *path, size_t *size) {
    FILE *file = fopen(path, "re");
    char *text = file != NULL ? malloc(TEXT_MAX) : NULL;
    *size = text != NULL ? fread(text, 1, TEXT_MAX, file) : 0;
    if (text != NULL && (ferror(file) || *size == TEXT_MAX)) {
        errno = ferror(file) ? errno : EFBIG;
        free(text);
        text = NULL;
    }
    if (file != NULL)
        (void)fclose(file);
    return text;
}

static int check(const struct edit *edit, struct conf **conf) {
    struct conf_errors errors = {0};
    int result = conf_load_text(edit->path, edit->text, edit->size, NULL, conf, &errors);
    for (size_t i = 0; i < errors.count; i++)
        fprintf(stderr, "%s\n", errors.line[i]);
    conf_errors_free(&errors);
    return result == 0 ? EX_OK : EX_CONFIG;
}

int edit_open(struct edit *edit, const char *program, const char *path) {
    *edit = (struct edit){.path = realpath(path, NULL)};
    if (edit->path != NULL)
        edit->text = read_text(edit->path, &edit->size);
    int status = edit->text != NULL ? check(edit, &edit->conf) : cannot(program, path, "read it");
    if (status == EX_OK && !edit->conf->clustered) {
        fprintf(stderr, "%s: %s: has no [cluster] section, so there are no members\n", program,
                path);
        status = EX_CONFIG;
    }
    if (status != EX_OK)
        edit_close(edit);
    return status;
}

void edit_close(struct edit *edit) {
    conf_free(edit->conf);
    free(edit->path);
    free(edit->text);
    *edit = (struct edit){0};
}

/* Where line number `line` begins (the first is 1); the end of the text when there are fewer. */
static size_t start_of(const struct edit *edit, uint32_t line) {
    size_t at = 0;
    for (uint32_t i = 1; i < line && at < edit->size; i++) {
        const char *end = memchr(edit->text + at, '\n', edit->size - at);
        at = end != NULL ? (size_t)(end - edit->text) + 1 : edit->size;
    }
    return at;
}

bool edit_insert(struct edit *edit, uint32_t after, const char *line) {
    const size_t at = start_of(edit, after + 1);
    const bool open = at > 0 && edit->text[at - 1] != '\n'; /* the last line has no end */
    const size_t more = strlen(line) + 1 + (open ? 1 : 0);
    char *text = malloc(edit->size + more + 1);
    if (text == NULL)
        return false;
    memcpy(text, edit->text, at);
    (void)snprintf(text + at, more + 1, "%s%s\n", open ? "\n" : "", line);
    memcpy(text + at + more, edit->text + at, edit->size - at);
    free(edit->text);
    edit->text = text;
    edit->size += more;
    return true;
}

void edit_remove(struct edit *edit, uint32_t line) {
    const size_t at = start_of(edit, line);
    const size_t next = start_of(edit, line + 1);
    memmove(edit->text + at, edit->text + next, edit->size - next);
    edit->size -= next - at;
}

static int write_beside(const struct edit *edit, int fd) {
    struct stat status;
    size_t done = 0;
    if (stat(edit->path, &status) != 0)
        return -1;
    /* The owner first: a change of it may clear bits of the mode. */
    if (fchown(fd, status.st_uid, status.st_gid) != 0 || fchmod(fd, status.st_mode & 07777) != 0)
        return -1;
    while (done < edit->size) {
        ssize_t put = write(fd, edit->text + done, edit->size - done);
        if (put < 0 && errno != EINTR)
            return -1;
        done += put > 0 ? (size_t)put : 0;
    }
    return fsync(fd);
}

/* The rename must be there after a crash, too. */
static void sync_folder(const char *path) {
    char folder[4096];
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path + 1), path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

int edit_save(struct edit *edit, const char *program) {
    struct conf *conf = NULL;
    char beside[4096];
    int status = check(edit, &conf);
    conf_free(conf);
    if (status != EX_OK)
        return status;
    if (snprintf(beside, sizeof beside, "%s.XXXXXX", edit->path) >= (int)sizeof beside) {
        errno = ENAMETOOLONG;
        return cannot(program, edit->path, "write it");
    }
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return cannot(program, beside, "write it");
    if (write_beside(edit, fd) != 0 || rename(beside, edit->path) != 0) {
        status = cannot(program, edit->path, "write it");
        (void)unlink(beside);
    } else {
        sync_folder(edit->path);
    }
    close(fd);
    return status;
}
