/* SPDX-License-Identifier: MIT */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_private.h"
#include "limit.h"
#include "lock.h"
#include "reload.h"
#include "retire.h"
#include "slot.h"
#include "wait.h"

/* ---- opening --------------------------------------------------------------------------------- */

static int become_bridge(struct control *control, const struct segment *paths,
                         const struct error_text *error) {
    control->lock = lock_file_open(paths->lock_path, true);
    int taken = control->lock < 0 ? -1 : lock_take(control->lock, LOCK_BRIDGE);
    if (taken == 1) {
        error_set(error, "%s: another slotshare-bridge serves this segment", paths->path);
        return SLOTSHARE_EBUSY;
    }
    if (taken < 0) {
        int why = errno;
        error_set(error, "%s: cannot lock: %s%s", paths->lock_path, strerror(why),
                  why == ENOENT
                      ? "; create the directory (as root: install -d -m 2770 -g GROUP DIRECTORY)"
                      : "");
        errno = why;
        return SLOTSHARE_ESYSTEM;
    }
    return SLOTSHARE_OK;
}

/* With no worker attached nothing is held, and a new segment may replace one of another
 * configuration. The bridge's own owner record is the caller's. */
static int replace(struct control *control, const struct segment_origin *origin,
                   const struct error_text *error) {
    const struct segment *old = &control->handle->segment;
    bool busy = false;
    int fd = segment_lock_open(old);
    for (uint32_t i = 1; fd >= 0 && i < old->owner_count; i++) {
        busy = busy || (i != control->handle->leader && lock_probe(fd, LOCK_OWNERS + i, 1) != 0);
    }
    if (fd < 0 || busy) {
        error_set(error,
                  "%s: was created from another configuration than %s, and processes use it. End "
                  "them (shmstat names them) and start the bridge again",
                  old->path, origin->conf->file);
        if (fd >= 0) {
            close(fd);
        }
        return SLOTSHARE_EBUSY;
    }
    segment_close_gate(old);
    (void)unlink(old->path);
    close(fd);
    slotshare_close(control->handle);
    control->handle = NULL;
    return handle_open(&control->handle, control->paths.name, control->directory, origin, false,
                       OWNER_BRIDGE, error);
}

/* A predecessor may have died between storing a share, or a cap that a pending rule set lowers, and
 * making takes notice it; and what it had pinned it knows no longer. */
static void apply_again(struct control *control) {
    const struct segment *segment = &control->handle->segment;
    limit_refresh(segment, control->me);
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        struct counter *counter = &segment->counters[i];
        atomic_store_explicit(&counter->pinned, 0, memory_order_relaxed);
        if (view_live(counter)) {
            (void)slot_touch(segment, control->me, counter);
        }
    }
}

static int start(struct control *control, uint32_t drain_ms, const struct error_text *error) {
    struct thread *self;
    int result = handle_thread(control->handle, &self);
    if (result != SLOTSHARE_OK) {
        error_set(error, "%s: %s", control->handle->segment.path, slotshare_strerror(result));
        return result;
    }
    control->me = self->owner;
    control->sample = calloc(control->handle->segment.counter_max, sizeof *control->sample);
    if (!control->sample) {
        error_set(error, "no memory for %u counters", control->handle->segment.counter_max);
        errno = ENOMEM;
        return SLOTSHARE_ESYSTEM;
    }
    struct header *header = control->handle->segment.header;
    atomic_store_explicit(&header->bridge_owner, control->me, memory_order_relaxed);
    atomic_store_explicit(&header->drain, drain_ms, memory_order_relaxed);
    struct control_memory memory;
    control_memory_load(control, &memory);
    memory.generation++;
    control_memory_store(control, &memory);
    const struct segment *segment = &control->handle->segment;
    if (atomic_load_explicit(&header->pending, memory_order_acquire) ==
        atomic_load_explicit(&header->rules, memory_order_acquire)) {
        limit_commit(segment, control->me); /* a predecessor died in it */
    }
    apply_again(control);
    return SLOTSHARE_OK;
}

