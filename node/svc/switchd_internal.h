/* SPDX-License-Identifier: MIT
 *
 * switchd_internal.h - what the service knows of its switch process, for the files that keep it in
 * line with the store:
 *
 *   switchd.c           the process, requests to it, what a reference means
 *   switchd_sync.c      switches: changed, renamed, deleted
 *   switchd_uplinks.c   switches: made, and bound to adapters of the host
 *   switchd_adapters.c  the host's adapters: taps with a leased address
 *   switchd_state.c     whether a switch is as its record has it
 *
 * Requests are answered in their order. A known switch has an id of its own, because its name may
 * change while an answer is awaited.
 */
#ifndef VIADUCT_NODE_SVC_SWITCHD_INTERNAL_H
#define VIADUCT_NODE_SVC_SWITCHD_INTERNAL_H

#include "node/svc/switch.h"
#include "node/svc/svc.h"

#define SWITCHD_CALL_TIMEOUT_NS (5 * NS_PER_SEC)

#define FOLLOWED_WHY_BYTES 256

/* A setting of the switch process that follows the store. */
struct followed {
	struct json *applied;         /* what it has; NULL: nothing yet */
	struct json *refused;         /* what it would not take: not asked again */
	char why[FOLLOWED_WHY_BYTES]; /* it was refused; one sentence */
	bool asked;                   /* the answer is awaited */
};

enum known_adapter_state {
	ADAPTER_NONE,
	ADAPTER_LEASING, /* waits for its address */
	ADAPTER_COMING,  /* the switch process was asked for the port */
	ADAPTER_THERE,
};

struct known_adapter {
	struct list link;
	char ifname[SWITCH_IFNAME_MAX_LEN + 1];
	enum known_adapter_state state;
	struct followed policy;
	bool seen; /* in the store, during a sync */
};

/* Uplinks, as they were when they were looked for: the adapter of a name may be another later. */
struct uplink_nics {
	size_t n;
	struct {
		char name[SWITCH_IFNAME_MAX_LEN + 1];
		unsigned ifindex; /* 0: there was none */
	} nics[SWITCH_MAX_UPLINKS];
};

/* A switch that the switch process has, or is to have, as far as we know. */
struct known_switch {
	struct list link;
	uint64_t id;
	char name[SVC_NAME_MAX_LEN + 1];
	bool seen;            /* in the store, during a sync */
	bool ready;           /* made */
	struct followed made; /* with these settings; only until it is ready */
	struct followed uplinks, bandwidth, statics;
	struct uplink_nics tried, bound; /* the last that were asked for, and had */
	struct list adapters;            /* struct known_adapter.link */
};

struct switchd {
	struct svc *svc;
	struct proc *proc;
	struct chan *chan;
	struct list known; /* struct known_switch.link */
	uint64_t next_id;
	uint64_t restart_timer;
	unsigned n_restarts;
	int link_watch_fd;     /* what tells of adapters that come and go, or -1 */
	unsigned n_publishing; /* writes of switchd_state.c under way */
};

/* What a request to the switch process was about, when its answer comes. */
struct attempt {
	struct switchd *sw;
	uint64_t id; /* of the switch */
	char name[SVC_NAME_MAX_LEN + 1];
	char ifname[SWITCH_IFNAME_MAX_LEN + 1]; /* of an adapter, or "" */
	const char *what;                       /* "making", "deleting", ... */
	struct json *settings;                  /* what was asked for */
	size_t followed_at;                     /* switchd_sync.c's */
};

/* `ifname` and `settings` (taken over) may be NULL. NULL: out of memory. */
struct attempt *attempt_new(struct switchd *sw, const struct known_switch *known,
	const char *ifname, const char *what, struct json *settings);
void attempt_free(struct attempt *attempt); /* NULL is fine */
/* Log a failure. Returns the attempt's switch, if it is still known. */
struct known_switch *attempt_answered(
	const struct attempt *attempt, int error, const struct json *reply);
/* Send `op` with `message` (taken over) and sockets; `fn` gets the attempt (taken over). */
int attempt_send(struct attempt *attempt, const char *op, struct json *message, const int *fds,
	size_t n_fds, chan_reply_fn fn);
/* The answer of a request whose success changes nothing that is known. */
void attempt_on_done(int error, const struct json *reply, int *fds, size_t n_fds, void *data);

/* Is there something to ask for, and may it be asked for? */
bool followed_wants(const struct followed *followed, const struct json *wanted);
/* The answer to `settings`. */
void followed_answer(struct followed *followed, int error, const struct json *reply,
	const struct json *settings);
/* They cannot even be asked for. */
void followed_refuse(struct followed *followed, const struct json *settings, const char *why);
void followed_fini(struct followed *followed);

void known_switches_forget(struct switchd *sw);
struct known_switch *known_switch_find(const struct switchd *sw, const char *name); /* or NULL */

/* ---- switchd_uplinks.c ---- */

/* A switch that is not ready, as `record` has it. */
void known_switch_make(struct switchd *sw, struct known_switch *known, const struct json *record);
/* The uplinks of one that is. */
void known_uplinks_sync(struct switchd *sw, struct known_switch *known, const struct json *record);
/* Something changed that refusals may have come from: the next sync asks again. */
void known_uplinks_forget_refusals(struct switchd *sw);
/* Has an adapter come or gone that a switch has, or was refused for? */
bool known_uplinks_changed(struct switchd *sw);
/* {uplinks}: all that it may hold, now or soon. */
struct json *known_uplinks_all(const struct known_switch *known);
/* They get back what they had, unless a record names them; `settings` with uplinks, or NULL. */
void uplinks_release(struct svc *svc, const struct json *settings);

/* ---- switchd_state.c ---- */

/* switchd_state() */
const char *known_switch_state(const struct switchd *sw, const char *name,
	const struct json *record, char *why, size_t size_bytes);
/* Into the store, what differs there. */
void known_states_publish(struct switchd *sw);

/* ---- switchd_adapters.c ---- */

/* The adapters of a switch that is ready, as `record` has them. */
void known_adapters_sync(struct switchd *sw, struct known_switch *known, const struct json *record);
/* Ask for the removal of all ports; nobody waits for the answers. */
void known_adapters_remove(struct switchd *sw, struct known_switch *known);
void known_adapters_free(struct known_switch *known);

#endif
