/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_DAEMON_H
#define SLOTSHARE_BRIDGE_DAEMON_H
/**
 * The bridge: joins the protocol core to the segment, the network and the clock. One thread does
 * everything; a second one only sleeps on the segment's doorbell, a third one (watchdog.h) looks
 * whether the first still turns, and nng and the gate have their own. Signals SIGTERM, SIGINT and
 * SIGHUP must be blocked before daemon_open() is called.
 */
#include "../conf/conf.h"
#include "log.h"
#include "watchdog.h"

struct daemon;

struct daemon_options {
    const char *config; /**< path of the configuration; must outlive the daemon */
    const char *name,
        *directory; /**< of the segment, instead of the configuration's; NULL: as there */
    bool
        found; /**< this node's file is the cluster's first configuration: do not wait for others */
};

/** log must outlive it, and follows what the configuration says of it. @return 0; -1: *out is NULL,
 * errors has lines that say what was wrong, where, and what to do; conf_errors_free() it in any
 * case. */
int daemon_open(struct daemon **out, const struct daemon_options *options, struct log *log,
                struct conf_errors *errors);

enum daemon_end {
    DAEMON_STOPPED, /**< SIGTERM or SIGINT: what was not in use is handed back */
    DAEMON_GONE,    /**< the segment was removed or replaced */
    DAEMON_STUCK,   /**< the network library has lost a connection that could be made */
    DAEMON_BROKEN,  /**< what the cluster has committed could not be stored or put into force */
};

/** Work until there is a reason to end, and show `dog`, which must outlive the daemon, each turn.
 */
enum daemon_end daemon_run(struct daemon *daemon, struct watchdog *dog);

/** Let everything go; the segment stays. The process must end after it: network and web are left
 * to the kernel (see net_close(), web_open()). */
void daemon_close(struct daemon *daemon);

#endif
