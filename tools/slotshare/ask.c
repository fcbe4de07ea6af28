/* SPDX-License-Identifier: MIT */
#include "ask.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <nng/nng.h>

#include "common/exits.h"
#include "show/text.h"

enum { ANSWER_MS = 5000, ANSWER_MAX = 4 * 1024 * 1024, POLL_MS = 100 };

bool ask_init(struct ask *ask, const char *program, const char *name, const char *directory) {
    if (directory == NULL || *directory == '\0')
        directory = getenv("SLOTSHARE_DIR");
    if (directory == NULL || *directory == '\0')
        directory = "/run/slotshare";
    ask->program = program;
    int length = snprintf(ask->path, sizeof ask->path, "%s/%s.admin", directory,
                          name != NULL && *name != '\0' ? name : "slotshare");
    if (length > 0 && length < (int)sizeof ask->path)
        return true;
    fprintf(stderr, "%s: the path of the segment is too long\n", program);
    return false;
}

bool ask_possible(const struct ask *ask) {
    return access(ask->path, F_OK) == 0;
}

static int no_answer(const struct ask *ask, int rc) {
    const char *hint = "the bridge that made it is not running: start slotshare-bridge";
    if (!ask_possible(ask))
        hint = "no slotshare-bridge serves a segment of this name there";
    else if (rc == NNG_EPERM)
        hint = "run as root, or as a user of the segment's group";
    else if (rc == NNG_ETIMEDOUT)
        hint = "the bridge stands still, or is very busy; its log may say why";
    fprintf(stderr, "%s: %s: %s (%s)\n", ask->program, ask->path, hint, nng_strerror(rc));
    return EX_UNAVAILABLE;
}

/* Wait for what was begun. @return 0 or NNG_E*. */
static int ended(nng_aio *aio) {
    nng_aio_wait(aio);
    return nng_aio_result(aio);
}

static int send_all(nng_stream *stream, nng_aio *aio, char *bytes, size_t size) {
    int rc = 0;
    for (size_t done = 0; rc == 0 && done < size;) {
        nng_iov iov = {.iov_buf = bytes + done, .iov_len = size - done};
        rc = nng_aio_set_iov(aio, 1, &iov);
        if (rc == 0) {
            nng_stream_send(stream, aio);
            rc = ended(aio);
            done += nng_aio_count(aio);
        }
    }
    return rc;
}

/* One line, or what there is until the end. */
static int receive_line(nng_stream *stream, nng_aio *aio, char *line, size_t *size) {
    int rc = 0;
    *size = 0;
    while (rc == 0 && *size < ANSWER_MAX && (*size == 0 || line[*size - 1] != '\n')) {
        nng_iov iov = {.iov_buf = line + *size, .iov_len = ANSWER_MAX - *size};
        rc = nng_aio_set_iov(aio, 1, &iov);
        if (rc == 0) {
            nng_stream_recv(stream, aio);
            rc = ended(aio);
            *size += rc == 0 ? nng_aio_count(aio) : 0;
        }
    }
    return rc;
}

static int exchange(const struct ask *ask, char *question, char *answer, size_t *size) {
    char url[sizeof ask->path + 8];
    nng_stream_dialer *dialer = NULL;
    nng_stream *stream = NULL;
    nng_aio *aio = NULL;
    (void)snprintf(url, sizeof url, "ipc://%s", ask->path);
    int rc = nng_aio_alloc(&aio, NULL, NULL);
    if (rc == 0)
        rc = nng_stream_dialer_alloc(&dialer, url);
    if (rc == 0) {
        nng_aio_set_timeout(aio, ANSWER_MS);
        nng_stream_dialer_dial(dialer, aio);
        rc = ended(aio);
    }
    if (rc == 0) {
        stream = nng_aio_get_output(aio, 0);
        rc = send_all(stream, aio, question, strlen(question));
    }
    if (rc == 0)
        rc = receive_line(stream, aio, answer, size);
    if (stream != NULL)
        nng_stream_free(stream);
    if (dialer != NULL)
        nng_stream_dialer_free(dialer);
    if (aio != NULL)
        nng_aio_free(aio);
    return rc;
}

void ask_print(const char *text) {
    char line[2048];
    (void)text_fit(line, sizeof line, text, (int)sizeof line, NULL);
    fputs(line, stdout);
}

