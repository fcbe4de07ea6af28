/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SLOTSHARE_H
#define SLOTSHARE_SLOTSHARE_H
/**
 * libslotshare: take a slot before you open an outbound SMTP connection, give it back when the
 * connection is closed.
 *
 * A *segment* is a shared-memory file that all worker processes of one host map. It holds one
 * *counter* per thing that the configuration limits (an MX host, a domain, a binding, a pair of
 * them), and on each counter this host may hold at most its *share* of the cluster's *limit*.
 *
 * Threads: every function may be called from any number of threads on the same handle, except
 * slotshare_close(), which must be the last call on its handle. A slot may be given back by
 * another thread of the process than the one that took it.
 *
 * Signals: no function here is async-signal-safe.
 *
 * fork(): a child that uses the handle attaches by itself at its first call; it does not own the
 * slots of its parent and cannot give them back. A process that dies, however it dies, gives
 * back what it held as soon as the kernel has closed its sockets.
 *
 * Nothing here sends signals or prints; only slotshare_queue_open() starts a thread.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SLOTSHARE_API __attribute__((visibility("default")))
#else
#define SLOTSHARE_API
#endif

/** What the functions below return. Negative values are errors and have changed nothing. */
enum slotshare_result {
    SLOTSHARE_OK = 0,          /**< done */
    SLOTSHARE_FULL = 1,        /**< no slot: the share of this host is in use; ask again later */
    SLOTSHARE_EXCESS = 2,      /**< a slot that must be given back: see slotshare_excess() */
    SLOTSHARE_EINVAL = -1,     /**< an argument is NULL or out of its range */
    SLOTSHARE_ENAME = -2,      /**< a name is too long or holds a character that names may not */
    SLOTSHARE_ENOSEGMENT = -3, /**< no such segment, and no config file to create it from */
    SLOTSHARE_ELAYOUT = -4,    /**< not a segment, or one of another layout version */
    SLOTSHARE_EDAMAGED = -5,   /**< the segment holds what no slotshare program writes */
    SLOTSHARE_ECONFIG = -6,    /**< the config file has errors */
    SLOTSHARE_ESYSTEM = -7,    /**< a system call failed; errno says why */
    SLOTSHARE_ESTALE = -8,     /**< this slot was given back already, or is not of this process;
                                    this counter handle is from before a reload: find it again */
    SLOTSHARE_ECOUNTERS = -9,  /**< the table has no room for one more counter */
    SLOTSHARE_EOWNERS = -10,   /**< the table has no room for one more process or thread */
    SLOTSHARE_ESLOTS = -11,    /**< the table has no room for one more slot */
    SLOTSHARE_EREADONLY = -12, /**< the handle was opened read-only */
    SLOTSHARE_EGONE = -13,     /**< the segment was removed or replaced: open it again */
    SLOTSHARE_EBUSY = -14      /**< processes are still attached to a segment that was removed */
};

/** Longest names, in bytes without the final NUL. */
enum {
    SLOTSHARE_NAME_MAX = 64,     /**< a segment's name: letters, digits, '.', '_', '-' */
    SLOTSHARE_BINDING_MAX = 128, /**< a binding's or a member's name */
    SLOTSHARE_DOMAIN_MAX = 255,  /**< a domain's or a host's name */
    SLOTSHARE_COUNTER_MAX = 400  /**< a counter's name, as slotshare_explain() prints it */
};

/** A limit, share or reserve with this value is no limit at all. */
#define SLOTSHARE_UNLIMITED (-1)

/** An open segment. Opaque; belongs to the process that opened it. */
typedef struct slotshare slotshare;

/** What a connection is for. A NULL or empty name means "not known": then only the scopes that
 * do not need it apply. Domains and hosts are compared without case and without a final dot. */
struct slotshare_connection {
    const char *binding; /**< the name of the sending identity (virtual MTA, IP pool) */
    const char *domain;  /**< the recipients' domain */
    const char *host;    /**< the MX host, as the MX record names it */
};

/** The right to have one connection open. Copy it freely; it is spent by slotshare_release(). */
typedef struct slotshare_slot {
    uint64_t record; /**< which slot record */
    uint64_t tag;    /**< which of its lives */
} slotshare_slot;

/** A counter found before, so that a hot path need not look it up. Valid in the process that
 * found it and its threads, until the configuration changes (then: SLOTSHARE_ESTALE). */
