/* SPDX-License-Identifier: MIT */
/* Words for people. */
#include <slotshare/slotshare.h>

const char *slotshare_version(void) {
    return SLOTSHARE_VERSION;
}

const char *slotshare_scope_name(enum slotshare_scope scope) {
    switch (scope) {
    case SLOTSHARE_SCOPE_BINDING_HOST:
        return "binding::host";
    case SLOTSHARE_SCOPE_HOST:
        return "host";
    case SLOTSHARE_SCOPE_BINDING_DOMAIN:
        return "binding::domain";
    case SLOTSHARE_SCOPE_BINDING:
        return "binding";
    case SLOTSHARE_SCOPE_DOMAIN:
        return "domain";
    case SLOTSHARE_SCOPE_GLOBAL:
        return "global";
    case SLOTSHARE_SCOPE_NONE:
        break;
    }
    return "none";
}

const char *slotshare_strerror(int result) {
    switch (result) {
    case SLOTSHARE_OK:
        return "done";
    case SLOTSHARE_FULL:
        return "no slot: this host's share is in use";
    case SLOTSHARE_EXCESS:
        return "above the share of this host: end the connection and give the slot back";
    case SLOTSHARE_EINVAL:
        return "an argument is missing or out of its range";
    case SLOTSHARE_ENAME:
        return "a name is too long or holds a character that names may not";
    case SLOTSHARE_ENOSEGMENT:
        return "no such segment: start slotshare-bridge, or name a config file to create it from";
    case SLOTSHARE_ELAYOUT:
        return "not a segment of this layout version: use programs of one version";
    case SLOTSHARE_EDAMAGED:
        return "the segment is damaged: stop the programs that use it and remove its file";
    case SLOTSHARE_ECONFIG:
        return "the config file has errors";
    case SLOTSHARE_ESYSTEM:
        return "a system call failed (see errno)";
    case SLOTSHARE_ESTALE:
        return "this slot was given back already or is not of this process, or this counter is "
               "from before a reload";
    case SLOTSHARE_ECOUNTERS:
        return "the counter table is full: raise counters in [node]";
    case SLOTSHARE_EOWNERS:
        return "all owner records are in use: raise owners in [node]";
    case SLOTSHARE_ESLOTS:
        return "all slot records are in use: raise slots in [node]";
    case SLOTSHARE_EREADONLY:
        return "the segment was opened read-only";
    case SLOTSHARE_EGONE:
        return "the segment was removed or replaced: open it again";
    case SLOTSHARE_EBUSY:
        return "in use: by another bridge, or by processes of a segment that was removed";
    default:
        return "unknown result";
    }
}
