/* SPDX-License-Identifier: MIT */
#include "changes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../conf/name.h"
#include "../conf/ruleset.h"
#include "hot.h"
#include "limit.h"
#include "lock.h"
#include "reload.h"

enum { SECONDS_MAX = 366 * 24 * 3600 };

static bool single(const struct segment *segment) {
    /* relaxed: set before the segment could be seen */
    return atomic_load_explicit(&segment->header->clustered, memory_order_relaxed) == 0;
}

static uint64_t session_end(const struct segment *segment) {
    return atomic_load_explicit(&segment->header->session_end, memory_order_acquire);
}

static void set_session_end(const struct segment *segment, uint64_t end) {
    /* release: caps that were stored before are seen with it */
    atomic_store_explicit(&segment->header->session_end, end, memory_order_release);
}

/* Leave out the overrides that have ended. @return true when there were such. */
static bool drop_ended(struct conf_changes *changes, uint64_t now) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < changes->overrides; i++) {
        if (changes->override[i].ms > now) {
            changes->override[kept++] = changes->override[i];
        }
    }
    bool ended = kept < changes->overrides;
    changes->overrides = kept;
    return ended;
}

static uint64_t first_end(const struct conf_changes *changes) {
    uint64_t end = UINT64_MAX;
    for (uint32_t i = 0; i < changes->overrides; i++) {
        end = changes->override[i].ms < end ? changes->override[i].ms : end;
    }
    return end;
}

int changes_now(const slotshare *handle, struct conf_changes *out) {
    uint64_t generation;
    struct ruleset rules = segment_rules(&handle->segment, &generation);
    const char *text = ruleset_changes(&rules);
    int result = conf_changes_parse(text, strlen(text), out);
    (void)drop_ended(out, clock_boot());
    return result;
}

int changes_lock(const slotshare *handle, const struct error_text *error) {
    int fd = segment_lock_open(&handle->segment);
    if (fd >= 0 && lock_wait(fd, LOCK_CREATE) == 0) {
        return fd;
    }
    int why = errno;
    (void)segment_lock_error(&handle->segment, "lock", error);
    if (fd >= 0) {
        close(fd);
    }
    errno = why;
    return -1;
}

int changes_publish(slotshare *handle, uint32_t me, const struct conf *conf,
                    const struct error_text *error) {
    const struct segment *segment = &handle->segment;
    uint64_t before = session_end(segment);
    uint64_t end = first_end(&conf->changes);
    limit_commit(segment, me); /* what one before us left */
    /* First: who dies before the last line has made a session too short, which heals. */
    if (end < before) {
        set_session_end(segment, end);
    }
    int result = reload_publish(segment, me, conf, false, error);
    if (result == SLOTSHARE_OK) {
        limit_commit(segment, me);
    }
    set_session_end(segment, result == SLOTSHARE_OK ? end : before);
    return result;
}

/* The mutex and the lock are held. */
static bool expire(slotshare *handle, uint32_t me) {
    const struct error_text nowhere = {.text = NULL, .size = 0};
    const struct segment *segment = &handle->segment;
    uint64_t generation;
    struct ruleset rules = segment_rules(segment, &generation);
    struct conf *conf = NULL;
    if (session_end(segment) > clock_boot() || ruleset_decompile(&rules, &conf) != 0) {
        return false;
    }
    bool changed = false;
    if (drop_ended(&conf->changes, clock_boot())) {
        conf->changes.version++;
        changed = conf_changes_apply(conf) == 0 &&
                  changes_publish(handle, me, conf, &nowhere) == SLOTSHARE_OK;
    } else {
        set_session_end(segment, first_end(&conf->changes)); /* one before us died in it */
        changed = true;
    }
    conf_free(conf);
    return changed;
}

