/* SPDX-License-Identifier: MIT
 *
 * viaductd - the node service. Joins the cluster, keeps the node's switch running, runs VMs that
 * this node owns, answers the command line and the other nodes.
 */
#include "node/svc/svc.h"
#include "node/svc/events.h"
#include "node/svc/failover.h"
#include "node/svc/network.h"
#include "node/svc/node.h"
#include "node/svc/notify.h"
#include "node/svc/remote.h"
#include "node/svc/state_events.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/node_facts.h"
#include "node/svc/place_view.h"
#include "node/svc/vlan_watch.h"
#include "node/svc/watchdog.h"
#include "node/svc/conf.h"
#include "node/svc/corosync_service.h"
#include "node/svc/enroll.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define NICE            (-15)
#define HOUSEKEEPING_NS (2 * NS_PER_SEC)

/* ---- requests of other nodes ---- */

static void on_started(struct svc *svc, const struct json *message)
{
	struct vmproc *vp = vmproc_find(svc, json_get_string(message, "vm", ""));

	if (!vp || (uint64_t)json_get_int(message, "epoch", 0) != vp->epoch + 1)
		return;
	if (vp->out)
		mig_out_started(vp, message);
	else if (vp->quick)
		quick_out_started(vp, message);
}

static void on_peer(
	struct peer_request *request, const char *from, const struct json *message, void *data)
{
	struct svc *svc = data;
	const char *op = json_get_string(message, "op", "");

	if (from[0] == ENROLL_GUEST || from[0] == ENROLL_EVICTED) {
		enroll_on_guest(svc, request, from, message);
	} else if (strcmp(op, "conf.take") == 0) {
		conf_on_peer(svc, request, message);
	} else if (strcmp(op, "hello") == 0) {
		peer_reply(request, conf_hello_reply(svc, message));
	} else if (strcmp(op, "api") == 0 && json_is_object(json_get(message, "request"))) {
		api_on_peer(svc, request, from, json_get(message, "request"),
			json_get(message, "identity"));
	} else if (strcmp(op, "mig.prepare") == 0) {
		mig_in_prepare(svc, request, from, message);
	} else if (strcmp(op, "mig.load") == 0) {
		mig_in_load(svc, request, from, message);
	} else if (strcmp(op, "mig.ports") == 0) {
		port_states_take(svc, request, from, message);
	} else if (strcmp(op, "failover.start") == 0) {
		failover_on_peer(svc, request, message);
	} else if (strncmp(op, "reach.", 6) == 0) {
		reach_on_peer(svc, request, message);
	} else if (strcmp(op, "mig.started") == 0) {
		on_started(svc, message);
		peer_reply(request, NULL);
	} else {
		if (strcmp(op, "mig.abort") == 0)
			mig_in_abort(svc, from, message);
		else if (strcmp(op, "mig.commit") == 0)
			mig_in_commit(svc, from, message);
		else
			log_warning(
				"%s asked for '%.40s', which this version does not know", from, op);
		peer_reply(request, NULL);
	}
}

static void on_published(int error, uint64_t version _unused_, void *data _unused_)
{
	if (error < 0)
		log_debug("a record of this node was not written: %s", strerror(-error));
}

/* Write a record of this node's unless it is there already. */
static void publish(struct svc *svc, const char *kind, struct json *value)
{
	char key[SVC_NAME_MAX_LEN + 16];
	_cleanup_free_ char *wanted = json_dump(value, 0);
	_cleanup_free_ char *present = NULL;
	const struct json *old;
	uint64_t version;

	snprintf(key, sizeof(key), "%s/%s", kind, cluster_local_name(svc->cluster));
	if (cluster_get(svc->cluster, key, &old, &version) == 0)
		present = json_dump(old, 0);
	if (wanted && present && strcmp(wanted, present) == 0)
		json_unref(value);
	else
		cluster_cas(svc->cluster, key, CLUSTER_ANY_VERSION, value, on_published, NULL);
}

static void publish_node(struct svc *svc)
{
	struct json *value;

	if (!cluster_is_synced(svc->cluster) || !cluster_is_quorate(svc->cluster) || !svc->peer ||
		svc->evicted)
		return;
	value = node_facts_record(svc->facts);
	if (value) {
		json_set_string(value, "version", VIADUCT_VERSION);
		json_set(value, "watchdog", watchdog_json(svc->watchdog));
		publish(svc, "node", value);
	}
	value = json_object_new();
	json_set_string(value, "key", peer_public_key(svc->peer));
	publish(svc, "peer", value);
	cluster_publish_interfaces(svc->cluster);
	cluster_mac_publish_range(svc->cluster);
}

