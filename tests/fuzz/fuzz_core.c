/* SPDX-License-Identifier: MIT */
/* One core, and nobody around it who means well: other members say anything, and so does the host.
 * The core must end each call, stay within its keys, and keep what it allows in its range. */
#include "cluster.h"

#include <string.h>

enum { STEPS_MAX = 400, ACTIONS_MAX = 5000, MEMBERS = 3 };

struct lonely {
    struct cluster cluster; /* for what lies are made of; its hosts have no cores but the first */
    struct core *core;
    struct input input;
    struct core_membership next;
};

static int32_t anything(struct input *input) {
    const int32_t figures[] = {0, 1, 2, 3, 40, -1, INT32_MAX, INT32_MIN};
    return figures[input_below(input, 8)];
}

static void applied(struct lonely *lonely, const struct core_action *action) {
    uint32_t key = action->share.key;
    uint64_t grant = action->share.grant;

    must(key < KEYS && action->share.share >= 0 && action->share.share <= CONF_LIMIT_MAX,
         "a share");
    if (input_below(&lonely->input, 8) != 1) { /* else it was lost */
        core_share_applied(lonely->core, lonely->cluster.now, key, grant, anything(&lonely->input));
    }
}

static void promise(struct lonely *lonely) {
    core_promise_done(lonely->core, lonely->cluster.now, input_below(&lonely->input, 4) != 1);
}

static void learn(struct lonely *lonely, const struct core_action *action) {
    struct lore *lore = &lonely->cluster.lore;

    if (action->type == CORE_SEND_DEAL) {
        lore->term = action->deal->term;
        lore->deal_time = action->deal->time;
        must(action->deal->parts <= CORE_MEMBERS_MAX && action->deal->contended <= KEYS, "a deal");
    } else if (action->type == CORE_SEND_VOTE_REQUEST) {
        lore->request = action->vote_request;
    } else if (action->type == CORE_SEND_HEARTBEAT) {
        lore->sequence[0] = action->heartbeat->sequence;
        lore->epoch = action->heartbeat->epoch;
        lore->epoch_digest = action->heartbeat->epoch_digest;
        lore->proposed = action->heartbeat->proposed;
        lore->ready = action->heartbeat->ready;
        lore->ready_digest = action->heartbeat->ready_digest;
        must(action->heartbeat->records <= KEYS, "a heartbeat");
    }
}

static void drain(struct lonely *lonely) {
    const struct core_action *action = NULL;
    struct core *core = lonely->core;
    uint64_t now = lonely->cluster.now;

    for (int count = 0; (action = core_next_action(core)) != NULL; count++) {
        must(count < ACTIONS_MAX, "actions without end");
        learn(lonely, action);
        if (action->type == CORE_SET_SHARE) {
            applied(lonely, action);
        } else if (action->type == CORE_READ) {
            core_counter_update(core, now, action->share.key, anything(&lonely->input),
                                anything(&lonely->input));
        } else if (action->type == CORE_SCAN) {
            core_scan_begin(core, now);
            core_scan_done(core, now, input_below(&lonely->input, 4) != 1);
        } else if (action->type == CORE_PROMISE) {
            promise(lonely);
        }
    }
    for (uint32_t key = 0; key < KEYS_TOLD; key++) {
        int32_t cap = core_cap(core, now, key);
        must(cap >= 0 && cap <= CONF_LIMIT_MAX, "a cap");
    }
}

static void propose(struct lonely *lonely) {
    uint8_t choice = input_byte(&lonely->input);

    lonely->next.digest = choice % 4; /* 0 is bad, 1 is what is committed */
    lonely->next.members = 1 + choice / 4 % (CORE_MEMBERS_MAX + 1);
    lonely->next.reserve_percent = choice / 32 * 16;
    (void)core_config_check(lonely->core, &lonely->next);
    (void)core_config_propose(lonely->core, lonely->cluster.now, &lonely->next);
}

static void host_says(struct lonely *lonely, uint8_t kind) {
    struct input *input = &lonely->input;
    struct core *core = lonely->core;
    uint64_t now = lonely->cluster.now;
    uint32_t key = input_below(input, KEYS_TOLD);

    switch (kind % 8) {
    case 0:
        propose(lonely);
        break;
    case 1:
        core_config_fits(core, now);
        break;
    case 2:
        (void)core_vouch_dead(core, now, lonely->cluster.host[input_below(input, MEMBERS)].hash);
        break;
    case 3:
        if (input_below(input, 16) == 1) {
            core_leave(core, now);
        }
        break;
    case 4:
        core_share_applied(core, now, key, input_number(input, 2), anything(input));
        break;
    case 5:
        (void)core_counter_forget(core, key);
        (void)core_counter_define(core, key, 70 + (uint64_t)key, anything(input), anything(input));
        break;
    default:
        core_counter_update(core, now, key, anything(input), anything(input));
        break;
    }
}

static void begin(struct lonely *lonely, const uint8_t *data, size_t size) {
    memset(lonely, 0, sizeof *lonely);
    lonely->input = (struct input){data, size};
    struct cluster *cluster = &lonely->cluster;
    cluster->now = 100000;
    cluster->nodes = MEMBERS;
    cluster->lies = LIES_REPORTS | LIES_VOTES | LIES_DEALS;
    cluster->limit[0][0] = 3;
    cluster->limit[0][1] = 40;
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        lonely->next.member[i].hash = 1000 + i;
    }
    for (int i = 0; i < MEMBERS; i++) {
        cluster->host[i].hash = 1000 + (uint64_t)i;
        cluster->host[i].boot = 50 + (uint64_t)i;
    }
    struct core_options options = cluster_options(cluster, 0);
    uint8_t choice = input_byte(&lonely->input);
    struct core_membership file = lonely->next;
    file.epoch = file.digest = 1;
    file.members = MEMBERS;
    file.reserve_percent = 25;
    options.timers.take_over_after = (choice & 2) != 0 ? 1000 : 0;
    (choice & 1) != 0 ? (options.pending = file) : (options.committed = file);
    lonely->core = core_create(&options, cluster->now);
    must(lonely->core != NULL, "core_create");
    for (uint32_t key = 0; key < KEYS; key++) {
        int32_t limit = cluster->limit[0][key];
        must(core_counter_define(lonely->core, key, 70 + (uint64_t)key, limit, limit), "define");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct lonely lonely;
    static struct message message;
    struct cluster *cluster = &lonely.cluster;

    begin(&lonely, data, size);
    for (int i = 0; lonely.input.left > 0 && i < STEPS_MAX; i++) {
        uint8_t kind = input_byte(&lonely.input);
        if (kind < 80) {
            cluster->now += (uint64_t)kind * 8;
            core_tick(lonely.core, cluster->now);
        } else if (kind < 112) {
            host_says(&lonely, kind);
        } else {
            int from = 1 + kind % (MEMBERS - 1);
            memset(&message, 0, sizeof message);
            if (lie(cluster, &lonely.input, from, &message)) {
                cluster->lore.sequence[from]++;
                cluster_hand_over(lonely.core, cluster->now, &message);
            }
        }
        drain(&lonely);
    }
    const uint32_t *watched = NULL;
    must(core_watched(lonely.core, &watched) <= KEYS, "watched");
    core_destroy(lonely.core);
    return 0;
}
