/* SPDX-License-Identifier: MIT
 *
 * The target's side of a migration, live or quick: an empty VM with muted ports receives its state
 * and then waits. It starts when, and only when, the owner record names this node with the epoch
 * that was announced; it is thrown away when the source aborts, or when the source is gone and the
 * record of a synced, quorate store still does not name us.
 */
#include "node/svc/svc.h"
#include "node/svc/nic.h"
#include "node/svc/node.h"
#include "node/svc/node_limit.h"

#include "base/clock.h"
#include "base/log.h"
#include "csv/csv.h"
#include "node/svc/events.h"

#include <stdio.h>
#include <string.h>

#define ACCEPT_TIMEOUT_NS (10 * NS_PER_SEC)
#define CALL_TIMEOUT_NS   (10 * NS_PER_SEC)
#define LOAD_TIMEOUT_NS   (600 * NS_PER_SEC)

struct mig_in {
	struct vmproc *vp;
	char from[SVC_NAME_MAX_LEN + 1];
	bool quick;
	char key[65];
	char local[64], remote[64];
	size_t n_sockets;
	uint64_t source_cpuid_digest;
	struct sockets *sockets;
	struct peer_request *request;                 /* not yet answered: prepare or load */
	char volume[SVC_NAME_MAX_LEN + 1], file[128]; /* quick: to remove when started */
	bool ready, confirming, committed;
	uint64_t committed_ns;
};

static void refuse(struct peer_request *request, enum api_code code, const char *text)
{
	struct json *reply = json_object_new();

	json_set_bool(reply, "ok", false);
	json_set_string(reply, "code", api_code_name(code));
	json_set_string(reply, "error", text);
	peer_reply(request, reply);
}

static void in_free(struct mig_in *in)
{
	sockets_free(in->sockets);
	explicit_bzero(in->key, sizeof(in->key));
	in->vp->in = NULL;
	free(in);
}

static bool owns(const struct vmproc *vp)
{
	struct cluster_owner owner;
	char object[SVC_NAME_MAX_LEN + 8];

	snprintf(object, sizeof(object), "vm/%s", vp->name);
	return cluster_owner_get(vp->svc->cluster, object, &owner) == 0 &&
	       owner.node_id == cluster_local_id(vp->svc->cluster) && owner.epoch == vp->epoch;
}

/* Throw the arriving VM away. */
static void discard(struct mig_in *in, enum api_code code, const char *text)
{
	struct vmproc *vp = in->vp;

	log_warning("%s, arriving from %s, is thrown away: %s", vp->name, in->from, text);
	if (owns(vp))
		vmproc_publish(vp->svc, vp->name, vp->epoch, "Failed", text);
	if (in->request)
		refuse(take_ptr(in->request), code, text);
	in_free(in);
	vmproc_destroy(vp);
}

/* ---- starting: the commit is known ---- */

static void on_told(int error, const struct json *reply _unused_, void *data _unused_)
{
	if (error < 0)
		log_debug("the source did not hear that the VM runs: %s", strerror(-error));
}

static void on_volume_taken(int error, uint64_t version _unused_, void *data)
{
	_cleanup_free_ char *volume = data;

	if (error < 0)
		log_warning("volume %s did not change its owner: %s", volume, strerror(-error));
}

/* The volume's ownership follows the VM; the file carries the epoch in its name, so nobody's later
 * state can be meant. */
static void remove_state_file(struct mig_in *in)
{
	char error[200];
	char *note;
	int dir;

	if (volume_open(in->vp->svc, in->volume, &dir, error, sizeof(error)) < 0)
		return;
	csv_saved_remove(dir, in->file);
	close(dir);
	note = strdup(in->volume);
	if (note && volume_take(in->vp->svc, in->volume, on_volume_taken, note) < 0)
		free(note);
}

static void on_started(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;
	struct mig_in *in = vp->in;
	char object[SVC_NAME_MAX_LEN + 8];
	struct json *message;

	if (!in)
		return;
	if (error < 0) {
		vmproc_publish(vp->svc, vp->name, vp->epoch, "Failed",
			json_get_string(reply, "error", strerror(-error)));
		in_free(in);
		vmproc_destroy(vp);
		return;
	}
	vp->state = VMPROC_RUNNING;
	message = json_object_new();
	json_set_string(message, "op", "mig.started");
	json_set_string(message, "vm", vp->name);
	json_set_int(message, "epoch", (int64_t)vp->epoch);
	json_set_int(message, "start_ns", (int64_t)(clock_mono_ns() - in->committed_ns));
	peer_call(vp->svc->peer, in->from, message, CALL_TIMEOUT_NS, on_told, NULL);
	snprintf(object, sizeof(object), "vm/%s", vp->name);
	events_add(
		vp->svc, EVENT_INFO, "vm.arrived", object, "it arrived from %s and runs", in->from);
	snprintf(vp->said, sizeof(vp->said), "Running");
	vmproc_publish(vp->svc, vp->name, vp->epoch, "Running", "");
	vmproc_sync_nics(vp);
	if (in->quick)
		remove_state_file(in);
	in_free(in);
}

