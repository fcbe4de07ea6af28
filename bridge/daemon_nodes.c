/* SPDX-License-Identifier: MIT */
/* What operators ask for, about all nodes: who holds what, and what the cluster waits for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../show/text.h"
#include "daemon_internal.h"

enum {
    COUNTERS_MAX = 5000, /* of one node, in one answer */
    SILENT_MS = 2000,    /* as slotshare_stat_members() has it */
};

static void set(json_t *object, const char *key, json_t *value) {
    (void)json_object_set_new(object, key, value);
}

/* ---- one node ---- */

/* A node and what it said of the counter, or of all. */
struct node {
    const struct member *member;
    struct totals_figure figure;
    bool said;       /* figure is something */
    bool witness;    /* holds no share */
    bool no_session; /* said so */
    uint64_t heard;  /* 0: never */
};

static int add_figure(const char *name, const struct totals_figure *figure, void *arg) {
    struct node *node = arg;
    (void)name;
    node->said = true;
    node->figure.in_use += figure->in_use;
    node->figure.wants += figure->wants;
    if (figure->oldest_ms > node->figure.oldest_ms)
        node->figure.oldest_ms = figure->oldest_ms;
    return 0;
}

static bool is_witness(const struct daemon *daemon, const struct member *member) {
    const struct conf *conf = daemon->configs.committed.conf;
    for (uint32_t i = 0; conf != NULL && i < conf->members; i++) {
        if (strcmp(conf->member[i].name, member->name) == 0)
            return conf->member[i].witness;
    }
    return false;
}

/* counter: NULL: of all, and then no share. */
static void look_at(const struct daemon *daemon, const struct member *member, const char *counter,
                    struct node *out) {
    const uint32_t place = (uint32_t)(member - daemon->member);
    struct core_member_state state = {0};
    *out = (struct node){.member = member, .figure.share = -1};
    if (counter != NULL)
        out->said = totals_figure(daemon->totals, counter, place, daemon->now, &out->figure);
    else
        totals_each_of(daemon->totals, place, daemon->now, add_figure, out);
    (void)core_member_state(daemon->core, member->hash, &state);
    out->heard = state.heard;
    out->witness = is_witness(daemon, member);
    out->no_session = member->self ? daemon->memory.session_end <= daemon->now
                                   : totals_no_session(daemon->totals, place);
}

static bool is_silent(const struct daemon *daemon, const struct node *node) {
    return !node->member->self && node->heard + SILENT_MS < daemon->now;
}

static const char *state_of(const struct daemon *daemon, const struct node *node) {
    if (node->member->self)
        return "this node";
    if (node->heard == 0)
        return "never heard";
    return is_silent(daemon, node) ? "silent" : "connected";
}

static json_t *node_json(const struct daemon *daemon, const struct node *node) {
    const uint64_t coordinator = core_leading(daemon->core, daemon->now)
                                     ? daemon->self
                                     : core_coordinator(daemon->core, daemon->now);
    json_t *out = json_object();
    set(out, "name", text_json(node->member->name));
    set(out, "state", json_string(state_of(daemon, node)));
    set(out, "role",
        json_string(node->witness                       ? "witness"
                    : node->member->hash == coordinator ? "coordinator"
                                                        : ""));
    set(out, "heard_ms",
        json_integer(node->heard != 0 && !node->member->self
                         ? (json_int_t)(daemon->now - node->heard)
                         : -1));
    set(out, "session", json_boolean(!node->no_session));
    set(out, "in_use", json_integer(node->figure.in_use));
    set(out, "share", json_integer(node->figure.share));
    set(out, "wants", json_integer(node->figure.wants));
    set(out, "oldest_ms", json_integer((json_int_t)node->figure.oldest_ms));
    return out;
}

/* ---- what is waited for ---- */

