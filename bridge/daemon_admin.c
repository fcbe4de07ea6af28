/* SPDX-License-Identifier: MIT */
/* What operators ask for: status, reload, member-dead, override-set, override-clear, drain. One row
 * each in `commands`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_admin.h"

enum { DRAINS_MAX = 20 }; /* counters named at most */

/* Names in a configuration are any bytes; JSON wants UTF-8. */
json_t *daemon_admin_text(const char *text) {
    json_t *whole = json_string(text);
    char plain[1024];
    size_t i = 0;
    if (whole != NULL)
        return whole;
    for (; text[i] != '\0' && i < sizeof plain - 1; i++) {
        plain[i] = text[i];
        if (plain[i] < ' ' || plain[i] > '~')
            plain[i] = '?';
    }
    plain[i] = '\0';
    return json_string(plain);
}

static json_t *hex(uint64_t number) {
    char text[20];
    (void)snprintf(text, sizeof text, "%016" PRIx64, number);
    return json_string(text);
}

static void set(json_t *object, const char *key, json_t *value) {
    (void)json_object_set_new(object, key, value);
}

/* As others on this host must call it. */
static json_t *file_of(const struct daemon *daemon) {
    char *path = realpath(daemon->config_path, NULL);
    json_t *out = daemon_admin_text(path != NULL ? path : daemon->config_path);
    free(path);
    return out;
}

static int note_drain(const struct control_counter *counter, void *arg) {
    json_t *list = arg;
    json_t *item = json_object();
    set(item, "counter", daemon_admin_text(counter->name));
    set(item, "in_use", json_integer(counter->in_use));
    (void)json_array_append_new(list, item);
    return json_array_size(list) >= DRAINS_MAX;
}

static json_t *pending_of(struct daemon *daemon, const struct core_config_state *state) {
    const struct configs *configs = &daemon->configs;
    char text[1024] = "";
    json_t *out = json_object();
    json_t *drains = json_array();
    set(out, "digest", hex(state->pending_digest));
    set(out, "promised", json_integer((json_int_t)state->promised));
    set(out, "fits", json_boolean(state->fits));
    if (configs->committed.conf != NULL && configs->pending.conf != NULL)
        conf_difference(configs->committed.conf, configs->pending.conf, text, sizeof text);
    set(out, "changes", daemon_admin_text(text));
    daemon_waits_for(daemon, text, sizeof text);
    set(out, "waits_for", daemon_admin_text(text));
    if (daemon->serving && !state->fits)
        control_each_unfit(daemon->control, note_drain, drains);
    set(out, "drains", drains);
    return out;
}

static json_t *member_of(struct daemon *daemon, const struct member *member) {
    struct core_member_state state = {0};
    json_t *out = json_object();
    bool known = core_member_state(daemon->core, member->hash, &state);
    set(out, "name", daemon_admin_text(member->name));
    set(out, "url", daemon_admin_text(member->url));
    set(out, "self", json_boolean(member->self));
    set(out, "member_now", json_boolean(known && state.committed));
    set(out, "member_then", json_boolean(known && state.pending));
    if (member->self)
        return out;
    set(out, "connected", json_boolean(net_connected(daemon->net, member->net)));
    set(out, "vouched_dead", json_boolean(state.vouched_dead));
    if (state.heard == 0)
        return out;
    set(out, "heard_ms_ago", json_integer((json_int_t)(daemon->now - state.heard)));
    set(out, "epoch", json_integer((json_int_t)state.epoch));
    set(out, "digest", hex(state.epoch_digest));
    if (state.proposed != 0)
        set(out, "proposed", hex(state.proposed));
    if (state.ready != 0)
        set(out, "ready", json_integer((json_int_t)state.ready));
    return out;
}

static json_t *members_of(struct daemon *daemon) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        if (daemon->member[i].hash != 0)
            (void)json_array_append_new(list, member_of(daemon, &daemon->member[i]));
    }
    return list;
}

/* Connections that were refused, by reason; those that never were are left out. */
static json_t *refused_of(struct daemon *daemon) {
    uint64_t count[REFUSALS];
    json_t *out = json_object();
    net_refusals(daemon->net, count);
    for (size_t i = 0; i < REFUSALS; i++) {
        if (count[i] > 0)
            set(out, refusal_code((enum refusal)i), json_integer((json_int_t)count[i]));
    }
    return out;
}

static json_t *changes_of(const struct daemon *daemon) {
    struct conf_changes *now = malloc(sizeof *now);
    json_t *out = json_object();
    json_t *overrides = json_array();
    json_t *drained = json_array();
    if (now != NULL)
        daemon_changes_now(daemon, now);
    for (uint32_t i = 0; now != NULL && i < now->overrides; i++) {
        const struct conf_override *override = &now->override[i];
        char section[CONF_SECTION_TEXT];
        json_t *item = json_object();
        conf_override_section(override, section);
        set(item, "of", daemon_admin_text(section));
        set(item, "limit", json_integer(override->limit));
        set(item, "until", json_integer((json_int_t) override->until));
        set(item, "left_ms", json_integer((json_int_t) override->ms));
        (void)json_array_append_new(overrides, item);
    }
    for (uint32_t i = 0; now != NULL && i < now->drains; i++)
        (void)json_array_append_new(drained, daemon_admin_text(now->drain[i]));
    set(out, "version", json_integer((json_int_t)daemon->changes.now.version));
    set(out, "by", daemon_admin_text(daemon->changes.now.author));
    set(out, "overrides", overrides);
    set(out, "drained", drained);
    free(now);
    return out;
}

