/* SPDX-License-Identifier: MIT */
/* The round trip of a message between two programs that talk as bridges do: each publishes, and
 * subscribes to the other, by nng over TCP, and polls a descriptor.
 *
 * Usage: net_ping echo LISTEN-URL PEER-URL            says back what it hears, until it is killed
 *        net_ping ask LISTEN-URL PEER-URL ROUNDS      -> median, 90%, in microseconds
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>

#include "history.h"

enum { SIZE = 200, ROUNDS_MAX = 10000, LOST_MS = 1000, TRIES = 30 };

struct talk {
    nng_socket out, in;
    int fd;
};

static void need(int rc, const char *what) {
    if (rc != 0) {
        (void)fprintf(stderr, "net_ping: %s: %s\n", what, nng_strerror(rc));
        exit(1);
    }
}

static void open_talk(struct talk *talk, const char *listen, const char *peer) {
    need(nng_pub0_open(&talk->out), "publisher");
    need(nng_listen(talk->out, listen, NULL, 0), listen);
    need(nng_sub0_open(&talk->in), "subscriber");
    need(nng_socket_set(talk->in, NNG_OPT_SUB_SUBSCRIBE, "", 0), "subscribe");
    need(nng_socket_set_ms(talk->in, NNG_OPT_RECONNMINT, 20), "reconnect");
    need(nng_socket_set_ms(talk->in, NNG_OPT_RECONNMAXT, 20), "reconnect");
    need(nng_socket_get_int(talk->in, NNG_OPT_RECVFD, &talk->fd), "descriptor");
    need(nng_dial(talk->in, peer, NULL, NNG_FLAG_NONBLOCK), peer);
}

static void say(const struct talk *talk, const void *bytes, size_t size) {
    need(nng_send(talk->out, (void *)bytes, size, 0), "send");
}

/* @return false: nothing came for a while. */
static bool hear(const struct talk *talk, char *bytes, size_t *size, int timeout_ms) {
    struct pollfd poll_fd = {.fd = talk->fd, .events = POLLIN};
    for (;;) {
        size_t room = *size;
        if (nng_recv(talk->in, bytes, &room, NNG_FLAG_NONBLOCK) == 0) {
            *size = room;
            return true;
        }
        if (poll(&poll_fd, 1, timeout_ms) <= 0)
            return false;
    }
}

static void echo(const struct talk *talk) {
    for (;;) {
        char bytes[SIZE];
        size_t size = sizeof bytes;
        if (hear(talk, bytes, &size, -1))
            say(talk, bytes, size);
    }
}

static int compare(const void *a_arg, const void *b_arg) {
    const uint64_t *a = a_arg, *b = b_arg;
    return (*a > *b) - (*a < *b);
}

/* One round. @return its nanoseconds; 0: lost */
static uint64_t round_trip(const struct talk *talk, uint32_t number) {
    char out[SIZE] = {0}, in[SIZE];
    uint64_t begin = history_now();
    memcpy(out, &number, sizeof number);
    say(talk, out, sizeof out);
    for (;;) {
        size_t size = sizeof in;
        if (!hear(talk, in, &size, LOST_MS))
            return 0;
        if (size == sizeof out && memcmp(in, out, sizeof number) == 0)
            return history_now() - begin;
    }
}

static int ask(const struct talk *talk, uint32_t rounds) {
    static uint64_t times[ROUNDS_MAX];
    uint32_t number = 0, count = 0, lost = 0;

    while (lost < TRIES && round_trip(talk, ++number) == 0)
        lost++; /* until both are connected */
    for (uint32_t i = 0; i < rounds && lost < TRIES; i++) {
        times[count] = round_trip(talk, ++number);
        if (times[count] == 0)
            lost++;
        else
            count++;
        (void)poll(NULL, 0, 5); /* as seldom as bridges speak: no processor is kept warm for it */
    }
    if (count == 0) {
        (void)fprintf(stderr, "net_ping: no answer\n");
        return 1;
    }
    qsort(times, count, sizeof *times, compare);
    uint64_t median = times[count / 2], most = times[(size_t)count * 9 / 10];
    (void)printf("%.1f %.1f\n", (double)median / 1e3, (double)most / 1e3);
    return 0;
}

int main(int argc, char **argv) {
    struct talk talk;

    if (argc < 4 || (strcmp(argv[1], "echo") != 0 && strcmp(argv[1], "ask") != 0))
        return 2;
    open_talk(&talk, argv[2], argv[3]);
    if (argv[1][0] == 'e')
        echo(&talk);
    unsigned long rounds = argc > 4 ? strtoul(argv[4], NULL, 10) : 200;
    return ask(&talk, rounds < ROUNDS_MAX ? (uint32_t)rounds : ROUNDS_MAX);
}
