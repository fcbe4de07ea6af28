/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_MUTANT_H
#define SLOTSHARE_SHM_MUTANT_H
/**
 * Deliberate mistakes, one against each rule that the table stands on. The crash harness is built
 * with them a second time to show that it finds every one: a check that cannot fail proves nothing.
 * In the library MUTANT(...) is the constant 0, and no trace of it is left in the code.
 */
#ifdef SLOTSHARE_MUTANTS
#include <stdint.h>

/** Each name with what is done wrong. */
#define MUTANT_LIST(X)                                                                             \
    X(NO_ACK, "a tag is overwritten without keeping it as a proof")                                \
    X(LOST_PROOF, "a proof is dropped for another one without setting ack")                        \
    X(RECORD_FIRST, "the slot says HELD before the count has changed")                             \
    X(ACK_FIRST, "recovery reads proofs and ack before the word")                                  \
    X(LATE_ANNOUNCE, "a take is announced after it has changed the word")                          \
    X(IDLE_FIRST, "the announcement is IDLE before the slot says HELD")                            \
    X(SEQ_RESET, "seq begins anew when an owner record is used again")                             \
    X(NO_TOUCH, "a share is lowered without replacing the word's tag")                             \
    X(NO_CLAIM, "a give-back does not make sure that it is the only one")                          \
    X(FREE_FIRST, "a slot says FREE before its count has gone down")                               \
    X(REAPER_RECORD, "a reaper gives back with its own record, not the victim's")                  \
    X(CHUNK_FIRST, "a dead owner's chunk is let go before its slots are given back")               \
    X(LEADER_FIRST, "a dead process's first record is freed before its others")                    \
    X(RECORD_UNLOCKED, "an owner record is taken before its lock")                                 \
    X(PUBLISHED_TWICE, "an inserter reads the generation after others may have published")         \
    X(FREE_LINKED, "recovery frees a counter that is already in its chain")                        \
    X(RETIRE_PLAIN, "a counter is retired by a look at its count, without replacing its word")     \
    X(FREE_RETIRED, "a retired entry is free before it is out of its chain")                       \
    X(CAP_EARLY, "a new counter has its cap before it can be found")                               \
    X(COMMIT_SHORT, "`pending` is cleared before the counters have started anew")                  \
    X(GROW_FIRST, "the table is said to be larger before the disk has given room")

#define MUTANT_NUMBER(name, text) MUTANT_##name,
enum mutant { MUTANT_NONE, MUTANT_LIST(MUTANT_NUMBER) MUTANT_COUNT };

extern enum mutant mutant_on;  /* the one mistake that is made in this process */
extern uint32_t mutant_reaper; /* REAPER_RECORD: the reaper's own owner record */
#define MUTANT(name) (mutant_on == MUTANT_##name)
#else
enum { mutant_reaper = 0 };
#define MUTANT(name) 0
#endif

#endif
