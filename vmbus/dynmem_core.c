/* SPDX-License-Identifier: MIT */
#include "vmbus/dynmem_core.h"

#include "base/clock.h"

#define PAGE_BYTES 4096ULL

/* Guests give memory away in huge pages as long as they can. */
#define BALLOON_STEP_PAGES 512U
/* One request; what the guest needs urgently does not wait for long behind it. */
#define BALLOON_MAX_PAGES   (64U * 1024)
#define HOT_ADD_MAX_BYTES   (8 * DYNMEM_HOT_ADD_BYTES)
#define HOT_ADD_MAX_ALIGNED 7 /* log2 of MiB: 128 MiB */

#define REST_NS (60 * NS_PER_SEC)

void dynmem_core_init(struct dynmem_core *core, const struct dynmem_core_config *config)
{
	*core = (struct dynmem_core){.config = *config, .limits = config->limits};
}

void dynmem_core_fini(struct dynmem_core *core)
{
	dynmem_runs_fini(&core->ballooned);
}

/* Whoever comes has all that the machine started with, and nothing of what was added. */
static void forget_guest(struct dynmem_core *core)
{
	dynmem_runs_fini(&core->ballooned);
	for (unsigned i = 0; i < core->n_hot_ranges; i++)
		core->hot_ranges[i].n_accepted = 0;
	core->policy = (struct dynmem_policy){0};
	core->version = 0;
	core->capabilities = 0;
	core->answers_to = 0;
	core->tell_maximum = false;
	core->committed_pages = core->available_pages = 0;
	core->target_bytes = core->manual_bytes;
	core->operation = DYNMEM_IDLE;
	core->balloon_rest_ns = core->hot_add_rest_ns = 0;
	core->n_released = 0;
}

void dynmem_core_open(struct dynmem_core *core)
{
	forget_guest(core);
	core->phase = DYNMEM_AT_VERSION;
}

void dynmem_core_close(struct dynmem_core *core)
{
	forget_guest(core);
	core->phase = DYNMEM_CLOSED;
}

void dynmem_core_not_ram(struct dynmem_core *core, const struct dynmem_run *run)
{
	core->n_protocol_errors++;
	(void)dynmem_runs_remove(&core->ballooned, run);
}

uint64_t dynmem_core_added_bytes(const struct dynmem_core *core)
{
	uint64_t n_pages = 0;

	for (unsigned i = 0; i < core->n_hot_ranges; i++)
		n_pages += core->hot_ranges[i].n_accepted;
	return n_pages * PAGE_BYTES;
}

uint64_t dynmem_core_assigned_bytes(const struct dynmem_core *core)
{
	uint64_t all = core->config.start_bytes + dynmem_core_added_bytes(core);
	uint64_t ballooned = core->ballooned.n_pages * PAGE_BYTES;

	return all - MIN(all, ballooned);
}

static bool in_order(const struct dynmem_core *core, const struct dynmem_limits *limits)
{
	return limits->min_bytes && limits->min_bytes <= core->config.start_bytes &&
	       core->config.start_bytes <= limits->max_bytes &&
	       (limits->buffer_percent == 0 ||
		       (limits->buffer_percent >= 5 && limits->buffer_percent <= 200));
}

static uint64_t clamp(uint64_t v, uint64_t min, uint64_t max)
{
	return v < min ? min : MIN(v, max);
}

int dynmem_core_set_limits(struct dynmem_core *core, const struct dynmem_limits *limits)
{
	/* Address space was laid out for the first maximum. */
	if (!in_order(core, limits) || limits->max_bytes > core->config.limits.max_bytes)
		return -EINVAL;
	core->limits = *limits;
	core->tell_maximum = core->phase == DYNMEM_READY && core->version >= DYNMEM_VERSION_1_0;
	if (core->manual_bytes)
		core->manual_bytes =
			clamp(core->manual_bytes, limits->min_bytes, limits->max_bytes);
	/* What the old ones led to is void; the policy says anew. */
	core->target_bytes = core->manual_bytes;
	return 0;
}

int dynmem_core_set_target(struct dynmem_core *core, uint64_t target_bytes)
{
	if (target_bytes &&
		(target_bytes < core->limits.min_bytes || target_bytes > core->limits.max_bytes))
		return -EINVAL;
	core->manual_bytes = target_bytes;
	core->target_bytes = target_bytes;
	core->balloon_rest_ns = 0;
	return 0;
}

