/* SPDX-License-Identifier: MIT */
/* The columns of every table: their order here is their order on the screen. */
#include "view.h"

#define IN_COUNTER(member) offsetof(struct counter_row, member)
static const struct view_column counter_columns[] = {
    {"name", "COUNTER", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_COUNTER(stat.name), "what is counted"},
    {"in_use", "IN USE", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.in_use),
     "slots held on this host"},
    {"share", "SHARE", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.share),
     "slots this host may hold now; -1: no limit"},
    {"limit", "LIMIT", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.limit),
     "of the whole cluster; -1: no limit"},
    {NULL, "USE", VIEW_INT, VIEW_USE, VIEW_LIVE, IN_COUNTER(stat.in_use),
     "in use of the share, as a bar"},
    {"scope", "SCOPE", VIEW_STRING, VIEW_PLAIN, VIEW_ALL, IN_COUNTER(scope),
     "the scope that the limit was written for"},
    {"cluster_in_use", "CLUSTER", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.cluster_in_use),
     "slots held on all hosts, as last heard"},
    {"waiting", "WAITING", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.waiting),
     "threads that sleep until there is a slot"},
    {"longest_wait_ms", "LONGEST", VIEW_INT64, VIEW_AGE, VIEW_ALL, IN_COUNTER(stat.longest_wait_ms),
     "for how long the first of them has slept; -1: none does"},
    {"takes", "TAKES", VIEW_UINT64, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.takes),
     "slots taken since the counter came"},
    {NULL, "TAKES/S", VIEW_INT64, VIEW_COUNT, VIEW_LIVE, IN_COUNTER(takes_rate),
     "slots taken per second"},
    {"refusals", "REFUSALS", VIEW_UINT64, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.refusals),
     "takes refused since the counter came"},
    {NULL, "REFUSALS/S", VIEW_INT64, VIEW_COUNT, VIEW_LIVE, IN_COUNTER(refusals_rate),
     "takes refused per second"},
    {NULL, "ENFORCED", VIEW_STRING, VIEW_PLAIN, VIEW_LIVE | VIEW_TEXT, IN_COUNTER(enforced),
     "no: the limit is only observed; empty: there is none"},
    {"observed", NULL, VIEW_BOOL, VIEW_PLAIN, VIEW_JSON, IN_COUNTER(stat.observed),
     "whether the limit is only observed: nothing is refused (enforce = no)"},
    {"would_refuse", "WOULD REFUSE", VIEW_UINT64, VIEW_COUNT, VIEW_ALL,
     IN_COUNTER(stat.would_refuse),
     "of the takes, those that would have been refused if the limit were enforced"},
    {NULL, "WOULD/S", VIEW_INT64, VIEW_COUNT, VIEW_LIVE, IN_COUNTER(would_refuse_rate),
     "the same per second"},
    {"peak", "PEAK", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.peak),
     "most slots ever held at once on this host"},
    {"reserve", "RESERVE", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.reserve),
     "slots this host keeps when it is cut off; -1: no limit"},
    {"excess", "EXCESS", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_COUNTER(stat.excess),
     "slots in use above the share: their connections are to end"},
    {"excess_left_ms", NULL, VIEW_INT64, VIEW_PLAIN, VIEW_JSON, IN_COUNTER(stat.excess_left_ms),
     "until the first of them must have been given back; 0: none is in excess"},
    {"contended", NULL, VIEW_BOOL, VIEW_PLAIN, VIEW_JSON, IN_COUNTER(stat.contended),
     "whether the coordinator moves its shares now"},
    {"source", "SOURCE", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_COUNTER(stat.source),
     "file:line of the limit; empty: none is set"},
    {"index", NULL, VIEW_UINT32, VIEW_PLAIN, VIEW_JSON, IN_COUNTER(stat.index),
     "its place in the table"},
};

