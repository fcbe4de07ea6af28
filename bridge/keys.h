/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_KEYS_H
#define SLOTSHARE_BRIDGE_KEYS_H
/**
 * Counters have names on the network, indices in the segment, and small keys in the protocol core.
 * This gives out the keys, defines them to the core, and takes back those that nobody needs.
 * Not thread-safe.
 */
#include <stdbool.h>
#include <stdint.h>

#include "../shm/control.h"
#include "core/core.h"

struct keys;

/** At most max counters; control and core must outlive it. control NULL: there is no segment yet,
 * only what others say counts. @return NULL: out of memory. */
struct keys *keys_create(uint32_t max, struct control *control, struct core *core);
void keys_destroy(struct keys *keys);

/**
 * The key of a counter's name, which must be well-formed; makes and defines one when there is none.
 * @param limit  what the sender of the name says; counts when the own rule set knows no limit for
 *               this name; -1: not said
 * @return false: no limit is known, or all keys are in use.
 */
bool keys_find(struct keys *keys, uint64_t now, const char *name, int32_t limit, uint32_t *key);

/** @return the name, valid until keys_sweep(); NULL: no such key. */
const char *keys_name(const struct keys *keys, uint32_t key);

/** The counter's index in the segment, where it is made when there is none; it stays good as long
 * as the key. @return false: this host never counts it, or its table is full. */
bool keys_index(struct keys *keys, uint32_t key, uint32_t *index);

/** Tell observers whether the coordinator moves the shares of this counter. */
void keys_show_contended(struct keys *keys, uint32_t key, bool contended);

/** The rule sets of the segment have changed: define every key to the core again. */
void keys_define_again(struct keys *keys);

/** Take back keys that neither the core nor anybody else has asked for in the last seconds; a part
 * of them at each call. */
void keys_sweep(struct keys *keys, uint64_t now);

/** Keys in use. */
uint32_t keys_count(const struct keys *keys);

#endif
