/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_ONLY = 256, HELP_COLUMN = 26 };

static void print_range(FILE *out, const struct option_row *row) {
    if (row->kind == OPTION_NUMBER) {
        fprintf(out, "a whole number from %" PRId64 " to %" PRId64, row->low, row->high);
        return;
    }
    fprintf(out, "seconds from %.10g to %.10g", (double)(row->low < 0 ? 0 : row->low) / 1000,
            (double)row->high / 1000);
    if (row->kind == OPTION_FOREVER) {
        fputs(", or 'forever'", out);
    }
}

static bool parse_number(const char *text, int64_t *out) {
    char *end = NULL;

    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool parse_seconds(const char *text, int64_t high, int64_t *out) {
    char *end = NULL;

    errno = 0;
    double seconds = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !isfinite(seconds) || seconds < 0 ||
        seconds * 1000 > (double)high) {
        return false;
    }
    *out = llround(seconds * 1000);
    return true;
}

static bool parse_value(const struct option_row *row, const char *text, int64_t *out) {
    if (row->kind == OPTION_NUMBER) {
        return parse_number(text, out) && *out >= row->low && *out <= row->high;
    }
    if (row->kind == OPTION_FOREVER && strcmp(text, "forever") == 0) {
        *out = -1;
        return true;
    }
    return parse_seconds(text, row->high, out) && *out >= row->low;
}

static bool store(const char *program, const struct option_row *row, const char *text,
                  void *settings) {
    char *place = (char *)settings + row->offset;
    int64_t value = 0;

    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)(void *)place = true;
        return true;
    case OPTION_TEXT:
        memcpy(place, &text, sizeof text);
        return true;
    default:
        break;
    }
    if (!parse_value(row, text, &value)) {
        fprintf(stderr, "%s: --%s: '%s' is not ", program, row->name, text);
        print_range(stderr, row);
        fputc('\n', stderr);
        return false;
    }
    memcpy(place, &value, sizeof value);
    return true;
}

/* What getopt_long() wants, made from the table. */
struct spelled {
    struct option longs[OPTIONS_MAX + 1];
    char shorts[2 * OPTIONS_MAX + 3];
};

static bool spell(const struct option_table *table, struct spelled *out) {
    char *next = out->shorts;

    memset(out, 0, sizeof *out);
    if (table->rows > OPTIONS_MAX) {
        return false;
    }
    if (table->stop) {
        *next++ = '+';
    }
    *next++ = ':';
    for (size_t i = 0; i < table->rows; i++) {
        const struct option_row *row = &table->row[i];

        out->longs[i].name = row->name;
        out->longs[i].has_arg = row->argument != NULL ? required_argument : no_argument;
        out->longs[i].val = row->letter != 0 ? row->letter : LONG_ONLY + (int)i;
        if (row->letter != 0) {
            *next++ = (char)row->letter;
            if (row->argument != NULL) {
                *next++ = ':';
            }
        }
    }
    return true;
}

static const struct option_row *find(const struct option_table *table, int code) {
    for (size_t i = 0; i < table->rows; i++) {
        if (code == table->row[i].letter || code == LONG_ONLY + (int)i) {
            return &table->row[i];
        }
    }
    return NULL;
}

static int refuse(const char *program, int code, const char *word) {
    if (code == ':') {
        fprintf(stderr, "%s: %s needs a value", program, word);
    } else {
        fprintf(stderr, "%s: no such option: %s", program, word);
    }
    fprintf(stderr, "; see '%s --help'\n", program);
    return OPTIONS_WRONG;
}

int options_parse(const char *program, const struct option_table *table, int argc, char **argv,
                  void *settings) {
    struct spelled spelled;
    int code;

    if (!spell(table, &spelled)) {
        return OPTIONS_WRONG;
    }
    opterr = 0;
    optind = 0; /* GNU: start anew, the subcommand has a command line of its own */
    while ((code = getopt_long(argc, argv, spelled.shorts, spelled.longs, NULL)) != -1) {
        const struct option_row *row = find(table, code);

        if (row == NULL) {
            char letter[3] = {'-', (char)optopt, '\0'};
            bool is_letter = optopt > 0 && optopt < LONG_ONLY && find(table, optopt) == NULL;

            return refuse(program, code,
                          is_letter && code == '?' ? letter : argv[optind > 1 ? optind - 1 : 1]);
        }
        if (row->kind == OPTION_HELP) {
            return OPTIONS_HELP;
        }
        if (!store(program, row, optarg, settings)) {
            return OPTIONS_WRONG;
        }
    }
    return optind;
}

void options_print_indented(FILE *out, const char *text, int indent) {
    for (const char *c = text; *c != '\0'; c++) {
        fputc(*c, out);
        if (*c == '\n') {
            fprintf(out, "%*s", indent, "");
        }
    }
    fputc('\n', out);
}

void options_help(FILE *out, const struct option_table *table) {
    fputs("\nOptions:\n", out);
    for (size_t i = 0; i < table->rows; i++) {
        const struct option_row *row = &table->row[i];
        int width = 0;

        if (row->letter != 0) {
            width = fprintf(out, "  -%c, --%s", row->letter, row->name);
        } else {
            width = fprintf(out, "      --%s", row->name);
        }
        if (row->argument != NULL) {
            width += fprintf(out, " %s", row->argument);
        }
        if (width > HELP_COLUMN - 2) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
        } else {
            fprintf(out, "%*s", HELP_COLUMN - width, "");
        }
        options_print_indented(out, row->help, HELP_COLUMN);
    }
}
