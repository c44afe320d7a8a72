/* SPDX-License-Identifier: MIT
 *
 * A peer that knows the key and still means harm: whatever it sends, the other end says no, once,
 * and is none the worse for it.
 */
#include "migrate/chunk.h"
#include "migrate/handshake.h"
#include "migrate/manifest.h"
#include "migrate/stream.h"

#include "base/clock.h"
#include "pair.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PAGES(n)  ((n)*4096UL)
#define N_LINKS   3
#define RAM_PAGES 24

/* The hostile end: raw links in place of one of the pair's two. */
struct villain {
	struct pair pair;
	enum mig_role role;
	struct link links[N_LINKS];
	struct stream_in control;
};

static void villain_init(struct villain *v, enum mig_role role)
{
	const char *why;

	v->role = role;
	pair_init(&v->pair, PAGES(16), PAGES(8));
	pair_connect(&v->pair, PAIR_SOCKETPAIR, N_LINKS);
	if (role == MIG_ROLE_SOURCE)
		pair_start_target(&v->pair);
	else
		pair_start_source(&v->pair);
	for (unsigned i = 0; i < N_LINKS; i++) {
		int fd = role == MIG_ROLE_SOURCE ? v->pair.source_fds[i] : v->pair.target_fds[i];

		assert_int_equal(link_init(&v->links[i], fd, -1, 10 * NS_PER_SEC), 0);
	}
	assert_int_equal(
		handshake(role, v->pair.source_params.job_key, 32, v->links, N_LINKS, &why), 0);
	assert_int_equal(stream_in_init(&v->control, &v->links[0], MIG_MAX_FRAME_BYTES), 0);
}

static void villain_fini(struct villain *v)
{
	stream_in_fini(&v->control);
	for (unsigned i = 0; i < N_LINKS; i++)
		link_close(&v->links[i]);
	pair_fini(&v->pair);
}

static void put(struct villain *v, unsigned link, const void *bytes, size_t size_bytes)
{
	struct iovec iov = {(void *)bytes, size_bytes};

	/* The victim may already have had enough. */
	(void)link_write(&v->links[link], &iov, 1);
}

static void put_frame(struct villain *v, uint16_t type, const void *payload, size_t size_bytes)
{
	(void)stream_send(&v->links[0], type, payload, size_bytes, NULL, 0);
}

static void expect_frame(struct villain *v, uint16_t type)
{
	struct frame frame;
	const char *why;
	int r;

	while ((r = stream_in_pull(&v->control, &frame, &why)) == -EAGAIN) {
		struct pollfd readable = {.fd = v->links[0].fd, .events = POLLIN};

		assert_int_equal(poll(&readable, 1, PAIR_PATIENCE_S * 1000), 1);
	}
	assert_int_equal(r, 0);
	assert_int_equal(frame.type, type);
}

static void put_mark(struct villain *v, uint16_t type, uint32_t round, uint32_t flags, uint32_t n)
{
	struct mig_round_mark mark = {.round = round, .flags = flags, .n_pages = n};

	put_frame(v, type, &mark, sizeof(mark));
}

static void put_chunk(struct villain *v, unsigned link, uint8_t kind, uint32_t round,
	uint32_t first_pfn, uint32_t n_pages)
{
	uint8_t head[MIG_CHUNK_MAX_HEAD_BYTES];
	struct chunk chunk;

	chunk_start(&chunk, kind, round);
	if (n_pages)
		chunk_append(&chunk, first_pfn, n_pages);
	put(v, link, head, chunk_head_encode(&chunk, head));
}

static void put_manifest(struct villain *v)
{
	struct manifest ours = {
		.vm_name = v->pair.source_params.vm_name,
		.cpuid_digest = v->pair.source_params.cpuid_digest,
		.memory = v->pair.source_vm.memory,
	};
	struct buf text = {0};

	manifest_encode(&ours, &text);
	put_frame(v, MIG_FRAME_MANIFEST, text.data, text.size_bytes);
	buf_fini(&text);
	expect_frame(v, MIG_FRAME_ACCEPT);
}

/* Round 0 as it should be: all zeros. */
static void put_round_zero(struct villain *v)
{
	put_mark(v, MIG_FRAME_ROUND_BEGIN, 0, 0, RAM_PAGES);
	put_chunk(v, 1, MIG_CHUNK_ZERO, 0, 0, 16);
	put_chunk(v, 1, MIG_CHUNK_BARRIER, 0, 0, 0);
	put_chunk(v, 2, MIG_CHUNK_ZERO, 0, FAKE_HIGH_BASE >> 12, 8);
	put_chunk(v, 2, MIG_CHUNK_BARRIER, 0, 0, 0);
	put_mark(v, MIG_FRAME_ROUND_END, 0, 0, RAM_PAGES);
	expect_frame(v, MIG_FRAME_ROUND_DONE);
}

