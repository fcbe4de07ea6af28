/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_LAYOUT_H
#define SLOTSHARE_SHM_LAYOUT_H
/**
 * What lies in a segment's file, byte for byte. All processes of a host map it; several versions
 * of the library may do so at once, so any change here needs a new LAYOUT_VERSION.
 *
 *     +---------------------+ 0
 *     | header, one page    |  sizes, hash secret, session, doorbell, bridge's memory
 *     +---------------------+ owners_offset
 *     | owners              |  one per worker thread; record 0 stands for nobody
 *     +---------------------+ chunks_offset
 *     | chunks              |  which process owns which SLOTS_PER_CHUNK slot records
 *     +---------------------+ slots_offset
 *     | slots               |
 *     +---------------------+ buckets_offset
 *     | buckets             |  heads of the hash chains of counters
 *     +---------------------+ wanted_offset
 *     | wanted bits         |  counters on which a take was refused, and a summary of them
 *     +---------------------+ rules_offset
 *     | rule set x 2        |  the one in force, and room for the next
 *     +---------------------+ counters_offset
 *     | counters            |  counters_now of them have room on the disk; the table grows in
 *     |   ...               |  place, into a part of the file that is mapped but still a hole
 *     +---------------------+ size
 *
 * Beside NAME.seg lies NAME.lock, a file of no content whose bytes are locked (lock.h).
 */
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <slotshare/slotshare.h>

#include "../conf/conf.h"

#define LAYOUT_MAGIC UINT64_C(0x31524853544f4c53) /* "SLOTSHR1" */

enum {
#ifdef SLOTSHARE_PRETEND_NEXT
    LAYOUT_VERSION = 5,
#else
    LAYOUT_VERSION = 4,
#endif
    HEADER_BYTES = 4096,
    CACHE_LINE = 64,
    SLOTS_PER_CHUNK = 16,
    SECRET_BYTES = 192,
    COUNT_MAX = (1 << 20) - 2, /* slots in use on one counter */
    COUNT_RETIRED = (1 << 20) - 1,
    CAP_UNLIMITED = (1 << 20) - 1,
    OWNER_NOBODY = 0,
    NAME_INLINE = 15, /* words of a counter's name in its own entry */
    NAME_PART = 30,   /* words in each further entry that a long name takes */
    NAME_PARTS_MAX = 3,
    PROOFS = 16, /* of an owner; see slot.h */
    NONE = 0,    /* "index + 1" fields: no index */
};

/* ---- a counter's word: {count:20, owner:12, seq:32} --------------------------------------- */

static inline uint64_t word_make(uint32_t count, uint32_t owner, uint32_t seq) {
    return (uint64_t)count << 44 | (uint64_t)owner << 32 | seq;
}
static inline uint32_t word_count(uint64_t word) {
    return (uint32_t)(word >> 44);
}
static inline uint32_t word_owner(uint64_t word) {
    return (uint32_t)(word >> 32) & 0xfff;
}
static inline uint32_t word_seq(uint64_t word) {
    return (uint32_t)word;
}
/* {owner, seq}: who changed the word last, and under which announcement. */
static inline uint64_t word_tag(uint64_t word) {
    return word & ((UINT64_C(1) << 44) - 1);
}

/* ---- a counter's cap: {unset:1, zero:22, observe:1, share:20, reserve:20}; CAP_UNLIMITED in
 * both: no limit ------------------------------------------------------------------------------ */

static inline uint64_t cap_make(uint32_t share, uint32_t reserve) {
    return (uint64_t)share << 20 | reserve;
}
static inline uint32_t cap_share(uint64_t cap) {
    return (uint32_t)(cap >> 20) & 0xfffff;
}
static inline uint32_t cap_reserve(uint64_t cap) {
    return (uint32_t)cap & 0xfffff;
}

/* Nothing is refused: a take that the rest of the cap would refuse is counted, and succeeds. The
 * bit lies in the same word as the numbers, so a take sees either all of a cap or none of it. */
