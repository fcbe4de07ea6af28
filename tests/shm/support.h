/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_SHM_SUPPORT_H
#define SLOTSHARE_TESTS_SHM_SUPPORT_H
/**
 * A place for one test: a directory of its own with a configuration in it, children that are
 * always ended and reaped, and a page of numbers that the children share with the test. Use
 * place_setup() and place_teardown() with cmocka; *state is a struct place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h> /* after those that it needs */

#include <slotshare/slotshare.h>
#include <slotshare/stat.h>

#include "../../shm/control.h"

enum { BOARD_NUMBERS = 4096, CHILDREN_MAX = 64 };

/** Shared between a test and its children; all zero at first. */
struct board {
    _Atomic int64_t number[BOARD_NUMBERS];
};

struct place {
    char directory[64];
    char config[128];  /**< a configuration file in it */
    char segment[128]; /**< where the segment named "slotshare" lies */
    char lock[128];
    struct board *board;
    pid_t child[CHILDREN_MAX]; /**< 0: free */
    char error[1024];          /**< of the last place_try() */
};

int place_setup(void **state);
int place_teardown(void **state);

/** Replace the configuration file. Sizes small enough for tests stand in every text below. */
void place_config(struct place *place, const char *text);
#define NODE_SMALL "[node]\nname = mta1\ncounters = 64\nowners = 16\nslots = 256\n"

/** slotshare_open() with the configuration (config), or without it. The text of a failure is in
 * place->error. */
int place_try(struct place *place, slotshare **out, bool config, bool read_only);

/** The same, must succeed. */
slotshare *place_open(struct place *place);
slotshare *place_watch(struct place *place); /* read-only, no config */

/** control_open() with the configuration; name: of the segment, NULL: as configured. */
int bridge_try(struct place *place, struct control **out, const char *name);
struct control *bridge_open(struct place *place); /* must succeed */

/** Fork. The child runs body, and exits with 0 when it returns true; CHECK() is its assertion.
 * It dies with the test's process. */
typedef bool (*child_body)(struct place *place, int argument);
pid_t child_start(struct place *place, child_body body, int argument);

/** The process of that id, started by a child that has ended meanwhile, is a child of ours now. */
void child_adopt(struct place *place, pid_t pid);

/** Wait for its end. @return its exit status; -signal when it was killed. */
int child_end(struct place *place, pid_t pid);
int child_kill(struct place *place, pid_t pid, int signal); /* and wait */

/** In a child: say where and stop. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: child: %s\n", __FILE__, __LINE__, #condition);           \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

/** Numbers on the board. board_await() polls until number[i] >= value (the program's alarm ends a
 * wait that is in vain). */
int64_t board_get(const struct place *place, int i);
void board_set(struct place *place, int i, int64_t value);
int64_t board_add(struct place *place, int i, int64_t value); /* @return what it is then */
void board_await(const struct place *place, int i, int64_t value);
void nap(void); /* a millisecond */

/** A pseudo-random number of its own state (xorshift); *state nonzero. */
uint32_t chance(uint32_t *state);

/** A connection to a host, or for a domain. */
struct slotshare_connection to_host(const char *host);
struct slotshare_connection to_domain(const char *domain);

/** Statistics by name; fails the test when there is no such counter. */
struct slotshare_counter_stat stat_of(slotshare *handle, const char *counter);
struct slotshare_segment_stat segment_of(slotshare *handle);

/** How many owner records have this pid; *leader: the first one's leader. */
int owners_of(slotshare *handle, pid_t pid, uint32_t *leader);

/** The whole of a file, and writing it whole. */
char *file_read(const char *path, size_t *size);
void file_write(const char *path, const void *bytes, size_t size);

#endif
