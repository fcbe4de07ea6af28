/* SPDX-License-Identifier: MIT */
/* slotshare mx: the MX hosts of a domain, and the limit that applies to each. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "explain.h"
#include "mx_lookup.h"
#include "show/text.h"

enum { FORMAT_VERSION = 1, NOT_KNOWN = -2 };

struct settings {
    const char *config, *name, *directory, *binding, *server;
    bool json;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    {'c', OPTION_TEXT, "config", "FILE", AT(config), 0, 0,
     "the limits are those of this configuration file"},
    {'n', OPTION_TEXT, "name", "NAME", AT(name), 0, 0,
     "the limits are those in force in this segment (default:\n"
     "slotshare, when there is no --config)"},
    OPTION_ROW_DIRECTORY(AT(directory)),
    OPTION_ROW_BINDING(AT(binding)),
    {0, OPTION_TEXT, "server", "ADDRESS[:PORT]", AT(server), 0, 0,
     "ask this name server (default: those of /etc/resolv.conf)"},
    {'j', OPTION_FLAG, "json", NULL, AT(json), 0, 0, "print one JSON object"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "listed"},
    {"64", "wrong usage"},
    {"68", "mail to the domain has nowhere to go: there is no such domain, or it accepts none"},
    {"69", "the segment is missing, removed, damaged, or of another version"},
    {"71", "an error of the operating system"},
    {"75", "no name server has answered"},
    {"78", "the configuration file has errors"},
};

/* Where limits come from: a file's rules, or a segment. */
struct limits {
    const char *file;
    struct ruleset rules; /* with a file */
    slotshare *handle;    /* else */
};

/* The limit of one host. in_use, share, cluster_in_use: NOT_KNOWN from a file. */
static int limit_of(const struct limits *limits, const struct slotshare_connection *connection,
                    struct slotshare_explanation *out) {
    struct ruleset_match match;
    if (limits->handle != NULL)
        return slotshare_explain(limits->handle, connection, out);
    const int result = ruleset_resolve(&limits->rules, connection, &match);
    if (result != SLOTSHARE_OK)
        return result;
    *out = (struct slotshare_explanation){.scope = match.scope,
                                          .limit = match.limit,
                                          .observed = match.observed,
                                          .share = NOT_KNOWN,
                                          .in_use = NOT_KNOWN,
                                          .cluster_in_use = NOT_KNOWN};
    memcpy(out->counter, match.counter, (size_t)match.length + 1);
    if (match.line != 0)
        (void)snprintf(out->source, sizeof out->source, "%s:%u", limits->file, match.line);
    return SLOTSHARE_OK;
}

static void number_text(char *out, size_t size, int number) {
    if (number == NOT_KNOWN)
        (void)snprintf(out, size, "-");
    else if (number == SLOTSHARE_UNLIMITED)
        (void)snprintf(out, size, "unlimited");
    else
        (void)snprintf(out, size, "%d", number);
}

static void print_row(const struct mx_host *host, const struct slotshare_explanation *why,
                      int width) {
    char limit[16];
    char share[16];
    char here[16];
    char all[16];
    char name[sizeof host->name];
    char counter[sizeof why->counter];
    char source[sizeof why->source];
    number_text(limit, sizeof limit, why->limit);
    number_text(share, sizeof share, why->share);
    number_text(here, sizeof here, why->in_use);
    number_text(all, sizeof all, why->cluster_in_use);
    (void)text_fit(name, sizeof name, host->name, (int)sizeof name, NULL);
    (void)text_fit(counter, sizeof counter, why->counter, (int)sizeof counter, NULL);
    (void)text_fit(source, sizeof source, why->source[0] != '\0' ? why->source : "-",
                   (int)sizeof source, NULL);
    printf("%5u  %-*s  %7u  %9s  %9s  %6s  %7s  %-15s  %s  (%s%s)\n", host->preference, width, name,
           host->ttl, limit, share, here, all, slotshare_scope_name(why->scope), counter, source,
           why->observed ? "; only observed" : "");
}

static json_t *number_json(int number) {
    return number == NOT_KNOWN ? json_null() : json_integer(number);
}

static json_t *host_json(const struct mx_host *host, const struct slotshare_explanation *why) {
    json_t *out = json_object();
    (void)json_object_set_new(out, "host", text_json(host->name));
    (void)json_object_set_new(out, "preference", json_integer((json_int_t)host->preference));
    (void)json_object_set_new(out, "ttl", json_integer((json_int_t)host->ttl));
    explain_set_limit(out, why->counter, why->scope, why->limit);
    (void)json_object_set_new(out, "observed", json_boolean(why->observed));
    (void)json_object_set_new(out, "source", text_json(why->source));
    (void)json_object_set_new(out, "share", number_json(why->share));
    (void)json_object_set_new(out, "in_use", number_json(why->in_use));
    (void)json_object_set_new(out, "cluster_in_use", number_json(why->cluster_in_use));
    return out;
}

