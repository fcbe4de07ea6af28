/* SPDX-License-Identifier: MIT */
/* slotshare explain: which limit applies to a connection, and why. From a configuration file the
 * resolution alone; from a segment what is in force now. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "command.h"
#include "conf/conf.h"
#include "conf/deal.h"
#include "conf/ruleset.h"
#include "explain.h"
#include "show/text.h"

enum { FORMAT_VERSION = 1, STEPS = SLOTSHARE_STEPS };

#define AT(field) offsetof(struct explain_settings, field)
static const struct option_row option_rows[] = {
    {'c', OPTION_TEXT, "config", "FILE", AT(config), 0, 0,
     "explain from this configuration file alone"},
    {'n', OPTION_TEXT, "name", "NAME", AT(name), 0, 0,
     "explain from this segment: what is in force now (default:\n"
     "slotshare, when there is no --config)"},
    OPTION_ROW_DIRECTORY(AT(directory)),
    OPTION_ROW_BINDING(AT(binding)),
    {0, OPTION_TEXT, "domain", "D", AT(domain), 0, 0, "the recipients' domain"},
    {0, OPTION_TEXT, "host", "H", AT(host), 0, 0, "the MX host, as the MX record names it"},
    {'j', OPTION_FLAG, "json", NULL, AT(json), 0, 0, "print one JSON object"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "explained, whether a slot could be taken now or not"},
    {"64", "wrong usage"},
    {"69", "the segment is missing, removed, damaged, or of another version"},
    {"71", "an error of the operating system"},
    {"78", "the configuration file has errors"},
};

json_t *explain_json_start(const struct slotshare_connection *connection, const char *from) {
    json_t *root = json_object();

    (void)json_object_set_new(root, "format", json_integer(FORMAT_VERSION));
    (void)json_object_set_new(root, "from", json_string(from));
    (void)json_object_set_new(root, "binding", text_json(connection->binding));
    (void)json_object_set_new(root, "domain", text_json(connection->domain));
    (void)json_object_set_new(root, "host", text_json(connection->host));
    return root;
}

int explain_json_finish(const char *program, json_t *root) {
    int failed = json_dumpf(root, stdout, JSON_INDENT(2));

    json_decref(root);
    if (failed != 0) {
        fprintf(stderr, "%s: cannot print JSON: no memory, or nowhere to write\n", program);
        return EX_OSERR;
    }
    putchar('\n');
    return exit_flush(program, EX_OK);
}

void explain_set_limit(json_t *root, const char *counter, enum slotshare_scope scope, int limit) {
    (void)json_object_set_new(root, "counter", text_json(counter));
    (void)json_object_set_new(root, "scope", json_string(slotshare_scope_name(scope)));
    (void)json_object_set_new(root, "limit", json_integer(limit));
}

void explain_count(const char *label, int value) {
    if (value == SLOTSHARE_UNLIMITED) {
        printf("%-16s unlimited\n", label);
    } else {
        printf("%-16s %d\n", label, value);
    }
}

void explain_enforced(bool observed) {
    if (observed) {
        explain_text("enforced", "no: only observed");
    }
}

void explain_text(const char *label, const char *value) {
    char shown[1024];

    (void)text_fit(shown, sizeof shown, value, (int)sizeof shown, NULL);
    printf("%-16s %s\n", label, shown);
}

void explain_connection(const struct slotshare_connection *connection) {
    explain_text("binding", connection->binding[0] != '\0' ? connection->binding : "(not given)");
    explain_text("domain", connection->domain[0] != '\0' ? connection->domain : "(not given)");
    explain_text("host", connection->host[0] != '\0' ? connection->host : "(not given)");
}

/* What the configuration says, all of it. */
struct resolution {
    const char *file;
    struct ruleset_match match;
    struct ruleset_step step[STEPS];
    bool clustered;
    int home, reserve; /* of this node, before anybody has asked for anything */
};