static int on_version_request(
	struct dynmem_core *core, _unused_ uint64_t now_ns, struct reader *message)
{
	uint32_t version = reader_le32(message);
	bool is_last = reader_le32(message) & 1;

	core->accepted = version == DYNMEM_VERSION_0_3 || version == DYNMEM_VERSION_1_0 ||
			 version == DYNMEM_VERSION_2_0;
	core->answers_to = DYNMEM_VERSION_REQUEST;
	if (core->accepted) {
		core->version = version;
		core->phase = DYNMEM_AT_CAPABILITIES;
	} else if (is_last) {
		core->phase = DYNMEM_REFUSED;
	}
	return 0;
}

static int on_capabilities(
	struct dynmem_core *core, _unused_ uint64_t now_ns, struct reader *message)
{
	core->capabilities = reader_le64(message);
	core->accepted = true;
	core->answers_to = DYNMEM_CAPABILITIES;
	core->tell_maximum = core->version >= DYNMEM_VERSION_1_0;
	core->phase = DYNMEM_READY;
	return 0;
}

static uint64_t pages_to_bytes(uint64_t n_pages)
{
	return MIN(n_pages, UINT64_MAX / PAGE_BYTES) * PAGE_BYTES;
}

static int on_status(struct dynmem_core *core, uint64_t now_ns, struct reader *message)
{
	struct dynmem_sample sample = {.now_ns = now_ns};

	core->available_pages = reader_le64(message);
	core->committed_pages = reader_le64(message);
	if (core->operation != DYNMEM_IDLE || core->manual_bytes)
		return 0;
	sample.assigned_bytes = dynmem_core_assigned_bytes(core);
	sample.available_bytes = pages_to_bytes(core->available_pages);
	sample.committed_bytes = pages_to_bytes(
		core->committed_pages - MIN(core->committed_pages, core->ballooned.n_pages));
	core->target_bytes = dynmem_policy_target(&core->policy, &core->limits, &sample);
	return 0;
}

/* The ranges of a response, if all of them hold together. Returns the pages, or -EBADMSG. */
static int64_t read_ranges(struct dynmem_core *core, struct reader *message, uint32_t n_ranges)
{
	uint64_t n_pages = 0;

	if (n_ranges > DYNMEM_MAX_RANGES)
		return -EBADMSG;
	for (uint32_t i = 0; i < n_ranges; i++) {
		uint64_t range = reader_le64(message);
		struct dynmem_run *run = &core->released[i];

		run->first = dynmem_range_first(range);
		run->n_pages = dynmem_range_n_pages(range);
		n_pages += run->n_pages;
		if (!reader_ok(message) || run->n_pages == 0 ||
			!core->config.is_ram(core->config.data, run->first, run->n_pages))
			return -EBADMSG;
	}
	return (int64_t)n_pages;
}

static void end_balloon(struct dynmem_core *core, uint64_t now_ns)
{
	core->operation = DYNMEM_IDLE;
	if (core->n_done == core->n_pages)
		return;
	core->balloon_rest_ns = now_ns + REST_NS;
	dynmem_policy_refused(&core->policy, now_ns);
}

static int on_balloon_response(struct dynmem_core *core, uint64_t now_ns, struct reader *message)
{
	uint32_t more_and_n_ranges;
	int64_t n_pages;
	int r = 0;

	if (core->operation != DYNMEM_BALLOON || !core->sent)
		return -EBADMSG;
	(void)reader_le32(message);
	more_and_n_ranges = reader_le32(message);
	n_pages = read_ranges(core, message, more_and_n_ranges >> 1);
	if (n_pages < 0 || (uint64_t)n_pages > core->n_pages - core->n_done)
		r = -EBADMSG;
	else
		r = dynmem_runs_add(&core->ballooned, core->released, more_and_n_ranges >> 1);
	if (r == 0) {
		core->n_released = more_and_n_ranges >> 1;
		core->n_done += (uint64_t)n_pages;
	}
	if (!(more_and_n_ranges & 1))
		end_balloon(core, now_ns);
	return r;
}

