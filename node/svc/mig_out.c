/* SPDX-License-Identifier: MIT
 *
 * The source's side of a live migration, in five phases (names as libvirt's):
 *
 *   begin     checks; the networks that may be used, best first
 *   prepare   the target makes an empty VM with muted ports and listens on one network
 *   perform   pre-copy by viaduct-vmhost over sockets connected here
 *   finish    paused, target ready: mute our ports, then the commit (verdict.c)
 *   confirm   the target says that the VM runs; our process goes
 *
 * A failure before the commit leaves the VM running here. After it the VM never runs here again.
 */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/events.h"
#include "node/svc/netbytes.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PREPARE_TIMEOUT_NS (40 * NS_PER_SEC)
#define CONNECT_TIMEOUT_NS (3 * NS_PER_SEC)
#define CONFIRM_LOOK_NS    (1 * NS_PER_SEC)
#define CONFIRM_MAX_LOOKS  15
#define CALL_TIMEOUT_NS    (10 * NS_PER_SEC)
#define DEFAULT_CHANNELS   2
#define MAX_CHANNELS       8

enum out_step { OUT_PROBE, OUT_PREPARE, OUT_CONNECT, OUT_PERFORM, OUT_FINISH, OUT_CONFIRM };

struct mig_out {
	struct vmproc *vp;
	struct job *job;
	struct cluster_node target;
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n_nets, net_at;
	char preferred[CLUSTER_NAME_MAX_LEN + 1]; /* the network that it should take */
	char why_not[160];                        /* "": it can be tried */
	char local[64], remote[64];
	char key[65];
	unsigned n_channels;
	struct json *options;
	struct sockets *sockets;
	struct netbytes bytes_before;
	enum out_step step;
	struct json *report;  /* the last of viaduct-vmhost's */
	struct json *started; /* what the target said when the VM ran there */
	uint64_t paused_at_ns, started_at_ns, mute_ns, ports_ns, commit_ns;
	uint64_t confirm_timer;
	unsigned n_looks;
	bool process_done;
};

static void try_network(struct mig_out *out);

static void out_free(struct mig_out *out)
{
	loop_timer_remove(out->vp->svc->loop, out->confirm_timer);
	sockets_free(out->sockets);
	json_unref(out->options);
	json_unref(out->report);
	json_unref(out->started);
	explicit_bzero(out->key, sizeof(out->key));
	out->vp->out = NULL;
	free(out);
}

static void on_told(int error _unused_, const struct json *reply _unused_, void *data _unused_)
{
}

/* The target also notices by itself: through its sockets, and through the owner record. */
static void tell_target(struct mig_out *out, const char *op)
{
	struct json *message = json_object_new();

	json_set_string(message, "op", op);
	json_set_string(message, "vm", out->vp->name);
	json_set_int(message, "epoch", (int64_t)out->vp->epoch + 1);
	peer_call(out->vp->svc->peer, out->target.name, message, CALL_TIMEOUT_NS, on_told, NULL);
}

/* Over, and the VM stays here (if it lives). */
static void fail(struct mig_out *out, enum api_code code, const char *text)
{
	struct vmproc *vp = out->vp;
	struct job *job = out->job;
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", text);
	tell_target(out, "mig.abort");
	if (out->report)
		job_update(job, "failed", 0, json_ref(out->report));
	out_free(out);
	if (vp->state == VMPROC_RUNNING)
		vmproc_publish(vp->svc, vp->name, vp->epoch, "Running", "");
	job_finish(job, code == API_CANCELLED ? JOB_CANCELLED : JOB_FAILED, code, copy);
	if (vp->restart_wanted)
		vmproc_restart(vp);
}

/* ---- prepare ---- */

static void on_sockets(int error, const char *text, int *fds, size_t n_fds, void *data);

/* Another network than people expect: the traffic that they wanted to keep away is there now. */
static void note_fallback(struct mig_out *out)
{
	const struct cluster_net *net = &out->nets[out->net_at];
	char object[SVC_NAME_MAX_LEN + 8];

	if (!out->preferred[0] || strcmp(out->preferred, net->name) == 0)
		return;
	snprintf(object, sizeof(object), "vm/%s", out->vp->name);
	events_add(out->vp->svc, EVENT_WARNING, "migration.network-fallback", object,
		"the move of %s to %s takes network %s, and should take %s: %s", out->vp->name,
		out->target.name, net->name, out->preferred, out->why_not);
}

