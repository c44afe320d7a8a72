/* SPDX-License-Identifier: MIT
 *
 * Frames as fast as they go in one direction, and one frame back and forth.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include "fabric/inet.h"
#include "pump_frame.h"

#define MEET_WITHIN_NS  (10 * NS_PER_SEC)
#define PART_WITHIN_NS  (2 * NS_PER_SEC)
#define LOST_AFTER_NS   (1 * NS_PER_SEC)
#define FIRST_PORT      1024
#define MAX_SAMPLES     (1U << 20)
#define PLAIN_MAX_BYTES 1514

static const struct eth_hdr plain;

/* UDP without a checksum; flows differ in their source port. */
static void write_udp(const struct pump *pump, unsigned flow, uint8_t *frame)
{
	uint8_t *udp = frame + PUMP_L4_AT;
	size_t l4_bytes = pump->frame_bytes - PUMP_L4_AT;

	pump_write_ipv4(pump, PROTOCOL_UDP, l4_bytes, frame);
	store_be16(udp, (uint16_t)(FIRST_PORT + flow));
	store_be16(udp + 2, 9); /* discard */
	store_be16(udp + UDP_LENGTH, (uint16_t)l4_bytes);
	store_be16(udp + UDP_CSUM, 0);
}

/* Returns how many of `n_burst` frames went, or -errno; fewer: no room. */
static int send_burst(
	struct pump *pump, uint8_t (*frames)[PLAIN_MAX_BYTES], unsigned n_burst, unsigned *flow)
{
	const struct eth_ops *ops = pump->port.ops;
	unsigned n = 0;
	int r = 0;

	while (n < n_burst && r == 0) {
		struct iovec iov = {frames[*flow], pump->frame_bytes};

		r = ops->send(pump->port.port, &plain, &iov, 1);
		if (r == 0) {
			n++;
			*flow = (*flow + 1) % pump->n_flows;
		}
	}
	ops->flush(pump->port.port);
	return r < 0 && r != -EAGAIN ? r : (int)n;
}

int pump_blast(struct pump *pump, struct json *result)
{
	static uint8_t frames[PUMP_MAX_FLOWS][PLAIN_MAX_BYTES];
	uint64_t max_frames = pump->max_frames ?: UINT64_MAX;
	uint64_t begin_ns, end_ns, cpu_ns, n_frames = 0;
	unsigned flow = 0, n_burst;
	int r = 0;

	for (unsigned i = 0; i < pump->n_flows; i++)
		write_udp(pump, i, frames[i]);
	if (!pump->alone)
		r = pump_agree(pump, PUMP_HELLO, MEET_WITHIN_NS);
	if (r < 0)
		return r;
	begin_ns = clock_mono_ns();
	end_ns = MIN(begin_ns + pump->run_ns, pump->deadline_ns);
	cpu_ns = pump_cpu_ns();
	while (clock_mono_ns() < end_ns && n_frames < max_frames) {
		n_burst = (unsigned)MIN(max_frames - n_frames, (uint64_t)PUMP_BURST);
		r = send_burst(pump, frames, n_burst, &flow);
		if (r < 0)
			return r;
		n_frames += (unsigned)r;
		if ((unsigned)r < n_burst)
			r = pump_wait(pump, ETH_ROOM, end_ns);
		if (r < 0 && r != -ETIMEDOUT)
			return r;
	}
	cpu_ns = pump_cpu_ns() - cpu_ns;
	json_set_int(result, "frames", (int64_t)n_frames);
	json_set_int(result, "ns", (int64_t)(clock_mono_ns() - begin_ns));
	json_set_int(result, "cpu_ns", (int64_t)cpu_ns);
	return pump->alone ? 0 : pump_agree(pump, PUMP_END, PART_WITHIN_NS);
}

/* What the side that is led does with one frame of data. */
typedef int (*data_fn)(
	struct pump *pump, const struct eth_hdr *hdr, uint8_t *data, size_t size_bytes, void *arg);

/* The side that is led: until the end was said. */
static int follow(struct pump *pump, data_fn on_data, void *arg)
{
	static uint8_t data[ETH_FRAME_MAX_BYTES];
	struct eth_hdr hdr;
	size_t size_bytes;
	int r;

	for (;;) {
		r = pump->port.ops->recv(pump->port.port, &hdr, data, sizeof(data), &size_bytes);
		if (r == -EAGAIN) {
			pump->port.ops->flush(pump->port.port);
			r = pump_wait(pump, ETH_FRAMES, pump->deadline_ns);
			if (r < 0)
				return r;
			continue;
		}
		if (r < 0)
			return r;
		switch (pump_word_of(data, size_bytes)) {
		case PUMP_DATA:
			r = on_data(pump, &hdr, data, size_bytes, arg);
			break;
		case PUMP_HELLO:
			r = pump_say(pump, PUMP_HELLO_ANSWER);
			break;
		case PUMP_END:
			return pump_say(pump, PUMP_END_ANSWER);
		default:
			break;
		}
		if (r < 0)
			return r;
	}
}

struct tally {
	uint64_t n_frames, n_bytes, n_other;
	uint64_t first_ns, last_ns, n_timed; /* those that came between the two */
	uint64_t cpu_ns;                     /* of the process, at the first frame */
};

