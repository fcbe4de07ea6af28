/* SPDX-License-Identifier: MIT */
/* Drawing. ncurses finds out what has changed, so all of it is drawn each time; what does not fit
 * is cut, down to a terminal of one line. */
#include <curses.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "screen.h"
#include "show/text.h"

enum {
    CELL_MAX = 512,
    SHOWN_MAX = 32, /* columns of a table */
    NAME_PART = 3,  /* the first column may have one in so many of the screen's columns */
    CUT_MIN = 10,   /* a text is shown when that much of it fits */
    BAR = 8,
};

/* Colours; their numbers are those of the pairs. */
enum { PLAIN = 0, BAD = 1, CLOSE = 2, GOOD = 3 };

/* Which columns are on the screen, and how wide. */
struct layout {
    size_t column[SHOWN_MAX];
    int width[SHOWN_MAX];
    size_t count;
};

static const char *more(const struct screen *screen) {
    return screen->ascii ? "~" : "\xe2\x80\xa6";
}

static void paint(const struct screen *screen, int colour, bool on) {
    attr_t bold = colour == BAD ? A_BOLD : A_NORMAL;
    attr_t attributes = bold | (screen->colour ? (attr_t)COLOR_PAIR(colour) : A_NORMAL);

    if (on) {
        attron((int)attributes);
    } else {
        attroff((int)attributes);
    }
}

/* Text at a place, cut at `width` and at the border. @return columns used */
static int put(const struct screen *screen, int y, int x, int width, const char *text) {
    char fitted[CELL_MAX * 2];
    int room = getmaxx(stdscr) - x;

    if (y < 0 || y >= getmaxy(stdscr) || room <= 0) {
        return 0;
    }
    int used = text_fit(fitted, sizeof fitted, text, width < room ? width : room, more(screen));
    mvaddstr(y, x, fitted);
    return used;
}

static void draw_title(const struct screen *screen) {
    char clock[16] = "";
    time_t now = time(NULL);
    struct tm local;

    attron(A_REVERSE);
    mvhline(0, 0, ' ', getmaxx(stdscr));
    put(screen, 0, 1, getmaxx(stdscr), screen->paused ? "shmstat  PAUSED" : "shmstat");
    if (localtime_r(&now, &local) != NULL &&
        strftime(clock, sizeof clock, "%H:%M:%S", &local) > 0 && getmaxx(stdscr) > 40) {
        put(screen, 0, getmaxx(stdscr) - 9, 8, clock);
    }
    attroff(A_REVERSE);
}

static int fact_colour(const struct segment_row *segment, const char *label) {
    if (strcmp(label, "node") == 0 && segment->stat.drained) {
        return BAD;
    }
    if (!segment->stat.clustered) {
        return PLAIN;
    }
    if ((strcmp(label, "session") == 0 && !segment->stat.session) ||
        (strcmp(label, "bridge") == 0 && !segment->stat.bridge_alive)) {
        return BAD;
    }
    return PLAIN;
}

/* The facts, as many on a line as fit, on a third of the screen at most.
 * @return the next free line */
static int draw_facts(const struct screen *screen, int y) {
    struct view_fact fact[VIEW_FACTS];
    size_t facts = view_facts(&screen->snapshot, fact);
    int last = getmaxy(stdscr) / 3;
    int x = 1;

    for (size_t i = 0; i < facts; i++) {
        char measured[CELL_MAX * 2];
        int label = (int)strlen(fact[i].label) + 1;
        int width = text_fit(measured, sizeof measured, fact[i].text, CELL_MAX, NULL);
        int colour = fact_colour(&screen->snapshot.segment, fact[i].label);

        if (x > 1 && x + label + width > getmaxx(stdscr)) {
            if (y >= last) {
                break;
            }
            y++;
            x = 1;
        }
        attron(A_DIM);
        x += put(screen, y, x, CELL_MAX, fact[i].label) + 1;
        attroff(A_DIM);
        paint(screen, colour, true);
        x += put(screen, y, x, CELL_MAX, fact[i].text) + 3;
        paint(screen, colour, false);
    }
    return y + 1;
}

/* The views with their numbers of rows. @return the next free line */
static int draw_tabs(const struct screen *screen, int y) {
    int x = 1;
    char text[64];

    for (int name = 0; name < VIEWS; name++) {
        size_t rows = 0;

        (void)view_rows(&screen->snapshot, (enum view_name)name, &rows);
        if (name < VIEW_NODES || name == (int)screen->view) {
            snprintf(text, sizeof text, " %d %s %zu ", name + 1,
                     view_get((enum view_name)name)->name, rows);
        } else { /* the bridge is asked when they are looked at */
            snprintf(text, sizeof text, " %d %s ", name + 1, view_get((enum view_name)name)->name);
        }
        if (name == (int)screen->view) {
            attron(A_REVERSE);
        }
        x += put(screen, y, x, CELL_MAX, text) + 1;
        attroff(A_REVERSE);
    }
    if ((screen->view == VIEW_SLOTS || screen->view == VIEW_NODES) && screen->chosen[0] != '\0') {
        x += put(screen, y, x, CELL_MAX, "of") + 1;
        x += put(screen, y, x, CELL_MAX, screen->chosen) + 1;
    }
    if (screen->view == VIEW_COUNTERS && screen->snapshot.idle > 0) {
        snprintf(text, sizeof text, "(%zu idle hidden)", screen->snapshot.idle);
        (void)put(screen, y, x, CELL_MAX, text);
    }
    return y + 1;
}

