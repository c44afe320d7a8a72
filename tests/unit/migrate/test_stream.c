/* SPDX-License-Identifier: MIT
 *
 * Links, frames and the handshake, over socket pairs.
 */
#include "migrate/auth.h"
#include "migrate/handshake.h"
#include "migrate/stream.h"

#include "base/clock.h"
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

struct ends {
	struct link a, b;
};

static void ends_init(struct ends *e, int cancel_fd, uint64_t stall_ns)
{
	int fds[2];

	pair_sockets(PAIR_SOCKETPAIR, fds);
	assert_int_equal(link_init(&e->a, fds[0], cancel_fd, stall_ns), 0);
	assert_int_equal(link_init(&e->b, fds[1], cancel_fd, stall_ns), 0);
}

static void ends_fini(struct ends *e)
{
	link_close(&e->a);
	link_close(&e->b);
}

static void test_frames_travel(void **state)
{
	static uint8_t big[100000];
	struct ends e;
	struct stream_in in;
	struct frame frame;
	const char *why;

	(void)state;
	memset(big, 7, sizeof(big));
	ends_init(&e, -1, NS_PER_SEC);
	assert_int_equal(stream_in_init(&in, &e.b, sizeof(big)), 0);
	assert_int_equal(stream_in_pull(&in, &frame, &why), -EAGAIN);
	assert_int_equal(stream_send(&e.a, MIG_FRAME_COMMIT, NULL, 0, NULL, 0), 0);
	assert_int_equal(stream_send(&e.a, MIG_FRAME_STATE, "12345678", 8, big, 50000), 0);
	assert_int_equal(stream_in_pull(&in, &frame, &why), 0);
	assert_int_equal(frame.type, MIG_FRAME_COMMIT);
	assert_int_equal(frame.size_bytes, 0);
	assert_int_equal(stream_in_pull(&in, &frame, &why), 0);
	assert_int_equal(frame.type, MIG_FRAME_STATE);
	assert_int_equal(frame.size_bytes, 50008);
	assert_memory_equal(frame.payload, "12345678\7\7", 10);
	assert_int_equal(stream_in_pull(&in, &frame, &why), -EAGAIN);
	link_close(&e.a);
	assert_int_equal(stream_in_pull(&in, &frame, &why), -ECONNRESET);
	stream_in_fini(&in);
	ends_fini(&e);
}

/* Bytes come one by one; any of them may be wrong. */
static void test_damaged_frames(void **state)
{
	static const char text[] = "state of a unit";
	uint8_t bytes[sizeof(struct mig_frame_header) + sizeof(text)];

	(void)state;
	for (size_t bit = 0; bit <= sizeof(bytes) * 8; bit++) {
		struct mig_frame_header header;
		struct stream_in in;
		struct frame frame;
		struct ends e;
		const char *why;
		int r = -EAGAIN;

		ends_init(&e, -1, NS_PER_SEC);
		assert_int_equal(stream_in_init(&in, &e.b, 1000), 0);
		frame_header_encode(MIG_FRAME_ABORT, text, sizeof(text), NULL, 0, &header);
		memcpy(bytes, &header, sizeof(header));
		memcpy(bytes + sizeof(header), text, sizeof(text));
		if (bit < sizeof(bytes) * 8)
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		for (size_t i = 0; i < sizeof(bytes) && r == -EAGAIN; i++) {
			struct iovec iov = {&bytes[i], 1};

			assert_int_equal(link_write(&e.a, &iov, 1), 0);
			r = stream_in_pull(&in, &frame, &why);
		}
		/* A length that grew is waited for; everything else is found out. */
		if (bit == sizeof(bytes) * 8)
			assert_int_equal(r, 0);
		else
			assert_true(r == -EBADMSG || (r == -EAGAIN && bit / 8 >= 4 && bit / 8 < 8));
		stream_in_fini(&in);
		ends_fini(&e);
	}
}