#define CAP_OBSERVE (UINT64_C(1) << 40)

/* What the cap keeps anybody to, while the session is valid. */
static inline uint32_t cap_enforced_share(uint64_t cap) {
    return cap & CAP_OBSERVE ? (uint32_t)CAP_UNLIMITED : cap_share(cap);
}

/* A counter that is in the table, but whose limit its inserter has yet to look up once more: no
 * take succeeds under this cap. See limit.h. */
#define CAP_UNSET (UINT64_C(1) << 63)

/* ---- an owner's announcement: {seq:32, slot:28, what:3, ack:1} ----------------------------- */

enum announce_what {
    ANNOUNCE_IDLE = 0, /* nothing in flight; seq is the last one used */
    ANNOUNCE_TAKE = 1,
    ANNOUNCE_GIVE = 2,
};
#define ANNOUNCE_ACK UINT64_C(1)

static inline uint64_t announce_make(uint32_t seq, uint32_t slot, enum announce_what what) {
    return (uint64_t)seq << 32 | (uint64_t)slot << 4 | (uint64_t)what << 1;
}
static inline uint32_t announce_seq(uint64_t announce) {
    return (uint32_t)(announce >> 32);
}
static inline uint32_t announce_slot(uint64_t announce) {
    return (uint32_t)(announce >> 4) & 0xfffffff;
}
static inline uint32_t announce_what(uint64_t announce) {
    return (uint32_t)(announce >> 1) & 7;
}

/* ---- a slot's word: {seq:32, owner:12, zero:18, state:2} ----------------------------------- */

enum slot_state {
    SLOT_FREE = 0,
    SLOT_HELD = 1,   /* by the take that {owner, seq} names */
    SLOT_GIVING = 2, /* the give-back that {owner, seq} names has claimed it */
};

static inline uint64_t slot_make(uint32_t owner, uint32_t seq, enum slot_state state) {
    return (uint64_t)seq << 32 | (uint64_t)owner << 20 | (uint64_t)state;
}
static inline uint32_t slot_state(uint64_t word) {
    return (uint32_t)word & 3;
}
static inline uint32_t slot_owner(uint64_t word) {
    return (uint32_t)(word >> 20) & 0xfff;
}
static inline uint32_t slot_seq(uint64_t word) {
    return (uint32_t)(word >> 32);
}

/* ---- an owner's state: {generation:32, leader:16, kind:16} --------------------------------- */

enum owner_kind { OWNER_FREE = 0, OWNER_WORKER = 1, OWNER_BRIDGE = 2 };

static inline uint64_t owner_make(uint32_t generation, uint32_t leader, enum owner_kind kind) {
    return (uint64_t)generation << 32 | (uint64_t)leader << 16 | (uint64_t)kind;
}
static inline uint32_t owner_generation(uint64_t state) {
    return (uint32_t)(state >> 32);
}
static inline uint32_t owner_leader(uint64_t state) {
    return (uint32_t)(state >> 16) & 0xffff;
}
static inline uint32_t owner_kind(uint64_t state) {
    return (uint32_t)state & 0xffff;
}

/* ---- a bucket: {version:32, first counter + 1:32} ------------------------------------------ */

static inline uint64_t bucket_make(uint32_t version, uint32_t first) {
    return (uint64_t)version << 32 | first;
}
static inline uint32_t bucket_version(uint64_t bucket) {
    return (uint32_t)(bucket >> 32);
}
static inline uint32_t bucket_first(uint64_t bucket) {
    return (uint32_t)bucket;
}

/* ---- a counter entry's use: {owner:16, kind:16} -------------------------------------------- */

enum entry_kind {
    ENTRY_FREE = 0,
    ENTRY_CLAIMED = 1, /* an owner is building it; nobody else may write it */
    ENTRY_LIVE = 2,
    ENTRY_PART = 3, /* holds more of the name of another entry */
};