static void next_network(struct mig_out *out, const char *why)
{
	char object[SVC_NAME_MAX_LEN + 8];

	if (strcmp(out->preferred, out->nets[out->net_at].name) == 0)
		snprintf(out->why_not, sizeof(out->why_not), "%s", why);
	snprintf(object, sizeof(object), "vm/%s", out->vp->name);
	events_add(out->vp->svc, EVENT_WARNING, "migration.network-failed", object,
		"%s: network %s cannot be used: %s", out->job->id, out->nets[out->net_at].name,
		why);
	sockets_free(take_ptr(out->sockets));
	tell_target(out, "mig.abort");
	if (++out->net_at < out->n_nets) {
		try_network(out);
	} else {
		char text[256];

		snprintf(text, sizeof(text), "no migration network works; the last one: %s", why);
		fail(out, API_UNREACHABLE, text);
	}
}

static void on_prepared(int error, const struct json *reply, void *data)
{
	struct mig_out *out = job_ref_take(data);
	int64_t port;
	int r;

	if (!out || out->step != OUT_PREPARE)
		return;
	if (error < 0) {
		char text[200];

		snprintf(text, sizeof(text), "%s does not answer: %s", out->target.name,
			strerror(-error));
		fail(out, API_UNREACHABLE, text);
		return;
	}
	if (!json_get_bool(reply, "ok", false)) {
		fail(out, api_code_from_name(json_get_string(reply, "code", "")),
			json_get_string(reply, "error", "the target refused without a reason"));
		return;
	}
	port = json_get_int(reply, "port", 0);
	out->step = OUT_CONNECT;
	r = port < 1 || port > 65535 ? -EPROTO
				     : sockets_connect(out->vp->svc->loop, out->local, out->remote,
					       (uint16_t)port, 1 + out->n_channels,
					       CONNECT_TIMEOUT_NS, on_sockets, out, &out->sockets);
	if (r < 0)
		next_network(out, strerror(-r));
}

static const char *address_in(const struct cluster_net *net, uint32_t node_id)
{
	for (size_t i = 0; i < net->n_interfaces; i++) {
		if (net->interfaces[i].node_id == node_id)
			return net->interfaces[i].address;
	}
	return "";
}

static void try_network(struct mig_out *out)
{
	const struct cluster_net *net = &out->nets[out->net_at];
	struct svc *svc = out->vp->svc;
	struct json *message = json_object_new();
	struct job_ref *ref = job_ref_new(out->job);
	int r = -ENOMEM;

	out->step = OUT_PREPARE;
	snprintf(out->local, sizeof(out->local), "%s",
		address_in(net, cluster_local_id(svc->cluster)));
	snprintf(out->remote, sizeof(out->remote), "%s", address_in(net, out->target.id));
	json_set_string(message, "op", "mig.prepare");
	json_set_string(message, "kind", "live");
	json_set_string(message, "vm", out->vp->name);
	json_set_int(message, "epoch", (int64_t)out->vp->epoch + 1);
	json_set_stringf(
		message, "cpuid_digest", "%016llx", (unsigned long long)out->vp->cpuid_digest);
	json_set_string(message, "key", out->key);
	json_set_string(message, "local", out->remote);
	json_set_string(message, "remote", out->local);
	json_set_int(message, "sockets", 1 + out->n_channels);
	json_set(message, "offloads", json_copy(out->vp->offloads));
	job_update(out->job, "prepare", 0, NULL);
	if (ref)
		r = peer_call(
			svc->peer, out->target.name, message, PREPARE_TIMEOUT_NS, on_prepared, ref);
	else
		json_unref(message);
	if (r < 0) {
		free(ref);
		fail(out, API_UNREACHABLE, strerror(-r));
	}
}

/* ---- perform ---- */

static void on_performing(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;

	if (vp->out && error < 0)
		fail(vp->out, API_FAILED, json_get_string(reply, "error", strerror(-error)));
}

static void on_sockets(int error, const char *text, int *fds, size_t n_fds, void *data)
{
	struct mig_out *out = data;
	struct json *message;
	int r;

	if (error < 0) {
		next_network(out, text);
		return;
	}
	sockets_free(take_ptr(out->sockets));
	note_fallback(out);
	message = json_copy(out->options);
	json_set_string(message, "key", out->key);
	out->step = OUT_PERFORM;
	job_update(out->job, "perform", 1, NULL);
	r = chan_call(out->vp->chan, "mig.out", message, fds, n_fds, CALL_TIMEOUT_NS, on_performing,
		out->vp);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	if (r < 0)
		fail(out, API_FAILED, strerror(-r));
	else
		vmproc_publish(
			out->vp->svc, out->vp->name, out->vp->epoch, "Migrating", out->target.name);
}

