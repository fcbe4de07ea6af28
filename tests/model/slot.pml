/* SPDX-License-Identifier: MIT */
/*
 * shm/slot.c and shm/reap.c as a model: take, give back, proofs, reap, and a share that is lowered.
 * Two owner records with one slot and room for one proof each, one counter, a reaper. Each load, store and
 * compare-and-swap is one step; a process may die before any of them, the reaper too. When nothing
 * can go on, the count must be what the slots say.
 *
 * See README.md for what this does not say. NO_ACK, LOST_PROOF, ACK_FIRST, LATE_ANNOUNCE,
 * RECORD_FIRST, SEQ_RESET, NO_TOUCH: mistakes that must be found, as in shm/mutant.h; and
 * PROOFS_LAST: recovery reads the ack before the proofs.
 */
#ifndef LIVES
#define LIVES 1 /* processes that use each record, one after the other */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* takes in each life */
#endif
#ifndef DEATHS
#define DEATHS 1 /* of workers, all together */
#endif
#ifndef REAPER_DEATHS
#define REAPER_DEATHS 0
#endif
#define SHARE 2
/* ONE_DIES: only worker 1, which only takes: what proofs are about, in fewer states. */
#define BRIDGE 2
#define NOBODY 3

mtype = { IDLE, TAKE, GIVE, FREE, HELD, GIVING };

/* The counter's word: read and replaced as one. */
byte count = 0, tag_owner = NOBODY, tag_seq = 0;
byte share = SHARE;

/* Each owner's announcement, read and replaced as one; and its slot's word. */
typedef owner_record {
    byte seq;
    mtype what = IDLE;
    bit ack;
    mtype slot = FREE;
    byte slot_seq;
    bit used;   /* a process has it */
    bit dead;   /* that process is dead, and the kernel has let go of its lock */
    bit die;    /* will be killed at its next step */
    bit locked; /* by the reaper */
    bit over;   /* nobody will come any more */
};
owner_record o[2];
/* What each of them, and the bridge, has kept of others. */
typedef proof { byte owner = NOBODY; byte seq };
proof proofs[3];
byte deaths = DEATHS, reaper_deaths = REAPER_DEATHS;
bit reaper_dies;
byte most = 255; /* after the share was lowered: the count must not go above this */

inline announce(who, number, kind) {
    d_step { o[who].seq = number; o[who].what = kind; o[who].ack = 0 }
}

/* The operation is over, and with it what was known during it. */
inline announce_end(who) {
    d_step {
        o[who].seq = seq; o[who].what = IDLE; o[who].ack = 0;
        w_count = 0; w_owner = 0; w_seq = 0; a_seq = 0; a_what = IDLE; a_ack = 0; seq = 0;
        swapped = 0
    }
}

/* Rule 1. Reads the announcement that a proof is about, then replaces it if it is still the same. */
inline acknowledge(who) {
#ifndef LOST_PROOF
    if
    :: proofs[who].owner < BRIDGE ->
        d_step {
            a_seq = o[proofs[who].owner].seq; a_what = o[proofs[who].owner].what;
            a_ack = o[proofs[who].owner].ack
        }
        if
        :: a_seq == proofs[who].seq && a_what != IDLE && !a_ack ->
            d_step {
                if
                :: o[proofs[who].owner].seq == a_seq && o[proofs[who].owner].what == a_what &&
                   !o[proofs[who].owner].ack -> o[proofs[who].owner].ack = 1
                :: else
                fi
            }
        :: else
        fi
    :: else
    fi
#else
    skip
#endif
}

/* Rule 1. A proof about the same owner is replaced at once, or, as if it were of another counter,
 * passed on first; any other is passed on. */
inline keep_proof(who) {
#ifndef NO_ACK
    if
    :: w_owner != NOBODY && w_owner != who && proofs[who].owner == w_owner ->
        proofs[who].seq = w_seq
    :: w_owner != NOBODY && w_owner != who ->
        acknowledge(who);
        d_step { proofs[who].owner = w_owner; proofs[who].seq = w_seq }
    :: w_owner == NOBODY || w_owner == who
    fi
#else
    skip
#endif
}

