/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_BRIDGE_WIRE_SUPPORT_H
#define SLOTSHARE_TESTS_BRIDGE_WIRE_SUPPORT_H
/** Names, keys, and messages of every kind for the tests of the wire format. */
#include "../../bridge/wire.h"

/** Keys are given out in the order of asking, up to max. */
struct name_table {
    char (*name)[SLOTSHARE_COUNTER_MAX + 1];
    uint32_t count, max;
    int32_t last_limit;
};
struct wire_names names_make(struct name_table *table, uint32_t max);
void names_free(struct name_table *table);
uint32_t names_add(struct name_table *table, const char *name);

/** What was sent: every part, each in memory of exactly its size. */
struct sent {
    uint8_t *bytes[64];
    size_t size[64];
    unsigned count;
};
int sent_add(void *sent, const uint8_t *bytes, size_t size);
void sent_free(struct sent *sent);

/** One of each kind, all fields different and not zero; names are taken from the table. */
void sample(enum wire_kind kind, struct name_table *table, struct wire_message *out);
/** Fails the test unless both are the same; keys are compared by their names. */
void expect_same(const struct wire_message *a, struct name_table *a_names,
                 const struct wire_message *b, struct name_table *b_names);

/** A sender, the receiver of what it has sent, and the names that each of them knows. */
struct pair {
    struct name_table ours, theirs;
    struct wire_names our_names, their_names;
    struct wire_encoder *encoder;
    struct wire_decoder *decoder;
    struct sent sent;
};
struct pair *pair_make(uint32_t max_names);
void pair_free(struct pair *pair);

#define SELF_NAME "mta2"
#define PEER_NAME "mta1"
#define CLUSTER_NAME "west"
uint64_t hash_of(const char *name);

#endif
