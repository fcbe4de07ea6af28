/* SPDX-License-Identifier: MIT */
/* slotshare member: one more member, or one less, in this node's file, and the reload that follows.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "ask.h"
#include "command.h"
#include "edit.h"

struct settings {
    const char *name, *directory, *config;
    int64_t wait_ms;
    bool witness, dead;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    OPTION_ROW_NAME(AT(name)),
    OPTION_ROW_DIRECTORY(AT(directory)),
    {'c', OPTION_TEXT, "config", "FILE", AT(config), 0, 0,
     "change this file, and do not ask the bridge to load it"},
    {'w', OPTION_SECONDS, "wait", "SECONDS", AT(wait_ms), 0, INT64_C(86400000),
     "wait so long for all members (default: 2)"},
    {0, OPTION_FLAG, "witness", NULL, AT(witness), 0, 0, "add: votes, but holds no slots"},
    {0, OPTION_FLAG, "dead", NULL, AT(dead), 0, 0,
     "remove: it is dead, do not wait for it; see above"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "all members have committed the change; with --config: the file is changed"},
    {"64", "wrong usage"},
    {"69", "no bridge answers; the file is as it was"},
    {"71", "an error of the operating system"},
    {"75", "the file is changed and loaded; the other members are waited for (printed)"},
    {"77", "no permission to change the file"},
    {"78", "the file has errors, or would have; it is as it was"},
};

static const struct conf_member *find(const struct conf *conf, const char *name) {
    for (uint32_t i = 0; i < conf->members; i++) {
        if (strcmp(conf->member[i].name, name) == 0) {
            return &conf->member[i];
        }
    }
    return NULL;
}

static int add(struct edit *edit, const struct command *self, const struct settings *settings,
               const char *name, const char *url) {
    char line[1024];
    uint32_t last = 0;
    if (find(edit->conf, name) != NULL) {
        fprintf(stderr, "%s: %s: has a member %s already\n", self->program, edit->path, name);
        return EX_CONFIG;
    }
    for (uint32_t i = 0; i < edit->conf->members; i++) {
        last = edit->conf->member[i].line > last ? edit->conf->member[i].line : last;
    }
    int length = snprintf(line, sizeof line, "%s %s = %s", settings->witness ? "witness" : "member",
                          name, url);
    if (length >= (int)sizeof line || strpbrk(line, "\r\n") != NULL) {
        return command_usage(self, "NAME or URL is too long, or has a line end in it");
    }
    return edit_insert(edit, last, line) ? EX_OK : EX_OSERR;
}

static int take_away(struct edit *edit, const struct command *self, const char *name) {
    const struct conf_member *member = find(edit->conf, name);
    if (member == NULL) {
        fprintf(stderr, "%s: %s: has no member %s\n", self->program, edit->path, name);
        return EX_CONFIG;
    }
    edit_remove(edit, member->line);
    return EX_OK;
}

/* What is to be done on the other nodes. */
static void print_others(const struct edit *edit, const struct settings *settings, char **operand,
                         bool adding) {
    const char *separator = "";
    bool any = false;
    for (uint32_t i = 0; i < edit->conf->members; i++) {
        const char *name = edit->conf->member[i].name;
        if (i == edit->conf->self || (settings->dead && strcmp(name, operand[1]) == 0)) {
            continue;
        }
        printf("%s%s", any ? separator : "Do the same on ", name);
        separator = ", ";
        any = true;
    }
    if (any) {
        printf(": slotshare member %s %s%s%s%s\n", operand[0], operand[1], adding ? " " : "",
               adding ? operand[2] : "", settings->witness ? " --witness" : "");
    }
    if (adding) {
        printf("On %s: the same file but for [node], then start its bridge.\n", operand[1]);
    } else if (!settings->dead) {
        printf("%s holds nothing any more once this is committed; end its bridge then.\n",
               operand[1]);
    }
}

/* The bridge first: a file that nobody loads is a trap. */
static int find_file(const struct ask *ask, const struct settings *settings, char **path) {
    json_t *status = NULL;
    if (settings->config != NULL) {
        *path = strdup(settings->config);
        return *path != NULL ? EX_OK : EX_OSERR;
    }
    int result = ask_bridge(ask, json_pack("{s:s}", "command", "status"), &status);
    if (result == EX_OK) {
        *path = strdup(ask_text(status, "file"));
        result = *path != NULL ? EX_OK : EX_OSERR;
    }
    json_decref(status);
    return result;
}

static int vouch(const struct ask *ask, const char *name) {
    json_t *answer = NULL;
    int status =
        ask_bridge(ask, json_pack("{s:s, s:s}", "command", "member-dead", "member", name), &answer);
    json_decref(answer);
    return status;
}

static int change(const struct command *self, const struct settings *settings, char **operand,
                  bool adding) {
    struct ask ask;
    struct edit edit;
    char *path = NULL;
    if (!ask_init(&ask, self->program, settings->name, settings->directory)) {
        return EX_USAGE;
    }
    int status = find_file(&ask, settings, &path);
    if (status == EX_OK) {
        status = edit_open(&edit, self->program, path);
    }
    free(path);
    if (status != EX_OK) {
        return status;
    }
    status = adding ? add(&edit, self, settings, operand[1], operand[2])
                    : take_away(&edit, self, operand[1]);
    if (status == EX_OK && settings->dead) {
        status = vouch(&ask, operand[1]);
    }
    if (status == EX_OK) {
        status = edit_save(&edit, self->program);
    }
    if (status == EX_OK) {
        printf("%s: changed\n", edit.path);
        status = settings->config == NULL ? ask_reload(&ask, settings->wait_ms) : EX_OK;
        if (status == EX_OK || status == EX_TEMPFAIL) {
            print_others(&edit, settings, operand, adding);
        }
    }
    edit_close(&edit);
    return status;
}

static int run(const struct command *self, int argc, char **argv) {
    struct settings settings = {.wait_ms = 2000};
    int first = 0;
    int status = command_options(self, argc, argv, &settings, &first);

    if (status >= 0) {
        return status;
    }
    char **operand = argv + first;
    int operands = argc - first;
    bool adding = operands > 0 && strcmp(operand[0], "add") == 0;
    if (operands == 0 || (!adding && strcmp(operand[0], "remove") != 0)) {
        return command_usage(self, "say add or remove");
    }
    if (operands != (adding ? 3 : 2)) {
        return command_usage(self, adding ? "add needs NAME and URL" : "remove needs NAME");
    }
    if (adding ? settings.dead : settings.witness) {
        return command_usage(self, "--witness is for add, --dead for remove");
    }
    if (settings.dead && settings.config != NULL) {
        return command_usage(self, "--dead is told to the bridge, so not with --config");
    }
    return exit_flush(self->program, change(self, &settings, operand, adding));
}

const struct command command_member = {
    .name = "member",
    .program = "slotshare member",
    .synopsis = "[OPTION]... add NAME URL\nslotshare member [OPTION]... remove NAME",
    .summary = "add a member to the cluster, or remove one",
    .details =
        "Changes the member list in the file that the bridge of this host reads (comments and\n"
        "order stay), checks it, and has the bridge load it. The change is committed when all\n"
        "old and new members have the same file: what is to be done on them is printed.\n"
        "A member that is removed while it lives takes part in the change, and holds nothing\n"
        "once it is committed. One that is dead cannot: then use --dead, on one node. By that\n"
        "you promise that no process on that host has a connection open, and that its bridge\n"
        "will not start again with what it had stored (it may join as a new node): otherwise\n"
        "limits may be exceeded.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
