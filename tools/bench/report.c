/* SPDX-License-Identifier: MIT */
/* Results as a table for people, or as one JSON object. */
#include <jansson.h>
#include <stdlib.h>

#include "bench.h"

enum { FORMAT_VERSION = 1 };

struct report {
    FILE *out;
    json_t *results; /* NULL: text */
    bool failed;
};

struct report *report_new(FILE *out, bool json) {
    struct report *report = calloc(1, sizeof *report);
    if (!report) {
        return NULL;
    }
    report->out = out;
    report->results = json ? json_array() : NULL;
    if (json && !report->results) {
        free(report);
        return NULL;
    }
    if (!json) {
        fprintf(out, "%-22s %5s %10s %10s %9s %-17s %-13s %s\n", "CASE", "PROCS", "MEASURED",
                "PEER", "RATIO", "(MIDDLE HALF)", "WANTED", "MET");
    }
    return report;
}

static bool has_wish(const struct result *result) {
    return result->wanted_ratio > 0 || result->wanted_value > 0;
}

static bool is_met(const struct result *result) {
    const struct measurement *measured = &result->measured;
    return result->wanted_ratio > 0 ? measured->ratio.middle <= result->wanted_ratio
                                    : measured->value[0].middle <= result->wanted_value;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void number(char *out, size_t size, double value) {
    (void)snprintf(out, size, value < 100 ? "%.2f" : "%.0f", value);
}

/* Far below one: how many times cheaper. */
static void ratio(char *out, size_t size, double value) {
    (void)snprintf(out, size, value < 0.05 ? "1/%.0f" : "%.2f", value < 0.05 ? 1 / value : value);
}

static void text_wanted(char *out, size_t size, const struct result *result) {
    char value[24];
    if (result->wanted_ratio > 0) {
        ratio(value, sizeof value, result->wanted_ratio);
        (void)snprintf(out, size, "<= %s x", value);
    } else if (result->wanted_value > 0) {
        (void)snprintf(out, size, "<= %.0f %s", result->wanted_value, result->unit);
    } else {
        (void)snprintf(out, size, "-");
    }
}

static void text_row(FILE *out, const struct result *result) {
    const struct measurement *measured = &result->measured;
    char value[24];
    char peer[24] = "-";
    char times[24] = "-";
    char middle[64];
    char low[24];
    char high[24];
    char wanted[40];
    bool compared = result->peer != NULL;
    number(value, sizeof value, measured->value[0].middle);
    const struct spread *spread = compared ? &measured->ratio : &measured->value[0];
    number(low, sizeof low, spread->low);
    number(high, sizeof high, spread->high);
    if (compared) {
        number(peer, sizeof peer, measured->value[1].middle);
        ratio(times, sizeof times, measured->ratio.middle);
        ratio(low, sizeof low, spread->low);
        ratio(high, sizeof high, spread->high);
    }
    (void)snprintf(middle, sizeof middle, "(%s..%s)", low, high);
    text_wanted(wanted, sizeof wanted, result);
    fprintf(out, "%-22s %5u %10s %10s %9s %-17s %-13s %s\n", result->name, result->processes, value,
            peer, times, middle, wanted,
            !has_wish(result) ? "-"
            : is_met(result)  ? "yes"
                              : "NO");
    fprintf(out, "    %s, %s%s%s\n", result->what, result->unit, compared ? "; peer: " : "",
            compared ? result->peer : "");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *real_or_null(double value) {
    return value > 0 ? json_real(value) : json_null();
}

static json_t *spread_json(const struct spread *spread, bool there) {
    return there ? json_pack("{s:f, s:f, s:f}", "middle", spread->middle, "low", spread->low,
                             "high", spread->high)
                 : json_null();
}

static json_t *row_json(const struct result *result) {
    const struct measurement *measured = &result->measured;
    bool done = result->skipped[0] == '\0';
    bool compared = done && result->peer != NULL;
    json_t *met = done && has_wish(result) ? json_boolean(is_met(result)) : json_null();
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:s?}", "name",
                     result->name, "what", result->what, "unit", result->unit, "processes",
                     (int)result->processes, "rounds", (int)measured->rounds, "peer", result->peer,
                     "value", spread_json(&measured->value[0], done), "peer_value",
                     spread_json(&measured->value[1], compared), "ratio",
                     spread_json(&measured->ratio, compared), "wanted_ratio",
                     real_or_null(result->wanted_ratio), "wanted_value",
                     real_or_null(result->wanted_value), "met", met, "skipped",
                     done ? NULL : result->skipped);
}

void report_add(struct report *report, const struct result *result) {
    if (report->results) {
        report->failed =
            json_array_append_new(report->results, row_json(result)) != 0 || report->failed;
    } else if (result->skipped[0]) {
        fprintf(report->out, "%-22s skipped: %s\n", result->name, result->skipped);
    } else {
        text_row(report->out, result);
        (void)fflush(report->out);
    }
}

int report_end(struct report *report, const struct bench *bench) {
    int result = 0;
    if (report->results) {
        json_t *root = report->failed
                           ? NULL
                           : json_pack("{s:i, s:f, s:i, s:O}", "format", FORMAT_VERSION, "seconds",
                                       (double)bench->milliseconds / 1000, "counters",
                                       (int)bench->counters, "results", report->results);
        result = root && json_dumpf(root, report->out, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0
                     ? 0
                     : -1;
        fputc('\n', report->out);
        json_decref(root);
        json_decref(report->results);
    }
    free(report);
    return result;
}
