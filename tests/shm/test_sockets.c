/* SPDX-License-Identifier: MIT */
/* A slot that comes back while its connection is still open would let the next one go over: the
 * lock that says "alive" must be the last thing that a killed process loses. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../shm/lock.h"
#include "support.h"

enum { CONNECTIONS = 900, ROUNDS = 10, STATE_ESTABLISHED = 1 };

static int listener;
static uint16_t listener_port;

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, CONNECTIONS), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    listener_port = ntohs(address.sin_port);
    return fd;
}

static bool connect_once(void) {
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(listener_port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    return true;
}

/* order 0: connections first, then the handle; 1: the other way round */
static bool connect_and_hold(struct place *place, int order) {
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection open = to_domain("open");
    close(listener);
    if (order == 1) {
        CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        CHECK(connect_once());
    }
    if (order == 0) {
        CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    }
    CHECK(slotshare_acquire(handle, &open, &slot) == SLOTSHARE_OK);
    board_add(place, 0, 1);
    for (;;) {
        (void)pause();
    }
}

/* Connections to our port that the kernel calls established on the connecting side; stops at
 * `enough`. */
static int established(int enough) {
    FILE *table = fopen("/proc/net/tcp", "re");
    char line[512];
    int count = 0;
    assert_non_null(table);
    while (count < enough && fgets(line, sizeof line, table)) {
        char *at = strchr(line, ':');         /* behind the number of the line */
        at = at ? strchr(at + 1, ':') : NULL; /* before the local port */
        at = at ? strchr(at + 1, ':') : NULL; /* before the remote port */
        char *next = NULL;
        if (at && strtoul(at + 1, &next, 16) == listener_port &&
            strtoul(next, NULL, 16) == STATE_ESTABLISHED) {
            count++;
        }
    }
    (void)fclose(table);
    return count;
}

static void the_lock_goes_after_the_last_connection(void **state) {
    struct place *place = *state;
    place_config(place, NODE_SMALL);
    slotshare *handle = place_open(place);
    listener = listen_on_loopback();
    const int lock = lock_file_open(place->lock, false);
    assert_true(lock >= 0);
    for (int round = 1; round <= ROUNDS; round++) {
        int accepted[CONNECTIONS];
        uint32_t leader;
        const pid_t pid = child_start(place, connect_and_hold, round % 2);
        for (int i = 0; i < CONNECTIONS; i++) {
            accepted[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            assert_true(accepted[i] >= 0);
        }
        board_await(place, 0, round);
        assert_int_equal(owners_of(handle, pid, &leader), 1);
        assert_int_equal(lock_probe(lock, LOCK_OWNERS + leader, 1), 1);
        assert_int_equal(established(CONNECTIONS), CONNECTIONS);
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (lock_probe(lock, LOCK_OWNERS + leader, 1) == 1) {
            /* at full speed: the first moment at which it is free is what counts */
        }
        assert_int_equal(established(1), 0);
        assert_int_equal(child_end(place, pid), -SIGKILL);
        for (int i = 0; i < CONNECTIONS; i++) {
            close(accepted[i]);
        }
    }
    close(lock);
    close(listener);
    slotshare_close(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_lock_goes_after_the_last_connection, place_setup,
                                        place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
