/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COMMON_EXITS_H
#define TOOLS_COMMON_EXITS_H
/**
 * Exit statuses, those of <sysexits.h>, and how errors are told. Thread-safe.
 */
#include <stddef.h>
#include <stdio.h>

/** One line of a program's "Exit status" section. */
struct exit_row {
    const char *code; /**< as printed: "75", "128+n" */
    const char *help;
};

/** Print the section. */
void exits_help(FILE *out, const struct exit_row *row, size_t rows);

/** The exit status for an error of libslotshare (EX_TEMPFAIL for SLOTSHARE_FULL, 0 for OK). */
int exit_of_result(int result);

/**
 * Tell on stderr why a call of libslotshare failed.
 *
 * @param program  as the message begins, e.g. "slotshare run"
 * @param what     the library's own story, or "" when it gave none: then slotshare_strerror()
 * @return exit_of_result(result)
 */
int exit_tell(const char *program, int result, const char *what);

/**
 * Flush stdout; a program whose output was lost must not end with status 0.
 * @return status, or EX_OSERR (after a message) when something could not be written.
 */
int exit_flush(const char *program, int status);

#endif
