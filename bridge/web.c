/* SPDX-License-Identifier: MIT */
#include "web.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>

#include "../shm/control.h"
#include "../show/json.h"
#include "../show/metrics.h"
#include "../show/snapshot.h"
#include "../show/tables.h"
#include "../show/told.h"
#include "events.h"
#include "history.h"
#include "question.h"
#include "status_page.h"

enum {
    COUNTERS_SHOWN = 500, /* on the page; those most in use */
    ALIVE_MS = 5000,      /* the main loop goes round at least once a second */
};

/* One lock for all: requests are few, and a reading takes milliseconds. */
struct web {
    pthread_mutex_t lock;
    nng_http_server *server;
    nng_aio *timer;
    char *name, *directory; /* the source's */
    struct source source;
    struct snapshot snapshot;
    struct history *history;
    struct events *events;
    struct questions *questions; /* has a lock of its own: the main loop must not wait for ours */
    _Atomic uint64_t alive;      /* relaxed: a moment, nothing hangs on it */
    _Atomic uint64_t refused[REFUSALS]; /* the same */
};

/* A body on its way to whoever asked. */
struct answer {
    uint16_t status;
    const char *type;
    char *body; /* malloc() */
    size_t size;
};

static_assert(offsetof(struct counter_row, stat) == 0, "metrics_by_use() orders counter rows");

/* Read the segment for the page: no processes and no single slots, and not too many counters. */
static int read_segment(struct web *web) {
    static const struct snapshot_choice busy = {false, NULL};
    struct snapshot *snapshot = &web->snapshot;
    const int result = snapshot_read(&web->source, &busy, snapshot);
    if (result != SLOTSHARE_OK)
        return result;
    snapshot->owners = snapshot->slots = 0; /* their names would point into rows that move */
    if (snapshot->counters > 0)
        qsort(snapshot->counter, snapshot->counters, sizeof *snapshot->counter, metrics_by_use);
    return SLOTSHARE_OK;
}

static void answer_text(struct answer *answer, uint16_t status, const char *text) {
    answer->status = status;
    answer->type = "text/plain; charset=utf-8";
    answer->body = strdup(text);
    answer->size = strlen(text);
}

/* The segment is not there, or not readable. */
static void answer_trouble(struct answer *answer, const struct web *web, int result) {
    char text[sizeof web->source.error + 2];
    (void)snprintf(text, sizeof text, "%s\n",
                   web->source.error[0] != '\0' ? web->source.error : slotshare_strerror(result));
    answer_text(answer, NNG_HTTP_STATUS_SERVICE_UNAVAILABLE, text);
}

static void answer_page(struct answer *answer, struct web *web) {
    (void)web;
    answer->type = "text/html; charset=utf-8";
    answer->size = status_page_size;
    answer->body = malloc(status_page_size);
    if (answer->body != NULL)
        memcpy(answer->body, status_page, status_page_size);
}

/* As shmstat prints it, for who has no script. */
static void answer_tables(struct answer *answer, struct web *web) {
    static const unsigned views = 1U << VIEW_COUNTERS | 1U << VIEW_MEMBERS | 1U << VIEW_EVENTS;
    struct snapshot *snapshot = &web->snapshot;
    int result = read_segment(web);
    FILE *out = result == SLOTSHARE_OK ? open_memstream(&answer->body, &answer->size) : NULL;
    if (out == NULL) {
        answer_trouble(answer, web, result);
        return;
    }
    if (snapshot->counters > COUNTERS_SHOWN)
        snapshot->counters = COUNTERS_SHOWN;
    json_t *events = json_pack("{s:o}", "events", events_json(web->events, 0));
    const bool good =
        events != NULL && told_events(snapshot, events) && tables_show(out, snapshot, views, "");
    json_decref(events);
    answer->type = "text/plain; charset=utf-8";
    if (fclose(out) == 0 && good)
        return;
    free(answer->body);
    answer_trouble(answer, web, SLOTSHARE_ESYSTEM);
}