static void answer_status(struct daemon *daemon, const json_t *request, json_t *reply,
                          json_t *errors) {
    struct core_config_state state = core_config_state(daemon->core);
    uint64_t coordinator = core_leading(daemon->core, daemon->now)
                               ? daemon->self
                               : core_coordinator(daemon->core, daemon->now);
    (void)request;
    (void)errors;
    set(reply, "node", daemon_admin_text(daemon->conf->node));
    set(reply, "cluster", daemon_admin_text(daemon->conf->cluster));
    set(reply, "file", file_of(daemon));
    set(reply, "segment", json_boolean(daemon->serving));
    set(reply, "epoch", json_integer((json_int_t)state.committed));
    set(reply, "digest", hex(state.committed_digest));
    if (state.pending_digest != 0)
        set(reply, "pending", pending_of(daemon, &state));
    if (state.foreign != 0) {
        json_t *foreign = json_object();
        set(foreign, "epoch", json_integer((json_int_t)state.foreign));
        set(foreign, "digest", hex(state.foreign_digest));
        set(reply, "foreign", foreign);
    }
    set(reply, "changes", changes_of(daemon));
    set(reply, "file_later", json_boolean(daemon->configs.reload));
    set(reply, "coordinator",
        coordinator != 0 ? daemon_admin_text(daemon_member_name(daemon, coordinator))
                         : json_null());
    set(reply, "minority", json_boolean(core_minority(daemon->core, daemon->now)));
    set(reply, "session", json_boolean(daemon->memory.session_end > daemon->now));
    set(reply, "refused", refused_of(daemon));
    set(reply, "members", members_of(daemon));
}

void daemon_admin_report(const struct daemon *daemon, struct reload_report *report, json_t *reply,
                         json_t *errors) {
    static const char *const names[] = {
        [RELOAD_REFUSED] = "refused",   [RELOAD_PROPOSED] = "proposed",
        [RELOAD_PENDING] = "pending",   [RELOAD_WITHDRAWN] = "withdrawn",
        [RELOAD_IN_FORCE] = "in force", [RELOAD_LATER] = "later"};
    static const char *const certificates[] = {[NET_RENEWAL_NONE] = "none",
                                               [NET_RENEWAL_SAME] = "the same",
                                               [NET_RENEWAL_NEW] = "new",
                                               [NET_RENEWAL_BAD] = "refused"};
    set(reply, "result", json_string(names[report->result]));
    set(reply, "file", file_of(daemon));
    set(reply, "digest", hex(report->digest));
    set(reply, "changes", daemon_admin_text(report->difference));
    set(reply, "epoch", json_integer((json_int_t)daemon->configs.epoch));
    set(reply, "certificates", json_string(certificates[report->certificates]));
    set(reply, "certificates_error", daemon_admin_text(report->certificates_error));
    for (size_t i = 0; i < report->errors.count; i++)
        (void)json_array_append_new(errors, daemon_admin_text(report->errors.line[i]));
    conf_errors_free(&report->errors);
}

static void answer_reload(struct daemon *daemon, const json_t *request, json_t *reply,
                          json_t *errors) {
    struct reload_report report;
    (void)request;
    daemon_reload(daemon, &report);
    daemon_admin_report(daemon, &report, reply, errors);
}

static void answer_dead(struct daemon *daemon, const json_t *request, json_t *reply,
                        json_t *errors) {
    const char *name = json_string_value(json_object_get(request, "member"));
    char why[512];
    if (name != NULL && core_vouch_dead(daemon->core, daemon->now, deal_hash(name, strlen(name)))) {
        log_event(daemon->log, LOG_LEVEL_WARNING, "vouched_dead", "member", name, NULL);
        set(reply, "member", daemon_admin_text(name));
        daemon_act(daemon);
        return;
    }
    (void)snprintf(why, sizeof why,
                   "%.200s: no other member of that name is known here, or it is alive: it was "
                   "heard within the last seconds",
                   name != NULL ? name : "(none)");
    (void)json_array_append_new(errors, daemon_admin_text(why));
}

static const struct {
    const char *name;
    void (*answer)(struct daemon *daemon, const json_t *request, json_t *reply, json_t *errors);
} commands[] = {
    {"status", answer_status},
    {"reload", answer_reload},
    {"member-dead", answer_dead},
    {"nodes", daemon_answer_nodes},
    {"from", daemon_answer_from},
    {"events", daemon_answer_events},
    {"override-set", daemon_admin_override_set},
    {"override-clear", daemon_admin_override_clear},
    {"drain", daemon_admin_drain},
};

void daemon_admin(struct daemon *daemon) {
    json_t *request;
    const char *name;
    daemon->now = control_now();
    if (!admin_receive(daemon->admin, &request, &name))
        return; /* one at a time: the others have their turn when the members had theirs */
    json_t *reply = json_object();
    json_t *errors = json_array();
    size_t i = 0;
    while (i < sizeof commands / sizeof *commands && strcmp(commands[i].name, name) != 0)
        i++;
    if (i < sizeof commands / sizeof *commands)
        commands[i].answer(daemon, request, reply, errors);
    else
        (void)json_array_append_new(errors, json_string("no such command"));
    admin_reply(daemon->admin, reply, errors);
    json_decref(request);
}