static void start_here(struct mig_in *in)
{
	struct vmproc *vp = in->vp;
	int r;

	if (in->committed || !in->ready || !owns(vp) || !cluster_is_quorate(vp->svc->cluster) ||
		!svc_has_lease(vp->svc))
		return;
	in->committed = true;
	in->committed_ns = clock_mono_ns();
	r = vmproc_start(vp, on_started, vp);
	if (r < 0)
		on_started(r, NULL, NULL, 0, vp);
}

struct confirmation {
	struct svc *svc;
	char name[SVC_NAME_MAX_LEN + 1];
	uint64_t epoch;
};

static void on_confirmed(int error, uint64_t version _unused_, void *data)
{
	_cleanup_free_ struct confirmation *c = data;
	struct vmproc *vp = vmproc_find(c->svc, c->name);

	if (!vp || !vp->in || vp->epoch != c->epoch)
		return;
	vp->in->confirming = false;
	if (error == 0)
		start_here(vp->in);
	/* otherwise the cluster is changing: the next change asks again */
}

/* The record is ours, but as far as we know only here: a record that was delivered and not
 * confirmed can be lost with us, and then the source would go on. A write of our own, confirmed by
 * every member, has every write before it confirmed as well. The source says so too when its own
 * compare-and-set is done (mig_in_commit); the first of the two counts. */
static void confirm(struct mig_in *in)
{
	struct vmproc *vp = in->vp;
	struct confirmation *c = calloc(1, sizeof(*c));
	struct json *value = json_object_new();
	char key[SVC_NAME_MAX_LEN + 16];

	snprintf(key, sizeof(key), "vmstate/%s", vp->name);
	json_set_string(value, "node", cluster_local_name(vp->svc->cluster));
	json_set_int(value, "epoch", (int64_t)vp->epoch);
	json_set_string(value, "state", "Starting");
	json_set_string(value, "reason", "");
	json_set_int(value, "since", (int64_t)(clock_real_ns() / NS_PER_SEC));
	if (!c) {
		json_unref(value);
		return;
	}
	c->svc = vp->svc;
	c->epoch = vp->epoch;
	memcpy(c->name, vp->name, sizeof(c->name));
	in->confirming = true;
	if (cluster_cas(vp->svc->cluster, key, CLUSTER_ANY_VERSION, value, on_confirmed, c) < 0) {
		in->confirming = false;
		free(c);
	}
}

void mig_in_owner_changed(struct vmproc *vp)
{
	struct mig_in *in = vp->in;

	/* The record can come before our own process's word that it is ready, which the source has
	 * had already: the later of the two starts the VM. */
	if (!in->committed && !in->confirming && in->ready && owns(vp))
		confirm(in);
}

void mig_in_commit(struct svc *svc, const char *from, const struct json *message)
{
	struct vmproc *vp = vmproc_find(svc, json_get_string(message, "vm", ""));

	if (!vp || !vp->in || strcmp(vp->in->from, from) != 0 ||
		(uint64_t)json_get_int(message, "epoch", 0) != vp->epoch)
		return;
	start_here(vp->in);
}

/* ---- receiving ---- */

static void on_receiving(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;

	if (vp->in && error < 0)
		discard(vp->in, API_FAILED, json_get_string(reply, "error", strerror(-error)));
}

static void on_sockets(int error, const char *text, int *fds, size_t n_fds, void *data)
{
	struct mig_in *in = data;
	struct json *message;
	int r;

	if (error < 0) {
		discard(in, API_UNREACHABLE, text);
		return;
	}
	sockets_free(take_ptr(in->sockets));
	message = json_object_new();
	json_set_string(message, "key", in->key);
	json_set_int(message, "stall_timeout_ns", (int64_t)in->vp->svc->options.migration_stall_ns);
	r = chan_call(
		in->vp->chan, "mig.in", message, fds, n_fds, CALL_TIMEOUT_NS, on_receiving, in->vp);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	if (r < 0)
		discard(in, API_FAILED, strerror(-r));
}

void mig_in_event(struct vmproc *vp, const char *op, const struct json *message)
{
	struct mig_in *in = vp->in;

	if (strcmp(op, "mig.in.ready") == 0) {
		in->ready = true;
		mig_in_owner_changed(vp);
	} else if (strcmp(op, "mig.in.failed") == 0 && !in->committed) {
		discard(in, API_FAILED, json_get_string(message, "text", "the stream broke"));
	}
}

