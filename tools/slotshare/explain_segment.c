/* SPDX-License-Identifier: MIT */
/* slotshare explain from a segment: what is in force now, who holds the slots, and what is waited
 * for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/bridge.h"
#include "common/exits.h"
#include "explain.h"
#include "show/json.h"
#include "show/snapshot.h"
#include "show/text.h"
#include "show/told.h"
#include "show/view.h"

enum { HOLDERS_SHOWN = 20, PATIENCE_MS = 2000 };

struct found {
    struct slotshare_explanation why;
    struct slotshare_step step[SLOTSHARE_STEPS];
    struct snapshot snapshot; /* of its counter: holders, and what the bridge tells */
    char trouble[1024];       /* why the bridge has told nothing; "": not asked, or it has */
};

/* ---- text ---- */

static void print_step(const struct slotshare_step *step, bool wins) {
    char source[sizeof step->source];
    char limit[32] = "unlimited";

    printf("  %-15s ", slotshare_scope_name(step->scope));
    if (!step->applies) {
        puts("needs a name that was not given");
        return;
    }
    if (!step->set) {
        puts("not set");
        return;
    }
    if (step->limit != SLOTSHARE_UNLIMITED) {
        snprintf(limit, sizeof limit, "%d", step->limit);
    }
    (void)text_fit(source, sizeof source, step->source, (int)sizeof source, NULL);
    printf("%s%s at %s%s\n", limit, step->observed ? ", only observed," : "", source,
           wins ? "  <- applies" : "");
}

static void print_holders(const struct snapshot *snapshot) {
    char name[64];
    char age[TEXT_AGE_MAX];

    for (size_t i = 0; i < snapshot->slots && i < HOLDERS_SHOWN; i++) {
        const struct slot_row *row = &snapshot->slot[i];

        (void)text_fit(name, sizeof name, row->command, (int)sizeof name, NULL);
        text_age(age, row->stat.age_ms);
        printf("%-16s %s, process %d, for %s\n", i == 0 ? "held here by" : "", name,
               (int)row->stat.pid, age);
    }
    if (snapshot->slots > HOLDERS_SHOWN) {
        printf("%-16s and %zu more\n", "", snapshot->slots - HOLDERS_SHOWN);
    }
}

static void print_node(const struct node_row *row, const char *label) {
    char name[SLOTSHARE_BINDING_MAX + 1];
    char state[sizeof row->state];
    char age[TEXT_AGE_MAX];

    (void)text_fit(name, sizeof name, row->name, (int)sizeof name, NULL);
    (void)text_fit(state, sizeof state, row->state, (int)sizeof state, NULL);
    printf("%-16s %s holds %d", label, name, row->in_use);
    if (row->share >= 0) {
        printf(" of its share %d", row->share);
    }
    if (row->wants > row->in_use) {
        printf(", wants %d", row->wants);
    }
    if (row->oldest_ms >= 0) {
        text_age(age, (uint64_t)row->oldest_ms);
        printf(", the oldest for %s", age);
    }
    printf(" (%s%s)\n", state, row->session ? "" : ", no session");
}

static void print_told(const struct found *found) {
    const struct snapshot *snapshot = &found->snapshot;
    char text[1024];
    size_t shown = 0;

    for (size_t i = 0; i < snapshot->nodes; i++) {
        if (strcmp(snapshot->node[i].role, "witness") != 0) {
            print_node(&snapshot->node[i], shown++ == 0 ? "nodes" : "");
        }
    }
    for (size_t i = 0; i < snapshot->waits; i++) {
        view_wait(&snapshot->wait[i], text, sizeof text);
        explain_text(i == 0 ? "waiting for" : "", text);
    }
    if (found->trouble[0] != '\0') {
        explain_text("nodes", found->trouble);
    }
}

static int show_text(const char *program, const struct slotshare_connection *connection,
                     const struct found *found) {
    const struct slotshare_explanation *why = &found->why;

    explain_connection(connection);
    puts("scopes, in order of precedence:");
    for (size_t i = 0; i < SLOTSHARE_STEPS; i++) {
        print_step(&found->step[i], found->step[i].scope == why->scope);
    }
    explain_text("counted as", why->counter);
    explain_text("scope", slotshare_scope_name(why->scope));
    explain_count("limit", why->limit);
    explain_enforced(why->observed != 0);
    if (why->source[0] != '\0') {
        explain_text("set at", why->source);
    }
    explain_count("share", why->share);
    if (why->clustered) {
        explain_count("reserve", why->reserve);
    }
    explain_count("in use here", why->in_use);
    if (why->clustered) {
        explain_count("in the cluster", why->cluster_in_use);
        explain_text("session", why->session ? "valid" : "none: only the reserve may be used");
    }
    explain_text("would be", why->would_admit ? "admitted" : "refused");
    explain_text("because", why->reason);
    print_holders(&found->snapshot);
    print_told(found);
    return exit_flush(program, EX_OK);
}

/* ---- JSON ---- */

