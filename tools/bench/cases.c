/* SPDX-License-Identifier: MIT */
/* Comparisons of one operation with one other. */
#include <string.h>

#include "bench.h"

static const char limits[] = "[host \"free.example\"]\ncluster_max_outbound_connections = 1000\n"
                             "[host \"single.example\"]\ncluster_max_outbound_connections = 1\n";
static const char host_segment[] = "host";
static const char cluster_segment[] = "cluster";

/* Made by the first case that needs it; made again it is found. */
static int ready_host(struct bench *bench) {
    return segment_host(bench, host_segment, 1024, limits);
}

static struct subject slot_subject(const struct subject *kind, const char *segment,
                                   const char *host) {
    struct subject out = *kind;
    out.segment = segment;
    out.host = host;
    return out;
}

static struct subject shared_subject(const struct subject *kind, void *shared) {
    struct subject out = *kind;
    out.shared = shared;
    return out;
}

static int compare(struct bench *bench, struct report *report, struct result *result,
                   const struct subject *a, const struct subject *b) {
    result->unit = "ns";
    result->peer = b ? b->name : NULL;
    if (measure(bench, a, b, result->processes, &result->measured) != 0) {
        return -1;
    }
    report_add(report, result);
    return 0;
}

int case_pairs(struct bench *bench, struct report *report, const struct bench_case *self) {
    void *bare = shared_counter(bench);
    void *least = shared_least(bench);
    void *semaphore = shared_semaphore(bench);
    void *mutex = shared_mutex(bench);
    void *sysv = shared_sysv(bench);
    int result = bare && least && semaphore && mutex && sysv ? ready_host(bench) : -1;
    const struct subject slot = slot_subject(&subject_handle, host_segment, "free.example");
    const struct subject least_itself = shared_subject(&subject_least, least);
    const struct subject threaded = slot_subject(&subject_threaded, host_segment, "free.example");
    const struct {
        const char *name, *what;
        const struct subject *subject;
        const struct subject *peer;
        void *shared;
        double wanted;
    } row[] = {{"handle", self->what, &slot, &subject_bare, bare, 2.0},
               {"handle-threaded", "the same in a process with two threads", &threaded,
                &subject_bare, bare, 0},
               {"handle-least", self->what, &slot, &subject_least, least, 0},
               {"least", "the words of exact recovery and the clock, nothing else", &least_itself,
                &subject_bare, bare, 0},
               {"handle-semaphore", self->what, &slot, &subject_semaphore, semaphore, 0},
               {"handle-mutex", self->what, &slot, &subject_mutex, mutex, 0},
               {"handle-sysv", self->what, &slot, &subject_sysv, sysv, 0}};
    for (size_t i = 0; result == 0 && i < sizeof row / sizeof row[0]; i++) {
        struct subject peer = shared_subject(row[i].peer, row[i].shared);
        struct result line = {.name = row[i].name,
                              .what = row[i].what,
                              .processes = 1,
                              .wanted_ratio = row[i].wanted};
        result = compare(bench, report, &line, row[i].subject, &peer);
    }
    sysv_remove(sysv);
    return result;
}

int case_cluster(struct bench *bench, struct report *report, const struct bench_case *self) {
    void *bare = shared_counter(bench);
    const struct subject slot = slot_subject(&subject_handle, cluster_segment, "free.example");
    const struct subject peer = shared_subject(&subject_bare, bare);
    struct result line = {
        .name = self->name, .what = self->what, .processes = 1, .wanted_ratio = 3.0};
    return bare && segment_cluster(bench, cluster_segment, limits) == 0
               ? compare(bench, report, &line, &slot, &peer)
               : -1;
}

int case_contended(struct bench *bench, struct report *report, const struct bench_case *self) {
    void *bare = shared_counter(bench);
    void *least = shared_least(bench);
    void *semaphore = shared_semaphore(bench);
    void *mutex = shared_mutex(bench);
    void *sysv = shared_sysv(bench);
    int result = bare && least && semaphore && mutex && sysv ? ready_host(bench) : -1;
    const struct subject slot = slot_subject(&subject_handle, host_segment, "free.example");
    const struct {
        const char *name;
        const struct subject *peer;
        void *shared;
        double wanted;
    } row[] = {{"contended", &subject_semaphore, semaphore, 1.5},
               {"contended-least", &subject_least, least, 0},
               {"contended-bare", &subject_bare, bare, 0},
               {"contended-mutex", &subject_mutex, mutex, 0},
               {"contended-sysv", &subject_sysv, sysv, 0}};
    for (size_t i = 0; result == 0 && i < sizeof row / sizeof row[0]; i++) {
        struct subject peer = shared_subject(row[i].peer, row[i].shared);
        struct result line = {
            .name = row[i].name, .what = self->what, .processes = 2, .wanted_ratio = row[i].wanted};
        result = compare(bench, report, &line, &slot, &peer);
    }
    sysv_remove(sysv);
    return result;
}

int case_name(struct bench *bench, struct report *report, const struct bench_case *self) {
    const struct subject slot = slot_subject(&subject_name, host_segment, "free.example");
    struct result line = {
        .name = self->name, .what = self->what, .processes = 1, .wanted_value = 150};
    return ready_host(bench) == 0 ? compare(bench, report, &line, &slot, NULL) : -1;
}

int case_refusal(struct bench *bench, struct report *report, const struct bench_case *self) {
    const struct subject slot = slot_subject(&subject_refusal, host_segment, "single.example");
    struct result line = {
        .name = self->name, .what = self->what, .processes = 1, .wanted_value = 5};
    return ready_host(bench) == 0 ? compare(bench, report, &line, &slot, NULL) : -1;
}

/* With more processes than processors the cost of an operation must stay what two processes pay. */
int case_processes(struct bench *bench, struct report *report, const struct bench_case *self) {
    static const unsigned numbers[] = {1, 2, 4, 8, 16, 32};
    static const char *const names[] = {"processes-1", "processes-2",  "processes-4",
                                        "processes-8", "processes-16", "processes-32"};
    void *semaphore = shared_semaphore(bench);
    int result = semaphore ? ready_host(bench) : -1;
    const struct subject slot = slot_subject(&subject_handle, host_segment, "free.example");
    const struct subject peer = shared_subject(&subject_semaphore, semaphore);
    struct result worst = {.name = "processes-collapse",
                           .what = "the worst of 4 to 32 processes",
                           .unit = "ns",
                           .peer = "two processes",
                           .wanted_ratio = 2.0};
    struct spread two = {0};
    for (size_t i = 0; result == 0 && i < sizeof numbers / sizeof numbers[0]; i++) {
        struct result line = {.name = names[i], .what = self->what, .processes = numbers[i]};
        result = compare(bench, report, &line, &slot, &peer);
        const struct spread *value = &line.measured.value[0];
        two = numbers[i] == 2 ? *value : two;
        if (numbers[i] > 2 && value->middle > worst.measured.value[0].middle) {
            worst.measured.value[0] = *value;
            worst.measured.rounds = line.measured.rounds;
            worst.processes = numbers[i];
        }
    }
    if (result == 0) {
        const struct spread *value = &worst.measured.value[0];
        worst.measured.value[1] = two;
        worst.measured.ratio = (struct spread){.middle = value->middle / two.middle,
                                               .low = value->low / two.high,
                                               .high = value->high / two.low};
        report_add(report, &worst);
    }
    return result;
}