/* ---- preparing ---- */

static void on_vm_prepared(struct vmproc *vp, int error, const char *text, void *data)
{
	struct mig_in *in = data;
	struct json *reply;
	uint16_t port = 0;
	int r = 0;

	if (error < 0) {
		discard(in, API_REFUSED, text);
		return;
	}
	if (in->source_cpuid_digest != vp->cpuid_digest) {
		discard(in, API_REFUSED,
			"its processors look different from the source's (CPUID differs): the "
			"guest would "
			"not survive the change");
		return;
	}
	if (!in->quick)
		r = sockets_accept(vp->svc->loop, in->local, in->remote, in->n_sockets,
			ACCEPT_TIMEOUT_NS, on_sockets, in, &port, &in->sockets);
	if (r < 0) {
		discard(in, API_UNREACHABLE, strerror(-r));
		return;
	}
	reply = json_object_new();
	json_set_bool(reply, "ok", true);
	json_set_int(reply, "port", port);
	peer_reply(take_ptr(in->request), reply);
}

/* NULL, or why this node cannot take the VM. */
static const char *check_room(struct svc *svc, const char *name, const struct json *config,
	enum api_code *ret_code, char *text, size_t size_bytes)
{
	uint64_t need = vm_config_room(config), free_bytes = svc_memory_free(svc);
	const char *node = cluster_local_name(svc->cluster);
	const struct json *nics = json_get(config, "nics");
	char found[SVC_NAME_MAX_LEN + 1];

	*ret_code = API_REFUSED;
	for (size_t i = 0; i < json_length(nics); i++) {
		const char *reference = json_get_string(json_at(nics, i), "switch", "");

		if (!switchd_resolve(svc, node, reference, found, sizeof(found))) {
			snprintf(text, size_bytes,
				"%s has no switch called '%s', nor one with that logical name",
				node, reference);
			return text;
		}
	}
	if (svc->kvm_fd < 0) {
		snprintf(text, size_bytes, "%s has no usable /dev/kvm", node);
		return text;
	}
	if (!node_limit_has_room(svc, text, size_bytes)) {
		*ret_code = API_FULL;
		return text;
	}
	if (need > free_bytes) {
		*ret_code = API_FULL;
		snprintf(text, size_bytes,
			"%s is full: %llu MiB free for VMs of %llu MiB, %s needs %llu MiB", node,
			(unsigned long long)(free_bytes >> 20),
			(unsigned long long)(svc->options.vm_memory_bytes >> 20), name,
			(unsigned long long)(need >> 20));
		return text;
	}
	return NULL;
}

static bool source_owns(struct svc *svc, const char *name, const char *from, uint64_t epoch)
{
	struct cluster_owner owner;
	struct cluster_node node;
	char object[SVC_NAME_MAX_LEN + 8];

	snprintf(object, sizeof(object), "vm/%s", name);
	return cluster_owner_get(svc->cluster, object, &owner) == 0 &&
	       cluster_find_node(svc->cluster, from, &node) == 0 && owner.node_id == node.id &&
	       owner.epoch + 1 == epoch;
}

static struct mig_in *in_new(
	const char *from, const struct json *message, struct peer_request *request)
{
	struct mig_in *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	snprintf(in->from, sizeof(in->from), "%s", from);
	in->quick = strcmp(json_get_string(message, "kind", ""), "quick") == 0;
	snprintf(in->key, sizeof(in->key), "%s", json_get_string(message, "key", ""));
	snprintf(in->local, sizeof(in->local), "%s", json_get_string(message, "local", ""));
	snprintf(in->remote, sizeof(in->remote), "%s", json_get_string(message, "remote", ""));
	in->n_sockets = (size_t)json_get_int(message, "sockets", 0);
	in->source_cpuid_digest = strtoull(json_get_string(message, "cpuid_digest", "0"), NULL, 16);
	in->request = request;
	return in;
}

void mig_in_prepare(
	struct svc *svc, struct peer_request *request, const char *from, const struct json *message)
{
	const char *name = json_get_string(message, "vm", "");
	uint64_t epoch = (uint64_t)json_get_int(message, "epoch", 0);
	const struct json *config;
	struct json *offloads = json_get(message, "offloads");
	struct vmproc *vp = svc_name_is_valid(name) ? vmproc_find(svc, name) : NULL;
	enum api_code code = API_REFUSED;
	char key[SVC_NAME_MAX_LEN + 8], text[256];
	const char *why = NULL;
	uint64_t version;
	struct mig_in *in;
	int r;

