/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <slotshare/slotshare.h>
#include <slotshare/stat.h>

#include "../../conf/conf.h"
#include "../../shm/control.h"
#include "../../shm/handle.h"
#include "fuzz.h"

enum { PATIENCE_S = 20, HELD_MAX = 64, PATHS = 600 };

/* The fuzzer's own state: libFuzzer gives its entry point no argument. */
static struct {
    char directory[256], segment[PATHS], config[PATHS];
    uint8_t *valid, *changed;
    size_t size;
    struct conf *conf;
    struct fuzz_tally tally;
    _Atomic bool disturb;
    uint64_t random;
} fuzz;

struct fuzz_tally fuzz_tally(void) {
    return fuzz.tally;
}

static void must(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "segment_fuzz: %s\n", what);
        abort();
    }
}

static void write_file(const char *path, const void *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, path);
    close(fd);
}

void fuzz_end(void) {
    char lock[PATHS];
    (void)snprintf(lock, sizeof lock, "%s/fuzz.lock", fuzz.directory);
    (void)unlink(lock);
    (void)unlink(fuzz.segment);
    (void)unlink(fuzz.config);
    (void)rmdir(fuzz.directory);
    conf_free(fuzz.conf);
    free(fuzz.valid);
    free(fuzz.changed);
}

static void begin(void) {
    struct conf_errors errors = {0};
    struct control *control;
    char text[512] = "";
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(fuzz.directory, sizeof fuzz.directory, "%s/slotshare-fuzz.XXXXXX", parent);
    must(mkdtemp(fuzz.directory) != NULL, "mkdtemp");
    (void)snprintf(fuzz.segment, sizeof fuzz.segment, "%s/fuzz.seg", fuzz.directory);
    (void)snprintf(fuzz.config, sizeof fuzz.config, "%s/fuzz.conf", fuzz.directory);
    write_file(fuzz.config, fuzz_limits, strlen(fuzz_limits));
    must(conf_load(fuzz.config, &fuzz.conf, &errors) == 0, "conf_load");
    conf_errors_free(&errors);
    must(control_open(&control, fuzz.conf, NULL, fuzz.directory, text, sizeof text) == SLOTSHARE_OK,
         text);
    struct control_memory memory;
    control_memory_load(control, &memory);
    memory.session_end = control_now() + UINT64_C(1000) * 3600;
    control_memory_store(control, &memory);
    fuzz.valid = fuzz_make(fuzz.directory, &fuzz.size);
    control_close(control);
    fuzz.changed = malloc(fuzz.size);
    must(fuzz.changed != NULL, "malloc");
    fuzz_guarded = true;
    (void)atexit(fuzz_end);
}

/* ---- what is done with a segment ----------------------------------------------------------------
 */

static int known(int result) {
    must(result >= SLOTSHARE_EBUSY && result <= SLOTSHARE_FULL, "an unknown result");
    return result;
}

static void whole(const char *text, size_t size) {
    must(memchr(text, '\0', size) != NULL, "a text without an end");
}

static int see_counter(const struct slotshare_counter_stat *counter, void *arg) {
    (void)arg;
    whole(counter->name, sizeof counter->name);
    whole(counter->source, sizeof counter->source);
    must(counter->in_use >= 0 && counter->share >= -1 && counter->reserve >= -1, "a counter");
    return 0;
}

static int see_owner(const struct slotshare_owner_stat *owner, void *arg) {
    (void)arg;
    whole(owner->command, sizeof owner->command);
    return 0;
}

static int see_slot(const struct slotshare_slot_stat *slot, void *arg) {
    const struct slotshare_segment_stat *stat = arg;
    must(slot->counter < stat->counters_max && slot->owner <= stat->owners_max, "a slot");
    return 0;
}

static int see_member(const struct slotshare_member_stat *member, void *arg) {
    (void)arg;
    whole(member->name, sizeof member->name);
    whole(member->url, sizeof member->url);
    return 0;
}

static const struct slotshare_connection connections[] = {
    {"bulk", "aaa.ab", "full.example"},
    {"one", "aaa.ab", "mx.example"},
    {"bulk", "never-seen.example", NULL},
    {NULL, NULL, "full.example"},
    {NULL, NULL, NULL},
};
enum { CONNECTIONS = sizeof connections / sizeof connections[0] };

static void look(slotshare *handle) {
    struct slotshare_segment_stat stat;
    (void)known(slotshare_stat_segment(handle, &stat));
    whole(stat.name, sizeof stat.name);
    whole(stat.node, sizeof stat.node);
    whole(stat.coordinator, sizeof stat.coordinator);
    (void)known(slotshare_stat_counters(handle, see_counter, NULL));
    (void)known(slotshare_stat_owners(handle, see_owner, NULL));
    (void)known(slotshare_stat_slots(handle, see_slot, &stat));
    (void)known(slotshare_stat_members(handle, see_member, NULL));
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct slotshare_explanation out;
        if (known(slotshare_explain(handle, &connections[i], &out)) == SLOTSHARE_OK) {
            whole(out.counter, sizeof out.counter);
            whole(out.source, sizeof out.source);
            whole(out.reason, sizeof out.reason);
        }
    }
}

