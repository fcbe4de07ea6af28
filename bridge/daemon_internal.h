/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_DAEMON_INTERNAL_H
#define SLOTSHARE_BRIDGE_DAEMON_INTERNAL_H
/** What the parts of the daemon share: daemon_open.c, daemon.c (main loop), daemon_act.c (what the
 * core orders), daemon_hear.c (messages of members), daemon_show.c (observers, log),
 * daemon_totals.c (what all have in use, for people),
 * daemon_config.c (reload, promise, commit), daemon_files.c (files that differ),
 * daemon_former.c (proposals that others may have promised), daemon_changes.c (overrides, drained
 * nodes),
 * daemon_start.c (which configuration to start with), daemon_member.c (members that come and go),
 * daemon_admin.c (what operators ask for), daemon_nodes.c (what they ask for about all nodes). */
#include <pthread.h>
#include <stdatomic.h>

#include "admin.h"
#include "core/core.h"
#include "daemon.h"
#include "edition.h"
#include "events.h"
#include "keys.h"
#include "net.h"
#include "state.h"
#include "totals.h"
#include "web.h"
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

/** A node of the committed or the pending configuration. Its place in daemon.member stays as long
 * as it is one. */
struct member {
    uint64_t hash; /**< of its name; 0: the place is free */
    char name[SLOTSHARE_BINDING_MAX + 1];
    char url[CONF_URL_MAX + 1];
    bool self;
    int32_t row;  /**< its place in the committed configuration, hence in the segment; -1: none */
    uint32_t net; /**< its index there; not of this node itself */
    struct wire_decoder *decoder;
    struct refusals refused;
};

/** The configurations, and what is to be done about them. */
struct configs {
    struct edition committed, pending;
    uint64_t epoch;             /**< of the committed one; 0: a new node, that has none */
    uint64_t promised_at_start; /**< the epoch under which the pending one was found promised */
    bool begin;                 /**< the first one was committed: now the segment can be made */
    bool reload;                /**< read the file again as soon as may be */
    bool changed;               /**< a commit has changed limits: the keys must learn them */
    uint64_t fits_next;         /**< when to look again whether all fits */
    uint64_t told_next;         /**< when to tell those who wait for a segment, again */
    char told[256];             /**< what they were told */
    struct log_rate promise_rate, foreign_rate;
};

/** What operators have changed without the file, and what is left of it. */
struct changes {
    struct conf_changes now;
    uint64_t end[CONF_OVERRIDES_MAX]; /**< of each override, on control_now()'s clock */
    bool guessed;   /**< `end` is what this host's clock says of what was stored */
    uint64_t grace; /**< until then nothing that is guessed ends: others may know better */
    bool load;      /**< not yet what is proposed, promised or committed here */
    uint64_t announce, load_next; /**< when to tell the others again; to try again */
    struct log_rate bad_rate;
};

/** What is to be told about files that differ. */
struct files {
    struct {
        uint64_t until; /**< then without what it has; 0: nothing is to be told of this member */
        uint64_t epoch, digest; /**< of its file; epoch 0: it proposes it */
        unsigned tries;         /**< texts that came and were not that */
    } differs[CORE_MEMBERS_MAX];
    uint64_t ask_next;
    bool asked; /**< for this node's */
    uint64_t answer_next;
};

/** What was proposed here since the last commit: see daemon_former.c. */
struct formers {
    uint64_t digest[STATE_PROPOSALS]; /**< of what is stored as STATE_PROPOSED; 0: nothing */
    uint32_t oldest;                  /**< to be written over, when there are as many */
    bool look;                        /**< somebody has said what may matter */
    uint64_t look_next;               /**< not before */
    struct log_rate rate;
};

