/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

void pair_init(struct pair *p, size_t low_bytes, size_t high_bytes)
{
	*p = (struct pair){0};
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	fake_vm_init(&p->source_vm, low_bytes, high_bytes);
	fake_vm_init(&p->target_vm, low_bytes, high_bytes);
	fake_vm_fill(&p->source_vm, FAKE_MIXED, 1);
	fake_vm_set_state(&p->source_vm, 5000, 2);
	p->source_params = (struct mig_params){
		.vm_name = "vm1",
		.cpuid_digest = 0x1122334455667788,
		.compress = MIG_COMPRESS_ADAPTIVE,
		.stall_timeout_ns = 20000000000ULL,
	};
	memset(p->source_params.job_key, 7, sizeof(p->source_params.job_key));
	p->target_params = p->source_params;
}

void pair_fini(struct pair *p)
{
	pair_end(p);
	fake_vm_fini(&p->source_vm);
	fake_vm_fini(&p->target_vm);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
}

void pair_sockets(enum pair_transport transport, int ret_fds[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int listener;

	if (transport == PAIR_SOCKETPAIR) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds), 0);
		return;
	}
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
	ret_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ret_fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
	ret_fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ret_fds[1] >= 0);
	close(listener);
}

void pair_connect(struct pair *p, enum pair_transport transport, unsigned n_links)
{
	p->n_links = n_links;
	for (unsigned i = 0; i < n_links; i++) {
		int fds[2];

		pair_sockets(transport, fds);
		p->source_fds[i] = fds[0];
		p->target_fds[i] = fds[1];
	}
}

static void note(struct pair *p, unsigned *counter)
{
	pthread_mutex_lock(&p->lock);
	(*counter)++;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void on_progress(void *data)
{
	struct pair *p = data;

	note(p, &p->n_progress);
}

static void on_source_ready(void *data)
{
	struct pair *p = data;

	note(p, &p->n_source_ready);
}

static void on_done(int error, const char *text, void *data)
{
	struct pair *p = data;

	p->done_error = error;
	(void)snprintf(p->done_text, sizeof(p->done_text), "%s", text);
	note(p, &p->n_done);
}

static void on_target_ready(void *data)
{
	struct pair *p = data;

	note(p, &p->n_target_ready);
}

static void on_failed(int error, const char *text, void *data)
{
	struct pair *p = data;

	p->failed_error = error;
	(void)snprintf(p->failed_text, sizeof(p->failed_text), "%s", text);
	note(p, &p->n_failed);
}

void pair_start_source(struct pair *p)
{
	static const struct mig_source_callbacks callbacks = {
		on_progress, on_source_ready, on_done};

	assert_int_equal(mig_source_start(&p->source_params, &fake_vm_ops, &p->source_vm,
				 p->source_fds, p->n_links, &callbacks, p, &p->source),
		0);
}

void pair_start_target(struct pair *p)
{
	static const struct mig_target_callbacks callbacks = {on_target_ready, on_failed};

	assert_int_equal(mig_target_start(&p->target_params, &fake_vm_ops, &p->target_vm,
				 p->target_fds, p->n_links, &callbacks, p, &p->target),
		0);
}

void pair_start(struct pair *p)
{
	pair_start_target(p);
	pair_start_source(p);
}

static void wait_locked(struct pair *p, const unsigned *a, const unsigned *b)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PAIR_PATIENCE_S;
	while (!*a && !*b)
		assert_int_equal(pthread_cond_timedwait(&p->changed, &p->lock, &until), 0);
}

void pair_wait(struct pair *p, const unsigned *counter)
{
	pthread_mutex_lock(&p->lock);
	wait_locked(p, counter, counter);
	pthread_mutex_unlock(&p->lock);
}

unsigned pair_read(struct pair *p, const unsigned *counter)
{
	unsigned n;

	pthread_mutex_lock(&p->lock);
	n = *counter;
	pthread_mutex_unlock(&p->lock);
	return n;
}

bool pair_wait_outcome(struct pair *p)
{
	bool ready;

	pthread_mutex_lock(&p->lock);
	wait_locked(p, &p->n_source_ready, &p->n_done);
	ready = p->n_source_ready;
	pthread_mutex_unlock(&p->lock);
	return ready;
}

void pair_end(struct pair *p)
{
	mig_source_free(take_ptr(p->source));
	mig_target_free(take_ptr(p->target));
}

void pair_check_source_unharmed(struct pair *p)
{
	pair_wait(p, &p->n_done);
	assert_int_equal(p->n_done, 1);
	assert_true(p->done_error < 0);
	assert_true(p->done_text[0] != '\0');
	mig_source_free(take_ptr(p->source));
	assert_int_equal(p->n_done, 1);
	assert_int_equal(p->source_vm.n_pause, p->source_vm.n_resume);
	assert_int_equal(p->source_vm.n_start, p->source_vm.n_stop);
	assert_false(p->source_vm.tracking);
}
