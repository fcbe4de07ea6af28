/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SHMSTAT_SCREEN_H
#define TOOLS_SHMSTAT_SCREEN_H
/**
 * The live display: what it remembers between two readings. One thread; ncurses has one terminal.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmstat.h"
#include "show/view.h"

/** How one view is looked at. */
struct screen_view {
    size_t sort; /**< column it is sorted by */
    bool reverse;
    size_t top;    /**< first row on the screen */
    size_t cursor; /**< chosen row */
    size_t shift;  /**< columns skipped after the first one */
};

struct screen {
    struct source *source;
    const struct settings *settings;
    struct snapshot snapshot;
    const char *counter; /**< --counter; NULL: all */
    enum view_name view;
    struct screen_view look[VIEWS];
    size_t *order; /**< rows of the view that pass the filter, sorted */
    size_t shown;  /**< how many */
    size_t order_room;
    size_t page;                            /**< rows that fit on the screen */
    char chosen[SLOTSHARE_COUNTER_MAX + 1]; /**< slots or nodes of this counter only; "": of all */
    char filter[128];
    bool typing; /**< the filter is being typed */
    bool idle, paused, help, quit;
    bool again; /**< read at once, also when paused */
    bool colour, ascii;
    char message[256]; /**< at the bottom, until the next key; "": the usual hints */
    char trouble[512]; /**< why there is nothing new to show; "": all is well */
    char untold[512];  /**< why the bridge has told nothing; "": it has, or was not asked */
    int64_t interval_ms;
};

/** Choose and sort the rows of the view as it is looked at now. */
void screen_arrange(struct screen *screen);

/** The snapshot's row at the cursor. @return NULL: there is none */
const void *screen_row(const struct screen *screen);

/** Draw all of it. */
void screen_draw(struct screen *screen);

/** Act on a key as get_wch() gives it. is_code: a key without a character (KEY_DOWN). */
void screen_key(struct screen *screen, bool is_code, unsigned key);

/** Draw the table of keys from line `top` on. */
void screen_draw_keys(int top);

#endif
