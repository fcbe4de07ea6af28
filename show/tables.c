/* SPDX-License-Identifier: MIT */
#include "tables.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "view.h"

enum { CELL_MAX = 512, COLUMNS_MAX = 32 };

/* Columns of a terminal that a printed cell takes. */
static int width_of(const char *text) {
    wchar_t wide[CELL_MAX];
    size_t length = mbstowcs(wide, text, CELL_MAX);
    int width = length < CELL_MAX ? wcswidth(wide, length) : -1;

    return width >= 0 ? width : (int)strlen(text);
}

static bool shown(const struct view_column *column) {
    return (column->where & VIEW_TEXT) != 0;
}

static void pad(FILE *out, int columns) {
    if (columns > 0) {
        fprintf(out, "%*s", columns, "");
    }
}

static void print_cell(FILE *out, const struct view_column *column, const char *text, int width,
                       bool last) {
    int free_columns = width - width_of(text);

    if (!view_is_text(column)) {
        pad(out, free_columns);
    }
    fputs(text, out);
    if (!last && view_is_text(column)) {
        pad(out, free_columns);
    }
    fputs(last ? "\n" : "  ", out);
}

static size_t last_shown(const struct view *view) {
    size_t last = 0;

    for (size_t i = 0; i < view->columns; i++) {
        last = shown(&view->column[i]) ? i : last;
    }
    return last;
}

static void print_table(FILE *out, const struct view *view, const char *rows, const size_t *order,
                        size_t count) {
    int width[COLUMNS_MAX] = {0};
    size_t last = last_shown(view);
    char cell[CELL_MAX];

    for (size_t i = 0; i <= last; i++) {
        if (!shown(&view->column[i])) {
            continue;
        }
        width[i] = (int)strlen(view->column[i].title);
        for (size_t row = 0; row < count; row++) {
            view_print(&view->column[i], rows + order[row] * view->row_size, cell, sizeof cell);
            int wanted = width_of(cell);
            width[i] = wanted > width[i] ? wanted : width[i];
        }
    }
    for (size_t i = 0; i <= last; i++) {
        if (shown(&view->column[i])) {
            print_cell(out, &view->column[i], view->column[i].title, width[i], i == last);
        }
    }
    for (size_t row = 0; row < count; row++) {
        for (size_t i = 0; i <= last; i++) {
            if (shown(&view->column[i])) {
                view_print(&view->column[i], rows + order[row] * view->row_size, cell, sizeof cell);
                print_cell(out, &view->column[i], cell, width[i], i == last);
            }
        }
    }
}

static bool show_view(FILE *out, const struct snapshot *snapshot, enum view_name name) {
    const struct view *view = view_get(name);
    size_t count = 0;
    const void *rows = view_rows(snapshot, name, &count);
    size_t *order = calloc(count == 0 ? 1 : count, sizeof *order);

    if (order == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    view_sort(view, rows, order, count, view->sort, name == VIEW_EVENTS); /* as a log has it */
    fputc('\n', out);
    print_table(out, view, rows, order, count);
    free(order);
    return true;
}

static void show_waits(FILE *out, const struct snapshot *snapshot) {
    char text[CELL_MAX * 2];

    if (snapshot->waits > 0) {
        fputc('\n', out);
    }
    for (size_t i = 0; i < snapshot->waits; i++) {
        view_wait(&snapshot->wait[i], text, sizeof text);
        fprintf(out, "%-12s %s\n", i == 0 ? "waiting for" : "", text);
    }
}

/* What the bridge has told of one counter. */
static bool show_nodes(FILE *out, const struct snapshot *snapshot, const char *trouble) {
    if (snapshot->told) {
        if (!show_view(out, snapshot, VIEW_NODES)) {
            return false;
        }
        show_waits(out, snapshot);
    } else if (trouble[0] != '\0' && snapshot->segment.stat.clustered) {
        fprintf(out, "\nnodes are not known: %s\n", trouble);
    }
    return true;
}

static bool wanted(unsigned views, enum view_name name) {
    return (views & 1U << name) != 0;
}

bool tables_show(FILE *out, const struct snapshot *snapshot, unsigned views, const char *trouble) {
    static const enum view_name rest[] = {VIEW_OWNERS, VIEW_SLOTS};
    struct view_fact fact[VIEW_FACTS];
    size_t facts = view_facts(snapshot, fact);
    bool good = true;

    for (size_t i = 0; i < facts; i++) {
        fprintf(out, "%-12s %s\n", fact[i].label, fact[i].text);
    }
    if (snapshot->damaged) {
        fputs("warning      the segment is damaged: entries that make no sense are left out\n",
              out);
    }
    if (wanted(views, VIEW_COUNTERS)) {
        good = show_view(out, snapshot, VIEW_COUNTERS);
        if (snapshot->idle > 0) {
            fprintf(out, "(%zu idle; --idle shows %s)\n", snapshot->idle,
                    snapshot->idle == 1 ? "it" : "them");
        }
    }
    for (size_t i = 0; i < sizeof rest / sizeof *rest && good; i++) {
        good = !wanted(views, rest[i]) || show_view(out, snapshot, rest[i]);
    }
    if (good && wanted(views, VIEW_MEMBERS) && snapshot->members > 0) {
        good = show_view(out, snapshot, VIEW_MEMBERS);
    }
    if (good && wanted(views, VIEW_NODES)) {
        good = show_nodes(out, snapshot, trouble);
    }
    if (good && wanted(views, VIEW_EVENTS)) {
        good = show_view(out, snapshot, VIEW_EVENTS);
    }
    return good;
}
