/* SPDX-License-Identifier: MIT */
#include "fabric/worker.h"
#include "base/clock.h"
#include "base/thread.h"
#include "fabric/share.h"
#include "fabric/turns.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#define N_EVENTS      64
#define ROUNDS_A_LOOK 8
/* While there is work at hand, VMs that sleep are woken so late: waking one is as dear as ten
 * frames, and it would only find the first of them. */
#define KICK_DELAY_NS (20 * NS_PER_US)
/* A window's end may be late by one turn, and by one sleep. */
#define REPORT_LASTS_NS (3 * SHARE_WINDOW_NS)

struct worker {
	/* Constant after start. */
	struct worker_team *team;
	int epoll_fd;
	int wake_fd;
	struct thread thread;

	/* The worker's thread's, or whoever's that has stopped it. */
	struct datapath *dp;
	struct turns turns;
	struct list ports; /* struct vport.in_worker */
	unsigned n_ports;
	unsigned n_rounds; /* with work at hand */
	uint64_t kicked_ns;
	uint64_t gate_seen; /* the last time that it stopped for */
	uint64_t window_ns; /* when this window began */
	uint64_t slept_ns;  /* in this window */
	uint64_t idle_since_ns;
	struct share_item *items; /* room for one of each port */

	/* Under lock: ports that were given to this worker, struct vport.in_worker. */
	pthread_mutex_t lock;
	struct list inbox;

	/* Atomic. */
	bool stopping;
	bool has_mail;
	unsigned busy_permille;
	uint64_t busy_at_ns; /* when that was found */
};

/* ---- ports ---- */

static void poll_port(struct worker *worker, int operation, struct vport *port, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = port};

	/* Changing what is polled already needs no memory. */
	epoll_ctl(worker->epoll_fd, operation, port->io->ops->poll_fd(port->io), &event);
}

int worker_reserve(struct worker *worker, unsigned n_ports)
{
	struct share_item *items = reallocarray(worker->items, n_ports, sizeof(*items));

	if (!items)
		return -ENOMEM;
	worker->items = items;
	return turns_reserve(&worker->turns, n_ports);
}

int worker_add_port(struct worker *worker, struct vport *port)
{
	const struct io_ops *ops = port->io->ops;
	struct epoll_event event = {.events = ops->poll_events, .data.ptr = port};
	int r = turns_add(&worker->turns, port);

	if (r < 0)
		return r;
	if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, ops->poll_fd(port->io), &event) < 0) {
		r = -errno;
		turns_remove(&worker->turns, port);
		return r;
	}
	port->worker = worker;
	port->masked = false;
	list_append(&worker->ports, &port->in_worker);
	worker->n_ports++;
	/* It may hold something already. */
	turns_want(&worker->turns, port);
	return 0;
}

void worker_remove_port(struct vport *port)
{
	struct worker *worker = port->worker;

	if (!worker)
		return;
	poll_port(worker, EPOLL_CTL_DEL, port, 0);
	turns_remove(&worker->turns, port);
	list_remove(&port->in_worker);
	worker->n_ports--;
	port->worker = NULL;
}

/* ---- giving ports to others ---- */

void worker_wake(struct worker *worker)
{
	eventfd_write(worker->wake_fd, 1);
}

static void give(struct vport *port, struct worker *to)
{
	worker_remove_port(port);
	pthread_mutex_lock(&to->lock);
	list_append(&to->inbox, &port->in_worker);
	__atomic_store_n(&to->has_mail, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&to->lock);
}

static struct vport *take_from_inbox(struct worker *worker)
{
	struct vport *port;

	pthread_mutex_lock(&worker->lock);
	port = list_pop(&worker->inbox, struct vport, in_worker);
	if (!port)
		__atomic_store_n(&worker->has_mail, false, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&worker->lock);
	return port;
}

static bool empty_inbox(struct worker *worker)
{
	struct vport *port;

	if (!__atomic_load_n(&worker->has_mail, __ATOMIC_ACQUIRE))
		return false;
	while ((port = take_from_inbox(worker))) {
		if (worker_add_port(worker, port) == 0)
			continue;
		io_set_reason(port->io, "the kernel has no memory to watch it");
		if (vport_shut(port))
			worker->team->on_event(VPORT_WAS_SHUT, port, worker->team->data);
	}
	worker->idle_since_ns = clock_mono_ns();
	return true;
}

static unsigned busy_permille(const struct worker *worker, uint64_t now_ns)
{
	if (__atomic_load_n(&worker->busy_at_ns, __ATOMIC_RELAXED) + REPORT_LASTS_NS < now_ns)
		return 0;
	return __atomic_load_n(&worker->busy_permille, __ATOMIC_RELAXED);
}

void worker_get_report(const struct worker *worker, uint64_t now_ns, struct worker_report *ret)
{
	*ret = (struct worker_report){worker->n_ports, busy_permille(worker, now_ns)};
}

