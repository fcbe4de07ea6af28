/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SLOTSHARE_COMMAND_H
#define TOOLS_SLOTSHARE_COMMAND_H
/**
 * The commands of slotshare. One table row each: it makes the help and finds the function.
 */
#include <slotshare/slotshare.h>

#include "common/exits.h"
#include "common/options.h"

struct command {
    const char *name;
    const char *program;  /**< as messages begin: "slotshare NAME" */
    const char *synopsis; /**< what follows the name; one form a line */
    const char *summary;  /**< half a line */
    const char *details;  /**< a paragraph or two for --help, each line as it is printed */
    struct option_table options;
    const struct exit_row *exits;
    size_t exit_rows;
    /** argv[0] is the command's name. @return the exit status */
    int (*run)(const struct command *self, int argc, char **argv);
};

extern const struct command command_check, command_drain, command_explain, command_member,
    command_mx, command_override, command_pki, command_reload, command_resume, command_run,
    command_status;

/** Print the full help of a command on stdout. @return the exit status. */
int command_help(const struct command *command);

/**
 * Parse the options of a command; answers --help and tells errors by itself.
 *
 * @param first  the first operand
 * @return -1: go on; else the exit status to end with.
 */
int command_options(const struct command *command, int argc, char **argv, void *settings,
                    int *first);

/** A usage error: "program: message; see 'program --help'". @return EX_USAGE. */
int command_usage(const struct command *command, const char *message);

/** Open a segment that is there. @return EX_OK; else the exit status to end with, told. */
int command_open(const char *program, const char *name, const char *directory, bool read_only,
                 slotshare **out);

/** True when at least one of the names is given: all unknown is more likely a slip. */
bool command_connection_given(const struct slotshare_connection *connection);

#endif
