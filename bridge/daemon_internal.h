/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_DAEMON_INTERNAL_H
#define SLOTSHARE_BRIDGE_DAEMON_INTERNAL_H
/** What the parts of the daemon share: daemon_open.c, daemon.c (main loop), daemon_act.c (what the
 * core orders), daemon_hear.c (messages of members), daemon_show.c (observers, log, totals). */
#include <pthread.h>
#include <stdatomic.h>

#include "core/core.h"
#include "daemon.h"
#include "keys.h"
#include "net.h"
#include "totals.h"
#include "wire.h"

/** A counter as it was read from the segment, on its way to the core. */
struct sighting {
    uint32_t key;
    int32_t in_use, wants;
};

struct sightings {
    struct sighting *list;
    size_t count, room;
    bool complete; /**< nothing was left out for want of memory or keys */
};

/** When the main loop does what again, on control_now()'s clock. */
struct schedule {
    uint64_t watch, reap, tend, totals, sweep, alive;
};

/** What the log and the observers know already. */
struct shown {
    uint64_t coordinator; /**< hash; 0: none */
    bool leading, session;
    uint64_t session_number;
    struct core_stats stats;
};

struct refusals {
    struct log_rate rate[WIRE_RESULTS];
    uint64_t count[WIRE_RESULTS];
};

struct daemon {
    const struct conf *conf;
    const struct log *log;
    struct control *control;
    struct core *core;
    struct keys *keys;
    struct net *net;
    struct totals *totals;
    struct wire_encoder *encoder;
    struct wire_decoder *decoder[CONF_MEMBERS_MAX]; /**< NULL for this node itself */
    struct wire_names names;
    struct core_timers timers;
    uint64_t hash[CONF_MEMBERS_MAX]; /**< of the members' names */
    uint64_t now;                    /**< of the event that is being fed */

    int signal_fd, doorbell_fd;
    pthread_t doorbell;
    bool doorbell_runs;
    atomic_bool doorbell_stop;

    struct schedule next;
    uint64_t alive_ms; /**< how often the service manager wants to hear from us; 0: never */
    struct sightings seen;
    uint32_t *watched; /**< copy of core_watched(), as many as there may be keys */
    uint32_t keys_max;
    bool scan_wanted;
    uint64_t leave_until; /**< 0: not leaving */
    uint64_t totals_sweep;

    struct control_memory memory; /**< as last stored */
    struct shown shown;
    struct refusals refused[CONF_MEMBERS_MAX];
    struct log_rate send_rate, share_rate, keys_rate, warn_rate, trouble_rate;
};

/** Perform what the core orders, until nothing is left; call it after every event. */
void daemon_act(struct daemon *daemon);

/** Feed what control's visitors see: begin, pass daemon_sight as the visitor, then feed. */
void daemon_sightings_begin(struct daemon *daemon);
int daemon_sight(const struct control_counter *counter, void *daemon);
void daemon_sightings_feed(struct daemon *daemon);

/** Take and use what has come from member i; a bounded number of messages. */
void daemon_hear(struct daemon *daemon, uint32_t i);

/** Tell observers and the log what has changed. */
void daemon_show(struct daemon *daemon);
/** Publish what is in use here, and show the sums over all members. */
void daemon_totals(struct daemon *daemon);
/** Publish a message; failures are logged and counted, the protocol lives with the loss. */
void daemon_send(struct daemon *daemon, const struct wire_message *message);
/** A member's name for the log; "?" when the hash is none's. */
const char *daemon_member_name(const struct daemon *daemon, uint64_t hash);

#endif
