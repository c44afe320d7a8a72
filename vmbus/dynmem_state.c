/* SPDX-License-Identifier: MIT
 *
 * Saved dynamic memory, in this order: what must be the same on the other side (the memory that the
 * VM started with), the ranges that were added; then the protocol, the operation under way, what
 * the guest took of each range, the balloon. Limits and the policy's memory are not saved: limits
 * are the owner's, and the policy begins anew with the guest's next report.
 */
#include "vmbus/dynmem_core.h"

#define PAGE_BYTES         4096ULL
#define HOT_ADD_PAGES      (DYNMEM_HOT_ADD_BYTES / PAGE_BYTES)
#define MAX_HOT_PAGES      (DYNMEM_RANGE_MAX_PAGES / HOT_ADD_PAGES * HOT_ADD_PAGES)
#define MAX_NUMBERED_PAGES (1ULL << DYNMEM_RANGE_FIRST_BITS)

/* Anything but 0 and 1 spoils the reader. */
static bool read_bool(struct reader *in)
{
	uint8_t v = reader_u8(in);

	in->failed |= v > 1;
	return v == 1;
}

/* So does a number above `max`. */
static uint64_t read_up_to(struct reader *in, uint64_t max)
{
	uint64_t v = reader_le64(in);

	in->failed |= v > max;
	return in->failed ? 0 : v;
}

void dynmem_core_save(const struct dynmem_core *core, struct buf *out)
{
	buf_le64(out, core->config.start_bytes);
	buf_le64(out, core->n_hot_ranges);
	for (unsigned i = 0; i < core->n_hot_ranges; i++) {
		buf_le64(out, core->hot_ranges[i].first);
		buf_le64(out, core->hot_ranges[i].n_pages);
	}
	buf_u8(out, (uint8_t)core->phase);
	buf_le32(out, core->version);
	buf_le64(out, core->capabilities);
	buf_le32(out, core->answers_to);
	buf_le32(out, core->answer_id);
	buf_u8(out, core->accepted);
	buf_u8(out, core->tell_maximum);
	buf_le32(out, core->transaction_id);
	buf_le64(out, core->committed_pages);
	buf_le64(out, core->available_pages);
	buf_le64(out, core->manual_bytes);
	buf_le64(out, core->n_protocol_errors);
	buf_u8(out, core->hot_add_rest_ns == DYNMEM_NEVER);
	buf_u8(out, (uint8_t)core->operation);
	buf_u8(out, core->operation != DYNMEM_IDLE && core->sent);
	buf_le64(out, core->operation != DYNMEM_IDLE ? core->n_pages : 0);
	buf_le64(out, core->operation != DYNMEM_IDLE ? core->n_done : 0);
	buf_le64(out, core->operation == DYNMEM_HOT_ADD ? core->hot_range : 0);
	for (unsigned i = 0; i < core->n_hot_ranges; i++)
		buf_le64(out, core->hot_ranges[i].n_accepted);
	buf_le64(out, core->ballooned.n_runs);
	for (size_t i = 0; i < core->ballooned.n_runs; i++) {
		buf_le64(out, core->ballooned.runs[i].first);
		buf_le64(out, core->ballooned.runs[i].n_pages);
	}
}

static int restore_ranges(struct dynmem_core *core, struct reader *in)
{
	uint64_t start_bytes = reader_le64(in);
	uint64_t n = read_up_to(in, DYNMEM_MAX_HOT_RANGES);

	if (!reader_ok(in) || start_bytes != core->config.start_bytes)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++) {
		struct dynmem_hot_range *range = &core->hot_ranges[i];

		range->first = read_up_to(in, MAX_NUMBERED_PAGES - MAX_HOT_PAGES);
		range->n_pages = read_up_to(in, MAX_HOT_PAGES);
		range->n_accepted = 0;
		if (!reader_ok(in) || range->n_pages == 0 || range->n_pages % HOT_ADD_PAGES ||
			!core->config.is_ram(core->config.data, range->first, range->n_pages))
			return -EBADMSG;
	}
	core->n_hot_ranges = (unsigned)n;
	return 0;
}

static bool is_version(uint32_t version)
{
	return version == DYNMEM_VERSION_0_3 || version == DYNMEM_VERSION_1_0 ||
	       version == DYNMEM_VERSION_2_0;
}