typedef struct slotshare_counter {
    uint32_t index;
    uint32_t generation;
    uint64_t rules;
} slotshare_counter;

/** How to open a segment. Start from SLOTSHARE_OPTIONS_INIT. */
struct slotshare_options {
    size_t size;           /**< sizeof(struct slotshare_options): which fields the caller knows */
    const char *directory; /**< where segments live; NULL: $SLOTSHARE_DIR, else /run/slotshare */
    const char *config;    /**< config file to create the segment from when there is none; only
                                for a single host: a file with a [cluster] section is refused,
                                there the bridge creates the segment. NULL: do not create */
    int read_only;         /**< nonzero: map without write access, for looking only */
    char *error;           /**< where a failing slotshare_open() writes what was wrong, where, and
                                what to do (several lines for a config file); NULL: nowhere */
    size_t error_size;     /**< bytes at error, the final NUL included */
};
#define SLOTSHARE_OPTIONS_INIT                                                                     \
    { sizeof(struct slotshare_options), NULL, NULL, 0, NULL, 0 }

/**
 * Open the segment `name` (NULL: "slotshare").
 *
 * options may be NULL. On success *out is a handle to be closed with slotshare_close(); on any
 * error *out is NULL and options->error, if given, holds the whole story.
 * Waits for another process that is creating the segment, 10 s at most.
 *
 * @return SLOTSHARE_OK; SLOTSHARE_EINVAL, SLOTSHARE_ENAME, SLOTSHARE_ENOSEGMENT,
 *         SLOTSHARE_ELAYOUT, SLOTSHARE_EDAMAGED, SLOTSHARE_ECONFIG, SLOTSHARE_EOWNERS,
 *         SLOTSHARE_EBUSY, SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_open(slotshare **out, const char *name,
                                 const struct slotshare_options *options);

/**
 * Close a handle. Slots that this process still holds through it are given back. NULL is ignored.
 */
SLOTSHARE_API void slotshare_close(slotshare *handle);

/**
 * Take a slot for a connection. Lock-free; no system call and no allocation except at the first
 * call of a thread, when more slots are held than ever before, and when a take is refused, or would
 * be if its limit were not only observed (enforce = no in the configuration: then it succeeds).
 * Only a counter that is new to a full table waits, for whoever is making room there: a second at
 * most, then SLOTSHARE_ECOUNTERS.
 *
 * @return SLOTSHARE_OK: *slot is filled, open the connection; SLOTSHARE_FULL: do not;
 *         SLOTSHARE_EINVAL, SLOTSHARE_ENAME, SLOTSHARE_EREADONLY, SLOTSHARE_EGONE,
 *         SLOTSHARE_ECOUNTERS, SLOTSHARE_EOWNERS, SLOTSHARE_ESLOTS, SLOTSHARE_EDAMAGED,
 *         SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_acquire(slotshare *handle,
                                    const struct slotshare_connection *connection,
                                    slotshare_slot *slot);

/**
 * The same, and wait for a slot when there is none: sleeps until one is given back, a share
 * grows, or timeout_ms milliseconds have passed (0: do not wait; negative: wait for ever).
 *
 * @return as slotshare_acquire(); SLOTSHARE_FULL: the time is over.
 */
SLOTSHARE_API int slotshare_acquire_wait(slotshare *handle,
                                         const struct slotshare_connection *connection,
                                         slotshare_slot *slot, int timeout_ms);