static struct worker *find_least_busy(const struct worker *worker, uint64_t now_ns)
{
	const struct worker_team *team = worker->team;
	struct worker *least = NULL;

	for (unsigned i = 0; i < team->n_workers; i++) {
		struct worker *other = team->workers[i];

		if (other != worker &&
			(!least || busy_permille(other, now_ns) < busy_permille(least, now_ns)))
			least = other;
	}
	return least;
}

static uint64_t work_of(const struct vport *port)
{
	return share_work(port->rx_frames, port->rx_bytes);
}

static void note_work(struct worker *worker)
{
	struct vport *port;

	list_for_each(port, &worker->ports, in_worker)
		port->seen_work = work_of(port);
}

static void relieve(struct worker *worker, unsigned busy, uint64_t now_ns)
{
	struct worker *to = find_least_busy(worker, now_ns);
	struct vport *port, *after;
	unsigned other, n = 0;

	if (!to)
		return;
	other = busy_permille(to, now_ns);
	if (other >= SHARE_FREE_PERMILLE)
		return;
	list_for_each(port, &worker->ports, in_worker)
		worker->items[n++] = (struct share_item){.work = work_of(port) - port->seen_work};
	if (share_pick(worker->items, n, busy, other) == 0)
		return;
	n = 0;
	list_for_each_safe(port, after, &worker->ports, in_worker) {
		if (worker->items[n++].give)
			give(port, to);
	}
	/* So that no third one finds it free. */
	__atomic_store_n(&to->busy_permille, (busy + other) / 2, __ATOMIC_RELAXED);
	__atomic_store_n(&to->busy_at_ns, now_ns, __ATOMIC_RELAXED);
	worker_wake(to);
}

static void give_all_back(struct worker *worker)
{
	struct worker *first = worker->team->workers[0];
	struct vport *port, *after;

	list_for_each_safe(port, after, &worker->ports, in_worker)
		give(port, first);
	worker_wake(first);
}

static bool is_helper(const struct worker *worker)
{
	return worker != worker->team->workers[0] && worker->n_ports > 0;
}

/* When that is due, if nothing happens any more. */
static uint64_t give_back_ns(const struct worker *worker)
{
	return MAX(worker->idle_since_ns + SHARE_IDLE_NS, worker->window_ns + SHARE_WINDOW_NS);
}

/* The end of a window: was it a busy one? */
static void look_back(struct worker *worker, uint64_t now_ns)
{
	uint64_t window_ns = now_ns - worker->window_ns;
	uint64_t busy_ns = window_ns - MIN(worker->slept_ns, window_ns);
	/* Being stopped and looking around is no work. */
	unsigned busy = worker->n_ports ? (unsigned)(busy_ns * 1000 / window_ns) : 0;

	__atomic_store_n(&worker->busy_permille, busy, __ATOMIC_RELAXED);
	__atomic_store_n(&worker->busy_at_ns, now_ns, __ATOMIC_RELAXED);
	worker->window_ns = now_ns;
	worker->slept_ns = 0;
	if (busy > SHARE_IDLE_PERMILLE)
		worker->idle_since_ns = now_ns;
	if (busy >= SHARE_BUSY_PERMILLE)
		relieve(worker, busy, now_ns);
	else if (is_helper(worker) && now_ns - worker->idle_since_ns >= SHARE_IDLE_NS)
		give_all_back(worker);
	note_work(worker);
}

/* ---- the thread ---- */

static int sleep_until(
	struct worker *worker, struct epoll_event events[N_EVENTS], uint64_t until_ns)
{
	uint64_t now_ns = clock_mono_ns(), wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	const struct timespec timeout = {
		.tv_sec = (time_t)(wait_ns / NS_PER_SEC),
		.tv_nsec = (long)(wait_ns % NS_PER_SEC),
	};
	int n = epoll_pwait2(worker->epoll_fd, events, N_EVENTS,
		until_ns == TURNS_NEVER ? NULL : &timeout, NULL);

	worker->slept_ns += clock_mono_ns() - now_ns;
	return n;
}

static int wait_for_events(
	struct worker *worker, struct epoll_event events[N_EVENTS], bool must_not_sleep)
{
	uint64_t next_ns = turns_next_ns(&worker->turns);

	if (must_not_sleep)
		return epoll_wait(worker->epoll_fd, events, N_EVENTS, 0);
	/* With work at hand: a look, so that a busy port does not keep the others out. It is as
	 * dear as a turn, so not in every round. */
	if (next_ns == TURNS_WORK_AT_HAND) {
		if (++worker->n_rounds % ROUNDS_A_LOOK)
			return 0;
		return epoll_wait(worker->epoll_fd, events, N_EVENTS, 0);
	}
	if (is_helper(worker))
		next_ns = MIN(next_ns, give_back_ns(worker));
	return sleep_until(worker, events, next_ns);
}

