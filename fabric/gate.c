/* SPDX-License-Identifier: MIT */
#include "fabric/gate.h"

void gate_init(struct gate *gate, unsigned n_threads)
{
	*gate = (struct gate){.n_threads = n_threads};
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->stopped, NULL);
	pthread_cond_init(&gate->opened, NULL);
}

void gate_fini(struct gate *gate)
{
	pthread_cond_destroy(&gate->opened);
	pthread_cond_destroy(&gate->stopped);
	pthread_mutex_destroy(&gate->lock);
}

void gate_close(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->n_stopped = 0;
	__atomic_store_n(&gate->n_closed, gate->n_closed + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&gate->lock);
}

void gate_wait(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->n_stopped < gate->n_threads)
		pthread_cond_wait(&gate->stopped, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->n_opened = gate->n_closed;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

uint64_t gate_is_closing(const struct gate *gate, uint64_t seen)
{
	uint64_t n_closed = __atomic_load_n(&gate->n_closed, __ATOMIC_ACQUIRE);

	return n_closed != seen ? n_closed : 0;
}

void gate_stop(struct gate *gate, uint64_t closing)
{
	pthread_mutex_lock(&gate->lock);
	if (++gate->n_stopped == gate->n_threads)
		pthread_cond_signal(&gate->stopped);
	while (gate->n_opened < closing)
		pthread_cond_wait(&gate->opened, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}