/**
 * Give a slot back, after its connection is closed. Lock-free.
 *
 * @return SLOTSHARE_OK; SLOTSHARE_ESTALE: it was given back before, or it is not of this process:
 *         nothing has changed; SLOTSHARE_EINVAL, SLOTSHARE_EREADONLY, SLOTSHARE_EDAMAGED,
 *         SLOTSHARE_EOWNERS (first call of a thread), SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_release(slotshare *handle, slotshare_slot slot);

/**
 * Must this slot be given back, although its connection goes on? The share of a host shrinks when
 * other hosts want a part of it, when its bridge is cut off from the others, and when a limit is
 * lowered; if more is in use then, the rest is in excess, and others wait for it. Ask at the end
 * of each transaction (a message delivered, before the next one begins) and, when a connection is
 * kept open while idle, every second or so. When the answer is SLOTSHARE_EXCESS: end the
 * connection in good order (QUIT), give the slot back, and take one anew for what is left to be
 * sent. A connection that is still in the middle of something at the deadline is to be cut off:
 * after the deadline the others take it that the slot is free, and the limit of the cluster is no
 * longer kept. MTAs that bound the life of a connection to less than `drain` (30 seconds unless
 * the configuration says otherwise) need not ask, but hand over sooner if they do.
 *
 * In excess are those slots of a counter that have been held the longest, over all processes of
 * the host, and no more of them than necessary: workers need not talk to each other about it, and
 * never end two connections where one will do. A slot that is in excess now may not be so a moment
 * later, when another connection has ended, or when the share has grown. Of a limit that is only
 * observed (enforce = no) no slot ever is.
 *
 * Four loads when no more is in use than this host's reserve, one look at the clock besides when
 * there is; only while the counter has an excess, a walk over the slots of the host (about 0.1 ms
 * for 50,000). Lock-free; no system call.
 *
 * @param deadline_ms  with SLOTSHARE_EXCESS: when it must have been given back at the latest, in
 *                     milliseconds of CLOCK_BOOTTIME; UINT64_MAX: nobody waits for it (a single
 *                     host whose limit was lowered). NULL: not wanted
 * @return SLOTSHARE_OK: keep it; SLOTSHARE_EXCESS: give it back; SLOTSHARE_ESTALE: it was given
 *         back already; SLOTSHARE_EINVAL, SLOTSHARE_EDAMAGED.
 */
SLOTSHARE_API int slotshare_excess(slotshare *handle, slotshare_slot slot, uint64_t *deadline_ms);

/**
 * For a process that starts another one which has the connection open, too: a descriptor that
 * keeps this process alive in the eyes of others. As long as any process has it open, what this
 * one holds stays taken, even after its death; it can still be given back by this process only.
 *
 * Call it before fork(), leave the descriptor open in the child (it is close-on-exec: clear that
 * before execve()), and close it in the parent, or its slots would outlive slotshare_close() of a
 * parent that lives on.
 *
 * @return a descriptor; SLOTSHARE_EINVAL, SLOTSHARE_EREADONLY, SLOTSHARE_EOWNERS,
 *         SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_keep_fd(slotshare *handle);

/**
 * Load a config file that has changed, on a single host (in a cluster the bridge does that). The
 * whole set of limits changes at once; slots that are held stay counted and are given back as
 * usual; a limit that was lowered below what is held admits nothing until the count is under it.
 * Sizes in [node] take effect when the segment is created the next time.
 * Waits for another process that is changing the segment, 10 s at most.
 *
 * @param error  where a failure is described; NULL: nowhere
 * @return SLOTSHARE_OK: every later take obeys the new limits; SLOTSHARE_ECONFIG: nothing has
 *         changed; SLOTSHARE_EINVAL, SLOTSHARE_EREADONLY, SLOTSHARE_EOWNERS, SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_reload(slotshare *handle, const char *config, char *error,
                                   size_t error_size);

/**
 * Another limit for a time, on a single host (in a cluster the bridge does that: `slotshare
 * override`). It is in force at once, stays over slotshare_reload(), and ends by itself; it does
 * not outlive the segment. What was said of the limits of slotshare_reload() holds here, too.
 *
 * @param scope    names the stanza whose limit it takes the place of: a host, or a domain, or
 *                 neither, each with a binding or without; no name at all: [global]
 * @param limit    -1: unlimited, 0: closed
 * @param seconds  1 to 366 days
 * @param error    where a failure is described; NULL: nowhere
 * @return SLOTSHARE_OK; SLOTSHARE_ECONFIG: nothing has changed, error says why; SLOTSHARE_EINVAL
 *         (a host and a domain, too), SLOTSHARE_ENAME, SLOTSHARE_EREADONLY, SLOTSHARE_EOWNERS,
 *         SLOTSHARE_EDAMAGED, SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_override_set(slotshare *handle,
                                         const struct slotshare_connection *scope, int limit,
                                         unsigned seconds, char *error, size_t error_size);

/** End an override before its time. scope: as above; NULL: all of them. @return as above;
 * SLOTSHARE_ECONFIG also: there is none of this scope. */
SLOTSHARE_API int slotshare_override_clear(slotshare *handle,
                                           const struct slotshare_connection *scope, char *error,
                                           size_t error_size);

