/* SPDX-License-Identifier: MIT */
#include "vmbus/ic.h"

#include "base/clock.h"
#include "vmbus/ic_internal.h"
#include "vmbus/proto/vmbus_msg.h"

#include <sys/timerfd.h>

/* Answers that one call of work() takes. */
#define BURST 16

/* What an offer in pipe mode begins its user-defined bytes with: messages, not a stream. */
#define PIPE_MODE_MESSAGE 4

/* From 1601 to 1970. */
#define WALL_CLOCK_EPOCH 116444736000000000ULL

static uint64_t host_wall_clock(void)
{
	return WALL_CLOCK_EPOCH + clock_real_ns() / 100;
}

static uint64_t running_ns(const struct ic *ic)
{
	uint64_t mono_ns = ic->stopped ? ic->stopped_ns : clock_mono_ns();

	return mono_ns - ic->stood_ns;
}

struct ic_time ic_time_now(const struct ic *ic)
{
	const struct ic_config *config = &ic->config;

	return (struct ic_time){
		.now_ns = running_ns(ic),
		.wall_clock =
			config->wall_clock ? config->wall_clock(config->data) : host_wall_clock(),
		.reference = config->reference_time ? config->reference_time(config->data) : 0,
	};
}

struct ic_news ic_take_news(struct ic *ic)
{
	struct ic_ask *finished[] = {
		&ic->shutdown.finished, &ic->vss.freeze_finished, &ic->vss.thaw_finished};
	struct ic_news news = {
		.has_heartbeat = ic->heartbeat.state != ic->told_heartbeat,
		.heartbeat = ic->heartbeat.state,
		.has_items = ic->kvp.n_changes != ic->told_changes,
	};

	for (size_t i = 0; i < ARRAY_LEN(finished); i++) {
		if (finished[i]->done)
			news.asks[news.n_asks++] = ic_ask_take(finished[i], finished[i]->error);
	}
	ic->told_heartbeat = ic->heartbeat.state;
	ic->told_changes = ic->kvp.n_changes;
	return news;
}

void ic_tell(const struct ic *ic, const struct ic_news *news)
{
	const struct ic_ops *ops = ic->config.ops;

	for (unsigned i = 0; i < news->n_asks; i++)
		news->asks[i].done(news->asks[i].error, news->asks[i].data);
	if (ops && ops->heartbeat && news->has_heartbeat)
		ops->heartbeat(ic->config.data, news->heartbeat);
	if (ops && ops->guest_items && news->has_items)
		ops->guest_items(ic->config.data);
}

static void unlock_and_tell(struct ic *ic)
{
	struct ic_news news = ic_take_news(ic);

	pthread_mutex_unlock(&ic->lock);
	ic_tell(ic, &news);
}

static int on_open(void *device, _unused_ struct vmbus_channel *channel)
{
	struct ic_slot *slot = device;

	pthread_mutex_lock(&slot->ic->lock);
	ic_core_open(slot->core);
	pthread_mutex_unlock(&slot->ic->lock);
	return 0;
}

static void on_close(void *device, _unused_ struct vmbus_channel *channel)
{
	struct ic_slot *slot = device;

	pthread_mutex_lock(&slot->ic->lock);
	ic_core_close(slot->core);
	slot->waits_for_room = false;
	unlock_and_tell(slot->ic);
}

static void on_gpadl_gone(
	_unused_ void *device, _unused_ struct vmbus_channel *channel, _unused_ uint32_t gpadl_id)
{
}

/* False: there may be more. */
static bool receive_all(struct ic_slot *slot)
{
	struct vmbus_packet packet;

	for (unsigned i = 0; i < BURST; i++) {
		struct ic_time time;

		if (vmbus_channel_recv(slot->channel, &packet))
			return true;
		if (packet.type != VMBUS_PACKET_INBAND) {
			slot->core->n_protocol_errors++;
			continue;
		}
		time = ic_time_now(slot->ic);
		ic_core_receive(slot->core, &time, packet.payload, packet.payload_bytes);
	}
	return false;
}

/* At most one message: its answer comes before the next. */
static void send_next(struct ic_slot *slot)
{
	size_t max_bytes = ic_core_max_message_bytes(slot->core);
	struct ic *ic = slot->ic;
	struct ic_time time = ic_time_now(ic);
	size_t n;

	ic_core_tick(slot->core, &time);
	slot->waits_for_room =
		!slot->core->asked && !vmbus_channel_has_room(slot->channel, max_bytes, 0);
	if (slot->waits_for_room)
		return;
	n = ic_core_send(slot->core, &time, ic->message);
	if (n)
		(void)vmbus_channel_send_inband(slot->channel, 0, false, ic->message, n);
}