int control_claim(struct control **out, const char *name, const char *directory, char *text,
                  size_t text_size) {
    struct error_text error = {.text = text, .size = text_size};
    *out = NULL;
    struct control *control = calloc(1, sizeof *control);
    if (!control) {
        error_set(&error, "no memory");
        return SLOTSHARE_ESYSTEM;
    }
    control->lock = -1;
    int result = segment_paths(&control->paths, name, directory, &error);
    if (result == SLOTSHARE_OK) {
        /* it fits: the paths do, and they begin with it */
        const char *slash = strrchr(control->paths.path, '/');
        (void)snprintf(control->directory, sizeof control->directory, "%.*s",
                       (int)(slash - control->paths.path), control->paths.path);
        result = segment_directory(&control->paths, &error);
    }
    if (result == SLOTSHARE_OK) {
        result = become_bridge(control, &control->paths, &error);
    }
    if (result != SLOTSHARE_OK) {
        control_close(control);
        return result;
    }
    *out = control;
    return SLOTSHARE_OK;
}

bool control_exists(const struct control *control) {
    struct segment segment = control->paths;
    if (segment_map(&segment, true, NULL) != SLOTSHARE_OK) {
        return false;
    }
    bool current = !segment_from_other_boot(&segment);
    segment_unmap(&segment);
    return current;
}

const char *control_path(const struct control *control) {
    return control->paths.path;
}

void control_tell(struct control *control, const char *why) {
    char path[sizeof control->paths.path + 8];
    (void)segment_waiting_path(&control->paths, path, sizeof path);
    (void)unlink(path);
    if (!why) {
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0) {
        return;
    }
    ssize_t written = write(fd, why, strlen(why));
    (void)written; /* then the reader has less to tell */
    close(fd);
}

/* What was committed elsewhere is committed here. */
static int follow(struct control *control, const struct segment_origin *origin,
                  const struct error_text *error) {
    uint64_t digest = conf_digest(origin->conf);
    if (control_pending_digest(control) == digest) {
        struct thread *self;
        int result = handle_thread(control->handle, &self);
        if (result != SLOTSHARE_OK) {
            return result;
        }
        limit_commit(&control->handle->segment, self->owner);
    }
    return control_digest(control) == digest ? SLOTSHARE_OK : replace(control, origin, error);
}

int control_start(struct control *control, const struct conf *conf, const struct conf *pending,
                  char *text, size_t text_size) {
    const struct segment_origin origin = {conf, pending};
    struct error_text error = {.text = text, .size = text_size};
    int result = handle_open(&control->handle, control->paths.name, control->directory, &origin,
                             false, OWNER_BRIDGE, &error);
    if (result == SLOTSHARE_OK) {
        result = follow(control, &origin, &error);
    }
    if (result == SLOTSHARE_OK && control->handle) {
        result = start(control, conf->drain_ms, &error);
    }
    return result;
}

int control_open(struct control **out, const struct conf *conf, const char *name,
                 const char *directory, char *text, size_t text_size) {
    int result = control_claim(out, name ? name : conf->segment,
                               directory ? directory : conf->directory, text, text_size);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    result = control_start(*out, conf, NULL, text, text_size);
    if (result != SLOTSHARE_OK) {
        control_close(*out);
        *out = NULL;
    }
    return result;
}

void control_close(struct control *control) {
    if (control) {
        slotshare_close(control->handle);
        if (control->lock >= 0) {
            close(control->lock);
        }
        free(control->sample);
        free(control);
    }
}

/* ---- the segment as a whole ------------------------------------------------------------------ */

static void wake_everybody(const struct segment *segment) {
    queues_ring(segment->header);
    for (uint32_t i = 1; i < segment->owner_count; i++) {
        uint32_t waiting = atomic_load_explicit(&segment->owners[i].waiting, memory_order_relaxed);
        struct counter *counter = waiting == NONE ? NULL : counter_at(segment, waiting - 1);
        if (counter) {
            wait_wake_all(segment, counter);
        }
    }
}

uint64_t control_digest(const struct control *control) {
    struct ruleset rules = control_rules(control);
    return ruleset_digest(&rules);
}

uint64_t control_pending_digest(const struct control *control) {
    struct ruleset rules = control_pending(control);
    return rules.size > 0 ? ruleset_digest(&rules) : 0;
}

int control_reload(struct control *control, const struct conf *conf, char *text, size_t text_size) {
    struct error_text error = {.text = text, .size = text_size};
    return reload_publish(&control->handle->segment, control->me, conf, true, &error);
}

void control_withdraw(struct control *control) {
    limit_withdraw(&control->handle->segment);
}

void control_relax(struct control *control) {
    limit_refresh(&control->handle->segment, control->me);
    wake_everybody(&control->handle->segment); /* shares may have risen */
}