/**
 * Take no new slots on this host, of any counter, also of unlimited ones, or (drain 0) take them
 * again; on a single host. Slots that are held stay so, and slotshare_excess() says of each of them
 * that its connection is to end.
 * @return as slotshare_override_set()
 */
SLOTSHARE_API int slotshare_drain(slotshare *handle, int drain, char *error, size_t error_size);

/**
 * The overrides and drained nodes in force, as text: sections of an INI file, [changes] and one
 * [override ...] each. Works read-only, in a cluster too.
 * @param size  of out; at least 48 kB
 * @return SLOTSHARE_OK; SLOTSHARE_EINVAL, SLOTSHARE_EDAMAGED.
 */
SLOTSHARE_API int slotshare_changes(slotshare *handle, char *out, size_t size);

/**
 * Find the counter that a connection counts against, creating it if it is new.
 *
 * @return SLOTSHARE_OK: *counter is filled; SLOTSHARE_EINVAL, SLOTSHARE_ENAME, SLOTSHARE_EREADONLY,
 *         SLOTSHARE_EGONE, SLOTSHARE_ECOUNTERS, SLOTSHARE_EOWNERS, SLOTSHARE_EDAMAGED,
 *         SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_counter_find(slotshare *handle,
                                         const struct slotshare_connection *connection,
                                         slotshare_counter *counter);

/**
 * slotshare_acquire() without the look-up.
 *
 * @return as slotshare_acquire(); SLOTSHARE_ESTALE: the counter is no longer the right one, find
 *         it again.
 */
SLOTSHARE_API int slotshare_counter_acquire(slotshare *handle, slotshare_counter counter,
                                            slotshare_slot *slot);

/** slotshare_acquire_wait() without the look-up. @return as slotshare_counter_acquire(). */
SLOTSHARE_API int slotshare_counter_acquire_wait(slotshare *handle, slotshare_counter counter,
                                                 slotshare_slot *slot, int timeout_ms);

/**
 * Slots for event loops: ask for one and go on; when it has been taken for you, a descriptor
 * becomes readable. A thread of the library waits in your place, first come first served per
 * counter. Ask with slotshare_acquire() first: it is far cheaper, and mostly there is a slot.
 *
 * A queue belongs to the process that opened it: a child of fork() can only close it.
 */
typedef struct slotshare_queue slotshare_queue;

/** What became of a request. */
struct slotshare_ready {
    void *cookie;        /**< as given to slotshare_queue_add() */
    int result;          /**< SLOTSHARE_OK: slot is yours; SLOTSHARE_FULL: the time is over;
                              SLOTSHARE_EXCESS: of slotshare_queue_watch(); or an error as of
                              slotshare_acquire() */
    slotshare_slot slot; /**< to be given back with slotshare_release() */
};

/**
 * @return SLOTSHARE_OK; SLOTSHARE_EINVAL, SLOTSHARE_EREADONLY, SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_queue_open(slotshare *handle, slotshare_queue **out);

/** Forget all requests, give back the slots that were not fetched, end the thread. To be called
 * before slotshare_close() of the handle. NULL is ignored. */
SLOTSHARE_API void slotshare_queue_close(slotshare_queue *queue);

/** The descriptor to poll for reading; level-triggered. It belongs to the queue: do not read from
 * it or close it. @return the descriptor. */
SLOTSHARE_API int slotshare_queue_fd(const slotshare_queue *queue);

/**
 * Ask for a slot.
 *
 * @param cookie      comes back with the result; any value
 * @param timeout_ms  give up after so many milliseconds; negative: never
 * @return SLOTSHARE_OK: the result will come; SLOTSHARE_EINVAL and what slotshare_counter_find()
 *         returns: it will not.
 */
SLOTSHARE_API int slotshare_queue_add(slotshare_queue *queue,
                                      const struct slotshare_connection *connection, void *cookie,
                                      int timeout_ms);

/**
 * Tell me when this slot, which I hold, is in excess: slotshare_queue_next() gives it with
 * SLOTSHARE_EXCESS, once, within about a tenth of a second. It stays held until it is given back;
 * slotshare_excess() says until when that must be, and whether it is still so. A slot that is
 * given back is forgotten here by itself.
 *
 * @param cookie  comes back with the result; any value
 * @return SLOTSHARE_OK; SLOTSHARE_EINVAL, SLOTSHARE_ESYSTEM.
 */
SLOTSHARE_API int slotshare_queue_watch(slotshare_queue *queue, slotshare_slot slot, void *cookie);

