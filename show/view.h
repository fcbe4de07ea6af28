/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHOW_VIEW_H
#define SLOTSHARE_SHOW_VIEW_H
/**
 * The tables that shmstat shows, each described once: what is in a column, how it is titled and
 * printed, its name in JSON, and what --help says of it. Thread-safe (constant data).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snapshot.h"

/** What is in a row at `offset`. */
enum view_type {
    VIEW_CHARS,  /**< char array */
    VIEW_STRING, /**< const char * */
    VIEW_INT,    /**< int or int32_t */
    VIEW_UINT32,
    VIEW_UINT64,
    VIEW_INT64,
    VIEW_BOOL /**< int, true or false */
};

/** How people see it. */
enum view_format {
    VIEW_PLAIN,
    VIEW_COUNT, /**< -1: "-" (no limit; a rate not known yet), the same for UINT64_MAX */
    VIEW_AGE,   /**< milliseconds; negative: "-" */
    VIEW_TIME,  /**< milliseconds since 1970; local date and time of day */
    VIEW_USE    /**< a bar: in use of the share; live only */
};

/** Where a column is shown. */
enum { VIEW_JSON = 1, VIEW_TEXT = 2, VIEW_LIVE = 4, VIEW_ALL = 7 };

struct view_column {
    const char *field; /**< in JSON */
    const char *title; /**< for people; NULL: in JSON only */
    enum view_type type;
    enum view_format format;
    unsigned where;
    size_t offset;
    const char *help; /**< one line */
};

enum view_name {
    VIEW_COUNTERS,
    VIEW_OWNERS,
    VIEW_SLOTS,
    VIEW_MEMBERS,
    VIEW_NODES,
    VIEW_EVENTS,
    VIEWS
};

struct view {
    const char *name; /**< in JSON, and as a title */
    const struct view_column *column;
    size_t columns;
    size_t row_size;
    unsigned filter; /**< bits: which columns a filter looks into */
    size_t sort;     /**< the column that it is sorted by at first */
};

/** The tables. */
const struct view *view_get(enum view_name name);

/** The segment as a whole: a table of one row, in JSON only. */
const struct view *view_segment(void);

/** The rows of a view. */
const void *view_rows(const struct snapshot *snapshot, enum view_name name, size_t *count);

/** A number in a row: of every type but the texts. */
int64_t view_number(const struct view_column *column, const void *row);

/** A text in a row: of VIEW_CHARS and VIEW_STRING. */
const char *view_text(const struct view_column *column, const void *row);
bool view_is_text(const struct view_column *column);

/** A cell for people, not cut; unprintable characters are '?', no text is "-". Not VIEW_USE. */
void view_print(const struct view_column *column, const void *row, char *out, size_t size);

/**
 * Put rows in order.
 *
 * @param order   an array of `count` numbers of rows; sorted in place, stable
 * @param column  by which; numbers from high to low, texts from a to z
 * @param reverse the other way round
 */
void view_sort(const struct view *view, const void *rows, size_t *order, size_t count,
               size_t column, bool reverse);

/** True when one of the columns that a filter looks into contains `text`, without case. */
bool view_matches(const struct view *view, const void *row, const char *text);

/** One labelled fact about the segment, for people. */
struct view_fact {
    const char *label;
    char text[640];
};
enum { VIEW_FACTS = 12 };

/** The head of every display. @return number of facts. */
size_t view_facts(const struct snapshot *snapshot, struct view_fact out[VIEW_FACTS]);

/** What the cluster waits for, and until when, as one sentence. */
void view_wait(const struct wait_row *wait, char *out, size_t size);

#endif
