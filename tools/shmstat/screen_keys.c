/* SPDX-License-Identifier: MIT */
/* What keys do. One table makes the help on the screen and in --help, too. */
#include <curses.h>
#include <limits.h>
#include <string.h>
#include <wchar.h>

#include "screen.h"

enum { ESCAPE = 27, DELETE = 127, BACKSPACE = 8, KEYS_MAX = 3, LABEL_WIDTH = 14 };

static struct screen_view *look(struct screen *screen) {
    return &screen->look[screen->view];
}

static void go_to(struct screen *screen, int view) {
    screen->view = (enum view_name)view;
    screen->chosen[0] = '\0';
    screen->again = view == VIEW_NODES || view == VIEW_EVENTS; /* the bridge is to be asked */
}

static void go_on(struct screen *screen, int unused) {
    (void)unused;
    go_to(screen, ((int)screen->view + 1) % VIEWS);
}

/* Sort by the column `step` further that is on display. */
static void sort_by(struct screen *screen, int step) {
    const struct view *view = view_get(screen->view);
    struct screen_view *now = look(screen);
    size_t column = now->sort;

    do {
        column = (column + view->columns + (size_t)(step + (int)view->columns)) % view->columns;
    } while ((view->column[column].where & VIEW_LIVE) == 0);
    now->sort = column;
    now->top = now->cursor = 0;
}

static void reverse(struct screen *screen, int unused) {
    (void)unused;
    look(screen)->reverse = !look(screen)->reverse;
}

static void type_filter(struct screen *screen, int unused) {
    (void)unused;
    screen->typing = true;
}

static void go_back(struct screen *screen, int unused) {
    (void)unused;
    if (screen->chosen[0] != '\0') {
        go_to(screen, VIEW_COUNTERS);
    } else {
        screen->filter[0] = '\0';
    }
}

static void show_holders(struct screen *screen, int unused) {
    const struct counter_row *row = screen->view == VIEW_COUNTERS ? screen_row(screen) : NULL;

    (void)unused;
    if (row == NULL) {
        snprintf(screen->message, sizeof screen->message, "choose a counter first");
        return;
    }
    memcpy(screen->chosen, row->stat.name, sizeof screen->chosen);
    screen->filter[0] = '\0';
    screen->view = VIEW_SLOTS;
    look(screen)->top = look(screen)->cursor = 0;
}

static void show_nodes(struct screen *screen, int unused) {
    const struct counter_row *row = screen->view == VIEW_COUNTERS ? screen_row(screen) : NULL;
    const bool chosen = screen->view == VIEW_SLOTS && screen->chosen[0] != '\0';

    (void)unused;
    if (row == NULL && !chosen) {
        snprintf(screen->message, sizeof screen->message, "choose a counter first");
        return;
    }
    if (row != NULL) {
        memcpy(screen->chosen, row->stat.name, sizeof screen->chosen);
    }
    screen->filter[0] = '\0';
    screen->view = VIEW_NODES;
    screen->again = true;
    look(screen)->top = look(screen)->cursor = 0;
}

static void toggle_idle(struct screen *screen, int unused) {
    (void)unused;
    screen->idle = !screen->idle;
    snprintf(screen->message, sizeof screen->message, "idle counters are %s",
             screen->idle ? "shown" : "hidden");
    screen->again = true;
}

static void toggle_pause(struct screen *screen, int unused) {
    (void)unused;
    screen->paused = !screen->paused;
}

static void toggle_help(struct screen *screen, int unused) {
    (void)unused;
    screen->help = true;
}

/* Several keys may come before the next drawing: the cursor is on a row after each of them. */
static void move_lines(struct screen *screen, int lines) {
    struct screen_view *now = look(screen);
    const size_t last = screen->shown > 0 ? screen->shown - 1 : 0;

    if (lines < 0) {
        size_t up = (size_t)-lines;
        now->cursor -= up < now->cursor ? up : now->cursor;
    } else {
        now->cursor = now->cursor + (size_t)lines < last ? now->cursor + (size_t)lines : last;
    }
}

static void move_pages(struct screen *screen, int pages) {
    move_lines(screen, pages * (int)(screen->page > 1 ? screen->page - 1 : 1));
}

static void move_first(struct screen *screen, int unused) {
    (void)unused;
    look(screen)->cursor = 0;
}

static void move_last(struct screen *screen, int unused) {
    (void)unused;
    look(screen)->cursor = screen->shown > 0 ? screen->shown - 1 : 0;
}

static void shift_columns(struct screen *screen, int step) {
    struct screen_view *now = look(screen);
    size_t most = 0;
    const struct view *view = view_get(screen->view);

    for (size_t i = 1; i < view->columns; i++) {
        most += (view->column[i].where & VIEW_LIVE) != 0;
    }
    if (step < 0) {
        now->shift -= now->shift > 0;
    } else if (now->shift + 1 < most) {
        now->shift++;
    }
}

static void quit(struct screen *screen, int unused) {
    (void)unused;
    screen->quit = true;
}

