/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_CONTROL_H
#define SLOTSHARE_SHM_CONTROL_H
/**
 * The bridge's side of the segment: creating it, the session, the shares, what is wanted, reaping.
 * One bridge per segment: control_open() takes a lock that the kernel takes back when the bridge
 * dies. Not thread-safe, except control_doorbell_wait() and control_doorbell_ring(), which may run
 * in a thread of their own. Survives a kill at any point: a successor that calls control_open()
 * finds what its predecessor stored, and control_open() applies again every share that it had
 * stored without having finished to apply it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <slotshare/slotshare.h>

#include "../conf/conf.h"
#include "../conf/ruleset.h"

struct control;

/**
 * Become the bridge of the segment of this name, whether it is there or not. After this only
 * control_start(), control_exists(), control_path(), control_tell() and control_close() may be
 * called.
 *
 * @param name, directory  of the segment
 * @param error            what was wrong, where, and what to do
 * @return SLOTSHARE_OK; SLOTSHARE_EBUSY: another bridge serves the segment; SLOTSHARE_ENAME;
 *         SLOTSHARE_ESYSTEM.
 */
int control_claim(struct control **out, const char *name, const char *directory, char *error,
                  size_t error_size);

/** Is a segment of this boot of the host in its place? */
bool control_exists(const struct control *control);

/** The path of the segment's file, whether it is there or not; valid until control_close(). */
const char *control_path(const struct control *control);

/**
 * Open the segment, creating it from `conf` when there is none (or one from before a reboot of the
 * host), with the rule set of `pending` (NULL: none) pending from its first moment, so that nobody
 * takes more than was promised. An existing one keeps what is pending there. It must have a rule
 * set, in force or pending, of the digest of `conf`: a pending one is committed then, because its
 * commitment was written down elsewhere. Otherwise it is replaced if nobody uses it.
 * @return SLOTSHARE_OK, or what slotshare_open() returns; SLOTSHARE_EBUSY also when the segment
 *         has another configuration and processes use it.
 */
int control_start(struct control *control, const struct conf *conf, const struct conf *pending,
                  char *error, size_t error_size);

/** Both at once, where `conf` says. name, directory: instead of the configuration's; NULL: as
 * there. @return as these. */
int control_open(struct control **out, const struct conf *conf, const char *name,
                 const char *directory, char *error, size_t error_size);

/** Let the segment go; its state stays for the workers and for the next bridge. */
void control_close(struct control *control);

/** CLOCK_BOOTTIME in milliseconds: the clock of every deadline here. */
uint64_t control_now(void);

/** Random, new whenever the segment is created anew: stands for "host boot" in the protocol,
 * because all that was held before is gone with it. */
uint64_t control_incarnation(const struct control *control);

/** When the segment was created, on control_now()'s clock. */
uint64_t control_created(const struct control *control);

/** There is no segment yet: tell those who try to open it why, in a file beside it. NULL: take that
 * file away. What fails here is of no consequence. */
void control_tell(struct control *control, const char *why);

/** The rule set in force; valid until control_close(). */
struct ruleset control_rules(const struct control *control);

/** conf_digest() of the configuration in force, and of the pending one (0: there is none). */
uint64_t control_digest(const struct control *control);
uint64_t control_pending_digest(const struct control *control);

/**
 * A newer configuration is to follow: write its rule set beside the one in force. When this returns
 * every take keeps to the lower of both. Sizes in [node] and the names of the node and the segment
 * stay as they were. One that was pending before is withdrawn first; what it had lowered stays so
 * until control_relax().
 * @return SLOTSHARE_OK; SLOTSHARE_ECONFIG: error says what cannot be changed while workers run;
 *         SLOTSHARE_ESYSTEM; with both what was pending still is.
 */
int control_reload(struct control *control, const struct conf *conf, char *error,
                   size_t error_size);

/** The pending configuration is not to follow; what it had lowered stays so until control_relax().
 * Nothing happens when none is pending. */
void control_withdraw(struct control *control);

/** After a pending configuration was replaced or withdrawn, and the core has set the shares that it
 * told others of: all counters without a record go back to the opening deal. */
void control_relax(struct control *control);

/** Put a configuration of the same digest in the place of the one in force: line numbers, file and
 * URLs, which people are shown. Not while one is pending. @return as control_reload(). */
int control_refresh(struct control *control, const struct conf *conf, char *error,
                    size_t error_size);

/** The pending rule set, valid like control_rules(); its size is 0 when there is none. */
struct ruleset control_pending(const struct control *control);

/** Since control_reload() every counter has been seen with no more in use than its home under the
 * pending rule set. Scans the table. */
bool control_fits(struct control *control);

/** The pending rule set is in force; what it deals differently has its opening deal and no record.
 * A bridge that died in here is continued by control_open(). */
void control_commit(struct control *control);

/**
 * False once the segment's file has been removed or replaced: the segment is closed for good then
 * (workers are refused with SLOTSHARE_EGONE) and the bridge must end.
 */
bool control_still_there(struct control *control);

/**
 * What the share protocol must remember over a restart of the bridge (the host's memory of it, in
 * the segment). All zero in a new segment. Stored whole: a reader sees one version or the next.
 */