static void print_head(const struct mx_list *list, const char *domain, int width) {
    char name[SLOTSHARE_DOMAIN_MAX + 1];
    (void)text_fit(name, sizeof name, domain, (int)sizeof name, NULL);
    printf("%s: %s\n", name,
           list->implicit ? "no MX record: mail goes to its own address" : "MX hosts");
    printf("%5s  %-*s  %7s  %9s  %9s  %6s  %7s  %-15s  %s\n", "PREF", width, "HOST", "TTL", "LIMIT",
           "SHARE", "IN USE", "CLUSTER", "SCOPE", "COUNTED AS");
}

static int show(const char *program, const struct settings *settings, const char *domain,
                const struct mx_list *list, const struct limits *limits) {
    int width = (int)strlen("HOST");
    json_t *hosts = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const int length = (int)strlen(list->host[i].name);
        width = length > width ? length : width;
    }
    if (!settings->json)
        print_head(list, domain, width);
    for (size_t i = 0; i < list->count; i++) {
        const struct mx_host *host = &list->host[i];
        const struct slotshare_connection connection = {
            settings->binding != NULL ? settings->binding : "", domain, host->name};
        struct slotshare_explanation why;
        const int result = limit_of(limits, &connection, &why);
        if (result != SLOTSHARE_OK) {
            json_decref(hosts);
            return exit_tell(program, result, "");
        }
        if (settings->json)
            (void)json_array_append_new(hosts, host_json(host, &why));
        else
            print_row(host, &why, width);
    }
    if (settings->json)
        return explain_json_finish(
            program, json_pack("{s:i, s:o, s:b, s:o}", "format", FORMAT_VERSION, "domain",
                               text_json(domain), "implicit", (int)list->implicit, "hosts", hosts));
    json_decref(hosts);
    return exit_flush(program, EX_OK);
}

static int open_limits(const char *program, const struct settings *settings, struct limits *out) {
    *out = (struct limits){.file = settings->config};
    if (settings->config != NULL)
        return explain_load(program, settings->config, &out->rules);
    return command_open(program, settings->name, settings->directory, true, &out->handle);
}

static int list_domain(const char *program, const struct settings *settings, const char *domain) {
    static const int status_of[] = {[MX_FOUND] = EX_OK,
                                    [MX_NOWHERE] = EX_NOHOST,
                                    [MX_FAILED] = EX_TEMPFAIL,
                                    [MX_WRONG] = EX_USAGE};
    char error[1024] = "";
    char shown[sizeof error];
    struct limits limits;
    struct mx_list list = {0};
    int status = open_limits(program, settings, &limits);
    if (status == EX_OK) {
        const enum mx_result result =
            mx_lookup(domain, settings->server, &list, error, sizeof error);
        status = status_of[result];
        if (result == MX_FOUND) {
            status = show(program, settings, domain, &list, &limits);
        } else {
            (void)text_fit(shown, sizeof shown, error, (int)sizeof shown, NULL);
            fprintf(stderr, "%s: %s\n", program, shown);
        }
    }
    mx_free(&list);
    explain_unload(&limits.rules);
    slotshare_close(limits.handle);
    return status;
}

static int run(const struct command *self, int argc, char **argv) {
    struct settings settings = {0};
    int first = 0;
    const int status = command_options(self, argc, argv, &settings, &first);

    if (status >= 0) {
        return status;
    }
    if (argc - first != 1) {
        return command_usage(self, "takes one domain");
    }
    if (settings.config != NULL && (settings.name != NULL || settings.directory != NULL)) {
        return command_usage(self, "--config goes with neither --name nor --directory: a file, or "
                                   "a segment");
    }
    return list_domain(self->program, &settings, argv[first]);
}

const struct command command_mx = {
    .name = "mx",
    .program = "slotshare mx",
    .synopsis = "[OPTION]... DOMAIN",
    .summary = "list the MX hosts of a domain, and the limit of each",
    .details =
        "The name servers of this host are asked for the MX records of the domain; for each\n"
        "host there is the preference and the TTL of its record (what is left of it, when the\n"
        "server has it cached), the limit that applies to a connection to it, how many slots\n"
        "this host may hold and holds, how many the cluster holds, and what they are counted\n"
        "as. A domain without MX records is its own host, as RFC 5321 says.\n\n"
        "JSON: format (1), domain, implicit (there is no MX record), hosts: an array of host,\n"
        "preference, ttl (seconds), counter, scope, limit (-1: unlimited), observed (true: the\n"
        "limit refuses nothing, enforce = no), source (file:line\n"
        "of the limit, '': not set), share, in_use, cluster_in_use (null with --config).",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
