/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"
#include "node/svc/nic.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/events.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CALL_TIMEOUT_NS (30 * NS_PER_SEC)

static void prepare_next(struct vmproc *vp);

struct vmproc *vmproc_find(struct svc *svc, const char *name)
{
	struct vmproc *vp;

	list_for_each(vp, &svc->vms, link) {
		if (strcmp(vp->name, name) == 0)
			return vp;
	}
	return NULL;
}

uint64_t vm_config_room(const struct json *config)
{
	int64_t max = json_get_int(config, "max_memory_bytes", 0);

	return MAX(vm_config_memory(config), max > 0 ? (uint64_t)max : 0);
}

uint64_t vm_config_memory(const struct json *config)
{
	int64_t bytes = json_get_int(config, "memory_bytes", 0);

	return bytes > 0 ? (uint64_t)bytes : 0;
}

uint64_t svc_memory_free(const struct svc *svc)
{
	uint64_t used = 0;
	struct vmproc *vp;

	list_for_each(vp, &svc->vms, link)
		used += vm_config_room(vp->config);
	return used < svc->options.vm_memory_bytes ? svc->options.vm_memory_bytes - used : 0;
}

/* ---- end of life ---- */

static void free_now(struct vmproc *vp)
{
	struct api_call *call, *after;

	list_for_each_safe(call, after, &vp->console.waiters, link)
		api_fail(call, API_CONFLICT, "%s does not run here any more", vp->name);
	for (size_t i = 0; i < ARRAY_LEN(vp->port_fds); i++)
		close_fd(vp->port_fds[i]);
	console_fini(&vp->console);
	json_unref(vp->config);
	json_unref(vp->offloads);
	free(vp);
}

void vmproc_put(struct vmproc *vp)
{
	vp->n_pending--;
	if (vp->dying && vp->n_pending == 0)
		free_now(vp);
}

static void on_port_removed(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;

	if (error < 0)
		log_warning("a port of %s could not be removed: %s", vp->name,
			json_get_string(reply, "error", strerror(-error)));
	vmproc_put(vp);
}

static struct json *port_message(const struct vmproc *vp, unsigned nic)
{
	struct json *message = json_object_new();

	json_set_stringf(message, "port", "%s/nic%u", vp->name, nic);
	return message;
}

static void remove_ports(struct vmproc *vp)
{
	for (unsigned i = 0; i < vp->n_ports; i++) {
		vp->n_pending++;
		if (switchd_call(vp->svc->switchd, "port.remove", port_message(vp, i),
			    on_port_removed, vp) < 0)
			vp->n_pending--;
	}
	vp->n_ports = 0;
}

/* Nobody answers them any more: `reason`, or NULL when the VM may be somewhere else by now. */
static void end_calls(struct vmproc *vp, const char *reason)
{
	struct api_call *call, *after;

	list_for_each_safe(call, after, &vp->calls, link) {
		const char *op = json_get_string(call->message, "op", "");

		if (!reason)
			api_again(call);
		/* Perhaps before it had said that it would: what was asked for happened. */
		else if (strcmp(op, "vm.shutdown") == 0)
			api_reply(call, NULL);
		else
			api_fail(call, API_CONFLICT, "%s: %s", vp->name, reason);
	}
}

void vmproc_destroy(struct vmproc *vp)
{
	if (vp->dying)
		return;
	vp->dying = true;
	list_remove(&vp->link);
	verdict_forget(vp);
	viewer_free(take_ptr(vp->viewer));
	vm_disks_forget(vp);
	chan_free(take_ptr(vp->chan));
	save_forget(vp);
	end_calls(vp, NULL);
	proc_free(take_ptr(vp->proc));
	vp->n_pending++;
	remove_ports(vp);
	vmproc_put(vp);
}

/* The process or its guest is gone: whoever is moving it decides first. */
void vmproc_died(struct vmproc *vp, const char *state, const char *reason)
{
	void (*prepared)(struct vmproc *, int, const char *, void *) = vp->prepared;

	log_debug("%s: %s", vp->name, reason);
	vp->state = VMPROC_FAILED;
	chan_free(take_ptr(vp->chan));
	save_forget(vp);
	end_calls(vp, reason);
	if (prepared) {
		vp->prepared = NULL;
		snprintf(vp->error, sizeof(vp->error), "%s", reason);
		prepared(vp, -ECHILD, vp->error, vp->prepared_data);
		return;
	}
	if (vp->in) {
		mig_in_vm_died(vp);
		return;
	}
	if ((vp->out && mig_out_vm_died(vp)) || (vp->quick && quick_out_vm_died(vp)))
		return;
	if (vp->starting)
		vm_start_over(take_ptr(vp->starting), vp->epoch, reason);
	else if (strcmp(state, VMPROC_LOST) == 0)
		vmproc_publish_lost(vp->svc, vp->name, vp->epoch, reason);
	else
		vmproc_publish(vp->svc, vp->name, vp->epoch, state, reason);
	vmproc_destroy(vp);
}

