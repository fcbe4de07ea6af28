/* SPDX-License-Identifier: MIT */
/* Every allocation of the bridge's parts fails once: nothing is lost (the leak sanitizer looks),
 * and what comes after is as if it had not been asked. The core asks for nothing once it is made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bridge/edition.h"
#include "../../bridge/keys.h"
#include "../../bridge/state.h"
#include "../../bridge/totals.h"
#include "../alloc.h"
#include "wire_support.h"

enum { KEYS = 8, MEMBERS = 3, LIMIT = 30 };

/* ---- the core ---- */

static struct core *make_core(uint64_t self) {
    struct core_options options = {.self = self,
                                   .boot = self + 100,
                                   .created = 1000,
                                   .seed = self,
                                   .keys = KEYS,
                                   .timers = core_timers_default(),
                                   .committed = {.epoch = 1,
                                                 .digest = 1,
                                                 .reserve_percent = 25,
                                                 .members = MEMBERS,
                                                 .member = {{1, false}, {2, false}, {3, false}}},
                                   .memory = {.generation = 1}};
    return core_create(&options, 10000);
}

static void core_is_made_or_not(void **state) {
    (void)state;
    for (int n = 0, done = 0; !done; n++) {
        alloc_fail(n);
        struct core *core = make_core(1);
        done = alloc_all();
        assert_true(done == (core != NULL));
        core_destroy(core);
    }
}

struct cluster {
    struct core *core[MEMBERS];
    uint64_t now;
    int admissions, shares;
};

static void drain(struct cluster *cluster, int at);

static void publish(struct cluster *cluster, int from, const struct core_action *action) {
    /* Its own room: what the action points to is good until the next call with that core only. */
    for (int to = 0; to < MEMBERS; to++) {
        struct core *core = cluster->core[to];
        if (to == from)
            continue;
        if (action->type == CORE_SEND_HEARTBEAT)
            core_on_heartbeat(core, cluster->now, action->heartbeat);
        else if (action->type == CORE_SEND_DEAL)
            core_on_deal(core, cluster->now, action->deal);
        else if (action->type == CORE_SEND_VOTE)
            core_on_vote(core, cluster->now, &action->vote);
        else
            core_on_vote_request(core, cluster->now, &action->vote_request);
    }
}

static void perform(struct cluster *cluster, int at, const struct core_action *action) {
    struct core *core = cluster->core[at];
    switch (action->type) {
    case CORE_SET_SHARE:
        cluster->shares++;
        core_share_applied(core, cluster->now, action->share.key, action->share.grant,
                           action->share.share);
        break;
    case CORE_READ:
        core_counter_update(core, cluster->now, action->share.key, 0, LIMIT);
        break;
    case CORE_SCAN:
        core_scan_begin(core, cluster->now);
        core_scan_done(core, cluster->now, true);
        break;
    case CORE_SEND_HEARTBEAT:
    case CORE_SEND_DEAL:
    case CORE_SEND_VOTE:
    case CORE_SEND_VOTE_REQUEST:
        publish(cluster, at, action);
        break;
    default:
        break;
    }
}

static void drain(struct cluster *cluster, int at) {
    const struct core_action *action = NULL;
    while ((action = core_next_action(cluster->core[at])) != NULL)
        perform(cluster, at, action);
}

/* An election, admissions, grants, a new configuration, somebody who leaves: with not one byte to
 * be had. */