COLD bool changes_expire(slotshare *handle, uint32_t me) {
    const struct segment *segment = &handle->segment;
    if (!single(segment) || session_end(segment) == UINT64_MAX ||
        session_end(segment) > clock_boot() || pthread_mutex_trylock(&handle->mutex) != 0) {
        return false;
    }
    bool changed = false;
    int fd = segment_lock_open(segment);
    if (fd >= 0 && lock_take(fd, LOCK_CREATE) == 0) {
        changed = expire(handle, me);
    }
    if (fd >= 0) {
        close(fd);
    }
    pthread_mutex_unlock(&handle->mutex);
    if (changed) {
        reload_wake(segment);
    }
    return changed;
}

/* ---- what operators ask for ---- */

struct wish {
    enum { WISH_SET, WISH_CLEAR, WISH_CLEAR_ALL, WISH_DRAIN, WISH_RESUME } what;
    struct conf_override override;
};

static int no_override(const struct error_text *error, const struct conf_override *override) {
    char section[CONF_SECTION_TEXT];
    conf_override_section(override, section);
    error_set(error, "there is no override of %s", section);
    return SLOTSHARE_ECONFIG;
}

static int fulfil(struct conf *conf, const struct wish *wish, const struct error_text *error) {
    struct conf_changes *changes = &conf->changes;
    struct conf_override *found = conf_override_find(changes, &wish->override);
    switch (wish->what) {
    case WISH_SET:
        if (found == NULL && changes->overrides == CONF_OVERRIDES_MAX) {
            error_set(error, "there are %d overrides already: clear one", CONF_OVERRIDES_MAX);
            return SLOTSHARE_ECONFIG;
        }
        *(found ? found : &changes->override[changes->overrides++]) = wish->override;
        return SLOTSHARE_OK;
    case WISH_CLEAR:
        if (found == NULL) {
            return no_override(error, &wish->override);
        }
        *found = changes->override[--changes->overrides];
        return SLOTSHARE_OK;
    case WISH_CLEAR_ALL:
        changes->overrides = 0;
        return SLOTSHARE_OK;
    case WISH_DRAIN:
        changes->drains = 1;
        memcpy(changes->drain[0], conf->node, sizeof conf->node);
        return SLOTSHARE_OK;
    case WISH_RESUME:
        changes->drains = 0;
        return SLOTSHARE_OK;
    }
    return SLOTSHARE_EINVAL;
}

static int change_locked(slotshare *handle, uint32_t me, const struct wish *wish,
                         const struct error_text *error) {
    uint64_t generation;
    struct ruleset rules = segment_rules(&handle->segment, &generation);
    struct conf *conf = NULL;
    if (ruleset_decompile(&rules, &conf) != 0) {
        error_set(error, "no memory, or the limits in the segment are damaged");
        return SLOTSHARE_EDAMAGED;
    }
    (void)drop_ended(&conf->changes, clock_boot());
    int result = fulfil(conf, wish, error);
    conf->changes.version++;
    if (result == SLOTSHARE_OK && conf_changes_apply(conf) != 0) {
        error_set(error, "no memory");
        errno = ENOMEM;
        result = SLOTSHARE_ESYSTEM;
    }
    if (result == SLOTSHARE_OK) {
        result = changes_publish(handle, me, conf, error);
    }
    conf_free(conf);
    return result;
}

static int change(slotshare *handle, const struct wish *wish, const struct error_text *error) {
    struct thread *self;
    if (!handle) {
        return SLOTSHARE_EINVAL;
    }
    if (!single(&handle->segment)) {
        error_set(error, "in a cluster the bridge does that: see slotshare(1), override and drain");
        return SLOTSHARE_ECONFIG;
    }
    int result = handle_thread(handle, &self);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    pthread_mutex_lock(&handle->mutex);
    int fd = changes_lock(handle, error);
    result = fd >= 0 ? change_locked(handle, self->owner, wish, error) : SLOTSHARE_ESYSTEM;
    if (fd >= 0) {
        close(fd);
    }
    pthread_mutex_unlock(&handle->mutex);
    if (result == SLOTSHARE_OK) {
        reload_wake(&handle->segment);
    }
    return result;
}