inline read_word() {
    d_step { w_count = count; w_owner = tag_owner; w_seq = tag_seq }
}

inline replace_word(to, who, number) {
    d_step {
        if
        :: count == w_count && tag_owner == w_owner && tag_seq == w_seq ->
            count = to; tag_owner = who; tag_seq = number; swapped = 1
        :: else -> swapped = 0
        fi
    }
}

inline take(who) {
    swapped = 0; seq = 0;
    do
    :: !swapped ->
        read_word();
        if
        :: w_count >= share -> /* the share is read after the word */
            if
            :: seq -> announce_end(who)
            :: else
            fi;
            break
        :: else
        fi;
        if
        :: !seq ->
            seq = o[who].seq + 1;
#ifndef LATE_ANNOUNCE
            announce(who, seq, TAKE)
#endif
        :: else
        fi;
        keep_proof(who);
#ifdef RECORD_FIRST
        d_step { o[who].slot = HELD; o[who].slot_seq = seq };
#endif
        replace_word(w_count + 1, who, seq)
    :: swapped ->
#ifdef LATE_ANNOUNCE
        announce(who, seq, TAKE);
#endif
        d_step { o[who].slot = HELD; o[who].slot_seq = seq };
        announce_end(who);
        break
    od
}

inline count_down(who) {
    swapped = 0;
    do
    :: !swapped ->
        read_word();
        assert(w_count > 0);
        keep_proof(who);
        replace_word(w_count - 1, who, seq)
    :: swapped -> break
    od;
    skip; /* spin: nothing may jump into a d_step */
    d_step { o[who].slot = FREE; o[who].slot_seq = seq };
    announce_end(who)
}

inline give(who) {
    seq = o[who].seq + 1;
    announce(who, seq, GIVE);
    d_step { o[who].slot = GIVING; o[who].slot_seq = seq };
    count_down(who)
}

#define LOCALS byte w_count, w_owner, w_seq, a_seq, seq; mtype a_what; bit a_ack, swapped

proctype worker(byte me) {
    LOCALS;
    byte life, round;
    do
    :: life < LIVES ->
        life++;
        !o[me].used; /* a record is free: attach */
        o[me].used = 1;
        round = 0;
        {
            do
            :: round < ROUNDS ->
                round++;
                take(me);
                if
#ifdef ONE_DIES
                :: o[me].slot == HELD && me == 0 -> give(me)
#else
                :: o[me].slot == HELD -> give(me)
#endif
                :: o[me].slot == HELD -> goto kept /* lives on, and holds it */
                :: else
                fi
            :: else -> break
            od;
            goto kept
        } unless { o[me].die };
        d_step { o[me].die = 0; o[me].dead = 1; a_seq = 0; a_what = IDLE; a_ack = 0 }
    :: else -> break
    od;
kept:
    skip;
    d_step {
        o[me].over = 1;
        o[me].die = 0;
        w_count = 0; w_owner = 0; w_seq = 0; a_seq = 0; seq = 0; round = 0; swapped = 0
    }
}

proctype killer() {
    do
#ifndef ONE_DIES
    :: deaths > 0 && o[0].used && !o[0].dead && !o[0].over && !o[0].die ->
        d_step { deaths--; o[0].die = 1 }
#endif
    :: deaths > 0 && o[1].used && !o[1].dead && !o[1].over && !o[1].die ->
        d_step { deaths--; o[1].die = 1 }
    :: reaper_deaths > 0 && (o[0].locked || o[1].locked) && !reaper_dies ->
        d_step { reaper_deaths--; reaper_dies = 1 }
    :: break
    od
}

inline is_kept(who, victim) {
    happened = happened || (proofs[who].owner == victim && proofs[who].seq == seq)
}

