/* SPDX-License-Identifier: MIT */
#include "cluster.h"

#include <string.h>

#include "../../conf/deal.h"

enum { FEED_MS = 50, ACTIONS_MAX = 5000, BEGIN_MS = 100000, KEY_HASH = 70 };

/* Shorter than anybody's, so that a run has room for take-overs, drains and sessions that end. */
const struct core_timers cluster_timers = {.heartbeat = 100,
                                           .session = 800,
                                           .leader = 400,
                                           .drain = 700,
                                           .grace = 100,
                                           .rotation = 300,
                                           .cool = 400,
                                           .fresh = 400,
                                           .coalesce = 5};

static bool honest(const struct cluster *cluster, int at) {
    (void)cluster;
    return at != LIAR;
}

static uint32_t percent_of(uint8_t byte) {
    const uint32_t percents[] = {25, 0, 50, 100};
    return percents[byte % 4];
}

struct core_options cluster_options(const struct cluster *cluster, int self) {
    return (struct core_options){.self = cluster->host[self].hash,
                                 .boot = cluster->host[self].boot,
                                 .created = BEGIN_MS - 10000,
                                 .seed = (uint64_t)self,
                                 .keys = KEYS,
                                 .timers = cluster_timers,
                                 .memory = {.generation = 1}};
}

/* What the files say of the counters: the one in force, and the one that is pending. */
static void define(const struct cluster *cluster, const struct host *host) {
    for (uint32_t key = 0; key < KEYS; key++) {
        must(core_counter_define(host->core, key, KEY_HASH + key, cluster->limit[host->file][key],
                                 cluster->limit[host->loaded][key]),
             "define");
    }
}

void cluster_begin(struct cluster *cluster, struct input *input, int nodes, unsigned lies,
                   bool whole) {
    static const int32_t limits[] = {3, 16, 40, 1};
    uint8_t choice = input_byte(input);
    uint32_t percent = percent_of(choice);
    struct deal_members deal = {.count = (uint32_t)nodes, .reserve_percent = percent};

    memset(cluster, 0, offsetof(struct cluster, post));
    cluster->now = BEGIN_MS;
    cluster->nodes = nodes;
    cluster->lies = lies;
    cluster->whole = whole;
    for (int i = 0; i < nodes; i++) {
        /* The liar is anywhere in the order of candidates. */
        int place = (i + choice / 16) % nodes;
        cluster->host[i].hash = deal.hash[i] = 1000 + (uint64_t)place;
        cluster->host[i].boot = 50 + (uint64_t)i;
    }
    for (int file = 0; file < FILES; file++) {
        struct core_membership *members = &cluster->membership[file];
        *members = (struct core_membership){.epoch = 1,
                                            .digest = 1 + (uint64_t)file,
                                            .reserve_percent = percent,
                                            .members = (uint32_t)nodes};
        for (uint32_t i = 0; i < members->members; i++) {
            members->member[i].hash = 1000 + i;
        }
        for (int key = 0; key < KEYS; key++) {
            cluster->limit[file][key] = limits[(choice / 4 + key + file) % 4];
        }
    }
    cluster->lore.epoch = cluster->lore.epoch_digest = 1;
    for (int i = 0; i < nodes; i++) {
        struct host *host = &cluster->host[i];
        struct core_options options = cluster_options(cluster, i);
        options.committed = cluster->membership[0];
        host->core = core_create(&options, cluster->now);
        must(host->core != NULL, "core_create");
        for (int key = 0; key < KEYS; key++) {
            host->demand[key] = CONF_LIMIT_MAX; /* until the input says something else */
            for (int file = 0; file < FILES; file++) {
                int32_t limit = cluster->limit[file][key];
                host->home[file][key] =
                    deal_home(&deal, host->hash, KEY_HASH + (uint64_t)key, limit);
                host->reserve[file][key] = deal_reserve(&deal, host->hash, limit);
            }
        }
        define(cluster, host);
    }
}

void cluster_end(struct cluster *cluster) {
    for (int i = 0; i < cluster->nodes; i++) {
        core_destroy(cluster->host[i].core);
    }
}

int64_t cluster_held(const struct cluster *cluster, int key) {
    int64_t sum = 0;
    for (int i = 0; i < cluster->nodes; i++) {
        sum += honest(cluster, i) ? cluster->host[i].in_use[key] : 0;
    }
    return sum;
}

/* ---- the segment, as workers evaluate it: nothing here asks the core ---- */