static void core_needs_none(void **state) {
    (void)state;
    struct cluster cluster = {.now = 10000};
    for (int i = 0; i < MEMBERS; i++) {
        cluster.core[i] = make_core((uint64_t)i + 1);
        assert_non_null(cluster.core[i]);
    }
    struct core_membership next = {.digest = 2,
                                   .reserve_percent = 50,
                                   .members = MEMBERS,
                                   .member = {{1, false}, {2, false}, {3, false}}};
    alloc_fail(0);
    for (uint32_t key = 0; key < KEYS; key++) {
        for (int i = 0; i < MEMBERS; i++)
            (void)core_counter_define(cluster.core[i], key, key + 100, LIMIT, LIMIT);
    }
    for (int step = 0; step < 4000; step++) {
        int at = step % MEMBERS;
        cluster.now += 7;
        core_counter_update(cluster.core[at], cluster.now, (uint32_t)step % KEYS, 0, LIMIT);
        core_tick(cluster.core[at], cluster.now);
        if (step > 2000 && step < 2000 + MEMBERS)
            (void)core_config_propose(cluster.core[at], cluster.now, &next);
        if (step == 3500)
            core_leave(cluster.core[at], cluster.now);
        for (int i = 0; i < MEMBERS; i++)
            drain(&cluster, i);
    }
    assert_true(alloc_all()); /* the first would have failed: there was none */
    assert_true(cluster.shares > 0 &&
                core_stats(cluster.core[0]).takeovers + core_stats(cluster.core[1]).takeovers > 0);
    for (int i = 0; i < MEMBERS; i++)
        core_destroy(cluster.core[i]);
}

/* ---- messages ---- */

static int drop(void *context, const uint8_t *bytes, size_t size) {
    (void)context;
    (void)bytes;
    (void)size;
    return 0;
}

static bool said(struct wire_encoder *encoder, const struct wire_message *message,
                 const struct wire_names *names) {
    return encoder != NULL && wire_encode(encoder, message, names, drop, NULL) == 0;
}

static void messages(void **state) {
    (void)state;
    struct name_table ours, theirs;
    struct wire_names our_names = names_make(&ours, 64), their_names = names_make(&theirs, 64);
    for (int kind = WIRE_HEARTBEAT; kind < WIRE_KINDS; kind++) {
        struct wire_message message, out;
        struct sent sent = {0};
        ours.count = 0;
        sample((enum wire_kind)kind, &ours, &message);
        struct wire_encoder *whole = wire_encoder_create(CLUSTER_NAME, PEER_NAME);
        assert_int_equal(wire_encode(whole, &message, &our_names, sent_add, &sent), 0);
        wire_encoder_destroy(whole);
        for (int n = 0, done = 0; !done; n++) {
            theirs.count = 0;
            alloc_fail(n);
            struct wire_encoder *encoder = wire_encoder_create(CLUSTER_NAME, PEER_NAME);
            struct wire_decoder *decoder =
                wire_decoder_create(CLUSTER_NAME, PEER_NAME, hash_of(SELF_NAME));
            bool good = said(encoder, &message, &our_names);
            enum wire_result result = WIRE_EMEMORY;
            if (decoder != NULL)
                result =
                    wire_decode(decoder, sent.bytes[0], sent.size[0], &their_names, true, &out);
            done = alloc_all();
            assert_true(done == (good && result == WIRE_OK));
            if (encoder != NULL && decoder != NULL) { /* the next one is as good as ever */
                assert_true(said(encoder, &message, &our_names));
                assert_int_equal(
                    wire_decode(decoder, sent.bytes[0], sent.size[0], &their_names, true, &out),
                    WIRE_OK);
            }
            wire_encoder_destroy(encoder);
            wire_decoder_destroy(decoder);
        }
        sent_free(&sent);
    }
    names_free(&ours);
    names_free(&theirs);
}

/* ---- names, what others say, and the disk ---- */

static void names_of_counters(void **state) {
    (void)state;
    struct core *core = make_core(1);
    assert_non_null(core);
    for (int n = 0, done = 0; !done; n++) {
        uint32_t key = 0;
        alloc_fail(n);
        struct keys *keys = keys_create(KEYS, NULL, core);
        bool found = keys != NULL && keys_find(keys, 10000, "host:a", 5, &key);
        done = alloc_all();
        assert_true(done == found);
        assert_true(keys == NULL || keys_count(keys) == (found ? 1U : 0U));
        if (keys != NULL) {
            assert_true(keys_find(keys, 10000, "host:a", 5, &key));
            assert_string_equal(keys_name(keys, key), "host:a");
        }
        keys_destroy(keys);
        (void)core_counter_forget(core, key);
    }
    core_destroy(core);
}

static void add(const char *name, int32_t in_use, void *arg) {
    (void)name;
    *(int32_t *)arg += in_use;
}

