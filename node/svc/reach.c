/* SPDX-License-Identifier: MIT
 *
 * reach.c - do the VLANs of a switch reach another host's switch, and back? A trial
 * (fabric/reach.h) is begun on both, each sends probes in every VLAN, and both are asked what
 * arrived until all has or the time is over. Probes that have not arrived are sent again with every
 * look: one may be lost.
 */
#include "node/svc/svc.h"

#include "base/base64.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define TOKEN_BYTES     16
#define LOOK_NS         (20 * NS_PER_MS)
#define MAX_LOOKS       40
#define CALL_TIMEOUT_NS (2 * NS_PER_SEC)

enum step { STEP_BEGIN, STEP_SEND, STEP_LOOK, N_STEPS };

static const char *const step_ops[] = {"reach.begin", "reach.send", "reach.result"};

/* One of the two hosts. */
struct end {
	struct reach_trial *trial;
	bool here;
	char seen[REACH_VIDS_MAX_LEN + 1]; /* VLANs whose probes arrived here */
	bool untagged;
};

struct reach_trial {
	struct svc *svc;
	char node[SVC_NAME_MAX_LEN + 1];
	char local_switch[SVC_NAME_MAX_LEN + 1], reference[SVC_NAME_MAX_LEN + 1];
	char vids[REACH_VIDS_MAX_LEN + 1];
	bool untagged;
	char *token;
	enum step step;
	struct end ends[2];
	unsigned n_left, n_looks;
	uint64_t timer;
	char error[256];
	reach_fn fn;
	void *data;
};

static void take_step(struct reach_trial *trial);

static void trial_free(struct reach_trial *trial)
{
	loop_timer_remove(trial->svc->loop, trial->timer);
	free(trial->token);
	free(trial);
}

static bool has_all(const struct reach_trial *trial)
{
	for (unsigned i = 0; i < 2; i++) {
		if (strcmp(trial->ends[i].seen, trial->vids) != 0 ||
			(trial->untagged && !trial->ends[i].untagged))
			return false;
	}
	return true;
}

static struct json *trial_message(const struct reach_trial *trial, const char *sw)
{
	struct json *message = json_object_new();

	json_set_string(message, "switch", sw);
	json_set_string(message, "token", trial->token);
	if (trial->step == STEP_SEND) {
		json_set_string(message, "vids", trial->vids);
		json_set_bool(message, "untagged", trial->untagged);
	}
	return message;
}

static void on_told(int error _unused_, const struct json *reply _unused_, void *data _unused_)
{
}

static void on_ended(int error _unused_, const struct json *reply _unused_, int *fds _unused_,
	size_t n_fds _unused_, void *data _unused_)
{
}

/* Both forget it; by themselves, too, a little later. */
static void finish(struct reach_trial *trial)
{
	struct json *message = trial_message(trial, trial->local_switch);

	(void)switchd_call(trial->svc->switchd, "reach.end", message, on_ended, NULL);
	message = trial_message(trial, trial->reference);
	json_set_string(message, "op", "reach.end");
	(void)peer_call(trial->svc->peer, trial->node, message, CALL_TIMEOUT_NS, on_told, NULL);
	trial->fn(trial->error[0] ? trial->error : NULL,
		&(struct reach_seen){.there = trial->ends[1].seen,
			.back = trial->ends[0].seen,
			.untagged_there = trial->ends[1].untagged,
			.untagged_back = trial->ends[0].untagged},
		trial->data);
	trial_free(trial);
}

static void on_look(void *data)
{
	struct reach_trial *trial = data;

	trial->timer = 0;
	trial->step = STEP_SEND;
	take_step(trial);
}

static void step_done(struct reach_trial *trial)
{
	if (--trial->n_left > 0)
		return;
	if (trial->error[0]) {
		finish(trial);
	} else if (trial->step < STEP_LOOK) {
		trial->step++;
		take_step(trial);
	} else if (has_all(trial) || ++trial->n_looks == MAX_LOOKS) {
		finish(trial);
	} else if (loop_timer_add(trial->svc->loop, LOOK_NS, on_look, trial, &trial->timer) < 0) {
		snprintf(trial->error, sizeof(trial->error), "out of memory");
		finish(trial);
	}
}

