/* SPDX-License-Identifier: MIT */
#include "migrate/recv_proto.h"

#define MAX_ROUNDS 256 /* no source needs as many */

#define IN(state) (1U << (state))
#define IN_ALL    (IN(RECV_OVER) - 1)

typedef int (*frame_fn)(struct recv_proto *p, const struct frame *frame,
	enum recv_action *ret_action, const char **ret_why);

static int refuse(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EBADMSG;
}

/* The round's pages are here and its end was announced: do the two agree, and what follows? */
static int complete(struct recv_proto *p, enum recv_action *ret_action, const char **ret_why)
{
	if (!p->closed || !p->arrived)
		return 0;
	if (p->arrived_pages != p->begin_pages)
		return refuse(ret_why, "a round with more or fewer pages than announced");
	p->closed = false;
	p->arrived = false;
	p->round++;
	*ret_action = p->state == RECV_ROUND ? RECV_DO_ROUND_DONE : RECV_DO_RESTORE;
	p->state = p->state == RECV_ROUND ? RECV_IDLE : RECV_RESTORE;
	return 0;
}

static int on_manifest(struct recv_proto *p, const struct frame *frame,
	enum recv_action *ret_action, const char **ret_why)
{
	int r = manifest_check(&p->ours, frame->payload, frame->size_bytes, ret_why);

	if (r < 0)
		return r;
	p->state = RECV_IDLE;
	*ret_action = RECV_DO_ACCEPT;
	return 0;
}

static int on_round_begin(struct recv_proto *p, const struct frame *frame,
	enum recv_action *ret_action, const char **ret_why)
{
	struct reader in = reader_make(frame->payload, frame->size_bytes);
	uint32_t round = reader_le32(&in), flags = reader_le32(&in), n_pages = reader_le32(&in);

	(void)ret_action;
	if (round != p->round || round >= MAX_ROUNDS)
		return refuse(ret_why, "a round out of turn");
	if (flags & ~(uint32_t)MIG_ROUND_FINAL || reader_le32(&in))
		return refuse(ret_why, "a round with unknown flags");
	if (n_pages > p->ram_pages || (round == 0 && n_pages != p->ram_pages))
		return refuse(ret_why, "a round that does not fit the memory");
	p->begin_pages = n_pages;
	p->state = flags & MIG_ROUND_FINAL ? RECV_FINAL_ROUND : RECV_ROUND;
	return 0;
}

static int on_round_end(struct recv_proto *p, const struct frame *frame,
	enum recv_action *ret_action, const char **ret_why)
{
	struct reader in = reader_make(frame->payload, frame->size_bytes);
	uint32_t round = reader_le32(&in), flags = reader_le32(&in), n_pages = reader_le32(&in);

	if (p->closed || round != p->round || flags || n_pages != p->begin_pages ||
		reader_le32(&in))
		return refuse(ret_why, "the end of a round that did not begin so");
	p->closed = true;
	return complete(p, ret_action, ret_why);
}

static int on_state(struct recv_proto *p, const struct frame *frame, enum recv_action *ret_action,
	const char **ret_why)
{
	struct reader in = reader_make(frame->payload, frame->size_bytes);
	uint64_t offset = reader_le64(&in);

	(void)ret_action;
	if (p->closed || offset != p->units.size_bytes)
		return refuse(ret_why, "a part of the state that is out of place");
	if (in.left_bytes > MIG_MAX_STATE_BYTES - p->units.size_bytes)
		return refuse(ret_why, "more state than a VM may have");
	buf_bytes(&p->units, in.at, in.left_bytes);
	if (!p->units.failed)
		return 0;
	*ret_why = "the state of the VM does not fit in memory";
	return -ENOMEM;
}

