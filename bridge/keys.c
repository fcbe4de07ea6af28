/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <stdlib.h>
#include <string.h>

#include "spread.h"

enum {
    IDLE_MS = 10000,   /* how long a key stays after it was last asked for */
    SWEEP_KEYS = 1024, /* looked at in one sweep */
};

struct entry {
    char *name; /* NULL: the key is free */
    uint64_t hash;
    uint64_t asked;
    uint32_t index; /* in the segment, when bound */
    int32_t limit;  /* as the core knows it */
    bool bound, contended;
};

struct keys {
    struct control *control;
    struct core *core;
    struct entry *entry; /* by key */
    uint32_t max, count;
    uint32_t fresh; /* keys from here on were never used */
    uint32_t *free; /* used before, and free now */
    uint32_t free_count;
    uint32_t hand;   /* where the next sweep starts */
    uint32_t *table; /* open addressing by hash: key + 1, 0: free */
    uint32_t mask;
    uint64_t secret; /* of the table */
};

struct keys *keys_create(uint32_t max, struct control *control, struct core *core) {
    struct keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL)
        return NULL;
    uint32_t size = 16;
    while (size < 2 * max)
        size *= 2;
    keys->control = control;
    keys->core = core;
    keys->max = max;
    keys->mask = size - 1;
    keys->secret = spread_secret();
    keys->entry = calloc(max, sizeof *keys->entry);
    keys->free = calloc(max, sizeof *keys->free);
    keys->table = calloc(size, sizeof *keys->table);
    if (keys->entry == NULL || keys->free == NULL || keys->table == NULL) {
        keys_destroy(keys);
        return NULL;
    }
    return keys;
}

void keys_destroy(struct keys *keys) {
    if (keys == NULL)
        return;
    for (uint32_t key = 0; keys->entry != NULL && key < keys->fresh; key++)
        free(keys->entry[key].name);
    free(keys->entry);
    free(keys->free);
    free(keys->table);
    free(keys);
}

static uint32_t home_of(const struct keys *keys, uint64_t hash) {
    return (uint32_t)spread(hash, keys->secret) & keys->mask;
}

/* Where it is in the table, or the free place where it would go. */
static uint32_t place_of(const struct keys *keys, uint64_t hash) {
    uint32_t at = home_of(keys, hash);
    while (keys->table[at] != 0 && keys->entry[keys->table[at] - 1].hash != hash)
        at = (at + 1) & keys->mask;
    return at;
}

/* What follows moves up, so that no search stops at the gap. */
static void table_remove(struct keys *keys, uint32_t gap) {
    for (uint32_t at = (gap + 1) & keys->mask; keys->table[at] != 0; at = (at + 1) & keys->mask) {
        uint32_t home = home_of(keys, keys->entry[keys->table[at] - 1].hash);
        if (((at - home) & keys->mask) < ((at - gap) & keys->mask))
            continue;
        keys->table[gap] = keys->table[at];
        gap = at;
    }
    keys->table[gap] = 0;
}

struct limits {
    int32_t now, pending; /* -1: none is known */
    bool observed, pending_observed;
};

/* The limit of a name in a rule set. @return false: the set never makes this name. */
static bool look_up(const struct ruleset *rules, const char *name, int32_t *limit, bool *observed) {
    struct ruleset_match match;
    if (rules->size == 0 || ruleset_counter(rules, name, &match) != SLOTSHARE_OK)
        return false;
    /* For the core there is nothing unlimited: this is as much as can be. */
    *limit = match.limit >= 0 ? match.limit : CONF_LIMIT_MAX;
    *observed = match.observed;
    return true;
}

/* said: by the sender of the name; counts when the rule set in force does not make it.
 * @return false: nobody says a limit. */
static bool limits_of(const struct keys *keys, const char *name, int32_t said, struct limits *out) {
    struct ruleset now = {0};
    struct ruleset pending = {0};
    if (keys->control != NULL) {
        now = control_rules(keys->control);
        pending = control_pending(keys->control);
    }
    *out = (struct limits){.now = -1, .pending = -1};
    (void)look_up(&now, name, &out->now, &out->observed);
    if ((out->now < 0 || out->now == CONF_LIMIT_MAX) && said >= 0 && said <= CONF_LIMIT_MAX)
        out->now = said;
    if (!look_up(&pending, name, &out->pending, &out->pending_observed)) {
        out->pending = out->now;
        out->pending_observed = out->observed;
    }
    if (out->now < 0) {
        out->now = out->pending;
        out->observed = out->pending_observed;
    }
    return out->now >= 0;
}

