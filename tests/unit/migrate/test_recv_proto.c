/* SPDX-License-Identifier: MIT
 *
 * The target's state machine: every frame in every state, every field bent.
 */
#include "migrate/recv_proto.h"

#include "fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PAGES(n)  ((n)*4096UL)
#define RAM_PAGES 24

struct machine {
	struct fake_vm vm;
	struct recv_proto proto;
	struct buf manifest;
	enum recv_action action;
	const char *why;
};

static void machine_init(struct machine *m)
{
	struct manifest ours = {.vm_name = "vm1", .cpuid_digest = 99};

	*m = (struct machine){0};
	fake_vm_init(&m->vm, PAGES(16), PAGES(8));
	ours.memory = m->vm.memory;
	recv_proto_init(&m->proto, &ours);
	manifest_encode(&ours, &m->manifest);
	assert_false(m->manifest.failed);
}

static void machine_fini(struct machine *m)
{
	recv_proto_fini(&m->proto);
	buf_fini(&m->manifest);
	fake_vm_fini(&m->vm);
}

static int feed(struct machine *m, uint16_t type, const void *payload, size_t size_bytes)
{
	struct frame frame = {
		.type = type,
		.size_bytes = (uint32_t)size_bytes,
		.payload = payload,
	};
	int r;

	m->why = NULL;
	r = recv_proto_frame(&m->proto, &frame, &m->action, &m->why);
	if (r < 0)
		assert_non_null(m->why);
	return r;
}

static int feed_mark(
	struct machine *m, uint16_t type, uint32_t round, uint32_t flags, uint32_t n_pages)
{
	struct mig_round_mark mark = {.round = round, .flags = flags, .n_pages = n_pages};

	return feed(m, type, &mark, sizeof(mark));
}

static int feed_state(struct machine *m, uint64_t offset, size_t size_bytes)
{
	static uint8_t part[MIG_MAX_FRAME_BYTES + 1];

	store_le64(part, offset);
	return feed(m, MIG_FRAME_STATE, part, sizeof(struct mig_state_part) + size_bytes);
}

static int feed_final(struct machine *m, uint32_t round, uint32_t n_pages, uint64_t state_bytes)
{
	struct mig_final final = {.round = round, .n_pages = n_pages, .state_bytes = state_bytes};

	return feed(m, MIG_FRAME_FINAL, &final, sizeof(final));
}

static int arrive(struct machine *m, uint64_t n_pages)
{
	return recv_proto_arrived(&m->proto, n_pages, &m->action, &m->why);
}

/* Bring a fresh machine into `state`. */
static void advance(struct machine *m, enum recv_state state)
{
	machine_init(m);
	if (state == RECV_MANIFEST)
		return;
	assert_int_equal(feed(m, MIG_FRAME_MANIFEST, m->manifest.data, m->manifest.size_bytes), 0);
	assert_int_equal(m->action, RECV_DO_ACCEPT);
	if (state == RECV_IDLE)
		return;
	assert_int_equal(feed_mark(m, MIG_FRAME_ROUND_BEGIN, 0, 0, RAM_PAGES), 0);
	if (state == RECV_ROUND)
		return;
	assert_int_equal(arrive(m, RAM_PAGES), 0);
	assert_int_equal(m->action, RECV_DO_NOTHING);
	assert_int_equal(feed_mark(m, MIG_FRAME_ROUND_END, 0, 0, RAM_PAGES), 0);
	assert_int_equal(m->action, RECV_DO_ROUND_DONE);
	assert_int_equal(m->proto.round, 1);
	assert_int_equal(feed_mark(m, MIG_FRAME_ROUND_BEGIN, 1, MIG_ROUND_FINAL, 3), 0);
	if (state == RECV_FINAL_ROUND)
		return;
	assert_int_equal(feed_state(m, 0, 1000), 0);
	assert_int_equal(feed_final(m, 1, 3, 1000), 0);
	assert_int_equal(m->action, RECV_DO_NOTHING);
	assert_int_equal(arrive(m, 3), 0);
	assert_int_equal(m->action, RECV_DO_RESTORE);
	assert_int_equal(m->proto.units.size_bytes, 1000);
	if (state == RECV_RESTORE)
		return;
	recv_proto_restored(&m->proto);
	if (state == RECV_READY)
		return;
	assert_int_equal(feed(m, MIG_FRAME_COMMIT, NULL, 0), 0);
	assert_int_equal(m->action, RECV_DO_COMMITTED);
}