/* until: on control_now()'s clock; 0: nobody can say. */
static void wait_for(const struct daemon *daemon, json_t *list, const char *what, uint64_t until) {
    json_t *item = json_object();
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    set(item, "what", text_json(what));
    if (until > daemon->now)
        set(item, "until_ms", json_integer(now_ms + (int64_t)(until - daemon->now)));
    (void)json_array_append_new(list, item);
}

/* The clocks of two hosts may differ by 2%. */
static uint64_t stretched(uint64_t ms) {
    return ms + ms / 50;
}

static void wait_for_drain(const struct daemon *daemon, const struct node *node, json_t *list) {
    const struct core_timers *timers = &daemon->timers;
    const uint64_t end = node->figure.drain_end;
    const int above = (int)(node->figure.in_use - node->figure.share);
    char text[512];
    if (!node->figure.drains) /* a bridge of an older version does not say */
        (void)snprintf(text, sizeof text,
                       "%s drains: it holds %d above its share, and its workers end these within "
                       "%u s of when it became smaller",
                       node->member->name, above, (timers->drain + timers->grace) / 1000);
    else
        (void)snprintf(text, sizeof text,
                       end > daemon->now
                           ? "%s drains: it holds %d above its share, and its workers are to end "
                             "the first of these by then"
                           : "%s drains: it holds %d above its share, and its workers should have "
                             "ended these by now",
                       node->member->name, above);
    wait_for(daemon, list, text, end);
}

static void waits_of_node(const struct daemon *daemon, const struct node *node, json_t *list) {
    const struct core_timers *timers = &daemon->timers;
    const char *name = node->member->name;
    const uint64_t gone =
        node->heard + stretched((uint64_t)timers->session + timers->drain + timers->grace);
    char text[512];
    if (is_silent(daemon, node) && !node->witness) {
        if (node->heard == 0)
            (void)snprintf(text, sizeof text,
                           "%s was never heard here: what it may hold is not given to others",
                           name);
        else if (daemon->now < gone)
            (void)snprintf(text, sizeof text,
                           "%s is silent: what it may hold, less its reserve, is free then", name);
        else
            (void)snprintf(text, sizeof text,
                           "%s is lost: only its reserve is kept for it, until it is back or "
                           "removed",
                           name);
        wait_for(daemon, list, text, node->heard != 0 ? gone : 0);
        return;
    }
    if (node->no_session && !node->witness && (node->said || node->member->self)) {
        (void)snprintf(text, sizeof text,
                       "%s has no session: it keeps to its reserve until a coordinator admits it",
                       name);
        wait_for(daemon, list, text, 0);
    }
    if (node->figure.share >= 0 && node->figure.in_use > node->figure.share)
        wait_for_drain(daemon, node, list);
}

/* limit: -1: none, or not known. wanting: nodes that want a slot; asking: those of them that want
 * more than they hold. */
static void waits_of_cluster(struct daemon *daemon, int32_t limit, uint32_t wanting,
                             uint32_t asking, json_t *list) {
    char who[1024];
    char text[1200];
    if (!core_leading(daemon->core, daemon->now) &&
        core_coordinator(daemon->core, daemon->now) == 0)
        wait_for(daemon, list,
                 "there is no coordinator: shares stay as they are until a majority of the "
                 "members hears each other",
                 0);
    daemon_waits_for(daemon, who, sizeof who);
    if (daemon->configs.pending.conf != NULL) {
        (void)snprintf(text, sizeof text,
                       "another configuration is pending, and of both the lower limit counts; it "
                       "waits for %s",
                       who[0] != '\0' ? who : "the coordinator");
        wait_for(daemon, list, text, 0);
    }
    if (limit > 0 && asking > 0 && wanting > (uint32_t)limit) {
        (void)snprintf(text, sizeof text,
                       "%u nodes want slots and there are %d: they go round, and one stays for %u "
                       "s, and until its connection ends",
                       wanting, (int)limit, daemon->timers.rotation / 1000);
        wait_for(daemon, list, text, 0);
    }
}

