/* SPDX-License-Identifier: MIT */
#include "fabric/ctl.h"
#include "base/chan.h"
#include "base/clock.h"
#include "fabric/announce.h"
#include "fabric/ctl_ops.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

/* Something happened to a port; on its way from a worker to the channel. */
struct port_event {
	struct list siblings;
	enum vport_event event;
	const char *reason;
	char port[VPORT_ID_MAX_LEN + 1];
	char sw[VSWITCH_NAME_MAX_LEN + 1], uplink[VSWITCH_UPLINK_MAX_LEN + 1];
};

struct fabric_ctl {
	/* Constant after start. */
	struct loop *loop;
	struct crew *crew;
	fabric_ctl_close_fn on_close;
	void *data;
	int events_fd;

	/* The loop's thread's. */
	struct chan *chan; /* NULL once it closed */
	uint64_t announce_timer;

	/* Under lock. */
	pthread_mutex_t lock;
	struct list events;
};

/* ---- announcements ---- */

static void on_announce_timer(void *data);

/* Times do not shift: announce_step() says when the next one of all ports is due. */
static void set_announce_timer(struct fabric_ctl *ctl, uint64_t at_ns)
{
	uint64_t now_ns = clock_mono_ns();

	loop_timer_remove(ctl->loop, ctl->announce_timer);
	ctl->announce_timer = 0;
	if (at_ns)
		(void)loop_timer_add(ctl->loop, at_ns > now_ns ? at_ns - now_ns : 0,
			on_announce_timer, ctl, &ctl->announce_timer);
}

static void step_announcements(struct crew *crew, void *data)
{
	uint64_t *ret_at_ns = data;

	*ret_at_ns = announce_step(crew_fabric(crew), crew_datapath(crew), clock_mono_ns());
}

static void on_announce_timer(void *data)
{
	struct fabric_ctl *ctl = data;
	uint64_t at_ns;

	ctl->announce_timer = 0;
	crew_call(ctl->crew, step_announcements, &at_ns);
	set_announce_timer(ctl, at_ns);
}

/* ---- events, from the workers ---- */

static void on_vport_event(enum vport_event what, struct vport *port, void *data)
{
	struct fabric_ctl *ctl = data;
	struct port_event *event = malloc(sizeof(*event));

	/* Without memory the news is lost; switch.list still shows it. */
	if (!event)
		return;
	event->event = what;
	event->reason = io_reason(port->io);
	snprintf(event->port, sizeof(event->port), "%s", port->id);
	snprintf(event->sw, sizeof(event->sw), "%s", port->sw->name);
	snprintf(event->uplink, sizeof(event->uplink), "%s", port->sw->uplink);
	pthread_mutex_lock(&ctl->lock);
	list_append(&ctl->events, &event->siblings);
	pthread_mutex_unlock(&ctl->lock);
	eventfd_write(ctl->events_fd, 1);
}

static struct port_event *next_event(struct fabric_ctl *ctl)
{
	struct port_event *event;

	pthread_mutex_lock(&ctl->lock);
	event = list_pop(&ctl->events, struct port_event, siblings);
	pthread_mutex_unlock(&ctl->lock);
	return event;
}

static void send_event(struct fabric_ctl *ctl, const struct port_event *event)
{
	static const char *const names[] = {
		[VPORT_WAS_SHUT] = "port.shut",
		[VPORT_UPLINK_MOVED] = "uplink.moved",
		[VPORT_DUPLICATE] = "address.duplicate",
	};
	struct json *message = json_object_new();
	int r;

	r = json_set_string(message, "port", event->port);
	r = r ?: json_set_string(message, "switch", event->sw);
	r = r ?: json_set_string(message, "uplink", event->uplink);
	if (r == 0 && event->reason)
		r = json_set_string(message, "reason", event->reason);
	if (!ctl->chan || r < 0)
		json_unref(message);
	else
		(void)chan_event(ctl->chan, names[event->event], message, NULL, 0);
}

