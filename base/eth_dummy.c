/* SPDX-License-Identifier: MIT */
#include "base/eth_dummy.h"
#include "base/list.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

struct frame {
	struct list siblings;
	struct eth_hdr hdr;
	size_t size_bytes;
	uint8_t data[];
};

struct eth_dummy {
	pthread_mutex_t lock;
	uint32_t caps;
	int event_fd;

	struct list sent, injected;
	size_t n_sent, n_injected, n_flushes, n_dropped;
	size_t room;
	bool wakes_for_frames, wakes_for_room;
};

int eth_dummy_new(uint32_t caps, struct eth_dummy **ret_dummy)
{
	struct eth_dummy *dummy = calloc(1, sizeof(*dummy));

	if (!dummy)
		return -ENOMEM;
	dummy->caps = caps;
	dummy->room = ETH_DUMMY_UNLIMITED;
	dummy->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dummy->event_fd < 0) {
		free(dummy);
		return -errno;
	}
	pthread_mutex_init(&dummy->lock, NULL);
	list_init(&dummy->sent);
	list_init(&dummy->injected);
	*ret_dummy = dummy;
	return 0;
}

void eth_dummy_free(struct eth_dummy *dummy)
{
	struct frame *frame;

	if (!dummy)
		return;
	while ((frame = list_pop(&dummy->sent, struct frame, siblings)))
		free(frame);
	while ((frame = list_pop(&dummy->injected, struct frame, siblings)))
		free(frame);
	pthread_mutex_destroy(&dummy->lock);
	close(dummy->event_fd);
	free(dummy);
}

static int frame_new(const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov,
	struct frame **ret_frame)
{
	struct frame *frame;
	size_t size_bytes = 0;

	for (unsigned i = 0; i < n_iov; i++) {
		if (__builtin_add_overflow(size_bytes, iov[i].iov_len, &size_bytes))
			return -EMSGSIZE;
	}
	if (size_bytes > ETH_FRAME_MAX_BYTES)
		return -EMSGSIZE;
	if (size_bytes < ETH_HEADER_BYTES)
		return -EINVAL;
	frame = malloc(sizeof(*frame) + size_bytes);
	if (!frame)
		return -ENOMEM;
	list_init(&frame->siblings);
	frame->hdr = *hdr;
	frame->size_bytes = 0;
	for (unsigned i = 0; i < n_iov; i++) {
		if (iov[i].iov_len)
			memcpy(frame->data + frame->size_bytes, iov[i].iov_base, iov[i].iov_len);
		frame->size_bytes += iov[i].iov_len;
	}
	*ret_frame = frame;
	return 0;
}

