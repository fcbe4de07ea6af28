/* SPDX-License-Identifier: MIT */
#include "refusal.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *code, *reason;
} text[REFUSALS] = {
    [REFUSAL_PLAIN] = {"plain", "it speaks without TLS, and this port with TLS: its tcp:// must be "
                                "tls+tcp://, or it is no bridge"},
    [REFUSAL_NO_CERTIFICATE] = {"no-certificate", "it shows no certificate"},
    [REFUSAL_WRONG_CA] = {"wrong-ca", "its certificate was not signed by our ca"},
    [REFUSAL_EXPIRED] = {"expired", "its certificate is no longer valid: it needs a new one, or "
                                    "the clock of one of the two is wrong"},
    [REFUSAL_NOT_YET_VALID] = {"not-yet-valid", "its certificate is not valid yet: the clock of "
                                                "one of the two is wrong, or it has come early"},
    [REFUSAL_WRONG_NAME] = {"wrong-name", "its certificate is signed by our ca, but names somebody "
                                          "else than a member that may be there"},
    [REFUSAL_BAD_CERTIFICATE] = {"bad-certificate",
                                 "its certificate is not one for this use, or too weak"},
    [REFUSAL_REFUSES_US] = {"refuses-us", "it has refused us: it does not accept our certificate, "
                                          "or our TLS; its log says more"},
    [REFUSAL_TLS] = {"tls", "what it sends is no TLS 1.2 that could be agreed on"},
    [REFUSAL_NOT_A_BRIDGE] = {"not-a-bridge", "it speaks, but not as a bridge does"},
    [REFUSAL_LEFT] = {"left", "it went before it had greeted"},
    [REFUSAL_SILENT] = {"silent", "it has not greeted in time"},
    [REFUSAL_TOO_MANY] = {"too-many", "more connections than members make"},
};

const char *refusal_code(enum refusal why) {
    return text[why].code;
}

const char *refusal_reason(enum refusal why) {
    return text[why].reason;
}

void refusal_open(struct refusal_book *book) {
    memset(book, 0, sizeof *book);
    (void)pthread_mutex_init(&book->lock, NULL);
    for (size_t i = 0; i < REFUSAL_PLACES; i++)
        book->place[i].told = true;
}

void refusal_close(struct refusal_book *book) {
    (void)pthread_mutex_destroy(&book->lock);
}

/* The place of this reason and address, or one that is free; NULL: none is. */
static struct refusal_news *find_place(struct refusal_book *book, enum refusal why,
                                       const char *address, uint64_t now) {
    struct refusal_news *found = NULL;
    for (size_t i = 0; i < REFUSAL_PLACES; i++) {
        struct refusal_news *place = &book->place[i];
        if (place->why == why && strcmp(place->address, address) == 0)
            return place;
        if (found == NULL && place->told && now >= place->next)
            found = place;
    }
    if (found != NULL) {
        *found = (struct refusal_news){.why = why, .told = true, .next = now};
        (void)snprintf(found->address, sizeof found->address, "%s", address);
    }
    return found;
}

bool refusal_note(struct refusal_book *book, enum refusal why, const char *address,
                  const char *name, uint64_t now_ms) {
    bool tell = false;
    (void)pthread_mutex_lock(&book->lock);
    book->count[why]++;
    struct refusal_news *place = address != NULL ? find_place(book, why, address, now_ms) : NULL;
    if (place != NULL && place->told && now_ms >= place->next) {
        (void)snprintf(place->name, sizeof place->name, "%s", name != NULL ? name : "");
        place->suppressed += book->suppressed[why];
        book->suppressed[why] = 0;
        place->next = now_ms + REFUSAL_EVERY_MS;
        place->told = false;
        tell = true;
    } else if (place != NULL) {
        place->suppressed++;
    } else if (address != NULL) {
        book->suppressed[why]++;
    }
    (void)pthread_mutex_unlock(&book->lock);
    return tell;
}

bool refusal_next(struct refusal_book *book, struct refusal_news *out) {
    bool found = false;
    (void)pthread_mutex_lock(&book->lock);
    for (size_t i = 0; i < REFUSAL_PLACES && !found; i++) {
        found = !book->place[i].told;
        if (!found)
            continue;
        *out = book->place[i];
        book->place[i].told = true;
        book->place[i].suppressed = 0;
    }
    (void)pthread_mutex_unlock(&book->lock);
    return found;
}

void refusal_counts(struct refusal_book *book, uint64_t out[REFUSALS]) {
    (void)pthread_mutex_lock(&book->lock);
    memcpy(out, book->count, sizeof book->count);
    (void)pthread_mutex_unlock(&book->lock);
}
