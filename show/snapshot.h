/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHOW_SNAPSHOT_H
#define SLOTSHARE_SHOW_SNAPSHOT_H
/**
 * What shmstat shows: everything of interest in a segment, read at one time. The segment is
 * opened read-only, always, and opened again by itself when it was removed or replaced.
 * Not thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <slotshare/stat.h>

enum { SNAPSHOT_UNKNOWN = -1 /**< a rate before there are two readings to compare */ };

struct counter_row {
    struct slotshare_counter_stat stat;
    const char *scope;  /**< its name */
    int64_t takes_rate; /**< per second since the last snapshot, or SNAPSHOT_UNKNOWN */
    int64_t refusals_rate;
    int64_t would_refuse_rate;
    const char *enforced; /**< "yes", "no", or "" without a limit */
};

/** One process: its owner records taken together. */
struct owner_row {
    struct slotshare_owner_stat stat; /**< of the leader; command made its own string */
    uint32_t threads;                 /**< records, the leader's included */
    uint32_t waiting;                 /**< threads that sleep for a slot */
    uint32_t waiting_on;              /**< counter of the first of them */
    const char *waiting_for;          /**< its name; "" when none waits */
    const char *state;                /**< "alive", "dead", "bridge" */
    int64_t waiting_ms;               /**< for how long that one has waited; -1: none does */
    int64_t oldest_ms; /**< for how long its oldest slot is held; -1: it holds none */
    bool concerned;    /**< holds a slot of the chosen counter, if one is chosen */
};

struct slot_row {
    struct slotshare_slot_stat stat;
    const char *counter; /**< its name; "?" when it has just gone */
    const char *command; /**< of the process; "?" when it has just gone */
};

struct member_row {
    struct slotshare_member_stat stat;
    const char *state; /**< "this node", "connected", "silent", "never heard" */
    const char *role;  /**< "coordinator" or "" */
};

/** What a node holds of a counter, or of all, as this host's bridge last heard. */
struct node_row {
    char name[SLOTSHARE_BINDING_MAX + 1];
    char state[16]; /**< "this node", "connected", "silent", "never heard" */
    char role[16];  /**< "coordinator", "witness" or "" */
    int session;    /**< false: it said that it has none, and so keeps to its reserve */
    int in_use;
    int share;         /**< -1: no limit, not known, or not of one counter */
    int wants;         /**< in use, and asked for */
    int64_t oldest_ms; /**< for how long its oldest slot is held; -1: none is, or not known */
    int64_t heard_ms;  /**< -1: never, or this node */
};

/** Something that the cluster waits for before a slot can move. */
struct wait_row {
    char what[512];
    int64_t until_ms; /**< since 1970; 0: nobody can say */
};

/** Something that the bridge has logged. */
struct event_row {
    uint64_t number;
    int64_t time_ms; /**< since 1970 */
    char level[16], event[64];
    char text[512]; /**< its key=value pairs */
};

struct segment_row {
    struct slotshare_segment_stat stat;
    char incarnation[17]; /**< hexadecimal, because JSON's numbers end at 2^53 */
    const char *bridge;   /**< "alive", "dead", or "none" on a single host */
    const char *session;  /**< "valid", "none", or "" on a single host */
    uint32_t reaping;     /**< processes that are dead and whose slots are being given back */
};

/** Strings in rows point into the snapshot or are constant; all valid until the next read. */
struct snapshot {
    struct segment_row segment;
    struct counter_row *counter; /**< not the idle ones, unless asked for */
    struct owner_row *owner;
    struct slot_row *slot;
    struct member_row *member;
    struct node_row *node;   /**< as told.h fills it in; else none */
    struct event_row *event; /**< the same */
    struct wait_row *wait;   /**< the same */
    size_t counters, owners, slots, members, nodes, events, waits;
    size_t room_counters, room_owners, room_slots, room_members;
    const char *from; /**< the counters are as this node has told them; NULL: as here */
    bool told;        /**< the bridge has answered: see told.h */
    size_t idle;      /**< counters left out */
    bool damaged;     /**< some entries made no sense and were left out */
};

/** What to read. */
struct snapshot_choice {
    bool idle;           /**< also counters on which nothing is held, waited for or asked */
    const char *counter; /**< only this counter (idle or not), its slots, and the owners that hold
                            or want one; NULL: all */
};

/** What a counter's totals were at the last reading. */
struct totals {
    uint64_t name; /**< hash: another counter may have taken the place */
    uint64_t takes, refusals, would_refuse;
};

/** A segment that is being watched. */
struct source {
    const char *name, *directory; /**< as given by the user; may be NULL */
    slotshare *handle;            /**< NULL: there is none now */
    uint64_t incarnation;         /**< of the segment read last; 0: none yet */
    bool replaced;                /**< the last read was of another segment than the one before */
    struct totals *before;        /**< by the counter's place in the table */
    uint32_t before_count;
    uint64_t before_ms; /**< when they were read, CLOCK_MONOTONIC; 0: never */
    char error[4096];   /**< why the last call failed */
};

/**
 * Open the segment.
 * @return SLOTSHARE_OK, or what slotshare_open() returns, with source->error telling the story.
 */
int source_open(struct source *source, const char *name, const char *directory);
void source_close(struct source *source);

/**
 * Read everything. A segment that is gone is opened anew, if there is one by now.
 *
 * @param out  zeroed before the first use; reused from call to call
 * @return SLOTSHARE_OK; else source->error tells why, and *out is as before: what
 *         slotshare_open() returns when the segment is gone, SLOTSHARE_EDAMAGED; or
 *         SLOTSHARE_ESYSTEM (no memory), when *out holds a part.
 */
int snapshot_read(struct source *source, const struct snapshot_choice *choice,
                  struct snapshot *out);
void snapshot_free(struct snapshot *snapshot);

#endif
