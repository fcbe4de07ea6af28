/* SPDX-License-Identifier: MIT */
#include "internal.h"

/* Of members that go with what is pending new ones know nothing, and cannot hear them. */
static bool goes(const struct core *core, uint64_t hash) {
    return core->pending.members != 0 && !core_has_member(&core->pending, hash);
}

static int class_of(const struct core *core, const struct core_member *member) {
    return (member->witness ? 1 : 0) + (goes(core, member->hash) ? 2 : 0);
}

/* The order in which members stand: as configured, witnesses last, and after them those that go
 * with what is pending. -1: not a member. */
static int rank_of(const struct core *core, uint64_t hash) {
    const struct core_membership *config =
        core->committed.epoch != 0 ? &core->committed : &core->pending;
    const struct core_member *self = NULL;
    int rank = 0;

    for (uint32_t i = 0; i < config->members; i++) {
        self = config->member[i].hash == hash ? &config->member[i] : self;
    }
    for (uint32_t i = 0; self != NULL && i < config->members; i++) {
        const struct core_member *member = &config->member[i];
        int other = class_of(core, member), mine = class_of(core, self);
        rank += other < mine || (other == mine && member < self) ? 1 : 0;
    }
    return self == NULL ? -1 : rank;
}

void election_give_way(struct core *core, uint64_t now) {
    bool successor = false;

    if (!goes(core, core->self) || now < core->give_way_due) {
        return;
    }
    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        successor = successor || (peer->hash != core->self && peer->committed && peer->pending &&
                                  peer->said_proposed == core->pending.digest &&
                                  config_heard_lately(core, now, peer));
    }
    if (successor) {
        /* If nobody else can lead, it is this node again, for a while. */
        core->give_way_due = now + 5 * (uint64_t)core->timers.session;
        core->coordinator_heard = now;
        coordinator_step_down(core);
    }
}

void election_seen(struct core *core, const struct core_term *term) {
    if (term->number > core->seen_number) {
        core->seen_number = term->number;
    }
}

void election_resigned(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat) {
    struct control_memory *memory = &core->memory;

    if (memory->vote_member != heartbeat->from || memory->vote_boot != heartbeat->boot ||
        memory->vote_generation != heartbeat->generation) {
        return;
    }
    memory->vote_member = memory->vote_until = 0;
    core->memory_dirty = true;
    if (core->coordinator == heartbeat->from) {
        uint64_t patience = (uint64_t)core->timers.leader * 11 / 10;
        core->coordinator_heard = now > patience ? now - patience : 0;
        core->election_due = now;
    }
}

static bool majority(const struct core *core, bool pending) {
    int members = 0, votes = 0;

    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        if (peer->hash != 0 && !peer->vouched_dead && (pending ? peer->pending : peer->committed)) {
            members++;
            votes += core->voted[i] ? 1 : 0;
        }
    }
    return votes * 2 > members;
}

/* A mere proposal, that may be a wrong file, asks for no votes. */
static bool elected(const struct core *core) {
    bool founder = core->committed.epoch == 0;
    return (founder || majority(core, false)) &&
           ((!founder && (!core->promised || MUTANT(core, MUTANT_OLD_MAJORITY))) ||
            majority(core, true));
}

/* ---- without a majority ---- */

static bool may_take_over(const struct core *core, uint64_t now) {
    uint64_t wait = core->timers.take_over_after;
    wait = wait < core->timers.session ? core->timers.session : wait;
    return core->timers.take_over_after != 0 && core->committed.epoch != 0 &&
           now >= core->majority_heard + wait;
}

/* Every member that was heard votes for this node: nobody who can be seen leads, or follows
 * another. One that leads already needs not wait for somebody who may just have died. */
static bool all_heard_vote(const struct core *core, uint64_t now) {
    uint64_t window = core->leading ? core->timers.leader / 2 : core->timers.session;

    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        bool heard = peer->heard != 0 && now <= peer->heard + window;
        if (peer->hash != 0 && peer->committed && !core->voted[i] &&
            (peer->hash == core->self || heard) && !MUTANT(core, MUTANT_TAKE_OVER_SEEN)) {
            return false;
        }
    }
    return true;
}

bool election_obeys(const struct core *core, const struct core_deal *deal) {
    return !deal->minority || core->memory.vote_member == deal->from;
}

