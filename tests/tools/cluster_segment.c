/* SPDX-License-Identifier: MIT */
/* Makes the segment of a cluster, stores what a bridge would have heard, and serves it until the
 * end of standard input. Usage: cluster_segment CONFIG DIRECTORY COUNTER, the members being sorted
 * by name: the first is this node, the second the coordinator, the third was heard long ago. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shm/control.h"

enum { SESSION_MS = 3600000, LONG_AGO_MS = 10000, SHARE = 1, IN_CLUSTER = 2, GRANT = 5 };

static int store(struct control *control, const char *counter) {
    struct control_memory memory;
    uint32_t index = 0;
    uint64_t now = control_now();

    control_memory_load(control, &memory);
    memory.session_number = 1;
    memory.session_end = now + SESSION_MS;
    control_memory_store(control, &memory);
    if (control_counter_find(control, counter, &index) != SLOTSHARE_OK ||
        control_share_set(control, index, SHARE, GRANT) < 0) {
        fprintf(stderr, "cluster_segment: cannot set the share of '%s'\n", counter);
        return EXIT_FAILURE;
    }
    control_cluster_in_use(control, index, IN_CLUSTER);
    control_contended(control, index, true);
    control_member_heard(control, 1, now);
    control_member_heard(control, 2, now > LONG_AGO_MS ? now - LONG_AGO_MS : 1);
    control_coordinator(control, 1);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    struct conf_errors errors = {0};
    struct conf *conf = NULL;
    struct control *control = NULL;
    char error[1024] = "";
    char end;

    if (argc != 4 || conf_load(argv[1], &conf, &errors) != 0) {
        fputs("usage: cluster_segment CONFIG DIRECTORY COUNTER, with a good CONFIG\n", stderr);
        return EXIT_FAILURE;
    }
    conf_errors_free(&errors);
    int result = control_open(&control, conf, NULL, argv[2], error, sizeof error);
    conf_free(conf);
    if (result != SLOTSHARE_OK) {
        fprintf(stderr, "cluster_segment: %s\n", error);
        return EXIT_FAILURE;
    }
    int status = store(control, argv[3]);
    if (status == EXIT_SUCCESS) {
        puts("ready");
        (void)fflush(stdout);
        while (read(STDIN_FILENO, &end, 1) > 0) {
        }
    }
    control_close(control);
    return status;
}
