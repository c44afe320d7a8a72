/* SPDX-License-Identifier: MIT */
#include "vmbus/storvsp.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "vmbus/proto/guids.h"
#include "vmbus/proto/vmbus_msg.h"
#include "vmbus/stor_channel.h"
#include "vmbus/stor_state.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

/* How long anybody waits for the backend. */
#define PATIENCE_NS (10 * NS_PER_SEC)

/* The controller's index in the last four bytes. */
#define INSTANCE_GUID     VMBUS_GUID(0x4f8a2c16, 0x9d3e, 0x4b71, 0xa2, 0x5c, 0x1d, 0x84, 0, 0, 0, 0)
#define INSTANCE_INDEX_AT 12

struct storvsp {
	unsigned index;
	unsigned n_channels;
	struct stor_luns luns;
	struct stor_progress progress;
	struct stor_channel channels[STORVSP_MAX_CHANNELS];
};

_Static_assert(STORVSP_MAX_LUNS == STOR_MAX_LUNS, "as many units as the code behind has");

/* ---- callbacks of the bus ---- */

static int on_open(void *device, _unused_ struct vmbus_channel *channel)
{
	stor_channel_open(device);
	return 0;
}

static void on_close(void *device, _unused_ struct vmbus_channel *channel)
{
	stor_channel_close(device, clock_mono_ns() + PATIENCE_NS);
}

/* Nothing of the guest's is kept but for rings, which are the channel's. */
static void on_gpadl_gone(
	_unused_ void *device, _unused_ struct vmbus_channel *channel, _unused_ uint32_t gpadl_id)
{
}

static bool on_work(void *device, _unused_ struct vmbus_channel *channel)
{
	return stor_channel_work(device);
}

static int on_event_fd(void *device)
{
	return ((struct stor_channel *)device)->event_fd;
}

static const struct vmbus_device_ops device_ops = {
	.name = "storvsp",
	.open = on_open,
	.close = on_close,
	.gpadl_gone = on_gpadl_gone,
	.work = on_work,
	.event_fd = on_event_fd,
};

/* ---- making and freeing ---- */

static int offer(struct vmbus *bus, struct storvsp *storvsp)
{
	struct vmbus_offer scsi_offer = {
		.class_guid = VMBUS_GUID_SCSI,
		.instance_guid = INSTANCE_GUID,
	};
	struct stor_channel *primary = &storvsp->channels[0];
	int r;

	store_be32(scsi_offer.instance_guid + INSTANCE_INDEX_AT, storvsp->index);
	r = vmbus_offer_add(bus, &scsi_offer, &device_ops, primary, &primary->channel);
	for (unsigned i = 1; i < storvsp->n_channels && r == 0; i++) {
		struct stor_channel *channel = &storvsp->channels[i];

		r = vmbus_subchannel_add(primary->channel, &device_ops, channel, &channel->channel);
		if (r)
			vmbus_offer_remove(primary->channel);
	}
	return r;
}

static void fini(struct storvsp *storvsp, unsigned n_channels)
{
	for (unsigned i = 0; i < n_channels; i++)
		stor_channel_fini(&storvsp->channels[i]);
	stor_luns_fini(&storvsp->luns);
	close_fd(storvsp->progress.event_fd);
	free(storvsp);
}

int storvsp_new(
	struct vmbus *bus, const struct storvsp_config *config, struct storvsp **ret_storvsp)
{
	struct storvsp *storvsp;
	unsigned n = 0;
	int r = 0;

	if (config->n_channels < 1 || config->n_channels > STORVSP_MAX_CHANNELS)
		return -EINVAL;
	storvsp = calloc(1, sizeof(*storvsp));
	if (!storvsp)
		return -ENOMEM;
	storvsp->index = config->index;
	storvsp->n_channels = config->n_channels;
	stor_luns_init(&storvsp->luns, config->disk_ops, &storvsp->progress);
	storvsp->progress.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (storvsp->progress.event_fd < 0)
		r = -errno;
	for (; n < config->n_channels && r == 0; n += r == 0)
		r = stor_channel_init(&storvsp->channels[n], &storvsp->luns, config->backend, n,
			config->n_channels);
	if (r == 0)
		r = offer(bus, storvsp);
	if (r) {
		fini(storvsp, n);
		return r;
	}
	*ret_storvsp = storvsp;
	return 0;
}