/* @return SLOTSHARE_OK, SLOTSHARE_ENAME, SLOTSHARE_EINVAL. */
static int take_scope(const struct slotshare_connection *scope, struct conf_override *out) {
    int binding = name_binding(scope->binding, out->binding, SLOTSHARE_BINDING_MAX);
    char domain[SLOTSHARE_DOMAIN_MAX + 1];
    int domains = name_domain(scope->domain, domain, SLOTSHARE_DOMAIN_MAX);
    int hosts = name_domain(scope->host, out->name, SLOTSHARE_DOMAIN_MAX);
    if (binding < 0 || domains < 0 || hosts < 0) {
        return SLOTSHARE_ENAME;
    }
    if (domains > 0 && hosts > 0) {
        return SLOTSHARE_EINVAL;
    }
    if (hosts > 0) {
        out->scope = binding > 0 ? SLOTSHARE_SCOPE_BINDING_HOST : SLOTSHARE_SCOPE_HOST;
        return SLOTSHARE_OK;
    }
    memcpy(out->name, domain, sizeof domain);
    if (domains > 0) {
        out->scope = binding > 0 ? SLOTSHARE_SCOPE_BINDING_DOMAIN : SLOTSHARE_SCOPE_DOMAIN;
    } else {
        out->scope = binding > 0 ? SLOTSHARE_SCOPE_BINDING : SLOTSHARE_SCOPE_GLOBAL;
    }
    return SLOTSHARE_OK;
}

int slotshare_override_set(slotshare *handle, const struct slotshare_connection *scope, int limit,
                           unsigned seconds, char *text, size_t size) {
    struct error_text error = {.text = text, .size = size};
    struct wish wish = {.what = WISH_SET};
    if (!scope || limit < SLOTSHARE_UNLIMITED || limit > CONF_LIMIT_MAX || seconds == 0 ||
        seconds > SECONDS_MAX) {
        return SLOTSHARE_EINVAL;
    }
    int result = take_scope(scope, &wish.override);
    wish.override.limit = limit;
    wish.override.until = (uint64_t)time(NULL) + seconds;
    wish.override.ms = clock_boot() + UINT64_C(1000) * seconds;
    return result == SLOTSHARE_OK ? change(handle, &wish, &error) : result;
}

int slotshare_override_clear(slotshare *handle, const struct slotshare_connection *scope,
                             char *text, size_t size) {
    struct error_text error = {.text = text, .size = size};
    struct wish wish = {.what = scope ? WISH_CLEAR : WISH_CLEAR_ALL};
    int result = scope ? take_scope(scope, &wish.override) : SLOTSHARE_OK;
    return result == SLOTSHARE_OK ? change(handle, &wish, &error) : result;
}

int slotshare_drain(slotshare *handle, int drain, char *text, size_t size) {
    struct error_text error = {.text = text, .size = size};
    struct wish wish = {.what = drain ? WISH_DRAIN : WISH_RESUME};
    return change(handle, &wish, &error);
}

int slotshare_changes(slotshare *handle, char *out, size_t size) {
    struct conf_changes changes;
    if (!handle || !out || size < CONF_CHANGES_TEXT) {
        return SLOTSHARE_EINVAL;
    }
    uint64_t generation;
    struct ruleset rules = segment_rules(&handle->segment, &generation);
    const char *text = ruleset_changes(&rules);
    if (conf_changes_parse(text, strnlen(text, CONF_CHANGES_TEXT), &changes) != 0) {
        return SLOTSHARE_EDAMAGED;
    }
    if (single(&handle->segment)) {
        (void)drop_ended(&changes, clock_boot());
    }
    (void)conf_changes_text(&changes, out);
    return SLOTSHARE_OK;
}
