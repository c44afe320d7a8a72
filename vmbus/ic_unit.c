/* SPDX-License-Identifier: MIT
 *
 * The integration services as a state unit: each service's section in the order of the slots.
 * Nothing is under way in a saved state but negotiations; what was is cancelled when it is saved,
 * so source and target go on from the same point.
 */
#include "vmbus/ic_internal.h"

#include "base/clock.h"

#define STATE_VERSION 1

static int unit_start(void *opaque)
{
	struct ic *ic = opaque;

	pthread_mutex_lock(&ic->lock);
	if (ic->stopped)
		ic->stood_ns += clock_mono_ns() - ic->stopped_ns;
	ic->stopped = false;
	if (ic->clock_is_wrong)
		ic_timesync_resync(&ic->timesync, ic_time_now(ic).now_ns);
	ic->clock_is_wrong = false;
	pthread_mutex_unlock(&ic->lock);
	for (unsigned i = 0; i < IC_N_SERVICES; i++)
		vmbus_channel_kick(ic->slots[i].channel);
	return 0;
}

/* The bus, and with it the workers, stops later. */
static int unit_stop(void *opaque)
{
	struct ic *ic = opaque;

	pthread_mutex_lock(&ic->lock);
	ic->stopped = true;
	ic->stopped_ns = clock_mono_ns();
	ic->clock_is_wrong = true;
	pthread_mutex_unlock(&ic->lock);
	return 0;
}

static void cancel_all(struct ic *ic)
{
	struct ic_time time = ic_time_now(ic);

	for (unsigned i = 0; i < IC_N_SERVICES; i++)
		ic_core_cancel(ic->slots[i].core, &time);
	ic_shutdown_cancel(&ic->shutdown);
	ic_vss_cancel(&ic->vss);
	kvp_restart_cycle(&ic->kvp, time.now_ns);
}

static int unit_save(void *opaque, struct buf *out)
{
	struct ic *ic = opaque;
	struct ic_news news;

	pthread_mutex_lock(&ic->lock);
	cancel_all(ic);
	ic_heartbeat_save(&ic->heartbeat, out);
	ic_shutdown_save(&ic->shutdown, out);
	ic_timesync_save(&ic->timesync, out);
	kvp_save(&ic->kvp, out);
	ic_vss_save(&ic->vss, out);
	news = ic_take_news(ic);
	pthread_mutex_unlock(&ic->lock);
	ic_tell(ic, &news);
	return out->failed ? -ENOMEM : 0;
}

static bool is_open(const struct ic *ic, const struct ic_core *core)
{
	for (unsigned i = 0; i < IC_N_SERVICES; i++) {
		if (ic->slots[i].core == core)
			return vmbus_channel_is_open(ic->slots[i].channel);
	}
	return false;
}

static int restore(struct ic *ic, struct reader *in)
{
	int r;

	r = ic_heartbeat_restore(&ic->heartbeat, in, is_open(ic, &ic->heartbeat.core));
	if (r == 0)
		r = ic_shutdown_restore(&ic->shutdown, in, is_open(ic, &ic->shutdown.core));
	if (r == 0)
		r = ic_timesync_restore(&ic->timesync, in, is_open(ic, &ic->timesync.core));
	if (r == 0)
		r = kvp_restore(&ic->kvp, in, is_open(ic, &ic->kvp.core));
	if (r == 0)
		r = ic_vss_restore(&ic->vss, in, is_open(ic, &ic->vss.core));
	return r;
}

static int unit_restore(void *opaque, struct reader *in, _unused_ uint32_t version)
{
	struct ic *ic = opaque;
	int r;

	pthread_mutex_lock(&ic->lock);
	r = restore(ic, in);
	ic_heartbeat_resume(&ic->heartbeat, ic_time_now(ic).now_ns);
	ic->clock_is_wrong = true;
	pthread_mutex_unlock(&ic->lock);
	return r;
}

static const struct unit_ops unit_ops = {
	.name = "ic",
	.version = STATE_VERSION,
	.start = unit_start,
	.stop = unit_stop,
	.save = unit_save,
	.restore = unit_restore,
};

int ic_register_unit(struct ic *ic, struct unit_registry *registry)
{
	return unit_register(registry, &unit_ops, NULL, ic);
}
