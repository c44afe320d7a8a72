/* SPDX-License-Identifier: MIT
 *
 * moves.c - VMs that leave this node, as jobs: so many at once as the cluster wants, the others
 * wait in the order in which they came, and are looked at again when their turn comes. Two
 * migrations that share a link take more than twice as long: what takes longer is written to more,
 * and has to be sent again.
 */
#include "node/svc/moves.h"
#include "node/svc/network.h"
#include "node/svc/node.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_PARALLEL 1
#define SETTING_KEY      "setting/moves"

static const char *const job_kinds[] = {
	[MOVE_LIVE] = "live-migrate",
	[MOVE_QUICK] = "quick-migrate",
	[MOVE_STOP] = "stop-and-move",
	[MOVE_OWNER] = "hand-over",
};

struct move {
	struct list link; /* in svc->moves */
	struct job *job;
	enum move_kind kind;
	char volume[SVC_NAME_MAX_LEN + 1];
	struct json *options;
};

static void move_free(struct move *move)
{
	list_remove(&move->link);
	json_unref(move->options);
	free(move);
}

unsigned moves_clamp(int64_t n)
{
	return n < 1 ? 1 : n > MOVES_MAX_PARALLEL ? MOVES_MAX_PARALLEL : (unsigned)n;
}

unsigned moves_limit(struct svc *svc)
{
	const struct json *setting;
	uint64_t version;
	int64_t n = DEFAULT_PARALLEL;

	if (cluster_get(svc->cluster, SETTING_KEY, &setting, &version) == 0)
		n = json_get_int(setting, "parallel", DEFAULT_PARALLEL);
	return moves_clamp(n);
}

uint64_t moves_rate(const struct svc *svc)
{
	return svc->move_bytes_per_s;
}

const struct job *moves_find(struct svc *svc, const char *vm)
{
	const struct job *job;

	list_for_each(job, &svc->jobs, link) {
		if (job->is_move && !job_is_over(job) && strcmp(job->vm, vm) == 0)
			return job;
	}
	return NULL;
}

static unsigned n_running(const struct svc *svc)
{
	const struct job *job;
	unsigned n = 0;

	list_for_each(job, &svc->jobs, link)
		n += job->is_move && job->state == JOB_RUNNING;
	return n;
}

/* ---- what must be true, when it is asked for and again when its turn comes ---- */

static const char *check_vm(struct svc *svc, const char *name, enum move_kind kind)
{
	const struct vmproc *vp = vmproc_find(svc, name);
	struct vm_view view;

	if (kind == MOVE_OWNER)
		return vp ? "it is starting or running" : NULL;
	if (vp && (vp->out || vp->quick))
		return "it is being moved already";
	if (api_vm_view(svc, name, &view) < 0)
		return "it was deleted";
	if (view.node.id != cluster_local_id(svc->cluster))
		return "it is not on this node any more";
	if (!vp || (vp->state != VMPROC_RUNNING && kind != MOVE_STOP))
		return "it is not running";
	if (vp->in || vp->state == VMPROC_PREPARING)
		return "it is starting or arriving";
	if (vp->n_changes > 0)
		return "a network adapter of it is being changed; try again in a moment";
	return NULL;
}

static const char *check_target(
	struct svc *svc, const char *to, struct cluster_node *ret_target, enum api_code *ret_code)
{
	*ret_code = API_NOT_FOUND;
	if (cluster_find_node(svc->cluster, to, ret_target) < 0)
		return "there is no such node";
	*ret_code = API_CONFLICT;
	if (ret_target->id == cluster_local_id(svc->cluster))
		return "it is there already";
	*ret_code = API_UNREACHABLE;
	if (!ret_target->is_member)
		return "that node is down";
	if (!ret_target->has_service || !ret_target->is_synced)
		return "no ready viaductd runs on that node";
	if (ret_target->is_silent)
		return "the viaductd of that node does not answer";
	*ret_code = API_REFUSED;
	return node_is_paused(svc, to) ? "that node is paused: it takes no VMs" : NULL;
}

static const char *check(struct svc *svc, const char *vm, const char *to, enum move_kind kind,
	struct cluster_node *ret_target, enum api_code *ret_code)
{
	const char *why = check_vm(svc, vm, kind);

	*ret_code = API_CONFLICT;
	return why ? why : check_target(svc, to, ret_target, ret_code);
}

/* ---- begin ---- */

static int start(struct svc *svc, struct move *move, const struct cluster_node *target)
{
	struct vmproc *vp = vmproc_find(svc, move->job->vm);

	switch (move->kind) {
	case MOVE_LIVE:
		return mig_out_start(vp, move->job, target, move->options);
	case MOVE_QUICK:
		return quick_out_start(vp, move->job, target, move->volume);
	case MOVE_STOP:
		vmproc_publish(svc, vp->name, vp->epoch, "Off",
			"turned off, because it could not be moved while it ran");
		vmproc_destroy(vp);
		break;
	case MOVE_OWNER:
		break;
	}
	return handover_start(svc, move->job, move->kind == MOVE_STOP);
}