static void take_event(struct worker *worker, struct vport *port)
{
	eventfd_t ignored;

	if (!port) {
		eventfd_read(worker->wake_fd, &ignored);
	} else if (vport_is_shut(port)) {
		/* Its error would be reported again and again. */
		poll_port(worker, EPOLL_CTL_DEL, port, 0);
	} else if (port->parked && !(port->io->ops->poll_events & EPOLLET)) {
		/* The same. EPOLLONESHOT: errors, which cannot be masked, are reported once. */
		poll_port(worker, EPOLL_CTL_MOD, port, EPOLLONESHOT);
		port->masked = true;
	} else {
		turns_want(&worker->turns, port);
	}
}

static void rest(struct worker *worker, struct vport *port)
{
	turns_idle(port);
	if (port->masked && !vport_is_shut(port))
		poll_port(worker, EPOLL_CTL_MOD, port, port->io->ops->poll_events);
	port->masked = false;
}

static void serve(struct worker *worker, struct vport *port, uint64_t now_ns)
{
	uint32_t max_bytes = turns_ask(&worker->turns, port, now_ns);
	struct turn turn;
	bool took;

	if (max_bytes == 0)
		return;
	took = datapath_turn(worker->dp, port, max_bytes, now_ns, &turn);
	turns_charge(port, &turn, now_ns);
	if (!took && (vport_is_shut(port) || !port->io->ops->arm(port->io)))
		rest(worker, port);
}

static void serve_round(struct worker *worker, uint64_t now_ns)
{
	struct vport *port, *after;

	turns_begin(&worker->turns, now_ns);
	list_for_each_safe(port, after, &worker->turns.round, in_round)
		serve(worker, port, now_ns);
}

/* Wake VMs at the latest before this thread may sleep or be stopped. */
static void kick(struct worker *worker, bool now, uint64_t now_ns)
{
	if (!now && turns_next_ns(&worker->turns) == TURNS_WORK_AT_HAND &&
		now_ns - worker->kicked_ns < KICK_DELAY_NS)
		return;
	datapath_kick(worker->dp);
	worker->kicked_ns = now_ns;
}

static void worker_main(void *data)
{
	struct worker *worker = data;
	struct epoll_event events[N_EVENTS];

	worker->window_ns = worker->idle_since_ns = clock_mono_ns();
	while (!__atomic_load_n(&worker->stopping, __ATOMIC_ACQUIRE)) {
		/* What was sent before the gate closed has had its turn when it stops. */
		uint64_t closing = gate_is_closing(&worker->team->gate, worker->gate_seen);
		uint64_t now_ns;
		int n;

		empty_inbox(worker);
		n = wait_for_events(worker, events, closing != 0);
		for (int i = 0; i < n; i++)
			take_event(worker, events[i].data.ptr);
		now_ns = clock_mono_ns();
		serve_round(worker, now_ns);
		kick(worker, closing != 0, now_ns);
		if (closing) {
			worker->gate_seen = closing;
			now_ns = clock_mono_ns();
			gate_stop(&worker->team->gate, closing);
			worker->slept_ns += clock_mono_ns() - now_ns;
		} else if (now_ns - worker->window_ns >= SHARE_WINDOW_NS) {
			look_back(worker, now_ns);
		}
	}
}

void worker_settle(struct worker *worker)
{
	if (empty_inbox(worker))
		serve_round(worker, clock_mono_ns());
	datapath_kick(worker->dp);
}

void worker_look_again(struct worker *worker)
{
	turns_unpark_all(&worker->turns);
}

int worker_new(struct worker_team *team, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct epoll_event event = {.events = EPOLLIN};
	int r;

	if (!worker)
		return -ENOMEM;
	worker->team = team;
	turns_init(&worker->turns);
	list_init(&worker->ports);
	list_init(&worker->inbox);
	pthread_mutex_init(&worker->lock, NULL);
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->epoll_fd < 0 || worker->wake_fd < 0 ||
		epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->wake_fd, &event) < 0)
		r = -errno;
	else
		r = datapath_new(team->on_event, team->data, &worker->dp);
	if (r < 0) {
		worker_free(worker);
		return r;
	}
	*ret_worker = worker;
	return 0;
}

int worker_start(struct worker *worker)
{
	return thread_start(&worker->thread, "switch", worker_main, worker);
}

void worker_end(struct worker *worker)
{
	if (!worker->thread.running)
		return;
	__atomic_store_n(&worker->stopping, true, __ATOMIC_RELEASE);
	worker_wake(worker);
	thread_join(&worker->thread);
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	free(worker->items);
	turns_fini(&worker->turns);
	datapath_free(worker->dp);
	close_fd(worker->epoll_fd);
	close_fd(worker->wake_fd);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}
