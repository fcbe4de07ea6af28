/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_CORE_MUTANTS_H
#define SLOTSHARE_BRIDGE_CORE_MUTANTS_H
/**
 * One rule left out at a time, so that the simulator can show that it would notice. Only in the
 * tests' own build of the core (SLOTSHARE_MUTANTS); what ships has no such branches.
 */
enum core_mutant {
    MUTANT_NONE,
    MUTANT_NO_DRAIN_WAIT,         /**< a lost member's part is dealt again at T + G */
    MUTANT_LOST_AT_USE,           /**< a lost member keeps only what it last reported in use */
    MUTANT_NO_BOOT_WAIT,          /**< votes and speaks at once after a boot */
    MUTANT_BOOT_WITH_SESSION,     /**< starts on the opening deal after a boot */
    MUTANT_NO_PENDING,            /**< a pending configuration holds nobody back */
    MUTANT_NO_GRANT_FLOOR,        /**< a forgotten record's grant may count again */
    MUTANT_NO_TERM_FENCE,         /**< deal messages of older terms count */
    MUTANT_ACK_FROM_RECEIPT,      /**< the session runs from the acknowledgement's arrival */
    MUTANT_OLD_EPOCH_REPORT,      /**< a report from another configuration counts */
    MUTANT_OLD_EPOCH_GRANT,       /**< a grant from another configuration counts */
    MUTANT_RESUME,                /**< a lapsed leadership is resumed */
    MUTANT_NO_ECHO,               /**< a stale heartbeat counts */
    MUTANT_NO_MASS,               /**< unknown members are thought to hold only their reserve */
    MUTANT_HELD_WITHOUT_USE,      /**< held is what may be taken, not what is in use above it */
    MUTANT_REPORT_BEFORE_APPLIED, /**< a share counts as applied when it was asked for */
    MUTANT_NO_SCAN,               /**< an expired join without counting again after the end */
    MUTANT_VOTE_NOT_STORED,       /**< a restarted bridge forgets its vote */
    MUTANT_COMMIT_AT_RESERVE, /**< after a commit a member without a session counts with its reserve
                               */
    MUTANT_ADMIT_AS_SAID,     /**< an admission gives what the join said, free or not */
    MUTANT_READY_UNPROMISED,  /**< a proposal counts as a promise */
    MUTANT_FOUND_UNPROMISED,  /**< the first configuration is committed without the others' promise
                               */
    MUTANT_OLD_MAJORITY, /**< a majority of what is committed alone gives the lease for a commit */
    MUTANT_PROMISE_NOT_KEPT, /**< a promise is forgotten at a restart */
    MUTANT_FOREIGN_GOES_ON,  /**< a configuration that is not known here is no reason to stop */
    MUTANT_ADOPT_UNPROVEN,   /**< a new node takes any commit that it hears of */
    MUTANT_VOUCH_LASTS,      /**< who was dead once counts as dead under later configurations */
    MUTANT_BELOW_RESERVE,    /**< a member with a proposal counts with less than its reserve */
    MUTANT_WITHDRAW_KEEPS,   /**< a proposal that is withdrawn leaves the session as it is */
    MUTANT_TRUST_READS,    /**< what was read before a proposal lowered the cap is what is in use */
    MUTANT_TAKE_OVER_SEEN, /**< takes over although another group can be seen */
    MUTANT_LEAVE_AT_RESERVE, /**< who leaves counts with its reserve, whatever is still in use */
    MUTANT_LEFT_FOR_GOOD,    /**< a commit does not end what was said in leaving */
    MUTANT_REPORT_ANY_GRANT, /**< a report lowers what is counted before the last grant arrived */
    MUTANT_SESSION_FIRST,    /**< a session starts before the shares of its admission are applied */
    MUTANT_SHORT_VOTE,       /**< a vote is over before the leadership that it gave */
    MUTANT_GROW_UNCOUNTED,   /**< growth counts when it is confirmed, not before it is sent */
    MUTANT_NO_RESEND,        /**< a grant is sent once */
    MUTANT_OLD_ADMISSION,    /**< an admission from before a session was given up starts one */
    MUTANT_GONE_IN_SESSION,  /**< who is removed keeps its session */
    MUTANT_NEW_BEHIND,       /**< a new node is told what is committed when more is promised */
    MUTANT_FOUNDER_BOUND,    /**< a promise to found something binds for ever */
    MUTANT_NO_OTHERS, /**< a join that says too much leaves the unknown less than their reserves */
    MUTANT_OLD_READING,    /**< a join without a session takes all that it says from the unknown */
    MUTANT_ROW_PENDING,    /**< the same of who had something pending when a counter came up */
    MUTANT_BEHIND_AS_SAID, /**< who has not heard of a commit yet is thought to hold what it says */
    MUTANT_RECORD_STAYS,   /**< a share is thought to outlive a commit that changes its counter */
    MUTANT_HOME_PENDING,   /**< who has something pending is thought to have its home */
    MUTANT_RESERVE_PENDING, /**< who has something pending is thought to have its reserve */
    MUTANT_OVERTAKEN_FREE,  /**< a promise that was overtaken binds no more */
    MUTANT_EARLIER_ANSWER,  /**< an answer to what was said before a proposal proves a commit */
    MUTANT_ACK_AFTER_LOSS,  /**< what was taken in before a member was lost is acknowledged after */
    MUTANT_FAILED_APPLIED,  /**< a share that could not be set counts as set */
    MUTANT_ENFORCE_UNCHANGED, /**< a limit that comes to be enforced is thought to be as it was */
    MUTANT_OBSERVED_TRUE, /**< what is in use above the share of an observed limit counts as held */
    MUTANT_COUNT
};

/** The one that cores created from now on have. Each thread has its own. */
extern _Thread_local int core_mutant;

#endif