static void on_process_exit(struct proc *proc _unused_, int wait_status, void *data)
{
	struct vmproc *vp = data;
	char text[96], reason[160];

	if (vmproc_lease_is_over(vp))
		snprintf(reason, sizeof(reason),
			"its lease ran out: this node was cut off from the cluster");
	else
		snprintf(reason, sizeof(reason), "its process %s",
			proc_status_text(wait_status, text, sizeof(text)));
	vmproc_died(vp, vmproc_lease_is_over(vp) ? VMPROC_LOST : "Failed", reason);
}

static void on_channel_close(struct chan *chan _unused_, int error, void *data)
{
	struct vmproc *vp = data;

	/* -EPIPE: the exit follows. A process that breaks the protocol is killed into one. */
	if (error != -EPIPE && vp->proc)
		proc_signal(vp->proc, SIGKILL);
}

/* ---- preparing: ports one after the other, then the process, then its configuration ---- */

static void prepared(struct vmproc *vp, int error, const char *text)
{
	void (*fn)(struct vmproc *, int, const char *, void *) = vp->prepared;

	if (!fn)
		return;
	vp->prepared = NULL;
	if (error == 0)
		vp->state = vp->incoming ? VMPROC_INCOMING : VMPROC_PAUSED;
	fn(vp, error, text, vp->prepared_data);
}

static void on_configured(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;

	if (error < 0) {
		prepared(vp, error, json_get_string(reply, "error", strerror(-error)));
		return;
	}
	vp->cpuid_digest = strtoull(json_get_string(reply, "cpuid_digest", "0"), NULL, 16);
	vm_disks_attach(vp, prepared);
}

static struct json *configure_message(const struct vmproc *vp)
{
	struct json *message = json_object_new();
	struct json *nics = json_array_new();

	for (unsigned i = 0; i < vp->n_nics; i++) {
		const struct json *nic = json_at(json_get(vp->config, "nics"), i);
		struct json *entry = json_object_new();

		json_set_string(entry, "mac", json_get_string(nic, "mac", ""));
		json_set_int(entry, "mtu", json_get_int(nic, "mtu", 1500));
		json_set_bool(entry, "spoofing", json_get_bool(nic, "spoofing", false));
		json_set(entry, "offload", json_copy(json_at(vp->offloads, i)));
		json_append(nics, entry);
	}
	json_set_string(message, "name", vp->name);
	json_set_int(message, "vps", json_get_int(vp->config, "vps", 1));
	json_set_int(message, "memory_bytes", (int64_t)vp->memory_bytes);
	json_set_int(message, "min_memory_bytes",
		json_get_int(vp->config, "min_memory_bytes", (int64_t)vp->memory_bytes));
	json_set_int(message, "max_memory_bytes",
		json_get_int(vp->config, "max_memory_bytes", (int64_t)vp->memory_bytes));
	json_set_int(message, "vram_bytes", json_get_int(vp->config, "vram_bytes", 0));
	json_set_string(message, "cmdline", json_get_string(vp->config, "cmdline", ""));
	json_set_bool(message, "initrd", json_get_string(vp->config, "initrd", NULL) != NULL);
	json_set_bool(message, "incoming", vp->incoming);
	json_set(message, "nics", nics);
	return message;
}

/* `what` of the configuration, for reading. */
static int open_file(struct vmproc *vp, const char *what, int *ret_fd)
{
	const char *path = json_get_string(vp->config, what, "");
	int r;

	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret_fd >= 0)
		return 0;
	r = -errno;
	snprintf(vp->error, sizeof(vp->error), "its %s %s cannot be opened: %s", what, path,
		strerror(-r));
	return r;
}

static int configure(struct vmproc *vp)
{
	int fds[3 + 3 * SVC_MAX_NICS];
	size_t n = 0;
	_cleanup_close_ int kernel = -1, initrd = -1;
	int r = 0;

	fds[n++] = vp->svc->kvm_fd;
	for (unsigned i = 0; i < 3 * vp->n_nics; i++)
		fds[n++] = vp->port_fds[i];
	if (!vp->incoming) {
		r = open_file(vp, "kernel", &kernel);
		fds[n++] = kernel;
	}
	if (r == 0 && !vp->incoming && json_get_string(vp->config, "initrd", NULL)) {
		r = open_file(vp, "initrd", &initrd);
		fds[n++] = initrd;
	}
	if (r < 0)
		return r;
	return chan_call(vp->chan, "vm.configure", configure_message(vp), fds, n, CALL_TIMEOUT_NS,
		on_configured, vp);
}