static int on_unballoon_response(
	struct dynmem_core *core, _unused_ uint64_t now_ns, _unused_ struct reader *message)
{
	if (core->operation != DYNMEM_UNBALLOON || !core->sent)
		return -EBADMSG;
	core->operation = DYNMEM_IDLE;
	return 0;
}

static int on_hot_add_response(struct dynmem_core *core, uint64_t now_ns, struct reader *message)
{
	uint64_t n_pages = reader_le32(message);
	uint32_t result = reader_le32(message);
	struct dynmem_hot_range *range = &core->hot_ranges[core->hot_range];

	if (core->operation != DYNMEM_HOT_ADD || !core->sent)
		return -EBADMSG;
	core->operation = DYNMEM_IDLE;
	if (n_pages > range->n_pages) {
		core->hot_add_rest_ns = DYNMEM_NEVER;
		return -EBADMSG;
	}
	range->n_accepted = n_pages;
	/* Less than was offered: it will not take more, unless it says so. */
	if (n_pages < range->n_pages)
		core->hot_add_rest_ns = n_pages || result ? DYNMEM_NEVER : now_ns + REST_NS;
	return 0;
}

static const struct handler {
	uint16_t min_bytes;
	uint8_t phase; /* enum dynmem_phase */
	int (*handle)(struct dynmem_core *core, uint64_t now_ns, struct reader *message);
} handlers[] = {
	[DYNMEM_VERSION_REQUEST] = {sizeof(struct dynmem_version_request), DYNMEM_AT_VERSION,
		on_version_request},
	[DYNMEM_CAPABILITIES] = {sizeof(struct dynmem_capabilities), DYNMEM_AT_CAPABILITIES,
		on_capabilities},
	[DYNMEM_STATUS] = {sizeof(struct dynmem_status), DYNMEM_READY, on_status},
	[DYNMEM_BALLOON_RESPONSE] = {sizeof(struct dynmem_balloon_response), DYNMEM_READY,
		on_balloon_response},
	[DYNMEM_UNBALLOON_RESPONSE] = {sizeof(struct dynmem_unballoon_response), DYNMEM_READY,
		on_unballoon_response},
	[DYNMEM_HOT_ADD_RESPONSE] = {sizeof(struct dynmem_hot_add_response), DYNMEM_READY,
		on_hot_add_response},
};

static int receive(struct dynmem_core *core, uint64_t now_ns, struct reader *in)
{
	struct dynmem_header header;
	const struct handler *handler;

	reader_bytes(in, &header, sizeof(header));
	if (!reader_ok(in) || header.type >= ARRAY_LEN(handlers))
		return -EBADMSG;
	handler = &handlers[header.type];
	if (!handler->handle || handler->phase != core->phase ||
		header.size_bytes < handler->min_bytes ||
		header.size_bytes - sizeof(header) > in->left_bytes)
		return -EBADMSG;
	/* A guest waits for its answer before it says more. */
	if (core->answers_to && header.type < DYNMEM_STATUS)
		return -EBADMSG;
	in->left_bytes = header.size_bytes - sizeof(header);
	if (header.type < DYNMEM_STATUS)
		core->answer_id = header.transaction_id;
	return handler->handle(core, now_ns, in);
}

void dynmem_core_receive(
	struct dynmem_core *core, uint64_t now_ns, const void *payload, size_t size_bytes)
{
	struct reader in = reader_make(payload, size_bytes);

	core->n_released = 0;
	if (core->phase == DYNMEM_CLOSED || size_bytes > DYNMEM_MAX_MESSAGE_BYTES ||
		receive(core, now_ns, &in))
		core->n_protocol_errors++;
}

static size_t put(struct dynmem_core *core, uint16_t type, void *message, size_t size_bytes,
	uint8_t *ret_message)
{
	const struct dynmem_header header = {
		.type = type,
		.size_bytes = (uint16_t)size_bytes,
		.transaction_id = ++core->transaction_id,
	};

	memcpy(ret_message, message, size_bytes);
	memcpy(ret_message, &header, sizeof(header));
	return size_bytes;
}