static bool on_work(void *device, _unused_ struct vmbus_channel *channel)
{
	struct ic_slot *slot = device;
	bool drained = true;

	pthread_mutex_lock(&slot->ic->lock);
	if (!slot->ic->stopped) {
		drained = receive_all(slot);
		send_next(slot);
	}
	unlock_and_tell(slot->ic);
	return !drained;
}

/* A timer in the past fires at once. */
static bool on_arm(void *device, _unused_ struct vmbus_channel *channel)
{
	struct ic_slot *slot = device;
	struct ic *ic = slot->ic;
	struct itimerspec when = {0};
	uint64_t due_ns = IC_NEVER;

	pthread_mutex_lock(&ic->lock);
	if (!ic->stopped)
		due_ns = ic_core_deadline_ns(slot->core, !slot->waits_for_room);
	if (due_ns != IC_NEVER) {
		due_ns = MAX(due_ns + ic->stood_ns, (uint64_t)1);
		when.it_value.tv_sec = (time_t)(due_ns / NS_PER_SEC);
		when.it_value.tv_nsec = (long)(due_ns % NS_PER_SEC);
	}
	(void)timerfd_settime(slot->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	pthread_mutex_unlock(&ic->lock);
	return false;
}

static int on_event_fd(void *device)
{
	const struct ic_slot *slot = device;

	return slot->timer_fd;
}

static const struct vmbus_device_ops device_ops = {
	.name = "ic",
	.open = on_open,
	.close = on_close,
	.gpadl_gone = on_gpadl_gone,
	.work = on_work,
	.arm = on_arm,
	.event_fd = on_event_fd,
};

static int offer(struct vmbus *bus, struct ic_slot *slot)
{
	const struct ic_service *service = slot->core->service;
	struct vmbus_offer offered = {.flags = VMBUS_OFFER_NAMED_PIPE};

	store_le32(offered.user_defined, PIPE_MODE_MESSAGE);
	memcpy(offered.class_guid, service->class_guid, sizeof(offered.class_guid));
	memcpy(offered.instance_guid, service->instance_guid, sizeof(offered.instance_guid));
	slot->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (slot->timer_fd < 0)
		return -errno;
	return vmbus_offer_add(bus, &offered, &device_ops, slot, &slot->channel);
}

static void init_services(struct ic *ic)
{
	struct ic_core *cores[IC_N_SERVICES] = {&ic->heartbeat.core, &ic->shutdown.core,
		&ic->timesync.core, &ic->kvp.core, &ic->vss.core};

	ic_heartbeat_init(&ic->heartbeat);
	ic_shutdown_init(&ic->shutdown);
	ic_timesync_init(&ic->timesync, ic->config.reference_time != NULL);
	kvp_init(&ic->kvp);
	ic_vss_init(&ic->vss);
	for (unsigned i = 0; i < IC_N_SERVICES; i++)
		ic->slots[i] = (struct ic_slot){.ic = ic, .core = cores[i], .timer_fd = -1};
}

int ic_new(struct vmbus *bus, const struct ic_config *config, struct ic **ret_ic)
{
	struct ic *ic = calloc(1, sizeof(*ic));
	int r = 0;

	if (!ic)
		return -ENOMEM;
	ic->config = *config;
	ic->stopped = true;
	ic->stopped_ns = ic->stood_ns = clock_mono_ns();
	pthread_mutex_init(&ic->lock, NULL);
	init_services(ic);
	for (unsigned i = 0; i < IC_N_SERVICES && r == 0; i++)
		r = offer(bus, &ic->slots[i]);
	if (r) {
		ic_free(ic);
		return r;
	}
	*ret_ic = ic;
	return 0;
}

/* Channels that were open are closed here, and with them goes what was under way. */
void ic_free(struct ic *ic)
{
	if (!ic)
		return;
	for (unsigned i = 0; i < IC_N_SERVICES; i++) {
		if (ic->slots[i].channel)
			vmbus_offer_remove(ic->slots[i].channel);
		close_fd(ic->slots[i].timer_fd);
	}
	pthread_mutex_destroy(&ic->lock);
	free(ic);
}

const char *ic_heartbeat_name(enum ic_heartbeat state)
{
	static const char *const names[] = {
		[IC_HEARTBEAT_NO_CONTACT] = "no contact",
		[IC_HEARTBEAT_OK] = "ok",
		[IC_HEARTBEAT_LOST] = "lost",
	};

	return names[state];
}

enum ic_heartbeat ic_heartbeat_state(struct ic *ic)
{
	enum ic_heartbeat state;

	pthread_mutex_lock(&ic->lock);
	state = ic->heartbeat.state;
	pthread_mutex_unlock(&ic->lock);
	return state;
}

/* Have the worker look at what a service has to say. */
static void kick(struct ic *ic, const struct ic_core *core)
{
	for (unsigned i = 0; i < IC_N_SERVICES; i++) {
		if (ic->slots[i].core == core)
			vmbus_channel_kick(ic->slots[i].channel);
	}
}

int ic_shutdown(struct ic *ic, enum ic_power power, bool force, const char *reason, ic_done_fn done,
	void *data)
{
	const struct ic_ask ask = {.done = done, .data = data};
	int r;

	pthread_mutex_lock(&ic->lock);
	r = ic_shutdown_ask(&ic->shutdown, power, force, reason, &ask);
	pthread_mutex_unlock(&ic->lock);
	if (r == 0)
		kick(ic, &ic->shutdown.core);
	return r;
}

void ic_sync_time(struct ic *ic)
{
	pthread_mutex_lock(&ic->lock);
	ic_timesync_resync(&ic->timesync, running_ns(ic));
	pthread_mutex_unlock(&ic->lock);
	kick(ic, &ic->timesync.core);
}

unsigned ic_guest_items(struct ic *ic, struct ic_item *ret_items, unsigned max)
{
	unsigned n;

	pthread_mutex_lock(&ic->lock);
	n = ic->kvp.items.n_items;
	for (unsigned i = 0; i < MIN(n, max); i++)
		ret_items[i] = ic->kvp.items.items[i];
	pthread_mutex_unlock(&ic->lock);
	return n;
}

int ic_guest_addresses(
	struct ic *ic, const uint8_t mac[ETH_ADDR_LEN], char *ret_text, size_t size_bytes)
{
	int r;

	pthread_mutex_lock(&ic->lock);
	r = kvp_addresses(&ic->kvp, mac, ret_text, size_bytes);
	pthread_mutex_unlock(&ic->lock);
	return r;
}

int ic_set_adapters(struct ic *ic, const uint8_t (*macs)[ETH_ADDR_LEN], unsigned n_macs)
{
	int r;

	pthread_mutex_lock(&ic->lock);
	r = kvp_set_adapters(&ic->kvp, macs, n_macs);
	pthread_mutex_unlock(&ic->lock);
	kick(ic, &ic->kvp.core);
	return r;
}

int ic_host_item(struct ic *ic, const char *key, const char *value)
{
	int r;

	pthread_mutex_lock(&ic->lock);
	r = kvp_set_host_item(&ic->kvp, key, value);
	pthread_mutex_unlock(&ic->lock);
	kick(ic, &ic->kvp.core);
	return r;
}

int ic_vss_freeze(struct ic *ic, uint64_t limit_ns, ic_done_fn done, void *data)
{
	const struct ic_ask ask = {.done = done, .data = data};
	int r;

	pthread_mutex_lock(&ic->lock);
	r = ic_vss_ask_freeze(&ic->vss, limit_ns, &ask);
	pthread_mutex_unlock(&ic->lock);
	if (r == 0)
		kick(ic, &ic->vss.core);
	return r;
}

int ic_vss_thaw(struct ic *ic, ic_done_fn done, void *data)
{
	const struct ic_ask ask = {.done = done, .data = data};
	int r;

	pthread_mutex_lock(&ic->lock);
	r = ic_vss_ask_thaw(&ic->vss, &ask);
	pthread_mutex_unlock(&ic->lock);
	if (r == 0)
		kick(ic, &ic->vss.core);
	return r;
}

void ic_get_info(struct ic *ic, struct ic_info *ret_info)
{
	pthread_mutex_lock(&ic->lock);
	for (unsigned i = 0; i < IC_N_SERVICES; i++) {
		const struct ic_core *core = ic->slots[i].core;

		ret_info->services[i].name = core->service->name;
		ret_info->services[i].connected = core->phase == IC_READY;
		ret_info->services[i].major = core->message_version.major;
		ret_info->services[i].minor = core->message_version.minor;
		ret_info->services[i].n_requests = core->n_requests;
		ret_info->services[i].n_answers = core->n_answers;
		ret_info->services[i].n_protocol_errors = core->n_protocol_errors;
	}
	pthread_mutex_unlock(&ic->lock);
}