/* A valid frame of each type. */
static int feed_any(struct machine *m, uint16_t type)
{
	static const struct mig_abort abort_head = {.error = ENOSPC};

	switch (type) {
	case MIG_FRAME_MANIFEST:
		return feed(m, type, m->manifest.data, m->manifest.size_bytes);
	case MIG_FRAME_ROUND_BEGIN:
		return feed_mark(m, type, m->proto.round, 0, m->proto.round ? 1 : RAM_PAGES);
	case MIG_FRAME_ROUND_END:
		return feed_mark(m, type, m->proto.round, 0, m->proto.begin_pages);
	case MIG_FRAME_STATE:
		return feed_state(m, m->proto.units.size_bytes, 1);
	case MIG_FRAME_FINAL:
		return feed_final(
			m, m->proto.round, m->proto.begin_pages, m->proto.units.size_bytes);
	case MIG_FRAME_ABORT:
		return feed(m, type, &abort_head, sizeof(abort_head));
	default:
		return feed(m, type, NULL, 0);
	}
}

static void test_each_frame_in_each_state(void **state)
{
	/* What is allowed where, once more and independently. */
	static const char *const allowed[] = {
		[RECV_MANIFEST] = "M.........A.",
		[RECV_IDLE] = "..B.......A.",
		[RECV_ROUND] = "...E......A.",
		[RECV_FINAL_ROUND] = ".....SF...A.",
		[RECV_RESTORE] = "..........A.",
		[RECV_READY] = "........C.A.",
		[RECV_OVER] = "............",
	};
	static const char letters[] = {
		[MIG_FRAME_MANIFEST] = 'M',
		[MIG_FRAME_ACCEPT] = '-',
		[MIG_FRAME_ROUND_BEGIN] = 'B',
		[MIG_FRAME_ROUND_END] = 'E',
		[MIG_FRAME_ROUND_DONE] = '-',
		[MIG_FRAME_STATE] = 'S',
		[MIG_FRAME_FINAL] = 'F',
		[MIG_FRAME_READY] = '-',
		[MIG_FRAME_COMMIT] = 'C',
		[MIG_FRAME_ABORT] = 'A',
		[MIG_FRAME_END] = '-',
	};

	(void)state;
	for (enum recv_state in = RECV_MANIFEST; in <= RECV_OVER; in++) {
		for (uint16_t type = MIG_FRAME_MANIFEST; type <= MIG_FRAME_END; type++) {
			struct machine m;
			bool expected = strchr(allowed[in], letters[type]) != NULL;

			advance(&m, in);
			assert_int_equal(feed_any(&m, type), expected ? 0 : -EBADMSG);
			machine_fini(&m);
		}
	}
}

