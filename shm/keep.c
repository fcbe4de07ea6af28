/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <pthread.h>

#include "handle.h"

int slotshare_keep_fd(slotshare *handle) {
    struct thread *self;

    if (!handle) {
        return SLOTSHARE_EINVAL;
    }
    int result = handle_thread(handle, &self); /* attached from here on, so there is a lock */
    if (result != SLOTSHARE_OK) {
        return result;
    }
    pthread_mutex_lock(&handle->mutex);
    int fd = fcntl(handle->lock, F_DUPFD_CLOEXEC, 3);
    pthread_mutex_unlock(&handle->mutex);
    return fd < 0 ? SLOTSHARE_ESYSTEM : fd;
}