static int on_final(struct recv_proto *p, const struct frame *frame, enum recv_action *ret_action,
	const char **ret_why)
{
	struct reader in = reader_make(frame->payload, frame->size_bytes);
	uint32_t round = reader_le32(&in), n_pages = reader_le32(&in);
	uint64_t state_bytes = reader_le64(&in);

	if (p->closed || round != p->round || n_pages != p->begin_pages)
		return refuse(ret_why, "the end of a round that did not begin so");
	if (state_bytes != p->units.size_bytes)
		return refuse(ret_why, "more or less state than announced");
	p->closed = true;
	return complete(p, ret_action, ret_why);
}

static int on_commit(struct recv_proto *p, const struct frame *frame, enum recv_action *ret_action,
	const char **ret_why)
{
	(void)frame;
	(void)ret_why;
	p->state = RECV_OVER;
	*ret_action = RECV_DO_COMMITTED;
	return 0;
}

static int on_abort(struct recv_proto *p, const struct frame *frame, enum recv_action *ret_action,
	const char **ret_why)
{
	(void)ret_why;
	p->abort_error = stream_parse_abort(frame, p->abort_text);
	p->state = RECV_OVER;
	*ret_action = RECV_DO_ABORTED;
	return 0;
}

static const struct {
	frame_fn handler;
	struct frame_rule rule;
} table[] = {
	{on_manifest, {MIG_FRAME_MANIFEST, sizeof(struct mig_manifest), MANIFEST_MAX_BYTES,
			      IN(RECV_MANIFEST)}},
	{on_round_begin, {MIG_FRAME_ROUND_BEGIN, sizeof(struct mig_round_mark),
				 sizeof(struct mig_round_mark), IN(RECV_IDLE)}},
	{on_round_end, {MIG_FRAME_ROUND_END, sizeof(struct mig_round_mark),
			       sizeof(struct mig_round_mark), IN(RECV_ROUND)}},
	{on_state, {MIG_FRAME_STATE, sizeof(struct mig_state_part) + 1, MIG_MAX_FRAME_BYTES,
			   IN(RECV_FINAL_ROUND)}},
	{on_final, {MIG_FRAME_FINAL, sizeof(struct mig_final), sizeof(struct mig_final),
			   IN(RECV_FINAL_ROUND)}},
	{on_commit, {MIG_FRAME_COMMIT, 0, 0, IN(RECV_READY)}},
	{on_abort, {MIG_FRAME_ABORT, sizeof(struct mig_abort),
			   sizeof(struct mig_abort) + MIG_MAX_ERROR_LEN, IN_ALL}},
};

void recv_proto_init(struct recv_proto *p, const struct manifest *ours)
{
	*p = (struct recv_proto){
		.ours = *ours,
		.ram_pages = gpa_space_size_bytes(ours->memory) / GPA_PAGE_SIZE,
	};
}

void recv_proto_fini(struct recv_proto *p)
{
	buf_fini(&p->units);
}

int recv_proto_frame(struct recv_proto *p, const struct frame *frame, enum recv_action *ret_action,
	const char **ret_why)
{
	size_t i = 0;
	int r;

	*ret_action = RECV_DO_NOTHING;
	while (i < ARRAY_LEN(table) && table[i].rule.type != frame->type)
		i++;
	r = frame_check(i < ARRAY_LEN(table) ? &table[i].rule : NULL, p->state, frame, ret_why);
	return r < 0 ? r : table[i].handler(p, frame, ret_action, ret_why);
}

int recv_proto_arrived(
	struct recv_proto *p, uint64_t n_pages, enum recv_action *ret_action, const char **ret_why)
{
	*ret_action = RECV_DO_NOTHING;
	if (p->arrived || p->state == RECV_MANIFEST || p->state >= RECV_RESTORE)
		return refuse(ret_why, "the end of a round that did not begin");
	p->arrived = true;
	p->arrived_pages = n_pages;
	return complete(p, ret_action, ret_why);
}

void recv_proto_restored(struct recv_proto *p)
{
	p->state = RECV_READY;
}