static int spawn(struct vmproc *vp)
{
	char title[SVC_NAME_MAX_LEN + 16], log_name[SVC_NAME_MAX_LEN + 16];
	const struct child_spec spec = {
		.program = "viaduct-vmhost",
		.title = title,
		.log_name = log_name,
		.on_exit = on_process_exit,
		.on_message = vmproc_on_message,
		.on_close = on_channel_close,
		.data = vp,
	};

	snprintf(title, sizeof(title), "vmhost-%s", vp->name);
	snprintf(log_name, sizeof(log_name), "vm-%s.log", vp->name);
	return child_start(vp->svc, &spec, &vp->proc, &vp->chan);
}

static void on_port_added(int error, const struct json *reply, int *fds, size_t n_fds, void *data)
{
	struct vmproc *vp = data;

	if (!vp->dying && error == 0 && n_fds == 3) {
		for (unsigned i = 0; i < 3; i++)
			vp->port_fds[3 * vp->n_ports + i] = take_fd(&fds[i]);
		vp->n_ports++;
		prepare_next(vp);
	} else if (!vp->dying) {
		snprintf(vp->error, sizeof(vp->error), "network adapter %u: %s", vp->n_ports,
			json_get_string(reply, "error", error ? strerror(-error) : "bad answer"));
		prepared(vp, error ? error : -EBADMSG, vp->error);
	}
	vmproc_put(vp);
}

static int add_port(struct vmproc *vp)
{
	const struct json *nic = json_at(json_get(vp->config, "nics"), vp->n_ports);
	const char *reference = json_get_string(nic, "switch", "");
	const char *node = cluster_local_name(vp->svc->cluster);
	char name[SVC_NAME_MAX_LEN + 1];
	struct json *message;
	int r;

	if (!switchd_resolve(vp->svc, node, reference, name, sizeof(name))) {
		snprintf(vp->error, sizeof(vp->error),
			"network adapter %u: %s has no switch called '%s', nor one with that "
			"logical name",
			vp->n_ports, node, reference);
		return -ENOENT;
	}
	message = port_message(vp, vp->n_ports);
	json_set_string(message, "switch", name);
	json_set_string(message, "mac", json_get_string(nic, "mac", ""));
	nic_policy_set(nic, message);
	json_set_bool(message, "muted", vp->incoming);
	vp->n_pending++;
	r = switchd_call(vp->svc->switchd, "port.add", message, on_port_added, vp);
	if (r < 0)
		vp->n_pending--;
	return r;
}

static void prepare_next(struct vmproc *vp)
{
	int r;

	if (vp->n_ports < vp->n_nics) {
		r = add_port(vp);
	} else {
		r = spawn(vp);
		if (r == 0)
			r = configure(vp);
	}
	if (r < 0)
		prepared(vp, r, vp->error[0] ? vp->error : strerror(-r));
}

static void prepare_job(void *data)
{
	struct vmproc *vp = data;

	if (!vp->dying)
		prepare_next(vp);
	vmproc_put(vp);
}

int vmproc_new(struct svc *svc, const char *name, struct json *config, struct json *offloads,
	uint64_t epoch, bool incoming,
	void (*fn)(struct vmproc *vp, int error, const char *text, void *data), void *data,
	struct vmproc **ret_vp)
{
	struct vmproc *vp;
	int r;

	if (svc->kvm_fd < 0)
		return -ENODEV;
	if (vmproc_find(svc, name))
		return -EEXIST;
	if (json_length(json_get(config, "nics")) > SVC_MAX_NICS)
		return -EINVAL;
	vp = calloc(1, sizeof(*vp));
	if (!vp)
		return -ENOMEM;
	vp->svc = svc;
	snprintf(vp->name, sizeof(vp->name), "%s", name);
	vp->config = json_ref(config);
	vp->offloads = offloads ? json_ref(offloads) : nic_offloads(config);
	vp->epoch = epoch;
	vp->incoming = incoming;
	vp->memory_bytes = vm_config_memory(config);
	vp->n_nics = (unsigned)json_length(json_get(config, "nics"));
	vp->prepared = fn;
	vp->prepared_data = data;
	list_init(&vp->calls);
	console_init(&vp->console, svc->options.log_dir, name);
	snprintf(vp->heartbeat, sizeof(vp->heartbeat), "no contact");
	for (size_t i = 0; i < ARRAY_LEN(vp->port_fds); i++)
		vp->port_fds[i] = -1;
	/* From the loop, so that the callback never comes before this function returns. */
	r = loop_job_add(svc->loop, prepare_job, vp);
	if (r < 0) {
		free_now(vp);
		return r;
	}
	vp->n_pending = 1;
	list_append(&svc->vms, &vp->link);
	*ret_vp = vp;
	return 0;
}

