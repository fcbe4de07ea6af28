/* SPDX-License-Identifier: MIT */
/* Waiting for slots on behalf of an event loop. One thread per queue sleeps on a futex that any
 * give-back on a watched counter of the segment rings (wait.h), tries for those who wait in the
 * order in which they came, and tells the loop through an eventfd. The slots that it takes belong
 * to the process like all others: if it dies they come back. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "handle.h"
#include "take.h"
#include "wait.h"

enum { GROUPS = 256 }; /* hash chains of the counters that are waited for */

struct request {
    struct request *next;
    uint64_t deadline; /* CLOCK_BOOTTIME, ms */
    struct slotshare_ready ready;
};

struct list {
    struct request *first, **end;
};

/* All that wait for one counter, in order. */
struct group {
    struct group *next;
    slotshare_counter counter;
    struct slotshare_connection connection; /* to find the counter again after a reload */
    struct list waiting;
    char names[]; /* what connection points to */
};

struct slotshare_queue {
    slotshare *handle;
    int event;
    pid_t pid;
    pthread_t thread;
    pthread_mutex_t mutex; /* everything below */
    bool stop;
    struct group *group[GROUPS];
    struct list ready;
    struct list watched; /* slots that are held, until they are in excess */
};

static void list_start(struct list *list) {
    list->first = NULL;
    list->end = &list->first;
}

