/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "name.h"
#include "value.h"

enum {
    COUNTERS_MIN = 16,
    SESSION_MIN_MS = 1000,
    SESSION_MAX_MS = 3600 * 1000,
    DRAIN_MAX_MS = 86400 * 1000,
    TAKE_OVER_MAX_MS = 7 * 86400 * 1000,
};

void option_wrong(const struct setting *setting, const char *what_to_do) {
    errors_add(&setting->parse->errors, setting->line, "%s = %s: %s", setting->option->name,
               setting->value, what_to_do);
}

static void set_node_name(const struct setting *setting) {
    struct conf *conf = setting->parse->conf;
    setting->parse->lines.name = setting->line;
    if (name_binding(setting->value, conf->node, SLOTSHARE_BINDING_MAX) < 0) {
        parse_bad_name(setting->parse, setting->line, "node", setting->value,
                       SLOTSHARE_BINDING_MAX);
        conf->node[0] = '\0';
    }
}

static void set_short_name(const struct setting *setting, char *out) {
    if (name_segment(setting->value))
        (void)snprintf(out, SLOTSHARE_NAME_MAX + 1, "%s", setting->value);
    else
        option_wrong(setting, "write 1 to 64 letters, digits, '.', '_' and '-'");
}

static void set_segment(const struct setting *setting) {
    set_short_name(setting, setting->parse->conf->segment);
}

static void set_cluster_name(const struct setting *setting) {
    set_short_name(setting, setting->parse->conf->cluster);
}

static void set_path(const struct setting *setting, char **out) {
    if (*setting->value != '/') {
        option_wrong(setting, "write a path that begins with '/'");
        return;
    }
    char *copy = strdup(setting->value);
    if (copy == NULL)
        setting->parse->errors.no_memory = true;
    free(*out);
    *out = copy;
}

static void set_directory(const struct setting *setting) {
    set_path(setting, &setting->parse->conf->directory);
}

static void set_state(const struct setting *setting) {
    set_path(setting, &setting->parse->conf->state);
}

/* One of two words: yes or no, as they are called here. */
bool option_word(const struct setting *setting, const char *yes, const char *no, bool *out) {
    *out = strcasecmp(setting->value, yes) == 0;
    return *out || strcasecmp(setting->value, no) == 0;
}

static void set_tls(const struct setting *setting) {
    bool on = true;
    if (!option_word(setting, "on", "off", &on))
        option_wrong(setting, "write on or off");
    else
        setting->parse->plain = !on;
}

static void set_insecure(const struct setting *setting) {
    setting->parse->lines.insecure = setting->line;
    if (!option_word(setting, "yes", "no", &setting->parse->insecure))
        option_wrong(setting, "write yes or no");
}

static void set_certificate(const struct setting *setting) {
    set_path(setting, &setting->parse->conf->certificate);
}

static void set_key(const struct setting *setting) {
    set_path(setting, &setting->parse->conf->key);
}

static void set_ca(const struct setting *setting) {
    set_path(setting, &setting->parse->conf->ca);
}

static bool set_url(const struct setting *setting, char *out) {
    const char *problem = value_url(setting->value, out);
    if (problem == NULL)
        return true;
    errors_add(&setting->parse->errors, setting->line,
               "%s is not an address: %s; write tcp://HOST:PORT or tls+tcp://HOST:PORT",
               setting->value, problem);
    return false;
}

static void set_listen(const struct setting *setting) {
    setting->parse->lines.listen = setting->line;
    if (!set_url(setting, setting->parse->conf->listen))
        setting->parse->conf->listen[0] = '\0';
}

/* The address is checked as that of a bridge. */
static void set_http(const struct setting *setting) {
    static const char scheme[] = "http://";
    enum { SCHEME = sizeof scheme - 1 };
    char *out = setting->parse->conf->http;
    char address[CONF_URL_MAX + 1], checked[CONF_URL_MAX + 1];
    const char *problem = "it does not begin with http://";
    if (strncmp(setting->value, scheme, SCHEME) == 0) {
        const int length = snprintf(address, sizeof address, "tcp://%s", setting->value + SCHEME);
        problem = length < (int)sizeof address ? value_url(address, checked) : "it is too long";
    }
    if (problem == NULL)
        (void)snprintf(out, CONF_URL_MAX + 2, "http://%s", checked + strlen("tcp://"));
    else
        errors_add(&setting->parse->errors, setting->line,
                   "%s is not an address: %s; write http://HOST:PORT", setting->value, problem);
}

