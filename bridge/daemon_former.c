/* SPDX-License-Identifier: MIT */
/* What was proposed here before an operator's change took its place. Another member may have
 * promised it in that very moment, for good: then nothing else is committed, and it is proposed
 * again; the change comes after it. */
#include "daemon_internal.h"

enum { HEARD_MS = 5000 }; /* what somebody said who is gone binds nobody */

/* Who can be heard has promised a configuration for the next epoch. @return its digest; 0: nobody
 * has, or several of them (never). */
static uint64_t promised_by_others(const struct daemon *daemon,
                                   const struct core_config_state *own) {
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        const struct member *member = &daemon->member[i];
        struct core_member_state said;
        if (member->hash != 0 && !member->self &&
            core_member_state(daemon->core, member->hash, &said) && !said.vouched_dead &&
            said.heard != 0 && daemon->now <= said.heard + HEARD_MS &&
            said.epoch == own->committed && said.ready == own->committed + 1)
            return said.ready_digest;
    }
    return 0;
}

bool daemon_former_binds(const struct daemon *daemon) {
    const struct core_config_state own = core_config_state(daemon->core);
    return own.promised == 0 && own.pending_digest != 0 &&
           promised_by_others(daemon, &own) == own.pending_digest;
}

void daemon_former_keep(struct daemon *daemon, struct edition *was) {
    struct formers *formers = &daemon->formers;
    edition_move(&formers->edition[formers->next], was);
    formers->next = (formers->next + 1) % FORMERS;
}

void daemon_former_tend(struct daemon *daemon) {
    const struct core_config_state own = core_config_state(daemon->core);
    struct formers *formers = &daemon->formers;
    if (own.promised != 0 || own.overtaken)
        return;
    const uint64_t digest = promised_by_others(daemon, &own);
    for (uint32_t i = 0; i < FORMERS && digest != 0 && digest != own.pending_digest; i++) {
        struct edition again;
        struct conf_errors errors = {0};
        if (formers->edition[i].digest != digest || edition_copy(&again, &formers->edition[i]) != 0)
            continue;
        log_event(daemon->log, LOG_LEVEL_NOTICE, "changes_later", "reason",
                  "other members have promised what was proposed before: that comes first", NULL);
        (void)daemon_load(daemon, &again, false, &errors);
        daemon->changes.load = true;
        edition_free(&again);
        conf_errors_free(&errors);
        return;
    }
}

void daemon_former_free(struct daemon *daemon) {
    for (uint32_t i = 0; i < FORMERS; i++)
        edition_free(&daemon->formers.edition[i]);
}
