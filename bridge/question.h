/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_QUESTION_H
#define SLOTSHARE_BRIDGE_QUESTION_H
/**
 * Requests over HTTP that only the daemon's main loop can answer: nng's threads put them here, and
 * the main loop, which a descriptor wakes up, takes them. One that it does not take in time goes
 * back to who asked, so none stays open. Thread-safe.
 */
#include <stdbool.h>
#include <stdint.h>

#include <nng/nng.h>

#include <slotshare/slotshare.h>

enum { QUESTIONS_MAX = 32 /**< open at one time */ };

struct question {
    nng_aio *aio;                            /**< the request's */
    char counter[SLOTSHARE_COUNTER_MAX + 1]; /**< what it is about; "": all */
    uint64_t asked;                          /**< control_now() */
};

struct questions;

/** @return NULL: out of memory, or of descriptors. */
struct questions *questions_create(void);
/** None is open any more. NULL is ignored. */
void questions_destroy(struct questions *questions);

/** A descriptor that is readable when there are questions. */
int questions_fd(const struct questions *questions);

/** @return false: there are too many; it was not put. */
bool questions_put(struct questions *questions, const struct question *question);

/** Take the first one that was asked before `before`; UINT64_MAX: whenever. @return false: there is
 * none. */
bool questions_take(struct questions *questions, uint64_t before, struct question *out);

#endif