static size_t send_answer(struct dynmem_core *core, uint8_t *ret_message)
{
	const struct dynmem_response response = {
		.header = {.type = core->answers_to == DYNMEM_CAPABILITIES
					   ? DYNMEM_CAPABILITIES_RESPONSE
					   : DYNMEM_VERSION_RESPONSE,
			.size_bytes = sizeof(response),
			.transaction_id = core->answer_id},
		.accepted = core->accepted,
	};

	core->answers_to = 0;
	memcpy(ret_message, &response, sizeof(response));
	return sizeof(response);
}

static size_t send_maximum(struct dynmem_core *core, uint8_t *ret_message)
{
	struct dynmem_info_message message = {
		.info_bytes = 16,
		.type = DYNMEM_INFO_MAX_PAGES,
		.data_bytes = sizeof(message.data),
		.data = core->limits.max_bytes / PAGE_BYTES,
	};

	core->tell_maximum = false;
	return put(core, DYNMEM_INFO, &message, sizeof(message), ret_message);
}

static size_t send_balloon(struct dynmem_core *core, uint8_t *ret_message)
{
	struct dynmem_balloon_request message = {.n_pages = (uint32_t)core->n_pages};

	core->sent = true;
	return put(core, DYNMEM_BALLOON_REQUEST, &message, sizeof(message), ret_message);
}

static size_t send_unballoon(struct dynmem_core *core, uint8_t *ret_message)
{
	uint8_t bytes[DYNMEM_MAX_MESSAGE_BYTES];
	struct dynmem_unballoon_request message = {0};
	struct dynmem_run taken[DYNMEM_MAX_RANGES];
	size_t n;

	n = dynmem_runs_take(
		&core->ballooned, core->n_pages, DYNMEM_RANGE_MAX_PAGES, taken, ARRAY_LEN(taken));
	for (size_t i = 0; i < n; i++) {
		store_le64(bytes + sizeof(message) + i * sizeof(uint64_t),
			dynmem_range(taken[i].first, (uint32_t)taken[i].n_pages));
		core->n_pages -= taken[i].n_pages;
	}
	core->sent = core->n_pages == 0;
	message.more = !core->sent;
	message.n_ranges = (uint32_t)n;
	memcpy(bytes, &message, sizeof(message));
	return put(core, DYNMEM_UNBALLOON_REQUEST, bytes, sizeof(message) + n * sizeof(uint64_t),
		ret_message);
}

static size_t send_hot_add(struct dynmem_core *core, uint8_t *ret_message)
{
	const struct dynmem_hot_range *range = &core->hot_ranges[core->hot_range];
	struct dynmem_hot_add_request message = {
		.range = dynmem_range(range->first, (uint32_t)range->n_pages),
	};

	core->sent = true;
	return put(core, DYNMEM_HOT_ADD_REQUEST, &message, sizeof(message), ret_message);
}

static bool begin(struct dynmem_core *core, enum dynmem_operation operation, uint64_t n_pages)
{
	core->operation = operation;
	core->sent = false;
	core->n_pages = n_pages;
	core->n_done = 0;
	return true;
}

static bool can_hot_add(const struct dynmem_core *core, uint64_t now_ns)
{
	unsigned alignment =
		core->capabilities >> DYNMEM_CAP_ALIGNMENT_SHIFT & DYNMEM_CAP_ALIGNMENT_MASK;

	return core->capabilities & DYNMEM_CAP_HOT_ADD && alignment <= HOT_ADD_MAX_ALIGNED &&
	       now_ns >= core->hot_add_rest_ns;
}

/* The first range that is there and not the guest's, and fits below the maximum; or -1. */
static int find_spare(const struct dynmem_core *core)
{
	uint64_t room = core->limits.max_bytes -
			MIN(core->limits.max_bytes, dynmem_core_assigned_bytes(core));

	for (unsigned i = 0; i < core->n_hot_ranges; i++) {
		if (core->hot_ranges[i].n_accepted == 0 &&
			core->hot_ranges[i].n_pages * PAGE_BYTES <= room)
			return (int)i;
	}
	return -1;
}

static bool wants_more(const struct dynmem_core *core)
{
	return core->phase == DYNMEM_READY && core->operation == DYNMEM_IDLE &&
	       core->limits.min_bytes < core->limits.max_bytes &&
	       core->target_bytes > dynmem_core_assigned_bytes(core);
}

