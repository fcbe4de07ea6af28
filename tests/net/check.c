/* SPDX-License-Identifier: MIT */
/* Merges all intervals of a history and answers questions about them, one a line. C is a counter;
 * times are nanoseconds of CLOCK_MONOTONIC.
 *     over C LIMIT      -> slots taken; the most that was ever held, at how many instants it was
 * over the limit, and when first peak C FROM TO    -> the most that was held at one instant held C
 * FROM TO    -> for each node: slots times nanoseconds gap C FROM TO     -> for each node: the
 * longest time without a slot reach C FROM SUM  -> when so many were held for the first time; 0:
 * never waits C FROM TO   -> slots taken then after a refusal; median, 99% and longest wait from
 *                          that on
 *     handed C FROM TO  -> slots given back then; median, 90% and longest time until the next take
 *     now C             -> for each node: slots held when this program started
 * Usage: net_check HISTORY
 * Only when all workers have ended is it the whole truth.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

struct interval {
    uint64_t asked, from, to;
    uint32_t node;
};

struct event {
    uint64_t at;
    int32_t change;
    uint32_t node;
};

struct merged {
    struct interval *interval;
    struct event *event; /* in the order of time, twice as many */
    size_t count;
    size_t room;  /* workers that have not ended may add more than was counted */
    uint64_t end; /* of what is held still */
};

struct question {
    char word[16];
    uint32_t counter;
    uint64_t a, b;
};

/* At one time an end goes first: intervals lie within what was really held. */
static int compare_events(const void *a_arg, const void *b_arg) {
    const struct event *a = a_arg, *b = b_arg;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->change - b->change;
}

static int compare_times(const void *a_arg, const void *b_arg) {
    const uint64_t *a = a_arg, *b = b_arg;
    return (*a > *b) - (*a < *b);
}

