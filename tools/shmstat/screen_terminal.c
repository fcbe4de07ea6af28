/* SPDX-License-Identifier: MIT */
/* Apart from the rest, because <term.h> takes names like "columns" and "lines" for itself. */
#include "screen_terminal.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

bool screen_terminal_known(void) {
    int found = 0;

    if (setupterm(NULL, STDOUT_FILENO, &found) != OK) {
        return false;
    }
    (void)del_curterm(cur_term);
    return true;
}