/* Rule 4: the word first, the proofs second, the ack last. */
inline did_it_happen(victim) {
#if defined(ACK_FIRST)
    happened = o[victim].ack;
    is_kept(1 - victim, victim);
    is_kept(BRIDGE, victim);
    read_word();
    happened = happened || (w_owner == victim && w_seq == seq)
#elif defined(PROOFS_LAST)
    read_word();
    happened = (w_owner == victim && w_seq == seq);
    happened = happened || o[victim].ack;
    is_kept(1 - victim, victim);
    is_kept(BRIDGE, victim)
#else
    read_word();
    happened = (w_owner == victim && w_seq == seq);
    is_kept(1 - victim, victim);
    is_kept(BRIDGE, victim);
    happened = happened || o[victim].ack
#endif
}

inline recover(victim) {
    d_step { seq = o[victim].seq; a_what = o[victim].what }
    if
    :: a_what == TAKE && !(o[victim].slot == HELD && o[victim].slot_seq == seq) ->
        did_it_happen(victim);
        if
        :: happened -> d_step { o[victim].slot = HELD; o[victim].slot_seq = seq }
        :: else
        fi;
        announce_end(victim)
    :: a_what == TAKE && o[victim].slot == HELD && o[victim].slot_seq == seq ->
        announce_end(victim)
    :: a_what == GIVE && o[victim].slot != GIVING -> announce_end(victim)
    :: a_what == GIVE && o[victim].slot == GIVING ->
        happened = 0;
        if
        :: o[victim].slot_seq == seq -> did_it_happen(victim)
        :: else
        fi;
        if
        :: happened ->
            d_step { o[victim].slot = FREE; o[victim].slot_seq = seq };
            announce_end(victim)
        :: else ->
            seq = seq + 1;
            announce(victim, seq, GIVE);
            d_step { o[victim].slot = GIVING; o[victim].slot_seq = seq };
            count_down(victim)
        fi
    :: else
    fi
}

inline reap(victim) {
    {
        recover(victim);
        if
        :: o[victim].slot == HELD -> give(victim)
        :: else
        fi;
#ifdef SEQ_RESET
        announce(victim, 0, IDLE);
#endif
        d_step { o[victim].dead = 0; o[victim].used = 0 }
    } unless { reaper_dies };
    /* The kernel takes the lock back; a dead reaper's successor begins anew. */
    d_step {
        o[victim].locked = 0; reaper_dies = 0;
        w_count = 0; w_owner = 0; w_seq = 0; a_seq = 0; seq = 0; a_what = IDLE; a_ack = 0;
        swapped = 0; happened = 0
    }
}

proctype reaper() {
    LOCALS;
    bit happened;
    do
    :: d_step { o[0].dead && !o[0].locked -> o[0].locked = 1 }; reap(0)
    :: d_step { o[1].dead && !o[1].locked -> o[1].locked = 1 }; reap(1)
    :: o[0].over && o[1].over && !o[0].dead && !o[1].dead -> break
    od;
    /* The end: everybody alive has come to rest, the dead are reaped. */
    assert(o[0].what == IDLE && o[1].what == IDLE);
    assert(o[0].slot != GIVING && o[1].slot != GIVING);
    assert(count == (o[0].slot == HELD) + (o[1].slot == HELD))
}

/* Rule 7: the share goes down to what is held, then the tag is replaced. */
proctype bridge() {
    LOCALS;
    share = 1;
#ifndef NO_TOUCH
    do
    :: !swapped -> read_word(); keep_proof(BRIDGE); replace_word(w_count, BRIDGE, 1)
    :: swapped -> break
    od;
    most = (w_count > 1 -> w_count : 1)
#else
    d_step { most = (count > 1 -> count : 1) }
#endif
}

/* At any moment: no slot is held that is not counted, and the share is kept. */
proctype observer() {
    d_step {
        !(count >= (o[0].slot == HELD) + (o[1].slot == HELD) &&
          (most == 255 || count <= most) && count <= SHARE) -> assert(false)
    }
}

init {
    atomic {
        run worker(0);
        run worker(1);
        run killer();
        run reaper();
        run observer();
#ifdef LOWER
        run bridge();
#endif
    }
}