static void steps_text(const struct resolution *found) {
    for (size_t i = 0; i < STEPS; i++) {
        const struct ruleset_step *step = &found->step[i];
        char limit[32] = "unlimited";

        printf("  %-15s ", slotshare_scope_name(step->scope));
        if (!step->applies) {
            puts("needs a name that was not given");
        } else if (!step->set) {
            puts("not set");
        } else {
            if (step->limit != SLOTSHARE_UNLIMITED) {
                snprintf(limit, sizeof limit, "%d", (int)step->limit);
            }
            printf("%s%s at %s:%u%s\n", limit, step->observed ? ", only observed," : "",
                   found->file, step->line,
                   step->scope == found->match.scope ? "  <- applies" : "");
        }
    }
}

static int resolution_text(const char *program, const struct slotshare_connection *connection,
                           const struct resolution *found) {
    explain_connection(connection);
    puts("scopes, in order of precedence:");
    steps_text(found);
    explain_text("counted as", found->match.counter);
    explain_count("limit", found->match.limit);
    explain_enforced(found->match.observed);
    if (found->clustered && found->match.limit != SLOTSHARE_UNLIMITED) {
        explain_count("opening share", found->home);
        explain_count("reserve", found->reserve);
    }
    return exit_flush(program, EX_OK);
}

static int resolution_json(const char *program, const struct slotshare_connection *connection,
                           const struct resolution *found) {
    json_t *root = explain_json_start(connection, "config");
    json_t *scopes = json_array();

    for (size_t i = 0; i < STEPS; i++) {
        const struct ruleset_step *step = &found->step[i];
        json_t *one = json_object();

        (void)json_object_set_new(one, "scope", json_string(slotshare_scope_name(step->scope)));
        (void)json_object_set_new(one, "applies", json_boolean(step->applies));
        (void)json_object_set_new(one, "set", json_boolean(step->set));
        (void)json_object_set_new(one, "limit",
                                  step->set ? json_integer(step->limit) : json_null());
        (void)json_object_set_new(one, "observed", json_boolean(step->observed));
        (void)json_object_set_new(one, "line", step->set ? json_integer(step->line) : json_null());
        (void)json_array_append_new(scopes, one);
    }
    (void)json_object_set_new(root, "file", text_json(found->file));
    (void)json_object_set_new(root, "scopes", scopes);
    explain_set_limit(root, found->match.counter, found->match.scope, found->match.limit);
    (void)json_object_set_new(
        root, "line", found->match.line != 0 ? json_integer(found->match.line) : json_null());
    (void)json_object_set_new(root, "observed", json_boolean(found->match.observed));
    (void)json_object_set_new(root, "clustered", json_boolean(found->clustered));
    (void)json_object_set_new(root, "opening_share", json_integer(found->home));
    (void)json_object_set_new(root, "reserve", json_integer(found->reserve));
    return explain_json_finish(program, root);
}

static int resolve(const struct ruleset *rules, const struct slotshare_connection *connection,
                   struct resolution *out) {
    struct deal_members members;
    uint64_t self = 0;
    int result = ruleset_resolve(rules, connection, &out->match);

    if (result == SLOTSHARE_OK) {
        result = ruleset_trace(rules, connection, out->step);
    }
    if (result != SLOTSHARE_OK) {
        return result;
    }
    out->file = ruleset_file(rules);
    out->clustered = ruleset_clustered(rules);
    out->home = out->match.limit;
    out->reserve = out->match.limit;
    if (out->clustered) {
        result = ruleset_members(rules, &members, &self);
        if (result == SLOTSHARE_OK) {
            uint64_t counter = deal_hash(out->match.counter, out->match.length);
            out->home = deal_home(&members, self, counter, out->match.limit);
            out->reserve = deal_reserve(&members, self, out->match.limit);
        }
    }
    return result;
}

