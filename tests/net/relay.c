/* SPDX-License-Identifier: MIT */
/* A network that is slow: a TUN device in each namespace, and this program between them, which
 * brings every packet to the one whose address it is for, after a delay. For kernels without
 * netem.
 *
 * Usage: net_relay DELAY-US JITTER-US NAMESPACE...
 * The device is called slow0; its address in the Ith namespace (from 1) is 10.1.0.I. Prints
 * "ready", and goes on until it is killed. Packets of one pair stay in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "history.h"

enum { PACKET = 2048, QUEUE = 4096, NS_PER_US = 1000 };

struct packet {
    uint64_t due;
    size_t size;
    unsigned char bytes[PACKET];
};

/* What is on its way to one namespace from another, the oldest first. */
struct queue {
    struct packet *packet; /* [QUEUE], a ring */
    uint32_t head, count;
};

struct relay {
    uint64_t delay_ns, jitter_ns;
    uint64_t random;
    uint32_t ends;
    int fd[NODES];
    struct queue queue[NODES][NODES]; /* [to][from] */
};

static _Noreturn void fail(const char *what, const char *name) {
    (void)fprintf(stderr, "net_relay: %s %s: %s\n", what, name, strerror(errno));
    exit(1);
}

/* The device belongs to the namespace that this process is in when it is made. */
static int open_tun(const char *name) {
    char path[256];
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};

    (void)snprintf(path, sizeof path, "/run/netns/%s", name);
    int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) != 0)
        fail("cannot enter namespace", name);
    close(space);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    memcpy(request.ifr_name, "slow0", sizeof "slow0");
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
        fail("cannot make a TUN device in", name);
    return fd;
}

static uint64_t due(struct relay *relay, const struct queue *queue, uint64_t now) {
    relay->random = relay->random * 6364136223846793005u + 1442695040888963407u;
    uint64_t jitter = relay->jitter_ns > 0 ? (relay->random >> 16) % relay->jitter_ns : 0;
    uint64_t at = now + relay->delay_ns + jitter;
    if (queue->count > 0) {
        uint64_t last = queue->packet[(queue->head + queue->count - 1) % QUEUE].due;
        at = at > last ? at : last;
    }
    return at;
}

/* A full queue loses the packet, as a router would. */
static void take(struct relay *relay, uint32_t from, uint64_t now) {
    unsigned char bytes[PACKET];
    ssize_t size;

    while ((size = read(relay->fd[from], bytes, sizeof bytes)) > 0) {
        /* IPv4 to 10.1.0.x */
        if (size < 20 || bytes[0] >> 4 != 4 || bytes[16] != 10 || bytes[17] != 1)
            continue;
        uint32_t to = (uint32_t)bytes[19] - 1;
        if (to >= relay->ends || to == from)
            continue;
        struct queue *queue = &relay->queue[to][from];
        if (queue->count == QUEUE)
            continue;
        struct packet *packet = &queue->packet[(queue->head + queue->count) % QUEUE];
        packet->due = due(relay, queue, now);
        packet->size = (size_t)size;
        memcpy(packet->bytes, bytes, (size_t)size);
        queue->count++;
    }
}

/* @return when the next packet is due; UINT64_MAX: none is on its way */
static uint64_t bring(const struct relay *relay, struct queue *queue, uint32_t to) {
    uint64_t now = history_now();
    while (queue->count > 0) {
        const struct packet *packet = &queue->packet[queue->head];
        if (packet->due > now)
            return packet->due;
        /* A device that is down refuses it: lost. */
        if (write(relay->fd[to], packet->bytes, packet->size) < 0 && errno == ENOMEM)
            fail("cannot write to", "slow0");
        queue->head = (queue->head + 1) % QUEUE;
        queue->count--;
    }
    return UINT64_MAX;
}

static void run(struct relay *relay) {
    struct pollfd fds[NODES];

    for (uint32_t i = 0; i < relay->ends; i++)
        fds[i] = (struct pollfd){.fd = relay->fd[i], .events = POLLIN};
    for (;;) {
        uint64_t now = history_now(), next = UINT64_MAX;
        for (uint32_t from = 0; from < relay->ends; from++)
            take(relay, from, now);
        for (uint32_t i = 0; i < NODES * NODES; i++) {
            uint64_t at = bring(relay, &relay->queue[i / NODES][i % NODES], i / NODES);
            next = at < next ? at : next;
        }
        now = history_now();
        uint64_t wait = next > now ? next - now : 0;
        struct timespec timeout = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
        (void)ppoll(fds, relay->ends, next != UINT64_MAX ? &timeout : NULL, NULL);
    }
}

int main(int argc, char **argv) {
    static struct relay relay;

    if (argc < 5 || argc - 3 > NODES)
        return 2;
    relay.delay_ns = strtoull(argv[1], NULL, 10) * NS_PER_US;
    relay.jitter_ns = strtoull(argv[2], NULL, 10) * NS_PER_US;
    relay.ends = (uint32_t)(argc - 3);
    for (uint32_t i = 0; i < relay.ends; i++) {
        relay.fd[i] = open_tun(argv[i + 3]);
        for (uint32_t j = 0; j < relay.ends; j++) {
            relay.queue[i][j].packet = calloc(QUEUE, sizeof(struct packet));
            if (relay.queue[i][j].packet == NULL)
                fail("no memory for", argv[i + 3]);
        }
    }
    (void)printf("ready\n");
    (void)fflush(stdout);
    run(&relay);
}