static const void *row_at(const struct screen *screen, size_t place) {
    size_t count = 0;
    const char *rows = view_rows(&screen->snapshot, screen->view, &count);

    return rows + screen->order[place] * view_get(screen->view)->row_size;
}

static int column_width(const struct screen *screen, const struct view_column *column) {
    const struct screen_view *look = &screen->look[screen->view];
    int width = (int)strlen(column->title);
    char cell[CELL_MAX];
    char fitted[CELL_MAX];

    if (column->format == VIEW_USE) {
        return BAR;
    }
    for (size_t i = look->top; i < screen->shown && i < look->top + screen->page; i++) {
        view_print(column, row_at(screen, i), cell, sizeof cell);
        int wanted = text_fit(fitted, sizeof fitted, cell, CELL_MAX, NULL);
        width = wanted > width ? wanted : width;
    }
    return width;
}

/* The first column always, then as many as fit beside it; it gets what is left over. */
static void lay_out(const struct screen *screen, struct layout *out) {
    const struct view *view = view_get(screen->view);
    size_t skip = screen->look[screen->view].shift;
    int name = column_width(screen, &view->column[0]);
    int part = getmaxx(stdscr) / NAME_PART;
    int kept = name < part ? name : part;
    int room = getmaxx(stdscr) - kept;

    out->count = 1;
    out->column[0] = 0;
    for (size_t i = 1; i < view->columns && out->count < SHOWN_MAX; i++) {
        const struct view_column *column = &view->column[i];

        if ((column->where & VIEW_LIVE) == 0 || (skip > 0 && skip--)) {
            continue;
        }
        int width = column_width(screen, column);
        if (width + 1 > room) {
            if (!view_is_text(column) || room - 1 < CUT_MIN) {
                break;
            }
            width = room - 1;
        }
        room -= width + 1;
        out->column[out->count] = i;
        out->width[out->count++] = width;
    }
    room += kept;
    out->width[0] = name < room ? name : room;
}

static void draw_bar(const struct screen *screen, int y, int x, const struct counter_row *row) {
    int64_t share = row->stat.share;

    if (share <= 0) {
        return;
    }
    int64_t full = row->stat.in_use >= share ? BAR : (int64_t)row->stat.in_use * BAR / share;
    for (int i = 0; i < BAR; i++) {
        const char *ascii = i < full ? "#" : ".";
        const char *block = i < full ? "\xe2\x96\x88" : "\xe2\x96\x91";

        put(screen, y, x + i, 1, screen->ascii ? ascii : block);
    }
}

static int row_colour(const struct screen *screen, const void *row) {
    if (screen->view == VIEW_COUNTERS) {
        const struct slotshare_counter_stat *stat = &((const struct counter_row *)row)->stat;

        if (stat->share < 0 || stat->in_use == 0) {
            return PLAIN;
        }
        return stat->in_use >= stat->share                             ? BAD
               : (int64_t)stat->in_use * 5 >= (int64_t)stat->share * 4 ? CLOSE
                                                                       : GOOD;
    }
    if (screen->view == VIEW_OWNERS) {
        const struct owner_row *owner = row;
        return !owner->stat.alive ? BAD : owner->waiting > 0 ? CLOSE : PLAIN;
    }
    if (screen->view == VIEW_MEMBERS) {
        const struct member_row *member = row;
        return !member->stat.self && !member->stat.connected ? BAD
               : member->stat.coordinator                    ? GOOD
                                                             : PLAIN;
    }
    if (screen->view == VIEW_NODES) {
        const struct node_row *node = row;
        return strncmp(node->state, "silent", 6) == 0 || strncmp(node->state, "never", 5) == 0 ? BAD
               : !node->session || (node->share >= 0 && node->in_use > node->share) ? CLOSE
                                                                                    : PLAIN;
    }
    if (screen->view == VIEW_EVENTS) {
        const struct event_row *event = row;
        return strcmp(event->level, "error") == 0     ? BAD
               : strcmp(event->level, "warning") == 0 ? CLOSE
                                                      : PLAIN;
    }
    return PLAIN;
}

