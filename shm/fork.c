/* SPDX-License-Identifier: MIT */
/* A fork duplicates the descriptor that keeps this process's lock: as long as the child has it open
 * the parent could die without anybody noticing. So every handle of the process is listed here and
 * forgotten in the child, at once and not at its first call, which may never come.
 *
 * This list is the library's only state outside of handles: pthread_atfork() handlers take no
 * argument, and there is no other way to be called in the child. */
#include <pthread.h>

#include "handle.h"

static pthread_mutex_t watch_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static slotshare *watched;
static int watch_error;

static void before_fork(void) {
    pthread_mutex_lock(&watch_mutex);
    for (slotshare *handle = watched; handle; handle = handle->next_handle) {
        pthread_mutex_lock(&handle->mutex); /* no half-done attach, no reaper's lock is copied */
    }
}

static void after_fork(bool child) {
    for (slotshare *handle = watched; handle; handle = handle->next_handle) {
        if (child) {
            handle_forget(handle);
        }
        pthread_mutex_unlock(&handle->mutex);
    }
    pthread_mutex_unlock(&watch_mutex);
}

static void after_fork_parent(void) {
    after_fork(false);
}

static void after_fork_child(void) {
    after_fork(true);
}

static void watch_start(void) {
    watch_error = pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

int fork_watch(slotshare *handle) {
    int result = pthread_once(&watch_once, watch_start);
    if (result != 0 || watch_error != 0) {
        return result ? result : watch_error;
    }
    pthread_mutex_lock(&watch_mutex);
    handle->next_handle = watched;
    watched = handle;
    pthread_mutex_unlock(&watch_mutex);
    return 0;
}

void fork_unwatch(slotshare *handle) {
    pthread_mutex_lock(&watch_mutex);
    slotshare **link = &watched;
    while (*link && *link != handle) {
        link = &(*link)->next_handle;
    }
    if (*link) {
        *link = handle->next_handle;
    }
    pthread_mutex_unlock(&watch_mutex);
}
