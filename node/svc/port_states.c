/* SPDX-License-Identifier: MIT
 *
 * port_states.c - what the switch knows of a VM's ports moves along with it: counters,
 * conversations, credit, group memberships (fabric/port_state.h). The source asks its switch for it
 * when the ports are muted and hands it to the target, whose ports are muted still.
 *
 * It is worth waiting for briefly and not worth failing for: whatever goes wrong is logged, and the
 * move goes on with ports that begin anew.
 */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define HAND_OVER_TIMEOUT_NS (500 * NS_PER_MS)

/* ---- the source ---- */

struct hand_over {
	struct vmproc *vp; /* held by n_pending */
	char target[SVC_NAME_MAX_LEN + 1];
	struct json *states; /* one for each port so far */
	void (*fn)(struct vmproc *vp, void *data);
	void *data;
};

static void end(struct hand_over *h, const char *failure)
{
	struct vmproc *vp = h->vp;

	if (failure)
		log_warning("%s: the state of its ports does not travel: %s", vp->name, failure);
	if (!vp->dying)
		h->fn(vp, h->data);
	json_unref(h->states);
	free(h);
	vmproc_put(vp);
}

static void on_handed_over(int error, const struct json *reply, void *data)
{
	end(data, error < 0 ? strerror(-error)
		  : json_get_bool(reply, "ok", false)
			  ? NULL
			  : json_get_string(reply, "error", "the target refused it"));
}

static void send_states(struct hand_over *h)
{
	struct json *message = json_object_new();
	int r;

	json_set_string(message, "op", "mig.ports");
	json_set_string(message, "vm", h->vp->name);
	json_set_int(message, "epoch", (int64_t)h->vp->epoch + 1);
	json_set(message, "states", json_ref(h->states));
	r = peer_call(
		h->vp->svc->peer, h->target, message, HAND_OVER_TIMEOUT_NS, on_handed_over, h);
	if (r < 0)
		end(h, strerror(-r));
}

static void export_next(struct hand_over *h);

static void on_exported(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct hand_over *h = data;
	const char *state = json_get_string(reply, "state", NULL);

	if (error < 0 || !state || h->vp->dying) {
		end(h, json_get_string(reply, "error", error ? strerror(-error) : "no answer"));
		return;
	}
	json_append_string(h->states, state);
	export_next(h);
}

static void export_next(struct hand_over *h)
{
	size_t at = json_length(h->states);
	struct json *message;
	int r;

	if (at == h->vp->n_ports) {
		send_states(h);
		return;
	}
	message = json_object_new();
	json_set_stringf(message, "port", "%s/nic%zu", h->vp->name, at);
	r = switchd_call(h->vp->svc->switchd, "port.export", message, on_exported, h);
	if (r < 0)
		end(h, strerror(-r));
}

void port_states_hand_over(struct vmproc *vp, const char *target,
	void (*fn)(struct vmproc *vp, void *data), void *data)
{
	struct hand_over *h = vp->n_ports ? calloc(1, sizeof(*h)) : NULL;

	if (!h) {
		fn(vp, data);
		return;
	}
	h->vp = vp;
	h->states = json_array_new();
	h->fn = fn;
	h->data = data;
	snprintf(h->target, sizeof(h->target), "%s", target);
	vp->n_pending++;
	export_next(h);
}

/* ---- the target ---- */

struct taking {
	struct vmproc *vp; /* held by n_pending */
	struct peer_request *request;
	unsigned n_left;
	int error;
};

static void answer(struct peer_request *request, const char *error)
{
	struct json *reply = json_object_new();

	json_set_bool(reply, "ok", !error);
	if (error)
		json_set_string(reply, "error", error);
	peer_reply(request, reply);
}

static void take_one(struct taking *t, int error)
{
	t->error = t->error ?: error;
	if (--t->n_left > 0)
		return;
	answer(t->request, t->error ? "its switch did not take the state of a port" : NULL);
	vmproc_put(t->vp);
	free(t);
}

static void on_imported(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct taking *t = data;

	if (error < 0)
		log_warning("%s: the state of a port was not taken: %s", t->vp->name,
			json_get_string(reply, "error", strerror(-error)));
	take_one(t, error);
}

static void import_all(struct vmproc *vp, struct peer_request *request, const struct json *states)
{
	struct taking *t = calloc(1, sizeof(*t));

	if (!t) {
		answer(request, "out of memory");
		return;
	}
	*t = (struct taking){.vp = vp, .request = request, .n_left = 1};
	vp->n_pending++;
	for (size_t i = 0; i < json_length(states); i++) {
		struct json *message = json_object_new();
		int r;

		json_set_stringf(message, "port", "%s/nic%zu", vp->name, i);
		json_set_string(message, "state", json_string(json_at(states, i), ""));
		t->n_left++;
		r = switchd_call(vp->svc->switchd, "port.import", message, on_imported, t);
		if (r < 0)
			take_one(t, r);
	}
	take_one(t, 0);
}

void port_states_take(
	struct svc *svc, struct peer_request *request, const char *from, const struct json *message)
{
	struct vmproc *vp = vmproc_find(svc, json_get_string(message, "vm", ""));
	const struct json *states = json_get(message, "states");

	if (!vp || !mig_in_expects(vp, from) ||
		(uint64_t)json_get_int(message, "epoch", 0) != vp->epoch)
		answer(request, "no such VM is arriving here");
	else if (json_length(states) != vp->n_ports)
		answer(request, "the VM has another number of ports here");
	else
		import_all(vp, request, states);
}