static void take_answer(struct end *end, int error, const struct json *reply)
{
	struct reach_trial *trial = end->trial;

	if (error < 0)
		snprintf(trial->error, sizeof(trial->error), "%s: %s",
			end->here ? "this node" : trial->node,
			json_get_string(reply, "error", strerror(-error)));
	else if (trial->step == STEP_LOOK) {
		snprintf(end->seen, sizeof(end->seen), "%s", json_get_string(reply, "vids", ""));
		end->untagged = json_get_bool(reply, "untagged", false);
	}
	step_done(trial);
}

static void on_here(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	take_answer(data, error, reply);
}

static void on_there(int error, const struct json *reply, void *data)
{
	if (error == 0 && !json_get_bool(reply, "ok", false))
		error = -EREMOTEIO;
	take_answer(data, error, reply);
}

/* The same request to both. */
static void take_step(struct reach_trial *trial)
{
	struct json *message;
	int r;

	trial->n_left = 3; /* this function holds one */
	r = switchd_call(trial->svc->switchd, step_ops[trial->step],
		trial_message(trial, trial->local_switch), on_here, &trial->ends[0]);
	if (r < 0)
		take_answer(&trial->ends[0], r, NULL);
	message = trial_message(trial, trial->reference);
	json_set_string(message, "op", step_ops[trial->step]);
	r = peer_call(
		trial->svc->peer, trial->node, message, CALL_TIMEOUT_NS, on_there, &trial->ends[1]);
	if (r < 0)
		take_answer(&trial->ends[1], r, NULL);
	step_done(trial);
}

int reach_start(struct svc *svc, const char *node, const char *local_switch, const char *vids,
	bool untagged, reach_fn fn, void *data)
{
	struct reach_trial *trial = calloc(1, sizeof(*trial));
	uint8_t token[TOKEN_BYTES];

	if (!trial)
		return -ENOMEM;
	*trial = (struct reach_trial){.svc = svc, .untagged = untagged, .fn = fn, .data = data};
	trial->ends[0] = (struct end){.trial = trial, .here = true};
	trial->ends[1] = (struct end){.trial = trial};
	snprintf(trial->node, sizeof(trial->node), "%s", node);
	snprintf(trial->local_switch, sizeof(trial->local_switch), "%s", local_switch);
	snprintf(trial->vids, sizeof(trial->vids), "%s", vids);
	switchd_reference(svc, local_switch, trial->reference, sizeof(trial->reference));
	if (getrandom(token, sizeof(token), 0) == sizeof(token))
		trial->token = base64_encode(token, sizeof(token));
	if (!trial->token) {
		trial_free(trial);
		return -ENOMEM;
	}
	take_step(trial);
	return 0;
}

/* ---- the other host ---- */

static void on_peer_answer(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct peer_request *request = data;
	struct json *answer = error < 0 ? json_object_new() : json_copy(reply);

	json_set_bool(answer, "ok", error == 0);
	if (error < 0)
		json_set_string(answer, "error", json_get_string(reply, "error", strerror(-error)));
	peer_reply(request, answer);
}

void reach_on_peer(struct svc *svc, struct peer_request *request, const struct json *message)
{
	const char *reference = json_get_string(message, "switch", "");
	const char *node = cluster_local_name(svc->cluster);
	char name[SVC_NAME_MAX_LEN + 1];
	struct json *passed, *answer;
	int r = -ENOENT;

	if (svc_name_is_valid(reference) &&
		switchd_resolve(svc, node, reference, name, sizeof(name))) {
		passed = json_copy(message);
		json_set_string(passed, "switch", name);
		r = switchd_call(svc->switchd, json_get_string(message, "op", ""), passed,
			on_peer_answer, request);
	}
	if (r == 0)
		return;
	answer = json_object_new();
	json_set_bool(answer, "ok", false);
	json_set_stringf(answer, "error",
		"no switch has the name or the logical name '%.63s'; 'viaduct switch set SWITCH "
		"--logical NAME' gives one",
		reference);
	peer_reply(request, answer);
}
