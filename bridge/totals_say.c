/* SPDX-License-Identifier: MIT */
/* What this node says: all in sweeps, and between them what has changed. What was said last is the
 * node's own figure in each row, so that a message which was lost is nothing to be remembered here:
 * who misses it asks, or waits for the next sweep. */
#include "totals_internal.h"

void totals_ask(struct totals *totals) {
    totals->saying.asked = true;
}

static bool sweep_is_due(const struct saying *saying) {
    const uint64_t after = saying->asked ? TOTALS_SWEEP_MIN_MS : TOTALS_SWEEP_MS;
    return !saying->sweeping && (saying->began == 0 || saying->now - saying->began >= after);
}

void totals_say_begin(struct totals *totals, uint32_t self, uint64_t now) {
    struct saying *saying = &totals->saying;
    struct told_by *own = &totals->member[self];
    saying->self = self;
    saying->now = now;
    saying->turn++;
    own->heard = now; /* this node is never silent to itself */
    if (sweep_is_due(saying)) {
        /* From the clock: another number than any that this node had before it was restarted. */
        saying->sweep_number = now > saying->sweep_number ? now : saying->sweep_number + 1;
        saying->number = 0;
        saying->began = now;
        saying->sweeping = true;
        saying->asked = false;
        own->sweep++;
    }
    /* A sweep says all once more, also what was just said. */
    if (!saying->left_out || saying->began == now)
        saying->round++;
    saying->left_out = false;
}

static bool differ(uint32_t a, uint32_t b, uint32_t by) {
    return a > b ? a - b > by : b - a > by;
}

/* What is held is said at once, and so is who has begun to want more, or has ceased to. */
static bool is_news(const struct row *row, const struct figure *was, const struct figure *is,
                    uint64_t now) {
    if (was->in_use != is->in_use || was->share != is->share ||
        (was->wants > was->in_use) != (is->wants > is->in_use) ||
        (was->drain_end > 1) != (is->drain_end > 1))
        return true;
    return now - row->said_at >= TOTALS_REPEAT_MS &&
           (was->wants != is->wants || differ(was->since, is->since, 1) ||
            differ(was->drain_end, is->drain_end, 1));
}

static void say(struct totals *totals, struct row *row, struct figure *figure,
                const struct wire_total *total, totals_writer write, void *arg) {
    struct saying *saying = &totals->saying;
    if (row->said == saying->round)
        return; /* others come first */
    if (saying->left_out || !write(total, arg)) {
        saying->left_out = true;
        return;
    }
    row->said = saying->round;
    row->said_at = saying->now;
    *figure = totals_figure_of(total, saying->now, totals->member[saying->self].sweep);
}

void totals_say(struct totals *totals, const struct wire_total *total, totals_writer write,
                void *arg) {
    const struct saying *saying = &totals->saying;
    const uint32_t sweep = totals->member[saying->self].sweep;
    struct row *row = totals_row(totals, total->name);
    struct figure *was = row != NULL ? totals_column(totals, row, saying->self) : NULL;
    if (was == NULL)
        return; /* nobody keeps so many */
    const struct figure is = totals_figure_of(total, saying->now, sweep);
    row->seen = saying->turn;
    if (was->sweep != sweep || is_news(row, was, &is, saying->now))
        say(totals, row, was, total, write, arg);
}

bool totals_say_end(struct totals *totals, totals_writer write, void *arg) {
    struct saying *saying = &totals->saying;
    for (uint32_t i = 0; i < TOTALS_BUCKETS; i++) {
        for (struct row *row = totals->bucket[i]; row != NULL; row = row->next) {
            const struct wire_total none = {.name = row->name, .share = -1};
            if (row->seen == saying->turn || saying->self >= row->columns ||
                !totals_is_said(&row->figure[saying->self]))
                continue;
            say(totals, row, &row->figure[saying->self], &none, write, arg);
        }
    }
    const bool complete = saying->sweeping && !saying->left_out;
    saying->sweeping = saying->sweeping && !complete;
    return complete;
}

void totals_say_number(struct totals *totals, struct wire_totals *message) {
    message->sweep = totals->saying.sweep_number;
    message->number = ++totals->saying.number;
}
