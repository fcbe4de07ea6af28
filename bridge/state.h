/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_STATE_H
#define SLOTSHARE_BRIDGE_STATE_H
/**
 * What a bridge must remember over a reboot of its host: the configuration that the cluster has
 * committed, the one that this node has promised, and those that it has proposed since the commit.
 * Files in [node] state, NAME.committed, NAME.promised and NAME.proposed1 to NAME.proposed4, each a
 * line of our own and then the configuration's text, whole or not there:
 * written under another name, synchronised, renamed, and the directory synchronised. Symbolic
 * links and directories that others may write to are refused. Not thread-safe.
 */
#include <stddef.h>
#include <stdint.h>

enum {
    STATE_TEXT_MAX = 16 * 1024 * 1024, /**< bytes of a configuration's text at most */
};

enum { STATE_PROPOSALS = 4 };
enum state_file {
    STATE_COMMITTED,
    STATE_PROMISED,
    STATE_PROPOSED, /**< the first of STATE_PROPOSALS */
    STATE_PROPOSED_LAST = STATE_PROPOSED + STATE_PROPOSALS - 1,
};

struct state;

/**
 * @param directory  must be there, belong to this user or to root, and be writable to no one else
 * @param name       of the segment, hence of the files
 * @param node, cluster  of files that were written by another one, say so
 * @return 0; -1: *out is NULL, error says what was wrong, where, and what to do.
 */
int state_open(struct state **out, const char *directory, const char *name, const char *node,
               const char *cluster, char *error, size_t error_size);
void state_close(struct state *state);

/** A file's content. */
struct state_saved {
    uint64_t epoch, digest;
    char *whole; /**< our line and the text: lines have the numbers of the file; free() it */
    size_t whole_size;
    const char *text; /**< without our line */
    size_t size;
};

/** @return 1: loaded; 0: there is no such file; -1: error says what is wrong with it. */
int state_load(const struct state *state, enum state_file file, struct state_saved *out,
               char *error, size_t error_size);

/** @return 0 once it is on the disk; -1: error says why; then the old file is still there. */
int state_store(const struct state *state, enum state_file file, uint64_t epoch, uint64_t digest,
                const char *text, size_t size, char *error, size_t error_size);

/** Remove a file, for good. @return 0, also when there is none; -1: as above. */
int state_drop(const struct state *state, enum state_file file, char *error, size_t error_size);

/** The path, for messages; valid until state_close(). */
const char *state_path(const struct state *state, enum state_file file);

#endif
