/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SHMSTAT_SCREEN_TERMINAL_H
#define TOOLS_SHMSTAT_SCREEN_TERMINAL_H

#include <stdbool.h>

/** Is there a description of this type of terminal ($TERM)? To be asked before newterm(), which
 * loses memory when there is none. */
bool screen_terminal_known(void);

#endif