static int32_t cap_of(const struct cluster *cluster, const struct host *host, int key) {
    bool valid = cluster->now < host->memory.session_end;
    int32_t cap = !valid              ? host->reserve[host->file][key]
                  : host->record[key] ? host->share[key]
                                      : host->home[host->file][key];
    if (host->loaded != host->file &&
        cluster->limit[host->loaded][key] != cluster->limit[host->file][key]) {
        int32_t next = valid ? host->home[host->loaded][key] : host->reserve[host->loaded][key];
        cap = next < cap ? next : cap;
    }
    return cap;
}

/* Take what is wanted and allowed; what is over for too long is ended. The bound is looked at when
 * something is taken. */
static void work(struct cluster *cluster, int at) {
    struct host *host = &cluster->host[at];

    for (int key = 0; key < KEYS; key++) {
        int32_t cap = cap_of(cluster, host, key);
        int32_t wanted = host->demand[key] < cap ? host->demand[key] : cap;
        if (host->in_use[key] > host->demand[key]) {
            host->in_use[key] = host->demand[key]; /* connections end by themselves */
        }
        if (wanted > host->in_use[key]) {
            host->in_use[key] = wanted;
        }
        if (host->in_use[key] <= cap) {
            host->over_since[key] = 0;
        } else if (host->over_since[key] == 0) {
            host->over_since[key] = cluster->now;
        } else if (cluster->now - host->over_since[key] >= cluster_timers.drain) {
            host->in_use[key] = cap;
        }
    }
}

/* ---- bridges ---- */

static void scan(const struct cluster *cluster, const struct host *host) {
    core_scan_begin(host->core, cluster->now);
    for (int key = 0; key < KEYS; key++) {
        if (host->in_use[key] > host->reserve[host->file][key]) {
            core_counter_update(host->core, cluster->now, (uint32_t)key, host->in_use[key],
                                host->demand[key]);
        }
    }
    core_scan_done(host->core, cluster->now, true);
}

static void set_share(struct cluster *cluster, int at, const struct core_action *action) {
    struct host *host = &cluster->host[at];
    uint32_t key = action->share.key;

    must(key < KEYS && action->share.share >= 0, "a share");
    must(action->share.share <= cluster->limit[host->file][key],
         "a share above the limit of this node");
    host->record[key] = true;
    host->share[key] = action->share.share;
    work(cluster, at);
    core_share_applied(host->core, cluster->now, key, action->share.grant, host->in_use[key]);
}

/* What changes with the file starts anew, from its home. */
static void commit(const struct cluster *cluster, struct host *host, uint64_t digest) {
    int file = (int)digest - 1;

    must(file == host->file || file == host->loaded, "a commit of something else");
    for (int key = 0; key < KEYS && file != host->file; key++) {
        bool same = cluster->limit[file][key] == cluster->limit[host->file][key];
        host->record[key] = host->record[key] && same;
    }
    host->file = file;
}

static void perform(struct cluster *cluster, int at) {
    struct host *host = &cluster->host[at];
    const struct core_action *action = NULL;
    int count = 0;

    while ((action = core_next_action(host->core)) != NULL) {
        must(++count < ACTIONS_MAX, "actions without end");
        switch (action->type) {
        case CORE_STORE_MEMORY:
            host->memory = action->memory;
            break;
        case CORE_SET_SHARE:
            set_share(cluster, at, action);
            break;
        case CORE_DROP_RECORD:
            must(action->share.key < KEYS, "a key");
            host->record[action->share.key] = false;
            break;
        case CORE_READ:
            must(action->share.key < KEYS, "a key");
            core_counter_update(host->core, cluster->now, action->share.key,
                                host->in_use[action->share.key], host->demand[action->share.key]);
            break;
        case CORE_SCAN:
            scan(cluster, host);
            break;
        case CORE_PROMISE:
            core_promise_done(host->core, cluster->now, true);
            break;
        case CORE_COMMIT:
            commit(cluster, host, action->commit.digest);
            break;
        case CORE_SEND_HEARTBEAT:
        case CORE_SEND_DEAL:
        case CORE_SEND_VOTE:
        case CORE_SEND_VOTE_REQUEST:
            cluster_publish(cluster, at, action);
            break;
        default:
            break;
        }
    }
    work(cluster, at);
}

static void feed(struct cluster *cluster, int at) {
    struct host *host = &cluster->host[at];

    host->feed_due = cluster->now + FEED_MS;
    for (int key = 0; key < KEYS; key++) {
        core_counter_update(host->core, cluster->now, (uint32_t)key, host->in_use[key],
                            host->demand[key]);
        perform(cluster, at);
    }
    bool fits = host->loaded != host->file;
    for (int key = 0; key < KEYS; key++) {
        fits = fits && host->in_use[key] <= host->home[host->loaded][key];
    }
    if (fits) {
        core_config_fits(host->core, cluster->now);
        perform(cluster, at);
    }
}

