/* SPDX-License-Identifier: MIT */
#include "reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "changes.h"
#include "handle.h"
#include "limit.h"
#include "lock.h"
#include "wait.h"

/* What the segment was made for. (Sizes of its tables in the file simply have no effect.) */
static int same_place(const struct segment *segment, const struct conf *conf,
                      const struct error_text *error) {
    uint64_t generation;
    struct ruleset rules = segment_rules(segment, &generation);
    if (conf->clustered != ruleset_clustered(&rules)) {
        error_set(error,
                  "%s: a [cluster] section cannot come or go while workers run: end them, then "
                  "start anew",
                  conf->file);
        return SLOTSHARE_ECONFIG;
    }
    if (conf->clustered && strcmp(conf->node, ruleset_node(&rules)) != 0) {
        error_set(error,
                  "%s: this node is called %s here and %s in the segment: a node cannot change its "
                  "name while workers run",
                  conf->file, conf->node, ruleset_node(&rules));
        return SLOTSHARE_ECONFIG;
    }
    return SLOTSHARE_OK;
}

int reload_publish(const struct segment *segment, uint32_t me, const struct conf *conf,
                   bool replace, const struct error_text *error) {
    int result = same_place(segment, conf, error);
    void *rules = NULL;
    size_t size = 0;
    if (result != SLOTSHARE_OK) {
        return result;
    }
    if (ruleset_compile(conf, &rules, &size) != 0) {
        error_set(error, "%s: no memory to compile the limits", conf->file);
        errno = ENOMEM;
        return SLOTSHARE_ESYSTEM;
    }
    if (replace && size <= segment->rules_bytes) {
        limit_withdraw(segment);
    }
    result = limit_publish(segment, me, rules, size);
    free(rules);
    if (result == SLOTSHARE_EBUSY) {
        error_set(error,
                  "%s: an earlier change is still on its way through the cluster; try again "
                  "when it has arrived",
                  conf->file);
    } else if (result == SLOTSHARE_ECONFIG) {
        error_set(error,
                  "%s: %zu bytes of limits do not fit the %u that the segment has room for: end "
                  "the workers, then start anew",
                  conf->file, size, segment->rules_bytes);
    }
    return result;
}

/* What operators have changed besides stays in force over another file. */
static int keep_changes(slotshare *handle, struct conf *conf, const struct error_text *error) {
    if (changes_now(handle, &conf->changes) == 0 && conf_changes_apply(conf) == 0) {
        return SLOTSHARE_OK;
    }
    error_set(error, "%s: no memory for the overrides that are in force", conf->file);
    errno = ENOMEM;
    return SLOTSHARE_ESYSTEM;
}

static int reload_locked(slotshare *handle, uint32_t me, struct conf *conf,
                         const struct error_text *error) {
    int fd = changes_lock(handle, error);
    if (fd < 0) {
        return SLOTSHARE_ESYSTEM;
    }
    int result = keep_changes(handle, conf, error);
    if (result == SLOTSHARE_OK) {
        result = changes_publish(handle, me, conf, error);
    }
    close(fd);
    return result;
}

void reload_wake(const struct segment *segment) {
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        if (atomic_load_explicit(&segment->counters[i].wait, memory_order_seq_cst) != 0) {
            wait_wake_all(segment, &segment->counters[i]);
        }
    }
}

int slotshare_reload(slotshare *handle, const char *config, char *text, size_t text_size) {
    struct error_text error = {.text = text, .size = text_size};
    struct thread *self;
    if (!handle || !config) {
        return SLOTSHARE_EINVAL;
    }
    int result = handle_thread(handle, &self);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    struct conf *conf = NULL;
    result = handle_config(config, &conf, &error);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    pthread_mutex_lock(&handle->mutex);
    result = reload_locked(handle, self->owner, conf, &error);
    pthread_mutex_unlock(&handle->mutex);
    conf_free(conf);
    if (result == SLOTSHARE_OK) {
        reload_wake(&handle->segment);
    }
    return result;
}