static void list_append(struct list *list, struct request *request) {
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

static struct request *list_take(struct list *list) {
    struct request *request = list->first;
    if (request) {
        list->first = request->next;
        list->end = list->first ? list->end : &list->first;
    }
    return request;
}

/* `from` may be empty; its last link then points at itself. */
static void list_move(struct list *to, const struct list *from) {
    *to = *from;
    if (!from->first) {
        list_start(to);
    }
}

static uint64_t now_until(uint64_t deadline, uint64_t now) {
    return deadline > now ? deadline - now : 0;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void finish(slotshare_queue *queue, struct request *request, int result) {
    request->ready.result = result;
    list_append(&queue->ready, request);
    uint64_t one = 1;
    (void)!write(queue->event, &one, sizeof one); /* full: it is readable already */
}

static void drop_late(slotshare_queue *queue, struct group *group, uint64_t now, uint64_t *wake) {
    struct list keep;
    list_start(&keep);
    for (struct request *request; (request = list_take(&group->waiting));) {
        if (request->deadline <= now) {
            finish(queue, request, SLOTSHARE_FULL);
        } else {
            *wake = request->deadline < *wake ? request->deadline : *wake;
            list_append(&keep, request);
        }
    }
    list_move(&group->waiting, &keep);
}

/* One try, for the request that waits longest. @return false: no use to try for the next. */
static bool serve_one(slotshare_queue *queue, struct thread *self, struct group *group) {
    struct request *request = group->waiting.first;
    struct slotshare_slot slot;
    int result = take_try(queue->handle, self, group->counter, true, &slot);
    if (result == SLOTSHARE_ESTALE) {
        result = slotshare_counter_find(queue->handle, &group->connection, &group->counter);
        if (result == SLOTSHARE_OK) {
            return true; /* the counter was retired, or the rules have changed: try again */
        }
    }
    if (result == SLOTSHARE_FULL) {
        return false;
    }
    request->ready.slot = slot;
    finish(queue, list_take(&group->waiting), result);
    return true;
}

static void serve(slotshare_queue *queue, struct thread *self, struct group *group, uint64_t now,
                  uint64_t *wake) {
    struct counter *entry = &queue->handle->segment.counters[group->counter.index];
    bool waited = group->waiting.first != NULL;
    /* Announced before the tries: a give-back after them rings. */
    wait_watch(entry);
    while (group->waiting.first && serve_one(queue, self, group)) {
    }
    drop_late(queue, group, now, wake);
    if (group->waiting.first) {
        take_refused(queue->handle, group->counter.index); /* still wanted: keep the bridge at it */
        wait_insist(entry);
    } else if (waited) {
        wait_content(entry);
    }
}

static void serve_all(slotshare_queue *queue, struct thread *self, uint64_t now, uint64_t *wake) {
    for (int i = 0; i < GROUPS; i++) {
        for (struct group **link = &queue->group[i]; *link;) {
            struct group *group = *link;
            serve(queue, self, group, now, wake);
            if (group->waiting.first) {
                link = &group->next;
            } else {
                *link = group->next;
                free(group);
            }
        }
    }
}

/* Who holds what is in excess is told; what was given back meanwhile is forgotten. */
static void look_at_watched(slotshare_queue *queue) {
    struct list keep;
    list_start(&keep);
    for (struct request *request; (request = list_take(&queue->watched));) {
        int result = slotshare_excess(queue->handle, request->ready.slot, NULL);
        if (result == SLOTSHARE_EXCESS) {
            finish(queue, request, result);
        } else if (result == SLOTSHARE_OK) {
            list_append(&keep, request);
        } else {
            free(request);
        }
    }
    list_move(&queue->watched, &keep);
}

static void *queue_thread(void *arg) {
    slotshare_queue *queue = arg;
    struct header *header = queue->handle->segment.header;
    struct thread *self = NULL;
    bool stop = false;
    while (!stop) {
        uint32_t value = atomic_load_explicit(&header->queues, memory_order_seq_cst);
        uint64_t now = clock_boot();
        uint64_t wake = now + REAP_EVERY_MS; /* also to notice the dead, as other waiters do */
        bool able = handle_thread(queue->handle, &self) == SLOTSHARE_OK;
        pthread_mutex_lock(&queue->mutex);
        if (able) { /* else all owner records are in use: try again a little later */
            serve_all(queue, self, now, &wake);
            look_at_watched(queue);
        }
        stop = queue->stop;
        pthread_mutex_unlock(&queue->mutex);
        if (!stop) {
            queues_sleep(header, value, now_until(wake, clock_boot()));
        }
    }
    return NULL;
}

/* The program's signals are for its own threads. */
static int start_thread(slotshare_queue *queue) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int why = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (why == 0) {
        why = pthread_create(&queue->thread, NULL, queue_thread, queue);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return why;
}

/* ---- the public calls ------------------------------------------------------------------------ */

int slotshare_queue_open(slotshare *handle, slotshare_queue **out) {
    if (!handle || !out) {
        return SLOTSHARE_EINVAL;
    }
    *out = NULL;
    if (handle->segment.read_only) {
        return SLOTSHARE_EREADONLY;
    }
    slotshare_queue *queue = calloc(1, sizeof *queue);
    if (!queue) {
        return SLOTSHARE_ESYSTEM;
    }
    queue->handle = handle;
    queue->pid = getpid();
    list_start(&queue->ready);
    list_start(&queue->watched);
    queue->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int why = queue->event < 0 ? errno : pthread_mutex_init(&queue->mutex, NULL);
    if (why == 0) {
        why = start_thread(queue);
    }
    if (why != 0) {
        if (queue->event >= 0) {
            close(queue->event);
        }
        free(queue);
        errno = why;
        return SLOTSHARE_ESYSTEM;
    }
    *out = queue;
    return SLOTSHARE_OK;
}

int slotshare_queue_fd(const slotshare_queue *queue) {
    return queue ? queue->event : -1;
}

static void free_list(slotshare_queue *queue, struct list *list, bool give_back) {
    for (struct request *request; (request = list_take(list));) {
        if (give_back && request->ready.result == SLOTSHARE_OK) {
            (void)slotshare_release(queue->handle, request->ready.slot);
        }
        free(request);
    }
}

void slotshare_queue_close(slotshare_queue *queue) {
    if (!queue) {
        return;
    }
    bool own =
        queue->pid == getpid(); /* in a child there is no thread, and the slots are not its */
    if (own) {
        pthread_mutex_lock(&queue->mutex);
        queue->stop = true;
        pthread_mutex_unlock(&queue->mutex);
        queues_ring(queue->handle->segment.header);
        pthread_join(queue->thread, NULL);
        pthread_mutex_destroy(&queue->mutex);
    }
    free_list(queue, &queue->ready, own);
    free_list(queue, &queue->watched, false);
    for (int i = 0; i < GROUPS; i++) {
        for (struct group *group; (group = queue->group[i]);) {
            queue->group[i] = group->next;
            free_list(queue, &group->waiting, false);
            free(group);
        }
    }
    close(queue->event);
    free(queue);
}

static char *copy_name(char **at, const char *name) {
    if (!name) {
        return NULL;
    }
    size_t size = strlen(name) + 1;
    char *copy = memcpy(*at, name, size);
    *at += size;
    return copy;
}

static struct group *new_group(slotshare_counter counter,
                               const struct slotshare_connection *connection) {
    const char *names[] = {connection->binding, connection->domain, connection->host};
    size_t size = sizeof(struct group);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size += names[i] ? strlen(names[i]) + 1 : 0;
    }
    struct group *group = calloc(1, size);
    if (group) {
        char *at = group->names;
        group->counter = counter;
        group->connection.binding = copy_name(&at, connection->binding);
        group->connection.domain = copy_name(&at, connection->domain);
        group->connection.host = copy_name(&at, connection->host);
        list_start(&group->waiting);
    }
    return group;
}

/* The group of a counter, made if there is none. The mutex is held. */
static struct group *group_of(slotshare_queue *queue, slotshare_counter counter,
                              const struct slotshare_connection *connection) {
    struct group **chain = &queue->group[counter.index % GROUPS];
    for (struct group *group = *chain; group; group = group->next) {
        if (group->counter.index == counter.index &&
            group->counter.generation == counter.generation) {
            return group;
        }
    }
    struct group *group = new_group(counter, connection);
    if (group) {
        group->next = *chain;
        *chain = group;
    }
    return group;
}

int slotshare_queue_add(slotshare_queue *queue, const struct slotshare_connection *connection,
                        void *cookie, int timeout_ms) {
    if (!queue || !connection || queue->pid != getpid()) {
        return SLOTSHARE_EINVAL;
    }
    slotshare_counter counter;
    int result = slotshare_counter_find(queue->handle, connection, &counter);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    struct request *request = calloc(1, sizeof *request);
    if (!request) {
        return SLOTSHARE_ESYSTEM;
    }
    request->ready.cookie = cookie;
    request->ready.result = SLOTSHARE_FULL; /* until it has a slot */
    request->deadline = timeout_ms < 0 ? UINT64_MAX : clock_boot() + (uint64_t)timeout_ms;
    pthread_mutex_lock(&queue->mutex);
    struct group *group = group_of(queue, counter, connection);
    if (group) {
        list_append(&group->waiting, request);
    }
    pthread_mutex_unlock(&queue->mutex);
    if (!group) {
        free(request);
        return SLOTSHARE_ESYSTEM;
    }
    queues_ring(queue->handle->segment.header);
    return SLOTSHARE_OK;
}

int slotshare_queue_watch(slotshare_queue *queue, slotshare_slot slot, void *cookie) {
    if (!queue || queue->pid != getpid()) {
        return SLOTSHARE_EINVAL;
    }
    struct request *request = calloc(1, sizeof *request);
    if (!request) {
        return SLOTSHARE_ESYSTEM;
    }
    /* withdraw() must not give it back: its result is not SLOTSHARE_OK */
    request->ready =
        (struct slotshare_ready){.cookie = cookie, .result = SLOTSHARE_EXCESS, .slot = slot};
    pthread_mutex_lock(&queue->mutex);
    list_append(&queue->watched, request);
    pthread_mutex_unlock(&queue->mutex);
    return SLOTSHARE_OK;
}

/* Take those with this cookie out of a list. @return how many. */
static int withdraw(slotshare_queue *queue, struct list *list, const void *cookie) {
    struct list keep;
    struct list gone;
    int count = 0;
    list_start(&keep);
    list_start(&gone);
    for (struct request *request; (request = list_take(list));) {
        bool match = request->ready.cookie == cookie;
        list_append(match ? &gone : &keep, request);
        count += match;
    }
    list_move(list, &keep);
    free_list(queue, &gone, true);
    return count;
}

int slotshare_queue_cancel(slotshare_queue *queue, const void *cookie) {
    if (!queue || queue->pid != getpid()) {
        return 0;
    }
    pthread_mutex_lock(&queue->mutex);
    int count = withdraw(queue, &queue->ready, cookie) + withdraw(queue, &queue->watched, cookie);
    for (int i = 0; i < GROUPS; i++) {
        for (struct group *group = queue->group[i]; group; group = group->next) {
            count += withdraw(queue, &group->waiting, cookie);
        }
    }
    pthread_mutex_unlock(&queue->mutex);
    return count;
}

int slotshare_queue_next(slotshare_queue *queue, struct slotshare_ready *out) {
    if (!queue || !out || queue->pid != getpid()) {
        return SLOTSHARE_EINVAL;
    }
    pthread_mutex_lock(&queue->mutex);
    struct request *request = list_take(&queue->ready);
    if (!queue->ready.first) {
        uint64_t count;
        (void)!read(queue->event, &count, sizeof count); /* nothing left: not readable any more */
    }
    pthread_mutex_unlock(&queue->mutex);
    if (!request) {
        return SLOTSHARE_FULL;
    }
    *out = request->ready;
    free(request);
    return SLOTSHARE_OK;
}
