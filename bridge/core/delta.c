/* SPDX-License-Identifier: MIT */
/* What of its counters a member need not say again. Every record is absolute, so saying one twice
 * is harmless, and nothing is ever concluded from one that is missing. A record is told when it has
 * changed, again until the very heartbeat that told it was taken in, and then anew now and then. */
#include "internal.h"

void delta_forget_all(struct core *core) {
    for (uint32_t i = 0; i < core->watched_count; i++) {
        core->counter[core->watched[i]].told = false;
    }
}

void delta_heard(struct core *core, uint64_t ack, uint64_t heard) {
    for (uint64_t i = 0; i < 64 && i < ack; i++) {
        struct sent *sent = &core->sent[(ack - i) % SENT_RING];
        if ((heard >> i & 1) != 0 && sent->sequence == ack - i) {
            sent->heard = true;
        }
    }
}

/* Those told together are told anew at different times. */
static bool stale(const struct core *core, uint64_t now, const struct counter *counter) {
    uint64_t spread = (uint64_t)(counter->hash % 16) * (core->timers.heartbeat / 2);
    return now - counter->told_at > REFRESH_MS + spread;
}

bool delta_eased(const struct core *core, uint64_t now, const struct counter *counter) {
    int32_t wants = counter->wants > counter->in_use ? counter->wants : counter->in_use;
    return counter->told && counter->contended && counter->told_wants > counter->reserve &&
           wants < table_cap(core, now, counter) && 4 * wants <= 3 * counter->told_wants;
}

bool delta_due(struct core *core, uint64_t now, struct counter *counter,
               const struct core_record *record, bool hungry, bool regular) {
    if (!counter->told || record->held != counter->told_held ||
        record->grant != counter->told_grant || record->limit != counter->told_limit ||
        hungry != counter->told_hungry || delta_eased(core, now, counter) ||
        stale(core, now, counter)) {
        return true;
    }
    /* How much is wanted changes all the time, and seldom what is dealt: once per period will do.
     * What is in use matters where it is more than the share, and is what is held there. */
    if (regular && record->wants != counter->told_wants) {
        return true;
    }
    const struct sent *sent = &core->sent[counter->told_sequence % SENT_RING];
    counter->heard = counter->heard || (sent->sequence == counter->told_sequence && sent->heard);
    return !counter->heard && now - counter->told_at >= UNHEARD_MS;
}

void delta_told(struct counter *counter, uint64_t now, const struct core_record *record,
                bool hungry, uint64_t sequence) {
    counter->told = true;
    counter->heard = false;
    counter->told_hungry = hungry;
    counter->told_in_use = record->in_use;
    counter->told_held = record->held;
    counter->told_wants = record->wants;
    counter->told_limit = record->limit;
    counter->told_grant = record->grant;
    counter->told_sequence = sequence;
    counter->told_at = now;
}