static void draw_row(const struct screen *screen, const struct layout *layout, int y,
                     const void *row, bool cursor) {
    const struct view *view = view_get(screen->view);
    int colour = row_colour(screen, row);
    int x = 0;
    char cell[CELL_MAX];
    char fitted[CELL_MAX];

    paint(screen, colour, true);
    if (cursor) {
        attron(A_REVERSE);
        mvhline(y, 0, ' ', getmaxx(stdscr));
    }
    for (size_t i = 0; i < layout->count; i++) {
        const struct view_column *column = &view->column[layout->column[i]];
        int width = layout->width[i];

        if (column->format == VIEW_USE) {
            draw_bar(screen, y, x, row);
        } else {
            view_print(column, row, cell, sizeof cell);
            int used = text_fit(fitted, sizeof fitted, cell, width, more(screen));
            put(screen, y, view_is_text(column) ? x : x + width - used, width, cell);
        }
        x += width + 1;
    }
    if (cursor) {
        attroff(A_REVERSE);
    }
    paint(screen, colour, false);
}

static void draw_titles(const struct screen *screen, const struct layout *layout, int y) {
    const struct view *view = view_get(screen->view);
    const struct screen_view *look = &screen->look[screen->view];
    int x = 0;

    for (size_t i = 0; i < layout->count; i++) {
        const struct view_column *column = &view->column[layout->column[i]];
        bool sorted = layout->column[i] == look->sort;
        int indent = view_is_text(column) || column->format == VIEW_USE
                         ? 0
                         : layout->width[i] - (int)strlen(column->title);

        attron(sorted ? A_BOLD | A_UNDERLINE : A_UNDERLINE);
        put(screen, y, x + indent, layout->width[i], column->title);
        attroff(A_BOLD | A_UNDERLINE);
        x += layout->width[i] + 1;
    }
}

/* Keep the cursor on a row and the row on the screen. */
static void follow_cursor(struct screen *screen) {
    struct screen_view *look = &screen->look[screen->view];

    if (look->cursor >= screen->shown) {
        look->cursor = screen->shown > 0 ? screen->shown - 1 : 0;
    }
    if (look->cursor < look->top) {
        look->top = look->cursor;
    } else if (look->cursor >= look->top + screen->page) {
        look->top = look->cursor - screen->page + 1;
    }
}

/* Below the nodes, where there is room: what the cluster waits for. */
static void draw_waits(const struct screen *screen, int y) {
    char text[CELL_MAX * 2];

    for (size_t i = 0; screen->view == VIEW_NODES && i < screen->snapshot.waits; i++) {
        view_wait(&screen->snapshot.wait[i], text, sizeof text);
        if (i == 0 && y < getmaxy(stdscr) - 1) {
            attron(A_UNDERLINE);
            put(screen, y, 0, CELL_MAX, "WAITING FOR");
            attroff(A_UNDERLINE);
        }
        if (++y >= getmaxy(stdscr) - 1) {
            break;
        }
        put(screen, y, 0, CELL_MAX * 2, text);
    }
}

static void draw_table(struct screen *screen, int y) {
    struct layout layout;
    int lines = getmaxy(stdscr) - y - 2; /* without the titles and the last line */

    screen->page = lines > 0 ? (size_t)lines : 1;
    follow_cursor(screen);
    lay_out(screen, &layout);
    draw_titles(screen, &layout, y);
    const struct screen_view *look = &screen->look[screen->view];
    for (int i = 0; i < lines && look->top + (size_t)i < screen->shown; i++) {
        size_t place = look->top + (size_t)i;
        draw_row(screen, &layout, y + 1 + i, row_at(screen, place), place == look->cursor);
    }
    if (screen->shown == 0 && lines > 0) {
        put(screen, y + 1, 1, CELL_MAX * 2,
            screen->untold[0] != '\0'   ? screen->untold
            : screen->filter[0] != '\0' ? "nothing contains the filter's text"
                                        : "nothing to show");
    }
    draw_waits(screen, y + 2 + (int)screen->shown);
}

static void draw_bottom(const struct screen *screen) {
    int y = getmaxy(stdscr) - 1;
    char text[CELL_MAX * 2];

    if (screen->typing) {
        snprintf(text, sizeof text, "filter: %s_  (Enter: keep, Esc: drop)", screen->filter);
    } else if (screen->trouble[0] != '\0') {
        snprintf(text, sizeof text, "%s", screen->trouble);
    } else if (screen->message[0] != '\0') {
        snprintf(text, sizeof text, "%s", screen->message);
    } else if (screen->snapshot.damaged) {
        snprintf(text, sizeof text, "the segment is damaged: some entries are left out");
    } else if (screen->filter[0] != '\0') {
        snprintf(text, sizeof text, "Esc drops the filter %s", screen->filter);
    } else {
        snprintf(text, sizeof text,
                 "? help  q quit  / filter  < > sort  p pause  n nodes  Enter holders");
    }
    paint(screen, screen->trouble[0] != '\0' ? BAD : PLAIN, true);
    move(y, 0);
    clrtoeol();
    put(screen, y, 1, CELL_MAX, text);
    paint(screen, screen->trouble[0] != '\0' ? BAD : PLAIN, false);
}

void screen_draw(struct screen *screen) {
    erase();
    draw_title(screen);
    if (screen->help) {
        screen_draw_keys(1);
    } else {
        int y = draw_facts(screen, 1);
        y = draw_tabs(screen, y);
        draw_table(screen, y);
        draw_bottom(screen);
    }
    refresh();
}
