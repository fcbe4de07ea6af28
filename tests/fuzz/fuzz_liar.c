/* SPDX-License-Identifier: MIT */
/* Honest members and one that lies. What the others may hold in spite of it, by what it lies about:
 *
 * - its reports alone, whatever the network does: the limit less the liar's reserve;
 * - also votes, candidacies, and that others are dead, while the network brings what the others say
 *   to each other: the same;
 * - the same, whatever the network does, or deals too: each of them no more than the limit.
 *
 * Once a second file with other limits has been loaded somewhere the limit is the higher of both.
 */
#include "cluster.h"

enum { STEPS_MAX = 160 };

static void check(const struct cluster *cluster) {
    const bool votes = (cluster->lies & LIES_VOTES) != 0, deals = (cluster->lies & LIES_DEALS) != 0;
    const bool together = !deals && (!votes || cluster->whole);
    for (int key = 0; key < KEYS; key++) {
        const int32_t first = cluster->limit[0][key], second = cluster->limit[1][key];
        int32_t limit = cluster->second && second > first ? second : first;
        /* What was promised may leave it less than its reserve. */
        int32_t reserve = cluster->second ? 0 : cluster->host[LIAR].reserve[0][key];
        for (int i = 1; i < cluster->nodes; i++) {
            must(cluster->host[i].in_use[key] <= limit, "a host holds more than the limit");
        }
        must(!together || cluster_held(cluster, key) <= limit - reserve,
             "honest hosts hold more than the limit less the liar's reserve");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct cluster cluster;
    struct input input = {data, size};
    uint8_t choice = input_byte(&input);
    static const unsigned lies[] = {LIES_REPORTS, LIES_REPORTS | LIES_VOTES,
                                    LIES_REPORTS | LIES_VOTES | LIES_DEALS,
                                    LIES_REPORTS | LIES_VOTES};

    cluster_begin(&cluster, &input, 3 + choice / 4 % 3, lies[choice % 4], choice % 4 == 1);
    while (input.left > 0 && cluster.steps < STEPS_MAX) {
        cluster_step(&cluster, &input);
        check(&cluster);
    }
    cluster_end(&cluster);
    return 0;
}