#define IN_OWNER(member) offsetof(struct owner_row, member)
static const struct view_column owner_columns[] = {
    {"process", "PROCESS", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_OWNER(stat.command),
     "name of the process"},
    {"pid", "PID", VIEW_INT, VIEW_PLAIN, VIEW_ALL, IN_OWNER(stat.pid),
     "its number, where it attached (containers have their own)"},
    {"held", "HELD", VIEW_UINT32, VIEW_COUNT, VIEW_ALL, IN_OWNER(stat.held),
     "slots held by the process"},
    {"oldest_ms", "OLDEST", VIEW_INT64, VIEW_AGE, VIEW_ALL, IN_OWNER(oldest_ms),
     "for how long its oldest slot has been held; -1: it holds none"},
    {"threads", "THREADS", VIEW_UINT32, VIEW_COUNT, VIEW_ALL, IN_OWNER(threads),
     "threads that have an owner record"},
    {"age_ms", "AGE", VIEW_UINT64, VIEW_AGE, VIEW_ALL, IN_OWNER(stat.age_ms), "since it attached"},
    {"state", "STATE", VIEW_STRING, VIEW_PLAIN, VIEW_ALL, IN_OWNER(state),
     "alive, bridge, or dead (its slots are being given back)"},
    {"waiting", NULL, VIEW_UINT32, VIEW_PLAIN, VIEW_JSON, IN_OWNER(waiting),
     "its threads that sleep until there is a slot"},
    {"waiting_for", "WAITING FOR", VIEW_STRING, VIEW_PLAIN, VIEW_ALL, IN_OWNER(waiting_for),
     "counter that a thread of it waits for; empty: none"},
    {"waiting_ms", NULL, VIEW_INT64, VIEW_PLAIN, VIEW_JSON, IN_OWNER(waiting_ms),
     "for how long that thread has waited; -1: none does"},
    {"index", NULL, VIEW_UINT32, VIEW_PLAIN, VIEW_JSON, IN_OWNER(stat.index), "its record"},
};

#define IN_SLOT(member) offsetof(struct slot_row, member)
static const struct view_column slot_columns[] = {
    {"counter", "COUNTER", VIEW_STRING, VIEW_PLAIN, VIEW_ALL, IN_SLOT(counter),
     "the counter it is of"},
    {"process", "PROCESS", VIEW_STRING, VIEW_PLAIN, VIEW_ALL, IN_SLOT(command),
     "name of the process that holds it"},
    {"pid", "PID", VIEW_INT, VIEW_PLAIN, VIEW_ALL, IN_SLOT(stat.pid), "its number"},
    {"age_ms", "HELD FOR", VIEW_UINT64, VIEW_AGE, VIEW_ALL, IN_SLOT(stat.age_ms),
     "since it was taken"},
    {"owner", NULL, VIEW_UINT32, VIEW_PLAIN, VIEW_JSON, IN_SLOT(stat.owner), "index of the owner"},
};

#define IN_MEMBER(member) offsetof(struct member_row, member)
static const struct view_column member_columns[] = {
    {"name", "MEMBER", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_MEMBER(stat.name), "its name"},
    {"state", "STATE", VIEW_STRING, VIEW_PLAIN, VIEW_ALL, IN_MEMBER(state),
     "this node, connected, silent, or never heard"},
    {"role", "ROLE", VIEW_STRING, VIEW_PLAIN, VIEW_ALL, IN_MEMBER(role),
     "coordinator: it moves the shares; drained: it takes no new slots"},
    {"heard_ms", "HEARD", VIEW_INT64, VIEW_AGE, VIEW_ALL, IN_MEMBER(stat.heard_ms),
     "since it was last heard; -1: never, or this node"},
    {"url", "URL", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_MEMBER(stat.url), "where it listens"},
};

#define IN_NODE(member) offsetof(struct node_row, member)
static const struct view_column node_columns[] = {
    {"name", "NODE", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_NODE(name), "its name"},
    {"in_use", "IN USE", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_NODE(in_use),
     "slots that it holds, of the chosen counter or of all"},
    {"share", "SHARE", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_NODE(share),
     "slots that it may hold now; -1: no limit, not known, or not of one counter"},
    {"wants", "WANTS", VIEW_INT, VIEW_COUNT, VIEW_ALL, IN_NODE(wants),
     "slots that it holds and asks for"},
    {"oldest_ms", "OLDEST", VIEW_INT64, VIEW_AGE, VIEW_ALL, IN_NODE(oldest_ms),
     "for how long its oldest slot has been held; -1: it holds none, or not known"},
    {"state", "STATE", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_NODE(state),
     "this node, connected, silent, or never heard"},
    {"role", "ROLE", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_NODE(role),
     "coordinator, witness, or empty"},
    {"session", NULL, VIEW_BOOL, VIEW_PLAIN, VIEW_JSON, IN_NODE(session),
     "false: it has none, and keeps to its reserve"},
    {"heard_ms", "HEARD", VIEW_INT64, VIEW_AGE, VIEW_ALL, IN_NODE(heard_ms),
     "since it was last heard; -1: never, or this node"},
};