static void on_ignored(int error _unused_, const struct json *reply _unused_, int *fds _unused_,
	size_t n_fds _unused_, void *data _unused_)
{
}

static int tell_process(struct vmproc *vp, const char *op, struct json *message)
{
	if (!vp->chan) {
		json_unref(message);
		return -EPIPE;
	}
	return chan_call(vp->chan, op, message, NULL, 0, CALL_TIMEOUT_NS, on_ignored, NULL);
}

static void tell_verdict(struct vmproc *vp, bool committed)
{
	struct json *message = json_object_new();

	json_set_bool(message, "committed", committed);
	tell_process(vp, "mig.finish", message);
}

static struct json *full_report(struct mig_out *out)
{
	const struct cluster_net *net = &out->nets[out->net_at];
	struct json *report = out->report ? json_copy(out->report) : json_object_new();
	struct json *path = json_object_new();
	struct json *blackout;

	json_set_string(path, "name", net->name);
	json_set_string(path, "subnet", net->subnet);
	json_set_string(path, "local", out->local);
	json_set_string(path, "remote", out->remote);
	json_delete(report, "path");
	json_set(report, "network", path);
	json_set(report, "networks", netbytes_json(out->vp->svc, &out->bytes_before));
	blackout = json_get(report, "blackout");
	if (!blackout) {
		blackout = json_object_new();
		json_set(report, "blackout", blackout);
	}
	json_set_int(blackout, "mute_ns", (int64_t)out->mute_ns);
	json_set_int(blackout, "ports_ns", (int64_t)out->ports_ns);
	json_set_int(blackout, "commit_ns", (int64_t)out->commit_ns);
	json_set_int(blackout, "start_ns", json_get_int(out->started, "start_ns", 0));
	/* From the pause to the news that the VM runs, by one clock: an upper bound. */
	json_set_int(blackout, "total_ns", (int64_t)(out->started_at_ns - out->paused_at_ns));
	return report;
}

/* ---- finish ---- */

static void confirm(struct mig_out *out)
{
	struct vmproc *vp = out->vp;
	struct job *job = out->job;

	/* Our own process has nothing left to say then: destroying the VM ends it. */
	if (out->step != OUT_CONFIRM || !out->started)
		return;
	job_update(job, "confirm", 99, full_report(out));
	out_free(out);
	vmproc_destroy(vp);
	job_finish(job, JOB_DONE, API_FAILED, "");
}

static void not_confirmed(struct mig_out *out)
{
	struct vmproc *vp = out->vp;
	struct job *job = out->job;
	char text[200];

	snprintf(text, sizeof(text),
		"%s owns the VM now but did not say that it runs there; see 'viaduct vm show %s'",
		out->target.name, vp->name);
	out_free(out);
	vmproc_destroy(vp);
	job_finish(job, JOB_FAILED, API_FAILED, text);
}

/* The target's own word may be lost on the way; what it published is not. */
static void on_confirm_look(void *data)
{
	struct mig_out *out = data;
	struct vmproc *vp = out->vp;
	const struct json *state = vm_runs_elsewhere(vp->svc, vp->name, vp->epoch + 1);

	out->confirm_timer = 0;
	if (state)
		mig_out_started(vp, state);
	else if (++out->n_looks == CONFIRM_MAX_LOOKS)
		not_confirmed(out);
	else
		loop_timer_add(
			vp->svc->loop, CONFIRM_LOOK_NS, on_confirm_look, out, &out->confirm_timer);
}

static void on_verdict(struct vmproc *vp, enum verdict verdict, uint64_t commit_ns)
{
	struct mig_out *out = vp->out;
	struct job *job;

	if (!out)
		return;
	out->commit_ns = commit_ns;
	switch (verdict) {
	case VERDICT_COMMITTED:
		tell_target(out, "mig.commit");
		tell_verdict(vp, true);
		out->step = OUT_CONFIRM;
		job_update(out->job, "confirm", 99, NULL);
		loop_timer_add(
			vp->svc->loop, CONFIRM_LOOK_NS, on_confirm_look, out, &out->confirm_timer);
		confirm(out);
		break;
	case VERDICT_KEPT:
		if (out->process_done) {
			fail(out, API_FAILED, "the VM's own process died during the move");
			vmproc_publish(vp->svc, vp->name, vp->epoch, "Failed", "its process died");
			vmproc_destroy(vp);
			break;
		}
		vmproc_unmute(vp);
		tell_verdict(vp, false); /* `mig.done` with an error ends the job */
		break;
	case VERDICT_LOST:
		job = out->job;
		out_free(out);
		vmproc_destroy(vp);
		job_finish(job, JOB_FAILED, API_CONFLICT,
			"the VM belongs to somebody else now; its copy here was thrown away");
		break;
	}
}