static void test_oversized_frames_are_refused_at_once(void **state)
{
	struct mig_frame_header header = {.type = MIG_FRAME_STATE, .size_bytes = 1001};
	struct frame frame;
	const char *why;

	(void)state;
	assert_int_equal(frame_header_parse(&header, 1000, &frame, &why), -EBADMSG);
	header.size_bytes = UINT32_MAX;
	assert_int_equal(frame_header_parse(&header, 1000, &frame, &why), -EBADMSG);
	header.size_bytes = 1000;
	assert_int_equal(frame_header_parse(&header, 1000, &frame, &why), 0);
	header.reserved = 1;
	assert_int_equal(frame_header_parse(&header, 1000, &frame, &why), -EBADMSG);
	header.reserved = 0;
	header.type = MIG_FRAME_END + 1;
	assert_int_equal(frame_header_parse(&header, 1000, &frame, &why), -EBADMSG);
	header.type = 0;
	assert_int_equal(frame_header_parse(&header, 1000, &frame, &why), -EBADMSG);
}

static void test_links_give_up(void **state)
{
	int cancel_fd = eventfd(0, EFD_CLOEXEC);
	static uint8_t bytes[1 << 20];
	struct iovec iov;
	struct ends e;

	(void)state;
	ends_init(&e, cancel_fd, 20 * NS_PER_MS);
	iov = (struct iovec){bytes, 1};
	assert_int_equal(link_read(&e.a, &iov, 1), -ETIMEDOUT);
	iov = (struct iovec){bytes, sizeof(bytes)};
	assert_int_equal(link_write(&e.a, &iov, 1), -ETIMEDOUT); /* nobody reads */
	e.a.stall_ns = 0;
	e.a.deadline_ns = clock_mono_ns() + 20 * NS_PER_MS;
	iov = (struct iovec){bytes, 1};
	assert_int_equal(link_read(&e.a, &iov, 1), -ETIMEDOUT);
	e.a.deadline_ns = 0;
	assert_int_equal(eventfd_write(cancel_fd, 1), 0);
	assert_int_equal(link_read(&e.a, &iov, 1), -ECANCELED);
	e.a.cancel_fd = -1;
	link_cut(&e.a);
	assert_int_equal(link_read(&e.a, &iov, 1), -ECONNRESET);
	assert_int_equal(link_write(&e.a, &iov, 1), -ECONNRESET);
	ends_fini(&e);
	close(cancel_fd);
}

/* One end of a handshake on its own thread. */
struct shaker {
	struct thread thread;
	enum mig_role role;
	uint8_t key[32];
	struct link links[HANDSHAKE_MAX_LINKS];
	unsigned n_links;
	int result;
	const char *why;
};

static void shaker_main(void *data)
{
	struct shaker *s = data;

	s->result = handshake(s->role, s->key, sizeof(s->key), s->links, s->n_links, &s->why);
	if (s->result < 0) {
		for (unsigned i = 0; i < s->n_links; i++)
			link_cut(&s->links[i]);
	}
}

static void shake(struct shaker *a, struct shaker *b)
{
	for (unsigned i = 0; i < a->n_links; i++) {
		struct ends e;

		ends_init(&e, -1, 5 * NS_PER_SEC);
		a->links[i] = e.a;
		b->links[b->n_links - 1 - i] = e.b; /* in another order */
	}
	assert_int_equal(thread_start(&a->thread, "a", shaker_main, a), 0);
	shaker_main(b);
	thread_join(&a->thread);
	for (unsigned i = 0; i < a->n_links; i++) {
		link_close(&a->links[i]);
		link_close(&b->links[i]);
	}
}

static void test_handshake(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= HANDSHAKE_MAX_LINKS; n++) {
		struct shaker a = {.role = MIG_ROLE_SOURCE, .n_links = n};
		struct shaker b = {.role = MIG_ROLE_TARGET, .n_links = n};

		shake(&a, &b);
		assert_int_equal(a.result, 0);
		assert_int_equal(b.result, 0);
	}
}

static void test_handshake_refuses(void **state)
{
	struct shaker a = {.role = MIG_ROLE_SOURCE, .n_links = 2};
	struct shaker b = {.role = MIG_ROLE_TARGET, .n_links = 2};
	struct shaker c = {.role = MIG_ROLE_SOURCE, .n_links = 2};

	(void)state;
	b.key[0] = 1;
	shake(&a, &b);
	assert_true(a.result < 0 && b.result < 0);
	assert_true(a.result == -EACCES || b.result == -EACCES);
	/* Two sources: nobody is fooled by his own greeting. */
	shake(&a, &c);
	assert_true(a.result == -EBADMSG || c.result == -EBADMSG);
	assert_true(a.result < 0 && c.result < 0);
}