static json_t *json_refused(const struct web *web) {
    json_t *out = json_object();
    for (size_t i = 0; i < REFUSALS; i++)
        (void)json_object_set_new(
            out, refusal_code((enum refusal)i),
            json_integer((json_int_t)atomic_load_explicit(&web->refused[i], memory_order_relaxed)));
    return out;
}

static void answer_status(struct answer *answer, struct web *web) {
    const int result = read_segment(web);
    if (result != SLOTSHARE_OK) {
        answer_trouble(answer, web, result);
        return;
    }
    struct snapshot *snapshot = &web->snapshot;
    const size_t all = snapshot->counters;
    if (all > COUNTERS_SHOWN)
        snapshot->counters = COUNTERS_SHOWN;
    json_t *out = json_of(snapshot);
    answer->type = "application/json";
    /* What other nodes hold is known to the main loop alone: that is nodes.json. */
    if (out != NULL && json_object_del(out, "nodes") == 0 && json_object_del(out, "told") == 0 &&
        json_object_set_new(out, "events", events_json(web->events, 0)) == 0 &&
        json_object_set_new(out, "left_out",
                            json_integer((json_int_t)(all - snapshot->counters))) == 0 &&
        json_object_set_new(out, "refused", json_refused(web)) == 0 &&
        json_object_set_new(out, "history", history_json(web->history)) == 0)
        answer->body = json_dumps(out, JSON_COMPACT);
    answer->size = answer->body != NULL ? strlen(answer->body) : 0;
    json_decref(out);
}

static void write_refused(FILE *out, void *arg) {
    const struct web *web = arg;
    fputs("# TYPE slotshare_bridge_refused_connections counter\n"
          "# HELP slotshare_bridge_refused_connections Connections between bridges that were "
          "refused, by reason.\n",
          out);
    for (size_t i = 0; i < REFUSALS; i++)
        (void)fprintf(out,
                      "slotshare_bridge_refused_connections_total{reason=\"%s\"} %" PRIu64 "\n",
                      refusal_code((enum refusal)i),
                      atomic_load_explicit(&web->refused[i], memory_order_relaxed));
}

static void answer_metrics(struct answer *answer, struct web *web) {
    int result = read_segment(web); /* opens the segment again when it was replaced */
    FILE *out = result == SLOTSHARE_OK ? open_memstream(&answer->body, &answer->size) : NULL;
    if (out == NULL) {
        answer_trouble(answer, web, result);
        return;
    }
    result = metrics_write(out, web->source.handle, METRICS_COUNTERS, write_refused, web);
    answer->type = METRICS_TYPE;
    if (fclose(out) == 0 && result == SLOTSHARE_OK)
        return;
    free(answer->body);
    answer_trouble(answer, web, result);
}

static void answer_health(struct answer *answer, struct web *web) {
    const uint64_t alive = atomic_load_explicit(&web->alive, memory_order_relaxed);
    const uint64_t now = control_now();
    const int result = read_segment(web);
    if (now > alive + ALIVE_MS)
        answer_text(answer, NNG_HTTP_STATUS_SERVICE_UNAVAILABLE, "the bridge stands still\n");
    else if (result != SLOTSHARE_OK)
        answer_trouble(answer, web, result);
    else
        answer_text(answer, NNG_HTTP_STATUS_OK,
                    web->snapshot.segment.stat.session
                        ? "ok\n"
                        : "ok, without a session: this node keeps to its reserves\n");
}

static const struct route {
    const char *path;
    void (*make)(struct answer *answer, struct web *web); /* NULL: the main loop answers */
} routes[] = {
    {"/", answer_page},    {"/status.json", answer_status}, {"/status.txt", answer_tables},
    {"/nodes.json", NULL}, {"/metrics", answer_metrics},    {"/healthz", answer_health},
};
enum { ROUTES = sizeof routes / sizeof *routes };