static const struct key_row {
    const char *label;      /* NULL: its keys stand in the row above */
    unsigned key[KEYS_MAX]; /* 0: none */
    int argument;
    void (*act)(struct screen *screen, int argument);
    const char *help;
} key_rows[] = {
    {"1, c", {'1', 'c'}, VIEW_COUNTERS, go_to, "counters"},
    {"2, o", {'2', 'o'}, VIEW_OWNERS, go_to, "owners: the processes that use the segment"},
    {"3, s", {'3', 's'}, VIEW_SLOTS, go_to, "slots: who holds what since when"},
    {"4, m", {'4', 'm'}, VIEW_MEMBERS, go_to, "members of the cluster"},
    {"5", {'5'}, VIEW_NODES, go_to, "nodes: what each holds of all counters, and what is awaited"},
    {"6, e", {'6', 'e'}, VIEW_EVENTS, go_to, "events: the last that the bridge has logged"},
    {"Tab", {'\t'}, 0, go_on, "the next of these"},
    {"Enter", {'\n', '\r', KEY_ENTER}, 0, show_holders, "who holds the slots of this counter"},
    {"n", {'n'}, 0, show_nodes, "nodes: what each holds of this counter, and may hold"},
    {"Esc", {ESCAPE}, 0, go_back, "back to the counters; drop the filter"},
    {"/", {'/'}, 0, type_filter, "show rows that contain a text only"},
    {"<, >", {'<', ','}, -1, sort_by, "sort by the column before, by the next one"},
    {NULL, {'>', '.'}, 1, sort_by, NULL},
    {"r", {'r'}, 0, reverse, "reverse the order"},
    {"i", {'i'}, 0, toggle_idle, "show or hide idle counters"},
    {"p, Space", {'p', ' '}, 0, toggle_pause, "pause, and go on"},
    {"Up, Down, k, j", {KEY_UP, 'k'}, -1, move_lines, "one row up, down"},
    {NULL, {KEY_DOWN, 'j'}, 1, move_lines, NULL},
    {"PgUp, PgDn", {KEY_PPAGE}, -1, move_pages, "one page up, down"},
    {NULL, {KEY_NPAGE}, 1, move_pages, NULL},
    {"Home, End", {KEY_HOME, 'g'}, 0, move_first, "the first row, the last one; also g, G"},
    {NULL, {KEY_END, 'G'}, 0, move_last, NULL},
    {"Left, Right", {KEY_LEFT}, -1, shift_columns, "columns further left, right"},
    {NULL, {KEY_RIGHT}, 1, shift_columns, NULL},
    {"?, h", {'?', 'h', KEY_F(1)}, 0, toggle_help, "these keys"},
    {"q", {'q'}, 0, quit, "quit"},
};
enum { KEY_ROWS = sizeof key_rows / sizeof key_rows[0] };

/* The filter is typed: every character belongs to it. */
static void type(struct screen *screen, bool is_code, unsigned key) {
    size_t length = strlen(screen->filter);
    mbstate_t state = {0};
    char bytes[MB_LEN_MAX];

    if ((is_code && key == KEY_ENTER) || (!is_code && (key == '\n' || key == '\r'))) {
        screen->typing = false;
    } else if (!is_code && key == ESCAPE) {
        screen->typing = false;
        screen->filter[0] = '\0';
    } else if ((is_code && key == KEY_BACKSPACE) ||
               (!is_code && (key == DELETE || key == BACKSPACE))) {
        /* One character may be several bytes: its continuation bytes go with it. */
        while (length > 0 && ((unsigned char)screen->filter[length - 1] & 0xc0U) == 0x80U) {
            length--;
        }
        screen->filter[length > 0 ? length - 1 : 0] = '\0';
    } else if (!is_code && key >= ' ') {
        size_t size = wcrtomb(bytes, (wchar_t)key, &state);

        if (size <= MB_LEN_MAX && length + size < sizeof screen->filter) {
            memcpy(screen->filter + length, bytes, size);
            screen->filter[length + size] = '\0';
        }
    }
    look(screen)->top = look(screen)->cursor = 0;
}

void screen_key(struct screen *screen, bool is_code, unsigned key) {
    screen->message[0] = '\0';
    if (screen->typing) {
        type(screen, is_code, key);
        return;
    }
    if (screen->help) {
        screen->help = false;
        return;
    }
    for (size_t i = 0; i < KEY_ROWS; i++) {
        for (size_t j = 0; j < KEYS_MAX && key_rows[i].key[j] != 0; j++) {
            if (key_rows[i].key[j] == key && (key >= KEY_MIN) == is_code) {
                key_rows[i].act(screen, key_rows[i].argument);
                return;
            }
        }
    }
    snprintf(screen->message, sizeof screen->message, "no such key; ? shows them");
}

void screen_draw_keys(int top) {
    const int last = getmaxy(stdscr) - 1;
    int y = top;

    for (size_t i = 0; i < KEY_ROWS; i++) {
        if (key_rows[i].label != NULL && y++ <= last) {
            mvprintw(y - 1, 2, "%-*s %s", LABEL_WIDTH, key_rows[i].label, key_rows[i].help);
        }
    }
    if (y - 1 > last && last > top) {
        move(last, 0);
        clrtoeol();
        mvprintw(last, 1, "the rest: in a larger window, or 'shmstat --help'");
    }
}

void screen_help(FILE *out) {
    fputs("\nKeys of the live display:\n", out);
    for (size_t i = 0; i < KEY_ROWS; i++) {
        if (key_rows[i].label != NULL) {
            fprintf(out, "  %-*s %s\n", LABEL_WIDTH, key_rows[i].label, key_rows[i].help);
        }
    }
}
