/* SPDX-License-Identifier: MIT */
/* slotshare override: another limit for a time, in the whole cluster or on a single host. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "ask.h"
#include "command.h"
#include "conf/conf.h"
#include "show/text.h"

enum { SECONDS_MAX = 366 * 24 * 3600 };

struct settings {
    const char *name, *directory, *binding, *domain, *host, *scope, *time;
    int64_t wait_ms;
    bool all, json;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    OPTION_ROW_NAME(AT(name)),
    OPTION_ROW_DIRECTORY(AT(directory)),
    {0, OPTION_TEXT, "binding", "B", AT(binding), 0, 0, "of this sending identity"},
    {0, OPTION_TEXT, "domain", "D", AT(domain), 0, 0, "of this domain of recipients"},
    {0, OPTION_TEXT, "host", "H", AT(host), 0, 0, "of this MX host"},
    {0, OPTION_TEXT, "scope", "SCOPE", AT(scope), 0, 0,
     "global, which has no name; or binding::host, host, binding::domain,\n"
     "binding or domain, to be compared with the names"},
    {'f', OPTION_TEXT, "for", "TIME", AT(time), 0, 0,
     "set: how long: a number and s, m, h or d, such as 90s or 1h; at most 366d"},
    {'a', OPTION_FLAG, "all", NULL, AT(all), 0, 0, "clear: all of them"},
    {'w', OPTION_SECONDS, "wait", "SECONDS", AT(wait_ms), 0, INT64_C(86400000),
     "in a cluster: wait so long for all members (default: 2)"},
    {'j', OPTION_FLAG, "json", NULL, AT(json), 0, 0, "list: print one JSON object"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "in force; in a cluster: all members have committed it"},
    {"64", "wrong usage"},
    {"69", "the segment is missing, removed, damaged, or of another version; or no bridge\n"
           "         answers"},
    {"71", "an error of the operating system"},
    {"75", "in a cluster: not committed yet; what is waited for is printed. A lower limit is\n"
           "         in force on this node already"},
    {"78", "refused: nothing has changed"},
};

static bool given(const char *text) {
    return text != NULL && *text != '\0';
}

/* The scope that the names make. @return NULL: of a host and of a domain at once. */
static const char *scope_of(const struct settings *settings) {
    enum slotshare_scope scope = SLOTSHARE_SCOPE_GLOBAL;
    if (given(settings->host) && given(settings->domain)) {
        return NULL;
    }
    if (given(settings->host)) {
        scope = given(settings->binding) ? SLOTSHARE_SCOPE_BINDING_HOST : SLOTSHARE_SCOPE_HOST;
    } else if (given(settings->domain)) {
        scope = given(settings->binding) ? SLOTSHARE_SCOPE_BINDING_DOMAIN : SLOTSHARE_SCOPE_DOMAIN;
    } else if (given(settings->binding)) {
        scope = SLOTSHARE_SCOPE_BINDING;
    }
    return slotshare_scope_name(scope);
}

/* @return EX_OK; EX_USAGE: told. */
static int check_scope(const struct command *self, const struct settings *settings) {
    const char *scope = scope_of(settings);
    bool named = given(settings->binding) || given(settings->domain) || given(settings->host);
    if (scope == NULL) {
        return command_usage(self, "a limit is of a host or of a domain, not of both");
    }
    if (settings->scope == NULL && !named) {
        return command_usage(self, "say of what: --host, --domain, --binding, or --scope global");
    }
    if (settings->scope != NULL && strcmp(settings->scope, scope) != 0) {
        return command_usage(self, "--scope does not fit the names that are given");
    }
    return EX_OK;
}

/* @return 0: not a time. */
static unsigned seconds_of(const char *text) {
    static const struct {
        char unit[2];
        unsigned seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9') {
        return 0;
    }
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            return number <= SECONDS_MAX / units[i].seconds ? (unsigned)number * units[i].seconds
                                                            : 0;
        }
    }
    return 0;
}

static bool limit_of(const char *text, int *out) {
    char *end = NULL;
    if (strcmp(text, "unlimited") == 0) {
        *out = SLOTSHARE_UNLIMITED;
        return true;
    }
    long number = strtol(text, &end, 10);
    *out = (int)number;
    return *text >= '0' && *text <= '9' && *end == '\0' && number <= CONF_LIMIT_MAX;
}