static void start_error(
	struct svc *svc, int error, const struct cluster_node *target, char *why, size_t size_bytes)
{
	if (error == -ENETUNREACH)
		network_explain(svc, target, why, size_bytes);
	else
		snprintf(why, size_bytes, "%s", strerror(-error));
}

static int cancel_waiting(struct job *job, void *data)
{
	move_free(data);
	job->data = NULL;
	job_finish(job, JOB_CANCELLED, API_CANCELLED, "cancelled while it waited");
	return 0;
}

static int wait_for_turn(struct svc *svc, struct move *move)
{
	struct job *job = move->job;

	list_append(&svc->moves, &move->link);
	job->state = JOB_QUEUED;
	job->cancel = cancel_waiting;
	job->data = move;
	snprintf(job->phase, sizeof(job->phase), "queued");
	return 0;
}

static struct move *move_new(struct svc *svc, const struct move_request *request)
{
	struct move *move = calloc(1, sizeof(*move));

	if (!move)
		return NULL;
	list_init(&move->link);
	move->kind = request->kind;
	move->options = request->options ? json_copy(request->options) : json_object_new();
	snprintf(move->volume, sizeof(move->volume), "%s", request->volume ? request->volume : "");
	move->job = job_new(svc, job_kinds[request->kind], request->vm,
		cluster_local_name(svc->cluster), request->to);
	if (!move->job) {
		move_free(move);
		return NULL;
	}
	move->job->is_move = true;
	return move;
}

int moves_begin(struct svc *svc, const struct move_request *request, struct job **ret_job,
	enum api_code *ret_code, char *why, size_t size_bytes)
{
	struct move_request r = *request;
	struct cluster_node target;
	const char *text = check(svc, r.vm, r.to, r.kind, &target, ret_code);
	struct move *move;
	struct job *job;
	bool waits = n_running(svc) >= moves_limit(svc) || !list_empty(&svc->moves);
	int error = 0;

	if (!text && moves_find(svc, r.vm)) {
		*ret_code = API_CONFLICT;
		text = "it waits to be moved already; see 'viaduct job list'";
	}
	if (!text && r.kind == MOVE_QUICK && !r.volume)
		r.volume = volume_first(svc);
	if (!text && r.kind == MOVE_QUICK && !r.volume) {
		*ret_code = API_REFUSED;
		text = "a quick migration needs a shared volume; make one with 'viaduct volume "
		       "create'";
	}
	if (text) {
		snprintf(why, size_bytes, "%s", text);
		return -EBUSY;
	}
	move = move_new(svc, &r);
	if (!move) {
		*ret_code = API_FAILED;
		snprintf(why, size_bytes, "out of memory");
		return -ENOMEM;
	}
	job = move->job;
	job->notify = r.notify;
	job->notify_data = r.data;
	if (waits)
		wait_for_turn(svc, move);
	else
		error = start(svc, move, &target);
	if (error < 0) {
		job->notify = NULL;
		*ret_code = API_REFUSED;
		start_error(svc, error, &target, why, size_bytes);
		job_finish(job, JOB_FAILED, API_REFUSED, why);
	}
	if (!waits)
		move_free(move);
	*ret_job = job;
	return error;
}

/* ---- turns ---- */

static void start_waiting(struct svc *svc, struct move *move)
{
	struct job *job = move->job;
	struct cluster_node target;
	enum api_code code;
	const char *why = check(svc, job->vm, job->to, move->kind, &target, &code);
	char text[MOVES_WHY_BYTES];
	int r = 0;

	job_start(job);
	if (!why) {
		r = start(svc, move, &target);
		code = API_REFUSED;
	}
	if (!why && r < 0) {
		start_error(svc, r, &target, text, sizeof(text));
		why = text;
	}
	if (why)
		job_finish(job, JOB_FAILED, code, why);
	move_free(move);
}

static void on_turn(void *data)
{
	struct svc *svc = data;

	svc->moves_soon = false;
	while (!list_empty(&svc->moves) && n_running(svc) < moves_limit(svc))
		start_waiting(svc, list_pop(&svc->moves, struct move, link));
}

/* What was learned of the way by a live migration that went well. */
static void note_rate(struct svc *svc)
{
	const struct job *job, *last = NULL;
	int64_t bytes;

	list_for_each(job, &svc->jobs, link) {
		if (job->state == JOB_DONE && strcmp(job->kind, job_kinds[MOVE_LIVE]) == 0 &&
			(!last || job->ended_ns > last->ended_ns))
			last = job;
	}
	bytes = last ? json_get_int(last->report, "raw_bytes", 0) : 0;
	if (bytes > 0)
		svc->move_bytes_per_s =
			(uint64_t)((double)bytes * (double)NS_PER_SEC /
				   (double)MAX(last->ended_ns - last->started_ns, (uint64_t)1));
}

void moves_next_soon(struct svc *svc)
{
	note_rate(svc);
	if (!svc->moves_soon && !list_empty(&svc->moves))
		svc->moves_soon = loop_job_add(svc->loop, on_turn, svc) == 0;
}
