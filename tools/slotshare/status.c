/* SPDX-License-Identifier: MIT */
/* slotshare status: what the bridge knows of the cluster and its configurations. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "ask.h"
#include "command.h"
#include "show/text.h"

struct settings {
    const char *name, *directory;
    bool json;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    OPTION_ROW_NAME(AT(name)),
    OPTION_ROW_DIRECTORY(AT(directory)),
    {'j', OPTION_FLAG, "json", NULL, AT(json), 0, 0, "the bridge's answer as it is"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "printed"},
    {"64", "wrong usage"},
    {"69", "no bridge answers"},
    {"71", "an error of the operating system"},
};

enum { SHORT = 8 }; /* digits of a digest that people compare */

static void print_pending(const json_t *status) {
    const json_t *pending = json_object_get(status, "pending");
    size_t i;
    json_t *item;
    if (pending == NULL)
        return;
    if (ask_number(pending, "promised") != 0)
        printf("pending      digest %.*s, promised as epoch %" PRId64 "\n", SHORT,
               ask_text(pending, "digest"), ask_number(pending, "promised"));
    else
        printf("pending      digest %.*s, proposed\n", SHORT, ask_text(pending, "digest"));
    fputs("  changes    ", stdout);
    ask_print(ask_text(pending, "changes"));
    fputs("\n  waits for  ", stdout);
    ask_print(*ask_text(pending, "waits_for") != '\0' ? ask_text(pending, "waits_for")
                                                      : "the coordinator");
    putchar('\n');
    json_array_foreach(json_object_get(pending, "drains"), i, item) {
        fputs("  drains     ", stdout);
        ask_print(ask_text(item, "counter"));
        printf(", %" PRId64 " in use here\n", ask_number(item, "in_use"));
    }
}

/* Connections that the bridge has refused since it started. */
static void print_refused(json_t *refused) {
    const char *before = "refused      connections: ";
    const char *why;
    json_t *count;
    json_object_foreach(refused, why, count) {
        printf("%s%s %" PRId64, before, why, (int64_t)json_integer_value(count));
        before = ", ";
    }
    if (json_object_size(refused) > 0)
        putchar('\n');
}

static void print_changes(const json_t *changes) {
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(changes, "overrides"), i, item) {
        char left[TEXT_AGE_MAX];
        text_age(left, (uint64_t)ask_number(item, "left_ms"));
        printf("override     %" PRId64 " for ", ask_number(item, "limit"));
        ask_print(ask_text(item, "of"));
        printf(", %s left\n", left);
    }
    json_array_foreach(json_object_get(changes, "drained"), i, item) {
        fputs("drained      ", stdout);
        ask_print(json_string_value(item) != NULL ? json_string_value(item) : "?");
        puts(": takes no new slots");
    }
}

static void print_head(const json_t *status) {
    const json_t *foreign = json_object_get(status, "foreign");
    fputs("node         ", stdout);
    ask_print(ask_text(status, "node"));
    fputs(" of cluster ", stdout);
    ask_print(ask_text(status, "cluster"));
    fputs("\nfile         ", stdout);
    ask_print(ask_text(status, "file"));
    if (ask_number(status, "epoch") != 0)
        printf("\nin force     epoch %" PRId64 ", digest %.*s\n", ask_number(status, "epoch"),
               SHORT, ask_text(status, "digest"));
    else
        puts("\nin force     nothing yet: a new node, without a segment");
    print_pending(status);
    if (foreign != NULL)
        printf("unknown here epoch %" PRId64
               ", digest %.*s is committed by others: copy their file "
               "and reload\n",
               ask_number(foreign, "epoch"), SHORT, ask_text(foreign, "digest"));
    if (ask_is(status, "file_later"))
        puts("later        the file has changed since, and is read again after the commit");
    print_changes(json_object_get(status, "changes"));
    fputs("coordinator  ", stdout);
    ask_print(*ask_text(status, "coordinator") != '\0' ? ask_text(status, "coordinator") : "none");
    puts(ask_is(status, "minority") ? ", WITHOUT A MAJORITY (take_over_after)" : "");
    printf("session      %s\n",
           ask_is(status, "session") ? "yes" : "none: this node keeps to its reserve");
    print_refused(json_object_get(status, "refused"));
    putchar('\n');
}

static const char *role(const json_t *member) {
    if (ask_is(member, "vouched_dead"))
        return "dead, by an operator's word";
    if (ask_is(member, "member_now"))
        return "member";
    return ask_is(member, "member_then") ? "to be a member" : "no member";
}

static void print_member(const json_t *member) {
    char name[200];
    char age[TEXT_AGE_MAX] = "never";
    (void)text_fit(name, sizeof name, ask_text(member, "name"), 20, NULL);
    if (json_object_get(member, "heard_ms_ago") != NULL)
        text_age(age, (uint64_t)ask_number(member, "heard_ms_ago"));
    printf("%-20s ", name);
    if (ask_is(member, "self"))
        printf("%-10s %-8s %-8s %-8s ", "here", "", "", "");
    else
        printf("%-10s %-8" PRId64 " %-8.*s %-8.*s ", age, ask_number(member, "epoch"), SHORT,
               ask_text(member, "digest"), SHORT, ask_text(member, "proposed"));
    printf("%s\n", role(member));
}

static int run(const struct command *self, int argc, char **argv) {
    struct settings settings = {0};
    struct ask ask;
    json_t *status = NULL;
    int first = 0;
    int result = command_options(self, argc, argv, &settings, &first);

    if (result >= 0) {
        return result;
    }
    if (first < argc) {
        return command_usage(self, "takes no operand");
    }
    if (!ask_init(&ask, self->program, settings.name, settings.directory)) {
        return EX_USAGE;
    }
    result = ask_bridge(&ask, json_pack("{s:s}", "command", "status"), &status);
    if (result != EX_OK) {
        return result;
    }
    if (settings.json) {
        char *text = json_dumps(status, JSON_INDENT(2));
        puts(text != NULL ? text : "");
        free(text);
    } else {
        size_t i;
        json_t *member;
        print_head(status);
        printf("%-20s %-10s %-8s %-8s %-8s %s\n", "MEMBER", "HEARD", "EPOCH", "DIGEST", "PROPOSES",
               "IS");
        json_array_foreach(json_object_get(status, "members"), i, member) {
            print_member(member);
        }
    }
    json_decref(status);
    return exit_flush(self->program, EX_OK);
}

const struct command command_status = {
    .name = "status",
    .program = "slotshare status",
    .synopsis = "[OPTION]...",
    .summary = "show which configuration the members of the cluster run",
    .details =
        "The bridge of this host tells which configuration is in force, which one is pending\n"
        "and for whom it waits, who the coordinator is, and what each member said last: the\n"
        "epoch and digest that it has committed, and the digest of the file that it proposes.\n"
        "Members with the same digest have the same limits, members and timers.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
