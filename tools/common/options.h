/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COMMON_OPTIONS_H
#define TOOLS_COMMON_OPTIONS_H
/**
 * Command line options from one table, which also makes --help. Parsing uses getopt_long(), so
 * not thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** What an option takes and where it goes: the type at `offset` in the settings. */
enum option_kind {
    OPTION_FLAG,    /**< nothing; bool */
    OPTION_TEXT,    /**< a string; const char * */
    OPTION_NUMBER,  /**< a whole number; int64_t */
    OPTION_SECONDS, /**< seconds, fractions allowed; int64_t milliseconds */
    OPTION_FOREVER, /**< the same, or "forever": -1 */
    OPTION_HELP     /**< nothing; options_parse() returns OPTIONS_HELP */
};

struct option_row {
    int letter; /**< 0: none */
    enum option_kind kind;
    const char *name;     /**< without the dashes */
    const char *argument; /**< as --help names it; NULL: takes none */
    size_t offset;
    int64_t low, high; /**< range of the value as stored */
    const char *help;  /**< may have several lines */
};

/** The row that every table ends with. */
#define OPTION_ROW_HELP                                                                            \
    { 'h', OPTION_HELP, "help", NULL, 0, 0, 0, "print this and exit" }

/** The rows of the segment: its name and its folder, texts at these offsets in the settings. */
#define OPTION_ROW_NAME(at)                                                                        \
    { 'n', OPTION_TEXT, "name", "NAME", (at), 0, 0, "the segment (default: slotshare)" }
#define OPTION_ROW_DIRECTORY(at)                                                                   \
    {                                                                                              \
        0, OPTION_TEXT, "directory", "DIR", (at), 0, 0,                                            \
            "where segments are (default: $SLOTSHARE_DIR, else /run/slotshare)"                    \
    }
#define OPTION_ROW_BINDING(at)                                                                     \
    { 0, OPTION_TEXT, "binding", "B", (at), 0, 0, "the sending identity" }

enum {
    OPTIONS_MAX = 24,   /**< rows of a table at most */
    OPTIONS_WRONG = -1, /**< returned after a message on stderr: exit EX_USAGE */
    OPTIONS_HELP = -2   /**< returned when --help was given */
};

struct option_table {
    const struct option_row *row;
    size_t rows;
    bool stop; /**< the first operand ends the options (a command line follows) */
};

/**
 * Parse argv[1..] into settings.
 *
 * @param program  as messages begin and as --help is called, e.g. "slotshare run"
 * @return the index in argv of the first operand (argc: none), OPTIONS_WRONG or OPTIONS_HELP.
 */
int options_parse(const char *program, const struct option_table *table, int argc, char **argv,
                  void *settings);

/** Print the "Options" section of --help. */
void options_help(FILE *out, const struct option_table *table);

/** Print text whose lines after the first one begin at column `indent`, and a newline. */
void options_print_indented(FILE *out, const char *text, int indent);

#endif