static int refused(const json_t *answer) {
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(answer, "errors"), i, line) {
        char text[2048];
        const char *said = json_string_value(line);
        (void)text_fit(text, sizeof text, said != NULL ? said : "?", (int)sizeof text, NULL);
        fprintf(stderr, "%s\n", text);
    }
    return EX_CONFIG;
}

int ask_bridge(const struct ask *ask, json_t *question, json_t **answer) {
    size_t size = 0;
    (void)json_object_set_new(question, "slotshare", json_integer(1));
    char *text = json_dumps(question, JSON_COMPACT);
    char *asked = NULL;
    char *line = malloc(ANSWER_MAX);
    json_decref(question);
    *answer = NULL;
    int rc = NNG_ENOMEM;
    if (text != NULL && line != NULL && asprintf(&asked, "%s\n", text) > 0)
        rc = exchange(ask, asked, line, &size);
    if (rc == 0)
        *answer = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    free(asked);
    free(line);
    if (rc != 0)
        return no_answer(ask, rc);
    if (ask_number(*answer, "slotshare") != 1) {
        fprintf(stderr,
                "%s: %s: the answer is of another version: use the slotshare that belongs "
                "to this slotshare-bridge\n",
                ask->program, ask->path);
        json_decref(*answer);
        *answer = NULL;
        return EX_UNAVAILABLE;
    }
    if (ask_is(*answer, "ok"))
        return EX_OK;
    int status = refused(*answer);
    json_decref(*answer);
    *answer = NULL;
    return status;
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

/* ---- reload ---- */

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void print_drains(const json_t *pending) {
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(pending, "drains"), i, item) {
        fputs("  still above the new limit here: ", stdout);
        ask_print(ask_text(item, "counter"));
        printf(" (%" PRId64 " in use)\n", ask_number(item, "in_use"));
    }
}

static int tell_pending(const json_t *status) {
    const json_t *pending = json_object_get(status, "pending");
    const char *waits = ask_text(pending, "waits_for");
    fputs(ask_number(pending, "promised") != 0 ? "promised, and waiting for "
                                               : "proposed, and waiting for ",
          stdout);
    ask_print(*waits != '\0' ? waits : "the coordinator");
    putchar('\n');
    print_drains(pending);
    return EX_TEMPFAIL;
}

int ask_wait_committed(const struct ask *ask, const char *digest, int64_t wait_ms) {
    const int64_t end = now_ms() + wait_ms;
    for (;;) {
        json_t *status = NULL;
        int result = ask_bridge(ask, json_pack("{s:s}", "command", "status"), &status);
        if (result != EX_OK)
            return result;
        bool done = strcmp(ask_text(status, "digest"), digest) == 0;
        bool pending = strcmp(ask_text(json_object_get(status, "pending"), "digest"), digest) == 0;
        if (done) {
            printf("committed: epoch %" PRId64 "\n", ask_number(status, "epoch"));
        } else if (!pending) {
            puts("another file has taken its place");
            result = EX_TEMPFAIL;
        } else if (now_ms() >= end) {
            result = tell_pending(status);
        } else {
            result = -1;
        }
        json_decref(status);
        if (result >= 0)
            return result;
        struct timespec nap = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&nap, NULL);
    }
}

int ask_reload(const struct ask *ask, int64_t wait_ms) {
    json_t *answer = NULL;
    int status = ask_bridge(ask, json_pack("{s:s}", "command", "reload"), &answer);
    if (status != EX_OK)
        return status;
    const char *result = ask_text(answer, "result");
    const char *changes = ask_text(answer, "changes");
    ask_print(ask_text(answer, "file"));
    if (strcmp(result, "in force") == 0 || strcmp(result, "withdrawn") == 0) {
        printf(": %s: epoch %" PRId64 "\n",
               *result == 'i' ? "in force already" : "what was proposed is withdrawn",
               ask_number(answer, "epoch"));
    } else if (strcmp(result, "later") == 0) {
        puts(": another change is promised by this node, and comes first: this file is read again "
             "after it");
        status = EX_TEMPFAIL;
    } else {
        fputs(": ", stdout);
        ask_print(*changes != '\0' ? changes : "the cluster's first configuration");
        putchar('\n');
        status = ask_wait_committed(ask, ask_text(answer, "digest"), wait_ms);
    }
    json_decref(answer);
    return status;
}
