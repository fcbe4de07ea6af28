/* SPDX-License-Identifier: MIT */
/* Real sockets on the loopback interface, plain TCP. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bridge/gate.h"
#include "net_support.h"

static int set_up(void **state) {
    struct cluster *cluster = calloc(1, sizeof *cluster);
    assert_non_null(cluster);
    cluster_make(cluster, 3, "tcp");
    *state = cluster;
    return 0;
}

static int tear_down(void **state) {
    cluster_remove(*state);
    free(*state);
    return 0;
}

/* Everybody hears everybody, under the right name. */
static void everybody_is_heard(void **state) {
    struct cluster *cluster = *state;
    for (uint32_t i = 0; i < 3; i++)
        cluster_open(cluster, i);
    for (uint32_t from = 0; from < 3; from++) {
        for (uint32_t to = 0; to < 3; to++) {
            char text[32];
            (void)snprintf(text, sizeof text, "from %u", from);
            if (from != to)
                expect_heard(cluster, from, to, text);
        }
    }
    struct net_message message;
    assert_int_equal(net_member_fd(cluster->net[1], 1), -1);
    assert_false(net_receive(cluster->net[1], 1, now_ms(), &message));
    assert_false(net_receive(cluster->net[1], 3, now_ms(), &message));
    assert_true(net_connected(cluster->net[1], 0));
    assert_false(net_connected(cluster->net[1], 1));
    assert_int_equal(net_port(cluster->net[1]), cluster->port[1]);
    expect_logged(cluster, 1, "event=member_connected member=m0");
}

/* A member that ends and comes again is found again. */
static void comes_back(void **state) {
    struct cluster *cluster = *state;
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    expect_heard(cluster, 0, 1, "before");
    cluster_close(cluster, 0);
    expect_logged(cluster, 1, "event=member_disconnected member=m0");
    expect_logged(cluster, 1, "event=member_unreachable member=m0");
    expect_logged(cluster, 1, "connection refused: no bridge runs there");
    cluster_open(cluster, 0);
    expect_heard(cluster, 0, 1, "after");
}

/* The largest message passes whole, a larger one is not sent. */
static void sizes(void **state) {
    struct cluster *cluster = *state;
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    expect_heard(cluster, 0, 1, "hello");
    uint8_t *bytes = malloc(NET_MESSAGE_MAX + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i <= NET_MESSAGE_MAX; i++)
        bytes[i] = (uint8_t)(i * 31);
    assert_int_equal(net_publish(cluster->net[0], bytes, NET_MESSAGE_MAX + 1), -1);
    assert_int_equal(net_publish(cluster->net[0], bytes, NET_MESSAGE_MAX), 0);
    net_send(cluster->net[0]);
    struct net_message message = {0};
    for (uint64_t end = now_ms() + 30000; now_ms() < end; pause_ms(2)) {
        if (net_receive(cluster->net[1], 0, now_ms(), &message) && message.size > 100)
            break;
    }
    assert_int_equal(message.size, NET_MESSAGE_MAX);
    assert_memory_equal(message.bytes, bytes, NET_MESSAGE_MAX);
    free(bytes);
}

/* What this process has in memory of its own, in kB. The sanitizers keep what was freed. */
static long memory_kb(void) {
    char line[256];
    long kb = 0;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0)
            kb = strtol(line + 8, NULL, 10);
    }
    assert_int_equal(fclose(status), 0);
    return kb;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const long memory_max_kb = LONG_MAX;
#else
static const long memory_max_kb = 16384; /* 80 MB are published */
#endif

/* Who does not read loses the old messages and gets the newest; what is kept for it is bounded. */
static void slow_reader(void **state) {
    struct cluster *cluster = *state;
    enum { COUNT = 20000, SIZE = 4096 };
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    expect_heard(cluster, 0, 1, "hello");
    uint8_t *bytes = calloc(1, SIZE);
    assert_non_null(bytes);
    const long before = memory_kb();
    for (uint32_t i = 0; i < COUNT; i++) {
        memcpy(bytes, &i, sizeof i);
        assert_int_equal(net_publish(cluster->net[0], bytes, SIZE), 0);
    }
    net_send(cluster->net[0]);
    free(bytes);
    assert_true(memory_kb() - before < memory_max_kb);
    uint32_t heard = 0;
    uint32_t last = 0;
    struct net_message message;
    for (uint64_t end = now_ms() + 30000; now_ms() < end && last != COUNT - 1; pause_ms(1)) {
        while (net_receive(cluster->net[1], 0, now_ms(), &message)) {
            if (message.size != SIZE)
                continue;
            memcpy(&last, message.bytes, sizeof last);
            heard++;
        }
    }
    assert_int_equal(last, COUNT - 1);
    assert_in_range(heard, 1, COUNT - 1);
}