static bool own_key_is_known(struct svc *svc)
{
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *value;
	uint64_t version;

	snprintf(key, sizeof(key), "peer/%s", cluster_local_name(svc->cluster));
	return cluster_get(svc->cluster, key, &value, &version) == 0 &&
	       strcmp(json_get_string(value, "key", ""), peer_public_key(svc->peer)) == 0;
}

static int connect_peer(
	const char *key, const struct json *value, uint64_t version _unused_, void *data)
{
	struct svc *svc = data;
	const char *name = strchr(key, '/') + 1;
	const char *address = peer_address(svc->peer, name);
	struct cluster_node node;
	int r;

	/* Whoever does not know our key refuses us: wait until everybody can. */
	if (!own_key_is_known(svc) || strcmp(name, cluster_local_name(svc->cluster)) == 0 ||
		cluster_find_node(svc->cluster, name, &node) < 0)
		return 0;
	/* network_watch.c finds another one when this does not work any more. */
	r = peer_set_node(svc->peer, name, address ? address : node.ring_addr[0],
		json_get_string(value, "key", NULL));
	if (r < 0)
		log_warning("node %s cannot be talked to: %s", name, strerror(-r));
	return 0;
}

static void start_peer(struct svc *svc)
{
	struct cluster_node self;
	const char *name = cluster_local_name(svc->cluster);
	char key_file[256];
	int r;

	if (svc->peer || !name || !name[0] || cluster_find_node(svc->cluster, name, &self) < 0)
		return;
	snprintf(key_file, sizeof(key_file), "%s/peer.key", svc->options.state_dir);
	r = peer_new(svc->loop, self.ring_addr[0], key_file, on_peer, svc, &svc->peer);
	if (r < 0)
		log_error("requests of other nodes cannot be taken on %s port %d: %s",
			self.ring_addr[0], PEER_PORT, strerror(-r));
	else
		log_info("node %s (%u) takes requests on %s", name, self.id, self.ring_addr[0]);
}

/* Administrators over the network, when there is a name to answer with. */
static void start_remote(struct svc *svc)
{
	const char *where = svc->options.remote_listen;
	char key_file[256];
	static int last;
	int r;

	if (svc->remote || !svc->peer || strcmp(where, "off") == 0)
		return;
	snprintf(key_file, sizeof(key_file), "%s/peer.key", svc->options.state_dir);
	r = remote_new(svc, where, key_file, &svc->remote);
	if (r < 0 && r != last)
		log_error("administrators cannot be heard at %s: %s; --remote-listen names another "
			  "address",
			where, strerror(-r));
	else if (r == 0)
		log_info("administrators are heard at %s", where);
	last = r;
}

/* ---- the cluster ---- */

static void on_cluster_changed(void *data)
{
	struct svc *svc = data;
	struct vmproc *vp, *after;

	state_events_cluster(svc);
	notify_status(svc);
	start_peer(svc);
	if (!svc->peer)
		return;
	start_remote(svc);
	cluster_for_each(svc->cluster, "peer/", connect_peer, svc);
	enroll_admit_evicted(svc);
	publish_node(svc);
	place_watch_touch(svc->place_watch);
	svc_recover(svc);
	failover_takes_look(svc);
	failover_touch(svc->failover);
	network_watch_note(svc, NULL);
	if (svc->switchd)
		switchd_sync(svc->switchd);
	list_for_each_safe(vp, after, &svc->vms, link) {
		verdict_cluster_changed(vp);
		if (vp->in)
			mig_in_cluster_changed(vp);
		else if (vp->out)
			mig_out_cluster_changed(vp);
		else if (vp->quick)
			quick_out_cluster_changed(vp);
	}
}

/* A VM that runs here while the record says that it is somebody else's must not go on. */
static void check_ownership(struct svc *svc, const char *name)
{
	struct vmproc *vp = vmproc_find(svc, name);
	struct cluster_owner owner;
	struct start *start;
	char object[SVC_NAME_MAX_LEN + 8];

	if (!vp)
		return;
	if (vp->in) {
		mig_in_owner_changed(vp);
		return;
	}
	if (vp->out || vp->quick || vp->verdict)
		return; /* the one who asked for the change hears of it */
	snprintf(object, sizeof(object), "vm/%s", name);
	if (cluster_owner_get(svc->cluster, object, &owner) == 0 &&
		owner.node_id == cluster_local_id(svc->cluster) && owner.epoch == vp->epoch)
		return;
	events_add(svc, EVENT_ERROR, "vm.ownership-lost", object,
		"it belongs to node %u with epoch %llu now; it is stopped here", owner.node_id,
		(unsigned long long)owner.epoch);
	start = take_ptr(vp->starting);
	vmproc_destroy(vp);
	if (start)
		vm_start_taken(start);
}