/* ---- candidates ---- */

/* A vote for this node's round arrived, its own or another's. */
static void count_vote(struct core *core, uint64_t now, int peer) {
    core->voted[peer] = true;
    bool whole = elected(core);
    if (!whole && (!core->round_minority || !all_heard_vote(core, now))) {
        return;
    }
    core->minority = !whole;
    core->lease_epoch = whole && core->promised ? core->pending.epoch : 0;
    uint64_t end = core->round_sent + core->timers.leader;
    if (core->leading) {
        if (now < core->lease_end || MUTANT(core, MUTANT_RESUME)) {
            core->lease_end = end > core->lease_end ? end : core->lease_end;
        } else {
            coordinator_step_down(core); /* a lapsed leadership is never resumed */
        }
        return;
    }
    struct core_term seen = core_memory_term(core);
    if (now < end && core_compare_terms(&core->candidate_term, &seen) > 0 && !core->leaving) {
        core->lease_end = end;
        coordinator_take_over(core, now);
    }
}

/* @return true: this node's vote is the candidate's, and memory says so (to be stored before the
 * vote is sent). */
static bool give_vote(struct core *core, uint64_t now, const struct core_vote_request *request) {
    struct control_memory *memory = &core->memory;
    struct core_term seen = core_memory_term(core);
    bool same = memory->vote_member == request->from && memory->vote_boot == request->boot &&
                memory->vote_generation == request->generation;
    bool known = core_has_member(&core->committed, request->from) ||
                 core_has_member(&core->pending, request->from);

    if (request->minority && !may_take_over(core, now)) {
        return false;
    }
    if (!known || now < core->quiet_until || core_compare_terms(&request->term, &seen) < 0 ||
        (!same && now < memory->vote_until)) {
        return false;
    }
    memory->vote_member = request->from;
    memory->vote_boot = request->boot;
    memory->vote_generation = request->generation;
    memory->vote_until = now + core_margin(MUTANT(core, MUTANT_SHORT_VOTE) ? core->timers.leader / 4
                                                                           : core->timers.leader);
    core->memory_dirty = true;
    return true;
}

static void ask(struct core *core, uint64_t now) {
    int self = core_find_peer(core, core->self);
    struct core_action *action;

    core->round++;
    core->round_sent = now;
    memset(core->voted, 0, sizeof core->voted);
    struct core_vote_request request = {.from = core->self,
                                        .boot = core->boot,
                                        .generation = core->memory.generation,
                                        .term = core->candidate_term,
                                        .round = core->round,
                                        .minority = core->round_minority};
    bool mine = give_vote(core, now, &request);
    action = core_push(core, CORE_SEND_VOTE_REQUEST); /* also stores the vote first */
    if (action != NULL) {
        action->vote_request = request;
    }
    if (mine && self >= 0) {
        count_vote(core, now, self);
    }
}

static void stand(struct core *core, uint64_t now) {
    uint64_t number = core->memory.term;

    number = core->seen_number > number ? core->seen_number : number;
    number = core->own_number > number ? core->own_number : number;
    core->own_number = number + 1;
    /* Name, incarnation and generation make the candidate: with a number that grows within one
     * generation, no term is ever used twice, whatever memory is lost. */
    uint64_t parts[] = {core->self, core->boot, core->memory.generation};
    core->candidate_term.number = core->own_number;
    core->candidate_term.candidate = deal_hash((const char *)parts, sizeof parts);
    ask(core, now);
}

static bool own_vote_free(const struct core *core, uint64_t now) {
    const struct control_memory *memory = &core->memory;
    return now >= memory->vote_until ||
           (memory->vote_member == core->self && memory->vote_boot == core->boot &&
            memory->vote_generation == memory->generation);
}

/* A candidate that is never answered (it may be heard and not hear) leaves room for others, longer
 * than the votes that it may hold. */
static uint64_t retry_at(struct core *core, uint64_t now) {
    uint64_t wait = RETRY_MS + core_random(core, RETRY_MS);

    if (core->tries >= TRIES_IN_A_ROW) {
        core->tries = 0;
        wait += core->timers.leader + core_random(core, 2 * (uint64_t)core->timers.leader);
    }
    return now + wait;
}

