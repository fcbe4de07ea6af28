/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_REFUSAL_H
#define SLOTSHARE_BRIDGE_REFUSAL_H
/**
 * Why connections between bridges are refused: by whom they came, counted, and told once a minute
 * for each reason and address. Thread-safe: the gate's thread notes, the main loop tells.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum refusal {
    REFUSAL_PLAIN,           /**< no TLS where TLS is spoken */
    REFUSAL_NO_CERTIFICATE,  /**< TLS, but it shows no certificate */
    REFUSAL_WRONG_CA,        /**< its certificate was signed by somebody else */
    REFUSAL_EXPIRED,         /**< its certificate is no longer valid */
    REFUSAL_NOT_YET_VALID,   /**< its certificate is not valid yet */
    REFUSAL_WRONG_NAME,      /**< its certificate is another one's, or no member's */
    REFUSAL_BAD_CERTIFICATE, /**< anything else that is wrong with its certificate */
    REFUSAL_REFUSES_US,      /**< it has refused our certificate, or our TLS */
    REFUSAL_TLS,             /**< anything else that is wrong with its TLS */
    REFUSAL_NOT_A_BRIDGE,    /**< it speaks, but not as a bridge does */
    REFUSAL_LEFT,            /**< gone before it had greeted */
    REFUSAL_SILENT,          /**< it has not greeted in time, or others needed its place */
    REFUSAL_TOO_MANY,        /**< more connections than members make */
    REFUSALS
};

/** A reason as a word for programs ("wrong-ca"), and as words for people. Static strings. */
const char *refusal_code(enum refusal why);
const char *refusal_reason(enum refusal why);

enum {
    REFUSAL_EVERY_MS = 60000, /**< between two lines about the same reason and address */
    REFUSAL_PLACES = 64,      /**< reasons and addresses that are told in that time */
    REFUSAL_NAME_MAX = 128,
};

/** One that is to be told. */
struct refusal_news {
    enum refusal why;
    char address[INET6_ADDRSTRLEN];  /**< where it came from */
    char name[REFUSAL_NAME_MAX + 1]; /**< that its certificate names; empty: not known */
    uint64_t suppressed;             /**< of the same reason, not told since the last */
    bool told;
    uint64_t next; /**< when the same may be told again */
};

struct refusal_book {
    pthread_mutex_t lock;
    uint64_t count[REFUSALS];
    uint64_t suppressed[REFUSALS]; /**< those for which there was no place */
    struct refusal_news place[REFUSAL_PLACES];
};

void refusal_open(struct refusal_book *book);
void refusal_close(struct refusal_book *book);

/**
 * Count one.
 * @param address  where it came from; a reason that is told elsewhere has NULL, and is only counted
 * @param name     that its certificate names; may be NULL
 * @return true when there is something to tell now.
 */
bool refusal_note(struct refusal_book *book, enum refusal why, const char *address,
                  const char *name, uint64_t now_ms);

/** @return true and *out: this one is to be told now. */
bool refusal_next(struct refusal_book *book, struct refusal_news *out);

/** How many there were of each reason. */
void refusal_counts(struct refusal_book *book, uint64_t out[REFUSALS]);

#endif