/* Its record is gone. */
static void forget_peer(struct svc *svc, const char *key)
{
	char guest[SVC_NAME_MAX_LEN + 2];

	snprintf(guest, sizeof(guest), "%c%s", ENROLL_EVICTED, strchr(key, '/') + 1);
	if (key[0] == 'e')
		peer_admit(svc->peer, guest, NULL);
	else
		peer_set_node(svc->peer, guest + 1, "", NULL);
}

static void on_store_changed(const char *key, bool is_there, uint64_t version _unused_, void *data)
{
	struct svc *svc = data;
	char error[256];

	network_watch_note(svc, key);
	failover_key(svc->failover, key);
	place_watch_key(svc->place_watch, key);
	if (strcmp(key, CONF_KEY) == 0 && conf_follow(svc, error, sizeof(error)) < 0)
		log_warning("corosync.conf did not follow the cluster: %s", error);
	else if (!is_there && svc->peer &&
		 (strncmp(key, "peer/", 5) == 0 || strncmp(key, "evicted/", 8) == 0))
		forget_peer(svc, key);
	else if (strncmp(key, "evicted/", 8) == 0 && svc->peer)
		enroll_admit_evicted(svc);
	else if (strncmp(key, "owner/vm/", 9) == 0)
		check_ownership(svc, key + 9);
	else if (strncmp(key, "vm/", 3) == 0 && vmproc_find(svc, key + 3))
		vmproc_sync_nics(vmproc_find(svc, key + 3));
	else if (strncmp(key, "switch/", 7) == 0 && svc->switchd && svc->peer)
		switchd_sync(svc->switchd);
	else if (strncmp(key, "peer/", 5) == 0 && svc->peer)
		cluster_for_each(svc->cluster, "peer/", connect_peer, svc);
}

static void on_housekeeping(void *data)
{
	struct svc *svc = data;

	state_events_cluster(svc);
	notify_status(svc);
	start_peer(svc);
	start_remote(svc);
	publish_node(svc);
	conf_housekeeping(svc);
	enroll_ask_peers(svc);
	svc_end_overdue(svc);
	if (svc->peer) /* its name is known: events have one */
		watchdog_touch(svc->watchdog);
	failback_look(svc);
	svc_recover(svc);
	node_state_keep(svc);
	vlan_watch_tick(svc->vlan_watch);
	loop_timer_add(svc->loop, HOUSEKEEPING_NS, on_housekeeping, svc, NULL);
}

/* ---- set-up ---- */

static int make_dir(const char *path)
{
	return mkdir(path, 0750) < 0 && errno != EEXIST ? -errno : 0;
}

/* Leases must be renewed however busy VMs keep the processors. */
static void be_preferred(void)
{
	if (setpriority(PRIO_PROCESS, 0, NICE) < 0)
		log_debug("no higher priority: %s", strerror(errno));
}

/* Each with what is to be done. */
static void store_failed(struct svc *svc, int error)
{
	const char *folder = svc->options.state_dir;

	if (error == -EBADMSG)
		log_error("the cluster's store %s/store.sqlite is damaged. Move store.sqlite, "
			  "store.sqlite-wal and store.sqlite-shm away and start viaductd again: "
			  "the other nodes give this one the store back",
			folder);
	else if (error == -EPROTONOSUPPORT)
		log_error("the cluster's store %s/store.sqlite was written by a newer viaduct. "
			  "Update viaduct on this node; or, to go back to this version, move "
			  "store.sqlite, store.sqlite-wal and store.sqlite-shm away: the other "
			  "nodes give the store back if they still speak what this version speaks",
			folder);
	else if (error == -EBUSY)
		log_error("the cluster's store %s/store.sqlite is in use: another viaductd runs "
			  "with the same state folder; a node has one",
			folder);
	else if (error == -ENOSPC)
		log_error("there is no room left for the cluster's store in %s; make room and "
			  "start viaductd again, nothing is lost",
			folder);
	else
		log_error("the cluster's store in %s cannot be used: %s", folder, strerror(-error));
}

