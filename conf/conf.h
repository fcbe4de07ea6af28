/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_CONF_H
#define SLOTSHARE_CONF_CONF_H
/**
 * The configuration file: read, checked as a whole, kept as plain data. Compile it with
 * ruleset_compile() (ruleset.h) into what workers read. Nothing here is thread-safe on the same
 * object; different objects are independent.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <slotshare/slotshare.h>

#ifndef SLOTSHARE_MEMBERS_MAX
#define SLOTSHARE_MEMBERS_MAX 64 /* more only to measure: the segment's layout depends on it */
#endif

enum {
    CONF_MEMBERS_MAX = SLOTSHARE_MEMBERS_MAX,
    CONF_URL_MAX = 255,
    CONF_LIMIT_MAX = (1 << 20) - 2, /* a counter's count has 20 bits, all ones is "unlimited" */
    CONF_COUNTERS_MAX = 16 * 1024 * 1024,
    CONF_SLOTS_MAX = 1024 * 1024,
    CONF_OWNERS_MAX = 4094, /* an owner has 12 bits, two of the values mean something else */
};
#define CONF_SELF_NONE UINT32_MAX

/** What is counted: the parts of a connection's name that a counter's name is made of. */
enum conf_part { CONF_PART_BINDING = 1, CONF_PART_DOMAIN = 2, CONF_PART_HOST = 4 };

/** All that is wrong with a file, in the order of its lines. */
struct conf_errors {
    char **line; /**< each "file:line: message" (or "file: message") without a newline */
    size_t count;
};
void conf_errors_free(struct conf_errors *errors);

/** One stanza that sets the option. Names are already in the form that is compared. */
struct conf_limit {
    enum slotshare_scope scope;
    char binding[SLOTSHARE_BINDING_MAX + 1];
    char domain[SLOTSHARE_DOMAIN_MAX + 1];
    char host[SLOTSHARE_DOMAIN_MAX + 1];
    int32_t limit; /**< -1: unlimited, explicitly */
    uint8_t parts; /**< enum conf_part bits: what its counters are named by */
    uint32_t line; /**< of the option; 0: the file does not set it (an override) */
    bool observed; /**< enforce = no: the file wants it counted, and nothing refused; see
                        conf_observes() */

    bool overridden; /**< limit is that of a timed override, and not the file's */
    int32_t base;    /**< of an overridden one: what the file says; -1 also when it says nothing */
    uint64_t until;  /**< of an overridden one: its end, in seconds of UTC; for people */
    uint64_t ms;     /**< of an overridden one: as in struct conf_override */
};

/** Is this limit only observed? Not while an override is in its place: who sets one means it. Nor
 * is there anything to observe where nothing is limited. */
static inline bool conf_observes(const struct conf_limit *limit) {
    return limit->observed && !limit->overridden && limit->limit >= 0;
}

/** A limit for a time, set by an operator while the cluster runs. Its end is one more change of the
 * configuration, so whose clock says that it has come decides when, and never whether it is safe.
 */
struct conf_override {
    enum slotshare_scope scope;
    char binding[SLOTSHARE_BINDING_MAX + 1];
    char name[SLOTSHARE_DOMAIN_MAX + 1]; /**< domain or host */
    int32_t limit;                       /**< -1: unlimited */
    uint64_t until;                      /**< seconds of UTC, of the clock of whoever set it */
    uint64_t ms; /**< in a cluster: milliseconds from when this was written until its end; on a
                      single host: its end on CLOCK_BOOTTIME */
};

enum {
    CONF_OVERRIDES_MAX = 64,
    CONF_CHANGES_TEXT = 48 * 1024, /**< bytes of conf_changes_text() at most, with its NUL */
};

/** What operators have changed without the file: overrides, and nodes that are drained. All members
 * of a cluster have the same; the newer one replaces the older one as a whole. */
struct conf_changes {
    uint64_t version;                       /**< 0: nothing was ever changed */
    char author[SLOTSHARE_BINDING_MAX + 1]; /**< the node where it was made; of two with the same
                                                version that of the later name counts */
    uint32_t overrides, drains;
    struct conf_override override[CONF_OVERRIDES_MAX];
    char drain[CONF_MEMBERS_MAX][SLOTSHARE_BINDING_MAX + 1]; /**< nodes that take no new slots */
};

struct conf_member {
    char name[SLOTSHARE_BINDING_MAX + 1];
    char url[CONF_URL_MAX + 1]; /**< tcp://host:port or tls+tcp://host:port */
    bool witness;               /**< votes, holds no share */
    bool drained;               /**< by an operator: holds no share for now */
    uint32_t line;
};

/** The whole file. Read only. */
struct conf {
    char *file; /**< its path, as given */