static inline uint32_t use_make(uint32_t owner, enum entry_kind kind) {
    return owner << 16 | (uint32_t)kind;
}
static inline uint32_t use_owner(uint32_t use) {
    return use >> 16;
}
static inline uint32_t use_kind(uint32_t use) {
    return use & 0xffff;
}

/** Another owner's tag {owner, seq} that was seen in the word of a counter: that operation
 * happened.
 */
struct proof {
    _Atomic uint64_t tag;     /* a counter's word without its count; 0: none */
    _Atomic uint32_t counter; /* in whose word it was seen (index + 1); NONE: not known */
    uint32_t unused;
};

/** One thread that takes slots. Line 1 is written by the thread itself and seldom by others
 * (slot.h, rule 1); line 2 is written when it attaches, waits and detaches; the proofs are written
 * by the thread alone, and read when somebody has died. */
struct owner {
    alignas(CACHE_LINE) _Atomic uint64_t announce;
    _Atomic uint32_t claims[1 + NAME_PARTS_MAX]; /* counter entries being built (index + 1) */
    alignas(CACHE_LINE) _Atomic uint64_t state;
    _Atomic uint64_t attached;    /* CLOCK_BOOTTIME, ms */
    _Atomic uint32_t pid;         /* for people: of its own pid namespace */
    _Atomic uint32_t waiting;     /* counter + 1 */
    _Atomic uint64_t command[2];  /* for people: 16 bytes of text */
    _Atomic uint64_t waits_since; /* CLOCK_BOOTTIME, ms; for people, while `waiting` is set */
    alignas(CACHE_LINE) struct proof proof[PROOFS];
};

struct slot {
    _Atomic uint64_t word;
    _Atomic uint64_t since; /* clock_tick() */
    _Atomic uint32_t counter;
    _Atomic uint32_t link; /* next free one of the same process (index + 1) */
    uint64_t unused;
};

struct counter {
    /* Line 1: what each take touches. */
    alignas(CACHE_LINE) _Atomic uint64_t word;
    _Atomic uint64_t cap;        /* of an ENTRY_PART: {parent's generation:32, parent + 1:32} */
    _Atomic uint32_t generation; /* even: live; odd: being built, or retired */
    _Atomic uint32_t wait;       /* futex: see wait.h */
    _Atomic uint64_t takes, refusals;
    _Atomic uint64_t would_refuse; /* of takes: those that an observed cap let pass */
    _Atomic uint32_t peak;
    _Atomic uint32_t use;
    _Atomic uint32_t swept; /* takes, when retirement last came by: the same again means idle */
    _Atomic uint32_t
        yield; /* CLOCK_MONOTONIC_COARSE, ms: until then only those who waited may take */
    /* Line 2: what is set when the counter is made, and what the bridge keeps with it. limit, home
     * and line may be old: see limit_read(). */
    alignas(CACHE_LINE) _Atomic uint64_t hash; /* keyed, of the name */
    _Atomic uint64_t rules;                    /* rule set generation of the limit */
    _Atomic uint64_t grant;                    /* of the record; with record: set by a grant */
    _Atomic uint32_t record;
    _Atomic uint32_t next; /* of the bucket's chain (index + 1) */
    _Atomic int32_t limit, home;
    _Atomic uint32_t line;
    _Atomic uint32_t scope_length; /* {scope:16, name length:16} */
    _Atomic int32_t cluster_in_use;
    _Atomic uint32_t contended, pinned; /* the bridge knows it: not to be retired */
    _Atomic uint32_t
        over; /* since when more is in use than the share: see excess.c; 0: it is not */
    /* Line 3: the name. */
    alignas(CACHE_LINE) _Atomic uint32_t part; /* entry that holds more of the name (index + 1) */
    _Atomic uint32_t name[NAME_INLINE];        /* text, the last word padded with zeros */
};

/** The second and third line of an entry of kind ENTRY_PART. */
struct counter_part {
    alignas(CACHE_LINE) _Atomic uint32_t next; /* (index + 1) */
    uint32_t unused;
    _Atomic uint32_t name[NAME_PART];
};

