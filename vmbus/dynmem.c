/* SPDX-License-Identifier: MIT */
#include "vmbus/dynmem.h"

#include "base/clock.h"
#include "base/log.h"
#include "vmbus/bus.h"
#include "vmbus/channel.h"
#include "vmbus/dynmem_core.h"
#include "vmbus/proto/guids.h"

#include <sys/timerfd.h>

#define STATE_VERSION 1
#define BURST         16

struct dynmem {
	struct gpa_space *memory;
	const struct dynmem_ops *ops;
	void *data;
	struct vmbus_channel *channel; /* constant from dynmem_new() on */
	int timer_fd;

	pthread_mutex_t lock;
	struct dynmem_core core;
	bool stopped;
	bool waits_for_room;
	uint64_t stopped_ns; /* monotonic */
	uint64_t stood_ns;   /* monotonic time minus running time */

	/* The worker's. */
	struct vmbus_packet packet;
	struct dynmem_run released[DYNMEM_MAX_RANGES];
	uint8_t message[DYNMEM_MAX_MESSAGE_BYTES];
};

static uint64_t running_ns(const struct dynmem *dynmem)
{
	return (dynmem->stopped ? dynmem->stopped_ns : clock_mono_ns()) - dynmem->stood_ns;
}

/* Every page in a region, of which neighbours may hold parts. */
static bool is_ram(void *data, uint64_t first_page, uint64_t n_pages)
{
	const struct dynmem *dynmem = data;
	uint64_t at = first_page, end = first_page + n_pages;

	while (at < end) {
		uint64_t before = at;

		for (size_t i = 0; i < gpa_space_n_regions(dynmem->memory); i++) {
			const struct gpa_region *region = gpa_space_region(dynmem->memory, i);
			uint64_t first = region->base.v / GPA_PAGE_SIZE;
			uint64_t behind = first + region->size_bytes / GPA_PAGE_SIZE;

			if (at >= first && at < behind)
				at = behind;
		}
		if (at == before)
			return false;
	}
	return true;
}

static int on_open(void *device, _unused_ struct vmbus_channel *channel)
{
	struct dynmem *dynmem = device;

	pthread_mutex_lock(&dynmem->lock);
	dynmem_core_open(&dynmem->core);
	pthread_mutex_unlock(&dynmem->lock);
	return 0;
}

static void on_close(void *device, _unused_ struct vmbus_channel *channel)
{
	struct dynmem *dynmem = device;

	pthread_mutex_lock(&dynmem->lock);
	dynmem_core_close(&dynmem->core);
	dynmem->waits_for_room = false;
	pthread_mutex_unlock(&dynmem->lock);
}

static void on_gpadl_gone(
	_unused_ void *device, _unused_ struct vmbus_channel *channel, _unused_ uint32_t gpadl_id)
{
}

/* Returns -EINVAL when some of them are none of the guest's RAM. Pages that stay with us for
 * another reason cost memory, and nothing else. */
static int release(struct dynmem *dynmem, const struct dynmem_run *run)
{
	int r = dynmem->ops->release(
		dynmem->data, gpa_from_pfn(run->first), run->n_pages * GPA_PAGE_SIZE);

	if (r && r != -EINVAL)
		log_debug("dynmem: pages were not released: %d", r);
	return r == -EINVAL ? r : 0;
}

/* What the last message named. */
static void release_all(struct dynmem *dynmem, size_t n_runs)
{
	for (size_t i = 0; i < n_runs; i++) {
		if (release(dynmem, &dynmem->released[i]) == 0)
			continue;
		pthread_mutex_lock(&dynmem->lock);
		dynmem_core_not_ram(&dynmem->core, &dynmem->released[i]);
		pthread_mutex_unlock(&dynmem->lock);
	}
}

/* False: nothing more to take now. */
static bool receive_one(struct dynmem *dynmem)
{
	struct vmbus_packet *packet = &dynmem->packet;
	size_t n_released;

	if (vmbus_channel_recv(dynmem->channel, packet))
		return false;
	pthread_mutex_lock(&dynmem->lock);
	if (packet->type == VMBUS_PACKET_INBAND)
		dynmem_core_receive(
			&dynmem->core, running_ns(dynmem), packet->payload, packet->payload_bytes);
	else
		dynmem->core.n_protocol_errors++;
	n_released = dynmem->core.n_released;
	dynmem->core.n_released = 0;
	memcpy(dynmem->released, dynmem->core.released, n_released * sizeof(struct dynmem_run));
	pthread_mutex_unlock(&dynmem->lock);
	release_all(dynmem, n_released);
	return true;
}

