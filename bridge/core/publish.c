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

static void fill_grants(struct core *core, uint64_t now, int at, struct core_part *part,
                        uint32_t *used) {
    for (uint32_t i = 0; i < core->active_count; i++) {
        struct entry *entry = coordinator_entry(core, core->active[i], at);
        if (due_grant(entry, now) && add_grant(core, part, used, core->active[i], entry)) {
            entry->resend = now + RESEND_MS;
        }
    }
}

static bool fill_part(struct core *core, uint64_t now, int at, struct core_part *part,
                      uint32_t *used) {
    struct peer *peer = &core->peer[at];
    uint32_t before = *used;

    *part = (struct core_part){.to = peer->hash,
                               .boot = peer->boot,
                               .ack = peer->ack,
                               .session = {core->term, peer->session},
                               .grant = &core->grant[before]};
    if (peer->ack != 0 && peer->admit) {
        if (!fill_admission(core, at, part, used)) {
            *used = before; /* another time: it will ask again */
            return false;
        }
    } else if (peer->state == PEER_LIVE) {
        fill_grants(core, now, at, part, used);
    }
    if (peer->ack != 0) {
        peer->last_ack = now; /* it may now count on T from when it sent that */
    } else if (part->grants == 0) {
        if (peer->hello == 0) {
            return false;
        }
        part->ack = peer->hello;
        part->boot = peer->said_boot;
        part->session = (struct core_session){.number = 0};
    }
    peer->ack = peer->hello = 0;
    peer->admit = false;
    return true;
}

/* @return true: somebody waits for an acknowledgement or a grant. */
static bool anything(const struct core *core, uint64_t now) {
    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        if (peer->hash != 0 && peer->ack != 0) {
            return true;
        }
        for (uint32_t a = 0; peer->state == PEER_LIVE && a < core->active_count; a++) {
            if (due_grant(coordinator_entry(core, core->active[a], i), now)) {
                return true;
            }
        }
    }
    return false;
}

static void fill_contended(struct core *core, uint64_t now) {
    struct core_deal *deal = &core->deal;

    if (now < core->whole_due) {
        return;
    }
    deal->whole = true;
    deal->contended = core->active_count;
    memcpy(core->contended_key, core->active, core->active_count * sizeof *core->active);
    deal->contended_key = core->contended_key;
    core->whole_due = now + core->timers.heartbeat;
}

bool publish_run(struct core *core, uint64_t now) {
    if (core->deal_busy || now < pace_earliest(core, core->publish_paid)) {
        return false;
    }
    core->publish_wanted = false;
    if (now < core->whole_due && !anything(core, now)) {
        return false;
    }
    uint32_t used = 0;
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
    fill_contended(core, now);
    for (int i = 0; i < core->peers; i++) {
        if (core->peer[i].hash != 0 &&
            fill_part(core, now, i, &core->part[core->deal.parts], &used)) {
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