/* ---- waiting for requests under way ---- */

static bool nothing_under_way(struct storvsp *storvsp, _unused_ unsigned lun)
{
	unsigned n = 0;

	for (unsigned i = 0; i < storvsp->n_channels; i++)
		n += stor_channel_collect(&storvsp->channels[i]);
	return n == 0;
}

static bool lun_not_in_use(struct storvsp *storvsp, unsigned lun)
{
	(void)nothing_under_way(storvsp, lun);
	return !stor_luns_in_use(&storvsp->luns, lun);
}

/* Workers collect what their channels have under way and say so; closed channels have none, so
 * their queues are looked at here. */
static int wait_until(
	struct storvsp *storvsp, bool (*condition)(struct storvsp *storvsp, unsigned), unsigned lun)
{
	struct pollfd fds[1 + STORVSP_MAX_CHANNELS] = {
		{.fd = storvsp->progress.event_fd, .events = POLLIN}};
	uint64_t end_ns = clock_mono_ns() + PATIENCE_NS;
	eventfd_t count;
	int r = 0;

	__atomic_store_n(&storvsp->progress.wanted, true, __ATOMIC_SEQ_CST);
	while (!condition(storvsp, lun)) {
		uint64_t now_ns = clock_mono_ns();

		if (now_ns >= end_ns) {
			r = -ETIMEDOUT;
			break;
		}
		for (unsigned i = 0; i < storvsp->n_channels; i++)
			fds[1 + i] = stor_channel_pollfd(&storvsp->channels[i]);
		if (poll(fds, 1 + storvsp->n_channels, (int)((end_ns - now_ns) / NS_PER_MS + 1)) >
				0 &&
			fds[0].revents)
			(void)eventfd_read(storvsp->progress.event_fd, &count);
	}
	__atomic_store_n(&storvsp->progress.wanted, false, __ATOMIC_SEQ_CST);
	return r;
}

void storvsp_free(struct storvsp *storvsp)
{
	if (!storvsp)
		return;
	vmbus_offer_remove(storvsp->channels[0].channel);
	/* The backend writes into requests that are about to go: without its answer they stay. */
	if (wait_until(storvsp, nothing_under_way, 0)) {
		log_debug("storvsp.%u: the backend does not answer", storvsp->index);
		return;
	}
	fini(storvsp, storvsp->n_channels);
}

/* ---- the unit ---- */

static void set_running(struct storvsp *storvsp, bool draining, bool stopped)
{
	for (unsigned i = 0; i < storvsp->n_channels; i++) {
		struct stor_channel *channel = &storvsp->channels[i];

		pthread_mutex_lock(&channel->lock);
		channel->draining = draining;
		channel->stopped = stopped;
		pthread_mutex_unlock(&channel->lock);
		vmbus_channel_kick(channel->channel);
	}
}

static int unit_start(void *opaque)
{
	set_running(opaque, false, false);
	return 0;
}

/* The bus, and with it the workers, stops later: they collect what is under way. */
static int unit_stop(void *opaque)
{
	struct storvsp *storvsp = opaque;
	int r;

	set_running(storvsp, true, false);
	r = wait_until(storvsp, nothing_under_way, 0);
	set_running(storvsp, r == 0, r == 0);
	return r;
}

static int unit_save(void *opaque, struct buf *out)
{
	struct storvsp *storvsp = opaque;

	stor_luns_save(&storvsp->luns, out);
	buf_u8(out, (uint8_t)storvsp->n_channels);
	for (unsigned i = 0; i < storvsp->n_channels; i++)
		stor_channel_save(&storvsp->channels[i], out);
	return out->failed ? -ENOMEM : 0;
}

static int unit_restore(void *opaque, struct reader *in, _unused_ uint32_t version)
{
	struct storvsp *storvsp = opaque;
	int r = stor_luns_restore(&storvsp->luns, in);

	if (r == 0 && reader_u8(in) != storvsp->n_channels)
		r = -EBADMSG;
	for (unsigned i = 0; i < storvsp->n_channels && r == 0; i++) {
		struct stor_channel *channel = &storvsp->channels[i];

		r = stor_channel_restore(channel, in, vmbus_channel_is_open(channel->channel));
	}
	return r;
}