bool election_run(struct core *core, uint64_t now) {
    if (core->leading && now >= core->lease_end && !MUTANT(core, MUTANT_RESUME)) {
        coordinator_step_down(core);
    }
    if (now < core->election_due) {
        return false;
    }
    int rank = rank_of(core, core->self);
    if (rank < 0 || core->leaving || core->foreign.epoch != 0 ||
        (core->committed.epoch == 0 && !config_founds(core, now))) {
        core->election_due = now + core->timers.leader;
        return false;
    }
    if (core->leading) {
        core->election_due = now + core->timers.leader / 4;
        core->round_minority = core->minority;
        ask(core, now);
        return true;
    }
    uint64_t patience = (uint64_t)core->timers.leader * 11 / 10 + (uint64_t)(RANK_MS * rank);
    uint64_t due = core->coordinator_heard + patience + 1;
    due = due > core->quiet_until ? due : core->quiet_until;
    if (now < due) {
        core->election_due = due;
        return false;
    }
    core->election_due = retry_at(core, now);
    /* Who has given its own vote away does not ask for others': its asking would renew what it was
     * given, and candidates that hold each other's votes would wait for one another for ever. */
    if (!own_vote_free(core, now)) {
        return false;
    }
    core->tries++;
    /* Every other time: whoever has heard a coordinator lately refuses such a round. */
    core->round_minority = core->tries % 2 == 0 && may_take_over(core, now);
    stand(core, now);
    return true;
}

/* A candidate before this one in rank stands too: void the own round first (no vote that still
 * arrives for it counts), then the own vote is free for the other. And leave it the votes that run
 * out: of many who all ask, each would get a few for ever, and none a majority. */
static void yield(struct core *core, uint64_t now, const struct core_vote_request *request) {
    const struct control_memory *memory = &core->memory;
    int mine = rank_of(core, core->self), theirs = rank_of(core, request->from);

    if (core->leading || theirs < 0 || theirs >= mine ||
        now - core->coordinator_heard <= core->timers.leader) {
        return;
    }
    uint64_t later =
        now + 2 * (uint64_t)RETRY_MS + core_random(core, RETRY_MS); /* it asks again before */
    core->election_due = later > core->election_due ? later : core->election_due;
    if (memory->vote_member != core->self || memory->vote_boot != core->boot ||
        memory->vote_generation != core->memory.generation) {
        return;
    }
    core->round++;
    memset(core->voted, 0, sizeof core->voted);
    core->memory.vote_member = 0;
    core->memory.vote_until = 0;
    core->memory_dirty = true;
}

void core_on_vote_request(struct core *core, uint64_t now,
                          const struct core_vote_request *request) {
    if (request->from == core->self || core_find_peer(core, request->from) < 0) {
        return;
    }
    if (core_absurd_term(&request->term)) {
        core->stats.ignored++;
        return;
    }
    core->peer[core_find_peer(core, request->from)].heard = now;
    if (now >= core->quiet_until) {
        yield(core, now, request);
        bool granted = give_vote(core, now, request);
        struct core_action *action = core_push(core, CORE_SEND_VOTE);
        if (action != NULL) {
            action->vote = (struct core_vote){.from = core->self,
                                              .to = request->from,
                                              .to_boot = request->boot,
                                              .to_generation = request->generation,
                                              .round = request->round,
                                              .granted = granted,
                                              .term = core_memory_term(core)};
        }
    }
    core_run(core, now);
}

void core_on_vote(struct core *core, uint64_t now, const struct core_vote *vote) {
    int peer = core_find_peer(core, vote->from);

    if (vote->from == core->self || peer < 0 || !core_drained(core)) {
        return;
    }
    if (core_absurd_term(&vote->term)) {
        core->stats.ignored++;
        return;
    }
    core->peer[peer].heard = now;
    election_seen(core, &vote->term);
    if (core->leading && core_compare_terms(&vote->term, &core->term) > 0) {
        coordinator_step_down(core); /* a later one exists, and its members cannot hear this one */
    }
    if (vote->granted && vote->to == core->self && vote->to_boot == core->boot &&
        vote->to_generation == core->memory.generation && vote->round == core->round) {
        count_vote(core, now, peer);
    }
    core_run(core, now);
}
