/* SPDX-License-Identifier: MIT */
/* Command lines: those of slotshare's commands, with their own tables, and addresses of connections
 * as slotshare-socket and the adapters read them. The first byte chooses, the rest is words with a
 * NUL after each. */
#include <string.h>

#include "../../tools/common/connection.h"
#include "../../tools/slotshare/command.h"
#include "input.h"

enum { WORDS_MAX = 24, ROOM = 4096 };

static const struct command *const commands[] = {
    &command_check,    &command_explain, &command_member, &command_mx,
    &command_pki,      &command_reload,  &command_run,    &command_status,
    &command_override, &command_drain,   &command_resume};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void parse(const struct command *command, char *words, size_t size) {
    /* Larger than any command's settings. */
    static max_align_t settings[64];
    char *argv[WORDS_MAX + 2] = {words};
    int argc = 1;

    argv[0] = (char *)command->name;
    for (size_t at = 0; at < size && argc <= WORDS_MAX; at += strlen(words + at) + 1) {
        argv[argc++] = words + at;
    }
    argv[argc] = NULL;
    for (size_t i = 0; i < command->options.rows; i++) {
        must(command->options.row[i].offset + sizeof(int64_t) <= sizeof settings, "settings");
    }
    memset(settings, 0, sizeof settings);
    int first = options_parse(command->program, &command->options, argc, argv, settings);
    must(first == OPTIONS_WRONG || first == OPTIONS_HELP || (first >= 1 && first <= argc),
         "an operand that is none");
    for (size_t i = 0; i < command->options.rows; i++) {
        const struct option_row *row = &command->options.row[i];
        int64_t value;
        if (row->kind != OPTION_NUMBER && row->kind != OPTION_SECONDS &&
            row->kind != OPTION_FOREVER) {
            continue;
        }
        memcpy(&value, (const char *)settings + row->offset, sizeof value);
        must(value == 0 || (value >= row->low && value <= row->high) ||
                 (row->kind == OPTION_FOREVER && value == -1),
             "a value out of its range");
    }
}

static void addresses(const char *text) {
    struct connection_ends ends;
    char address[CONNECTION_ADDRESS];
    unsigned port = 0;

    (void)connection_read(&ends, text);
    if (connection_remote(text, address, &port)) {
        must(strlen(address) < sizeof address && port <= 65535, "an address");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char words[ROOM + 1];
    struct input input = {data, size};

    uint8_t choice = input_byte(&input);
    size_t length = input.left < ROOM ? input.left : ROOM;
    if (length > 0) {
        memcpy(words, input.at, length);
    }
    words[length] = '\0';
    if (choice % (COMMANDS + 1) == COMMANDS) {
        addresses(words);
    } else {
        parse(commands[choice % (COMMANDS + 1)], words, length);
    }
    return 0;
}