static json_t *scopes_json(const struct slotshare_step *step) {
    json_t *list = json_array();

    for (size_t i = 0; i < SLOTSHARE_STEPS; i++) {
        json_t *one = json_object();
        const bool set = step[i].set != 0;

        (void)json_object_set_new(one, "scope", json_string(slotshare_scope_name(step[i].scope)));
        (void)json_object_set_new(one, "applies", json_boolean(step[i].applies));
        (void)json_object_set_new(one, "set", json_boolean(set));
        (void)json_object_set_new(one, "limit", set ? json_integer(step[i].limit) : json_null());
        (void)json_object_set_new(one, "observed", json_boolean(set && step[i].observed));
        (void)json_object_set_new(one, "source", set ? text_json(step[i].source) : json_null());
        (void)json_array_append_new(list, one);
    }
    return list;
}

static json_t *holders_json(const struct snapshot *snapshot) {
    json_t *list = json_array();

    for (size_t i = 0; i < snapshot->slots; i++) {
        const struct slot_row *row = &snapshot->slot[i];
        json_t *one = json_object();

        (void)json_object_set_new(one, "process", text_json(row->command));
        (void)json_object_set_new(one, "pid", json_integer(row->stat.pid));
        (void)json_object_set_new(one, "age_ms", json_integer((json_int_t)row->stat.age_ms));
        (void)json_array_append_new(list, one);
    }
    return list;
}

static json_t *waits_json(const struct snapshot *snapshot) {
    json_t *list = json_array();

    for (size_t i = 0; i < snapshot->waits; i++) {
        json_t *one = json_object();

        (void)json_object_set_new(one, "what", text_json(snapshot->wait[i].what));
        (void)json_object_set_new(one, "until_ms", json_integer(snapshot->wait[i].until_ms));
        (void)json_array_append_new(list, one);
    }
    return list;
}

static int show_json(const char *program, const struct slotshare_connection *connection,
                     const struct found *found) {
    const struct slotshare_explanation *why = &found->why;
    json_t *root = explain_json_start(connection, "segment");

    explain_set_limit(root, why->counter, why->scope, why->limit);
    (void)json_object_set_new(root, "scopes", scopes_json(found->step));
    (void)json_object_set_new(root, "source", text_json(why->source));
    (void)json_object_set_new(root, "observed", json_boolean(why->observed));
    (void)json_object_set_new(root, "share", json_integer(why->share));
    (void)json_object_set_new(root, "reserve", json_integer(why->reserve));
    (void)json_object_set_new(root, "in_use", json_integer(why->in_use));
    (void)json_object_set_new(root, "cluster_in_use", json_integer(why->cluster_in_use));
    (void)json_object_set_new(root, "clustered", json_boolean(why->clustered));
    (void)json_object_set_new(root, "session", json_boolean(why->session));
    (void)json_object_set_new(root, "would_admit", json_boolean(why->would_admit));
    (void)json_object_set_new(root, "reason", text_json(why->reason));
    (void)json_object_set_new(root, "holders", holders_json(&found->snapshot));
    (void)json_object_set_new(root, "told", json_boolean(found->snapshot.told));
    (void)json_object_set_new(root, "nodes", json_rows(&found->snapshot, VIEW_NODES));
    (void)json_object_set_new(root, "waits", waits_json(&found->snapshot));
    return explain_json_finish(program, root);
}

/* ---- reading ---- */

/* Without an answer the rest is shown all the same. */
static void ask_bridge_for(const struct explain_settings *settings, struct found *found) {
    char path[BRIDGE_PATH_MAX];
    json_t *answer = NULL;
    json_t *question =
        json_pack("{s:s, s:o}", "command", "nodes", "counter", text_json(found->why.counter));

    if (!bridge_path(path, settings->name, settings->directory)) {
        json_decref(question);
        snprintf(found->trouble, sizeof found->trouble,
                 "the path of the bridge's socket is too long");
        return;
    }
    if (bridge_ask(path, question, PATIENCE_MS, &answer, found->trouble, sizeof found->trouble) ==
        BRIDGE_ANSWERED) {
        found->snapshot.told = told_nodes(&found->snapshot, answer);
    }
    json_decref(answer);
}

static int look(struct source *source, const struct explain_settings *settings,
                const struct slotshare_connection *connection, struct found *found) {
    int result = slotshare_explain(source->handle, connection, &found->why);

    if (result == SLOTSHARE_OK) {
        result = slotshare_explain_steps(source->handle, connection, found->step);
    }
    if (result == SLOTSHARE_OK) {
        const struct snapshot_choice choice = {true, found->why.counter};
        result = snapshot_read(source, &choice, &found->snapshot);
    }
    if (result == SLOTSHARE_OK && found->why.clustered) {
        ask_bridge_for(settings, found);
    }
    return result;
}

int explain_segment(const char *program, const struct explain_settings *settings,
                    const struct slotshare_connection *connection) {
    struct source source;
    struct found *found = calloc(1, sizeof *found);
    int status = EX_OSERR;
    int result = source_open(&source, settings->name, settings->directory);

    if (found == NULL) {
        fprintf(stderr, "%s: no memory\n", program);
    } else {
        if (result == SLOTSHARE_OK) {
            result = look(&source, settings, connection, found);
        }
        if (result != SLOTSHARE_OK) {
            status = exit_tell(program, result, source.error);
        } else {
            status = settings->json ? show_json(program, connection, found)
                                    : show_text(program, connection, found);
        }
        snapshot_free(&found->snapshot);
    }
    free(found);
    source_close(&source);
    return status;
}