static void wake(struct eth_dummy *dummy, bool *armed)
{
	uint64_t one = 1;

	if (!*armed)
		return;
	*armed = false;
	while (write(dummy->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int eth_dummy_inject(
	struct eth_dummy *dummy, const struct eth_hdr *hdr, const void *frame, size_t size_bytes)
{
	struct iovec iov = {.iov_base = (void *)frame, .iov_len = size_bytes};
	struct frame *copy;
	int r = frame_new(hdr, &iov, 1, &copy);

	if (r < 0)
		return r;
	pthread_mutex_lock(&dummy->lock);
	list_append(&dummy->injected, &copy->siblings);
	dummy->n_injected++;
	wake(dummy, &dummy->wakes_for_frames);
	pthread_mutex_unlock(&dummy->lock);
	return 0;
}

static void frame_hand_out(struct frame *frame, struct eth_hdr *ret_hdr, void *ret_data,
	size_t *ret_size_bytes, size_t *count)
{
	*ret_hdr = frame->hdr;
	memcpy(ret_data, frame->data, frame->size_bytes);
	*ret_size_bytes = frame->size_bytes;
	list_remove(&frame->siblings);
	free(frame);
	--*count;
}

int eth_dummy_take(struct eth_dummy *dummy, struct eth_hdr *ret_hdr, void *ret_frame,
	size_t capacity_bytes, size_t *ret_size_bytes)
{
	struct frame *frame;
	int r = 0;

	pthread_mutex_lock(&dummy->lock);
	frame = list_entry(dummy->sent.next, struct frame, siblings);
	if (list_empty(&dummy->sent))
		r = -EAGAIN;
	else if (frame->size_bytes > capacity_bytes)
		r = -EMSGSIZE;
	else
		frame_hand_out(frame, ret_hdr, ret_frame, ret_size_bytes, &dummy->n_sent);
	pthread_mutex_unlock(&dummy->lock);
	return r;
}

void eth_dummy_set_room(struct eth_dummy *dummy, size_t n_frames)
{
	pthread_mutex_lock(&dummy->lock);
	dummy->room = n_frames;
	if (n_frames)
		wake(dummy, &dummy->wakes_for_room);
	pthread_mutex_unlock(&dummy->lock);
}

static size_t count_read(struct eth_dummy *dummy, const size_t *count)
{
	size_t n;

	pthread_mutex_lock(&dummy->lock);
	n = *count;
	pthread_mutex_unlock(&dummy->lock);
	return n;
}

size_t eth_dummy_n_sent(struct eth_dummy *dummy)
{
	return count_read(dummy, &dummy->n_sent);
}

size_t eth_dummy_n_injected(struct eth_dummy *dummy)
{
	return count_read(dummy, &dummy->n_injected);
}

size_t eth_dummy_n_flushes(struct eth_dummy *dummy)
{
	return count_read(dummy, &dummy->n_flushes);
}

size_t eth_dummy_n_dropped(struct eth_dummy *dummy)
{
	return count_read(dummy, &dummy->n_dropped);
}

static uint32_t dummy_caps(void *port)
{
	const struct eth_dummy *dummy = port;

	return dummy->caps;
}

static bool hdr_is_allowed(uint32_t caps, const struct eth_hdr *hdr)
{
	switch (hdr->gso_type & ~ETH_GSO_ECN) {
	case ETH_GSO_NONE:
		return !(hdr->flags & ETH_HDR_NEEDS_CSUM) || caps & ETH_CAP_CSUM;
	case ETH_GSO_TCPV4:
		return caps & ETH_CAP_TSO4;
	case ETH_GSO_TCPV6:
		return caps & ETH_CAP_TSO6;
	default:
		return false;
	}
}

static int dummy_send(
	void *port, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct eth_dummy *dummy = port;
	struct frame *frame;
	int r;

	if (!hdr_is_allowed(dummy->caps, hdr))
		return -EINVAL;
	r = frame_new(hdr, iov, n_iov, &frame);
	if (r < 0)
		return r;
	pthread_mutex_lock(&dummy->lock);
	if (dummy->room == 0) {
		r = -EAGAIN;
	} else {
		if (dummy->room != ETH_DUMMY_UNLIMITED)
			dummy->room--;
		list_append(&dummy->sent, &frame->siblings);
		dummy->n_sent++;
	}
	pthread_mutex_unlock(&dummy->lock);
	if (r < 0)
		free(frame);
	return r;
}

static void dummy_flush(void *port)
{
	struct eth_dummy *dummy = port;

	pthread_mutex_lock(&dummy->lock);
	dummy->n_flushes++;
	pthread_mutex_unlock(&dummy->lock);
}

static int dummy_recv(void *port, struct eth_hdr *ret_hdr, void *data, size_t capacity_bytes,
	size_t *ret_size_bytes)
{
	struct eth_dummy *dummy = port;
	struct frame *frame, *next;
	int r = -EAGAIN;

	pthread_mutex_lock(&dummy->lock);
	list_for_each_safe(frame, next, &dummy->injected, siblings) {
		if (frame->size_bytes <= capacity_bytes) {
			frame_hand_out(frame, ret_hdr, data, ret_size_bytes, &dummy->n_injected);
			r = 0;
			break;
		}
		list_remove(&frame->siblings);
		free(frame);
		dummy->n_injected--;
		dummy->n_dropped++;
	}
	pthread_mutex_unlock(&dummy->lock);
	return r;
}

static uint32_t dummy_arm(void *port, uint32_t events)
{
	struct eth_dummy *dummy = port;
	uint32_t ready = 0;

	pthread_mutex_lock(&dummy->lock);
	if (dummy->n_injected)
		ready |= ETH_FRAMES;
	if (dummy->room)
		ready |= ETH_ROOM;
	ready &= events;
	dummy->wakes_for_frames = !ready && events & ETH_FRAMES;
	dummy->wakes_for_room = !ready && events & ETH_ROOM;
	pthread_mutex_unlock(&dummy->lock);
	return ready;
}

static int dummy_event_fd(void *port)
{
	const struct eth_dummy *dummy = port;

	return dummy->event_fd;
}

const struct eth_ops eth_dummy_ops = {
	.caps = dummy_caps,
	.send = dummy_send,
	.flush = dummy_flush,
	.recv = dummy_recv,
	.arm = dummy_arm,
	.event_fd = dummy_event_fd,
};
