/* SPDX-License-Identifier: MIT */
/* What another member has promised and this one has not, because another file took the place of
 * that in the very moment (rule 22). Nobody goes over when a shell does not heed it; but nothing
 * else can be committed then. */
#include "internal.h"

/* Somebody else who has promised a configuration beyond what is committed here (by a new node,
 * nothing), and not committed it. One that is not heard any more binds nobody. @return NULL: nobody
 * has. Several have never promised different ones. */
static const struct peer *promiser(const struct core *core, uint64_t now) {
    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        if (peer->hash != 0 && peer->hash != core->self && !peer->vouched_dead &&
            config_heard_lately(core, now, peer) && peer->said_ready > core->committed.epoch) {
            return peer;
        }
    }
    return NULL;
}

bool core_former_binds(const struct core *core, uint64_t now) {
    bool open = core->pending.members != 0 && !core->promised;
    const struct peer *other = open ? promiser(core, now) : NULL;

    return other != NULL && other->said_ready_digest == core->pending.digest;
}

uint64_t core_former_wanted(const struct core *core, uint64_t now) {
    bool bound = core->promised || core->overtaken;
    const struct peer *other = bound ? NULL : promiser(core, now);

    return other != NULL && other->said_ready_digest != core->pending.digest
               ? other->said_ready_digest
               : 0;
}

bool core_former_alone(const struct core *core, uint64_t now) {
    bool alone = core->pending.members != 0 && !core->promised && !core->overtaken;

    for (int i = 0; i < core->peers && alone; i++) {
        const struct peer *peer = &core->peer[i];
        if (peer->hash == 0 || peer->hash == core->self || peer->vouched_dead) {
            continue;
        }
        alone = config_heard_lately(core, now, peer) && peer->said_ready <= core->committed.epoch &&
                peer->said_proposed != core->pending.digest &&
                peer->said_digest != core->pending.digest;
    }
    return alone;
}
