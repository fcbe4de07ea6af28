/* SPDX-License-Identifier: MIT */
#include "ask.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/exits.h"
#include "show/text.h"

enum { POLL_MS = 100 };

bool ask_init(struct ask *ask, const char *program, const char *name, const char *directory) {
    ask->program = program;
    if (bridge_path(ask->path, name, directory))
        return true;
    fprintf(stderr, "%s: the path of the segment is too long\n", program);
    return false;
}

bool ask_possible(const struct ask *ask) {
    return access(ask->path, F_OK) == 0;
}

void ask_print(const char *text) {
    char line[2048];
    (void)text_fit(line, sizeof line, text, (int)sizeof line, NULL);
    fputs(line, stdout);
}

static void refused(const json_t *answer) {
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(answer, "errors"), i, line) {
        char text[2048];
        const char *said = json_string_value(line);
        (void)text_fit(text, sizeof text, said != NULL ? said : "?", (int)sizeof text, NULL);
        fprintf(stderr, "%s\n", text);
    }
}

int ask_bridge(const struct ask *ask, json_t *question, json_t **answer) {
    char error[1024] = "";
    switch (bridge_ask(ask->path, question, BRIDGE_ANSWER_MS, answer, error, sizeof error)) {
    case BRIDGE_ANSWERED:
        return EX_OK;
    case BRIDGE_REFUSED:
        refused(*answer);
        json_decref(*answer);
        *answer = NULL;
        return EX_CONFIG;
    default:
        fprintf(stderr, "%s: %s\n", ask->program, error);
        return EX_UNAVAILABLE;
    }
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

/* A file: another one is promised, by this node or by others, and this one is not proposed. */
static bool comes_later(const json_t *status, const struct ask_edition *edition) {
    const json_t *pending = json_object_get(status, "pending");
    return edition->version == 0 && ask_is(status, "file_later") &&
           strcmp(ask_text(pending, "digest"), edition->digest) != 0;
}

static int tell_pending(const json_t *status, const struct ask_edition *edition) {
    const json_t *pending = json_object_get(status, "pending");
    const char *waits = ask_text(pending, "waits_for");
    if (comes_later(status, edition))
        puts("later: another change is promised already, and comes first; the file is read again "
             "after it. That one is");
    fputs(ask_number(pending, "promised") != 0 ? "promised, and waiting for "
                                               : "proposed, and waiting for ",
          stdout);
    ask_print(*waits != '\0' ? waits : "the coordinator");
    putchar('\n');
    print_drains(pending);
    return EX_TEMPFAIL;
}

/* Is the list of changes still the one that this node was told to make? */
static bool is_ours(const json_t *status, int64_t version) {
    const json_t *changes = json_object_get(status, "changes");
    return ask_number(changes, "version") == version &&
           strcmp(ask_text(changes, "by"), ask_text(status, "node")) == 0;
}

static int tell_replaced(const json_t *status, int64_t version) {
    const json_t *changes = json_object_get(status, "changes");
    if (version == 0) {
        puts("another file has taken its place");
        return EX_TEMPFAIL;
    }
    const bool lost = ask_number(changes, "version") == version;
    fputs(lost ? "lost: another change was made at the same time, on "
               : "another change has come after it, made on ",
          stdout);
    ask_print(ask_text(changes, "by"));
    puts(lost ? ", and that one counts: make this one again"
              : "; 'slotshare override list' tells what is in force");
    return EX_TEMPFAIL;
}

int ask_wait_committed(const struct ask *ask, const struct ask_edition *edition, int64_t wait_ms) {
    const int64_t end = now_ms() + wait_ms;
    const char *digest = edition->digest;
    for (;;) {
        json_t *status = NULL;
        int result = ask_bridge(ask, json_pack("{s:s}", "command", "status"), &status);
        if (result != EX_OK)
            return result;
        bool later = comes_later(status, edition);
        bool done = !later && strcmp(ask_text(status, "digest"), digest) == 0;
        bool pending = strcmp(ask_text(json_object_get(status, "pending"), "digest"), digest) == 0;
        if (done) {
            printf("committed: epoch %" PRId64 "\n", ask_number(status, "epoch"));
        } else if (edition->version != 0 ? !is_ours(status, edition->version)
                                         : !pending && !later) {
            result = tell_replaced(status, edition->version);
        } else if (now_ms() >= end) {
            result = tell_pending(status, edition);
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

int ask_change(const struct ask *ask, json_t *question, int64_t wait_ms) {
    json_t *answer = NULL;
    int status = ask_bridge(ask, question, &answer);
    if (status != EX_OK)
        return status;
    const char *result = ask_text(answer, "result");
    if (strcmp(result, "in force") == 0 || strcmp(result, "withdrawn") == 0) {
        printf("in force: epoch %" PRId64 "\n", ask_number(answer, "epoch"));
    } else {
        ask_print(ask_text(answer, "changes"));
        putchar('\n');
        const struct ask_edition edition = {.digest = ask_text(answer, "digest"),
                                            .version = ask_number(answer, "version")};
        status = ask_wait_committed(ask, &edition, wait_ms);
    }
    json_decref(answer);
    return status;
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
    } else {
        fputs(": ", stdout);
        ask_print(*changes != '\0'                   ? changes
                  : ask_number(answer, "epoch") != 0 ? "as it is in force now"
                                                     : "the cluster's first configuration");
        putchar('\n');
        status = ask_wait_committed(
            ask, &(struct ask_edition){.digest = ask_text(answer, "digest")}, wait_ms);
    }
    if (strcmp(ask_text(answer, "certificates"), "new") == 0) {
        puts("certificates: new ones, for connections made from now on");
    } else if (strcmp(ask_text(answer, "certificates"), "refused") == 0) {
        fprintf(stderr, "%s: certificates: those read before stay in use: %s\n", ask->program,
                ask_text(answer, "certificates_error"));
        status = EX_CONFIG;
    }
    json_decref(answer);
    return status;
}