static void totals(void **state) {
    (void)state;
    const struct wire_total total[] = {{.name = "host:a", .in_use = 3},
                                       {.name = "host:b", .in_use = 4}};
    const struct wire_totals message = {.sweep = 1, .last = true, .count = 2, .total = total};
    for (int n = 0, done = 0; !done; n++) {
        int32_t sum = 0;
        alloc_fail(n);
        struct totals *all = totals_create(2);
        if (all != NULL)
            totals_heard(all, 0, 1000, &message);
        done = alloc_all();
        if (all != NULL) {
            totals_each(all, add, &sum);
            assert_true(sum == 7 || (!done && sum < 7)); /* one may be missing, none is wrong */
        }
        assert_true(all != NULL || !done);
        totals_destroy(all);
    }
}

static void stored(void **state) {
    (void)state;
    char directory[] = "/tmp/slotshare-memory-XXXXXX", error[1000], path[200];
    assert_non_null(mkdtemp(directory));
    for (int n = 0, done = 0; !done; n++) {
        struct state *disk = NULL;
        struct state_saved saved = {0};
        error[0] = '\0';
        alloc_fail(n);
        bool good = state_open(&disk, directory, "seg", "mta1", "east", error, sizeof error) == 0;
        good =
            good && state_store(disk, STATE_COMMITTED, 7, 8, "text", 4, error, sizeof error) == 0;
        good = good && state_load(disk, STATE_COMMITTED, &saved, error, sizeof error) == 1;
        done = alloc_all();
        assert_true(done == good);
        assert_true(good || error[0] != '\0');
        assert_true(!good || (saved.epoch == 7 && saved.digest == 8 && saved.size == 4));
        free(saved.whole);
        state_close(disk);
    }
    (void)snprintf(path, sizeof path, "%s/seg.committed", directory);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

/* ---- configurations: read, changed, stored and restored ---- */

static const char text_of_file[] =
    "[node]\nname = mta1\n[cluster]\ntls = off\nmember mta1 = tcp://127.0.0.1:1\n"
    "member mta2 = tcp://127.0.0.1:2\n[host \"h\"]\ncluster_max_outbound_connections = 5\n";

/* @return false: one of the steps has failed, and left nothing behind. */
static bool restore(const struct edition *from, const char *path) {
    struct edition back = {0};
    struct state_saved saved = {.digest = from->digest, .size = from->size};
    char error[1000] = "";
    saved.whole = strndup(from->text, from->size);
    assert_non_null(saved.whole);
    saved.whole_size = from->size;
    saved.text = saved.whole;
    bool good = edition_restore(&back, &saved, path, from->conf, error, sizeof error) == 0;
    assert_true(good ? back.digest == from->digest : error[0] != '\0' && back.text == NULL);
    edition_free(&back);
    return good;
}

static bool change(const char *path) {
    static struct conf_changes changes;
    struct edition file = {0}, changed = {0}, copy = {0};
    struct conf_errors errors = {0};
    changes = (struct conf_changes){.version = 1, .author = "mta1", .drains = 1};
    (void)snprintf(changes.drain[0], sizeof changes.drain[0], "mta2");
    bool good = edition_read(&file, path, &errors) == 0;
    conf_errors_free(&errors);
    good = good && edition_with(&changed, &file, &changes) == 0;
    good = good && edition_copy(&copy, &changed) == 0;
    good = good && restore(&copy, path);
    assert_true(!good || (copy.digest == changed.digest && copy.digest != file.digest));
    edition_free(&copy);
    edition_free(&changed);
    edition_free(&file);
    return good;
}

static void editions(void **state) {
    (void)state;
    char path[] = "/tmp/slotshare-memory-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text_of_file, strlen(text_of_file)), strlen(text_of_file));
    assert_int_equal(close(fd), 0);
    for (int n = 0, done = 0; !done; n++) {
        alloc_fail(n);
        bool good = change(path);
        done = alloc_all();
        assert_true(done == good);
    }
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(core_is_made_or_not),
        cmocka_unit_test(core_needs_none),
        cmocka_unit_test(messages),
        cmocka_unit_test(names_of_counters),
        cmocka_unit_test(totals),
        cmocka_unit_test(stored),
        cmocka_unit_test(editions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