static int32_t limit_of(const struct daemon *daemon, const char *counter) {
    struct ruleset rules = control_rules(daemon->control);
    struct ruleset_match match;
    return ruleset_counter(&rules, counter, &match) == SLOTSHARE_OK ? match.limit : -1;
}

/* ---- commands ---- */

/* counter: NULL: all together. */
static void tell_nodes(struct daemon *daemon, const char *counter, json_t *reply) {
    json_t *nodes = json_array();
    json_t *waits = json_array();
    uint32_t wanting = 0;
    uint32_t asking = 0;
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        struct node node;
        if (daemon->member[i].hash == 0)
            continue;
        look_at(daemon, &daemon->member[i], counter, &node);
        wanting += node.figure.wants > 0;
        asking += node.figure.wants > node.figure.in_use;
        (void)json_array_append_new(nodes, node_json(daemon, &node));
        waits_of_node(daemon, &node, waits);
    }
    const int32_t limit = counter != NULL && daemon->serving ? limit_of(daemon, counter) : -1;
    waits_of_cluster(daemon, limit, wanting, asking, waits);
    set(reply, "nodes", nodes);
    set(reply, "waits", waits);
}

void daemon_answer_nodes(struct daemon *daemon, const json_t *request, json_t *reply,
                         json_t *errors) {
    (void)errors;
    tell_nodes(daemon, json_string_value(json_object_get(request, "counter")), reply);
}

static json_t *nodes_for_web(void *arg, const char *counter) {
    json_t *reply = json_object();
    tell_nodes(arg, *counter != '\0' ? counter : NULL, reply);
    return reply;
}

void daemon_web(struct daemon *daemon) {
    web_answer_questions(daemon->web, nodes_for_web, daemon);
}

struct listing {
    json_t *list;
    size_t left_out;
};

static int list_counter(const char *name, const struct totals_figure *figure, void *arg) {
    struct listing *listing = arg;
    if (json_array_size(listing->list) >= COUNTERS_MAX) {
        listing->left_out++;
        return 0;
    }
    json_t *item = json_object();
    set(item, "name", text_json(name));
    set(item, "in_use", json_integer(figure->in_use));
    set(item, "share", json_integer(figure->share));
    set(item, "wants", json_integer(figure->wants));
    set(item, "oldest_ms", json_integer((json_int_t)figure->oldest_ms));
    (void)json_array_append_new(listing->list, item);
    return 0;
}

static void no_such_node(const struct daemon *daemon, const char *name, json_t *errors) {
    char text[2048];
    int length = snprintf(text, sizeof text, "%.200s: no such member; there are", name);
    const char *comma = "";
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX && length < (int)sizeof text; i++) {
        if (daemon->member[i].hash == 0)
            continue;
        length += snprintf(text + length, sizeof text - (size_t)length, "%s %s", comma,
                           daemon->member[i].name);
        comma = ",";
    }
    (void)json_array_append_new(errors, text_json(text));
}

void daemon_answer_from(struct daemon *daemon, const json_t *request, json_t *reply,
                        json_t *errors) {
    const char *name = json_string_value(json_object_get(request, "node"));
    const struct member *member =
        name != NULL ? daemon_member(daemon, deal_hash(name, strlen(name))) : NULL;
    if (member == NULL) {
        no_such_node(daemon, name != NULL ? name : "(none)", errors);
        return;
    }
    struct listing listing = {.list = json_array()};
    struct node node;
    look_at(daemon, member, NULL, &node);
    totals_each_of(daemon->totals, (uint32_t)(member - daemon->member), daemon->now, list_counter,
                   &listing);
    set(reply, "node", node_json(daemon, &node));
    set(reply, "counters", listing.list);
    set(reply, "left_out", json_integer((json_int_t)listing.left_out));
}

void daemon_answer_events(struct daemon *daemon, const json_t *request, json_t *reply,
                          json_t *errors) {
    const json_int_t after = json_integer_value(json_object_get(request, "after"));
    (void)errors;
    set(reply, "events", events_json(daemon->log->events, after > 0 ? (uint64_t)after : 0));
}