static void do_garbage_on_control(struct villain *v)
{
	put(v, 0, "GET / HTTP/1.1\r\n\r\n", 18);
}

static void do_garbage_on_data(struct villain *v)
{
	put_manifest(v);
	put(v, 2, "GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n", 35);
}

static void do_rounds_before_manifest(struct villain *v)
{
	put_mark(v, MIG_FRAME_ROUND_BEGIN, 0, 0, RAM_PAGES);
}

static void do_second_round_first(struct villain *v)
{
	put_manifest(v);
	put_mark(v, MIG_FRAME_ROUND_BEGIN, 1, 0, 1);
}

static void do_chunk_of_old_round(struct villain *v)
{
	put_manifest(v);
	put_round_zero(v);
	put_mark(v, MIG_FRAME_ROUND_BEGIN, 1, 0, 1);
	put_chunk(v, 1, MIG_CHUNK_ZERO, 0, 0, 1);
}

static void do_chunk_of_next_round(struct villain *v)
{
	put_manifest(v);
	put_chunk(v, 1, MIG_CHUNK_ZERO, 1, 0, 1);
}

/* One channel runs ahead of the barrier; it must not be read before the other is there. */
static void do_too_few_pages(struct villain *v)
{
	put_manifest(v);
	put_mark(v, MIG_FRAME_ROUND_BEGIN, 0, 0, RAM_PAGES);
	put_chunk(v, 1, MIG_CHUNK_ZERO, 0, 0, 15);
	put_chunk(v, 1, MIG_CHUNK_BARRIER, 0, 0, 0);
	put_chunk(v, 1, MIG_CHUNK_ZERO, 1, 0, 16);
	put_chunk(v, 2, MIG_CHUNK_ZERO, 0, FAKE_HIGH_BASE >> 12, 8);
	put_chunk(v, 2, MIG_CHUNK_BARRIER, 0, 0, 0);
	put_mark(v, MIG_FRAME_ROUND_END, 0, 0, RAM_PAGES);
}

static void do_pages_outside_memory(struct villain *v)
{
	put_manifest(v);
	put_chunk(v, 1, MIG_CHUNK_ZERO, 0, 10, 7);
}

static void do_commit_unasked(struct villain *v)
{
	put_manifest(v);
	put_round_zero(v);
	put_frame(v, MIG_FRAME_COMMIT, NULL, 0);
}

static void do_final_without_state(struct villain *v)
{
	struct mig_final final = {.round = 1, .n_pages = 0, .state_bytes = 1};

	put_manifest(v);
	put_round_zero(v);
	put_mark(v, MIG_FRAME_ROUND_BEGIN, 1, MIG_ROUND_FINAL, 0);
	put_frame(v, MIG_FRAME_FINAL, &final, sizeof(final));
}

static void do_targets_frame(struct villain *v)
{
	put_frame(v, MIG_FRAME_ACCEPT, NULL, 0);
}

static void do_hang_up(struct villain *v)
{
	put_manifest(v);
	link_cut(&v->links[0]);
}

static void do_abort(struct villain *v)
{
	assert_int_equal(stream_send_abort(&v->links[0], -ENOSPC, "no \x1b[31m space"), 0);
}

static void test_hostile_source(void **state)
{
	static void (*const deeds[])(struct villain * v) = {
		do_garbage_on_control,
		do_garbage_on_data,
		do_rounds_before_manifest,
		do_second_round_first,
		do_chunk_of_old_round,
		do_chunk_of_next_round,
		do_too_few_pages,
		do_pages_outside_memory,
		do_commit_unasked,
		do_final_without_state,
		do_targets_frame,
		do_hang_up,
		do_abort,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
		static struct villain v;

		villain_init(&v, MIG_ROLE_SOURCE);
		deeds[i](&v);
		pair_wait(&v.pair, &v.pair.n_failed);
		assert_int_equal(v.pair.n_target_ready, 0);
		assert_int_equal(v.pair.target_vm.n_restore, 0);
		if (deeds[i] == do_abort) {
			assert_int_equal(v.pair.failed_error, -ENOSPC);
			assert_string_equal(v.pair.failed_text, "source: no ?[31m space");
		} else if (deeds[i] == do_hang_up) {
			assert_int_equal(v.pair.failed_error, -ECONNRESET);
		} else {
			assert_int_equal(v.pair.failed_error, -EBADMSG);
		}
		mig_target_free(take_ptr(v.pair.target));
		assert_int_equal(v.pair.n_failed, 1);
		villain_fini(&v);
	}
}

