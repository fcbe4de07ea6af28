/* SPDX-License-Identifier: MIT */
/* The segments that are measured: private ones, in the run's own folder. */
#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

static int write_config(struct bench *bench, const char *path, const char *node,
                        const char *limits) {
    FILE *file = fopen(path, "we");
    if (!file) {
        return bench_fail(bench, "%s: %s", path, strerror(errno));
    }
    int written = fprintf(file, "%s%s", node, limits);
    if (fclose(file) != 0 || written < 0) {
        return bench_fail(bench, "%s: cannot write: %s", path, strerror(errno));
    }
    return 0;
}

static int config_path(struct bench *bench, const char *name, char out[BENCH_PATH_MAX + 80]) {
    int length = snprintf(out, BENCH_PATH_MAX + 80, "%s/%s.conf", bench->directory, name);
    return length > 0 ? 0 : bench_fail(bench, "no path for %s", name);
}

static slotshare *open_with(struct bench *bench, const char *name, const char *config) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    char story[BENCH_ERROR_MAX - 64] = "";
    slotshare *handle = NULL;
    options.directory = bench->directory;
    options.config = config;
    options.error = story;
    options.error_size = sizeof story;
    int result = slotshare_open(&handle, name, &options);
    if (result != SLOTSHARE_OK) {
        (void)bench_fail(bench, "%s", *story ? story : slotshare_strerror(result));
    }
    return handle;
}

slotshare *segment_open(struct bench *bench, const char *name) {
    return open_with(bench, name, NULL);
}

int segment_host(struct bench *bench, const char *name, uint32_t counters, const char *limits) {
    char path[BENCH_PATH_MAX + 80];
    char node[128];
    (void)snprintf(node, sizeof node,
                   "[node]\nname = bench\ncounters = %u\ncounters_max = %u\nslots = 4096\n",
                   counters, counters);
    if (config_path(bench, name, path) != 0 || write_config(bench, path, node, limits) != 0) {
        return -1;
    }
    slotshare *handle = open_with(bench, name, path);
    slotshare_close(handle);
    return handle ? 0 : -1;
}

/* The helper program lies beside this one: creating a cluster's segment takes more than the public
 * API, and this program is to be linked to nothing but what ships. */
static int helper_path(struct bench *bench, char out[PATH_MAX + 16]) {
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0) {
        return bench_fail(bench, "/proc/self/exe: %s", strerror(errno));
    }
    self[length] = '\0';
    (void)snprintf(out, PATH_MAX + 16, "%s-cluster", self);
    return 0;
}

static int run_helper(struct bench *bench, const char *name, const char *config) {
    char helper[PATH_MAX + 16];
    int status = 0;
    if (helper_path(bench, helper) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl(helper, helper, config, name, bench->directory, (char *)NULL);
        fprintf(stderr, "%s: %s\n", helper, strerror(errno));
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0) {
        return bench_fail(bench, "%s: failed, see above", helper);
    }
    return 0;
}

int segment_cluster(struct bench *bench, const char *name, const char *limits) {
    static const char node[] = "[node]\nname = bench\ncounters = 1024\n"
                               "[cluster]\ntls = off\nreplicate = outbound_domains\nreserve = 0%\n"
                               "member bench = tcp://127.0.0.1:1\n"
                               "member other = tcp://127.0.0.1:2\n";
    char path[BENCH_PATH_MAX + 80];
    if (config_path(bench, name, path) != 0 || write_config(bench, path, node, limits) != 0) {
        return -1;
    }
    return run_helper(bench, name, path);
}

uint64_t segment_bytes(struct bench *bench, const char *name) {
    char path[BENCH_PATH_MAX + 80];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/%s.seg", bench->directory, name);
    if (stat(path, &status) != 0) {
        (void)bench_fail(bench, "%s: %s", path, strerror(errno));
        return 0;
    }
    return (uint64_t)status.st_blocks * 512; /* it has holes, for growing */
}

void segment_host_name(char out[BENCH_NAME_MAX], uint32_t i) {
    (void)snprintf(out, BENCH_NAME_MAX, "mx%u.recipient-%u.example", i % 5, i);
}
