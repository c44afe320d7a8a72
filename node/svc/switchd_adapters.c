/* SPDX-License-Identifier: MIT
 *
 * switchd_adapters.c - the host's own adapters on its switches: taps with leased addresses, which
 * follow the switches' records.
 */
#include "node/svc/switchd_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "fabric/open.h"

#include <stdio.h>
#include <string.h>

static struct known_adapter *find(struct known_switch *known, const char *ifname)
{
	struct known_adapter *adapter;

	list_for_each(adapter, &known->adapters, link) {
		if (strcmp(adapter->ifname, ifname) == 0)
			return adapter;
	}
	return NULL;
}

static void adapter_free(struct known_adapter *adapter)
{
	list_remove(&adapter->link);
	followed_fini(&adapter->policy);
	free(adapter);
}

void known_adapters_free(struct known_switch *known)
{
	struct known_adapter *adapter, *after;

	list_for_each_safe(adapter, after, &known->adapters, link)
		adapter_free(adapter);
}

static struct json *port_message(const struct known_adapter *adapter)
{
	struct json *message = json_object_new();

	json_set_stringf(message, "port", "management/%s", adapter->ifname);
	return message;
}

static struct json *policy_of(const struct json *record)
{
	struct json *policy = json_object_new();

	nic_policy_set(record, policy);
	return policy;
}

/* ---- adding: an address, a tap, a port ---- */

static void on_added(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;
	struct known_switch *known = attempt_answered(attempt, error, reply);
	struct known_adapter *adapter = known ? find(known, attempt->ifname) : NULL;

	if (adapter) {
		adapter->state = error < 0 ? ADAPTER_NONE : ADAPTER_THERE;
		followed_answer(&adapter->policy, error, reply, attempt->settings);
	}
	attempt_free(attempt);
	if (error == 0)
		switchd_sync(sw); /* its record may be another by now */
}

static int parse_mac(const char *text, uint8_t ret_mac[6])
{
	unsigned b[6];

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		return -EBADMSG;
	for (unsigned i = 0; i < 6; i++)
		ret_mac[i] = (uint8_t)b[i];
	return 0;
}

static int add_port(struct switchd *sw, struct known_switch *known, struct known_adapter *adapter,
	const char *mac_text, const struct json *policy)
{
	_cleanup_close_ int fd = -1;
	struct json *message;
	uint8_t mac[6];
	int r = parse_mac(mac_text, mac);

	if (r == 0 && !sw->chan)
		r = -ENOTCONN;
	if (r == 0)
		r = fabric_open_tap(adapter->ifname, mac, &fd);
	if (r < 0)
		return r;
	message = port_message(adapter);
	json_set_string(message, "switch", known->name);
	json_set_string(message, "mac", mac_text);
	nic_policy_set(policy, message);
	r = attempt_send(attempt_new(sw, known, adapter->ifname, "adding a host's adapter to",
				 json_copy(policy)),
		"port.add_tap", message, &fd, 1, on_added);
	if (r == 0)
		adapter->state = ADAPTER_COMING;
	return r;
}

/* Its settings are those of when the lease was asked for; the next sync brings newer ones. */
static void on_leased(int error, const char *mac, void *data)
{
	struct attempt *attempt = data;
	struct known_switch *known = attempt_answered(attempt, 0, NULL);
	struct known_adapter *adapter = known ? find(known, attempt->ifname) : NULL;

	if (error == 0 && adapter)
		error = add_port(attempt->sw, known, adapter, mac, attempt->settings);
	if (error < 0) {
		log_warning("switch %s does not have its adapter %s yet: %s", attempt->name,
			attempt->ifname, strerror(-error));
		if (adapter)
			adapter->state = ADAPTER_NONE; /* the next sync tries again */
	}
	attempt_free(attempt);
}