struct daemon {
    struct conf *file;
    const struct conf *conf; /**< file as it was at the start: what concerns this node alone */
    const char *config_path;
    struct log *log;
    struct watchdog *dog;
    struct control *control;
    bool serving; /**< the segment is there; else this is a new node that waits for the others */
    struct state *state;
    struct configs configs;
    struct changes changes;
    struct files files;
    struct formers formers;
    struct admin *admin;
    struct web *web; /**< NULL: not wanted */
    bool broken;     /**< what was committed could not be stored: nothing may happen any more */
    struct core *core;
    struct keys *keys;
    struct net *net;
    struct totals *totals;
    struct wire_encoder *encoder;
    struct member member[CORE_MEMBERS_MAX];
    uint64_t self; /**< hash of this node's name */
    uint64_t boot; /**< of a new node, until it has a segment */
    struct wire_names names;
    struct core_timers timers;
    uint64_t now; /**< of the event that is being fed */

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

    struct control_memory memory; /**< as last stored */
    struct shown shown;
    struct log_rate send_rate, share_rate, keys_rate, warn_rate, trouble_rate;
};

/** Tell the log that the bridge serves, or waits. */
void daemon_log_start(const struct daemon *daemon);

/** Have a thread of its own sleep on the segment's doorbell. @return 0; -1: error says why. */
int daemon_doorbell_start(struct daemon *daemon, char *error, size_t error_size);

/** Perform what the core orders, until nothing is left; call it after every event. */
void daemon_act(struct daemon *daemon);

/** Feed what control's visitors see: begin, pass daemon_sight as the visitor, then feed. */
void daemon_sightings_begin(struct daemon *daemon);
int daemon_sight(const struct control_counter *counter, void *daemon);
void daemon_sightings_feed(struct daemon *daemon);

/** Take and use what has come from a member; a bounded number of messages. */
void daemon_hear(struct daemon *daemon, struct member *member);

/** Tell observers and the log what has changed. */
void daemon_show(struct daemon *daemon);
/** Publish what is in use here, and show the sums over all members. */
void daemon_totals(struct daemon *daemon);
/** What a member has said of that. */
void daemon_totals_heard(struct daemon *daemon, const struct member *member,
                         const struct wire_totals *message);
/** Publish a message; failures are logged and counted, the protocol lives with the loss. */
void daemon_send(struct daemon *daemon, const struct wire_message *message);

/** Answer what operators ask for. */
void daemon_admin(struct daemon *daemon);

/** "nodes" {"counter": NAME or nothing}: what every node holds of it, or of all, and what is waited
 * for. "from" {"node": NAME}: what that node holds of everything. "events" {"after": NUMBER}. */
void daemon_answer_nodes(struct daemon *daemon, const json_t *request, json_t *reply,
                         json_t *errors);
void daemon_answer_from(struct daemon *daemon, const json_t *request, json_t *reply,
                        json_t *errors);
void daemon_answer_events(struct daemon *daemon, const json_t *request, json_t *reply,
                          json_t *errors);
/** What "nodes" answers, for those who ask over HTTP. */
void daemon_web(struct daemon *daemon);

/* ---- members ---- */

/** Let the places of members follow the committed and the pending configuration: connect to new
 * ones and to changed addresses, let removed ones go. @return 0; -1: error says who and why; then
 * this one is missing. */
int daemon_members_follow(struct daemon *daemon, char *error, size_t error_size);
/** NULL: no such member. */
struct member *daemon_member(struct daemon *daemon, uint64_t hash);
/** A member's name for the log; "?" when the hash is none's. */
const char *daemon_member_name(const struct daemon *daemon, uint64_t hash);

/* ---- configuration ---- */

/** What became of a file that was to be loaded. */
enum reload_result {
    RELOAD_REFUSED,   /**< it has errors, or changes what cannot change: errors says what */
    RELOAD_PROPOSED,  /**< it is pending now */
    RELOAD_PENDING,   /**< it was pending already */
    RELOAD_WITHDRAWN, /**< what was pending is withdrawn: the file is the committed one again */
    RELOAD_IN_FORCE,  /**< it is the committed one */
    RELOAD_LATER,     /**< another one is promised, here or by others of what is proposed here:
                           this one is read after its commit */
};
struct reload_report {
    enum reload_result result;
    struct conf_errors errors; /**< conf_errors_free() it */
    uint64_t digest;
    char difference[1000]; /**< to what was committed */
    enum net_renewal certificates;
    char certificates_error[1000];
};