static void on_ports_handed_over(struct vmproc *vp, void *data)
{
	uint64_t *muted_at_ns = data;

	if (vp->out) {
		vp->out->ports_ns = clock_mono_ns() - *muted_at_ns;
		if (verdict_ask(vp, vp->out->target.id, on_verdict) < 0)
			tell_verdict(vp, false);
	}
	free(muted_at_ns);
}

static void on_muted(struct vmproc *vp, void *data)
{
	uint64_t *at_ns = data;
	uint64_t now_ns = clock_mono_ns();

	if (!vp->out) {
		free(at_ns);
		return;
	}
	vp->out->mute_ns = now_ns - *at_ns;
	*at_ns = now_ns;
	port_states_hand_over(vp, vp->out->target.name, on_ports_handed_over, at_ns);
}

/* When the VM stood still: what viaduct-vmhost has done since, step by step, ended just now. */
static uint64_t paused_at(const struct json *report)
{
	static const char *const steps[] = {
		"pause_ns", "save_ns", "sweep_ns", "send_ns", "target_ready_ns"};
	const struct json *blackout = json_get(report, "blackout");
	uint64_t at_ns = clock_mono_ns();

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		at_ns -= (uint64_t)json_get_int(blackout, steps[i], 0);
	return at_ns;
}

static void on_ready(struct mig_out *out)
{
	struct cluster_node target;
	uint64_t *now_ns = malloc(sizeof(*now_ns));

	out->step = OUT_FINISH;
	out->job->cancel = NULL; /* too late: the commit decides */
	out->paused_at_ns = paused_at(out->report);
	if (!now_ns || cluster_find_node(out->vp->svc->cluster, out->target.name, &target) < 0 ||
		!target.has_service) {
		free(now_ns);
		tell_verdict(out->vp, false);
		return;
	}
	*now_ns = clock_mono_ns();
	vmproc_mute(out->vp, on_muted, now_ns);
}

static void on_done(struct mig_out *out, const struct json *message)
{
	int64_t error = json_get_int(message, "error", 0);

	if (error == 0 || out->step == OUT_CONFIRM) {
		out->process_done = true;
		confirm(out);
		return;
	}
	fail(out, error == ECANCELED && out->step != OUT_FINISH ? API_CANCELLED : API_FAILED,
		json_get_string(message, "text", strerror((int)error)));
}

void mig_out_event(struct vmproc *vp, const char *op, const struct json *message)
{
	struct mig_out *out = vp->out;
	struct json *report = json_get(message, "report");

	if (report) {
		json_unref(out->report);
		out->report = json_ref(report);
	}
	/* Its first phase, the handshake, is already the performing one here. */
	if (strcmp(op, "mig.progress") == 0)
		job_update(out->job, "perform", (unsigned)json_get_int(report, "percent", 0),
			json_ref(report));
	else if (strcmp(op, "mig.ready") == 0 && out->step == OUT_PERFORM)
		on_ready(out);
	else if (strcmp(op, "mig.done") == 0)
		on_done(out, message);
}

void mig_out_started(struct vmproc *vp, const struct json *message)
{
	struct mig_out *out = vp->out;

	/* The news can overtake the answer to our own compare-and-set; the verdict still comes. */
	if (out->step < OUT_FINISH || out->started)
		return;
	out->started = json_copy(message);
	out->started_at_ns = clock_mono_ns();
	confirm(out);
}

/* ---- what else can happen ---- */

bool mig_out_vm_died(struct vmproc *vp)
{
	struct mig_out *out = vp->out;

	if (out->step >= OUT_FINISH) {
		/* The commit decides; if it happened the process was to go anyway. */
		out->process_done = true;
		confirm(out);
		return true;
	}
	fail(out, API_FAILED, "the VM's own process died during the move");
	return false;
}