static void work(slotshare *handle) {
    slotshare_slot slot[HELD_MAX];
    size_t held = 0;
    (void)handle_reap(handle, 0);
    for (unsigned i = 0; i < HELD_MAX; i++) {
        if (known(slotshare_acquire(handle, &connections[i % CONNECTIONS], &slot[held])) ==
            SLOTSHARE_OK) {
            held++;
        }
    }
    slotshare_counter counter;
    if (known(slotshare_counter_find(handle, &connections[0], &counter)) == SLOTSHARE_OK) {
        slotshare_slot one;
        if (known(slotshare_counter_acquire_wait(handle, counter, &one, 1)) == SLOTSHARE_OK) {
            (void)known(slotshare_release(handle, one));
        }
    }
    for (size_t i = 0; i < held; i++) {
        (void)known(slotshare_release(handle, slot[i]));
    }
    for (unsigned i = 0; i < 200; i++) { /* new names until the table is full: retiring */
        char name[32];
        (void)snprintf(name, sizeof name, "d%u.example", i);
        const struct slotshare_connection connection = {.domain = name};
        (void)known(slotshare_counter_find(handle, &connection, &counter));
    }
}

static void open_and(bool read_only, void (*act)(slotshare *handle)) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    char error[1024] = "";
    slotshare *handle = NULL;
    options.directory = fuzz.directory;
    options.read_only = read_only;
    options.error = error;
    options.error_size = sizeof error;
    if (known(slotshare_open(&handle, "fuzz", &options)) != SLOTSHARE_OK) {
        must(handle == NULL && error[0] != '\0', "an open that failed without a word");
        fuzz.tally.refused++;
        return;
    }
    fuzz.tally.opened++;
    act(handle);
    slotshare_close(handle);
}

static int see_control(const struct control_counter *counter, void *arg) {
    struct control *control = arg;
    must(counter->in_use >= 0 && counter->wants >= 0, "a counter of the bridge");
    (void)control_share_set(control, counter->index, counter->limit > 0 ? 1 : 0, 7);
    return 0;
}

static void serve(void) {
    struct control *control;
    char error[1024] = "";
    if (known(control_open(&control, fuzz.conf, NULL, fuzz.directory, error, sizeof error)) !=
        SLOTSHARE_OK) {
        must(error[0] != '\0', "a bridge's open that failed without a word");
        return;
    }
    struct control_memory memory;
    uint32_t index;
    control_memory_load(control, &memory);
    control_each_wanted(control, see_control, control);
    control_each_busy(control, see_control, control);
    control_each_record(control, see_control, control);
    control_each_over_reserve(control, see_control, control);
    if (known(control_counter_find(control, "host:full.example", &index)) == SLOTSHARE_OK) {
        (void)control_pin(control, index, "host:full.example");
        control_unpin(control, index);
    }
    (void)control_reap(control);
    (void)control_retire(control);
    control_memory_store(control, &memory);
    (void)control_still_there(control);
    control_close(control);
}

/* ---- a writer that respects nothing, while others read and work
 * ---------------------------------- */

static uint64_t random_next(void) {
    fuzz.random ^= fuzz.random << 13;
    fuzz.random ^= fuzz.random >> 7;
    fuzz.random ^= fuzz.random << 17;
    return fuzz.random;
}

static void *disturb(void *arg) {
    /* A mapping of its own, of the same pages. */
    volatile uint8_t *bytes = arg;
    while (atomic_load(&fuzz.disturb)) {
        uint64_t random = random_next();
        bytes[(random >> 8) % fuzz.size] = (uint8_t)random;
        if (random % 64 == 0) {
            (void)usleep(50);
        }
    }
    return NULL;
}

static void look_often(slotshare *handle) {
    for (int i = 0; i < 20; i++) {
        look(handle);
    }
}

static void look_and_work(slotshare *handle) {
    look(handle);
    work(handle);
    look(handle);
}

static void while_disturbed(void) {
    pthread_t thread;
    struct stat status;
    int fd = open(fuzz.segment, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || (size_t)status.st_size < fuzz.size) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    uint8_t *bytes = mmap(NULL, fuzz.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    must(bytes != MAP_FAILED, "mmap");
    atomic_store(&fuzz.disturb, true);
    must(pthread_create(&thread, NULL, disturb, bytes) == 0, "pthread_create");
    open_and(true, look_often);
    open_and(false, look_and_work);
    atomic_store(&fuzz.disturb, false);
    (void)pthread_join(thread, NULL);
    (void)munmap(bytes, fuzz.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!fuzz.valid) {
        begin();
    }
    (void)alarm(PATIENCE_S);
    memcpy(fuzz.changed, fuzz.valid, fuzz.size);
    size_t end = fuzz_change(fuzz.changed, fuzz.size, data, size);
    uint64_t opened = fuzz.tally.opened;
    fuzz.tally.inputs++;
    (void)unlink(fuzz.segment);
    write_file(fuzz.segment, fuzz.changed, end);
    open_and(true, look);
    must(size > 0 || fuzz.tally.opened == opened + 1, "the valid segment is refused");
    open_and(false, look_and_work);
    serve();
    if (size > 0 && data[0] % 8 == 0) {
        (void)unlink(fuzz.segment);
        write_file(fuzz.segment, fuzz.changed, end);
        fuzz.random = 1 + size + data[0];
        while_disturbed();
    }
    (void)alarm(0);
    return 0;
}
