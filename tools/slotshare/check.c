/* SPDX-License-Identifier: MIT */
/* slotshare check: every error of a configuration file in one pass. */
#include <stdio.h>
#include <sysexits.h>

#include "command.h"
#include "conf/conf.h"
#include "conf/ruleset.h"

static const struct option_row option_rows[] = {OPTION_ROW_HELP};

static const struct exit_row exit_rows[] = {
    {"0", "the file is good"},
    {"1", "the file has errors, or cannot be read"},
    {"64", "wrong usage"},
    {"71", "an error of the operating system"},
};

/* "3 limits (1 host, 2 domain)" */
static void print_limits(const struct conf *conf) {
    size_t count[SLOTSHARE_SCOPE_NONE] = {0};
    const char *before = " (";

    printf("%zu limit%s", conf->limits, conf->limits == 1 ? "" : "s");
    for (size_t i = 0; i < conf->limits; i++) {
        if (conf->limit[i].scope < SLOTSHARE_SCOPE_NONE) {
            count[conf->limit[i].scope]++;
        }
    }
    for (int scope = SLOTSHARE_SCOPE_BINDING_HOST; scope < SLOTSHARE_SCOPE_NONE; scope++) {
        if (count[scope] > 0) {
            printf("%s%zu %s", before, count[scope],
                   slotshare_scope_name((enum slotshare_scope)scope));
            before = ", ";
        }
    }
    if (conf->limits > 0) {
        putchar(')');
    }
    size_t observed = 0;
    for (size_t i = 0; i < conf->limits; i++) {
        observed += conf_observes(&conf->limit[i]);
    }
    if (observed > 0) {
        printf(", %zu of them only observed", observed);
    }
}

static void print_found(const struct conf *conf) {
    printf("%s: good: ", conf->file);
    print_limits(conf);
    if (conf->clustered) {
        printf(", cluster %s of %u members, this node is %s", conf->cluster, conf->members,
               conf->node);
    } else {
        printf(", no cluster, this node is %s", conf->node);
    }
    printf(", segment %s\n", conf->segment);
}

static int run(const struct command *self, int argc, char **argv) {
    struct conf_errors errors = {0};
    struct conf *conf = NULL;
    int first = 0;
    int status = command_options(self, argc, argv, NULL, &first);

    if (status >= 0) {
        return status;
    }
    if (argc - first != 1) {
        return command_usage(self, "name one configuration file");
    }
    if (conf_load(argv[first], &conf, &errors) == 0) {
        print_found(conf);
        status = exit_flush(self->program, EX_OK);
    } else {
        for (size_t i = 0; i < errors.count; i++) {
            fprintf(stderr, "%s\n", errors.line[i]);
        }
        status = 1;
    }
    conf_errors_free(&errors);
    conf_free(conf);
    return status;
}

const struct command command_check = {
    .name = "check",
    .program = "slotshare check",
    .synopsis = "[OPTION]... FILE",
    .summary = "check a configuration file",
    .details = "Every error of the file is printed on standard error as 'file:line: message'.\n"
               "When there is none, one line on standard output says what the file holds.\n"
               "Nothing else is touched.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
