/* SPDX-License-Identifier: MIT */
/* slot-bench-cluster CONFIG NAME DIRECTORY: create a cluster member's segment, as the bridge does,
 * with a session of one hour, and end. Workers then take what the opening deal gives them. */
#include <stdio.h>
#include <stdlib.h>

#include "../../conf/conf.h"
#include "../../shm/control.h"

enum { SESSION_MS = 3600 * 1000 };

static int create(const struct conf *conf, const char *name, const char *directory) {
    struct control *control = NULL;
    char error[512] = "";
    int result = control_open(&control, conf, name, directory, error, sizeof error);
    if (result != SLOTSHARE_OK) {
        fprintf(stderr, "slot-bench-cluster: %s\n", *error ? error : slotshare_strerror(result));
        return EXIT_FAILURE;
    }
    struct control_memory memory;
    control_memory_load(control, &memory);
    memory.session_end = control_now() + SESSION_MS;
    control_memory_store(control, &memory);
    control_close(control);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    struct conf *conf = NULL;
    struct conf_errors errors = {0};
    int status = EXIT_FAILURE;
    if (argc != 4) {
        fputs("usage: slot-bench-cluster CONFIG NAME DIRECTORY\n", stderr);
        return EXIT_FAILURE;
    }
    if (conf_load(argv[1], &conf, &errors) == 0) {
        status = create(conf, argv[2], argv[3]);
    }
    for (size_t i = 0; i < errors.count; i++) {
        fprintf(stderr, "slot-bench-cluster: %s\n", errors.line[i]);
    }
    conf_errors_free(&errors);
    conf_free(conf);
    return status;
}
