/* SPDX-License-Identifier: MIT */
#include "question.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct questions {
    pthread_mutex_t lock;
    int fd; /* an eventfd: not 0 while `count` may be more than 0 */
    size_t count;
    struct question question[QUESTIONS_MAX]; /* as they came */
};

struct questions *questions_create(void) {
    struct questions *questions = calloc(1, sizeof *questions);
    if (questions == NULL)
        return NULL;
    questions->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (questions->fd < 0) {
        free(questions);
        return NULL;
    }
    (void)pthread_mutex_init(&questions->lock, NULL);
    return questions;
}

void questions_destroy(struct questions *questions) {
    if (questions == NULL)
        return;
    (void)pthread_mutex_destroy(&questions->lock);
    close(questions->fd);
    free(questions);
}

int questions_fd(const struct questions *questions) {
    return questions->fd;
}

bool questions_put(struct questions *questions, const struct question *question) {
    static const uint64_t one = 1;
    (void)pthread_mutex_lock(&questions->lock);
    const bool room = questions->count < QUESTIONS_MAX;
    if (room) {
        questions->question[questions->count++] = *question;
        /* It can fail only when it is not 0 already. */
        (void)!write(questions->fd, &one, sizeof one);
    }
    (void)pthread_mutex_unlock(&questions->lock);
    return room;
}

bool questions_take(struct questions *questions, uint64_t before, struct question *out) {
    uint64_t times;
    (void)pthread_mutex_lock(&questions->lock);
    const bool there = questions->count > 0 && questions->question[0].asked < before;
    if (there) {
        *out = questions->question[0];
        memmove(questions->question, questions->question + 1,
                --questions->count * sizeof questions->question[0]);
    }
    if (questions->count == 0)
        (void)!read(questions->fd, &times, sizeof times);
    (void)pthread_mutex_unlock(&questions->lock);
    return there;
}
