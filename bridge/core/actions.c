/* SPDX-License-Identifier: MIT */
/* What the shell has to do, in order. */
#include "internal.h"

bool core_drained(const struct core *core) {
    return core->action_head == core->action_tail;
}

static struct core_action *push_raw(struct core *core, enum core_action_type type, uint32_t spare) {
    if (core->action_tail + spare >= core->action_room) {
        return NULL;
    }
    struct core_action *action = &core->action[core->action_tail++];
    memset(action, 0, sizeof *action);
    action->type = type;
    return action;
}

void core_store_if_dirty(struct core *core) {
    if (core->memory_dirty) {
        struct core_action *action = push_raw(core, CORE_STORE_MEMORY, 0);
        if (action != NULL) {
            action->memory = core->memory;
            core->memory_dirty = false;
        }
    }
}

struct core_action *core_push(struct core *core, enum core_action_type type) {
    if (type == CORE_SET_SHARE || type == CORE_DROP_RECORD || type == CORE_COMMIT ||
        type == CORE_READ) {
        return push_raw(core, type, 0); /* room was made for these: see core_create() */
    }
    uint32_t spare = 2 * core->keys + ACTIONS_SPARE / 2;
    if (core->action_tail + spare >= core->action_room) {
        return NULL; /* as if the message had been lost */
    }
    core_store_if_dirty(core);
    return push_raw(core, type, spare);
}

const struct core_action *core_next_action(struct core *core) {
    if (core->any_taken && core->taken == CORE_SEND_HEARTBEAT) {
        core->heartbeat_busy = false;
    } else if (core->any_taken && core->taken == CORE_SEND_DEAL) {
        core->deal_busy = false;
    }
    core->any_taken = false;
    if (core->action_head == core->action_tail) {
        core->action_head = core->action_tail = 0;
        return NULL;
    }
    const struct core_action *action = &core->action[core->action_head++];
    core->any_taken = true;
    core->taken = action->type;
    return action;
}

uint64_t pace_earliest(const struct core *core, uint64_t paid) {
    uint64_t burst = (uint64_t)(BURST - 1) * core->timers.coalesce;
    return paid > burst ? paid - burst : 0;
}

uint64_t pace_pay(const struct core *core, uint64_t paid, uint64_t now) {
    return (paid > now ? paid : now) + core->timers.coalesce;
}