/* Returns whether there is an operation to go on with. */
static bool begin_growing(struct dynmem_core *core, uint64_t now_ns)
{
	uint64_t missing = core->target_bytes - dynmem_core_assigned_bytes(core);
	int spare;

	if (core->ballooned.n_pages)
		return begin(core, DYNMEM_UNBALLOON,
			MIN((missing + PAGE_BYTES - 1) / PAGE_BYTES, core->ballooned.n_pages));
	spare = can_hot_add(core, now_ns) ? find_spare(core) : -1;
	if (spare < 0)
		return false;
	core->hot_range = (unsigned)spare;
	return begin(core, DYNMEM_HOT_ADD, core->hot_ranges[spare].n_pages);
}

static bool begin_shrinking(struct dynmem_core *core, uint64_t now_ns)
{
	uint64_t assigned = dynmem_core_assigned_bytes(core);
	uint64_t n_pages = (assigned - MIN(core->target_bytes, assigned)) / PAGE_BYTES;

	/* However scattered they are, they can be remembered. */
	n_pages = MIN(n_pages, (uint64_t)(DYNMEM_MAX_RUNS - core->ballooned.n_runs));
	n_pages = MIN(n_pages, (uint64_t)BALLOON_MAX_PAGES);
	n_pages -= n_pages % BALLOON_STEP_PAGES;
	if (n_pages == 0 || !(core->capabilities & DYNMEM_CAP_BALLOON) ||
		now_ns < core->balloon_rest_ns)
		return false;
	return begin(core, DYNMEM_BALLOON, n_pages);
}

static bool begin_operation(struct dynmem_core *core, uint64_t now_ns)
{
	if (core->target_bytes == 0 || core->limits.min_bytes == core->limits.max_bytes)
		return false;
	if (wants_more(core))
		return begin_growing(core, now_ns);
	return begin_shrinking(core, now_ns);
}

size_t dynmem_core_send(struct dynmem_core *core, uint64_t now_ns, uint8_t *ret_message)
{
	if (core->answers_to)
		return send_answer(core, ret_message);
	if (core->phase != DYNMEM_READY)
		return 0;
	if (core->tell_maximum)
		return send_maximum(core, ret_message);
	if (core->operation == DYNMEM_IDLE && !begin_operation(core, now_ns))
		return 0;
	if (core->sent)
		return 0;
	switch (core->operation) {
	case DYNMEM_BALLOON:
		return send_balloon(core, ret_message);
	case DYNMEM_UNBALLOON:
		return send_unballoon(core, ret_message);
	case DYNMEM_HOT_ADD:
		return send_hot_add(core, ret_message);
	case DYNMEM_IDLE:
		break;
	}
	return 0;
}

/* The policy has the guest's reports for a clock; a target set by hand has none. */
uint64_t dynmem_core_deadline_ns(const struct dynmem_core *core, uint64_t now_ns)
{
	uint64_t rest_ns;

	if (core->phase != DYNMEM_READY || core->operation != DYNMEM_IDLE || !core->manual_bytes)
		return DYNMEM_NEVER;
	rest_ns = wants_more(core) ? core->hot_add_rest_ns : core->balloon_rest_ns;
	return rest_ns > now_ns ? rest_ns : DYNMEM_NEVER;
}

uint64_t dynmem_core_wants_bytes(const struct dynmem_core *core, uint64_t now_ns)
{
	uint64_t assigned = dynmem_core_assigned_bytes(core), missing, room;

	if (!wants_more(core) || core->ballooned.n_pages || !can_hot_add(core, now_ns) ||
		find_spare(core) >= 0 || core->n_hot_ranges == DYNMEM_MAX_HOT_RANGES)
		return 0;
	missing = ALIGN_UP(core->target_bytes - assigned, DYNMEM_HOT_ADD_BYTES);
	room = core->limits.max_bytes - assigned;
	missing = MIN(missing, room - room % DYNMEM_HOT_ADD_BYTES);
	return MIN(missing, HOT_ADD_MAX_BYTES);
}

void dynmem_core_made(
	struct dynmem_core *core, uint64_t now_ns, int error, uint64_t first_page, uint64_t n_pages)
{
	if (error) {
		core->hot_add_rest_ns = now_ns + REST_NS;
		return;
	}
	core->hot_ranges[core->n_hot_ranges++] =
		(struct dynmem_hot_range){.first = first_page, .n_pages = n_pages};
}