static nng_http_res *response(const struct answer *answer) {
    nng_http_res *out = NULL;
    if (nng_http_res_alloc(&out) != 0)
        return NULL;
    /* The page's own script and style, and nothing of anybody else's. */
    if (nng_http_res_set_status(out, answer->status) == 0 &&
        nng_http_res_copy_data(out, answer->body, answer->size) == 0 &&
        nng_http_res_set_header(out, "Content-Type", answer->type) == 0 &&
        nng_http_res_set_header(out, "Cache-Control", "no-store") == 0 &&
        nng_http_res_set_header(out, "X-Content-Type-Options", "nosniff") == 0 &&
        nng_http_res_set_header(
            out, "Content-Security-Policy",
            "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'; frame-ancestors 'none'") == 0)
        return out;
    nng_http_res_free(out);
    return NULL;
}

/* Send it to who asked, and free its body. */
static void finish(nng_aio *aio, struct answer *answer) {
    nng_http_res *out = answer->body != NULL ? response(answer) : NULL;
    free(answer->body);
    nng_aio_set_output(aio, 0, out);
    nng_aio_finish(aio, out != NULL ? 0 : NNG_ENOMEM);
}

/* Questions that were asked before `before` go back without an answer. */
static void give_up(struct web *web, uint64_t before) {
    struct question question;
    while (questions_take(web->questions, before, &question)) {
        struct answer answer = {0};
        answer_text(&answer, NNG_HTTP_STATUS_SERVICE_UNAVAILABLE, "the bridge stands still\n");
        finish(question.aio, &answer);
    }
}

/* @return -1: no hexadecimal digit. */
static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The value of "counter" in a query (what follows the path, '?' first), "" when it has none.
 * @return false: it is longer than any name. */
static bool counter_of(const char *query, char *out, size_t size) {
    static const char key[] = "counter=";
    size_t length = 0;
    const char *at = query;
    while (*at != '\0' && strncmp(at + 1, key, sizeof key - 1) != 0)
        at += 1 + strcspn(at + 1, "&");
    for (at += *at != '\0' ? sizeof key : 0; *at != '\0' && *at != '&' && length < size; at++) {
        out[length] = (char)(*at == '+' ? ' ' : *at);
        if (*at == '%' && hex(at[1]) >= 0 && hex(at[2]) >= 0) {
            out[length] = (char)(hex(at[1]) * 16 + hex(at[2]));
            at += 2;
        }
        length++;
    }
    if (length == size)
        return false;
    out[length] = '\0';
    return true;
}

static void ask_main_loop(struct web *web, nng_aio *aio, const char *query) {
    struct question question = {.aio = aio, .asked = control_now()};
    struct answer answer = {0};
    if (!counter_of(query, question.counter, sizeof question.counter))
        answer_text(&answer, NNG_HTTP_STATUS_BAD_REQUEST, "no counter has so long a name\n");
    else if (questions_put(web->questions, &question))
        return;
    else
        answer_text(&answer, NNG_HTTP_STATUS_SERVICE_UNAVAILABLE, "too many ask for the nodes\n");
    finish(aio, &answer);
}

/* In one of nng's threads. The path is found again in the request: a handler can carry one pointer
 * only, and that is the server's. */
static void handle(nng_aio *aio) {
    nng_http_req *request = nng_aio_get_input(aio, 0);
    struct web *web = nng_http_handler_get_data(nng_aio_get_input(aio, 1));
    const char *path = nng_http_req_get_uri(request);
    const size_t length = strcspn(path, "?");
    const struct route *route = NULL;
    struct answer answer = {.status = NNG_HTTP_STATUS_OK};
    for (size_t i = 0; i < ROUTES; i++) {
        if (strlen(routes[i].path) == length && strncmp(routes[i].path, path, length) == 0)
            route = &routes[i];
    }
    if (route != NULL && route->make == NULL) {
        ask_main_loop(web, aio, path + length);
        return;
    }
    if (route != NULL) {
        (void)pthread_mutex_lock(&web->lock);
        route->make(&answer, web);
        (void)pthread_mutex_unlock(&web->lock);
    } else {
        answer_text(&answer, NNG_HTTP_STATUS_NOT_FOUND, "no such page\n");
    }
    finish(aio, &answer);
}

