/* SPDX-License-Identifier: MIT */
/* Opening and closing a handle. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "handle.h"
#include "lock.h"

static int create_locked(struct segment *segment, const struct segment_origin *origin,
                         const struct error_text *error) {
    int fd = lock_file_open(segment->lock_path, true);
    if (fd < 0) {
        return segment_lock_error(segment, "open the lock file", error);
    }
    int result;
    if (!lock_supported(fd)) {
        result = segment_lock_error(segment, "use open-file-description locks there", error);
    } else if (lock_wait(fd, LOCK_CREATE) != 0) {
        result = segment_lock_error(segment, "lock", error);
    } else {
        result = segment_create(segment, origin, fd, error);
    }
    int why = errno;
    close(fd);
    errno = why;
    return result;
}

/* A segment from before a reboot looks whole, but everything that it counts is gone. */
static int map_or_create_once(struct segment *segment, const struct segment_origin *origin,
                              bool read_only, const struct error_text *error) {
    int result = segment_map(segment, read_only, error);
    bool stale = result == SLOTSHARE_OK && segment_from_other_boot(segment);
    if (stale) {
        segment_unmap(segment);
        error_set(error, "%s: is from before the last boot of this host. %s", segment->path,
                  "In a cluster, start slotshare-bridge; on a single host, name the config file to "
                  "create it from");
        result = SLOTSHARE_ENOSEGMENT;
    }
    if (result == SLOTSHARE_ENOSEGMENT && origin && !read_only) {
        result = create_locked(segment, origin, error);
    }
    return result;
}

/* Another process may put a new segment into the place of the one that is being opened. */
static int map_or_create(struct segment *segment, const struct segment_origin *origin,
                         bool read_only, const struct error_text *error) {
    enum { TRIES = 10 };
    int result = SLOTSHARE_EGONE;
    for (int i = 0; i < TRIES && result == SLOTSHARE_EGONE; i++) {
        result = map_or_create_once(segment, origin, read_only, error);
    }
    return result;
}

static int check_rules(struct segment *segment, const struct error_text *error) {
    uint64_t generation;
    struct ruleset rules = segment_rules(segment, &generation);
    if (!ruleset_check(&rules)) {
        error_set(error,
                  "%s: damaged: the rule set in it makes no sense. Stop the programs that "
                  "use it and remove the file",
                  segment->path);
        return SLOTSHARE_EDAMAGED;
    }
    return SLOTSHARE_OK;
}

static int start_handle(slotshare *handle, const struct error_text *error) {
    int why = getrandom(&handle->serial, sizeof handle->serial, 0) < 0 ? errno : 0;
    handle->serial |= 1; /* never 0, which an empty cache has */
    if (why == 0) {
        why = pthread_mutex_init(&handle->mutex, NULL);
    }
    if (why == 0) {
        why = pthread_key_create(&handle->key, handle_thread_exit);
    }
    if (why != 0) {
        error_set(error, "%s: %s", handle->segment.path, strerror(why));
        errno = why;
        return SLOTSHARE_ESYSTEM;
    }
    if (!handle->segment.read_only) {
        why = fork_watch(handle);
    }
    if (why != 0) {
        pthread_key_delete(handle->key);
        error_set(error, "%s: pthread_atfork: %s", handle->segment.path, strerror(why));
        errno = why;
        return SLOTSHARE_ESYSTEM;
    }
    return SLOTSHARE_OK;
}

/* Attach at once: what is wrong (no permission, a full table) is better known now than when mail
 * waits. */
static int attach_now(slotshare *handle, const struct error_text *error) {
    struct thread *self;
    int result = handle_thread(handle, &self);
    if (result == SLOTSHARE_EOWNERS) {
        error_set(error, "%s: all %u owner records are in use; raise owners in [node]",
                  handle->segment.path, handle->segment.owner_count - 1);
    } else if (result == SLOTSHARE_EGONE) {
        error_set(error,
                  "%s: was removed or replaced: nobody can tell any more which processes of this "
                  "segment live. End them (grep -l %s.seg /proc/[0-9]*/maps names them) and remove "
                  "%s",
                  handle->segment.lock_path, handle->segment.name, handle->segment.path);
    } else if (result == SLOTSHARE_ESYSTEM) {
        return segment_lock_error(&handle->segment, "attach", error);
    }
    return result;
}

