/* SPDX-License-Identifier: MIT */
/* What operators change without the file: the commands override-set, override-clear and drain. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../conf/name.h"
#include "daemon_admin.h"

static void refuse(json_t *errors, const char *why) {
    (void)json_array_append_new(errors, json_string(why));
}

/* A part of a cluster that cannot commit must not make changes that fight with those of the rest.
 */
static bool may_change(const struct daemon *daemon, json_t *errors) {
    bool heard =
        core_leading(daemon->core, daemon->now) || core_coordinator(daemon->core, daemon->now) != 0;
    if (heard && !core_minority(daemon->core, daemon->now) && daemon->configs.epoch != 0)
        return true;
    refuse(errors, "this node hears no coordinator of a majority just now: nothing can be "
                   "committed. Try again, or on another node; 'slotshare status' says more");
    return false;
}

/* The text of a request in the form that is compared. @return false: told. */
static bool take_name(const json_t *request, const char *key, bool binding, char *out,
                      json_t *errors) {
    const char *text = json_string_value(json_object_get(request, key));
    char why[512];
    int length = binding ? name_binding(text, out, SLOTSHARE_BINDING_MAX)
                         : name_domain(text, out, SLOTSHARE_DOMAIN_MAX);
    if (length >= 0)
        return true;
    (void)snprintf(why, sizeof why, "%s: \"%.300s\" is no name", key, text);
    (void)json_array_append_new(errors, daemon_admin_text(why));
    return false;
}

static bool take_override(const json_t *request, struct conf_override *out, json_t *errors) {
    char host[SLOTSHARE_DOMAIN_MAX + 1];
    *out = (struct conf_override){0};
    if (!take_name(request, "binding", true, out->binding, errors) ||
        !take_name(request, "domain", false, out->name, errors) ||
        !take_name(request, "host", false, host, errors))
        return false;
    bool binding = *out->binding != '\0';
    if (*host != '\0' && *out->name != '\0') {
        refuse(errors, "a limit is of a host or of a domain, not of both");
        return false;
    }
    if (*host != '\0') {
        out->scope = binding ? SLOTSHARE_SCOPE_BINDING_HOST : SLOTSHARE_SCOPE_HOST;
        memcpy(out->name, host, sizeof host);
    } else if (*out->name != '\0') {
        out->scope = binding ? SLOTSHARE_SCOPE_BINDING_DOMAIN : SLOTSHARE_SCOPE_DOMAIN;
    } else {
        out->scope = binding ? SLOTSHARE_SCOPE_BINDING : SLOTSHARE_SCOPE_GLOBAL;
    }
    return true;
}

static void change(struct daemon *daemon, const struct conf_changes *wanted, json_t *reply,
                   json_t *errors) {
    struct reload_report report;
    daemon_change(daemon, wanted, &report);
    (void)json_object_set_new(reply, "version",
                              json_integer((json_int_t)daemon->changes.now.version));
    daemon_admin_report(daemon, &report, reply, errors);
}

static void set_override(struct daemon *daemon, const json_t *request, struct conf_changes *wanted,
                         json_t *reply, json_t *errors) {
    enum { SECONDS_MAX = 366 * 24 * 3600 };
    json_int_t limit = json_integer_value(json_object_get(request, "limit"));
    json_int_t seconds = json_integer_value(json_object_get(request, "seconds"));
    struct conf_override override;
    if (!take_override(request, &override, errors))
        return;
    const char *problem = conf_override_problem(daemon->configs.committed.conf, &override);
    struct conf_override *to = conf_override_find(wanted, &override);
    if (to == NULL && wanted->overrides < CONF_OVERRIDES_MAX)
        to = &wanted->override[wanted->overrides++];
    if (limit < -1 || limit > CONF_LIMIT_MAX || seconds < 1 || seconds > SECONDS_MAX)
        problem =
            "a limit is -1 (unlimited), 0 (closed) or a number up to 1048574; a time 1 second "
            "to 366 days";
    else if (to == NULL)
        problem = "there are 64 overrides already: clear one";
    if (problem != NULL) {
        refuse(errors, problem);
        return;
    }
    override.limit = (int32_t)limit;
    override.until = (uint64_t)(time(NULL) + seconds);
    override.ms = (uint64_t)seconds * 1000;
    *to = override;
    change(daemon, wanted, reply, errors);
}

