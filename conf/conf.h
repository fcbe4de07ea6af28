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
    uint32_t line; /**< of the option */
};

struct conf_member {
    char name[SLOTSHARE_BINDING_MAX + 1];
    char url[CONF_URL_MAX + 1]; /**< tcp://host:port or tls+tcp://host:port */
    bool witness;               /**< votes, holds no share */
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