static void want_port(struct switchd *sw, struct known_switch *known, struct known_adapter *adapter,
	const struct json *record)
{
	struct cluster *cluster = sw->svc->cluster;
	_cleanup_json_ struct json *policy = policy_of(record);
	struct attempt *attempt;

	if (!cluster_is_quorate(cluster) || !cluster_is_synced(cluster) ||
		(adapter->policy.refused && json_is_equal(adapter->policy.refused, policy)))
		return;
	attempt =
		attempt_new(sw, known, adapter->ifname, "leasing an address for", json_ref(policy));
	if (!attempt)
		return;
	adapter->state = ADAPTER_LEASING;
	if (cluster_mac_lease(cluster, json_get_string(record, "lease", ""),
		    json_get_string(record, "mac", NULL), on_leased, attempt) < 0) {
		adapter->state = ADAPTER_NONE;
		attempt_free(attempt);
	}
}

/* ---- changing ---- */

static void on_set(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attempt *attempt = data;
	struct switchd *sw = attempt->sw;
	struct known_switch *known = attempt_answered(attempt, error, reply);
	struct known_adapter *adapter = known ? find(known, attempt->ifname) : NULL;

	if (adapter)
		followed_answer(&adapter->policy, error, reply, attempt->settings);
	attempt_free(attempt);
	switchd_sync(sw);
}

static void want_policy(struct switchd *sw, struct known_switch *known,
	struct known_adapter *adapter, const struct json *record)
{
	struct json *wanted = policy_of(record), *message;

	if (!followed_wants(&adapter->policy, wanted)) {
		json_unref(wanted);
		return;
	}
	message = port_message(adapter);
	nic_policy_diff(adapter->policy.applied, wanted, message);
	adapter->policy.asked = attempt_send(attempt_new(sw, known, adapter->ifname,
						     "changing a host's adapter on", wanted),
					"port.set", message, NULL, 0, on_set) == 0;
}

/* ---- removing ---- */

static void remove_port(
	struct switchd *sw, struct known_switch *known, const struct known_adapter *adapter)
{
	struct attempt *attempt;

	if (adapter->state != ADAPTER_COMING && adapter->state != ADAPTER_THERE)
		return;
	attempt = attempt_new(sw, known, adapter->ifname, "removing a host's adapter from", NULL);
	attempt_send(attempt, "port.remove", port_message(adapter), NULL, 0, attempt_on_done);
}

void known_adapters_remove(struct switchd *sw, struct known_switch *known)
{
	struct known_adapter *adapter;

	list_for_each(adapter, &known->adapters, link)
		remove_port(sw, known, adapter);
}

/* ---- in line with the record ---- */

static void sync_adapter(struct switchd *sw, struct known_switch *known, const struct json *record)
{
	const char *ifname = json_get_string(record, "ifname", "");
	struct known_adapter *adapter = find(known, ifname);

	if (!adapter && strlen(ifname) <= SWITCH_IFNAME_MAX_LEN) {
		adapter = calloc(1, sizeof(*adapter));
		if (!adapter)
			return;
		strcpy(adapter->ifname, ifname);
		list_append(&known->adapters, &adapter->link);
	}
	if (!adapter)
		return;
	adapter->seen = true;
	if (adapter->state == ADAPTER_NONE)
		want_port(sw, known, adapter, record);
	else if (adapter->state == ADAPTER_THERE)
		want_policy(sw, known, adapter, record);
}

void known_adapters_sync(struct switchd *sw, struct known_switch *known, const struct json *record)
{
	_cleanup_json_ struct json *adapters =
		switch_adapters(record, cluster_local_name(sw->svc->cluster), known->name);
	struct known_adapter *adapter, *after;

	list_for_each(adapter, &known->adapters, link)
		adapter->seen = false;
	for (size_t i = 0; i < json_length(adapters); i++)
		sync_adapter(sw, known, json_at(adapters, i));
	list_for_each_safe(adapter, after, &known->adapters, link) {
		if (adapter->seen)
			continue;
		remove_port(sw, known, adapter);
		adapter_free(adapter);
	}
}
