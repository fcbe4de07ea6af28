/* SPDX-License-Identifier: MIT */
/* What only the bridge of this host knows: it is asked over its socket. */
#include "common/bridge.h"
#include "shmstat.h"
#include "show/told.h"

#include <string.h>

static bool out_of_memory(char *error, size_t size) {
    snprintf(error, size, "no memory for what the bridge tells");
    return false;
}

/* @return NULL: error says why. */
static json_t *ask(const struct settings *settings, json_t *question, bool *refused, char *error,
                   size_t size) {
    char path[BRIDGE_PATH_MAX];
    json_t *answer = NULL;

    if (!bridge_path(path, settings->name, settings->directory)) {
        json_decref(question);
        snprintf(error, size, "the path of the segment is too long to ask its bridge");
        return NULL;
    }
    if (bridge_ask(path, question, settings->patience_ms, &answer, error, size) == BRIDGE_REFUSED) {
        const char *why = json_string_value(json_array_get(json_object_get(answer, "errors"), 0));
        snprintf(error, size, "%s", why != NULL ? why : "refused by the bridge");
        json_decref(answer);
        *refused = true;
        return NULL;
    }
    return answer;
}

bool cluster_ask(const struct settings *settings, unsigned what, const char *counter,
                 struct snapshot *snapshot, bool *refused, char *error, size_t size) {
    bool good = true;

    error[0] = '\0';
    *refused = false;
    if (!snapshot->segment.stat.clustered) {
        snprintf(error, size, "a single host has no bridge, which would know of nodes and events");
        return false;
    }
    if ((what & CLUSTER_FROM) != 0) {
        json_t *answer =
            ask(settings, json_pack("{s:s, s:s}", "command", "from", "node", settings->from),
                refused, error, size);
        good = answer != NULL && (told_from(snapshot, answer, settings->from, settings->counter) ||
                                  out_of_memory(error, size));
        json_decref(answer);
    }
    if (good && (what & CLUSTER_NODES) != 0) {
        json_t *answer =
            ask(settings,
                counter != NULL ? json_pack("{s:s, s:s}", "command", "nodes", "counter", counter)
                                : json_pack("{s:s}", "command", "nodes"),
                refused, error, size);
        good = answer != NULL && (told_nodes(snapshot, answer) || out_of_memory(error, size));
        json_decref(answer);
    }
    if (good && (what & CLUSTER_EVENTS) != 0) {
        json_t *answer =
            ask(settings, json_pack("{s:s}", "command", "events"), refused, error, size);
        good = answer != NULL && (told_events(snapshot, answer) || out_of_memory(error, size));
        json_decref(answer);
    }
    snapshot->told = good;
    return good;
}