static void read_all(int fd, uint8_t *bytes, size_t size) {
    while (size > 0) {
        ssize_t got = recv(fd, bytes, size, 0);
        assert_true(got > 0);
        bytes += got;
        size -= (size_t)got;
    }
}

enum { NUMBERED_MAX = 100000, PATTERN = 251 };

/* Cheap under any sanitizer on any machine: while nobody reads, the kernel gives a connection 30
 * seconds (the gate's TCP_USER_TIMEOUT). */
static size_t numbered(uint32_t number, uint8_t bytes[NUMBERED_MAX]) {
    static uint8_t pattern[NUMBERED_MAX + PATTERN];
    if (pattern[1] == 0) {
        for (size_t i = 0; i < sizeof pattern; i++)
            pattern[i] = (uint8_t)(i % PATTERN);
    }
    const size_t size = sizeof number + (size_t)number * 7919 % (NUMBERED_MAX - sizeof number);
    memcpy(bytes, &number, sizeof number);
    memcpy(bytes + sizeof number, pattern + number % PATTERN, size - sizeof number);
    return size;
}

/* What a slow one is sent is whole messages, in their order, wherever its connection was full. */
static void slow_reader_by_hand(void **state) {
    struct cluster *cluster = *state;
    static const uint8_t subscriber[8] = {0, 'S', 'P', 0, 0, 33, 0, 0};
    static const uint8_t publisher[8] = {0, 'S', 'P', 0, 0, 32, 0, 0};
    static uint8_t sent[NUMBERED_MAX], got[NUMBERED_MAX];
    enum { COUNT = 1000 };
    uint8_t header[8];
    uint32_t heard = 0;
    uint32_t last = 0;
    cluster_open(cluster, 0);
    int fd = connect_port(cluster->port[0]);
    assert_int_equal(send(fd, subscriber, sizeof subscriber, MSG_NOSIGNAL), sizeof subscriber);
    read_all(fd, header, sizeof header);
    assert_memory_equal(header, publisher, sizeof header);
    for (uint32_t i = 1; i <= COUNT; i++) { /* 50 MB */
        assert_int_equal(net_publish(cluster->net[0], sent, numbered(i, sent)), 0);
        if (i % 3 == 0)
            net_send(cluster->net[0]);
    }
    net_send(cluster->net[0]);
    for (; last != COUNT; heard++) {
        uint64_t size = 0;
        uint32_t number;
        read_all(fd, header, sizeof header);
        for (unsigned i = 0; i < sizeof header; i++)
            size = size << 8 | header[i];
        assert_in_range(size, sizeof number, NUMBERED_MAX);
        read_all(fd, got, (size_t)size);
        memcpy(&number, got, sizeof number);
        assert_in_range(number, last + 1, COUNT);
        assert_int_equal(size, numbered(number, sent));
        assert_memory_equal(got, sent, (size_t)size);
        last = number;
    }
    assert_in_range(heard, GATE_QUEUE, COUNT - 1);
    close(fd);
}

/* m0 is a socket of the test's; m1 connects to it. @return that socket */
static int be_member(struct cluster *cluster) {
    int listener = listen_port(&cluster->port[0]);
    (void)snprintf(cluster->conf[1].member[0].url, CONF_URL_MAX, "tcp://127.0.0.1:%u",
                   cluster->port[0]);
    cluster_open(cluster, 1);
    return listener;
}

/* The next connection of m1, greeted. */
static int greet_subscriber(int listener) {
    static const uint8_t publisher[8] = {0, 'S', 'P', 0, 0, 32, 0, 0};
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, publisher, sizeof publisher), sizeof publisher);
    return fd;
}

enum { LOOK_MS = 500 }; /* as the daemon does */

/* A connection that says nothing is given up and made anew; not one that was not listened to. */
static void silent_member(void **state) {
    struct cluster *cluster = *state;
    uint8_t header[8];
    int listener = be_member(cluster);
    int first = greet_subscriber(listener);
    expect_logged(cluster, 1, "event=member_connected member=m0");
    assert_int_equal(read(first, header, sizeof header), sizeof header);
    uint64_t now = now_ms() + 60000; /* stopped for a minute */
    net_tend(cluster->net[1], now);
    assert_true(net_connected(cluster->net[1], 0));
    char *log = cluster_log(cluster, 1);
    assert_null(strstr(log, "member_silent"));
    free(log);
    for (const uint64_t end = now + NET_SILENT_MS; now < end; now += LOOK_MS) {
        assert_int_equal(recv(first, header, 1, MSG_DONTWAIT), -1); /* still there */
        net_tend(cluster->net[1], now);
    }
    net_tend(cluster->net[1], now);
    log = cluster_log(cluster, 1);
    assert_non_null(strstr(log, "event=member_silent member=m0"));
    free(log);
    int second = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(second >= 0);
    assert_int_equal(read(first, header, sizeof header), 0); /* closed */
    close(first);
    close(second);
    close(listener);
}