void mig_out_cluster_changed(struct vmproc *vp)
{
	struct mig_out *out = vp->out;
	struct cluster_node target;
	char text[128];

	if (cluster_find_node(vp->svc->cluster, out->target.name, &target) == 0 &&
		target.has_service)
		return;
	snprintf(text, sizeof(text), "%s left the cluster during the move", out->target.name);
	if (out->step <= OUT_CONNECT)
		fail(out, API_UNREACHABLE, text);
	else if (out->step == OUT_PERFORM)
		tell_process(vp, "mig.cancel", NULL);
	else if (out->step == OUT_CONFIRM) {
		loop_timer_remove(vp->svc->loop, out->confirm_timer);
		out->confirm_timer = 0;
		not_confirmed(out);
	}
}

static int on_cancel(struct job *job _unused_, void *data)
{
	struct mig_out *out = data;

	if (out->step <= OUT_CONNECT) {
		fail(out, API_CANCELLED, "cancelled");
		return 0;
	}
	return out->step == OUT_PERFORM ? tell_process(out->vp, "mig.cancel", NULL) : -EBUSY;
}

static void on_reach(const char *error, void *data)
{
	struct mig_out *out = job_ref_take(data);

	if (!out || out->step != OUT_PROBE)
		return;
	if (error)
		fail(out, API_REFUSED, error);
	else
		try_network(out);
}

/* A VM that nobody reaches on the other side is not moved there. */
static int probe(struct mig_out *out)
{
	struct vmproc *vp = out->vp;
	struct job_ref *ref = job_ref_new(out->job);
	int r;

	out->step = OUT_PROBE;
	job_update(out->job, "probe", 0, NULL);
	r = ref ? reach_check_vm(vp->svc, vp->config, out->target.name, on_reach, ref) : -ENOMEM;
	if (r < 0) {
		free(ref);
		out_free(out);
	}
	return r;
}

static int make_key(char hex[65])
{
	uint8_t key[32];

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -EIO;
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	explicit_bzero(key, sizeof(key));
	return 0;
}

/* The networks that can be tried, in order, and the one that should be taken. */
static int find_networks(struct mig_out *out)
{
	struct cluster *cluster = out->vp->svc->cluster;
	struct cluster_path paths[CLUSTER_MAX_NETS];
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_paths(cluster, CLUSTER_CLASS_MIGRATION, cluster_local_id(cluster),
		out->target.id, nets, paths);

	if (n > 0 && paths[0].is_allowed) {
		snprintf(out->preferred, sizeof(out->preferred), "%s", nets[paths[0].net].name);
		if (!paths[0].is_usable)
			snprintf(out->why_not, sizeof(out->why_not), "%s", paths[0].why);
	}
	for (size_t i = 0; i < n; i++) {
		if (paths[i].is_usable)
			out->nets[out->n_nets++] = nets[paths[i].net];
	}
	return out->n_nets > 0 ? 0 : -ENETUNREACH;
}

int mig_out_start(struct vmproc *vp, struct job *job, const struct cluster_node *target,
	const struct json *options)
{
	struct svc *svc = vp->svc;
	struct mig_out *out = calloc(1, sizeof(*out));
	int r;

	if (!out)
		return -ENOMEM;
	out->vp = vp;
	out->job = job;
	out->target = *target;
	out->n_channels = (unsigned)json_get_int(options, "channels", DEFAULT_CHANNELS);
	if (out->n_channels < 1 || out->n_channels > MAX_CHANNELS)
		out->n_channels = DEFAULT_CHANNELS;
	out->options = json_object_new();
	json_set_int(out->options, "blackout_budget_ns",
		json_get_int(options, "blackout_ms", 0) * (int64_t)NS_PER_MS);
	json_set_int(out->options, "bandwidth_bytes_per_s",
		json_get_int(options, "bandwidth_bytes_per_s", 0));
	json_set_bool(out->options, "compress", json_get_bool(options, "compress", true));
	json_set_string(out->options, "to", target->name);
	json_set_int(out->options, "stall_timeout_ns", (int64_t)svc->options.migration_stall_ns);
	vp->out = out;
	r = make_key(out->key);
	if (r == 0)
		r = find_networks(out);
	if (r < 0) {
		out_free(out);
		return r;
	}
	netbytes_snapshot(svc, &out->bytes_before);
	job->cancel = on_cancel;
	job->data = out;
	return json_get_bool(options, "probe", true) ? probe(out) : (try_network(out), 0);
}
