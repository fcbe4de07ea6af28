/* SPDX-License-Identifier: MIT */
/* The display for programs: one JSON object a line. */
#include "json.h"

#include <time.h>

#include "text.h"

static json_t *cell(const struct view_column *column, const void *row) {
    if (view_is_text(column)) {
        return text_json(view_text(column, row));
    }
    int64_t number = view_number(column, row);
    if (column->type == VIEW_UINT64 && number == INT64_MAX) {
        return json_null(); /* not known */
    }
    return column->type == VIEW_BOOL ? json_boolean(number != 0) : json_integer(number);
}

static json_t *object(const struct view *view, const void *row) {
    json_t *out = json_object();

    for (size_t i = 0; i < view->columns; i++) {
        const struct view_column *column = &view->column[i];

        if ((column->where & VIEW_JSON) != 0 &&
            json_object_set_new(out, column->field, cell(column, row)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

json_t *json_rows(const struct snapshot *snapshot, enum view_name name) {
    const struct view *view = view_get(name);
    size_t count = 0;
    const char *rows = view_rows(snapshot, name, &count);
    json_t *out = json_array();

    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(out, object(view, rows + i * view->row_size)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

json_t *json_of(const struct snapshot *snapshot) {
    json_t *root = json_object();
    struct timespec now;
    bool good;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    good = json_object_set_new(root, "format", json_integer(JSON_FORMAT)) == 0 &&
           json_object_set_new(
               root, "time_ms",
               json_integer((json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000)) == 0 &&
           json_object_set_new(root, "damaged", json_boolean(snapshot->damaged)) == 0 &&
           json_object_set_new(root, "told", json_boolean(snapshot->told)) == 0 &&
           json_object_set_new(root, "idle", json_integer((json_int_t)snapshot->idle)) == 0 &&
           json_object_set_new(root, "segment", object(view_segment(), &snapshot->segment)) == 0;
    for (int name = 0; name < VIEWS && good; name++) {
        good = json_object_set_new(root, view_get((enum view_name)name)->name,
                                   json_rows(snapshot, (enum view_name)name)) == 0;
    }
    if (!good) {
        json_decref(root);
        return NULL;
    }
    return root;
}

bool json_show(FILE *out, const struct snapshot *snapshot) {
    json_t *root = json_of(snapshot);
    const bool good =
        root != NULL && json_dumpf(root, out, JSON_COMPACT) == 0 && fputc('\n', out) != EOF;
    json_decref(root);
    return good;
}

static void help_view(FILE *out, const struct view *view, const char *what) {
    fprintf(out, "  %s: %s\n", view->name, what);
    for (size_t i = 0; i < view->columns; i++) {
        if ((view->column[i].where & VIEW_JSON) != 0) {
            fprintf(out, "    %-16s %s\n", view->column[i].field, view->column[i].help);
        }
    }
}

void json_help(FILE *out) {
    fputs("\nJSON:\n"
          "  One object on one line for each reading. Fields may be added; times and ages are in\n"
          "  milliseconds.\n\n",
          out);
    fprintf(out, "  %-18s %d; counts up when a field changes its meaning\n", "format", JSON_FORMAT);
    fprintf(out, "  %-18s %s\n", "time_ms", "when it was read, since 1970");
    fprintf(out, "  %-18s %s\n", "damaged", "whether entries that make no sense were left out");
    fprintf(out, "  %-18s %s\n", "told",
            "whether the bridge has answered: else nodes and events are empty");
    fprintf(out, "  %-18s %s\n", "idle", "number of idle counters left out (see --idle)");
    help_view(out, view_segment(), "an object");
    help_view(out, view_get(VIEW_COUNTERS), "an array, one object for each counter");
    help_view(out, view_get(VIEW_OWNERS), "an array, one object for each process");
    help_view(out, view_get(VIEW_SLOTS), "an array, one object for each slot that is held");
    help_view(out, view_get(VIEW_MEMBERS), "an array, one object for each member of the cluster");
    help_view(out, view_get(VIEW_NODES),
              "an array, what each member holds (of the --counter), as the bridge has heard");
    help_view(out, view_get(VIEW_EVENTS),
              "an array, the last events in the log of this host's bridge, the oldest first");
}