/* ---- on a single host ---- */

static int change_here(const struct command *self, const struct settings *settings, bool set,
                       int limit, unsigned seconds) {
    char error[4096] = "";
    slotshare *handle = NULL;
    const struct slotshare_connection scope = {settings->binding, settings->domain, settings->host};
    int status = command_open(self->program, settings->name, settings->directory, false, &handle);
    if (status != EX_OK) {
        return status;
    }
    int result =
        set ? slotshare_override_set(handle, &scope, limit, seconds, error, sizeof error)
            : slotshare_override_clear(handle, settings->all ? NULL : &scope, error, sizeof error);
    slotshare_close(handle);
    if (result != SLOTSHARE_OK) {
        return exit_tell(self->program, result, error);
    }
    puts("in force");
    return EX_OK;
}

/* ---- in a cluster ---- */

static json_t *question_of(const char *command, const struct settings *settings) {
    return json_pack("{s:s, s:s, s:s, s:s}", "command", command, "binding",
                     given(settings->binding) ? settings->binding : "", "domain",
                     given(settings->domain) ? settings->domain : "", "host",
                     given(settings->host) ? settings->host : "");
}

static int ask_for(const struct ask *ask, const struct settings *settings, bool set, int limit,
                   unsigned seconds) {
    json_t *question = question_of(set ? "override-set" : "override-clear", settings);
    if (question == NULL) {
        fprintf(stderr, "%s: a name is not plain text (UTF-8)\n", ask->program);
        return EX_USAGE;
    }
    if (set) {
        (void)json_object_set_new(question, "limit", json_integer(limit));
        (void)json_object_set_new(question, "seconds", json_integer(seconds));
    } else {
        (void)json_object_set_new(question, "all", json_boolean(settings->all));
    }
    return ask_change(ask, question, settings->wait_ms);
}

/* ---- list ---- */

