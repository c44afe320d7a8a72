/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "tests/unit/base/loop_watchdog.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

struct end {
	struct loop *loop;
	struct sockets *sockets;
	int error, fds[16];
	size_t n_fds;
	bool called;
	unsigned *n_left;
};

static void on_sockets(int error, const char *text, int *fds, size_t n_fds, void *data)
{
	struct end *end = data;

	assert_false(end->called);
	assert_true(error == 0 || (text && strlen(text) > 10));
	end->called = true;
	end->error = error;
	end->n_fds = n_fds;
	if (n_fds)
		memcpy(end->fds, fds, n_fds * sizeof(*fds));
	if (--*end->n_left == 0)
		loop_stop(end->loop);
}

static void both_ends_get_the_same_sockets_in_order(void **state _unused_)
{
	unsigned n_left = 2;
	struct loop *loop;
	struct end a = {.n_left = &n_left}, b = {.n_left = &n_left};
	uint16_t port;

	assert_int_equal(loop_new(&loop), 0);
	a.loop = b.loop = loop;
	assert_int_equal(sockets_accept(loop, "127.0.0.1", "127.0.0.2", 5, NS_PER_SEC, on_sockets,
				 &a, &port, &a.sockets),
		0);
	assert_int_equal(sockets_connect(loop, "127.0.0.2", "127.0.0.1", port, 5, NS_PER_SEC,
				 on_sockets, &b, &b.sockets),
		0);
	loop_run_watched(loop);
	assert_int_equal(a.error, 0);
	assert_int_equal(b.error, 0);
	assert_int_equal(a.n_fds, 5);
	assert_int_equal(b.n_fds, 5);
	for (size_t i = 0; i < 5; i++) {
		struct sockaddr_in here, there;
		socklen_t size = sizeof(here);

		assert_int_equal(getsockname(a.fds[i], (struct sockaddr *)&here, &size), 0);
		assert_int_equal(getpeername(a.fds[i], (struct sockaddr *)&there, &size), 0);
		assert_int_equal(here.sin_addr.s_addr, inet_addr("127.0.0.1"));
		assert_int_equal(there.sin_addr.s_addr, inet_addr("127.0.0.2"));
		assert_int_equal(getsockname(b.fds[i], (struct sockaddr *)&here, &size), 0);
		assert_int_equal(here.sin_port, there.sin_port); /* the i-th is the i-th */
		close(a.fds[i]);
		close(b.fds[i]);
	}
	sockets_free(a.sockets);
	sockets_free(b.sockets);
	loop_free(loop);
}

static void nobody_listening_is_an_error(void **state _unused_)
{
	unsigned n_left = 1;
	struct end b = {.n_left = &n_left};

	assert_int_equal(loop_new(&b.loop), 0);
	assert_int_equal(sockets_connect(b.loop, "127.0.0.1", "127.0.0.9", 1, 2, NS_PER_SEC,
				 on_sockets, &b, &b.sockets),
		0);
	loop_run_watched(b.loop);
	assert_int_equal(b.error, -ECONNREFUSED);
	sockets_free(b.sockets);
	loop_free(b.loop);
}

static void nobody_coming_is_a_timeout(void **state _unused_)
{
	unsigned n_left = 1;
	struct end a = {.n_left = &n_left};
	uint16_t port;

	assert_int_equal(loop_new(&a.loop), 0);
	assert_int_equal(sockets_accept(a.loop, "127.0.0.1", "127.0.0.2", 2, 50 * NS_PER_MS,
				 on_sockets, &a, &port, &a.sockets),
		0);
	loop_run_watched(a.loop);
	assert_int_equal(a.error, -ETIMEDOUT);
	sockets_free(a.sockets);
	loop_free(a.loop);
}

static void a_stranger_takes_no_place(void **state _unused_)
{
	unsigned n_left = 3;
	struct loop *loop;
	struct end a = {.n_left = &n_left}, b = {.n_left = &n_left}, stranger = {.n_left = &n_left};
	uint16_t port;

	assert_int_equal(loop_new(&loop), 0);
	a.loop = b.loop = stranger.loop = loop;
	assert_int_equal(sockets_accept(loop, "127.0.0.1", "127.0.0.2", 2, 2 * NS_PER_SEC,
				 on_sockets, &a, &port, &a.sockets),
		0);
	assert_int_equal(sockets_connect(loop, "127.0.0.3", "127.0.0.1", port, 2, NS_PER_SEC,
				 on_sockets, &stranger, &stranger.sockets),
		0);
	assert_int_equal(sockets_connect(loop, "127.0.0.2", "127.0.0.1", port, 2, NS_PER_SEC,
				 on_sockets, &b, &b.sockets),
		0);
	loop_run_watched(loop);
	assert_int_equal(a.error, 0);
	for (size_t i = 0; i < a.n_fds; i++) {
		struct sockaddr_in there;
		socklen_t size = sizeof(there);

		assert_int_equal(getpeername(a.fds[i], (struct sockaddr *)&there, &size), 0);
		assert_int_equal(there.sin_addr.s_addr, inet_addr("127.0.0.2"));
		close(a.fds[i]);
	}
	for (size_t i = 0; i < b.n_fds; i++)
		close(b.fds[i]);
	for (size_t i = 0; i < stranger.n_fds; i++)
		close(stranger.fds[i]);
	sockets_free(a.sockets);
	sockets_free(b.sockets);
	sockets_free(stranger.sockets);
	loop_free(loop);
}

static void bad_addresses_are_refused(void **state _unused_)
{
	unsigned n_left = 1;
	struct end a = {.n_left = &n_left};
	uint16_t port;

	assert_int_equal(loop_new(&a.loop), 0);
	assert_int_equal(sockets_accept(a.loop, "nonsense", "127.0.0.2", 2, NS_PER_SEC, on_sockets,
				 &a, &port, &a.sockets),
		-EINVAL);
	assert_int_equal(sockets_accept(a.loop, "127.0.0.1", "", 2, NS_PER_SEC, on_sockets, &a,
				 &port, &a.sockets),
		-EINVAL);
	assert_int_equal(sockets_accept(a.loop, "127.0.0.1", "127.0.0.2", 0, NS_PER_SEC, on_sockets,
				 &a, &port, &a.sockets),
		-EINVAL);
	assert_int_equal(sockets_accept(a.loop, "127.0.0.1", "127.0.0.2", 17, NS_PER_SEC,
				 on_sockets, &a, &port, &a.sockets),
		-EINVAL);
	loop_free(a.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_get_the_same_sockets_in_order),
		cmocka_unit_test(nobody_listening_is_an_error),
		cmocka_unit_test(nobody_coming_is_a_timeout),
		cmocka_unit_test(a_stranger_takes_no_place),
		cmocka_unit_test(bad_addresses_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