static const struct unit_ops unit_ops = {
	.name = "storvsp",
	.version = STOR_STATE_VERSION,
	.start = unit_start,
	.stop = unit_stop,
	.save = unit_save,
	.restore = unit_restore,
};

int storvsp_register_unit(struct storvsp *storvsp, struct unit_registry *registry)
{
	char instance[12];

	snprintf(instance, sizeof(instance), "%u", storvsp->index);
	return unit_register(registry, &unit_ops, instance, storvsp);
}

/* ---- units ---- */

/* Have the guest look. Before its driver is ready it has not looked yet. */
static void notify(struct storvsp *storvsp)
{
	struct stor_channel *primary = &storvsp->channels[0];

	pthread_mutex_lock(&primary->lock);
	primary->notify |= primary->vstor.phase == VSTOR_READY && !primary->broken;
	pthread_mutex_unlock(&primary->lock);
	vmbus_channel_kick(primary->channel);
}

int storvsp_attach(struct storvsp *storvsp, const struct storvsp_lun *lun)
{
	uint8_t drive_id[DISK_ID_BYTES] = {'D', 'V', 'D'};
	int r;

	if (lun->lun >= STORVSP_MAX_LUNS)
		return -EINVAL;
	store_be32(drive_id + DISK_ID_BYTES - 8, storvsp->index);
	store_be32(drive_id + DISK_ID_BYTES - 4, lun->lun);
	r = stor_luns_attach(&storvsp->luns, lun->lun,
		lun->kind == STORVSP_DVD ? SCSI_KIND_DVD : SCSI_KIND_DISK, drive_id,
		STOR_MAX_TRANSFER_BYTES, lun->disk);
	if (r == 0)
		notify(storvsp);
	return r;
}

int storvsp_detach(struct storvsp *storvsp, uint8_t lun)
{
	int r = lun < STORVSP_MAX_LUNS ? stor_luns_hide(&storvsp->luns, lun) : -ENOENT;

	if (r)
		return r;
	r = wait_until(storvsp, lun_not_in_use, lun);
	if (r) {
		stor_luns_unhide(&storvsp->luns, lun);
		return r;
	}
	stor_luns_remove(&storvsp->luns, lun);
	notify(storvsp);
	return 0;
}

int storvsp_set_medium(struct storvsp *storvsp, uint8_t lun, void *disk, bool force)
{
	void *old;
	int r;

	if (lun >= STORVSP_MAX_LUNS)
		return -ENOENT;
	r = stor_luns_check_disk(&storvsp->luns, disk);
	if (r == 0)
		r = stor_luns_take_medium(&storvsp->luns, lun, force, &old);
	if (r)
		return r;
	r = wait_until(storvsp, lun_not_in_use, lun);
	stor_luns_put_medium(&storvsp->luns, lun, r ? old : disk);
	notify(storvsp);
	return r;
}

int storvsp_resized(struct storvsp *storvsp, uint8_t lun)
{
	int r = lun < STORVSP_MAX_LUNS ? stor_luns_resized(&storvsp->luns, lun) : -ENOENT;

	if (r == 0)
		notify(storvsp);
	return r;
}

static void add_stats(struct storvsp_info *info, const struct stor_stats *stats)
{
	info->n_reads += stats->n_reads;
	info->n_writes += stats->n_writes;
	info->n_flushes += stats->n_flushes;
	info->n_discards += stats->n_discards;
	info->read_bytes += stats->read_bytes;
	info->written_bytes += stats->written_bytes;
	info->n_errors += stats->n_errors;
	info->n_protocol_errors += stats->n_protocol_errors;
}

void storvsp_get_info(struct storvsp *storvsp, struct storvsp_info *ret_info)
{
	struct storvsp_info info = {.n_luns = stor_luns_count(&storvsp->luns)};

	for (unsigned i = 0; i < storvsp->n_channels; i++) {
		struct stor_channel *channel = &storvsp->channels[i];

		pthread_mutex_lock(&channel->lock);
		if (i == 0) {
			info.version = channel->vstor.version;
			info.ready = channel->vstor.phase == VSTOR_READY;
		}
		info.n_channels_open += channel->state == STOR_OPEN;
		info.n_in_flight += channel->n_under_way;
		add_stats(&info, &channel->stats);
		pthread_mutex_unlock(&channel->lock);
	}
	*ret_info = info;
}
