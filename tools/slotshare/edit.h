/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SLOTSHARE_EDIT_H
#define TOOLS_SLOTSHARE_EDIT_H
/**
 * Changing the member list in a configuration file, line by line: comments and order stay.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

/** A file that is being changed. */
struct edit {
    char *path; /**< of the file itself, no symbolic link */
    char *text;
    size_t size;
    struct conf *conf; /**< what the text says */
};

/** Read and check a file. @return an exit status; not EX_OK: told, and *edit is empty. */
int edit_open(struct edit *edit, const char *program, const char *path);
void edit_close(struct edit *edit);

/** Put a line behind line number `after`. @return false: no memory. */
bool edit_insert(struct edit *edit, uint32_t after, const char *line);
/** Take a line away. */
void edit_remove(struct edit *edit, uint32_t line);

/**
 * Check the changed text, and put it in the place of the file, whole: written under another name
 * with the same owner and mode, synchronised, renamed.
 * @return an exit status; not EX_OK: told, and the file is as it was.
 */
int edit_save(struct edit *edit, const char *program);

#endif
