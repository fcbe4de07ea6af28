/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_TOTALS_INTERNAL_H
#define SLOTSHARE_BRIDGE_TOTALS_INTERNAL_H
/** What the parts of totals share: totals.c (rows, what is heard, looking), totals_say.c (what is
 * said). */
#include "totals.h"

struct figure {
    int32_t in_use, wants;
    uint32_t share; /**< + 1; 0: unlimited, or it did not say */
    uint32_t
        since; /**< when its oldest slot was taken, seconds + 1 of control_now(); 0: not known */
    uint32_t drain_end; /**< when it is to hold fewer, as `since`; 1: it should have done so */
    uint32_t sweep;     /**< of the member, in which it was named */
};

/** A chained hash table: names come and go, and there are many. */
struct row {
    struct row *next;
    uint64_t hash;
    struct figure *figure; /**< by member; those from `columns` on have said nothing */
    uint32_t columns;
    uint32_t seen;    /**< in use here in this turn of saying */
    uint32_t said;    /**< the round of saying in which it was said last, */
    uint64_t said_at; /**< and when; 0: never */
    bool was_used;    /**< at the last totals_expire() */
    char name[];
};

struct told_by {
    uint64_t heard;        /**< 0: not, or too long ago */
    uint64_t sweep_number; /**< as the member counts */
    uint64_t number;       /**< of its last message */
    uint32_t sweep;        /**< as we count */
    bool gap;              /**< some of this sweep was lost */
    bool lacks;            /**< what is known is not all */
    bool no_session;
};

/** What this node says. */
struct saying {
    uint32_t self;
    uint64_t now;
    uint64_t sweep_number, number; /**< as in messages */
    uint64_t began;                /**< the last sweep; 0: none yet */
    bool sweeping;                 /**< it is not complete */
    bool asked;
    bool left_out;  /**< no room was left in this turn */
    uint32_t turn;  /**< totals_say_begin() to totals_say_end() */
    uint32_t round; /**< as many turns as it takes until nothing is left out */
};

enum { TOTALS_BUCKETS = 16384 };

struct totals {
    uint32_t members;
    uint32_t rows;
    size_t bytes;
    uint64_t secret; /**< of the buckets */
    struct saying saying;
    struct row *bucket[TOTALS_BUCKETS];
    struct told_by member[];
};

/** @return NULL: no memory, or no more is kept */
struct row *totals_row(struct totals *totals, const char *name);
/** The member's figure, to write to. @return as above */
struct figure *totals_column(struct totals *totals, struct row *row, uint32_t member);
/** To read: zeros when it has said nothing. */
struct figure totals_read(const struct row *row, uint32_t member);
struct figure totals_figure_of(const struct wire_total *total, uint64_t now, uint32_t sweep);
/** Said in the last sweep that ended, or since. */
bool totals_is_said(const struct figure *figure);

#endif