int control_refresh(struct control *control, const struct conf *conf, char *text,
                    size_t text_size) {
    struct error_text error = {.text = text, .size = text_size};
    struct ruleset now = control_rules(control);
    void *rules = NULL;
    size_t size = 0;
    bool same = ruleset_compile(conf, &rules, &size) == 0 && size == now.size &&
                memcmp(now.base, rules, size) == 0;
    free(rules);
    int result = same ? SLOTSHARE_OK
                      : reload_publish(&control->handle->segment, control->me, conf, false, &error);
    if (result == SLOTSHARE_OK) {
        limit_commit(&control->handle->segment, control->me);
    }
    return result;
}

struct ruleset control_pending(const struct control *control) {
    return limit_pending(&control->handle->segment);
}

bool control_fits(struct control *control) {
    return limit_fits(&control->handle->segment);
}

void control_commit(struct control *control) {
    limit_commit(&control->handle->segment, control->me);
    wake_everybody(&control->handle->segment); /* limits may have risen */
}

uint64_t control_now(void) {
    return clock_boot();
}

uint64_t control_incarnation(const struct control *control) {
    return control->handle->segment.header->incarnation;
}

uint64_t control_created(const struct control *control) {
    return control->handle->segment.header->created;
}

struct ruleset control_rules(const struct control *control) {
    uint64_t generation;
    return segment_rules(&control->handle->segment, &generation);
}

bool control_still_there(struct control *control) {
    const struct segment *segment = &control->handle->segment;
    if (segment_still_there(segment)) {
        return true;
    }
    segment_close_gate(segment);
    wake_everybody(segment); /* to see it */
    return false;
}

/* ---- memory ---------------------------------------------------------------------------------- */

enum { MEMORY_WORDS = sizeof(struct control_memory) / sizeof(uint64_t) };
_Static_assert(sizeof(struct control_memory) <= sizeof(struct memory_words),
               "the bridge's memory fits its place in the header");

void control_memory_load(const struct control *control, struct control_memory *out) {
    const struct header *header = control->handle->segment.header;
    /* acquire: the words of this version were stored before it was published. Only the bridge
     * writes them, and there is one. */
    uint64_t version = atomic_load_explicit(&header->memory_version, memory_order_acquire);
    uint64_t words[MEMORY_WORDS];
    for (size_t i = 0; i < MEMORY_WORDS; i++) {
        words[i] = atomic_load_explicit(&header->memory[version & 1].word[i], memory_order_relaxed);
    }
    memcpy(out, words, sizeof *out);
}

void control_memory_store(struct control *control, const struct control_memory *memory) {
    struct header *header = control->handle->segment.header;
    uint64_t version = atomic_load_explicit(&header->memory_version, memory_order_relaxed) + 1;
    uint64_t words[MEMORY_WORDS];
    memcpy(words, memory, sizeof *memory);
    for (size_t i = 0; i < MEMORY_WORDS; i++) {
        atomic_store_explicit(&header->memory[version & 1].word[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&header->memory_version, version, memory_order_release);
    /* The session's end last: a bridge that dies before it has only made the session shorter. */
    uint64_t before = atomic_load_explicit(&header->session_end, memory_order_relaxed);
    if (before != memory->session_end) {
        atomic_store_explicit(&header->session_end, memory->session_end, memory_order_release);
        if (before <= clock_boot()) {
            wake_everybody(&control->handle->segment); /* shares are in force again */
        }
    }
}

/* ---- doorbell, reaping, what observers see --------------------------------------------------- */

bool control_doorbell_wait(struct control *control, int timeout_ms) {
    return doorbell_sleep(control->handle->segment.header, timeout_ms);
}

void control_doorbell_ring(struct control *control) {
    doorbell_ring(control->handle->segment.header);
}

uint32_t control_reap(struct control *control) {
    return handle_reap(control->handle, 50);
}

uint32_t control_retire(struct control *control) {
    enum { VISITS = 4096 };
    return retire_wanted(&control->handle->segment)
               ? retire_pass(control->handle, control->me, VISITS)
               : 0;
}

void control_member_heard(struct control *control, uint32_t i, uint64_t heard) {
    if (i < CONF_MEMBERS_MAX) {
        atomic_store_explicit(&control->handle->segment.header->member_heard[i], heard,
                              memory_order_relaxed);
    }
}

void control_coordinator(struct control *control, int member) {
    atomic_store_explicit(&control->handle->segment.header->coordinator, member,
                          memory_order_relaxed);
}