int handle_open(slotshare **out, const char *name, const char *directory,
                const struct segment_origin *origin, bool read_only, enum owner_kind kind,
                const struct error_text *error) {
    *out = NULL;
    slotshare *handle = calloc(1, sizeof *handle);
    if (!handle) {
        error_set(error, "no memory for a handle");
        return SLOTSHARE_ESYSTEM;
    }
    handle->kind = kind;
    handle->lock = -1;
    int result = segment_paths(&handle->segment, name, directory, error);
    if (result == SLOTSHARE_OK && !read_only) {
        result = segment_directory(&handle->segment, error);
    }
    if (result == SLOTSHARE_OK) {
        result = map_or_create(&handle->segment, origin, read_only, error);
    }
    if (result != SLOTSHARE_OK) {
        free(handle);
        return result;
    }
    result = check_rules(&handle->segment, error);
    if (result == SLOTSHARE_OK) {
        result = start_handle(handle, error);
    }
    if (result != SLOTSHARE_OK) {
        segment_unmap(&handle->segment);
        free(handle);
        return result;
    }
    if (!read_only) {
        result = attach_now(handle, error);
    }
    if (result != SLOTSHARE_OK) {
        int why = errno;
        slotshare_close(handle);
        errno = why;
        return result;
    }
    *out = handle;
    return SLOTSHARE_OK;
}

void slotshare_close(slotshare *handle) {
    if (!handle) {
        return;
    }
    if (!handle->segment.read_only) {
        fork_unwatch(handle);
        pthread_mutex_lock(&handle->mutex);
        handle_detach(handle);
        pthread_mutex_unlock(&handle->mutex);
    }
    pthread_key_delete(handle->key);
    pthread_mutex_destroy(&handle->mutex);
    while (handle->threads) {
        struct thread *thread = handle->threads;
        handle->threads = thread->next;
        free(thread);
    }
    segment_unmap(&handle->segment);
    free(handle);
}

int handle_config(const char *path, struct conf **conf, const struct error_text *error) {
    struct conf_errors errors = {0};
    int result = SLOTSHARE_OK;
    if (conf_load(path, conf, &errors) != 0) {
        result = SLOTSHARE_ECONFIG;
        size_t used = 0;
        for (size_t i = 0; i < errors.count && error->text && used + 1 < error->size; i++) {
            int length = snprintf(error->text + used, error->size - used, "%s%s", i ? "\n" : "",
                                  errors.line[i]);
            used += length > 0 ? (size_t)length : 0;
        }
        if (errors.count == 0) { /* not even the error could be allocated */
            error_set(error, "%s: no memory to read it", path);
            errno = ENOMEM;
            result = SLOTSHARE_ESYSTEM;
        }
    } else if ((*conf)->clustered) {
        error_set(
            error,
            "%s: has a [cluster] section: there slotshare-bridge creates the segment and loads "
            "the file. Start it, and open the segment without a config file",
            path);
        conf_free(*conf);
        *conf = NULL;
        result = SLOTSHARE_ECONFIG;
    }
    conf_errors_free(&errors);
    return result;
}

int slotshare_open(slotshare **out, const char *name, const struct slotshare_options *options) {
    static const struct slotshare_options defaults = SLOTSHARE_OPTIONS_INIT;
    if (out) {
        *out = NULL;
    }
    if (!out || (options && options->size != sizeof *options)) {
        return SLOTSHARE_EINVAL;
    }
    options = options ? options : &defaults;
    struct error_text error = {.text = options->error, .size = options->error_size};
    error_set(&error, "%s", "");
    struct conf *conf = NULL;
    if (options->config) {
        int result = handle_config(options->config, &conf, &error);
        if (result != SLOTSHARE_OK) {
            return result;
        }
    }
    const char *directory = options->directory;
    if (conf && !name) {
        name = conf->segment;
    }
    if (conf && !directory) {
        directory = conf->directory;
    }
    const struct segment_origin origin = {.conf = conf};
    int result = handle_open(out, name, directory, conf ? &origin : NULL, options->read_only != 0,
                             OWNER_WORKER, &error);
    int why = errno;
    conf_free(conf);
    errno = why;
    return result;
}
