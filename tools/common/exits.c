/* SPDX-License-Identifier: MIT */
#include "exits.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include <slotshare/slotshare.h>

void exits_help(FILE *out, const struct exit_row *row, size_t rows) {
    fputs("\nExit status:\n", out);
    for (size_t i = 0; i < rows; i++) {
        fprintf(out, "  %-6s %s\n", row[i].code, row[i].help);
    }
}

int exit_of_result(int result) {
    switch (result) {
    case SLOTSHARE_OK:
        return EX_OK;
    case SLOTSHARE_FULL:
        return EX_TEMPFAIL;
    case SLOTSHARE_EINVAL:
    case SLOTSHARE_ENAME:
        return EX_USAGE;
    case SLOTSHARE_ECONFIG:
        return EX_CONFIG;
    case SLOTSHARE_ESYSTEM:
        return EX_OSERR;
    default:
        return EX_UNAVAILABLE;
    }
}

int exit_tell(const char *program, int result, const char *what) {
    int saved = errno;

    if (result == SLOTSHARE_ECONFIG && what[0] != '\0') {
        /* Already "file:line: message", one a line, as editors and people look for them. */
        fprintf(stderr, "%s\n", what);
    } else if (what[0] != '\0') {
        fprintf(stderr, "%s: %s\n", program, what);
    } else if (result == SLOTSHARE_ESYSTEM && saved != 0) {
        fprintf(stderr, "%s: %s: %s\n", program, slotshare_strerror(result), strerror(saved));
    } else {
        fprintf(stderr, "%s: %s\n", program, slotshare_strerror(result));
    }
    return exit_of_result(result);
}

int exit_flush(const char *program, int status) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "%s: cannot write to standard output: %s\n", program, strerror(errno));
        return status == EX_OK ? EX_OSERR : status;
    }
    return status;
}