    /* [node] */
    char node[SLOTSHARE_BINDING_MAX + 1];
    char segment[SLOTSHARE_NAME_MAX + 1]; /**< default "slotshare" */
    char *directory;                      /**< NULL: the library's default */
    char *state;                   /**< where the bridge keeps what was committed; never NULL */
    char listen[CONF_URL_MAX + 1]; /**< empty: the member's own URL */
    char http[CONF_URL_MAX + 2];   /**< where the bridge shows its status; empty: nowhere */
    bool log_syslog;               /**< the bridge's log goes there, not to standard error */
    uint8_t log_level;             /**< 0 error, 1 warning, 2 notice, 3 info (default), 4 debug */
    uint32_t counters;             /**< room in the counter table at the start */
    uint32_t counters_max;         /**< how far it may grow; never below counters */
    uint32_t owners, slots;        /**< sizes of the segment's other tables */

    /* [cluster] */
    bool clustered;
    char cluster[SLOTSHARE_NAME_MAX +
                 1];        /**< its name, default "slotshare": foreign messages are told by it */
    bool replicate_domains; /**< replicate = outbound_domains */
    struct conf_member member[CONF_MEMBERS_MAX]; /**< sorted by name, so that all nodes agree */
    uint32_t members;
    uint32_t self; /**< this node's place in member[]; CONF_SELF_NONE: not there (conf_load_text) */
    uint32_t reserve_percent;      /**< default 25; 50 with two members */
    uint32_t session_ms, drain_ms; /**< T and D; defaults 6000 and 30000 */
    uint32_t take_over_after_ms;   /**< 0: off */
    char *certificate, *key, *ca;  /**< files for tls+tcp; NULL: not set */

    struct conf_limit *limit; /**< sorted by scope, then names */
    size_t limits;

    struct conf_changes changes; /**< as stored; in effect in what stands above */
    bool drained;                /**< this node takes no new slots */
};

/**
 * Read and check a file.
 *
 * @param out     NULL on any error; else to be freed with conf_free()
 * @param errors  filled with every error of the file; free it in any case
 * @return 0; -1 when there is at least one error (an unreadable file is one).
 *         errors->count is 0 with -1 only when not even the error could be allocated.
 */
int conf_load(const char *path, struct conf **out, struct conf_errors *errors);
void conf_free(struct conf *conf);

/**
 * The same from text in memory. Here this node need not be among the members: a configuration that
 * takes it out of the cluster must be read, too.
 *
 * @param file  its path, for messages
 * @param node  the name of this node, instead of what [node] says; NULL: as [node] says. With it
 *              the text is one that was taken before: whether its addresses may be without TLS is
 *              not judged again
 */
int conf_load_text(const char *file, const char *text, size_t size, const char *node,
                   struct conf **out, struct conf_errors *errors);

/**
 * The same of a text that conf_changes_text() may have been added to: sections [changes] and
 * [override ...], which a file that people write cannot have. They take effect in *out, each as far
 * as it fits the file: an override outside the host scopes in a cluster that does not replicate
 * domains, and a drained node that is no member, change nothing. Nor does any drained node when
 * they are all that hold slots in the cluster.
 */
int conf_load_stored(const char *file, const char *text, size_t size, const char *node,
                     struct conf **out, struct conf_errors *errors);

/** Let conf->changes take effect in conf, which must not have any in effect. @return 0; -1: memory
 * is out. */
int conf_changes_apply(struct conf *conf);

/** Does an override change anything in this configuration? @return NULL; else why not. */
const char *conf_override_problem(const struct conf *conf, const struct conf_override *override);

/** The override of the same scope and names; NULL: there is none. */
struct conf_override *conf_override_find(struct conf_changes *changes,
                                         const struct conf_override *like);

/** As text, to be added to a file's or sent to others.
 * @param out  CONF_CHANGES_TEXT bytes
 * @return its length; 0: nothing was ever changed. */
size_t conf_changes_text(const struct conf_changes *changes, char *out);

/** @return 0; -1: not the text of changes, or memory is out; *out has none then. */
int conf_changes_parse(const char *text, size_t size, struct conf_changes *out);

/** Does a come after b, and take its place? */
bool conf_changes_newer(const struct conf_changes *a, const struct conf_changes *b);

/** The scope of an override as its section would be written, such as [host "a"].
 * @param out  CONF_SECTION_TEXT bytes */
enum { CONF_SECTION_TEXT = 448 };
void conf_override_section(const struct conf_override *override, char *out);

/**
 * What the members must agree on: members, reserve, timers, limits and how they count. Not [node],
 * nor addresses, certificates, comments and order. Two configurations with the same digest deal the
 * same shares.
 * @return never 0
 */
uint64_t conf_digest(const struct conf *conf);

/** Take over what concerns this node alone: [node] but for its name, certificates, and the
 * addresses of members that both have. @return 0; -1: memory is out. */
int conf_take_local(struct conf *to, const struct conf *from);

/** What changes from one to the other, for people: the first few differences, as in
 * "limit of [host "a"] 5 -> 3, member mta4 added, ..."; "nothing" when there is none.
 * @param out  always ended by a NUL. */
void conf_difference(const struct conf *from, const struct conf *to, char *out, size_t size);

#endif