/* As much as goes: messages of all sizes up to some hundred bytes, of which the last is cut. */
static void flood(int fd) {
    static uint8_t bytes[65536];
    size_t used = 0;
    for (uint8_t size = 1; used + 8 + size <= sizeof bytes; size = (uint8_t)(size * 7 + 1)) {
        memset(bytes + used, 0, 7);
        bytes[used + 7] = size;
        used += 8 + (size_t)size;
    }
    (void)send(fd, bytes, used, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A connection that is ended while messages come in really ends, and another is made.
 * nng_pipe_close() of nng 1.5.2 would now and then wait for ever for the rest of a message. */
static void ended_in_a_flood(void **state) {
    enum { ROUNDS = 40 };
    struct cluster *cluster = *state;
    int listener = be_member(cluster);
    uint64_t now = now_ms();
    for (unsigned round = 0; round < ROUNDS; round++) {
        int fd = greet_subscriber(listener);
        while (!net_connected(cluster->net[1], 0))
            pause_ms(1);
        for (const uint64_t end = now + NET_SILENT_MS + LOOK_MS; now <= end; now += LOOK_MS) {
            flood(fd);
            net_tend(cluster->net[1], now); /* nobody takes the messages: it seems silent */
        }
        while (net_connected(cluster->net[1], 0)) /* the next one is not greeted yet */
            pause_ms(1);
        close(fd);
        assert_false(net_stuck(cluster->net[1]));
    }
    close(listener);
}

static void port_in_use(void **state) {
    struct cluster *cluster = *state;
    char error[512] = "";
    struct net *net = NULL;
    cluster_open(cluster, 0);
    assert_int_equal(net_open(&net, &cluster->conf[0], &cluster->log[0], error, sizeof error), -1);
    assert_null(net);
    assert_non_null(strstr(error, "cannot listen on tcp://127.0.0.1:"));
    assert_non_null(strstr(error, "the port is in use"));
}

static void not_our_address(void **state) {
    struct cluster *cluster = *state;
    char error[512] = "";
    struct net *net = NULL;
    (void)snprintf(cluster->conf[0].listen, sizeof cluster->conf[0].listen,
                   "tcp://192.0.2.1:7946"); /* of no machine (RFC 5737) */
    assert_int_equal(net_open(&net, &cluster->conf[0], &cluster->log[0], error, sizeof error), -1);
    assert_non_null(strstr(error, "cannot listen on tcp://192.0.2.1:7946"));
    assert_non_null(strstr(error, "no address of this machine"));
}

/* [node] listen wins over the member's URL. */
static void own_listen(void **state) {
    struct cluster *cluster = *state;
    (void)snprintf(cluster->conf[0].listen, sizeof cluster->conf[0].listen, "tcp://127.0.0.1:0");
    cluster_open(cluster, 0);
    assert_int_not_equal(net_port(cluster->net[0]), cluster->port[0]);
    close(connect_port(net_port(cluster->net[0])));
}

/* Strangers that talk nonsense, or connect in masses, disturb nobody. */
static void strangers(void **state) {
    struct cluster *cluster = *state;
    static const uint8_t subscriber[8] = {0, 'S', 'P', 0, 0, 33, 0, 0};
    int fd[100];
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    expect_heard(cluster, 0, 1, "hello");
    for (unsigned i = 0; i < 100; i++) {
        fd[i] = connect_port(cluster->port[0]);
        const void *bytes = i % 2 == 0 ? (const void *)subscriber : "GET / HTTP/1.0\r\n\r\n";
        assert_int_equal(send(fd[i], bytes, 8, MSG_NOSIGNAL), 8);
    }
    expect_heard(cluster, 0, 1, "still there");
    expect_logged(cluster, 0, "event=connection_refused from=127.0.0.1 code=too-many");
    for (unsigned i = 0; i < 100; i++)
        close(fd[i]);
    /* Once they have gone there is room again. */
    cluster_open(cluster, 2);
    expect_heard(cluster, 0, 2, "room");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everybody_is_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_reader_by_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silent_member, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ended_in_a_flood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(port_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_our_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_listen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strangers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
