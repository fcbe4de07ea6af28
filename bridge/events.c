/* SPDX-License-Identifier: MIT */
#include "events.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct event {
    uint64_t number; /* 0: none yet */
    int64_t time_ms;
    const char *level, *event;
    char text[EVENTS_TEXT_MAX];
};

enum { SELDOM, OFTEN, RINGS };

struct events {
    pthread_mutex_t lock;
    uint64_t number; /* of the last one */
    size_t next[RINGS];
    struct event ring[RINGS][EVENTS_KEPT];
};

struct events *events_create(void) {
    struct events *events = calloc(1, sizeof *events);
    if (events != NULL)
        (void)pthread_mutex_init(&events->lock, NULL);
    return events;
}

void events_destroy(struct events *events) {
    if (events == NULL)
        return;
    (void)pthread_mutex_destroy(&events->lock);
    free(events);
}

void events_add(struct events *events, bool often, int64_t time_ms, const char *level,
                const char *event, const char *text, size_t length) {
    if (events == NULL)
        return;
    (void)pthread_mutex_lock(&events->lock);
    const size_t ring = often ? OFTEN : SELDOM;
    struct event *place = &events->ring[ring][events->next[ring]];
    const size_t kept = length < EVENTS_TEXT_MAX ? length : EVENTS_TEXT_MAX - 1;
    events->next[ring] = (events->next[ring] + 1) % EVENTS_KEPT;
    place->number = ++events->number;
    place->time_ms = time_ms;
    place->level = level;
    place->event = event;
    memcpy(place->text, text, kept);
    place->text[kept] = '\0';
    (void)pthread_mutex_unlock(&events->lock);
}

/* The log's values may be cut within a character, and JSON wants whole ones. */
static json_t *json_text(const char *text) {
    json_t *out = json_string(text);
    if (out != NULL)
        return out;
    char plain[EVENTS_TEXT_MAX];
    size_t i = 0;
    for (; text[i] != '\0'; i++)
        plain[i] = (char)((unsigned char)text[i] < 0x80 ? text[i] : '?');
    plain[i] = '\0';
    return json_string(plain);
}

static json_t *json_event(const struct event *event) {
    return json_pack("{s:I, s:I, s:s, s:s, s:o}", "number", (json_int_t)event->number, "time_ms",
                     (json_int_t)event->time_ms, "level", event->level, "event", event->event,
                     "text", json_text(event->text));
}

/* The oldest one after `after` in both rings. */
static const struct event *next_event(const struct events *events, uint64_t after) {
    const struct event *found = NULL;
    for (size_t ring = 0; ring < RINGS; ring++) {
        for (size_t i = 0; i < EVENTS_KEPT; i++) {
            const struct event *event = &events->ring[ring][i];
            if (event->number > after && (found == NULL || event->number < found->number))
                found = event;
        }
    }
    return found;
}

json_t *events_json(struct events *events, uint64_t after) {
    json_t *out = json_array();
    bool good = out != NULL;
    if (events == NULL || !good)
        return out;
    (void)pthread_mutex_lock(&events->lock);
    for (const struct event *event = next_event(events, after); event != NULL && good;
         event = next_event(events, event->number))
        good = json_array_append_new(out, json_event(event)) == 0;
    (void)pthread_mutex_unlock(&events->lock);
    if (good)
        return out;
    json_decref(out);
    return NULL;
}
