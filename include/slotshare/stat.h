/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_STAT_H
#define SLOTSHARE_STAT_H
/**
 * Looking into a segment: what monitors need. Nothing here writes to the segment; a handle that
 * was opened read-only is enough. Every value is read while workers go on, so two values may be
 * from two moments; each one by itself is whole. All functions may be called from any thread;
 * none is async-signal-safe. Structures may grow at their end in later versions of layout; they
 * are filled by the library and only read by the caller.
 */
#include "slotshare.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The segment as a whole. */
struct slotshare_segment_stat {
    char name[SLOTSHARE_NAME_MAX + 1];
    char path[512];       /**< of the segment's file */
    uint32_t layout;      /**< layout version */
    uint64_t incarnation; /**< random, new whenever the segment is created anew */
    uint64_t rules;       /**< how often the rule set was loaded, from 1 */
    uint64_t age_ms;      /**< milliseconds since it was created */
    uint32_t counters_used;
    uint32_t counters_room; /**< for so many there is room now */
    uint32_t counters_max;  /**< and for so many when needed: the table grows by itself */
    uint32_t owners_used, owners_max;
    uint32_t slots_used, slots_max;
    uint64_t reaps;                       /**< dead owners whose slots were given back */
    uint64_t slots_reaped;                /**< slots given back for them */
    int clustered;                        /**< nonzero: there is a [cluster] section */
    char node[SLOTSHARE_BINDING_MAX + 1]; /**< this host's member name */
    int bridge_alive;                     /**< nonzero: a bridge serves this segment */
    int session;                          /**< nonzero: a session is valid */
    int64_t session_left_ms;              /**< until the session ends; negative: since it ended */
    char coordinator[SLOTSHARE_BINDING_MAX + 1]; /**< as last heard; empty: none known */
    int drained; /**< nonzero: by an operator's word this host takes no new slots */
};

/** One counter. */
struct slotshare_counter_stat {
    char name[SLOTSHARE_COUNTER_MAX + 1];
    char source[256]; /**< file:line of its limit; empty: none */
    enum slotshare_scope scope;
    int limit;               /**< of the cluster; SLOTSHARE_UNLIMITED: none */
    int share;               /**< what this host may hold now */
    int reserve;             /**< what it keeps when it is cut off */
    int in_use;              /**< slots held on this host */
    int peak;                /**< the most that were held at once on this host */
    int waiting;             /**< owners that sleep in slotshare_acquire_wait() for it */
    int cluster_in_use;      /**< as last heard from all hosts */
    int contended;           /**< nonzero: the coordinator moves its shares now */
    uint64_t takes;          /**< slots taken; may miss a few when processes race */
    uint64_t refusals;       /**< takes refused; may miss a few when processes race */
    uint32_t index;          /**< its place in the table, as slot statistics name it */
    int excess;              /**< slots in use above the share: see slotshare_excess() */
    int64_t excess_left_ms;  /**< until the first of them must have been given back; negative: since
                                  then; 0: none is in excess, or nobody waits for it */
    int64_t longest_wait_ms; /**< for how long the first of `waiting` has slept; -1: none does */
    int observed;            /**< nonzero: nothing is refused here: the limit is only observed */
    uint64_t would_refuse;   /**< of takes: those that would have been refused if the limit were
                                  enforced; may miss a few when processes race */
};

/** One owner: a process, or one more thread of a process. */
struct slotshare_owner_stat {
    uint32_t index;  /**< its record */
    uint32_t leader; /**< the record that stands for its whole process */
    int32_t pid;     /**< for display: of the pid namespace it attached in */
    int alive;       /**< nonzero: the kernel says that the process lives */
    int bridge;      /**< nonzero: the bridge itself */
    uint32_t held;   /**< slots held by the whole process (leaders only) */
    uint64_t age_ms; /**< milliseconds since it attached */
    int waiting;     /**< nonzero: it sleeps for a slot of counter waiting_on */
    uint32_t waiting_on;
    char command[16];   /**< as ps shows it */
    int64_t waiting_ms; /**< for how long it has slept for a slot; -1: it does not */
};

/** One slot that is held. */
struct slotshare_slot_stat {
    uint32_t counter; /**< index of its counter */
    uint32_t owner;   /**< leader record of the process that holds it */
    int32_t pid;
    uint64_t age_ms; /**< since when, to about a tenth of a second */
};

/** One member of the cluster. */
struct slotshare_member_stat {
    char name[SLOTSHARE_BINDING_MAX + 1];
    char url[256];
    int self;         /**< nonzero: this host */
    int coordinator;  /**< nonzero: it moves the shares, as last heard */
    int connected;    /**< nonzero: heard within the last two seconds, or this host */
    int64_t heard_ms; /**< milliseconds since it was last heard; -1: never */
    int drained;      /**< nonzero: by an operator's word it takes no new slots */
};

/** Return nonzero from a visitor to stop the walk. */
typedef int (*slotshare_counter_visitor)(const struct slotshare_counter_stat *counter, void *arg);
typedef int (*slotshare_owner_visitor)(const struct slotshare_owner_stat *owner, void *arg);
typedef int (*slotshare_slot_visitor)(const struct slotshare_slot_stat *slot, void *arg);
typedef int (*slotshare_member_visitor)(const struct slotshare_member_stat *member, void *arg);

/**
 * Fill in the statistics of the whole segment.
 * @return SLOTSHARE_OK; SLOTSHARE_EINVAL; SLOTSHARE_EGONE: the file was removed or replaced,
 *         *out is filled all the same; SLOTSHARE_EDAMAGED.
 */
SLOTSHARE_API int slotshare_stat_segment(slotshare *handle, struct slotshare_segment_stat *out);

/**
 * Visit every counter, owner, held slot, or member. What the visitor is given is valid during the
 * call only.
 * @return SLOTSHARE_OK, also when the visitor stopped the walk; SLOTSHARE_EINVAL;
 *         SLOTSHARE_EDAMAGED: some entries made no sense and were left out.
 */
SLOTSHARE_API int slotshare_stat_counters(slotshare *handle, slotshare_counter_visitor visit,
                                          void *arg);
SLOTSHARE_API int slotshare_stat_owners(slotshare *handle, slotshare_owner_visitor visit,
                                        void *arg);
SLOTSHARE_API int slotshare_stat_slots(slotshare *handle, slotshare_slot_visitor visit, void *arg);
SLOTSHARE_API int slotshare_stat_members(slotshare *handle, slotshare_member_visitor visit,
                                         void *arg);

#ifdef __cplusplus
}
#endif
#endif