/* Every HISTORY_MS, in one of nng's threads. */
static void sample(void *arg) {
    struct web *web = arg;
    (void)pthread_mutex_lock(&web->lock);
    if (read_segment(web) == SLOTSHARE_OK)
        history_add(web->history, &web->snapshot);
    nng_sleep_aio(HISTORY_MS, web->timer);
    (void)pthread_mutex_unlock(&web->lock);
    const uint64_t now = control_now();
    give_up(web, now > ALIVE_MS ? now - ALIVE_MS : 0);
}

static int add_routes(struct web *web) {
    int result = 0;
    for (size_t i = 0; i < ROUTES && result == 0; i++) {
        nng_http_handler *handler = NULL;
        result = nng_http_handler_alloc(&handler, routes[i].path, handle);
        if (result == 0)
            result = nng_http_handler_set_data(handler, web, NULL);
        if (result == 0)
            result = nng_http_server_add_handler(web->server, handler);
        if (result != 0 && handler != NULL)
            nng_http_handler_free(handler);
    }
    return result;
}

static int start(struct web *web, const char *address) {
    nng_url *url = NULL;
    int result = nng_url_parse(&url, address);
    if (result == 0)
        result = nng_http_server_hold(&web->server, url);
    nng_url_free(url);
    if (result == 0)
        result = nng_aio_alloc(&web->timer, sample, web);
    if (result == 0)
        result = add_routes(web);
    if (result == 0)
        result = nng_http_server_start(web->server);
    if (result == 0)
        nng_sleep_aio(0, web->timer);
    return result;
}

/* One that was not opened as a whole: nobody has asked it for anything. */
static void discard(struct web *web) {
    if (web == NULL)
        return;
    if (web->timer != NULL)
        nng_aio_free(web->timer);
    if (web->server != NULL)
        nng_http_server_release(web->server);
    snapshot_free(&web->snapshot);
    source_close(&web->source);
    history_destroy(web->history);
    questions_destroy(web->questions);
    free(web->name);
    free(web->directory);
    (void)pthread_mutex_destroy(&web->lock);
    free(web);
}

int web_open(struct web **out, const char *url, const char *name, const char *directory,
             struct events *events, char *error, size_t error_size) {
    *out = NULL;
    struct web *web = calloc(1, sizeof *web);
    int result = NNG_ENOMEM;
    if (web != NULL) {
        (void)pthread_mutex_init(&web->lock, NULL);
        web_alive(web, control_now());
        web->events = events;
        web->history = history_create();
        web->questions = questions_create();
        web->name = strdup(name);
        web->directory = directory != NULL ? strdup(directory) : NULL;
        if (web->history != NULL && web->questions != NULL && web->name != NULL &&
            (directory == NULL || web->directory != NULL)) {
            /* Not there yet: each reading tries again. */
            (void)source_open(&web->source, web->name, web->directory);
            result = start(web, url);
        }
    }
    if (result == 0) {
        *out = web;
        return 0;
    }
    (void)snprintf(error, error_size, "http = %s: cannot serve there: %s", url,
                   nng_strerror(result));
    discard(web);
    return -1;
}

void web_alive(struct web *web, uint64_t now) {
    if (web != NULL)
        atomic_store_explicit(&web->alive, now, memory_order_relaxed);
}

void web_refusals(struct web *web, const uint64_t count[REFUSALS]) {
    for (size_t i = 0; web != NULL && i < REFUSALS; i++)
        atomic_store_explicit(&web->refused[i], count[i], memory_order_relaxed);
}

int web_questions_fd(const struct web *web) {
    return web != NULL ? questions_fd(web->questions) : -1;
}

void web_answer_questions(struct web *web, json_t *(*make)(void *arg, const char *counter),
                          void *arg) {
    struct question question;
    for (size_t i = 0; i < QUESTIONS_MAX; i++) { /* more come meanwhile: another time */
        if (!questions_take(web->questions, UINT64_MAX, &question))
            break;
        json_t *said = make(arg, question.counter);
        struct answer answer = {.status = NNG_HTTP_STATUS_OK, .type = "application/json"};
        answer.body = said != NULL ? json_dumps(said, JSON_COMPACT) : NULL;
        answer.size = answer.body != NULL ? strlen(answer.body) : 0;
        json_decref(said);
        finish(question.aio, &answer);
    }
}