/* Before it is offered, memory has to be there. */
static void make_memory(struct dynmem *dynmem)
{
	uint64_t size_bytes;
	gpa_t first = {0};
	int r;

	pthread_mutex_lock(&dynmem->lock);
	size_bytes =
		dynmem->stopped ? 0 : dynmem_core_wants_bytes(&dynmem->core, running_ns(dynmem));
	pthread_mutex_unlock(&dynmem->lock);
	if (size_bytes == 0)
		return;
	r = dynmem->ops->hot_add(dynmem->data, size_bytes, &first);
	pthread_mutex_lock(&dynmem->lock);
	dynmem_core_made(&dynmem->core, running_ns(dynmem), r, first.v / GPA_PAGE_SIZE,
		size_bytes / GPA_PAGE_SIZE);
	pthread_mutex_unlock(&dynmem->lock);
}

static void send_all(struct dynmem *dynmem)
{
	size_t n = 1;

	pthread_mutex_lock(&dynmem->lock);
	while (n && !dynmem->stopped) {
		dynmem->waits_for_room =
			!vmbus_channel_has_room(dynmem->channel, DYNMEM_MAX_MESSAGE_BYTES, 0);
		if (dynmem->waits_for_room)
			break;
		n = dynmem_core_send(&dynmem->core, running_ns(dynmem), dynmem->message);
		if (n)
			(void)vmbus_channel_send_inband(
				dynmem->channel, 0, false, dynmem->message, n);
	}
	pthread_mutex_unlock(&dynmem->lock);
}

static bool is_stopped(struct dynmem *dynmem)
{
	bool stopped;

	pthread_mutex_lock(&dynmem->lock);
	stopped = dynmem->stopped;
	pthread_mutex_unlock(&dynmem->lock);
	return stopped;
}

static bool on_work(void *device, _unused_ struct vmbus_channel *channel)
{
	struct dynmem *dynmem = device;
	bool more = true;

	if (is_stopped(dynmem))
		return false;
	for (unsigned i = 0; i < BURST && more; i++)
		more = receive_one(dynmem);
	make_memory(dynmem);
	send_all(dynmem);
	return more;
}

