/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_EDITION_H
#define SLOTSHARE_BRIDGE_EDITION_H
/**
 * One edition of the configuration: the text, what it says, and its digest. Read from the file that
 * people edit, or from what was stored. Not thread-safe on one object.
 */
#include "../conf/conf.h"
#include "core/core.h"
#include "state.h"

struct edition {
    struct conf *conf; /**< NULL: there is none */
    char *text;        /**< of the file, and of what operators have changed besides, if they have */
    size_t size;
    size_t file_size; /**< of what is the file's */
    uint64_t digest;  /**< conf_digest(); 0: there is none */
};

/** Read a file. @return 0; -1: *out is empty, errors has every line that is wrong. */
int edition_read(struct edition *out, const char *path, struct conf_errors *errors);

/**
 * Make one of what was stored, for the node that `file` describes; what concerns a node alone is
 * taken from there. *saved is used up.
 * @return 0; -1: *out is empty, error says what is wrong.
 */
int edition_restore(struct edition *out, struct state_saved *saved, const char *path,
                    const struct conf *file, char *error, size_t error_size);

/** The file of `from` with these changes, instead of those that it has. @return 0; -1: out of
 * memory, or too large. */
int edition_with(struct edition *out, const struct edition *from,
                 const struct conf_changes *changes);

/** @return 0; -1: out of memory. */
int edition_copy(struct edition *out, const struct edition *from);

/** Let it go; *edition is empty then. */
void edition_free(struct edition *edition);

/** *from becomes *to; what *to was is let go. */
void edition_move(struct edition *to, struct edition *from);

/** As the core takes it. */
void edition_membership(const struct edition *edition, uint64_t epoch, struct core_membership *out);

/** Add one line, as "PATH: text". */
__attribute__((format(printf, 3, 4))) void edition_error(struct conf_errors *errors,
                                                         const char *path, const char *format, ...);

#endif