static void clear_override(struct daemon *daemon, const json_t *request,
                           struct conf_changes *wanted, json_t *reply, json_t *errors) {
    struct conf_override override;
    if (json_is_true(json_object_get(request, "all"))) {
        wanted->overrides = 0;
        change(daemon, wanted, reply, errors);
        return;
    }
    if (!take_override(request, &override, errors))
        return;
    struct conf_override *found = conf_override_find(wanted, &override);
    if (found == NULL) {
        refuse(errors, "there is no override of that; 'slotshare override list' names them");
        return;
    }
    *found = wanted->override[--wanted->overrides];
    change(daemon, wanted, reply, errors);
}

static bool holds_slots(const struct conf *conf, const struct conf_changes *wanted) {
    for (uint32_t i = 0; i < conf->members; i++) {
        bool drained = conf->member[i].witness;
        for (uint32_t j = 0; j < wanted->drains; j++)
            drained = drained || strcmp(wanted->drain[j], conf->member[i].name) == 0;
        if (!drained)
            return true;
    }
    return false;
}

static const char *drain_problem(const struct conf *conf, const char *name) {
    for (uint32_t i = 0; i < conf->members; i++) {
        if (strcmp(conf->member[i].name, name) == 0)
            return conf->member[i].witness ? "a witness holds no slots" : NULL;
    }
    return "no member of that name";
}

static void drain_node(struct daemon *daemon, const json_t *request, struct conf_changes *wanted,
                       json_t *reply, json_t *errors) {
    const struct conf *conf = daemon->configs.committed.conf;
    const char *name = json_string_value(json_object_get(request, "node"));
    bool drain = json_is_true(json_object_get(request, "drain"));
    uint32_t at = 0;
    name = name != NULL && *name != '\0' ? name : daemon->conf->node;
    const char *problem = drain ? drain_problem(conf, name) : NULL;
    while (at < wanted->drains && strcmp(wanted->drain[at], name) != 0)
        at++;
    if (drain && at == wanted->drains && wanted->drains < CONF_MEMBERS_MAX && problem == NULL)
        (void)snprintf(wanted->drain[wanted->drains++], sizeof wanted->drain[0], "%s", name);
    else if (!drain && at == wanted->drains)
        problem = "it is not drained";
    else if (!drain)
        memmove(wanted->drain[at], wanted->drain[wanted->drains - 1], sizeof wanted->drain[0]);
    wanted->drains -= !drain && problem == NULL ? 1 : 0;
    if (problem == NULL && drain && !holds_slots(conf, wanted))
        problem = "it is the last node that takes slots: with nobody left there would be no mail. "
                  "End its workers instead";
    (void)json_object_set_new(reply, "node", daemon_admin_text(name));
    if (problem == NULL) {
        change(daemon, wanted, reply, errors);
        return;
    }
    char why[512];
    (void)snprintf(why, sizeof why, "%.200s: %s", name, problem);
    (void)json_array_append_new(errors, daemon_admin_text(why));
}

/* Each of these changes a copy of what is in force now. */
static void
answer_change(struct daemon *daemon, const json_t *request, json_t *reply, json_t *errors,
              void (*make)(struct daemon *daemon, const json_t *request,
                           struct conf_changes *wanted, json_t *reply, json_t *errors)) {
    struct conf_changes *wanted = malloc(sizeof *wanted);
    if (wanted == NULL) {
        refuse(errors, "out of memory");
    } else if (may_change(daemon, errors)) {
        daemon_changes_now(daemon, wanted);
        make(daemon, request, wanted, reply, errors);
    }
    free(wanted);
}

void daemon_admin_override_set(struct daemon *daemon, const json_t *request, json_t *reply,
                               json_t *errors) {
    answer_change(daemon, request, reply, errors, set_override);
}

void daemon_admin_override_clear(struct daemon *daemon, const json_t *request, json_t *reply,
                                 json_t *errors) {
    answer_change(daemon, request, reply, errors, clear_override);
}

void daemon_admin_drain(struct daemon *daemon, const json_t *request, json_t *reply,
                        json_t *errors) {
    answer_change(daemon, request, reply, errors, drain_node);
}