static void test_bent_rounds(void **state)
{
	static const struct {
		enum recv_state in;
		uint16_t type;
		struct mig_round_mark mark;
	} rows[] = {
		{RECV_IDLE, MIG_FRAME_ROUND_BEGIN, {.round = 1, .n_pages = RAM_PAGES}},
		{RECV_IDLE, MIG_FRAME_ROUND_BEGIN, {.round = 0, .n_pages = RAM_PAGES - 1}},
		{RECV_IDLE, MIG_FRAME_ROUND_BEGIN, {.round = 0, .n_pages = RAM_PAGES + 1}},
		{RECV_IDLE, MIG_FRAME_ROUND_BEGIN, {.flags = 2, .n_pages = RAM_PAGES}},
		{RECV_IDLE, MIG_FRAME_ROUND_BEGIN, {.n_pages = RAM_PAGES, .reserved = 1}},
		{RECV_ROUND, MIG_FRAME_ROUND_END, {.round = 1, .n_pages = RAM_PAGES}},
		{RECV_ROUND, MIG_FRAME_ROUND_END, {.n_pages = RAM_PAGES - 1}},
		{RECV_ROUND, MIG_FRAME_ROUND_END, {.n_pages = RAM_PAGES, .flags = 1}},
		{RECV_ROUND, MIG_FRAME_ROUND_END, {.n_pages = RAM_PAGES, .reserved = 9}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct machine m;

		advance(&m, rows[i].in);
		assert_int_equal(
			feed(&m, rows[i].type, &rows[i].mark, sizeof(rows[i].mark)), -EBADMSG);
		machine_fini(&m);
		advance(&m, rows[i].in);
		assert_int_equal(feed(&m, rows[i].type, &rows[i].mark, 15), -EBADMSG);
		machine_fini(&m);
	}
}

static void test_pages_and_marks_disagree(void **state)
{
	struct machine m;

	(void)state;
	advance(&m, RECV_ROUND);
	assert_int_equal(arrive(&m, RAM_PAGES - 1), 0);
	assert_int_equal(feed_any(&m, MIG_FRAME_ROUND_END), -EBADMSG);
	machine_fini(&m);

	advance(&m, RECV_ROUND);
	assert_int_equal(feed_any(&m, MIG_FRAME_ROUND_END), 0);
	assert_int_equal(feed_any(&m, MIG_FRAME_ROUND_END), -EBADMSG);
	assert_int_equal(arrive(&m, (uint64_t)RAM_PAGES + (1ULL << 32)), -EBADMSG);
	machine_fini(&m);

	/* Pages before their announcement are a matter of connections; twice is not. */
	advance(&m, RECV_IDLE);
	assert_int_equal(arrive(&m, RAM_PAGES), 0);
	assert_int_equal(arrive(&m, RAM_PAGES), -EBADMSG);
	assert_int_equal(feed_any(&m, MIG_FRAME_ROUND_BEGIN), 0);
	assert_int_equal(feed_any(&m, MIG_FRAME_ROUND_END), 0);
	assert_int_equal(m.action, RECV_DO_ROUND_DONE);
	machine_fini(&m);

	advance(&m, RECV_RESTORE);
	assert_int_equal(arrive(&m, 1), -EBADMSG);
	machine_fini(&m);
}

static void test_bent_state(void **state)
{
	struct machine m;

	(void)state;
	advance(&m, RECV_FINAL_ROUND);
	assert_int_equal(feed_state(&m, 1, 10), -EBADMSG); /* a gap */
	assert_int_equal(feed_state(&m, 0, 0), -EBADMSG);  /* empty */
	assert_int_equal(feed_state(&m, 0, MIG_STATE_PART_BYTES + 1), -EBADMSG);
	assert_int_equal(feed_state(&m, 0, MIG_STATE_PART_BYTES), 0);
	assert_int_equal(feed_state(&m, 0, 1), -EBADMSG); /* again */
	assert_int_equal(feed_state(&m, UINT64_MAX, 1), -EBADMSG);
	assert_int_equal(feed_final(&m, 1, 3, MIG_STATE_PART_BYTES - 1), -EBADMSG);
	assert_int_equal(feed_final(&m, 1, 2, MIG_STATE_PART_BYTES), -EBADMSG);
	assert_int_equal(feed_final(&m, 0, 3, MIG_STATE_PART_BYTES), -EBADMSG);
	assert_int_equal(feed_final(&m, 1, 3, MIG_STATE_PART_BYTES), 0);
	assert_int_equal(feed_final(&m, 1, 3, MIG_STATE_PART_BYTES), -EBADMSG);
	assert_int_equal(feed_state(&m, MIG_STATE_PART_BYTES, 1), -EBADMSG); /* after the end */
	machine_fini(&m);
}

static void test_state_is_bounded(void **state)
{
	struct machine m;
	uint64_t at = 0;

	(void)state;
	advance(&m, RECV_FINAL_ROUND);
	while (at < MIG_MAX_STATE_BYTES) {
		assert_int_equal(feed_state(&m, at, MIG_STATE_PART_BYTES), 0);
		at += MIG_STATE_PART_BYTES;
	}
	assert_int_equal(feed_state(&m, at, 1), -EBADMSG);
	machine_fini(&m);
}

static void test_bent_manifests(void **state)
{
	struct machine m;
	uint8_t longer[MANIFEST_MAX_BYTES + 1] = {0};

	(void)state;
	advance(&m, RECV_MANIFEST);
	for (size_t cut = 0; cut < m.manifest.size_bytes; cut++)
		assert_true(feed(&m, MIG_FRAME_MANIFEST, m.manifest.data, cut) < 0);
	memcpy(longer, m.manifest.data, m.manifest.size_bytes);
	assert_true(feed(&m, MIG_FRAME_MANIFEST, longer, m.manifest.size_bytes + 1) < 0);
	assert_true(feed(&m, MIG_FRAME_MANIFEST, longer, sizeof(longer)) < 0);
	for (size_t bit = 0; bit < m.manifest.size_bytes * 8; bit++) {
		m.manifest.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(feed_any(&m, MIG_FRAME_MANIFEST) < 0);
		m.manifest.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(feed_any(&m, MIG_FRAME_MANIFEST), 0);
	machine_fini(&m);
}

static void test_abort_text_is_made_harmless(void **state)
{
	uint8_t payload[sizeof(struct mig_abort) + MIG_MAX_ERROR_LEN + 1];
	struct machine m;

	(void)state;
	memset(payload, 0x1b, sizeof(payload));
	store_le32(payload, 0x80000005);
	advance(&m, RECV_IDLE);
	assert_int_equal(feed(&m, MIG_FRAME_ABORT, payload, sizeof(payload)), -EBADMSG);
	assert_int_equal(feed(&m, MIG_FRAME_ABORT, payload, sizeof(payload) - 1), 0);
	assert_int_equal(m.action, RECV_DO_ABORTED);
	assert_int_equal(m.proto.abort_error, -EREMOTEIO);
	assert_int_equal(strlen(m.proto.abort_text), MIG_MAX_ERROR_LEN);
	assert_int_equal(strspn(m.proto.abort_text, "?"), MIG_MAX_ERROR_LEN);
	machine_fini(&m);
}

static void test_rounds_are_bounded(void **state)
{
	struct machine m;
	int r = 0;

	(void)state;
	advance(&m, RECV_IDLE);
	for (unsigned i = 0; i < 1000 && r == 0; i++) {
		r = feed_any(&m, MIG_FRAME_ROUND_BEGIN);
		if (r == 0)
			r = arrive(&m, i ? 1 : RAM_PAGES);
		if (r == 0)
			r = feed_any(&m, MIG_FRAME_ROUND_END);
	}
	assert_int_equal(r, -EBADMSG);
	machine_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_frame_in_each_state),
		cmocka_unit_test(test_bent_rounds),
		cmocka_unit_test(test_pages_and_marks_disagree),
		cmocka_unit_test(test_bent_state),
		cmocka_unit_test(test_state_is_bounded),
		cmocka_unit_test(test_bent_manifests),
		cmocka_unit_test(test_abort_text_is_made_harmless),
		cmocka_unit_test(test_rounds_are_bounded),
	};

	return cmocka_run_group_tests_name("target protocol", tests, NULL, NULL);
}
