/* SPDX-License-Identifier: MIT */
/* slotshare reload: the limits of a configuration file that has changed, on a single host. */
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

#include "command.h"

struct settings {
    const char *name, *directory, *config;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    {'n', OPTION_TEXT, "name", "NAME", AT(name), 0, 0, "the segment (default: slotshare)"},
    {0, OPTION_TEXT, "directory", "DIR", AT(directory), 0, 0,
     "where segments are (default: $SLOTSHARE_DIR, else /run/slotshare)"},
    {'c', OPTION_TEXT, "config", "FILE", AT(config), 0, 0, "the configuration file"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "every later take obeys the new limits"},
    {"64", "wrong usage"},
    {"69", "the segment is missing, removed, damaged, of another version, or its table is full"},
    {"71", "an error of the operating system"},
    {"78", "the configuration file has errors; the old limits stay in force"},
};

static int run(const struct command *self, int argc, char **argv) {
    struct settings settings = {0};
    int first = 0;
    int status = command_options(self, argc, argv, &settings, &first);
    char error[4096] = "";
    slotshare *handle = NULL;

    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return command_usage(self, "takes no operand");
    }
    if (settings.config == NULL) {
        return command_usage(self, "name the configuration file: --config FILE");
    }
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = settings.directory;
    options.error = error;
    options.error_size = sizeof error;
    int result = slotshare_open(&handle, settings.name, &options);
    if (result == SLOTSHARE_OK) {
        result = slotshare_reload(handle, settings.config, error, sizeof error);
    }
    slotshare_close(handle);
    if (result != SLOTSHARE_OK) {
        return exit_tell(self->program, result, error);
    }
    printf("%s: loaded\n", settings.config);
    return exit_flush(self->program, EX_OK);
}

const struct command command_reload = {
    .name = "reload",
    .program = "slotshare reload",
    .synopsis = "[OPTION]... --config FILE",
    .summary = "load a configuration file that has changed, on a single host",
    .details =
        "The whole set of limits changes at once. Slots that are held stay counted where\n"
        "they are; a limit that was lowered below what is held refuses until the count is\n"
        "under it. No worker restarts. Sizes in [node] take effect when the segment is made\n"
        "the next time. In a cluster the bridge holds the configuration.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