/** What the bridge remembers, twice: the one that `memory_version` is odd for is in force, the
 * other is being written. */
struct memory_words {
    _Atomic uint64_t word[20];
};

struct header {
    /* Set before the segment is linked into place, never changed. */
    uint64_t magic;
    uint32_t layout, header_bytes;
    uint64_t shape; /* hash of the sizes of all structures: catches a wrong build */
    uint64_t size;
    uint64_t owners_offset, chunks_offset, slots_offset, buckets_offset, counters_offset,
        wanted_offset, rules_offset;
    uint32_t owners, chunks, slots, buckets, rules_bytes; /* numbers; bytes of one set */
    uint32_t counters;                                    /* the most that there can be */
    uint64_t incarnation;
    uint64_t lock_identity; /* of the lock file that says who is alive */
    uint64_t created;       /* CLOCK_BOOTTIME, ms */
    uint8_t boot_id[16];    /* of the kernel: another one means that every owner is dead */
    char name[SLOTSHARE_NAME_MAX + 8];
    uint8_t secret[SECRET_BYTES];

    /* Read on each take, written rarely. */
    alignas(CACHE_LINE) _Atomic uint64_t rules; /* generation; its lowest bit picks the rule set */
    _Atomic uint64_t pending;   /* a rule set that is to follow: its generation; 0: none */
    _Atomic uint64_t published; /* the last generation that ever was pending */
    _Atomic uint64_t gate; /* the same while takes are admitted; 0 once the segment is closed */
    _Atomic uint64_t session_end;  /* CLOCK_BOOTTIME, ms; 0: none; UINT64_MAX: no deadline */
    _Atomic uint32_t counters_now; /* entries that may be used; it only grows */
    _Atomic uint32_t closed;       /* the file was removed: admit nothing */
    _Atomic uint32_t clustered;
    _Atomic uint32_t rules_used[2]; /* bytes of each rule set */

    /* Written when takes are refused. */
    alignas(CACHE_LINE) _Atomic uint32_t doorbell; /* futex: 1 rang, 0 the bridge has looked */
    _Atomic uint32_t queues; /* futex: +1 when a watched counter may have room */
    _Atomic uint64_t reaped; /* CLOCK_MONOTONIC_COARSE, ms: last pass */

    /* Written when counters come and go. */
    alignas(CACHE_LINE) _Atomic uint32_t cursor; /* where to look for a free entry */
    _Atomic uint32_t counters_used;
    _Atomic uint32_t sweep;    /* where retirement goes on */
    _Atomic uint32_t retiring; /* the entry that is being retired (index + 1) */

    alignas(CACHE_LINE) _Atomic uint64_t reaps, slots_reaped;
    _Atomic int32_t coordinator;   /* member, -1: none known */
    _Atomic uint32_t bridge_owner; /* owner record of the bridge that serves, 0: none yet */
    _Atomic uint32_t drain; /* ms from when a slot is in excess until it must be given back */

    alignas(CACHE_LINE) _Atomic uint64_t memory_version;
    struct memory_words memory[2];
    _Atomic uint64_t member_heard[CONF_MEMBERS_MAX]; /* CLOCK_BOOTTIME, ms; 0: never */
};

_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the header has one page");
_Static_assert(sizeof(struct owner) / CACHE_LINE == 6, "an owner is six cache lines");
_Static_assert(sizeof(struct slot) == 32, "two slots share a cache line");
_Static_assert(sizeof(struct counter) / CACHE_LINE == 3, "a counter is three cache lines");
_Static_assert(sizeof(struct counter_part) / CACHE_LINE == 2, "a part fills lines two and three");
_Static_assert(4 * (NAME_INLINE + NAME_PART * NAME_PARTS_MAX) >= SLOTSHARE_COUNTER_MAX,
               "the longest name fits");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "atomics in shared memory must be lock-free");

#endif
