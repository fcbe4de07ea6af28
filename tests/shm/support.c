/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TEST_SECONDS = 280 }; /* enough for valgrind, less than ctest's patience */

int place_setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    if (!place) {
        return -1;
    }
    (void)snprintf(place->directory, sizeof place->directory, "/tmp/slotshare-shm-XXXXXX");
    if (!mkdtemp(place->directory)) {
        free(place);
        return -1;
    }
    (void)snprintf(place->config, sizeof place->config, "%s/slotshare.ini", place->directory);
    (void)snprintf(place->segment, sizeof place->segment, "%s/slotshare.seg", place->directory);
    (void)snprintf(place->lock, sizeof place->lock, "%s/slotshare.lock", place->directory);
    place->board =
        mmap(NULL, sizeof *place->board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *state = place;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)alarm(TEST_SECONDS); /* a test that hangs ends here, and its children with it */
    return place->board == MAP_FAILED ? -1 : 0;
}

static void remove_files(const char *directory) {
    DIR *files = opendir(directory);
    struct dirent *file;
    while (files && (file = readdir(files))) {
        if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0) {
            (void)unlinkat(dirfd(files), file->d_name, file->d_type == DT_DIR ? AT_REMOVEDIR : 0);
        }
    }
    if (files) {
        (void)closedir(files);
    }
}

int place_teardown(void **state) {
    struct place *place = *state;
    (void)alarm(0);
    for (int i = 0; i < CHILDREN_MAX; i++) {
        if (place->child[i]) {
            (void)kill(place->child[i], SIGKILL);
            (void)waitpid(place->child[i], NULL, 0);
        }
    }
    remove_files(place->directory);
    int result = rmdir(place->directory);
    (void)munmap(place->board, sizeof *place->board);
    free(place);
    return result;
}

void place_config(struct place *place, const char *text) {
    file_write(place->config, text, strlen(text));
}

int place_try(struct place *place, slotshare **out, bool config, bool read_only) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = place->directory;
    options.config = config ? place->config : NULL;
    options.read_only = read_only;
    options.error = place->error;
    options.error_size = sizeof place->error;
    place->error[0] = '\0';
    return slotshare_open(out, NULL, &options);
}

static slotshare *open_or_fail(struct place *place, bool config, bool read_only) {
    slotshare *handle = NULL;
    if (place_try(place, &handle, config, read_only) != SLOTSHARE_OK) {
        print_error("%s\n", place->error);
    }
    assert_non_null(handle);
    return handle;
}

slotshare *place_open(struct place *place) {
    return open_or_fail(place, true, false);
}

slotshare *place_watch(struct place *place) {
    return open_or_fail(place, false, true);
}

int bridge_try(struct place *place, struct control **out, const char *name) {
    *out = NULL;
    struct conf *conf = NULL;
    struct conf_errors errors;
    place->error[0] = '\0';
    if (conf_load(place->config, &conf, &errors) != 0) {
        (void)fprintf(stderr, "%s\n", errors.count ? errors.line[0] : "?");
        conf_errors_free(&errors);
        return SLOTSHARE_ECONFIG;
    }
    conf_errors_free(&errors);
    const int result =
        control_open(out, conf, name, place->directory, place->error, sizeof place->error);
    conf_free(conf);
    return result;
}

struct control *bridge_open(struct place *place) {
    struct control *control = NULL;
    if (bridge_try(place, &control, NULL) != SLOTSHARE_OK) {
        print_error("%s\n", place->error);
    }
    assert_non_null(control);
    return control;
}

/* ---- children -------------------------------------------------------------------------------- */

void child_adopt(struct place *place, pid_t pid) {
    int at = 0;
    while (at < CHILDREN_MAX && place->child[at]) {
        at++;
    }
    assert_true(at < CHILDREN_MAX);
    place->child[at] = pid;
}

pid_t child_start(struct place *place, child_body body, int argument) {
    (void)fflush(NULL);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent && body(place, argument) ? 0 : 1);
    }
    child_adopt(place, pid);
    return pid;
}

int child_end(struct place *place, pid_t pid) {
    int status = 0;
    pid_t got;
    do {
        got = waitpid(pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    assert_int_equal(got, pid);
    for (int i = 0; i < CHILDREN_MAX; i++) {
        place->child[i] = place->child[i] == pid ? 0 : place->child[i];
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int child_kill(struct place *place, pid_t pid, int signal) {
    assert_int_equal(kill(pid, signal), 0);
    return child_end(place, pid);
}

int64_t board_get(const struct place *place, int i) {
    return atomic_load(&place->board->number[i]);
}

void board_set(struct place *place, int i, int64_t value) {
    atomic_store(&place->board->number[i], value);
}

int64_t board_add(struct place *place, int i, int64_t value) {
    return atomic_fetch_add(&place->board->number[i], value) + value;
}

void nap(void) {
    const struct timespec millisecond = {.tv_nsec = 1000000};
    (void)nanosleep(&millisecond, NULL);
}

void board_await(const struct place *place, int i, int64_t value) {
    while (board_get(place, i) < value) {
        nap();
    }
}

uint32_t chance(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* ---- looking --------------------------------------------------------------------------------- */

struct slotshare_connection to_host(const char *host) {
    return (struct slotshare_connection){NULL, NULL, host};
}

struct slotshare_connection to_domain(const char *domain) {
    return (struct slotshare_connection){NULL, domain, NULL};
}

struct wanted_stat {
    const char *name;
    struct slotshare_counter_stat found;
    int times;
};

static int compare_name(const struct slotshare_counter_stat *counter, void *arg) {
    struct wanted_stat *wanted = arg;
    if (strcmp(counter->name, wanted->name) == 0) {
        wanted->found = *counter;
        wanted->times++;
    }
    return 0;
}

struct slotshare_counter_stat stat_of(slotshare *handle, const char *counter) {
    struct wanted_stat wanted = {.name = counter};
    assert_int_equal(slotshare_stat_counters(handle, compare_name, &wanted), SLOTSHARE_OK);
    if (wanted.times != 1) {
        fail_msg("%s is %d times in the table", counter, wanted.times);
    }
    return wanted.found;
}

struct slotshare_segment_stat segment_of(slotshare *handle) {
    struct slotshare_segment_stat stat;
    assert_int_equal(slotshare_stat_segment(handle, &stat), SLOTSHARE_OK);
    return stat;
}

struct wanted_owner {
    pid_t pid;
    int count;
    uint32_t leader;
};

static int compare_pid(const struct slotshare_owner_stat *owner, void *arg) {
    struct wanted_owner *wanted = arg;
    if (owner->pid == wanted->pid && wanted->count++ == 0) {
        wanted->leader = owner->leader;
    }
    return 0;
}

int owners_of(slotshare *handle, pid_t pid, uint32_t *leader) {
    struct wanted_owner wanted = {.pid = pid};
    (void)slotshare_stat_owners(handle, compare_pid, &wanted);
    *leader = wanted.leader;
    return wanted.count;
}

char *file_read(const char *path, size_t *size) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status = {0};
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    *size = (size_t)status.st_size;
    char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, *size), *size);
    bytes[*size] = '\0';
    assert_int_equal(close(fd), 0);
    return bytes;
}

void file_write(const char *path, const void *bytes, size_t size) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(close(fd), 0);
}
