/* SPDX-License-Identifier: MIT */
/* A bridge that dies while it changes shares or limits, and the one that comes after it. The actor
 * does what the bridge does, with all that the controller has open as the bridge; so what dies is
 * the thread of control, and the controller opens the bridge anew after it. */
#include <stdio.h>
#include <string.h>

#include "../../../conf/conf.h"
#include "../../../shm/counter.h"
#include "../../../shm/limit.h"
#include "steps.h"

static const struct limits changed = {.hot = 1, .full = 2, .other = 30};

/* The next bridge. It starts with the configuration in force, or with the pending one if the
 * cluster says that it was committed. */
static void next_bridge(struct world *world, bool committed) {
    const struct header *header = world->segment->header;
    char error[512] = "";
    bool later = header->rules != world->rules || (committed && header->pending);
    struct conf *conf = world_conf(world, later ? changed : limits_start);
    control_close(world->control);
    world->control = NULL;
    int result = conf ? control_open(&world->control, conf, world_name(), world->directory, error,
                                     sizeof error)
                      : SLOTSHARE_ECONFIG;
    conf_free(conf);
    if (result != SLOTSHARE_OK) {
        mistake(world, "the next bridge cannot start: %s %s", slotshare_strerror(result), error);
    } else if (header->bridge_owner != world->bridge) {
        mistake(world, "the next bridge has another record: %u, not %u", header->bridge_owner,
                world->bridge);
    }
}

/* What a counter may have: by the rule sets, or as the bridge has set it, and then it may have kept
 * what was lowered while another set was pending. */
static void check_cap(struct world *world, uint32_t index, bool started_anew) {
    const struct counter *counter = &world->segment->counters[index];
    struct counter_setup setup;
    char name[SLOTSHARE_COUNTER_MAX + 1];
    if (use_kind(counter->use) != ENTRY_LIVE || counter_name(world->segment, index, name) < 0 ||
        counter->cap == CAP_UNSET) {
        return;
    }
    limit_read(world->segment, counter, name, &setup);
    bool dealt_anew = started_anew && index != world->heal.index && index != world->idle_long.index;
    uint32_t share = cap_share(counter->cap);
    bool good = counter->record ? !dealt_anew && share <= (index == world->hot.index ? 8 : 1)
                                : counter->cap == limit_cap(&setup);
    if (!good || cap_reserve(counter->cap) > (uint32_t)setup.reserve) {
        mistake(world, "%s has %s share of %u and a reserve of %u; home %d, reserve %d", name,
                counter->record ? "a recorded" : "the", share, cap_reserve(counter->cap),
                setup.home, setup.reserve);
    }
}

static void check_caps(struct world *world) {
    const struct header *header = world->segment->header;
    if (header->pending || header->gate != header->rules) {
        mistake(world, "a change is left half done");
    }
    for (uint32_t i = 0; i < counter_count(world->segment); i++) {
        check_cap(world, i, header->rules != world->rules);
    }
}

/* 0: what is pending is committed by the next bridge; 1: withdrawn; 2: the next bridge comes with
 * it. */
static void settle(struct world *world, int ending) {
    next_bridge(world, ending == 2);
    if (world->control && ending == 0 && world->segment->header->pending) {
        control_commit(world->control);
    } else if (world->control && ending == 1) {
        control_withdraw(world->control);
        control_relax(world->control);
    }
}

static uint32_t hot_count(const struct world *world) {
    return word_count(world->segment->counters[world->hot.index].word);
}

/* Somebody stands at i of a take while the bridge comes to j of its work and dies, and the next
 * one starts. Then the take goes on. */
static void taking_point(struct world *world, const struct op *op, int i, int j) {
    point_begin(world, (unsigned)i, (unsigned)j, 0, "take, %s", op->name);
    if (actor_start(world, 1, op_find("take"))) {
        if (i < 0) {
            actor_record(world, 1, &world->helper_track);
        } else {
            actor_go(world, 1, &world->helper_track, (unsigned)i);
        }
        walk(world, op, j);
        actor_kill(world, 0);
        world_reap(world);
        next_bridge(world, false);
        uint32_t before = hot_count(world);
        uint64_t cap = world->segment->counters[world->hot.index].cap;
        actor_finish(world, 1);
        uint32_t most = before > cap_share(cap) ? before : cap_share(cap); /* the reserve is 0 */
        if (hot_count(world) > most) {
            mistake(world, "%u are in use; %u were, and the share is %u", hot_count(world), before,
                    cap_share(cap));
        }
        (void)world_check(world, "finished");
    }
    point_end(world);
}

static void taking(struct world *world, const char *name) {
    const struct op *op = op_find(name);
    taking_point(world, op, -1, -1);
    unsigned count = world->victim_track.count;
    for (unsigned j = 0; j < count && !fed_up(world); j++) {
        for (unsigned i = j % world->stride;
             world->victim_track.differs[j] && i < world->helper_track.count && !fed_up(world);
             i += world->stride) {
            taking_point(world, op, (int)i, (int)j);
        }
    }
}

/* Meanwhile others can take, on a counter that no set changes. */
static void others(struct world *world) {
    struct slotshare_connection connection = connection_of("heal");
    slotshare_slot slot;
    if (slotshare_acquire(world->handle, &connection, &slot) != SLOTSHARE_OK) {
        mistake(world, "the controller cannot take a slot of a counter that has room");
        return;
    }
    world->mine[world->heal.index]++;
    controller_give(world, slot);
}

static void bridge_point(struct world *world, const struct op *op, int place, int ending) {
    point_begin(world, (unsigned)place, 0, ending, "%s", op->name);
    walk(world, op, place);
    others(world);
    actor_kill(world, 0);
    world_reap(world);
    settle(world, ending);
    check_caps(world);
    (void)world_check(world, "the next bridge has begun");
    point_end(world);
}

void mode_bridge(struct world *world) {
    static const char *const names[] = {"share", "publish", "replace", "commit", "withdraw"};
    world->rules = world->segment->header->rules;
    world->next_conf = world_conf(world, changed);
    for (unsigned k = 0; world->next_conf && k < sizeof names / sizeof names[0]; k++) {
        every_change(world, names[k], 3, bridge_point);
    }
    taking(world, "share");
    taking(world, "publish");
    conf_free(world->next_conf);
    world->next_conf = NULL;
}