static int count(struct pump *pump, const struct eth_hdr *hdr _unused_, uint8_t *data,
	size_t size_bytes, void *arg)
{
	struct tally *tally = arg;

	if (memcmp(data, pump->mac, ETH_ADDR_LEN) != 0 ||
		memcmp(data + ETH_ADDR_LEN, pump->peer_mac, ETH_ADDR_LEN) != 0) {
		tally->n_other++;
		return 0;
	}
	/* The clock is looked at for one frame in so many: it costs as much as a frame. */
	if (tally->n_frames % PUMP_BURST == 0) {
		tally->last_ns = clock_mono_ns();
		tally->n_timed = tally->n_frames;
		if (tally->n_frames == 0) {
			tally->first_ns = tally->last_ns;
			tally->cpu_ns = pump_cpu_ns();
		}
	}
	tally->n_frames++;
	tally->n_bytes += size_bytes;
	return 0;
}

int pump_sink(struct pump *pump, struct json *result)
{
	struct tally tally = {0};
	int r = follow(pump, count, &tally);

	if (r < 0)
		return r;
	json_set_int(result, "frames", (int64_t)tally.n_frames);
	json_set_int(result, "bytes", (int64_t)tally.n_bytes);
	json_set_int(result, "timed_frames", (int64_t)tally.n_timed);
	json_set_int(result, "other", (int64_t)tally.n_other);
	json_set_int(result, "ns", (int64_t)(tally.last_ns - tally.first_ns));
	json_set_int(
		result, "cpu_ns", tally.n_frames ? (int64_t)(pump_cpu_ns() - tally.cpu_ns) : 0);
	return 0;
}

static int send_back(struct pump *pump, const struct eth_hdr *hdr, uint8_t *data, size_t size_bytes,
	void *arg _unused_)
{
	struct iovec iov = {data, size_bytes};
	int r;

	if (memcmp(data, pump->mac, ETH_ADDR_LEN) != 0)
		return 0;
	memcpy(data, pump->peer_mac, ETH_ADDR_LEN);
	memcpy(data + ETH_ADDR_LEN, pump->mac, ETH_ADDR_LEN);
	r = pump_put(pump, hdr, &iov, 1);
	pump->port.ops->flush(pump->port.port);
	return r;
}

int pump_echo(struct pump *pump, struct json *result _unused_)
{
	return follow(pump, send_back, NULL);
}

/* Until the frame numbered `number` is back. -ETIMEDOUT: it was lost. */
static int await_back(struct pump *pump, uint32_t number)
{
	static uint8_t data[ETH_FRAME_MAX_BYTES];
	uint64_t lost_ns = clock_mono_ns() + LOST_AFTER_NS;
	struct eth_hdr hdr;
	size_t size_bytes;
	int r;

	for (;;) {
		r = pump->port.ops->recv(pump->port.port, &hdr, data, sizeof(data), &size_bytes);
		if (r == 0 && size_bytes == pump->frame_bytes &&
			pump_word_of(data, size_bytes) == PUMP_DATA &&
			load_be32(data + PUMP_L4_AT + UDP_BYTES) == number)
			return 0;
		if (r == -EAGAIN)
			r = pump_wait(pump, ETH_FRAMES, lost_ns);
		if (r < 0)
			return r;
	}
}

static int compare_samples(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static int report_samples(uint32_t *samples_ns, unsigned n, unsigned n_lost, struct json *result)
{
	if (n == 0)
		return -ENODATA;
	qsort(samples_ns, n, sizeof(*samples_ns), compare_samples);
	json_set_int(result, "samples", n);
	json_set_int(result, "lost", n_lost);
	json_set_int(result, "p50_ns", samples_ns[n / 2]);
	json_set_int(result, "p99_ns", samples_ns[(uint64_t)n * 99 / 100]);
	return 0;
}

int pump_ping(struct pump *pump, struct json *result)
{
	_cleanup_free_ uint32_t *samples_ns = calloc(MAX_SAMPLES, sizeof(*samples_ns));
	uint8_t frame[PLAIN_MAX_BYTES] = {0};
	struct iovec iov = {frame, pump->frame_bytes};
	unsigned n = 0, n_lost = 0;
	uint64_t end_ns;
	int r;

	if (!samples_ns)
		return -ENOMEM;
	write_udp(pump, 0, frame);
	r = pump_agree(pump, PUMP_HELLO, MEET_WITHIN_NS);
	if (r < 0)
		return r;
	end_ns = clock_mono_ns() + pump->run_ns;
	for (uint32_t number = 0; n < MAX_SAMPLES && clock_mono_ns() < end_ns; number++) {
		uint64_t begin_ns = clock_mono_ns();

		if (pump->max_frames && number >= pump->max_frames)
			break;
		store_be32(frame + PUMP_L4_AT + UDP_BYTES, number);
		r = pump_put(pump, &plain, &iov, 1);
		pump->port.ops->flush(pump->port.port);
		if (r == 0)
			r = await_back(pump, number);
		if (r == -ETIMEDOUT)
			n_lost++;
		else if (r < 0)
			return r;
		else
			samples_ns[n++] = (uint32_t)(clock_mono_ns() - begin_ns);
	}
	r = report_samples(samples_ns, n, n_lost, result);
	return r ?: pump_agree(pump, PUMP_END, PART_WITHIN_NS);
}