/* A correct source, but for what it says after the target is ready. */
static void test_words_after_ready(void **state)
{
	(void)state;
	for (int deed = 0; deed < 4; deed++) {
		struct mig_final final = {.round = 1, .n_pages = 0, .state_bytes = 3};
		static struct villain v;

		villain_init(&v, MIG_ROLE_SOURCE);
		put_manifest(&v);
		put_round_zero(&v);
		put_mark(&v, MIG_FRAME_ROUND_BEGIN, 1, MIG_ROUND_FINAL, 0);
		put_frame(&v, MIG_FRAME_STATE, "\0\0\0\0\0\0\0\0abc", 11);
		put_chunk(&v, 1, MIG_CHUNK_BARRIER, 1, 0, 0);
		put_chunk(&v, 2, MIG_CHUNK_BARRIER, 1, 0, 0);
		put_frame(&v, MIG_FRAME_FINAL, &final, sizeof(final));
		expect_frame(&v, MIG_FRAME_READY);
		assert_int_equal(pair_read(&v.pair, &v.pair.n_target_ready), 1);
		assert_memory_equal(v.pair.target_vm.state, "abc", 3);
		if (deed == 0)
			link_cut(&v.links[0]);
		if (deed == 1)
			put(&v, 0, "nonsense, long enough for a header", 34);
		if (deed == 2)
			put_frame(&v, MIG_FRAME_COMMIT, NULL, 0);
		if (deed == 3) {
			assert_int_equal(stream_send_abort(&v.links[0], -EPERM, "no"), 0);
			pair_wait(&v.pair, &v.pair.n_failed);
			assert_int_equal(v.pair.failed_error, -EPERM);
		}
		mig_target_free(take_ptr(v.pair.target));
		assert_int_equal(v.pair.n_failed, deed == 3 ? 1 : 0);
		villain_fini(&v);
	}
}

static void answer_nonsense(struct villain *v)
{
	put(v, 0, "HTTP/1.1 200 OK\r\n\r\n", 19);
}

static void answer_ready_at_once(struct villain *v)
{
	uint64_t restore_ns = 0;

	put_frame(v, MIG_FRAME_READY, &restore_ns, sizeof(restore_ns));
}

static void answer_done_at_once(struct villain *v)
{
	put_frame(v, MIG_FRAME_ACCEPT, NULL, 0);
	expect_frame(v, MIG_FRAME_MANIFEST);
	expect_frame(v, MIG_FRAME_ROUND_BEGIN);
	put_mark(v, MIG_FRAME_ROUND_DONE, 7, 0, 0);
}

static void answer_accept_twice(struct villain *v)
{
	put_frame(v, MIG_FRAME_ACCEPT, NULL, 0);
	expect_frame(v, MIG_FRAME_MANIFEST);
	expect_frame(v, MIG_FRAME_ROUND_BEGIN);
	put_frame(v, MIG_FRAME_ACCEPT, NULL, 0);
}

static void answer_sources_frame(struct villain *v)
{
	put_frame(v, MIG_FRAME_COMMIT, NULL, 0);
}

static void answer_oversized(struct villain *v)
{
	static uint8_t big[400];

	put_frame(v, MIG_FRAME_ABORT, big, sizeof(big));
}

static void answer_hang_up(struct villain *v)
{
	put_frame(v, MIG_FRAME_ACCEPT, NULL, 0);
	expect_frame(v, MIG_FRAME_MANIFEST);
	expect_frame(v, MIG_FRAME_ROUND_BEGIN);
	for (unsigned i = 0; i < N_LINKS; i++)
		link_cut(&v->links[i]);
}

static void test_hostile_target(void **state)
{
	static void (*const deeds[])(struct villain * v) = {
		answer_nonsense,
		answer_ready_at_once,
		answer_done_at_once,
		answer_accept_twice,
		answer_sources_frame,
		answer_oversized,
		answer_hang_up,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
		static struct villain v;

		villain_init(&v, MIG_ROLE_TARGET);
		deeds[i](&v);
		pair_wait(&v.pair, &v.pair.n_done);
		assert_int_equal(
			v.pair.done_error, deeds[i] == answer_hang_up ? -ECONNRESET : -EBADMSG);
		pair_check_source_unharmed(&v.pair);
		assert_int_equal(v.pair.source_vm.n_pause, 0);
		villain_fini(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile_source),
		cmocka_unit_test(test_words_after_ready),
		cmocka_unit_test(test_hostile_target),
	};

	return cmocka_run_group_tests_name("hostile peers", tests, NULL, NULL);
}
