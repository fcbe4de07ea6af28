/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_WIRE_H
#define SLOTSHARE_BRIDGE_WIRE_H
/**
 * The share protocol's messages as bytes (wire.proto). Bytes from the network are hostile: every
 * size, count, name and number is checked before it is used, and memory is bounded. A message that
 * does not pass is refused with a reason; nothing of it is used.
 *
 * An encoder or decoder is for one thread at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <slotshare/slotshare.h>

#include "core/core.h"

enum {
#ifdef SLOTSHARE_PRETEND_NEXT
    WIRE_VERSION = 2, /* has fields that version 1 does not know */
#else
    WIRE_VERSION = 1,
#endif
    WIRE_OLDEST = 1, /**< versions from this one on are understood, and understand this one */
    WIRE_PART_MAX = 192 * 1024,         /**< bytes of one message on the network */
    WIRE_WHOLE_MAX = 4 * 1024 * 1024,   /**< bytes of a message before it is split */
    WIRE_MEMORY_MAX = 64 * 1024 * 1024, /**< bytes that one decoded message may take */
    WIRE_TOTALS_BYTES = 128 * 1024,     /**< names and figures in one message of totals, about */
};

/** How counters' names and the core's keys are told from each other. */
struct wire_names {
    void *context;
    /** The key of a well-formed name, making one when there is none. limit: the sender's; -1: it
     * did not say. @return false: no key can be had. */
    bool (*key)(void *context, const char *name, int32_t limit, uint32_t *key);
    /** The name of a key. @return NULL: no such key. */
    const char *(*name)(void *context, uint32_t key);
};

struct wire_total {
    const char *name;
    int32_t in_use;
    int32_t share;      /**< that is in force; -1: unlimited, or the member did not say */
    int32_t wants;      /**< in use, and asked for; at least in_use */
    uint64_t oldest_ms; /**< for so long its oldest slot has been held; 0: it did not say */
    uint64_t drain_ms;  /**< more is in use than the share: so long, + 1, until the first of these
                           slots is to have ended; 0: it did not say */
};

struct wire_totals {
    uint64_t sweep;
    uint64_t number; /**< of the message in its sweep, from 1; 0: the member does not number them */
    bool last;       /**< of its sweep: what it did not name is not in use */
    bool no_session; /**< the member has none */
    uint32_t count;
    const struct wire_total *total;
    uint32_t lost;           /**< at most CORE_MEMBERS_MAX */
    const uint64_t *lost_of; /**< hashes of the members that are asked for a whole sweep */
};

/** What operators have changed without the file. */
struct wire_changes {
    const char *text; /**< as received: to be checked by conf_changes_parse() */
    bool guessed;     /**< what is left of the overrides is not known, only guessed */
};

/** A configuration, for people who want to know what differs. */
struct wire_file {
    uint32_t wanted;           /**< at most CORE_MEMBERS_MAX */
    const uint64_t *wanted_of; /**< hashes of the members that are asked for theirs */
    uint64_t digest;           /**< of the text, as the sender says */
    const char *text;          /**< "": the sender only asks; to be checked by conf_load_stored() */
};

enum wire_kind {
    WIRE_HEARTBEAT,
    WIRE_DEAL,
    WIRE_VOTE_REQUEST,
    WIRE_VOTE,
    WIRE_TOTALS,
    WIRE_CHANGES,
    WIRE_FILE
};
enum { WIRE_KINDS = WIRE_FILE + 1 /**< how many there are */ };

/** Pointers in it belong to the decoder and are valid until its next call. */
struct wire_message {
    enum wire_kind kind;
    union {
        struct core_heartbeat heartbeat;
        struct core_deal deal;
        struct core_vote_request vote_request;
        struct core_vote vote;
        struct wire_totals totals;
        struct wire_changes changes;
        struct wire_file file;
    };
};

/* ---- encoding ---- */

struct wire_encoder;

/** Takes one message for the network. @return 0, else the rest of a split one is not sent. */
typedef int (*wire_send)(void *context, const uint8_t *bytes, size_t size);

/** cluster, from: as in the configuration; copied. @return NULL when memory is out. */
struct wire_encoder *wire_encoder_create(const char *cluster, const char *from);
void wire_encoder_destroy(struct wire_encoder *encoder);

/**
 * Encode a message and send it, in parts when it is larger than WIRE_PART_MAX. `from` fields of
 * the message are not looked at: the sender is the encoder's.
 * @return 0; -1: it is larger than WIRE_WHOLE_MAX, a key has no name, memory is out, or send
 *         failed.
 */
int wire_encode(struct wire_encoder *encoder, const struct wire_message *message,
                const struct wire_names *names, wire_send send, void *context);

/* ---- decoding ---- */

enum wire_result {
    WIRE_OK,
    WIRE_MORE,       /**< a part of a large message: kept, nothing to act on yet */
    WIRE_EMALFORMED, /**< not a message of ours, or cut short */
    WIRE_ECLUSTER,   /**< of another cluster */
    WIRE_EVERSION,   /**< of a version of the protocol that is too old, or says it is too new */
    WIRE_EFROM,      /**< signed by another name than the one that this connection is to */
    WIRE_EKIND,      /**< of a kind that this version does not know */
    WIRE_ESIZE,      /**< too large */
    WIRE_ENAME,      /**< holds a counter's name that no rule set makes */
    WIRE_ERANGE,     /**< holds a number that is out of its range */
    WIRE_EPART,      /**< a part of a large message whose other parts were lost */
    WIRE_EMEMORY,
    WIRE_RESULTS /**< how many there are */
};
/** @return what it means, for people; never NULL. */
const char *wire_reason(enum wire_result result);

struct wire_decoder;

/**
 * For the messages of one member.
 * @param from  its name; @param self  deal_hash() of this node's: of a deal only the own part is
 *              decoded
 */
struct wire_decoder *wire_decoder_create(const char *cluster, const char *from, uint64_t self);
void wire_decoder_destroy(struct wire_decoder *decoder);

/**
 * @param records  decode the records of heartbeats (only the coordinator needs them)
 * @return WIRE_OK: *out is filled; else *out is not to be used.
 */
enum wire_result wire_decode(struct wire_decoder *decoder, const uint8_t *bytes, size_t size,
                             const struct wire_names *names, bool records,
                             struct wire_message *out);

/** @return true when `name` is written as ruleset_resolve() writes counters' names. */
bool wire_counter_name_ok(const char *name);

#endif
