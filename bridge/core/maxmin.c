/* SPDX-License-Identifier: MIT */
#include "internal.h"

/* The level to which all wants can be filled: water poured over the sorted wants. */
static int32_t water_level(const int32_t *wants, int count, int64_t cap) {
    int32_t sorted[CORE_MEMBERS_MAX];

    for (int i = 0; i < count; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] > wants[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = wants[i];
    }
    int32_t level = 0;
    int64_t left = cap > 0 ? cap : 0;
    for (int i = 0; i < count; i++) {
        int64_t each = left / (count - i);
        level = each < sorted[i] ? (int32_t)each : sorted[i];
        if (level < sorted[i]) {
            break;
        }
        left -= sorted[i];
    }
    return level;
}

/* Who of the remainder's claimants goes first: those within their rotation, then those served the
 * longest ago, then by place so that every coordinator would decide alike. */
static bool goes_before(const struct entry *a, int a_peer, const struct entry *b, int b_peer) {
    if (a->kept != b->kept) {
        return a->kept;
    }
    if (a->served != b->served) {
        return a->served < b->served;
    }
    return a_peer < b_peer;
}

static void hand_out_remainder(struct core *core, uint64_t now, uint32_t key, const int *peers,
                               const int32_t *wants, int32_t *targets, int count, int32_t level,
                               int64_t left) {
    int order[CORE_MEMBERS_MAX];
    int hungry = 0;

    for (int i = 0; i < count; i++) {
        struct entry *entry = coordinator_entry(core, key, peers[i]);
        if (entry->out > level) {
            entry->served = now; /* what drains counts as being served */
        }
        if (entry->share <= level) {
            entry->holding = false;
        } else if (!entry->holding) {
            entry->holding = true;
            entry->since = now;
        }
        bool keeps = entry->kept && (!entry->holding || now - entry->since < core->timers.rotation);
        entry->kept = keeps;
        if (wants[i] <= targets[i]) {
            continue;
        }
        int at = hungry++;
        for (; at > 0 &&
               goes_before(entry, peers[i], coordinator_entry(core, key, peers[order[at - 1]]),
                           peers[order[at - 1]]);
             at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    for (int i = 0; i < count; i++) {
        coordinator_entry(core, key, peers[i])->kept = false;
    }
    for (int i = 0; i < hungry && i < left; i++) {
        targets[order[i]]++;
        coordinator_entry(core, key, peers[order[i]])->kept = true;
    }
}

void maxmin_targets(struct core *core, uint64_t now, uint32_t key, const int *peers,
                    const int32_t *wants, int32_t *targets, int count, int64_t cap) {
    int32_t level = water_level(wants, count, cap);
    int64_t left = cap > 0 ? cap : 0;
    bool hungry = false;

    for (int i = 0; i < count; i++) {
        targets[i] = wants[i] < level ? wants[i] : level;
        left -= targets[i];
        hungry = hungry || wants[i] > targets[i];
    }
    if (left > 0 && hungry) {
        hand_out_remainder(core, now, key, peers, wants, targets, count, level, left);
    }
}