static void set_log(const struct setting *setting) {
    const bool to_syslog = strcasecmp(setting->value, "syslog") == 0;
    if (to_syslog || strcasecmp(setting->value, "stderr") == 0)
        setting->parse->conf->log_syslog = to_syslog;
    else
        option_wrong(setting, "write stderr or syslog");
}

static void set_log_level(const struct setting *setting) {
    static const char *const levels[] = {"error", "warning", "notice", "info", "debug"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (strcasecmp(setting->value, levels[i]) == 0) {
            setting->parse->conf->log_level = (uint8_t)i;
            return;
        }
    }
    option_wrong(setting, "write error, warning, notice, info or debug");
}

static void set_size(const struct setting *setting, int64_t min, int64_t max, uint32_t *out) {
    int64_t value = 0;
    char what_to_do[80];
    if (value_number(setting->value, min, max, &value)) {
        *out = (uint32_t)value;
        return;
    }
    (void)snprintf(what_to_do, sizeof what_to_do, "write a number from %lld to %lld",
                   (long long)min, (long long)max);
    option_wrong(setting, what_to_do);
}

static void set_counters(const struct setting *setting) {
    set_size(setting, COUNTERS_MIN, CONF_COUNTERS_MAX, &setting->parse->conf->counters);
}

static void set_counters_max(const struct setting *setting) {
    set_size(setting, COUNTERS_MIN, CONF_COUNTERS_MAX, &setting->parse->conf->counters_max);
    setting->parse->lines.counters_max = setting->line;
}

static void set_owners(const struct setting *setting) {
    setting->parse->lines.owners = setting->line;
    set_size(setting, 1, CONF_OWNERS_MAX, &setting->parse->conf->owners);
}

static void set_slots(const struct setting *setting) {
    setting->parse->lines.slots = setting->line;
    set_size(setting, 1, CONF_SLOTS_MAX, &setting->parse->conf->slots);
}

static void set_replicate(const struct setting *setting) {
    setting->parse->conf->replicate_domains = true; /* if not, this line is the error to show */
    if (strcasecmp(setting->value, "outbound_domains") != 0)
        option_wrong(setting, "write \"outbound_domains\", nothing else can be replicated");
}

static void add_member(const struct setting *setting, bool witness) {
    struct conf *conf = setting->parse->conf;
    struct conf_member member = {.witness = witness, .line = setting->line};
    const bool named = name_binding(setting->argument, member.name, SLOTSHARE_BINDING_MAX) > 0;
    if (!named)
        parse_bad_name(setting->parse, setting->line, "member", setting->argument,
                       SLOTSHARE_BINDING_MAX);
    if (!set_url(setting, member.url))
        member.url[0] = '\0';
    if (!named)
        return;
    if (conf->members == CONF_MEMBERS_MAX)
        errors_add(&setting->parse->errors, setting->line,
                   "one member too many: a cluster has at most %d", CONF_MEMBERS_MAX);
    else
        conf->member[conf->members++] = member;
}

static void set_member(const struct setting *setting) {
    add_member(setting, false);
}

static void set_witness(const struct setting *setting) {
    add_member(setting, true);
}

static void set_reserve(const struct setting *setting) {
    setting->parse->lines.reserve = setting->line;
    if (!value_percent(setting->value, &setting->parse->conf->reserve_percent))
        option_wrong(setting, "write a whole percentage from 0% to 100%");
}

static void set_session(const struct setting *setting) {
    if (!value_seconds(setting->value, SESSION_MIN_MS, SESSION_MAX_MS,
                       &setting->parse->conf->session_ms))
        option_wrong(setting, "write seconds from 1 to 3600, such as 6 or 2.5");
}

static void set_drain(const struct setting *setting) {
    if (!value_seconds(setting->value, 0, DRAIN_MAX_MS, &setting->parse->conf->drain_ms))
        option_wrong(setting, "write seconds from 0 to 86400, such as 30 or 0.5");
}

static void set_take_over_after(const struct setting *setting) {
    if (!value_seconds(setting->value, 0, TAKE_OVER_MAX_MS,
                       &setting->parse->conf->take_over_after_ms))
        option_wrong(setting, "write seconds from 0 (off) to 604800");
}