static void *room(size_t count, size_t size) {
    void *memory = calloc(count + 1, size);
    if (memory == NULL) {
        (void)fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

static size_t slots(const struct history *history, uint32_t counter) {
    size_t count = 0;
    for (uint32_t i = 0; i < atomic_load(&history->lanes) && i < LANES; i++)
        count += history->lane[i].counter == counter ? atomic_load(&history->lane[i].count) : 0;
    return count;
}

static void add_lane(const struct history *history, const struct lane *lane, uint64_t end,
                     struct merged *merged) {
    const struct place *place = &history->place[lane->place];
    uint64_t died = atomic_load(&place->died);
    uint32_t count = atomic_load(&lane->count);

    for (uint32_t i = 0; i < count && merged->count < merged->room; i++) {
        const struct slot_time *slot = &lane->slot[i];
        uint64_t to = atomic_load(&slot->given);
        to = to != 0 ? to : end;
        to = died != 0 && died < to ? died : to;
        struct interval interval = {atomic_load(&slot->asked), atomic_load(&slot->taken), to,
                                    place->node};
        if (interval.from >= to)
            continue; /* killed between asking and writing down */
        merged->event[2 * merged->count] = (struct event){interval.from, 1, place->node};
        merged->event[2 * merged->count + 1] = (struct event){to, -1, place->node};
        merged->interval[merged->count++] = interval;
    }
}

static struct merged merge(const struct history *history, uint32_t counter) {
    size_t most = slots(history, counter);
    uint64_t end = history_now();
    struct merged merged = {.room = most,
                            .end = end,
                            .interval = room(most, sizeof *merged.interval),
                            .event = room(2 * most, sizeof *merged.event)};

    for (uint32_t i = 0; i < atomic_load(&history->lanes) && i < LANES; i++) {
        const struct lane *lane = &history->lane[i];
        if (lane->counter == counter && lane->place < PLACES &&
            history->place[lane->place].node < NODES)
            add_lane(history, lane, end, &merged);
    }
    qsort(merged.event, 2 * merged.count, sizeof *merged.event, compare_events);
    return merged;
}

static void over(const struct merged *merged, int64_t limit) {
    int64_t sum = 0, peak = 0;
    uint64_t instants = 0, first = 0;

    for (size_t i = 0; i < 2 * merged->count; i++) {
        sum += merged->event[i].change;
        peak = sum > peak ? sum : peak;
        if (sum > limit && merged->event[i].change > 0) {
            instants++;
            first = first != 0 ? first : merged->event[i].at;
        }
    }
    (void)printf("%zu %" PRId64 " %" PRIu64 " %" PRIu64 "\n", merged->count, peak, instants, first);
}

static void peak(const struct merged *merged, uint64_t from, uint64_t to) {
    int64_t sum = 0, most = 0;
    for (size_t i = 0; i < 2 * merged->count && merged->event[i].at < to; i++) {
        if (merged->event[i].at >= from && sum > most)
            most = sum; /* what was held when the window began, too */
        sum += merged->event[i].change;
        if (merged->event[i].at >= from && sum > most)
            most = sum;
    }
    (void)printf("%" PRId64 "\n", sum > most ? sum : most);
}

static void held(const struct history *history, const struct merged *merged, uint64_t from,
                 uint64_t to) {
    uint64_t sum[NODES] = {0};
    for (size_t i = 0; i < merged->count; i++) {
        const struct interval *interval = &merged->interval[i];
        uint64_t begin = interval->from > from ? interval->from : from;
        uint64_t end = interval->to < to ? interval->to : to;
        sum[interval->node] += end > begin ? end - begin : 0;
    }
    for (uint32_t i = 0; i < history->nodes; i++)
        (void)printf("%" PRIu64 "%c", sum[i], i + 1 < history->nodes ? ' ' : '\n');
}

static void gap(const struct history *history, const struct merged *merged, uint64_t from,
                uint64_t to) {
    uint64_t since[NODES], longest[NODES] = {0};
    int64_t sum[NODES] = {0};

    for (uint32_t i = 0; i < NODES; i++)
        since[i] = from;
    for (size_t i = 0; i < 2 * merged->count && merged->event[i].at < to; i++) {
        const struct event *event = &merged->event[i];
        uint32_t node = event->node;
        if (sum[node] == 0 && event->at > since[node] && event->at - since[node] > longest[node])
            longest[node] = event->at - since[node];
        sum[node] += event->change;
        if (event->at > since[node])
            since[node] = event->at;
    }
    for (uint32_t i = 0; i < history->nodes; i++) {
        if (sum[i] == 0 && to > since[i] && to - since[i] > longest[i])
            longest[i] = to - since[i];
        (void)printf("%" PRIu64 "%c", longest[i], i + 1 < history->nodes ? ' ' : '\n');
    }
}

static void reach(const struct merged *merged, uint64_t from, int64_t wanted) {
    int64_t sum = 0;
    for (size_t i = 0; i < 2 * merged->count; i++) {
        const struct event *event = &merged->event[i];
        if (event->at > from && sum >= wanted) {
            (void)printf("%" PRIu64 "\n", from); /* since before */
            return;
        }
        sum += event->change;
        if (event->at > from && sum >= wanted) {
            (void)printf("%" PRIu64 "\n", event->at);
            return;
        }
    }
    (void)printf("0\n");
}

static void held_now(const struct history *history, const struct merged *merged) {
    uint32_t sum[NODES] = {0};
    for (size_t i = 0; i < merged->count; i++)
        sum[merged->interval[i].node] += merged->interval[i].to == merged->end ? 1 : 0;
    for (uint32_t i = 0; i < history->nodes; i++)
        (void)printf("%u%c", sum[i], i + 1 < history->nodes ? ' ' : '\n');
}

static void print_times(uint64_t *times, size_t count, size_t percent) {
    qsort(times, count, sizeof *times, compare_times);
    if (count == 0)
        (void)printf("0 0 0 0\n");
    else
        (void)printf("%zu %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", count, times[count / 2],
                     times[(count - 1) * percent / 100], times[count - 1]);
    free(times);
}

static void waits(const struct merged *merged, uint64_t from, uint64_t to) {
    uint64_t *wait = room(merged->count, sizeof *wait);
    size_t count = 0;

    for (size_t i = 0; i < merged->count; i++) {
        const struct interval *interval = &merged->interval[i];
        if (interval->asked != 0 && interval->from >= from && interval->from < to)
            wait[count++] = interval->from - interval->asked;
    }
    print_times(wait, count, 99);
}

static void handed(const struct merged *merged, uint64_t from, uint64_t to) {
    uint64_t *time = room(merged->count, sizeof *time);
    size_t count = 0;
    uint64_t given = 0;

    for (size_t i = 0; i < 2 * merged->count && merged->event[i].at < to; i++) {
        const struct event *event = &merged->event[i];
        if (event->change > 0 && given != 0)
            time[count++] = event->at - given;
        given = event->at >= from && event->change < 0 ? event->at : 0;
    }
    print_times(time, count, 90);
}

static bool answer(const struct history *history, const struct merged *merged,
                   const struct question *ask) {
    if (strcmp(ask->word, "over") == 0)
        over(merged, (int64_t)ask->a);
    else if (strcmp(ask->word, "peak") == 0)
        peak(merged, ask->a, ask->b);
    else if (strcmp(ask->word, "held") == 0)
        held(history, merged, ask->a, ask->b);
    else if (strcmp(ask->word, "gap") == 0)
        gap(history, merged, ask->a, ask->b);
    else if (strcmp(ask->word, "reach") == 0)
        reach(merged, ask->a, (int64_t)ask->b);
    else if (strcmp(ask->word, "waits") == 0)
        waits(merged, ask->a, ask->b);
    else if (strcmp(ask->word, "handed") == 0)
        handed(merged, ask->a, ask->b);
    else if (strcmp(ask->word, "now") == 0)
        held_now(history, merged);
    else
        return false;
    (void)fflush(stdout);
    return true;
}

/* Word, counter, one or two numbers. */
static bool understand(char *line, struct question *ask) {
    char *rest = NULL;
    const char *word = strtok_r(line, " \n", &rest);
    if (word == NULL || strlen(word) >= sizeof ask->word)
        return false;
    *ask = (struct question){.counter = COUNTERS};
    memcpy(ask->word, word, strlen(word));
    ask->counter = (uint32_t)strtoul(rest, &rest, 10);
    ask->a = strtoull(rest, &rest, 10);
    ask->b = strtoull(rest, NULL, 10);
    return ask->counter < COUNTERS;
}

int main(int argc, char **argv) {
    struct merged merged[COUNTERS];
    struct question ask;
    char line[256];

    if (argc != 2)
        return 2;
    const struct history *history = history_map(argv[1]);
    for (uint32_t i = 0; i < COUNTERS; i++)
        merged[i] = merge(history, i);
    int status = 0;
    while (status == 0 && fgets(line, sizeof line, stdin) != NULL) {
        if (!understand(line, &ask) || !answer(history, &merged[ask.counter], &ask)) {
            (void)fprintf(stderr, "net_check: what is '%s'?\n", line);
            status = 2;
        }
    }
    for (uint32_t i = 0; i < COUNTERS; i++) {
        free(merged[i].interval);
        free(merged[i].event);
    }
    return status;
}