/**
 * Withdraw the requests with this cookie, of both kinds; a slot that was taken for one of them and
 * not fetched is given back. @return how many were withdrawn.
 */
SLOTSHARE_API int slotshare_queue_cancel(slotshare_queue *queue, const void *cookie);

/**
 * Fetch the next result. Does not block.
 * @return SLOTSHARE_OK: *out is filled; SLOTSHARE_FULL: there is none now; SLOTSHARE_EINVAL.
 */
SLOTSHARE_API int slotshare_queue_next(slotshare_queue *queue, struct slotshare_ready *out);

/** The scopes of the configuration, in order of decreasing precedence. */
enum slotshare_scope {
    SLOTSHARE_SCOPE_BINDING_HOST = 1,
    SLOTSHARE_SCOPE_HOST = 2,
    SLOTSHARE_SCOPE_BINDING_DOMAIN = 3,
    SLOTSHARE_SCOPE_BINDING = 4,
    SLOTSHARE_SCOPE_DOMAIN = 5,
    SLOTSHARE_SCOPE_GLOBAL = 6,
    SLOTSHARE_SCOPE_NONE = 7 /**< no stanza sets the option: unlimited */
};

/** Why a take would succeed or be refused now. */
struct slotshare_explanation {
    char counter[SLOTSHARE_COUNTER_MAX + 1]; /**< what is counted, e.g. "host:edge.omniti.com" */
    char source[256];           /**< file:line of the limit; empty when no stanza sets one */
    char reason[256];           /**< one sentence for people */
    enum slotshare_scope scope; /**< the scope that won */
    int limit;                  /**< of the whole cluster; SLOTSHARE_UNLIMITED: none */
    int share;                  /**< what this host may hold now; SLOTSHARE_UNLIMITED: no limit */
    int reserve;                /**< the part of it that this host keeps when it is cut off */
    int in_use;                 /**< slots held on this host */
    int cluster_in_use;         /**< slots held on all hosts, as last heard; this host's own when
                                     there is no cluster */
    int clustered;              /**< nonzero: the segment belongs to a cluster */
    int session;     /**< nonzero: this host has a valid session: its share is in force */
    int would_admit; /**< nonzero: a take would succeed now */
    int waiting;     /**< takes on this host that wait for a slot now: where that is enough to keep
                          the slots busy, one more does better to come again later */
    int observed;    /**< nonzero: the limit is only observed (enforce = no): a take succeeds also
                          when the share is in use, and is counted as one that would have been
                          refused */
};

/**
 * Explain what applies to a connection. Takes nothing, creates nothing, works read-only.
 *
 * @return SLOTSHARE_OK; SLOTSHARE_EINVAL, SLOTSHARE_ENAME, SLOTSHARE_EGONE, SLOTSHARE_EDAMAGED.
 */
SLOTSHARE_API int slotshare_explain(slotshare *handle,
                                    const struct slotshare_connection *connection,
                                    struct slotshare_explanation *out);

/** One scope that was tried for a connection. */
struct slotshare_step {
    enum slotshare_scope scope;
    int applies; /**< nonzero: the connection has the names that this scope needs */
    int set;     /**< nonzero: a stanza sets the option; the first such scope that applies wins */
    int limit;   /**< then; SLOTSHARE_UNLIMITED: none */
    char source[256]; /**< then: file:line */
    int observed;     /**< then: nonzero: the limit is only observed (enforce = no) */
};
enum { SLOTSHARE_STEPS = 6 /**< scopes that are tried */ };

/**
 * The scopes that are tried for a connection, in order of decreasing precedence. As
 * slotshare_explain(), and returns what it returns.
 */
SLOTSHARE_API int slotshare_explain_steps(slotshare *handle,
                                          const struct slotshare_connection *connection,
                                          struct slotshare_step step[SLOTSHARE_STEPS]);

/** The manual's name of a scope, e.g. "binding::host". @return a constant string, never NULL. */
SLOTSHARE_API const char *slotshare_scope_name(enum slotshare_scope scope);

/** What a result means, in English, e.g. for a log. @return a constant string, never NULL. */
SLOTSHARE_API const char *slotshare_strerror(int result);

/** The library's version, e.g. "0.1.0". @return a constant string. */
SLOTSHARE_API const char *slotshare_version(void);

#ifdef __cplusplus
}
#endif
#endif
