/* SPDX-License-Identifier: MIT
 *
 * ctl_ops.h - the requests of ctl.h, one function each, apart from how they arrive. They run
 * inside crew_call().
 */
#ifndef VIADUCT_FABRIC_CTL_OPS_H
#define VIADUCT_FABRIC_CTL_OPS_H

#include "base/bytes.h"
#include "base/json.h"
#include "fabric/crew.h"

#define CTL_MAX_REPLY_FDS 3

struct ctl_call {
	/* The request. */
	const char *op;
	const struct json *message;
	int *fds; /* those that are kept are set to -1 */
	size_t n_fds;
	/* Where it runs. */
	struct crew *crew;
	struct fabric *fabric;
	/* The answer. */
	int error;
	struct why why; /* explains `error` */
	struct json *reply;
	int reply_fds[CTL_MAX_REPLY_FDS]; /* the caller's to close */
	size_t n_reply_fds;
	uint64_t announce_at_ns; /* when announce_step() is due, 0 for never */
};

/* Run the request `call` describes. */
void ctl_run(struct ctl_call *call);

/* ctl_switch.c, ctl_port.c, ctl_observe.c: a table each. */
struct ctl_op {
	const char *name;
	int (*run)(struct ctl_call *call);
};
extern const struct ctl_op ctl_switch_ops[], ctl_port_ops[], ctl_observe_ops[];

/* ctl_parse.c - keys of requests. Each fills call->why when it refuses. */
/* The value, or NULL when it is absent or null. */
const struct json *ctl_get(const struct ctl_call *call, const char *key);
int ctl_need_string(struct ctl_call *call, const char *key, const char **ret_value);
/* Absent or null yields NULL. */
int ctl_get_string(struct ctl_call *call, const char *key, const char **ret_value);
/* Absent or null yields `fallback`. */
int ctl_get_int(struct ctl_call *call, const char *key, int64_t min, int64_t max, int64_t fallback,
	int64_t *ret_value);
int ctl_get_bool(struct ctl_call *call, const char *key, bool fallback, bool *ret_value);
/* "00:15:5d:01:02:03", also with '-'; unicast and not zero. */
int ctl_need_mac(struct ctl_call *call, const char *key, uint8_t ret_mac[ETH_ADDR_LEN]);
/* A list of {mac, [vlan]}. */
int ctl_need_statics(struct ctl_call *call, const char *key,
	struct fdb_static ret_statics[FDB_MAX_STATIC], unsigned *ret_n);
int ctl_get_vlan(struct ctl_call *call, struct vlan_policy *ret_policy);
bool ctl_has_vlan(const struct ctl_call *call);
/* A list of strings; absent or null is empty. `ret_texts` has room for `max`. */
int ctl_get_list(
	struct ctl_call *call, const char *key, size_t max, const char **ret_texts, size_t *ret_n);
/* Bytes in base64, appended to `out`, which is the caller's to finish. */
int ctl_need_bytes(struct ctl_call *call, const char *key, size_t max_bytes, struct buf *out);
/* ctl_policy.c. Keys that are there replace what `config` has; a new access list is the caller's.
 */
int ctl_get_policy(struct ctl_call *call, struct vport_config *config);
/* An uplink of its own port, which comes and goes with its switch, is refused. */
int ctl_need_own_port(struct ctl_call *call, struct vport **ret_port);
int ctl_need_switch(struct ctl_call *call, const char *key, struct vswitch **ret_sw);
int ctl_need_port(struct ctl_call *call, struct vport **ret_port);
int ctl_need_fds(struct ctl_call *call, size_t n_fds, const char *what);

/* ctl_report.c - what there is, as JSON. NULL or -ENOMEM on a failed allocation. */
int ctl_set_mac(struct json *object, const char *key, const uint8_t mac[ETH_ADDR_LEN]);
struct json *ctl_report_port(const struct vport *port);
int ctl_report_switches(const struct fabric *fabric, uint64_t from, struct json *reply);
int ctl_report_groups(const struct vswitch *sw, uint64_t from, uint64_t now_ns, struct json *reply);
const char *ctl_qos_mode_name(enum qos_mode mode); /* ctl_switch.c */
int ctl_report_fdb(const struct vswitch *sw, uint64_t from, uint64_t now_ns, struct json *reply);

#endif
