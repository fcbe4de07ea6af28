/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "handle.h"
#include "limit.h"
#include "resolve.h"
#include "view.h"

static void from_counter(const struct segment *segment, const struct counter *counter,
                         struct slotshare_explanation *out) {
    /* relaxed: for people */
    uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_relaxed);
    out->share = view_share(segment, cap);
    out->reserve = view_reserve(cap);
    out->observed = cap != CAP_UNSET && (cap & CAP_OBSERVE) != 0;
    out->in_use = view_in_use(counter);
    int cluster = atomic_load_explicit(&counter->cluster_in_use, memory_order_relaxed);
    out->cluster_in_use = cluster > out->in_use ? cluster : out->in_use;
}

static void from_setup(const struct segment *segment, const struct counter_setup *setup,
                       struct slotshare_explanation *out) {
    uint64_t cap = limit_cap(setup);
    out->share = view_share(segment, cap);
    out->reserve = view_reserve(cap);
    out->observed = (cap & CAP_OBSERVE) != 0;
}

/* room: the cap has some, whether it refuses or only observes */
static void say_reason(const struct segment *segment, bool room,
                       struct slotshare_explanation *out) {
    char *text = out->reason;
    size_t size = sizeof out->reason;
    if (out->observed && !room) {
        int used = snprintf(text, size,
                            "only observed (enforce = no): a take would succeed, and be counted "
                            "as one to refuse: ");
        text += used;
        size -= (size_t)used;
    }
    if (!out->would_admit && limit_drained(segment)) {
        (void)snprintf(text, size,
                       "this node is drained: it takes no new slots until 'slotshare resume'; %d "
                       "in use here",
                       out->in_use);
    } else if (out->limit == SLOTSHARE_UNLIMITED) {
        (void)snprintf(text, size, "%s, so nothing is refused; %d in use on this host",
                       out->scope == SLOTSHARE_SCOPE_NONE ? "no stanza sets a limit"
                                                          : "the limit is -1 (unlimited)",
                       out->in_use);
    } else if (out->limit == 0) {
        (void)snprintf(text, size, "the limit is 0: closed");
    } else if (room) {
        (void)snprintf(text, size, "%d of %d in use on this host: a take would succeed%s",
                       out->in_use, out->share,
                       out->observed ? "; the limit is only observed (enforce = no)" : "");
    } else if (!out->clustered) {
        (void)snprintf(text, size, "all %d slots of the limit are in use on this host", out->limit);
    } else if (!out->session) {
        (void)snprintf(text, size,
                       "this host has no session with the cluster, so only its reserve of %d "
                       "applies, and %d are in use",
                       out->reserve, out->in_use);
    } else if (out->share == 0) {
        (void)snprintf(text, size,
                       "this host's share of the limit %d is 0 now (%d in use in the cluster); "
                       "it has been asked for",
                       out->limit, out->cluster_in_use);
    } else {
        (void)snprintf(text, size,
                       "this host's share of %d is in use (%d of %d in use in the cluster)",
                       out->share, out->cluster_in_use, out->limit);
    }
}

int slotshare_explain(slotshare *handle, const struct slotshare_connection *connection,
                      struct slotshare_explanation *out) {
    if (!handle || !connection || !out) {
        return SLOTSHARE_EINVAL;
    }
    const struct segment *segment = &handle->segment;
    if (atomic_load_explicit(&segment->header->closed, memory_order_acquire)) {
        return SLOTSHARE_EGONE;
    }
    *out = (struct slotshare_explanation){0};
    struct ruleset_match match;
    struct counter_setup setup;
    uint64_t rules;
    int result = resolve_connection(segment, connection, &match, &rules);
    if (result == SLOTSHARE_OK) {
        result = limit_setup(segment, &match, rules, &setup);
    }
    if (result != SLOTSHARE_OK) {
        return result;
    }
    memcpy(out->counter, match.counter, (size_t)match.length + 1);
    view_source(segment, match.line, setup.until, out->source, sizeof out->source);
    out->scope = match.scope;
    out->limit = match.limit < 0 ? SLOTSHARE_UNLIMITED : match.limit;
    out->clustered = atomic_load_explicit(&segment->header->clustered, memory_order_relaxed) != 0;
    out->session = view_session(segment);
    uint32_t index;
    uint32_t generation;
    result = counter_find(segment, match.counter, match.length, &index, &generation);
    if (result == SLOTSHARE_OK) {
        from_counter(segment, &segment->counters[index], out);
        int64_t longest;
        out->waiting = view_waiting(segment, index, &longest);
    } else if (result == SLOTSHARE_FULL) {
        from_setup(segment, &setup, out);
    } else {
        return result;
    }
    bool room = out->share == SLOTSHARE_UNLIMITED || out->in_use < out->share;
    out->would_admit = room || out->observed;
    say_reason(segment, room, out);
    return SLOTSHARE_OK;
}

int slotshare_explain_steps(slotshare *handle, const struct slotshare_connection *connection,
                            struct slotshare_step step[SLOTSHARE_STEPS]) {
    struct ruleset_step found[SLOTSHARE_STEPS];
    if (!handle || !connection || !step) {
        return SLOTSHARE_EINVAL;
    }
    const struct segment *segment = &handle->segment;
    if (atomic_load_explicit(&segment->header->closed, memory_order_acquire)) {
        return SLOTSHARE_EGONE;
    }
    int result = resolve_steps(segment, connection, found);
    for (int i = 0; result == SLOTSHARE_OK && i < SLOTSHARE_STEPS; i++) {
        step[i] = (struct slotshare_step){
            .scope = found[i].scope,
            .applies = found[i].applies,
            .set = found[i].set,
            .limit = !found[i].set || found[i].limit < 0 ? SLOTSHARE_UNLIMITED : found[i].limit,
            .observed = found[i].observed};
        view_source(segment, found[i].set ? found[i].line : 0, found[i].until, step[i].source,
                    sizeof step[i].source);
    }
    return result;
}
