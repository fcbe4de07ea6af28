/* SPDX-License-Identifier: MIT */
/* slotshare: check a configuration, explain a limit, run a command in a slot, reload, and what
 * concerns the cluster as a whole. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"

static int run_version(const struct command *self, int argc, char **argv);
static int run_help(const struct command *self, int argc, char **argv);

static const struct option_row plain_options[] = {OPTION_ROW_HELP};

static const struct exit_row plain_exits[] = {
    {"0", "done"},
    {"64", "wrong usage"},
    {"71", "an error of the operating system"},
};

static const struct command command_version = {
    .name = "version",
    .program = "slotshare version",
    .synopsis = "",
    .summary = "print the versions of this program and of libslotshare",
    .details = "",
    .options = {plain_options, 1, false},
    .exits = plain_exits,
    .exit_rows = 3,
    .run = run_version,
};

static const struct command command_help_row = {
    .name = "help",
    .program = "slotshare help",
    .synopsis = "[COMMAND]",
    .summary = "print help on slotshare, or on one command",
    .details = "",
    .options = {plain_options, 1, false},
    .exits = plain_exits,
    .exit_rows = 3,
    .run = run_help,
};

static const struct command *const commands[] = {
    &command_check,  &command_explain, &command_mx,       &command_pki,      &command_run,
    &command_reload, &command_status,  &command_member,   &command_override, &command_drain,
    &command_resume, &command_version, &command_help_row,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const struct command *find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int unknown(const char *name) {
    fprintf(stderr, "slotshare: no such command: %s; there are", name);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(stderr, "%s %s", i == 0 ? "" : ",", commands[i]->name);
    }
    fputs("; see 'slotshare --help'\n", stderr);
    return EX_USAGE;
}

static void overview(FILE *out) {
    fputs("Usage: slotshare COMMAND [OPTION]...\n\n"
          "Limits on outbound SMTP connections, kept by a whole cluster.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\n'slotshare help COMMAND' tells the options and exit statuses of a command.\n"
          "shmstat shows what is in use; slotshare-bridge connects the hosts of a cluster.\n",
          out);
}

int command_help(const struct command *command) {
    printf("Usage: %s ", command->program);
    options_print_indented(stdout, command->synopsis, 7);
    printf("\n%c%s.\n", (char)(command->summary[0] - 'a' + 'A'), command->summary + 1);
    if (command->details[0] != '\0') {
        printf("\n%s\n", command->details);
    }
    options_help(stdout, &command->options);
    exits_help(stdout, command->exits, command->exit_rows);
    return exit_flush(command->program, EX_OK);
}

int command_options(const struct command *command, int argc, char **argv, void *settings,
                    int *first) {
    *first = options_parse(command->program, &command->options, argc, argv, settings);
    if (*first == OPTIONS_HELP) {
        return command_help(command);
    }
    return *first == OPTIONS_WRONG ? EX_USAGE : -1;
}

int command_usage(const struct command *command, const char *message) {
    fprintf(stderr, "%s: %s; see '%s --help'\n", command->program, message, command->program);
    return EX_USAGE;
}

static bool given(const char *name) {
    return name != NULL && name[0] != '\0';
}

int command_open(const char *program, const char *name, const char *directory, bool read_only,
                 slotshare **out) {
    char error[4096] = "";
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = directory;
    options.read_only = read_only;
    options.error = error;
    options.error_size = sizeof error;
    const int result = slotshare_open(out, name, &options);
    return result == SLOTSHARE_OK ? EX_OK : exit_tell(program, result, error);
}

bool command_connection_given(const struct slotshare_connection *connection) {
    return given(connection->binding) || given(connection->domain) || given(connection->host);
}

static int run_version(const struct command *self, int argc, char **argv) {
    int first = 0;
    int status = command_options(self, argc, argv, NULL, &first);

    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return command_usage(self, "takes no operand");
    }
    printf("slotshare %s (libslotshare %s)\n", SLOTSHARE_VERSION, slotshare_version());
    return exit_flush(self->program, EX_OK);
}

static int run_help(const struct command *self, int argc, char **argv) {
    int first = 0;
    int status = command_options(self, argc, argv, NULL, &first);

    if (status >= 0) {
        return status;
    }
    if (argc - first > 1) {
        return command_usage(self, "takes one command at most");
    }
    if (first == argc) {
        overview(stdout);
        return exit_flush(self->program, EX_OK);
    }
    const struct command *command = find(argv[first]);
    return command != NULL ? command_help(command) : unknown(argv[first]);
}

int main(int argc, char **argv) {
    (void)setlocale(LC_CTYPE, "");
    if (argc < 2) {
        overview(stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        overview(stdout);
        return exit_flush("slotshare", EX_OK);
    }
    const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    const struct command *command = find(name);
    return command != NULL ? command->run(command, argc - 1, argv + 1) : unknown(argv[1]);
}