/* ---- running ---- */

static void on_port_opened(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;

	if (error < 0)
		log_error("%s: a port could not be opened: %s", vp->name,
			json_get_string(reply, "error", strerror(-error)));
	vmproc_put(vp);
}

void vmproc_unmute(struct vmproc *vp)
{
	for (unsigned i = 0; i < vp->n_ports; i++) {
		vp->n_pending++;
		if (switchd_call(vp->svc->switchd, "port.open", port_message(vp, i), on_port_opened,
			    vp) < 0)
			vp->n_pending--;
	}
}

int vmproc_start(struct vmproc *vp, chan_reply_fn fn, void *data)
{
	int r;

	if (!vp->chan)
		return -EPIPE;
	r = vmproc_send_lease(vp, cluster_lease_until_ns(vp->svc->cluster));
	if (r < 0)
		return r;
	r = chan_call(vp->chan, "vm.start", NULL, NULL, 0, CALL_TIMEOUT_NS, fn, data);
	if (r < 0)
		return r;
	if (vp->incoming)
		vmproc_unmute(vp);
	if (!vp->viewer && json_get_int(vp->config, "vram_bytes", 0) > 0 &&
		viewer_new(vp, &vp->viewer) < 0)
		log_warning("%s has no socket for viewers", vp->name);
	return 0;
}

/* ---- restarting ---- */

static void restart_failed(struct vmproc *vp, const char *why)
{
	vmproc_publish(vp->svc, vp->name, vp->epoch, "Failed", why);
	vmproc_destroy(vp);
}

static void on_restarted(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;
	char object[SVC_NAME_MAX_LEN + 8];

	if (error < 0) {
		restart_failed(vp, json_get_string(reply, "error", strerror(-error)));
		return;
	}
	vp->state = VMPROC_RUNNING;
	snprintf(object, sizeof(object), "vm/%s", vp->name);
	events_add(vp->svc, EVENT_INFO, "vm.restarted", object, "the guest restarted itself");
	vmproc_publish(vp->svc, vp->name, vp->epoch, "Running", "the guest restarted itself");
}

static void on_prepared_again(struct vmproc *vp, int error, const char *text, void *data _unused_)
{
	if (error == 0) {
		error = vmproc_start(vp, on_restarted, vp);
		text = strerror(-error);
	}
	if (error < 0)
		restart_failed(vp, text);
}

void vmproc_restart(struct vmproc *vp)
{
	vm_disks_forget(vp);
	chan_free(take_ptr(vp->chan));
	save_forget(vp);
	end_calls(vp, "the guest restarted itself");
	proc_free(take_ptr(vp->proc));
	remove_ports(vp);
	for (size_t i = 0; i < ARRAY_LEN(vp->port_fds); i++) {
		close_fd(vp->port_fds[i]);
		vp->port_fds[i] = -1;
	}
	/* Its driver binds anew, and agrees on what is offered now. */
	json_unref(vp->offloads);
	vp->offloads = nic_offloads(vp->config);
	vp->restart_wanted = false;
	vp->incoming = false;
	vp->lease_until_ns = 0;
	vp->state = VMPROC_PREPARING;
	vp->prepared = on_prepared_again;
	vp->prepared_data = NULL;
	snprintf(vp->heartbeat, sizeof(vp->heartbeat), "no contact");
	vp->n_pending++;
	if (loop_job_add(vp->svc->loop, prepare_job, vp) < 0) {
		vp->n_pending--;
		restart_failed(vp, "out of memory");
	}
}

struct mute {
	struct vmproc *vp;
	unsigned n_left;
	void (*fn)(struct vmproc *vp, void *data);
	void *data;
};

static void mute_done(struct mute *mute)
{
	if (--mute->n_left > 0)
		return;
	if (!mute->vp->dying)
		mute->fn(mute->vp, mute->data);
	vmproc_put(mute->vp);
	free(mute);
}

static void on_muted(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct mute *mute = data;

	if (error < 0)
		log_error("%s: a port could not be muted: %s", mute->vp->name,
			json_get_string(reply, "error", strerror(-error)));
	mute_done(mute);
}

void vmproc_mute(struct vmproc *vp, void (*fn)(struct vmproc *vp, void *data), void *data)
{
	struct mute *mute = calloc(1, sizeof(*mute));

	if (!mute) {
		fn(vp, data);
		return;
	}
	*mute = (struct mute){.vp = vp, .n_left = 1, .fn = fn, .data = data};
	vp->n_pending++;
	for (unsigned i = 0; i < vp->n_ports; i++) {
		mute->n_left++;
		if (switchd_call(
			    vp->svc->switchd, "port.mute", port_message(vp, i), on_muted, mute) < 0)
			mute->n_left--;
	}
	mute_done(mute);
}