static void print_override(const struct conf_override *override) {
    char section[CONF_SECTION_TEXT];
    char limit[16] = "unlimited";
    char until[40] = "?";
    char left[TEXT_AGE_MAX];
    const time_t now = time(NULL);
    const time_t end = (time_t) override->until;
    struct tm utc;
    conf_override_section(override, section);
    if (override->limit >= 0) {
        (void)snprintf(limit, sizeof limit, "%d", (int) override->limit);
    }
    if (gmtime_r(&end, &utc) != NULL) {
        (void)strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    text_age(left, end > now ? (uint64_t)(end - now) * 1000 : 0);
    printf("%-9s ", limit);
    ask_print(section);
    printf(" until %s, %s left\n", until, left);
}

static int list_json(const struct command *self, const struct conf_changes *changes) {
    json_t *root = json_pack("{s:i, s:[], s:[]}", "format", 1, "overrides", "drained");
    for (uint32_t i = 0; root != NULL && i < changes->overrides; i++) {
        const struct conf_override *override = &changes->override[i];
        char section[CONF_SECTION_TEXT];
        json_t *item = json_object();
        conf_override_section(override, section);
        (void)json_object_set_new(item, "of", text_json(section));
        (void)json_object_set_new(item, "scope",
                                  json_string(slotshare_scope_name(override->scope)));
        (void)json_object_set_new(item, "limit", json_integer(override->limit));
        (void)json_object_set_new(item, "until", json_integer((json_int_t) override->until));
        (void)json_array_append_new(json_object_get(root, "overrides"), item);
    }
    for (uint32_t i = 0; root != NULL && i < changes->drains; i++) {
        (void)json_array_append_new(json_object_get(root, "drained"), text_json(changes->drain[i]));
    }
    int failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    json_decref(root);
    putchar('\n');
    if (failed) {
        fprintf(stderr, "%s: cannot print JSON: no memory, or nowhere to write\n", self->program);
    }
    return failed ? EX_OSERR : EX_OK;
}

static int list_text(const struct conf_changes *changes) {
    for (uint32_t i = 0; i < changes->overrides; i++) {
        print_override(&changes->override[i]);
    }
    for (uint32_t i = 0; i < changes->drains; i++) {
        fputs("drained   ", stdout);
        ask_print(changes->drain[i]);
        putchar('\n');
    }
    if (changes->overrides == 0 && changes->drains == 0) {
        puts("none");
    }
    return EX_OK;
}

static int list(const struct command *self, const struct settings *settings) {
    slotshare *handle = NULL;
    char *text = malloc(CONF_CHANGES_TEXT);
    struct conf_changes *changes = malloc(sizeof *changes);
    int status = command_open(self->program, settings->name, settings->directory, true, &handle);
    int result = SLOTSHARE_ESYSTEM;
    if (status == EX_OK && text != NULL && changes != NULL) {
        result = slotshare_changes(handle, text, CONF_CHANGES_TEXT);
    }
    if (result == SLOTSHARE_OK && conf_changes_parse(text, strlen(text), changes) != 0) {
        result = SLOTSHARE_EDAMAGED;
    }
    if (status == EX_OK && result != SLOTSHARE_OK) {
        status = exit_tell(self->program, result, "");
    } else if (status == EX_OK) {
        status = settings->json ? list_json(self, changes) : list_text(changes);
    }
    slotshare_close(handle);
    free(changes);
    free(text);
    return status;
}

/* ---- */

static int change(const struct command *self, const struct settings *settings, bool set,
                  const char *operand) {
    struct ask ask;
    int limit = 0;
    unsigned seconds = seconds_of(settings->time);
    int status = settings->all ? EX_OK : check_scope(self, settings);
    if (status != EX_OK) {
        return status;
    }
    if (set && !limit_of(operand, &limit)) {
        return command_usage(self, "LIMIT is -1 (unlimited), 0 (closed) or a number up to 1048574");
    }
    if (set && seconds == 0) {
        return command_usage(self, "say for how long, such as --for 1h; at most 366d");
    }
    if (!ask_init(&ask, self->program, settings->name, settings->directory)) {
        return EX_USAGE;
    }
    return ask_possible(&ask) ? ask_for(&ask, settings, set, limit, seconds)
                              : change_here(self, settings, set, limit, seconds);
}

static int run(const struct command *self, int argc, char **argv) {
    static char unlimited[] = "unlimited";
    struct settings settings = {.wait_ms = 2000};
    int first = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-1") == 0) {
            argv[i] = unlimited; /* it is no option */
        }
    }
    int status = command_options(self, argc, argv, &settings, &first);

    if (status >= 0) {
        return status;
    }
    char **operand = argv + first;
    int operands = argc - first;
    const char *what = operands > 0 ? operand[0] : "";
    bool set = strcmp(what, "set") == 0;
    bool clear = strcmp(what, "clear") == 0;
    if (!set && !clear && strcmp(what, "list") != 0) {
        return command_usage(self, "say set, list or clear");
    }
    if (operands != (set ? 2 : 1)) {
        return command_usage(self, set ? "set needs LIMIT" : "takes no further operand");
    }
    if ((settings.time != NULL && !set) || (settings.all && !clear)) {
        return command_usage(self, "--for is for set, --all for clear");
    }
    status = set || clear ? change(self, &settings, set, operand[1]) : list(self, &settings);
    return exit_flush(self->program, status);
}

const struct command command_override = {
    .name = "override",
    .program = "slotshare override",
    .synopsis = "[OPTION]... set LIMIT --for TIME\nslotshare override [OPTION]... list\n"
                "slotshare override [OPTION]... clear",
    .summary = "set another limit for a time",
    .details =
        "The limit takes the place of that of the stanza which the options name, or stands where\n"
        "the configuration has no such stanza; a second one of the same names replaces the first.\n"
        "It stays over reloads of the file, and ends by itself, or by clear.\n"
        "\n"
        "In a cluster it is told to one bridge, which tells the others: all members propose,\n"
        "promise and commit it like a file that has changed (slotshare reload), so a lower limit\n"
        "acts at once where it is known, and a higher one when all have agreed. Its end comes in\n"
        "the same way, so a clock that is wrong, or a bridge that is down, can make it come late,\n"
        "but never make the cluster exceed a limit. On a single host it acts at once, and does\n"
        "not outlive the segment.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