static int restore_protocol(struct dynmem_core *core, struct reader *in)
{
	bool never;

	core->version = reader_le32(in);
	core->capabilities = reader_le64(in);
	core->answers_to = reader_le32(in);
	core->answer_id = reader_le32(in);
	core->accepted = read_bool(in);
	core->tell_maximum = read_bool(in);
	core->transaction_id = reader_le32(in);
	core->committed_pages = reader_le64(in);
	core->available_pages = reader_le64(in);
	core->manual_bytes = reader_le64(in);
	core->n_protocol_errors = reader_le64(in);
	never = read_bool(in);
	core->hot_add_rest_ns = never ? DYNMEM_NEVER : 0;
	if (!reader_ok(in))
		return -EBADMSG;
	if (core->phase == DYNMEM_AT_CAPABILITIES || core->phase == DYNMEM_READY) {
		if (!is_version(core->version))
			return -EBADMSG;
	} else if (core->version) {
		return -EBADMSG;
	}
	if (core->answers_to && core->answers_to != DYNMEM_VERSION_REQUEST &&
		core->answers_to != DYNMEM_CAPABILITIES)
		return -EBADMSG;
	if (core->phase == DYNMEM_CLOSED && core->answers_to)
		return -EBADMSG;
	/* The owner may have meant another VM. */
	if (core->manual_bytes < core->limits.min_bytes ||
		core->manual_bytes > core->limits.max_bytes)
		core->manual_bytes = 0;
	core->target_bytes = core->manual_bytes;
	return 0;
}

static int restore_operation(struct dynmem_core *core, struct reader *in)
{
	uint8_t operation = reader_u8(in);

	core->sent = read_bool(in);
	core->n_pages = read_up_to(in, UINT32_MAX);
	core->n_done = read_up_to(in, core->n_pages);
	core->hot_range = (unsigned)read_up_to(in, DYNMEM_MAX_HOT_RANGES - 1);
	for (unsigned i = 0; i < core->n_hot_ranges; i++)
		core->hot_ranges[i].n_accepted = read_up_to(in, core->hot_ranges[i].n_pages);
	if (!reader_ok(in) || operation > DYNMEM_HOT_ADD ||
		(operation != DYNMEM_IDLE && core->phase != DYNMEM_READY))
		return -EBADMSG;
	if (operation == DYNMEM_HOT_ADD && core->hot_range >= core->n_hot_ranges)
		return -EBADMSG;
	core->operation = operation;
	return 0;
}

static int restore_balloon(struct dynmem_core *core, struct reader *in)
{
	uint64_t n = read_up_to(in, DYNMEM_MAX_RUNS);
	_cleanup_free_ struct dynmem_run *runs = NULL;
	int r;

	if (!reader_ok(in) || n > in->left_bytes / 16 || (n && core->phase != DYNMEM_READY))
		return -EBADMSG;
	if (n == 0)
		return 0;
	runs = calloc(n, sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		runs[i].first = read_up_to(in, MAX_NUMBERED_PAGES);
		runs[i].n_pages = read_up_to(in, MAX_NUMBERED_PAGES);
		if (!reader_ok(in) || runs[i].n_pages == 0 ||
			!core->config.is_ram(core->config.data, runs[i].first, runs[i].n_pages))
			return -EBADMSG;
	}
	r = dynmem_runs_add(&core->ballooned, runs, n);
	return r == -ENOMEM || r == 0 ? r : -EBADMSG;
}

int dynmem_core_restore(struct dynmem_core *core, struct reader *in, bool open)
{
	int r = restore_ranges(core, in);
	uint8_t phase = reader_u8(in);

	if (r)
		return r;
	if (!reader_ok(in) || phase > DYNMEM_REFUSED || (phase != DYNMEM_CLOSED) != open)
		return -EBADMSG;
	core->phase = phase;
	r = restore_protocol(core, in);
	if (r == 0)
		r = restore_operation(core, in);
	if (r == 0)
		r = restore_balloon(core, in);
	if (r == 0 && core->operation == DYNMEM_UNBALLOON &&
		(core->n_pages > core->ballooned.n_pages || core->sent != (core->n_pages == 0)))
		r = -EBADMSG;
	if (r)
		dynmem_core_close(core);
	return r;
}
