/* SPDX-License-Identifier: MIT */
/* A worker that is told on standard input what to do, one command a line, and answers each with
 * one line:
 *     take N    take up to N more slots            -> how many are held then
 *     give N    give back until N are held         -> how many are held then
 *     shed      give back what is in excess  -> how many that were, and how many milliseconds were
 *               left for the first of them (0: none was)
 *     names N   take a slot of each of N domains, and ask for one more -> how many were given,
 *               refused, and had no room in the table
 *     keep N    take a slot of each of the first N of these domains, for good -> how many were
 * given explain   -> limit share reserve in_use cluster_in_use session Usage: holder DIRECTORY
 * SEGMENT HOST
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <slotshare/slotshare.h>

enum { SLOTS_MAX = 4096 };

struct holder {
    slotshare *handle;
    struct slotshare_connection connection;
    slotshare_slot slot[SLOTS_MAX];
    long held;
};

static int broken(const char *what, int result) {
    (void)fprintf(stderr, "holder: %s: %s\n", what, slotshare_strerror(result));
    return 1;
}

static int take(struct holder *holder, long more) {
    int result = SLOTSHARE_OK;
    for (; more > 0 && holder->held < SLOTS_MAX && result == SLOTSHARE_OK; more--) {
        result =
            slotshare_acquire(holder->handle, &holder->connection, &holder->slot[holder->held]);
        holder->held += result == SLOTSHARE_OK;
    }
    if (result < 0)
        return broken("take", result);
    (void)printf("%ld\n", holder->held);
    return 0;
}

static int give(struct holder *holder, long keep) {
    while (holder->held > keep) {
        int result = slotshare_release(holder->handle, holder->slot[--holder->held]);
        if (result != SLOTSHARE_OK)
            return broken("give back", result);
    }
    (void)printf("%ld\n", holder->held);
    return 0;
}

/* The slots one after the other, as connections that come to the end of a transaction would. */
static int shed(struct holder *holder) {
    struct timespec now;
    long ended = 0;
    long long left = 0;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    for (long i = 0; i < holder->held; i++) {
        uint64_t deadline = 0;
        int result = slotshare_excess(holder->handle, holder->slot[i], &deadline);
        if (result < 0)
            return broken("excess", result);
        if (result != SLOTSHARE_EXCESS)
            continue;
        if (ended++ == 0)
            left = (long long)deadline - now.tv_sec * 1000LL - now.tv_nsec / 1000000;
        result = slotshare_release(holder->handle, holder->slot[i]);
        if (result != SLOTSHARE_OK)
            return broken("give back", result);
        holder->slot[i--] = holder->slot[--holder->held];
    }
    (void)printf("%ld %lld\n", ended, left);
    return 0;
}

/* A counter for each, as long as somebody has its slot: only until the next is asked for here. */
static int names(struct holder *holder, long count) {
    long found[3] = {0}; /* given, refused, no room */
    for (long i = 0; i < count; i++) {
        char domain[48];
        slotshare_slot slot[2];
        int result = SLOTSHARE_OK, got = 0;
        (void)snprintf(domain, sizeof domain, "d%ld.example.net", i);
        const struct slotshare_connection to = {"bulk", domain, NULL};
        while (got < 2 && (result = slotshare_acquire(holder->handle, &to, &slot[got])) == 0)
            got++;
        if (result < 0 && result != SLOTSHARE_ECOUNTERS)
            return broken("take of a name", result);
        found[got > 0 ? 0 : result == SLOTSHARE_FULL ? 1 : 2]++;
        while (got > 0) {
            if ((result = slotshare_release(holder->handle, slot[--got])) != SLOTSHARE_OK)
                return broken("give back of a name", result);
        }
    }
    (void)printf("%ld %ld %ld\n", found[0], found[1], found[2]);
    return 0;
}

static int keep(struct holder *holder, long count) {
    long given = 0;
    for (long i = 0; i < count; i++) {
        char domain[48];
        slotshare_slot slot;
        (void)snprintf(domain, sizeof domain, "d%ld.example.net", i);
        const struct slotshare_connection to = {"bulk", domain, NULL};
        const int result = slotshare_acquire(holder->handle, &to, &slot);
        if (result < 0)
            return broken("take of a name", result);
        given += result == SLOTSHARE_OK;
    }
    (void)printf("%ld\n", given);
    return 0;
}

static int explain(struct holder *holder) {
    struct slotshare_explanation out;
    int result = slotshare_explain(holder->handle, &holder->connection, &out);
    if (result != SLOTSHARE_OK)
        return broken("explain", result);
    (void)printf("%d %d %d %d %d %d\n", out.limit, out.share, out.reserve, out.in_use,
                 out.cluster_in_use, out.session);
    return 0;
}

static int obey(struct holder *holder, const char *command) {
    const char *space = strchr(command, ' ');
    long number = space != NULL ? strtol(space, NULL, 10) : 0;
    switch (command[0]) {
    case 't':
        return take(holder, number);
    case 'g':
        return give(holder, number);
    case 's':
        return shed(holder);
    case 'n':
        return names(holder, number);
    case 'k':
        return keep(holder, number);
    case 'e':
        return explain(holder);
    default:
        (void)fprintf(stderr, "holder: what is '%s'?\n", command);
        return 1;
    }
}

int main(int argc, char **argv) {
    static struct holder holder;
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    char error[1024] = "";
    char command[64];
    if (argc != 4)
        return 2;
    options.directory = argv[1];
    options.error = error;
    options.error_size = sizeof error;
    holder.connection = (struct slotshare_connection){"bulk", "example.com", argv[3]};
    if (slotshare_open(&holder.handle, argv[2], &options) != SLOTSHARE_OK) {
        (void)fprintf(stderr, "holder: %s\n", error);
        return 1;
    }
    int status = 0;
    while (status == 0 && fgets(command, sizeof command, stdin) != NULL) {
        status = obey(&holder, command);
        (void)fflush(stdout);
    }
    slotshare_close(holder.handle);
    return status;
}
