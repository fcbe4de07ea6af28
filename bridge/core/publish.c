/* SPDX-License-Identifier: MIT */
#include "internal.h"

static bool due_grant(const struct entry *entry, uint64_t now) {
    return entry->present && !entry->confirmed && entry->resend <= now;
}

/* @return false: no room left in this message. */
static bool add_grant(struct core *core, struct core_part *part, uint32_t *used, uint32_t key,
                      const struct entry *entry) {
    if (*used == 2 * core->keys) {
        return false;
    }
    core->grant[*used] = (struct core_grant){key, entry->share, entry->grant};
    part->grants++;
    (*used)++;
    return true;
}

/* The records of an admission: every counter that was ever dealt in this leadership; of the others
 * the accounts say what the member has without a record, its home. */
static bool fill_admission(struct core *core, int at, struct core_part *part, uint32_t *used) {
    const struct peer *peer = &core->peer[at];

    part->admission = true;
    part->grant_floor = peer->grant_floor;
    for (uint32_t i = 0; i < core->active_count; i++) {
        struct entry *entry = coordinator_entry(core, core->active[i], at);
        if (!entry->present || entry->grant == 0) {
            continue;
        }
        if (!add_grant(core, part, used, core->active[i], entry)) {
            return false;
        }
        entry->resend = CORE_NEVER;
    }
    return true;
}

static void fill_grants(struct core *core, uint64_t now, int at, uint32_t granting,
                        struct core_part *part, uint32_t *used) {
    for (uint32_t i = 0; i < granting; i++) {
        struct entry *entry = coordinator_entry(core, core->granting[i], at);
        if (due_grant(entry, now) && add_grant(core, part, used, core->granting[i], entry)) {
            entry->resend = MUTANT(core, MUTANT_NO_RESEND) ? CORE_NEVER : now + RESEND_MS;
        }
    }
}

static bool fill_part(struct core *core, uint64_t now, int at, uint32_t granting,
                      struct core_part *part, uint32_t *used) {
    struct peer *peer = &core->peer[at];
    uint32_t before = *used;

    *part = (struct core_part){.to = peer->hash,
                               .boot = peer->boot,
                               .ack = peer->ack,
                               .heard = peer->taken_in,
                               .session = {core->term, peer->session},
                               .grant = &core->grant[before]};
    if (peer->ack != 0 && peer->admit) {
        if (!fill_admission(core, at, part, used)) {
            *used = before; /* another time: it will ask again */
            return false;
        }
    } else if (peer->state == PEER_LIVE) {
        fill_grants(core, now, at, granting, part, used);
    }
    if (peer->ack != 0) {
        peer->last_ack = now; /* it may now count on T from when it sent that */
    } else if (part->grants == 0) {
        if (peer->hello == 0) {
            return false;
        }
        part->ack = peer->hello;
        part->heard = 0;
        part->boot = peer->said_boot;
        part->session = (struct core_session){.number = 0};
    }
    peer->ack = peer->hello = 0;
    peer->admit = false;
    return true;
}

void publish_at(struct core *core, uint64_t at) {
    core->publish_due = at < core->publish_due ? at : core->publish_due;
}

static void contend(struct core *core, uint32_t key) {
    core->contended_key[core->deal.contended++] = key;
}

/* Some live member has said nothing of it since the row was made. */
static bool unheard(const struct core *core, uint32_t key) {
    for (int i = 0; i < core->peers; i++) {
        const struct entry *entry = coordinator_entry(core, key, i);
        if (core->peer[i].state == PEER_LIVE && entry->present && entry->limit < 0) {
            return true;
        }
    }
    return false;
}

/* New rows are named until everybody has said what it wants of them. */
static void ask(struct core *core, uint64_t now, uint32_t key) {
    struct row *row = &core->row[key];

    if (row->ask_due <= now) {
        bool again = row->asks < ASKS_MAX && unheard(core, key);
        row->ask_due = again ? now + RESEND_MS : CORE_NEVER;
        row->asks++;
        if (again && !core->deal.whole) {
            contend(core, key);
        }
    }
    publish_at(core, row->ask_due);
}

/* Collect the rows that have grants to be sent now, and learn when the next are due. */
static bool collect(struct core *core, uint64_t now, uint32_t key) {
    struct row *row = &core->row[key];
    bool due = false, waiting = false;

    for (int i = 0; row->granting && i < core->peers; i++) {
        const struct entry *entry = coordinator_entry(core, key, i);
        if (core->peer[i].state == PEER_LIVE && entry->present && !entry->confirmed) {
            waiting = true;
            due = due || entry->resend <= now;
            publish_at(core, entry->resend > now ? entry->resend : now + RESEND_MS);
        }
    }
    row->granting = waiting;
    return due;
}

/* @return the number of rows in core->granting. */
static uint32_t look_at_rows(struct core *core, uint64_t now) {
    uint32_t granting = 0;

    core->deal.whole = now >= core->whole_due;
    core->deal.contended_key = core->contended_key;
    for (uint32_t i = 0; i < core->active_count; i++) {
        uint32_t key = core->active[i];
        if (core->deal.whole) {
            contend(core, key);
        }
        ask(core, now, key);
        if (collect(core, now, key)) {
            core->granting[granting++] = key;
        }
    }
    if (core->deal.whole) {
        core->whole_due = now + WHOLE_MS;
    }
    return granting;
}

bool publish_run(struct core *core, uint64_t now) {
    if (core->deal_busy || now < pace_earliest(core, core->publish_paid) ||
        (now < core->publish_due && now < core->regular_deal_due && now < core->whole_due)) {
        return false;
    }
    uint32_t used = 0;
    core->regular_deal_due = now + core->timers.heartbeat;
    core->publish_due = core->regular_deal_due;
    core->deal = (struct core_deal){.from = core->self,
                                    .term = core->term,
                                    .time = now,
                                    .epoch = core->committed.epoch,
                                    .epoch_digest = core->committed.digest,
                                    .minority = core->minority,
                                    .part = core->part};
    if (!core->minority && config_agreed(core, now)) {
        core->deal.agreed = core->pending.epoch;
        core->deal.agreed_digest = core->pending.digest;
    }
    uint32_t granting = look_at_rows(core, now);
    for (int i = 0; i < core->peers; i++) {
        if (core->peer[i].hash != 0 &&
            fill_part(core, now, i, granting, &core->part[core->deal.parts], &used)) {
            core->deal.parts++;
        }
    }
    core->publish_paid = pace_pay(core, core->publish_paid, now);
    struct core_action *action = core_push(core, CORE_SEND_DEAL);
    if (action == NULL) {
        return false;
    }
    action->deal = &core->deal;
    core->deal_busy = true;
    core->stats.deals++;
    member_on_deal(core, now, &core->deal); /* the coordinator is a member too */
    return true;
}
