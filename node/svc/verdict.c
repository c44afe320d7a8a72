/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

struct verdict_op {
	struct vmproc *vp; /* NULL once the VM process is gone */
	uint32_t to;
	verdict_fn fn;
	uint64_t started_ns;
	bool reading;    /* the write's fate is unknown: the record decides, as soon as it can be
			    trusted */
	bool confirming; /* a write of our own is under way */
	uint64_t read_version; /* of the record, when that was asked for */
};

static void object_name(const struct vmproc *vp, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "vm/%s", vp->name);
}

static void conclude(struct verdict_op *op, enum verdict verdict)
{
	struct vmproc *vp = op->vp;
	verdict_fn fn = op->fn;
	uint64_t commit_ns = clock_mono_ns() - op->started_ns;

	vp->verdict = NULL;
	free(op);
	fn(vp, verdict, commit_ns);
}

static void read_record(struct verdict_op *op);

static enum verdict judge(const struct verdict_op *op, const struct cluster_owner *owner)
{
	if (owner->node_id == cluster_local_id(op->vp->svc->cluster) &&
		owner->epoch == op->vp->epoch)
		return VERDICT_KEPT;
	if (owner->node_id == op->to && owner->epoch == op->vp->epoch + 1)
		return VERDICT_COMMITTED;
	return VERDICT_LOST;
}

/* Our own write is done: so is what was read before it, if nothing has come in between. */
static void on_confirmed(int error, uint64_t version _unused_, void *data)
{
	struct verdict_op *op = data;
	struct cluster_owner owner;
	char object[SVC_NAME_MAX_LEN + 8];

	if (!op->vp) {
		free(op);
		return;
	}
	op->confirming = false;
	if (error < 0)
		return; /* the cluster is changing: the next change asks again */
	object_name(op->vp, object, sizeof(object));
	if (cluster_owner_get(op->vp->svc->cluster, object, &owner) < 0)
		conclude(op, VERDICT_LOST);
	else if (owner.version == op->read_version)
		conclude(op, judge(op, &owner));
	else
		read_record(op);
}

/* The record is the truth only where the store is the cluster's: synced and with quorum, and once
 * everybody has what we have read (cluster.h). */
static void read_record(struct verdict_op *op)
{
	struct cluster *cluster = op->vp->svc->cluster;
	struct cluster_owner owner;
	struct json *value;
	char object[SVC_NAME_MAX_LEN + 8], key[SVC_NAME_MAX_LEN + 16];

	if (op->confirming || !cluster_is_quorate(cluster) || !cluster_is_synced(cluster))
		return;
	object_name(op->vp, object, sizeof(object));
	if (cluster_owner_get(cluster, object, &owner) < 0) {
		conclude(op, VERDICT_LOST);
		return;
	}
	op->read_version = owner.version;
	value = json_object_new();
	json_set_string(value, "vm", op->vp->name);
	snprintf(key, sizeof(key), "confirm/%s", cluster_local_name(cluster));
	op->confirming =
		cluster_cas(cluster, key, CLUSTER_ANY_VERSION, value, on_confirmed, op) == 0;
}

static void on_written(int error, uint64_t version _unused_, void *data)
{
	struct verdict_op *op = data;

	if (!op->vp) {
		free(op);
		return;
	}
	if (error == 0) {
		conclude(op, VERDICT_COMMITTED);
		return;
	}
	log_warning("%s: the change of owner was not confirmed (%s); reading the record",
		op->vp->name, strerror(-error));
	op->reading = true;
	read_record(op);
}

int verdict_ask(struct vmproc *vp, uint32_t to, verdict_fn fn)
{
	struct svc *svc = vp->svc;
	struct cluster_owner owner;
	struct verdict_op *op = calloc(1, sizeof(*op));
	char object[SVC_NAME_MAX_LEN + 8];
	int r;

	if (!op)
		return -ENOMEM;
	*op = (struct verdict_op){.vp = vp, .to = to, .fn = fn, .started_ns = clock_mono_ns()};
	vp->verdict = op;
	object_name(vp, object, sizeof(object));
	r = cluster_owner_get(svc->cluster, object, &owner);
	if (r == 0 && owner.node_id == cluster_local_id(svc->cluster) && owner.epoch == vp->epoch)
		r = cluster_owner_cas(svc->cluster, object, &owner, to, on_written, op);
	else
		r = -ESTALE;
	if (r < 0) {
		op->reading = true;
		read_record(op);
	}
	return 0;
}

void verdict_cluster_changed(struct vmproc *vp)
{
	if (vp->verdict && vp->verdict->reading)
		read_record(vp->verdict);
}

void verdict_forget(struct vmproc *vp)
{
	struct verdict_op *op = vp->verdict;

	if (!op)
		return;
	vp->verdict = NULL;
	op->vp = NULL;
	if (op->reading && !op->confirming)
		free(op); /* otherwise on_written() or on_confirmed() does */
}
