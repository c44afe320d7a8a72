/* SPDX-License-Identifier: MIT */
#include "fabric/crew.h"

#include <sched.h>

struct crew {
	struct fabric fabric;
	struct datapath *dp; /* for calls */
	struct worker_team team;
	struct worker *workers[CREW_MAX_WORKERS];
	unsigned n_ports;
};

unsigned crew_n_workers(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return 1;
	return MIN((unsigned)CPU_COUNT(&cpus), (unsigned)CREW_MAX_WORKERS);
}

struct fabric *crew_fabric(struct crew *crew)
{
	return &crew->fabric;
}

struct datapath *crew_datapath(struct crew *crew)
{
	return crew->dp;
}

int crew_add_port(struct crew *crew, struct vport *port)
{
	int r = 0;

	/* So that giving a port away cannot fail for want of room. */
	for (unsigned i = 0; i < crew->team.n_workers && r == 0; i++)
		r = worker_reserve(crew->workers[i], crew->n_ports + 1);
	r = r ?: worker_add_port(crew->workers[0], port);
	if (r == 0)
		crew->n_ports++;
	return r;
}

void crew_remove_port(struct crew *crew, struct vport *port)
{
	worker_remove_port(port);
	crew->n_ports--;
}

unsigned crew_report(const struct crew *crew, struct worker_report ret[CREW_MAX_WORKERS])
{
	for (unsigned i = 0; i < crew->team.n_workers; i++)
		worker_get_report(crew->workers[i], clock_mono_ns(), &ret[i]);
	return crew->team.n_workers;
}

void crew_call(struct crew *crew, crew_fn fn, void *data)
{
	struct worker_team *team = &crew->team;

	gate_close(&team->gate);
	for (unsigned i = 0; i < team->n_workers; i++)
		worker_wake(crew->workers[i]);
	gate_wait(&team->gate);
	/* Ports that one gave away after the other had stopped. */
	for (unsigned i = 0; i < team->n_workers; i++)
		worker_settle(crew->workers[i]);
	fn(crew, data);
	for (unsigned i = 0; i < team->n_workers; i++)
		worker_look_again(crew->workers[i]);
	gate_open(&team->gate);
}

int crew_new(unsigned n_workers, datapath_event_fn on_event, void *data, struct crew **ret_crew)
{
	struct crew *crew;
	int r;

	if (n_workers < 1 || n_workers > CREW_MAX_WORKERS)
		return -EINVAL;
	crew = calloc(1, sizeof(*crew));
	if (!crew)
		return -ENOMEM;
	crew->team.n_workers = n_workers;
	crew->team.workers = crew->workers;
	crew->team.on_event = on_event;
	crew->team.data = data;
	gate_init(&crew->team.gate, n_workers);
	fabric_init(&crew->fabric);
	r = datapath_new(on_event, data, &crew->dp);
	for (unsigned i = 0; i < n_workers && r == 0; i++)
		r = worker_new(&crew->team, &crew->workers[i]);
	for (unsigned i = 0; i < n_workers && r == 0; i++)
		r = worker_start(crew->workers[i]);
	if (r < 0) {
		crew_free(crew);
		return r;
	}
	*ret_crew = crew;
	return 0;
}

void crew_free(struct crew *crew)
{
	if (!crew)
		return;
	for (unsigned i = 0; i < crew->team.n_workers && crew->workers[i]; i++)
		worker_end(crew->workers[i]);
	fabric_fini(&crew->fabric);
	for (unsigned i = 0; i < crew->team.n_workers; i++)
		worker_free(crew->workers[i]);
	datapath_free(crew->dp);
	gate_fini(&crew->team.gate);
	free(crew);
}
