/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_EXIM_EXIM_H
#define TOOLS_EXIM_EXIM_H
/**
 * The parts of the adapter for Exim's ${dlfunc}. All of it runs inside Exim's processes, which
 * have one thread and are forked and killed a lot: nothing here may crash, block for longer than
 * its configuration says, or leave a process behind.
 */
#include <slotshare/slotshare.h>
#include <stdbool.h>
#include <stdint.h>

enum { HOST_BYTES = SLOTSHARE_DOMAIN_MAX + 1, TEXT_BYTES = 512, WAIT_MAX_S = 600 };

/** The words of the last argument, "NAME=VALUE NAME=VALUE ...". */
struct settings {
    char name[SLOTSHARE_NAME_MAX + 1]; /**< segment; empty: the library's default */
    char directory[TEXT_BYTES];        /**< of segments; empty: the library's default */
    char config[TEXT_BYTES];           /**< to create the segment from, on a single host */
    char mark[TEXT_BYTES];             /**< file that says that trouble was logged already */
    int wait_ms;                       /**< wait for a slot so long per delivery process */
    int waiters; /**< look ahead: no room when so many wait already; 0: nobody is to wait */
    bool hold;   /**< without a segment: hold mail back; else deliver without limits */
};

/** Read the words. What makes no sense is left at its default and logged. text: may be NULL. */
void settings_read(struct settings *out, const char *text);

/** A line for Exim's main log; where there is none (tests), stderr. Never with a '%' of others. */
void say(const char *text);

/**
 * The segment, opened if need be; NULL: there is none to be used, and it was logged (once per mark
 * file, or once per process without one).
 */
slotshare *segment_open(const struct settings *settings);

/** A call into the library went wrong with `result`: log it, open anew the next time. */
void segment_trouble(const struct settings *settings, int result);

/**
 * Call the library so that a segment file that was cut short under us costs no signal: pages that
 * are no longer there read as zeros, and the result is SLOTSHARE_EDAMAGED from then on.
 */
int guarded(int (*call)(void *), void *arg);

/** Take a slot for a connection to address:port. @return as slotshare_acquire_wait(). */
int slot_take(const struct settings *settings, const struct slotshare_connection *connection,
              const char *address, unsigned port);

/** Is there room for this connection? @return SLOTSHARE_OK, SLOTSHARE_FULL, or an error. */
int slot_look(const struct settings *settings, const struct slotshare_connection *connection);

/** Exim has closed its descriptor of this connection ("LOCAL PORT REMOTE PORT"). */
void slot_closed(const char *ends);

/** Give back what this process holds for connections to this address that it has not open. */
void slot_failed(const char *address, unsigned port);

/** Does this process hold a slot? */
bool slots_held(void);

/** Begin to remember the hosts that the children of this process were refused a slot for. */
void refused_begin(void);

/** This process was refused a slot for this host. */
void refused_add(const char *host);

/** Was a slot for this host refused, in this process, its parent, or another child of it? */
bool refused_has(const char *host);

/** A regular expression of all of them, as retry rules see hosts: "*@host". Valid until the
 * next call. */
char *refused_pattern(void);

#endif