/* A greeting of the source with one byte changed. */
static void test_bent_greetings(void **state)
{
	(void)state;
	for (size_t at = 0; at < offsetof(struct mig_hello, nonce); at++) {
		struct mig_hello hello = {
			.magic = MIG_HELLO_MAGIC,
			.version = MIG_PROTO_VERSION,
			.role = MIG_ROLE_SOURCE,
		};
		struct shaker b = {.role = MIG_ROLE_TARGET, .n_links = 1};
		struct iovec iov = {&hello, sizeof(hello)};
		struct ends e;

		((uint8_t *)&hello)[at] ^= 0x21;
		ends_init(&e, -1, 5 * NS_PER_SEC);
		assert_int_equal(link_write(&e.a, &iov, 1), 0);
		b.links[0] = e.b;
		shaker_main(&b);
		assert_int_equal(b.result, at == 8 || at == 9 ? -EPROTONOSUPPORT : -EBADMSG);
		assert_non_null(b.why);
		ends_fini(&e);
	}
}

/* Two connections that say that they are the same channel. */
static void test_doubled_channel(void **state)
{
	struct shaker b = {.role = MIG_ROLE_TARGET, .n_links = 2};
	struct ends e[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct mig_hello hello = {
			.magic = MIG_HELLO_MAGIC,
			.version = MIG_PROTO_VERSION,
			.role = MIG_ROLE_SOURCE,
			.channel = 1,
			.n_channels = 1,
		};
		struct iovec iov = {&hello, sizeof(hello)};

		ends_init(&e[i], -1, 5 * NS_PER_SEC);
		assert_int_equal(link_write(&e[i].a, &iov, 1), 0);
		b.links[i] = e[i].b;
	}
	assert_int_equal(thread_start(&b.thread, "b", shaker_main, &b), 0);
	for (int i = 0; i < 2; i++) {
		struct mig_hello ours = {.magic = MIG_HELLO_MAGIC,
					 .version = MIG_PROTO_VERSION,
					 .role = MIG_ROLE_SOURCE,
					 .channel = 1,
					 .n_channels = 1},
				 theirs;
		struct mig_proof proof;
		struct iovec iov = {&theirs, sizeof(theirs)};

		assert_int_equal(link_read(&e[i].a, &iov, 1), 0);
		assert_int_equal(
			auth_proof(b.key, sizeof(b.key), MIG_ROLE_SOURCE, &ours, &theirs, &proof),
			0);
		iov = (struct iovec){&proof, sizeof(proof)};
		assert_int_equal(link_write(&e[i].a, &iov, 1), 0);
	}
	thread_join(&b.thread);
	assert_int_equal(b.result, -EBADMSG);
	ends_fini(&e[0]);
	ends_fini(&e[1]);
}

static void test_proofs(void **state)
{
	struct mig_hello a = {.magic = "a"}, b = {.magic = "b"};
	struct mig_proof source, target, other;
	uint8_t key[32] = {1};

	(void)state;
	assert_int_equal(auth_proof(key, 32, MIG_ROLE_SOURCE, &a, &b, &source), 0);
	assert_int_equal(auth_proof(key, 32, MIG_ROLE_TARGET, &a, &b, &target), 0);
	assert_int_equal(auth_proof(key, 32, MIG_ROLE_SOURCE, &b, &a, &other), 0);
	assert_false(auth_proof_equal(&source, &target));
	assert_false(auth_proof_equal(&source, &other));
	assert_int_equal(auth_proof(key, 32, MIG_ROLE_SOURCE, &a, &b, &other), 0);
	assert_true(auth_proof_equal(&source, &other));
	key[31] = 1;
	assert_int_equal(auth_proof(key, 32, MIG_ROLE_SOURCE, &a, &b, &other), 0);
	assert_false(auth_proof_equal(&source, &other));
	auth_forget(key, sizeof(key));
	assert_int_equal(key[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_travel),
		cmocka_unit_test(test_damaged_frames),
		cmocka_unit_test(test_oversized_frames_are_refused_at_once),
		cmocka_unit_test(test_links_give_up),
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_handshake_refuses),
		cmocka_unit_test(test_bent_greetings),
		cmocka_unit_test(test_doubled_channel),
		cmocka_unit_test(test_proofs),
	};

	return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