struct control_memory {
    uint64_t generation;        /**< of the bridge: +1 at each control_open(), already done there */
    uint64_t sequence;          /**< heartbeats sent so far, rounded up */
    uint64_t term, term_member; /**< highest term seen */
    uint64_t session_term, session_term_member, session_number; /**< 0: no session */
    uint64_t session_end; /**< E, control_now()'s clock; workers read this */
    uint64_t grant_floor;
    uint64_t vote_member, vote_boot, vote_generation; /**< for whom */
    uint64_t vote_until;                              /**< control_now()'s clock */
    uint64_t spare[4];
};
void control_memory_load(const struct control *control, struct control_memory *out);
void control_memory_store(struct control *control, const struct control_memory *memory);

/** A counter as the bridge sees it. */
struct control_counter {
    uint32_t index;
    const char *name; /**< valid until the next call on this control */
    uint64_t hash;    /**< deal_hash() of its name */
    int32_t limit;    /**< -1: unlimited; such a counter never goes over the network */
    int32_t home, reserve;
    int32_t share;  /**< what is stored: valid while the session is */
    bool record;    /**< the share was set by a grant, not by the opening deal */
    uint64_t grant; /**< sequence of that grant */
    int32_t in_use;
    int32_t wants; /**< in use + waiting + recent refusals (see control_wanted) */
};

/**
 * More is in use of a counter than this host may hold: how long until the first of these slots is
 * to have been given back; negative: since then.
 * @return false: nothing is in excess, or nobody waits for it; *left_ms is not touched
 */
bool control_excess_left(const struct control *control, uint32_t index, int64_t *left_ms);

/**
 * Find a counter by name, creating it when this host has none yet (the rule set gives its limit).
 * @return SLOTSHARE_OK; SLOTSHARE_ENAME: the rule set never makes this name;
 *         SLOTSHARE_ECOUNTERS; SLOTSHARE_EDAMAGED.
 */
int control_counter_find(struct control *control, const char *name, uint32_t *index);

/** The same, but create nothing. @return SLOTSHARE_OK; SLOTSHARE_EINVAL: this host has none of
 * this name; SLOTSHARE_EDAMAGED. */
int control_counter_look(struct control *control, const char *name, uint32_t *index);

/**
 * Keep the counter in the table (true) while the bridge knows it by its index; let it go (false).
 * An index is only good for what follows while it is pinned; control_open() lets all go.
 * @return false: it is no longer the counter of this name; nothing is pinned.
 */
bool control_pin(struct control *control, uint32_t index, const char *name);
void control_unpin(struct control *control, uint32_t index);

/** Read a counter. wants counts the refusals of the last second by their growth between calls,
 * so call it at least twice a second for a counter that matters. @return SLOTSHARE_OK or
 * SLOTSHARE_EINVAL (no such counter now). */
int control_counter_read(struct control *control, uint32_t index, struct control_counter *out);

/**
 * Set the share of a counter and mark it as recorded under this grant. When this returns no take
 * can succeed any more that had read the old share.
 * @return the number of slots in use at a moment after that; negative: an error.
 */
int32_t control_share_set(struct control *control, uint32_t index, int32_t share, uint64_t grant);

/** Forget a record: the share is the home again (the caller knows that it already is). */
void control_record_drop(struct control *control, uint32_t index);

/** Show people what the cluster holds, and whether the coordinator moves this counter. */
void control_cluster_in_use(struct control *control, uint32_t index, int32_t in_use);
void control_contended(struct control *control, uint32_t index, bool contended);

/** Walk counters. The visitor returns nonzero to stop. */
typedef int (*control_visitor)(const struct control_counter *counter, void *arg);
void control_each_record(struct control *control, control_visitor visit, void *arg);
/** All with more in use than their reserve (of limits that are enforced). Scans the table. */
void control_each_over_reserve(struct control *control, control_visitor visit, void *arg);
/** All with more in use than their home under the pending rule set, where that one enforces it.
 * Scans the table. */
void control_each_unfit(struct control *control, control_visitor visit, void *arg);
/** All with anything in use, or whose shares the coordinator moves now. Scans the table. */
void control_each_busy(struct control *control, control_visitor visit, void *arg);
/** All on which a take was refused or waits since the last call (each is reported once). */
void control_each_wanted(struct control *control, control_visitor visit, void *arg);

/** Sleep until a refused take rings, somebody calls control_doorbell_ring(), or the time is over.
 * @return true when it rang. */
bool control_doorbell_wait(struct control *control, int timeout_ms);
void control_doorbell_ring(struct control *control);

/** Give back what dead owners held. Cheap when none is dead: call it every 100 ms.
 * @return slots given back. */
uint32_t control_reap(struct control *control);

/** Retire counters that nobody uses, when the table fills up. Call it now and then.
 * @return entries that came free. */
uint32_t control_retire(struct control *control);

/**
 * For people: for how long the oldest slot of each counter has been held. Scans the slots.
 * @param count  how many there are: counters by their index
 * @return milliseconds, 0: none is held; free() it. NULL: no memory.
 */
uint32_t *control_oldest(const struct control *control, uint32_t *count);

/** Tell observers about member i (the order of the rule set). heard: control_now()'s clock. */
void control_member_heard(struct control *control, uint32_t i, uint64_t heard);
/** Which member is the coordinator; -1: none known. */
void control_coordinator(struct control *control, int member);

#endif