/* The liar's core speaks for it where it does not lie itself. */
static bool runs(const struct cluster *cluster, int at) {
    return honest(cluster, at) || cluster->lies != (LIES_REPORTS | LIES_VOTES | LIES_DEALS);
}

static void run_due(struct cluster *cluster) {
    while (cluster->posts > 0 && !cluster->post[cluster->posts - 1].used) {
        cluster->posts--;
    }
    for (int i = 0; i < cluster->posts; i++) {
        struct post *place = &cluster->post[i];
        if (place->used && place->due <= cluster->now) {
            place->used = false;
            if (runs(cluster, place->to)) {
                cluster_hand_over(cluster->host[place->to].core, cluster->now, &place->message);
                perform(cluster, place->to);
            }
        }
    }
    for (int i = 0; i < cluster->nodes; i++) {
        struct host *host = &cluster->host[i];
        if (!runs(cluster, i)) {
            continue;
        }
        work(cluster, i);
        if (cluster->now >= host->feed_due) {
            feed(cluster, i);
        }
        if (cluster->now >= core_next_tick(host->core)) {
            core_tick(host->core, cluster->now);
            perform(cluster, i);
        }
    }
}

static uint64_t next_due(const struct cluster *cluster) {
    uint64_t due = CORE_NEVER;

    for (int i = 0; i < cluster->posts; i++) {
        if (cluster->post[i].used && cluster->post[i].due < due) {
            due = cluster->post[i].due;
        }
    }
    for (int i = 0; i < cluster->nodes; i++) {
        const struct host *host = &cluster->host[i];
        uint64_t tick = core_next_tick(host->core);
        tick = tick < host->feed_due ? tick : host->feed_due;
        due = runs(cluster, i) && tick < due ? tick : due;
    }
    return due;
}

static void pass(struct cluster *cluster, uint64_t ms) {
    uint64_t until = cluster->now + ms;

    while (cluster->now < until) {
        uint64_t due = next_due(cluster);
        /* At least a millisecond: a core with nothing to do now may ask for it again at once. */
        due = due > cluster->now ? due : cluster->now + 1;
        cluster->now = due < until ? due : until;
        run_due(cluster);
    }
}

/* ---- what the input says ---- */

static void say_a_lie(struct cluster *cluster, struct input *input) {
    static struct message message;
    uint8_t to = input_byte(input); /* to each of them something else, if it likes */

    memset(&message, 0, sizeof message);
    if (!lie(cluster, input, LIAR, &message)) {
        return;
    }
    if (message.type == CORE_SEND_HEARTBEAT && message.heartbeat.sequence < (uint64_t)1 << 40) {
        cluster->lore.sequence[LIAR] = message.heartbeat.sequence;
    }
    cluster_mend(&message);
    cluster->lied++;
    for (int i = 0; i < cluster->nodes; i++) {
        if (honest(cluster, i) && (to >> i & 1) == 0) {
            cluster_hand_over(cluster->host[i].core, cluster->now, &message);
            perform(cluster, i);
        }
    }
}

/* The other file, unless one is pending. */
static void load(struct cluster *cluster, int at) {
    struct host *host = &cluster->host[at];
    const struct core_membership *next = &cluster->membership[1 - host->file];

    if (host->loaded != host->file || !runs(cluster, at) ||
        core_config_check(host->core, next) != CORE_CONFIG_PROPOSED) {
        return;
    }
    cluster->second = true;
    host->loaded = 1 - host->file;
    define(cluster, host);
    (void)core_config_propose(host->core, cluster->now, next);
    perform(cluster, at);
}

static void change_something(struct cluster *cluster, struct input *input) {
    unsigned from = input_below(input, (unsigned)cluster->nodes);
    uint8_t what = input_byte(input);

    if (what >= 224) {
        load(cluster, (int)from);
    } else if (cluster->whole) {
        cluster->delay[from] = what % 30;
    } else if (what < 64) {
        cluster->delay[from] = (uint64_t)what * 20;
    } else {
        cluster->cut[from] = what < 128 ? 0 : what - 96;
    }
}

void cluster_step(struct cluster *cluster, struct input *input) {
    uint8_t kind = input_byte(input);

    cluster->steps++;
    if (kind < 96) {
        pass(cluster, 1 + (uint64_t)kind * 4);
    } else if (kind < 128) {
        struct host *host = &cluster->host[kind % (unsigned)cluster->nodes];
        host->demand[0] = input_byte(input) % 48;
        host->demand[1] = input_byte(input) % 48;
    } else if (kind < 160) {
        change_something(cluster, input);
    } else {
        say_a_lie(cluster, input);
    }
}