/* A switch whose uplink moved, by the uplink's name. */
struct move {
	const char *uplink;
	uint64_t at_ns;
};

static void announce_move(struct crew *crew, void *data)
{
	struct move *move = data;
	struct vport *port = vport_find(crew_fabric(crew), move->uplink);

	if (port)
		announce_switch(port->sw, clock_mono_ns());
	step_announcements(crew, &move->at_ns);
}

static void on_uplink_moved(struct fabric_ctl *ctl, const char *uplink)
{
	struct move move = {.uplink = uplink};

	crew_call(ctl->crew, announce_move, &move);
	set_announce_timer(ctl, move.at_ns);
}

static void on_events(int fd, short revents _unused_, void *data)
{
	struct fabric_ctl *ctl = data;
	struct port_event *event;
	eventfd_t ignored;

	eventfd_read(fd, &ignored);
	while ((event = next_event(ctl))) {
		if (event->event == VPORT_UPLINK_MOVED)
			on_uplink_moved(ctl, event->port);
		send_event(ctl, event);
		free(event);
	}
}

/* ---- requests ---- */

static void run(struct crew *crew, void *data)
{
	struct ctl_call *call = data;

	call->crew = crew;
	call->fabric = crew_fabric(crew);
	ctl_run(call);
}

static void on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds, size_t n_fds, void *data)
{
	struct fabric_ctl *ctl = data;
	struct ctl_call call = {.op = op, .message = message, .fds = fds, .n_fds = n_fds};

	if (id == 0)
		return; /* there are no events for us */
	crew_call(ctl->crew, run, &call);
	if (call.announce_at_ns)
		set_announce_timer(ctl, call.announce_at_ns);
	if (call.error < 0)
		(void)chan_reply(chan, id, call.error, call.why.text, NULL, NULL, 0);
	else
		(void)chan_reply(
			chan, id, 0, NULL, json_ref(call.reply), call.reply_fds, call.n_reply_fds);
	for (size_t i = 0; i < call.n_reply_fds; i++)
		close(call.reply_fds[i]);
	json_unref(call.reply);
}

static void on_close(struct chan *chan _unused_, int error, void *data)
{
	struct fabric_ctl *ctl = data;

	chan_free(take_ptr(ctl->chan));
	ctl->on_close(error, ctl->data);
}

int fabric_ctl_new(struct loop *loop, int chan_fd, fabric_ctl_close_fn close_fn, void *data,
	struct fabric_ctl **ret_ctl)
{
	struct fabric_ctl *ctl = calloc(1, sizeof(*ctl));
	int r;

	if (!ctl) {
		close(chan_fd);
		return -ENOMEM;
	}
	ctl->loop = loop;
	ctl->on_close = close_fn;
	ctl->data = data;
	list_init(&ctl->events);
	pthread_mutex_init(&ctl->lock, NULL);
	ctl->events_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = ctl->events_fd < 0 ? -errno
			       : crew_new(crew_n_workers(), on_vport_event, ctl, &ctl->crew);
	r = r ?: loop_fd_add(loop, ctl->events_fd, POLLIN, on_events, ctl);
	if (r < 0)
		close(chan_fd);
	else
		r = chan_new(loop, chan_fd, on_message, on_close, ctl, &ctl->chan);
	if (r < 0) {
		fabric_ctl_free(ctl);
		return r;
	}
	*ret_ctl = ctl;
	return 0;
}

void fabric_ctl_free(struct fabric_ctl *ctl)
{
	struct port_event *event;

	if (!ctl)
		return;
	chan_free(ctl->chan);
	loop_timer_remove(ctl->loop, ctl->announce_timer);
	crew_free(ctl->crew);
	if (ctl->events_fd >= 0) {
		loop_fd_remove(ctl->loop, ctl->events_fd);
		close(ctl->events_fd);
	}
	while ((event = next_event(ctl)))
		free(event);
	pthread_mutex_destroy(&ctl->lock);
	free(ctl);
}