/** Read the file and the certificates that it names, and act on them. */
void daemon_reload(struct daemon *daemon, struct reload_report *report);
/** Propose this edition, used up, which was read from the file (`later`, when another one is
 * promised) or made of what there is. */
enum reload_result daemon_load(struct daemon *daemon, struct edition *edition, bool later,
                               struct conf_errors *errors);
/** CORE_PROMISE and CORE_COMMIT. */
void daemon_promise(struct daemon *daemon, uint64_t epoch, uint64_t digest);
void daemon_commit(struct daemon *daemon, uint64_t epoch, uint64_t digest, bool member);
/** CORE_FOREIGN_CONFIG. */
void daemon_foreign(struct daemon *daemon, uint64_t member, uint64_t epoch, uint64_t digest);
/** What is due about configurations, between two events. @return 0; -1: error says why the bridge
 * cannot go on. */
int daemon_configs_tend(struct daemon *daemon, char *error, size_t error_size);
/** When that is due at the latest. */
uint64_t daemon_configs_due(const struct daemon *daemon);
/** Whom a new node, or a pending configuration, waits for, and for what; "" when for nobody. */
void daemon_waits_for(struct daemon *daemon, char *out, size_t size);

/* ---- what was proposed before ---- */

/** Which proposals are on the disk; what is pending now comes to them. */
void daemon_former_start(struct daemon *daemon);
/** Put what is pending on the disk, before anybody is told of it. A failure is logged. */
void daemon_former_store(struct daemon *daemon);
/** Something was committed: all of them are void. */
void daemon_former_forget(struct daemon *daemon);
/** A heartbeat was heard: is there anything for the next function to do? */
void daemon_former_heard(struct daemon *daemon, const struct core_heartbeat *heartbeat);
/** When another member has promised what was proposed here before, propose it again. When nobody
 * has, nor can have, what a file waits for here, read that file. */
void daemon_former_tend(struct daemon *daemon);

/* ---- files that differ ---- */

/** CORE_WARN_FILE: the member is asked for its file, so that the log can say what differs. */
void daemon_files_differ(struct daemon *daemon, uint64_t member, uint64_t epoch, uint64_t digest);
/** A member asks for files, or says what its own is. */
void daemon_files_heard(struct daemon *daemon, const struct member *member,
                        const struct wire_file *file);
/** The place stands for another member from now on. */
void daemon_files_forget(struct daemon *daemon, const struct member *member);
/** What is due: asking, answering, telling. */
void daemon_files_tend(struct daemon *daemon);
uint64_t daemon_files_due(const struct daemon *daemon);

/* ---- changes without the file ---- */

/** The changes of what is stored are those in force. */
void daemon_changes_start(struct daemon *daemon);
/** The edition of a file becomes that with the changes that are in force. @return 0; -1: memory. */
int daemon_changes_add(struct daemon *daemon, struct edition *file);
/** A member says which changes it has. */
void daemon_changes_heard(struct daemon *daemon, const struct member *member,
                          const struct wire_changes *heard);
/** What is due: ends of overrides, telling the others, loading what was heard. */
void daemon_changes_tend(struct daemon *daemon);
uint64_t daemon_changes_due(const struct daemon *daemon);
/** An operator's change: put it into force here, tell the others. report: as daemon_reload();
 * RELOAD_REFUSED: nothing has changed. */
void daemon_change(struct daemon *daemon, const struct conf_changes *wanted,
                   struct reload_report *report);
/** Those overrides that have not ended, with what is left of each, and drained nodes. */
void daemon_changes_now(const struct daemon *daemon, struct conf_changes *out);

/** Find out which configurations are committed and pending: from the store and from `file`, which
 * is used up. options: as daemon_open(). @return 0; -1: error says what is wrong. */
int daemon_configs_start(struct daemon *daemon, struct edition *file, bool found, char *error,
                         size_t error_size);
/** Open the segment, and make the core and what goes with it, anew if they were there. @return as
 * above. */
int daemon_serve(struct daemon *daemon, char *error, size_t error_size);
/** The same for a new node, that has no segment yet. */
int daemon_wait(struct daemon *daemon, char *error, size_t error_size);

#endif