	/* An earlier attempt of the same source is superseded: its abort may have been lost. */
	if (vp && mig_in_expects(vp, from))
		discard(vp->in, API_CANCELLED, "the source begins again");
	snprintf(key, sizeof(key), "vm/%s", name);
	if (!svc_name_is_valid(name) || cluster_get(svc->cluster, key, &config, &version) < 0)
		why = "there is no VM of that name in the store";
	else if (node_is_paused(svc, cluster_local_name(svc->cluster)))
		why = "this node is paused: it takes no VMs";
	else if (!source_owns(svc, name, from, epoch))
		why = "the source does not own the VM with that epoch";
	else if (vmproc_find(svc, name))
		why = "a VM of that name exists here already";
	else if (offloads && !nic_offloads_are_valid(offloads, config))
		why = "what its adapters were started with does not fit its configuration";
	else
		why = check_room(svc, name, config, &code, text, sizeof(text));
	if (why) {
		refuse(request, code, why);
		return;
	}
	in = in_new(from, message, request);
	r = in ? vmproc_new(svc, name, (struct json *)config, offloads, epoch, true, on_vm_prepared,
			 in, &vp)
	       : -ENOMEM;
	if (r < 0) {
		free(in);
		refuse(request, API_FAILED, strerror(-r));
		return;
	}
	in->vp = vp;
	vp->in = in;
}

/* ---- quick migration: read the file that the source wrote ---- */

static void on_loaded(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;
	struct mig_in *in = vp->in;
	struct json *answer;

	if (!in || !in->request)
		return;
	if (error < 0) {
		discard(in, API_FAILED, json_get_string(reply, "error", strerror(-error)));
		return;
	}
	in->ready = true;
	answer = json_copy(reply);
	json_set_bool(answer, "ok", true);
	peer_reply(take_ptr(in->request), answer);
	mig_in_owner_changed(vp);
}

void mig_in_load(
	struct svc *svc, struct peer_request *request, const char *from, const struct json *message)
{
	struct vmproc *vp = vmproc_find(svc, json_get_string(message, "vm", ""));
	const char *volume = json_get_string(message, "volume", "");
	const char *file = json_get_string(message, "file", "");
	_cleanup_close_ int dir = -1, fd = -1;
	char error[200];
	int r;

	if (!vp || !vp->in || !vp->in->quick || vp->in->request || vp->in->ready ||
		strcmp(vp->in->from, from) != 0 || strlen(file) >= sizeof(vp->in->file) ||
		!svc_name_is_valid(volume)) {
		refuse(request, API_CONFLICT, "no such quick migration was prepared");
		return;
	}
	vp->in->request = request;
	r = volume_open(svc, volume, &dir, error, sizeof(error));
	if (r < 0) {
		discard(vp->in, API_REFUSED, error);
		return;
	}
	r = csv_saved_open(dir, file, &fd);
	if (r < 0) {
		snprintf(error, sizeof(error), "%s on volume %s cannot be opened: %s", file, volume,
			strerror(-r));
		discard(vp->in, API_FAILED, error);
		return;
	}
	strcpy(vp->in->volume, volume);
	strcpy(vp->in->file, file);
	r = chan_call(vp->chan, "vm.load", NULL, &fd, 1, LOAD_TIMEOUT_NS, on_loaded, vp);
	if (r < 0)
		discard(vp->in, API_FAILED, strerror(-r));
}

/* ---- what else can happen ---- */

bool mig_in_expects(const struct vmproc *vp, const char *from)
{
	return vp->in && !vp->in->committed && strcmp(vp->in->from, from) == 0;
}

void mig_in_abort(struct svc *svc, const char *from, const struct json *message)
{
	struct vmproc *vp = vmproc_find(svc, json_get_string(message, "vm", ""));

	if (vp && mig_in_expects(vp, from) &&
		(uint64_t)json_get_int(message, "epoch", 0) == vp->epoch)
		discard(vp->in, API_CANCELLED, "the source gave up");
}

void mig_in_vm_died(struct vmproc *vp)
{
	discard(vp->in, API_FAILED, "its process died just when it arrived");
}

void mig_in_cluster_changed(struct vmproc *vp)
{
	struct mig_in *in = vp->in;
	struct cluster *cluster = vp->svc->cluster;
	struct cluster_node source;

	mig_in_owner_changed(vp);
	if (vp->in != in || in->committed || !cluster_is_synced(cluster) ||
		!cluster_is_quorate(cluster) || owns(vp))
		return;
	/* The group's membership changes in order with its messages: once the source has left it
	 * and the store is synced, no commit of the source can still be on its way. */
	if (cluster_find_node(cluster, in->from, &source) < 0 || !source.has_service)
		discard(in, API_UNREACHABLE, "the source left the cluster before the commit");
}