static bool on_arm(void *device, _unused_ struct vmbus_channel *channel)
{
	struct dynmem *dynmem = device;
	struct itimerspec when = {0};
	uint64_t due_ns = DYNMEM_NEVER;

	pthread_mutex_lock(&dynmem->lock);
	if (!dynmem->stopped && !dynmem->waits_for_room)
		due_ns = dynmem_core_deadline_ns(&dynmem->core, running_ns(dynmem));
	if (due_ns != DYNMEM_NEVER) {
		due_ns += dynmem->stood_ns;
		when.it_value.tv_sec = (time_t)(due_ns / NS_PER_SEC);
		when.it_value.tv_nsec = (long)(due_ns % NS_PER_SEC);
	}
	(void)timerfd_settime(dynmem->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	pthread_mutex_unlock(&dynmem->lock);
	return false;
}

static int on_event_fd(void *device)
{
	const struct dynmem *dynmem = device;

	return dynmem->timer_fd;
}

static const struct vmbus_device_ops device_ops = {
	.name = "dynmem",
	.open = on_open,
	.close = on_close,
	.gpadl_gone = on_gpadl_gone,
	.work = on_work,
	.arm = on_arm,
	.event_fd = on_event_fd,
};

static int start_service(struct vmbus *bus, struct dynmem *dynmem)
{
	const struct vmbus_offer offer = {
		.class_guid = VMBUS_GUID_DYNAMIC_MEMORY,
		.instance_guid = VMBUS_INSTANCE_DYNAMIC_MEMORY,
	};
	struct dynmem_limits limits = dynmem->core.limits;
	int r;

	r = dynmem_core_set_limits(&dynmem->core, &limits);
	if (r)
		return r;
	dynmem->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (dynmem->timer_fd < 0)
		return -errno;
	return vmbus_offer_add(bus, &offer, &device_ops, dynmem, &dynmem->channel);
}

int dynmem_new(struct vmbus *bus, const struct dynmem_config *config, struct dynmem **ret_dynmem)
{
	struct dynmem *dynmem = calloc(1, sizeof(*dynmem));
	const struct dynmem_core_config core_config = {
		.start_bytes = config->start_bytes,
		.limits = config->limits,
		.is_ram = is_ram,
		.data = dynmem,
	};
	int r;

	if (!dynmem)
		return -ENOMEM;
	dynmem->memory = bus->memory;
	dynmem->ops = config->ops;
	dynmem->data = config->data;
	dynmem->timer_fd = -1;
	dynmem->stopped = true;
	dynmem->stopped_ns = dynmem->stood_ns = clock_mono_ns();
	pthread_mutex_init(&dynmem->lock, NULL);
	dynmem_core_init(&dynmem->core, &core_config);
	r = start_service(bus, dynmem);
	if (r) {
		dynmem_free(dynmem);
		return r;
	}
	*ret_dynmem = dynmem;
	return 0;
}

void dynmem_free(struct dynmem *dynmem)
{
	if (!dynmem)
		return;
	if (dynmem->channel)
		vmbus_offer_remove(dynmem->channel);
	close_fd(dynmem->timer_fd);
	dynmem_core_fini(&dynmem->core);
	pthread_mutex_destroy(&dynmem->lock);
	free(dynmem);
}

static int unit_start(void *opaque)
{
	struct dynmem *dynmem = opaque;

	pthread_mutex_lock(&dynmem->lock);
	if (dynmem->stopped)
		dynmem->stood_ns += clock_mono_ns() - dynmem->stopped_ns;
	dynmem->stopped = false;
	pthread_mutex_unlock(&dynmem->lock);
	vmbus_channel_kick(dynmem->channel);
	return 0;
}

/* The bus, and with it the worker and whatever it is at, stops later. */
static int unit_stop(void *opaque)
{
	struct dynmem *dynmem = opaque;

	pthread_mutex_lock(&dynmem->lock);
	dynmem->stopped_ns = clock_mono_ns();
	dynmem->stopped = true;
	pthread_mutex_unlock(&dynmem->lock);
	return 0;
}

static int unit_save(void *opaque, struct buf *out)
{
	struct dynmem *dynmem = opaque;

	pthread_mutex_lock(&dynmem->lock);
	dynmem_core_save(&dynmem->core, out);
	pthread_mutex_unlock(&dynmem->lock);
	return out->failed ? -ENOMEM : 0;
}

/* Nobody else is there yet, so ops may be called as they are. */
static int unit_restore(void *opaque, struct reader *in, _unused_ uint32_t version)
{
	struct dynmem *dynmem = opaque;
	struct dynmem_core *core = &dynmem->core;
	int r;

	r = dynmem_core_restore(core, in, vmbus_channel_is_open(dynmem->channel));
	for (size_t i = 0; r == 0 && i < core->ballooned.n_runs; i++) {
		if (release(dynmem, &core->ballooned.runs[i]))
			r = -EBADMSG;
	}
	return r;
}

static const struct unit_ops unit_ops = {
	.name = "dynmem",
	.version = STATE_VERSION,
	.start = unit_start,
	.stop = unit_stop,
	.save = unit_save,
	.restore = unit_restore,
};

int dynmem_register_unit(struct dynmem *dynmem, struct unit_registry *registry)
{
	return unit_register(registry, &unit_ops, NULL, dynmem);
}

int dynmem_set_limits(struct dynmem *dynmem, const struct dynmem_limits *limits)
{
	int r;

	pthread_mutex_lock(&dynmem->lock);
	r = dynmem_core_set_limits(&dynmem->core, limits);
	pthread_mutex_unlock(&dynmem->lock);
	vmbus_channel_kick(dynmem->channel);
	return r;
}

int dynmem_set_target(struct dynmem *dynmem, uint64_t target_bytes)
{
	int r;

	pthread_mutex_lock(&dynmem->lock);
	r = dynmem_core_set_target(&dynmem->core, target_bytes);
	pthread_mutex_unlock(&dynmem->lock);
	vmbus_channel_kick(dynmem->channel);
	return r;
}

void dynmem_get_info(struct dynmem *dynmem, struct dynmem_info *ret_info)
{
	const struct dynmem_core *core = &dynmem->core;
	uint64_t ballooned_pages;

	pthread_mutex_lock(&dynmem->lock);
	ballooned_pages = core->ballooned.n_pages;
	*ret_info = (struct dynmem_info){
		.connected = core->phase == DYNMEM_READY,
		.assigned_bytes = dynmem_core_assigned_bytes(core),
		.demand_bytes =
			(core->committed_pages - MIN(core->committed_pages, ballooned_pages)) *
			GPA_PAGE_SIZE,
		.available_bytes = core->available_pages * GPA_PAGE_SIZE,
		.target_bytes = core->target_bytes,
		.ballooned_bytes = ballooned_pages * GPA_PAGE_SIZE,
		.added_bytes = dynmem_core_added_bytes(core),
		.n_protocol_errors = core->n_protocol_errors,
	};
	pthread_mutex_unlock(&dynmem->lock);
}