static const struct option options[] = {
    {"name", SECTION_NODE, set_node_name, false, false},
    {"segment", SECTION_NODE, set_segment, false, false},
    {"directory", SECTION_NODE, set_directory, false, false},
    {"state", SECTION_NODE, set_state, false, false},
    {"log", SECTION_NODE, set_log, false, false},
    {"log_level", SECTION_NODE, set_log_level, false, false},
    {"listen", SECTION_NODE, set_listen, false, false},
    {"http", SECTION_NODE, set_http, false, false},
    {"counters", SECTION_NODE, set_counters, false, false},
    {"counters_max", SECTION_NODE, set_counters_max, false, false},
    {"owners", SECTION_NODE, set_owners, false, false},
    {"slots", SECTION_NODE, set_slots, false, false},
    {"name", SECTION_CLUSTER, set_cluster_name, false, false},
    {"replicate", SECTION_CLUSTER, set_replicate, false, false},
    {"member", SECTION_CLUSTER, set_member, true, true},
    {"witness", SECTION_CLUSTER, set_witness, true, true},
    {"reserve", SECTION_CLUSTER, set_reserve, false, false},
    {"session", SECTION_CLUSTER, set_session, false, false},
    {"drain", SECTION_CLUSTER, set_drain, false, false},
    {"take_over_after", SECTION_CLUSTER, set_take_over_after, false, false},
    {"tls", SECTION_CLUSTER, set_tls, false, false},
    {"insecure", SECTION_CLUSTER, set_insecure, false, false},
    {"certificate", SECTION_CLUSTER, set_certificate, false, false},
    {"key", SECTION_CLUSTER, set_key, false, false},
    {"ca", SECTION_CLUSTER, set_ca, false, false},
    {"cluster_max_outbound_connections", SECTION_SCOPE, option_set_limit, false, false},
    {"count_per", SECTION_SCOPE, option_set_count_per, false, false},
    {"enforce", SECTION_SCOPE, option_set_enforce, false, false},
    {"enforce", SECTION_DEFAULTS, option_set_enforce_all, false, false},
    {"bindings", SECTION_GROUP, option_set_bindings, false, true},
    {"version", SECTION_CHANGES, option_set_version, false, false},
    {"author", SECTION_CHANGES, option_set_author, false, false},
    {"drained", SECTION_CHANGES, option_set_drained, false, true},
    {"limit", SECTION_OVERRIDE, option_set_override_limit, false, false},
    {"until", SECTION_OVERRIDE, option_set_override_until, false, false},
    {"ms", SECTION_OVERRIDE, option_set_override_ms, false, false},
};
enum { OPTIONS = sizeof options / sizeof *options };
_Static_assert((int)OPTIONS <= (int)PARSE_OPTIONS_MAX, "parse.seen has a place for each");

static const struct option *find_option(enum section_kind section, const char *word,
                                        const char *argument) {
    for (size_t i = 0; i < OPTIONS; i++)
        if (options[i].section == section && strcasecmp(options[i].name, word) == 0 &&
            (options[i].argument || *argument == '\0'))
            return &options[i];
    return NULL;
}

static void unknown_option(struct parse *parse, uint32_t line, const char *name) {
    char known[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < OPTIONS; i++)
        if (options[i].section == parse->section.kind)
            length += (size_t)snprintf(known + length, sizeof known - length, "%s%s%s",
                                       length > 0 ? ", " : "", options[i].name,
                                       options[i].argument ? " NAME" : "");
    errors_add(&parse->errors, line, "unknown option \"%s\": this section has %s", name, known);
}

/* @return true when the option may be set: a second one would hide the first. */
static bool first_time(const struct setting *setting) {
    uint32_t *seen = &setting->parse->seen[setting->option - options];
    if (*seen != 0 && !setting->option->repeats) {
        errors_add(&setting->parse->errors, setting->line,
                   "%s is set twice in this section, first in line %u: remove one",
                   setting->option->name, *seen);
        return false;
    }
    *seen = setting->line;
    return true;
}

void option_parse(struct parse *parse, uint32_t line, const char *name, const char *value) {
    if (parse->section.kind == SECTION_BROKEN)
        return; /* its header was reported */
    if (parse->section.kind == SECTION_NONE) {
        errors_add(&parse->errors, line,
                   "option \"%s\" stands before the first section: put it under one", name);
        return;
    }
    char word[256];
    const size_t length = strcspn(name, " \t");
    (void)snprintf(word, sizeof word, "%.*s", (int)length, name);
    const char *argument = name + length + strspn(name + length, " \t");
    const struct option *option = find_option(parse->section.kind, word, argument);
    if (option == NULL) {
        unknown_option(parse, line, name);
        return;
    }
    const struct setting setting = {parse, option, line, argument, value};
    if (!first_time(&setting))
        return;
    if (*value == '\0')
        errors_add(&parse->errors, line, "%s has no value: write one after '='", option->name);
    else
        option->set(&setting);
}
