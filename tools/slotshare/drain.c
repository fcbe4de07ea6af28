/* SPDX-License-Identifier: MIT */
/* slotshare drain and resume: a node that takes no new slots for a while. */
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

#include "ask.h"
#include "command.h"

struct settings {
    const char *name, *directory, *node;
    int64_t wait_ms;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    OPTION_ROW_NAME(AT(name)),
    OPTION_ROW_DIRECTORY(AT(directory)),
    {0, OPTION_TEXT, "node", "NAME", AT(node), 0, 0, "in a cluster: this member, not this host"},
    {'w', OPTION_SECONDS, "wait", "SECONDS", AT(wait_ms), 0, INT64_C(86400000),
     "in a cluster: wait so long for all members (default: 2)"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "done; in a cluster: all members have committed it"},
    {"64", "wrong usage"},
    {"69", "the segment is missing, removed, damaged, or of another version; or no bridge\n"
           "         answers"},
    {"71", "an error of the operating system"},
    {"75", "in a cluster: not committed yet; what is waited for is printed"},
    {"78", "refused: nothing has changed"},
};

static int change_here(const struct command *self, const struct settings *settings, bool drain) {
    char error[4096] = "";
    slotshare *handle = NULL;
    const int status =
        command_open(self->program, settings->name, settings->directory, false, &handle);
    if (status != EX_OK) {
        return status;
    }
    const int result = slotshare_drain(handle, drain, error, sizeof error);
    slotshare_close(handle);
    if (result != SLOTSHARE_OK) {
        return exit_tell(self->program, result, error);
    }
    puts(drain ? "this host takes no new slots" : "this host takes slots again");
    return EX_OK;
}

static int run(const struct command *self, int argc, char **argv) {
    struct settings settings = {.wait_ms = 2000};
    struct ask ask;
    int first = 0;
    int status = command_options(self, argc, argv, &settings, &first);
    bool drain = self == &command_drain;

    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return command_usage(self, "takes no operand");
    }
    if (!ask_init(&ask, self->program, settings.name, settings.directory)) {
        return EX_USAGE;
    }
    if (ask_possible(&ask)) {
        json_t *question = json_pack("{s:s, s:s, s:b}", "command", "drain", "node",
                                     settings.node != NULL ? settings.node : "", "drain", drain);
        status = question != NULL ? ask_change(&ask, question, settings.wait_ms)
                                  : command_usage(self, "NAME is not plain text (UTF-8)");
    } else if (settings.node != NULL) {
        status = command_usage(self, "--node is for clusters, and no bridge serves this segment");
    } else {
        status = change_here(self, &settings, drain);
    }
    return exit_flush(self->program, status);
}

const struct command command_drain = {
    .name = "drain",
    .program = "slotshare drain",
    .synopsis = "[OPTION]...",
    .summary = "have a node take no new slots",
    .details =
        "Before work on a host: its workers are refused at once, for every counter, also for\n"
        "unlimited ones; slotshare_excess() tells them that the connections they have are to end.\n"
        "In a cluster its part of every limit goes to the other members, its reserve too: once\n"
        "the change is committed, which is when its last slot has been given back. Until then\n"
        "what it still holds is printed. It stays so over restarts of bridges and of the host,\n"
        "until 'slotshare resume'; on a single host as long as the segment is there.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};

const struct command command_resume = {
    .name = "resume",
    .program = "slotshare resume",
    .synopsis = "[OPTION]...",
    .summary = "have a drained node take slots again",
    .details = "In a cluster it has its part of every limit again once all members have committed\n"
               "that.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