static void on_copy_differs(void *data)
{
	struct svc *svc = data;
	const char *name = cluster_local_name(svc->cluster);
	char object[256];

	snprintf(object, sizeof(object), "node/%s", name);
	events_add(svc, EVENT_ERROR, "store.copy-differs", object,
		"the copy of the store that %s had differs from the others'; it is fetched anew. "
		"If that comes again, look at the node's memory",
		name);
}

static int set_up(struct svc *svc)
{
	const struct cluster_config config = {
		.state_dir = svc->options.state_dir,
		.lease_ns = svc->options.lease_ns,
	};
	const struct cluster_callbacks callbacks = {
		.changed = on_cluster_changed,
		.store_changed = on_store_changed,
		.copy_differs = on_copy_differs,
		.lease_renewed = svc_on_lease,
	};
	int r = make_dir(svc->options.state_dir);

	if (r == 0)
		r = make_dir(svc->options.log_dir);
	if (r < 0) {
		log_error("cannot make my folders: %s", strerror(-r));
		return r;
	}
	r = events_start(svc);
	if (r < 0)
		log_warning("events are not kept: %s", strerror(-r));
	svc->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (svc->kvm_fd < 0)
		log_warning("/dev/kvm cannot be used (%s): VMs cannot run on this node",
			strerror(errno));
	r = watchdog_start(svc);
	if (r == 0)
		r = node_facts_new(svc, &svc->facts);
	if (r == 0)
		r = place_watch_new(svc, &svc->place_watch);
	if (r == 0)
		r = vlan_watch_new(svc, &svc->vlan_watch);
	if (r < 0)
		return r;
	r = host_new(svc->options.state_dir, &svc->host);
	if (r < 0)
		log_warning("the host's network adapters cannot be managed: %s%s", strerror(-r),
			r == -EBADMSG ? " (nic-bindings.json in the state folder is damaged)" : "");
	child_hold_programs(svc);
	r = switchd_new(svc, &svc->switchd);
	if (r < 0) {
		log_error("viaduct-vswitchd cannot be started from %s: %s",
			svc->options.libexec_dir, strerror(-r));
		return r;
	}
	r = cluster_new(svc->loop, &config, &callbacks, svc, &svc->cluster);
	if (r < 0) {
		store_failed(svc, r);
		return r;
	}
	r = failover_new(svc, &svc->failover);
	if (r < 0)
		return r;
	r = ipc_server_new(svc->loop, svc->options.ipc_name, api_on_ipc, svc, &svc->ipc);
	if (r == 0)
		ipc_server_set_accept(svc->ipc, api_accept);
	else
		log_error(
			"the control socket '%s' cannot be opened: %s; does another viaductd run?",
			svc->options.ipc_name, strerror(-r));
	return r;
}

static void on_signal(int signal_number _unused_, void *data)
{
	struct svc *svc = data;

	log_info("asked to end; VMs of this node end with me");
	notify_stopping();
	loop_stop(svc->loop);
}

int main(int argc, char **argv)
{
	struct svc svc = {.kvm_fd = -1};
	bool debug = false;

	if (svc_options_read(argc, argv, &svc.options, &debug) < 0)
		return 2;
	log_init("viaductd", debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, STDERR_FILENO);
	list_init(&svc.vms);
	list_init(&svc.jobs);
	list_init(&svc.moves);
	list_init(&svc.starts);
	list_init(&svc.takes);
	list_init(&svc.words);
	list_init(&svc.invitations);
	signal(SIGPIPE, SIG_IGN);
	be_preferred();
	if (loop_new(&svc.loop) < 0 || loop_measure(svc.loop) < 0 || set_up(&svc) < 0)
		return 1;
	loop_signal_add(svc.loop, SIGTERM, on_signal, &svc);
	loop_signal_add(svc.loop, SIGINT, on_signal, &svc);
	conf_load_evicted(&svc);
	on_housekeeping(&svc);
	notify_ready();
	loop_run(svc.loop);

	/* Children are killed as their owner goes (PR_SET_PDEATHSIG), and the cluster notices by
	 * itself. */
	watchdog_stop(&svc);
	state_events_end(&svc);
	events_stop(&svc);
	corosync_service_end(&svc);
	remote_free(svc.remote);
	ipc_server_free(svc.ipc);
	failover_takes_end(&svc);
	failover_free(take_ptr(svc.failover));
	api_store_free(&svc);
	network_watch_free(&svc);
	cluster_free(svc.cluster);
	place_watch_free(svc.place_watch);
	vlan_watch_free(svc.vlan_watch);
	node_facts_free(svc.facts);
	switchd_free(svc.switchd);
	host_free(svc.host);
	log_fini();
	return 0;
}