int explain_load(const char *program, const char *file, struct ruleset *out) {
    struct conf_errors errors = {0};
    struct conf *conf = NULL;
    void *block = NULL;
    int status = EX_OK;

    *out = (struct ruleset){NULL, 0};
    if (conf_load(file, &conf, &errors) != 0) {
        for (size_t i = 0; i < errors.count; i++) {
            fprintf(stderr, "%s\n", errors.line[i]);
        }
        status = EX_CONFIG;
    } else if (ruleset_compile(conf, &block, &out->size) != 0) {
        fprintf(stderr, "%s: no memory for the rule set\n", program);
        status = EX_OSERR;
    }
    out->base = block;
    conf_errors_free(&errors);
    conf_free(conf);
    return status;
}

void explain_unload(struct ruleset *rules) {
    union {
        const void *in;
        void *out;
    } block = {.in = rules->base}; /* ours, though others may only read it */

    free(block.out);
    *rules = (struct ruleset){NULL, 0};
}

static int from_config(const char *program, const struct explain_settings *settings,
                       const struct slotshare_connection *connection) {
    struct ruleset rules;
    struct resolution found;
    int status = explain_load(program, settings->config, &rules);

    if (status == EX_OK) {
        const int result = resolve(&rules, connection, &found);
        if (result != SLOTSHARE_OK) {
            status = exit_tell(program, result, "");
        } else {
            status = settings->json ? resolution_json(program, connection, &found)
                                    : resolution_text(program, connection, &found);
        }
    }
    explain_unload(&rules);
    return status;
}

static int run(const struct command *self, int argc, char **argv) {
    struct explain_settings settings = {.binding = "", .domain = "", .host = ""};
    int first = 0;
    int status = command_options(self, argc, argv, &settings, &first);

    if (status >= 0) {
        return status;
    }
    struct slotshare_connection connection = {settings.binding, settings.domain, settings.host};
    if (first < argc) {
        return command_usage(self, "takes no operand");
    }
    if (settings.config != NULL && (settings.name != NULL || settings.directory != NULL)) {
        return command_usage(self, "--config goes with neither --name nor --directory: a file, or "
                                   "a segment");
    }
    if (!command_connection_given(&connection)) {
        return command_usage(self, "say what for: --binding, --domain, --host");
    }
    return settings.config != NULL ? from_config(self->program, &settings, &connection)
                                   : explain_segment(self->program, &settings, &connection);
}

const struct command command_explain = {
    .name = "explain",
    .program = "slotshare explain",
    .synopsis = "[OPTION]... --binding B --domain D --host H\n"
                "slotshare explain [OPTION]... --config FILE --binding B --domain D --host H",
    .summary = "explain which limit applies to a connection",
    .details =
        "Leave out the binding, domain or host that is not known, but give at least one.\n"
        "With --config the file alone is asked: every scope, in order of precedence. Else the\n"
        "segment is asked what is in force now: the scopes, what is in use, why a slot would be\n"
        "refused, which processes of this host hold slots since when; and in a cluster the\n"
        "bridge of this host, which nodes hold them since when, and what the cluster waits for\n"
        "and until when. Nothing is written in either case.\n\n"
        "JSON: format (1; a later version that changes a field's meaning counts up), from\n"
        "('config' or 'segment'), binding, domain, host, counter, scope, limit (-1:\n"
        "unlimited), reserve (what this node keeps when it is cut off), clustered, scopes (an\n"
        "array of scope, applies, set, limit, observed, line), observed (true: the limit refuses\n"
        "nothing, enforce = no). From a configuration also: file, line (of\n"
        "the limit; null: not set), opening_share. From a segment the scopes have source\n"
        "(file:line) instead of line, and there are also: source (of the limit, '': not set),\n"
        "share, in_use, cluster_in_use, session, would_admit, reason, holders (an array of\n"
        "process, pid, age_ms), told (whether the bridge has answered), nodes (as 'shmstat\n"
        "--help' tells), waits (an array of what, and until_ms: since 1970; 0: not known).",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
