/* SPDX-License-Identifier: MIT
 *
 * ctl_report_port.c - a port as JSON: what it is, what it may, what passed it.
 */
#include "fabric/ctl_ops.h"

#include <arpa/inet.h>
#include <string.h>

int ctl_set_mac(struct json *object, const char *key, const uint8_t mac[ETH_ADDR_LEN])
{
	return json_set_stringf(object, key, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		mac[2], mac[3], mac[4], mac[5]);
}

static int set_list(struct json *object, const char *key, bool has,
	const uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)])
{
	_cleanup_free_ char *text = has ? vlan_list_format(map) : NULL;

	return has && !text ? -ENOMEM : json_set_string(object, key, text);
}

static int set_vlan(struct json *object, const struct vlan_policy *vlan)
{
	bool trunk = vlan->mode == VLAN_TRUNK;
	int r = json_set_string(object, "mode", vlan_mode_name(vlan->mode));

	r = r ?: json_set_int(object, "vid", vlan->mode == VLAN_ACCESS ? vlan->pvid : 0);
	r = r ?: json_set_int(object, "native", trunk ? vlan->pvid : 0);
	r = r ?: set_list(object, "allowed", trunk, vlan->allowed);
	if (r < 0 || !vlan_is_private(vlan))
		return r;
	r = json_set_int(object, "primary", vlan->primary);
	if (vlan->mode == VLAN_PROMISCUOUS)
		return r ?: set_list(object, "secondaries", true, vlan->allowed);
	return r ?: json_set_int(object, "secondary", vlan->pvid);
}

static int set_guards(struct json *object, const struct guard *guard)
{
	struct json *guards = json_object_new(), *ips = json_array_new();
	char text[INET6_ADDRSTRLEN];
	int r = json_set(object, "guards", guards);

	r = json_set(guards, "ips", ips) ?: r;
	r = r ?: json_set_bool(guards, "dhcp", guard->flags & GUARD_DHCP);
	r = r ?: json_set_bool(guards, "router", guard->flags & GUARD_ROUTER);
	r = r ?: json_set_bool(guards, "addresses", guard->flags & GUARD_ADDRESSES);
	for (unsigned i = 0; r == 0 && i < guard->n_addresses; i++) {
		const struct guard_address *address = &guard->addresses[i];

		r = json_append_string(ips, inet_ntop(address->ipv6 ? AF_INET6 : AF_INET,
						    address->ip, text, sizeof(text)));
	}
	return r;
}

static int set_bandwidth(struct json *object, const struct qos_config *qos)
{
	struct json *bandwidth = json_object_new();
	int r = json_set(object, "bandwidth", bandwidth);

	r = r ?: json_set_int(bandwidth, "max_bps", (int64_t)qos->max_bps);
	r = r ?: json_set_int(bandwidth, "min_bps", (int64_t)qos->min_bps);
	r = r ?: json_set_int(bandwidth, "weight", qos->weight);
	return r ?: json_set_int(bandwidth, "storm_fps", qos->storm_fps);
}

/* Rules are the configuration's; what is counted is ours. */
static int set_acl(struct json *object, const struct acl *acl)
{
	struct json *rules = json_array_new();
	int r = json_set(object, "acl", rules);

	for (unsigned i = 0; r == 0 && acl && i < acl_n_rules(acl); i++) {
		struct json *rule = json_object_new();

		r = json_append(rules, rule);
		r = r ?: json_set_int(rule, "frames", (int64_t)acl_rule(acl, i)->n_frames);
		r = r ?: json_set_int(rule, "bytes", (int64_t)acl_rule(acl, i)->n_bytes);
	}
	return r ?: json_set_int(object, "conversations", acl ? acl_n_conversations(acl) : 0);
}

static int set_policy(struct json *object, const struct vport *port)
{
	int r = set_guards(object, &port->policy.guard);

	r = r ?: set_bandwidth(object, &port->qos.config);
	r = r ?: json_set_string(object, "mirror", mirror_role_name(port->policy.mirror));
	return r ?: set_acl(object, port->policy.acl);
}

static int set_dropped(struct json *object, const struct vport *port)
{
	struct json *dropped = json_object_new();
	int r = dropped ? 0 : -ENOMEM;

	for (unsigned i = DROP_NONE + 1; i < N_DROPS && r == 0; i++) {
		uint64_t n = port->dropped[i];

		if (i == DROP_FULL)
			n += port->io->tx.n_full;
		else if (i == DROP_ERROR)
			n += port->io->tx.n_error;
		if (n)
			r = json_set_int(dropped, drop_name((enum drop)i), (int64_t)n);
	}
	if (r < 0) {
		json_unref(dropped);
		return r;
	}
	return json_set(object, "dropped", dropped);
}

static int set_identity(struct json *object, const struct vport *port)
{
	const struct fwd_port *fwd = vport_fwd(port);
	bool is_vm = strcmp(port->io->ops->kind, "vm") == 0;
	int r = json_set_string(object, "id", port->id);

	r = r ?: json_set_string(object, "kind", port->io->ops->kind);
	if (r == 0)
		r = is_vm ? json_set_stringf(
				    object, "vm", "%.*s", (int)strcspn(port->id, "/"), port->id)
			  : json_set_string(object, "vm", NULL);
	if (r == 0)
		r = vport_is_uplink(port) ? json_set_string(object, "mac", NULL)
					  : ctl_set_mac(object, "mac", fwd->mac);
	r = r ?: set_vlan(object, &fwd->vlan);
	r = r ?: json_set_bool(object, "spoofing", fwd->spoofing);
	return r ?: set_policy(object, port);
}

static int set_state(struct json *object, const struct vport *port)
{
	bool muted = vport_fwd(port)->muted;
	int r = json_set_bool(object, "muted", muted);

	r = r ?: json_set_string(object, "state", port->shut ? "shut" : muted ? "muted" : "up");
	r = r ?: json_set_string(object, "reason", io_reason(port->io));
	r = r ?: json_set_int(object, "rx_frames", (int64_t)port->rx_frames);
	r = r ?: json_set_int(object, "rx_bytes", (int64_t)port->rx_bytes);
	r = r ?: json_set_int(object, "tx_frames", (int64_t)port->io->tx.n_frames);
	r = r ?: json_set_int(object, "tx_bytes", (int64_t)port->io->tx.n_bytes);
	r = r ?: json_set_int(object, "duplicates", (int64_t)port->n_duplicates);
	return r ?: set_dropped(object, port);
}

struct json *ctl_report_port(const struct vport *port)
{
	struct json *object = json_object_new();

	if (object && (set_identity(object, port) < 0 || set_state(object, port) < 0)) {
		json_unref(object);
		return NULL;
	}
	return object;
}