static bool define(struct keys *keys, uint32_t key, uint64_t hash, const struct limits *limits) {
    if (!core_counter_define(keys->core, key, hash, limits->now, limits->pending))
        return false;
    core_counter_observe(keys->core, key, limits->observed, limits->pending_observed);
    return true;
}

static bool add(struct keys *keys, uint32_t place, const char *name, uint64_t hash,
                const struct limits *limits, uint32_t *out) {
    if (keys->free_count == 0 && keys->fresh == keys->max)
        return false;
    uint32_t key = keys->free_count > 0 ? keys->free[keys->free_count - 1] : keys->fresh;
    char *copy = strdup(name);
    if (copy == NULL || !define(keys, key, hash, limits)) {
        free(copy);
        return false;
    }
    if (keys->free_count > 0)
        keys->free_count--;
    else
        keys->fresh++;
    keys->count++;
    keys->entry[key] = (struct entry){.name = copy, .hash = hash, .limit = limits->now};
    keys->table[place] = key + 1;
    *out = key;
    return true;
}

bool keys_find(struct keys *keys, uint64_t now, const char *name, int32_t limit, uint32_t *key) {
    uint64_t hash = deal_hash(name, strlen(name));
    uint32_t place = place_of(keys, hash);
    if (keys->table[place] == 0) {
        struct limits limits;
        if (!limits_of(keys, name, limit, &limits) || !add(keys, place, name, hash, &limits, key))
            return false;
    }
    *key = keys->table[place] - 1;
    struct entry *entry = &keys->entry[*key];
    entry->asked = now;
    /* Two names with one hash: the core could not tell them apart, the second has no key. */
    return strcmp(entry->name, name) == 0;
}

const char *keys_name(const struct keys *keys, uint32_t key) {
    return key < keys->fresh ? keys->entry[key].name : NULL;
}

bool keys_index(struct keys *keys, uint32_t key, uint32_t *index) {
    if (keys_name(keys, key) == NULL || keys->control == NULL)
        return false;
    struct entry *entry = &keys->entry[key];
    /* Between finding and pinning it may be retired: then it is found anew. */
    for (int tries = 0; tries < 3 && !entry->bound; tries++) {
        if (control_counter_find(keys->control, entry->name, &entry->index) != SLOTSHARE_OK)
            return false;
        entry->bound = control_pin(keys->control, entry->index, entry->name);
    }
    *index = entry->index;
    return entry->bound;
}

void keys_show_contended(struct keys *keys, uint32_t key, bool contended) {
    uint32_t index;
    if (keys_name(keys, key) == NULL || keys->entry[key].contended == contended ||
        !keys_index(keys, key, &index))
        return;
    control_contended(keys->control, index, contended);
    keys->entry[key].contended = contended;
}

static void forget(struct keys *keys, uint32_t key) {
    struct entry *entry = &keys->entry[key];
    keys_show_contended(keys, key, false);
    if (entry->bound)
        control_unpin(keys->control, entry->index);
    table_remove(keys, place_of(keys, entry->hash));
    free(entry->name);
    *entry = (struct entry){0};
    keys->free[keys->free_count++] = key;
    keys->count--;
}

void keys_define_again(struct keys *keys) {
    for (uint32_t key = 0; key < keys->fresh; key++) {
        struct entry *entry = &keys->entry[key];
        struct limits limits;
        if (entry->name == NULL || !limits_of(keys, entry->name, entry->limit, &limits))
            continue;
        if (define(keys, key, entry->hash, &limits))
            entry->limit = limits.now;
    }
}

void keys_sweep(struct keys *keys, uint64_t now) {
    uint32_t look = keys->fresh < SWEEP_KEYS ? keys->fresh : SWEEP_KEYS;
    for (; look > 0; look--) {
        uint32_t key = keys->hand;
        keys->hand = keys->hand + 1 < keys->fresh ? keys->hand + 1 : 0;
        if (keys->entry[key].name != NULL && now - keys->entry[key].asked > IDLE_MS &&
            core_counter_forget(keys->core, key))
            forget(keys, key);
    }
}

uint32_t keys_count(const struct keys *keys) {
    return keys->count;
}
