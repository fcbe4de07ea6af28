/* SPDX-License-Identifier: MIT */
/* Lines from the clients of slotshare-socket, on a real segment. Every line gets one answer (a take
 * that waits gets its own later), and when the clients are gone nothing is in use. */
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <slotshare/stat.h>

#include "../../tools/socket/service.h"
#include "input.h"
#include "place.h"

enum { CLIENTS = 3, LINES_MAX = 64 };

static struct service service;
static struct client client[CLIENTS];
char event_process;

int64_t service_clock(void) {
    return 1;
}

bool service_segment(struct service *asked) {
    return asked->handle != NULL;
}

void service_trouble(struct service *asked, int result) {
    (void)asked;
    must(result != SLOTSHARE_EDAMAGED && result != SLOTSHARE_EGONE, "the segment is damaged");
}

static const char limits[] = "[node]\nname = n\ncounters = 32\nslots = 64\nowners = 8\n"
                             "[host \"a\"]\ncluster_max_outbound_connections = 2\n"
                             "[host \"b\"]\ncluster_max_outbound_connections = 0\n";

static void begin(void) {
    service.handle = place_open(limits);
    service.epoll = epoll_create1(EPOLL_CLOEXEC);
    must(service.epoll >= 0, "epoll");
    must(slotshare_queue_open(service.handle, &service.queue) == SLOTSHARE_OK, "a queue");
    for (int i = 0; i < CLIENTS; i++) {
        client[i].pid = getpid();
        client[i].fd = -1; /* there is no connection: lines come, and answers stay, here */
        client[i].next = i + 1 < CLIENTS ? &client[i + 1] : NULL;
    }
    service.clients = client;
}

static int count(const struct slotshare_counter_stat *counter, void *arg) {
    *(int *)arg += counter->in_use;
    return 0;
}

static void end(void) {
    int in_use = 0;
    struct slotshare_ready ready;

    for (int i = 0; i < CLIENTS; i++) {
        client_drop(&service, &client[i]);
        client[i].gone = false;
    }
    while (service.leases != NULL) { /* those that outlive their connection, and are tied */
        struct lease *lease = service.leases;
        lease->tied = false;
        lease_end(&service, lease);
    }
    while (slotshare_queue_next(service.queue, &ready) == SLOTSHARE_OK) {
        must(false, "somebody waits who is gone");
    }
    must(slotshare_stat_counters(service.handle, count, &in_use) == SLOTSHARE_OK && in_use == 0,
         "slots are in use that nobody has");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};

    if (service.handle == NULL) {
        begin();
    }
    for (int i = 0; i < LINES_MAX && input.left > 0; i++) {
        struct client *from = &client[input_below(&input, CLIENTS)];
        char line[LINE_BYTES + 1];
        size_t length = 0;
        while (input.left > 0 && length < LINE_BYTES) {
            char byte = (char)input_byte(&input);
            if (byte == '\n' || byte == '\0') {
                break;
            }
            line[length++] = byte;
        }
        line[length] = '\0';
        if (!from->waits) {
            from->out_length = 0;
            request_answer(&service, from, line);
            must((from->out_length > 0) != from->waits, "neither an answer nor a wait");
        }
    }
    end();
    return 0;
}