#define IN_EVENT(member) offsetof(struct event_row, member)
static const struct view_column event_columns[] = {
    {"time_ms", "TIME", VIEW_INT64, VIEW_TIME, VIEW_ALL, IN_EVENT(time_ms),
     "when it was, since 1970"},
    {"level", "LEVEL", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_EVENT(level),
     "error, warning, info or debug"},
    {"event", "EVENT", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_EVENT(event),
     "its name, as in the bridge's log"},
    {"text", "WHAT", VIEW_CHARS, VIEW_PLAIN, VIEW_ALL, IN_EVENT(text), "its key=value pairs"},
    {"number", NULL, VIEW_UINT64, VIEW_PLAIN, VIEW_JSON, IN_EVENT(number),
     "counts from 1 since the bridge started"},
};

#define IN_SEGMENT(member) offsetof(struct segment_row, member)
#define SEGMENT(field, type, member, help)                                                         \
    { field, NULL, type, VIEW_PLAIN, VIEW_JSON, IN_SEGMENT(member), help }
static const struct view_column segment_columns[] = {
    SEGMENT("name", VIEW_CHARS, stat.name, "name of the segment"),
    SEGMENT("path", VIEW_CHARS, stat.path, "of its file"),
    SEGMENT("layout", VIEW_UINT32, stat.layout, "layout version"),
    SEGMENT("incarnation", VIEW_CHARS, incarnation, "another one when the segment was made anew"),
    SEGMENT("rules", VIEW_UINT64, stat.rules, "how often the rule set was loaded, from 1"),
    SEGMENT("age_ms", VIEW_UINT64, stat.age_ms, "since it was created"),
    SEGMENT("counters_used", VIEW_UINT32, stat.counters_used, "counters in the table"),
    SEGMENT("counters_max", VIEW_UINT32, stat.counters_max, "room for counters"),
    SEGMENT("owners_used", VIEW_UINT32, stat.owners_used, "owner records used"),
    SEGMENT("reaping", VIEW_UINT32, reaping, "processes that are dead, and hold slots yet"),
    SEGMENT("owners_max", VIEW_UINT32, stat.owners_max, "room for owner records"),
    SEGMENT("slots_used", VIEW_UINT32, stat.slots_used, "slots held"),
    SEGMENT("slots_max", VIEW_UINT32, stat.slots_max, "room for slots"),
    SEGMENT("reaps", VIEW_UINT64, stat.reaps, "dead owners whose slots were given back"),
    SEGMENT("slots_reaped", VIEW_UINT64, stat.slots_reaped, "slots given back for them"),
    SEGMENT("clustered", VIEW_BOOL, stat.clustered, "whether it belongs to a cluster"),
    SEGMENT("node", VIEW_CHARS, stat.node, "this host's member name"),
    SEGMENT("bridge", VIEW_STRING, bridge, "alive, dead, or none (single host)"),
    SEGMENT("session", VIEW_BOOL, stat.session,
            "whether a session is valid; always on a single host"),
    SEGMENT("session_left_ms", VIEW_INT64, stat.session_left_ms,
            "until it ends; negative: since it ended; 0 on a single host"),
    SEGMENT("coordinator", VIEW_CHARS, stat.coordinator, "as last heard; empty: none known"),
    SEGMENT("drained", VIEW_BOOL, stat.drained,
            "whether this node takes no new slots, by an operator's word"),
};

#define COLUMNS(array) (array), sizeof(array) / sizeof(array)[0]
static const struct view views[VIEWS] = {
    [VIEW_COUNTERS] = {"counters", COLUMNS(counter_columns), sizeof(struct counter_row), 1U, 1},
    [VIEW_OWNERS] = {"owners", COLUMNS(owner_columns), sizeof(struct owner_row), 0x103U, 2},
    [VIEW_SLOTS] = {"slots", COLUMNS(slot_columns), sizeof(struct slot_row), 7U, 3},
    [VIEW_MEMBERS] = {"members", COLUMNS(member_columns), sizeof(struct member_row), 1U, 0},
    [VIEW_NODES] = {"nodes", COLUMNS(node_columns), sizeof(struct node_row), 1U, 0},
    [VIEW_EVENTS] = {"events", COLUMNS(event_columns), sizeof(struct event_row), 0xfU, 4},
};
static const struct view segment_view = {"segment", COLUMNS(segment_columns),
                                         sizeof(struct segment_row), 0U, 0};

const struct view *view_get(enum view_name name) {
    return &views[name];
}

const struct view *view_segment(void) {
    return &segment_view;
}
