/* SPDX-License-Identifier: MIT
 *
 * The saved NIC, in this order: what must be the same on the other side (MAC, MTU, queues), link,
 * counters, phase; then, unless closed, NVSP with the open queues, RNDIS, receive-side scaling, the
 * two buffers with everything outstanding, the frame on its way to the guest, and each open queue
 * (net_state_queue.c).
 */
#include "vmbus/net_state.h"

#define RXCSUM_KNOWN (RNDIS_RXCSUM_TCP_OK | RNDIS_RXCSUM_UDP_OK | RNDIS_RXCSUM_IP_OK)

static uint32_t open_queues(const struct net_vsp *vsp)
{
	uint32_t open = 0;

	for (unsigned i = 0; i < vsp->config.n_queues; i++) {
		if (vsp->queues[i].channel)
			open |= 1U << i;
	}
	return open;
}

static void save_nvsp(const struct net_vsp *vsp, struct buf *out)
{
	buf_le32(out, vsp->version);
	buf_le32(out, vsp->guest_frame_bytes);
	buf_le64(out, vsp->guest_caps);
	buf_u8(out, (uint8_t)vsp->n_granted);
	buf_u8(out, vsp->offer_due);
	buf_u8(out, vsp->table_due);
	buf_u8(out, (uint8_t)open_queues(vsp));
}

/* Sub-channels are there for those who were promised them. */
static int restore_sub_channels(struct net_vsp *vsp, struct reader *in)
{
	uint32_t open;

	vsp->n_granted = reader_u8(in);
	vsp->offer_due = net_state_bool(in);
	vsp->table_due = net_state_bool(in);
	open = reader_u8(in);
	if (!reader_ok(in) || open != open_queues(vsp) || vsp->n_granted >= vsp->config.n_queues ||
		open >> (vsp->n_granted + 1) || (vsp->offer_due && open != 1) ||
		(vsp->table_due && open != (2U << vsp->n_granted) - 1))
		return -EBADMSG;
	if (vsp->n_granted ? vsp->version < NVSP_VERSION_5 : vsp->offer_due || vsp->table_due)
		return -EBADMSG;
	return 0;
}

static int restore_nvsp(struct net_vsp *vsp, struct reader *in)
{
	vsp->version = reader_le32(in);
	vsp->guest_frame_bytes = reader_le32(in);
	vsp->guest_caps = reader_le64(in);
	if ((vsp->phase == NET_OPEN) != (vsp->version == 0))
		return -EBADMSG;
	if (vsp->version && !net_vsp_has_version(vsp->version))
		return -EBADMSG;
	return restore_sub_channels(vsp, in);
}

static void save_offload(const struct net_offload *offload, struct buf *out)
{
	buf_u8(out, offload->ip4);
	buf_u8(out, offload->tcp4);
	buf_u8(out, offload->udp4);
	buf_u8(out, offload->tcp6);
	buf_u8(out, offload->udp6);
	buf_u8(out, offload->lso4);
	buf_u8(out, offload->lso6);
	buf_u8(out, offload->rsc4);
	buf_u8(out, offload->rsc6);
}

static uint8_t read_csum(struct reader *in)
{
	uint8_t v = reader_u8(in);

	in->failed |= v > NET_OFFLOAD_BOTH;
	return v;
}

static void restore_offload(struct net_offload *offload, struct reader *in)
{
	offload->ip4 = read_csum(in);
	offload->tcp4 = read_csum(in);
	offload->udp4 = read_csum(in);
	offload->tcp6 = read_csum(in);
	offload->udp6 = read_csum(in);
	offload->lso4 = net_state_bool(in);
	offload->lso6 = net_state_bool(in);
	offload->rsc4 = net_state_bool(in);
	offload->rsc6 = net_state_bool(in);
}

static void save_rss(const struct net_rss *rss, struct buf *out)
{
	buf_u8(out, rss->enabled);
	buf_le32(out, rss->hash_information);
	buf_bytes(out, rss->key, sizeof(rss->key));
	buf_le32(out, rss->n_entries);
	buf_bytes(out, rss->table, rss->n_entries);
}

static int restore_rss(struct net_rss *rss, unsigned n_queues, struct reader *in)
{
	rss->enabled = net_state_bool(in);
	rss->hash_information = reader_le32(in);
	reader_bytes(in, rss->key, sizeof(rss->key));
	rss->n_entries = net_state_up_to(in, NDIS_RSS_TABLE_MAX_ENTRIES);
	reader_bytes(in, rss->table, rss->n_entries);
	if (!reader_ok(in) || rss->n_entries & (rss->n_entries - 1) ||
		(rss->enabled && rss->n_entries == 0))
		return -EBADMSG;
	for (uint32_t i = 0; i < rss->n_entries; i++) {
		if (rss->table[i] >= n_queues)
			return -EBADMSG;
	}
	net_rss_prepare(rss);
	return 0;
}

static void save_rndis(const struct net_rndis *rndis, struct buf *out)
{
	buf_le32(out, rndis->ndis_version);
	buf_u8(out, rndis->rsc);
	buf_u8(out, rndis->ready);
	buf_u8(out, rndis->link_told);
	buf_u8(out, rndis->link_repeat);
	buf_u8(out, rndis->link_with_guest);
	buf_le32(out, rndis->packet_filter);
	buf_bytes(out, rndis->mac, sizeof(rndis->mac));
	save_offload(&rndis->offload, out);
	save_rss(&rndis->rss, out);
	buf_u8(out, rndis->has_multicast_list);
	buf_le32(out, rndis->n_multicast);
	buf_bytes(out, rndis->multicast, rndis->n_multicast * ETH_ADDR_LEN);
	buf_le32(out, rndis->n_answers);
	for (unsigned i = 0; i < rndis->n_answers; i++) {
		unsigned slot = (rndis->first_answer + i) % NET_RNDIS_MAX_ANSWERS;

		buf_u8(out, rndis->answers[slot].is_link);
		buf_le32(out, rndis->answers[slot].size_bytes);
		buf_bytes(out, rndis->answers[slot].bytes, rndis->answers[slot].size_bytes);
	}
}

static void restore_answers(struct net_rndis *rndis, struct reader *in)
{
	rndis->first_answer = 0;
	rndis->n_answers = net_state_up_to(in, NET_RNDIS_MAX_ANSWERS);
	for (unsigned i = 0; i < rndis->n_answers; i++) {
		struct net_rndis_answer *answer = &rndis->answers[i];

		answer->is_link = net_state_bool(in);
		answer->size_bytes = net_state_up_to(in, sizeof(answer->bytes));
		reader_bytes(in, answer->bytes, answer->size_bytes);
	}
}

static int restore_rndis(struct net_rndis *rndis, struct reader *in)
{
	int r;

	rndis->ndis_version = reader_le32(in);
	rndis->rsc = net_state_bool(in);
	rndis->ready = net_state_bool(in);
	rndis->link_told = net_state_bool(in);
	rndis->link_repeat = net_state_bool(in);
	rndis->link_with_guest = net_state_bool(in);
	rndis->packet_filter = reader_le32(in);
	reader_bytes(in, rndis->mac, sizeof(rndis->mac));
	restore_offload(&rndis->offload, in);
	if (((rndis->offload.rsc4 || rndis->offload.rsc6) && !rndis->rsc) ||
		!net_offload_is_granted(&rndis->offload, rndis->withheld))
		return -EBADMSG;
	r = restore_rss(&rndis->rss, rndis->n_queues, in);
	if (r)
		return r;
	rndis->has_multicast_list = net_state_bool(in);
	rndis->n_multicast = net_state_up_to(in, NET_MULTICAST_LIST_LEN);
	reader_bytes(in, rndis->multicast, rndis->n_multicast * ETH_ADDR_LEN);
	if (rndis->n_multicast && !rndis->has_multicast_list)
		return -EBADMSG;
	restore_answers(rndis, in);
	if (rndis->packet_filter && !rndis->ready)
		return -EBADMSG;
	return net_state_result(in);
}

static void save_recv_buf(const struct net_recv_buf *recv, struct buf *out)
{
	uint32_t sections[NET_PACKET_MAX_SECTIONS];

	buf_le32(out, recv->generation);
	buf_u8(out, net_recv_buf_ready(recv));
	if (!net_recv_buf_ready(recv))
		return;
	buf_le32(out, recv->gpadl_id);
	buf_le16(out, recv->id);
	buf_le32(out, recv->section_bytes);
	buf_le32(out, recv->n_sections);
	buf_le32(out, recv->n_outstanding);
	for (uint32_t i = 0; i < recv->n_sections; i++) {
		unsigned n = net_recv_buf_packet(recv, i, sections);

		if (n == 0)
			continue;
		buf_u8(out, recv->owner[i]);
		buf_le32(out, n);
		for (unsigned k = 0; k < n; k++)
			buf_le32(out, sections[k]);
	}
}

/* One packet that the guest has not completed. */
static int restore_outstanding(struct net_vsp *vsp, struct reader *in)
{
	struct net_recv_buf *recv = &vsp->recv;
	uint8_t owner = reader_u8(in);
	uint32_t sections[NET_PACKET_MAX_SECTIONS];
	uint32_t n = net_state_up_to(in, NET_PACKET_MAX_SECTIONS);

	if (n == 0 || owner >= vsp->config.n_queues || !vsp->queues[owner].channel)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		sections[i] = reader_le32(in);
		if (!reader_ok(in) || net_recv_buf_take_exact(recv, sections[i]))
			return -EBADMSG;
	}
	net_recv_buf_give(recv, owner, sections, n);
	return 0;
}

static int restore_recv_buf(struct net_vsp *vsp, struct reader *in)
{
	uint32_t generation = reader_le32(in);
	const struct vmbus_gpadl *gpadl;
	uint32_t gpadl_id, section_bytes, n_sections, n_outstanding;
	uint16_t id;
	int r;

	vsp->recv.generation = generation;
	if (!net_state_bool(in))
		return net_state_result(in);
	gpadl_id = reader_le32(in);
	id = reader_le16(in);
	section_bytes = reader_le32(in);
	n_sections = net_state_up_to(in, NET_RECV_MAX_SECTIONS);
	n_outstanding = net_state_up_to(in, n_sections);
	if (!reader_ok(in) || section_bytes < NET_RECV_SECTION_MIN_BYTES ||
		vmbus_channel_gpadl(vsp->queues[0].channel, gpadl_id, &gpadl))
		return -EBADMSG;
	r = net_recv_buf_set(&vsp->recv, gpadl, gpadl_id, id, section_bytes);
	if (r)
		return r == -ENOMEM ? r : -EBADMSG;
	vsp->recv.generation = generation;
	if (vsp->recv.n_sections != n_sections)
		return -EBADMSG;
	for (; n_outstanding; n_outstanding--) {
		r = restore_outstanding(vsp, in);
		if (r)
			return r;
	}
	return 0;
}

static void save_send_buf(const struct net_send_buf *send, struct buf *out)
{
	buf_u8(out, send->gpadl != NULL);
	if (!send->gpadl)
		return;
	buf_le32(out, send->gpadl_id);
	buf_le16(out, send->id);
	buf_le32(out, send->section_bytes);
	buf_le32(out, send->n_sections);
}

static int restore_send_buf(struct net_vsp *vsp, struct reader *in)
{
	const struct vmbus_gpadl *gpadl;
	uint32_t gpadl_id, section_bytes, n_sections;
	uint16_t id;

	if (!net_state_bool(in))
		return net_state_result(in);
	gpadl_id = reader_le32(in);
	id = reader_le16(in);
	section_bytes = reader_le32(in);
	n_sections = reader_le32(in);
	if (!reader_ok(in) || vmbus_channel_gpadl(vsp->queues[0].channel, gpadl_id, &gpadl) ||
		net_send_buf_set(&vsp->send, gpadl, gpadl_id, id, section_bytes) ||
		vsp->send.section_bytes != section_bytes || vsp->send.n_sections != n_sections)
		return -EBADMSG;
	return 0;
}

static void save_rx(const struct net_rx *rx, struct buf *out)
{
	buf_u8(out, rx->holding);
	if (rx->holding) {
		buf_u8(out, rx->tagged);
		buf_le16(out, rx->tci);
		buf_u8(out, rx->hashed);
		buf_le32(out, rx->hash);
		buf_le32(out, rx->queue);
		buf_le32(out, rx->checksum);
		buf_le16(out, rx->gso_bytes);
		buf_le32(out, rx->n_done);
		buf_le32(out, rx->frame_bytes);
		buf_bytes(out, rx->frame + rx->frame_at, rx->frame_bytes);
	}
	buf_le16(out, rx->next_packet_id);
}

static int restore_held_frame(struct net_rx *rx, struct reader *in)
{
	rx->tagged = net_state_bool(in);
	rx->tci = reader_le16(in);
	rx->hashed = net_state_bool(in);
	rx->hash = reader_le32(in);
	rx->queue = net_state_up_to(in, NET_MAX_QUEUES - 1);
	rx->checksum = reader_le32(in);
	rx->gso_bytes = reader_le16(in);
	rx->n_done = reader_le32(in);
	rx->frame_at = 0;
	rx->frame_bytes = net_state_up_to(in, sizeof(rx->frame));
	reader_bytes(in, rx->frame, rx->frame_bytes);
	if (!reader_ok(in) || rx->frame_bytes < ETH_HEADER_BYTES || rx->checksum & ~RXCSUM_KNOWN)
		return -EBADMSG;
	return net_rx_resume(rx);
}

static int restore_rx(struct net_vsp *vsp, struct reader *in)
{
	struct net_rx *rx = &vsp->rx;
	int r;

	rx->holding = net_state_bool(in);
	r = rx->holding ? restore_held_frame(rx, in) : 0;
	if (r)
		return r;
	rx->next_packet_id = reader_le16(in);
	if (rx->holding && !net_recv_buf_ready(&vsp->recv))
		return -EBADMSG;
	return net_state_result(in);
}

static void save_open(const struct net_vsp *vsp, struct buf *out)
{
	save_nvsp(vsp, out);
	save_rndis(&vsp->rndis, out);
	buf_le64(out, vsp->link_transaction_id);
	save_recv_buf(&vsp->recv, out);
	save_send_buf(&vsp->send, out);
	save_rx(&vsp->rx, out);
	for (unsigned i = 0; i < vsp->config.n_queues; i++) {
		if (vsp->queues[i].channel)
			net_state_save_queue(&vsp->queues[i], out);
	}
}

static int restore_queues(struct net_vsp *vsp, struct reader *in)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < vsp->config.n_queues; i++) {
		if (vsp->queues[i].channel)
			r = net_state_restore_queue(&vsp->queues[i], in);
	}
	if (r == 0 && net_recv_buf_ready(&vsp->recv))
		net_recv_buf_collect_free(&vsp->recv);
	return r;
}

static int restore_open(struct net_vsp *vsp, struct reader *in)
{
	int r;

	r = restore_nvsp(vsp, in);
	if (r == 0)
		r = restore_rndis(&vsp->rndis, in);
	vsp->link_transaction_id = reader_le64(in);
	if (r == 0)
		r = restore_recv_buf(vsp, in);
	if (r == 0)
		r = restore_send_buf(vsp, in);
	if (r == 0)
		r = restore_rx(vsp, in);
	if (r == 0)
		r = restore_queues(vsp, in);
	return r;
}

void net_vsp_save(struct net_vsp *vsp, struct buf *out)
{
	pthread_rwlock_wrlock(&vsp->lock);
	buf_bytes(out, vsp->config.mac, sizeof(vsp->config.mac));
	buf_le32(out, vsp->config.mtu_bytes);
	buf_u8(out, (uint8_t)vsp->config.n_queues);
	for (unsigned i = 0; i < vsp->config.n_queues; i++)
		net_state_save_stats(&vsp->queues[i].stats, out);
	buf_u8(out, vsp->rndis.link_up);
	buf_u8(out, (uint8_t)vsp->phase);
	if (vsp->phase != NET_CLOSED)
		save_open(vsp, out);
	pthread_rwlock_unlock(&vsp->lock);
}

/* Is it this NIC? */
static bool read_identity(const struct net_vsp *vsp, struct reader *in)
{
	uint8_t mac[ETH_ADDR_LEN];
	uint32_t mtu_bytes;
	uint8_t n_queues;

	reader_bytes(in, mac, sizeof(mac));
	mtu_bytes = reader_le32(in);
	n_queues = reader_u8(in);
	return reader_ok(in) && memcmp(mac, vsp->config.mac, sizeof(mac)) == 0 &&
	       mtu_bytes == vsp->config.mtu_bytes && n_queues == vsp->config.n_queues;
}

/* The channels that the bus restored. */
static int open_channels(struct net_vsp *vsp, struct vmbus_channel *const *channels)
{
	int r = net_queue_open(&vsp->queues[0], channels[0]);

	for (unsigned i = 1; i < vsp->config.n_queues; i++) {
		vsp->queues[i].channel = channels[i];
		vsp->queues[i].rx.channel = channels[i];
	}
	return r;
}

int net_vsp_restore(struct net_vsp *vsp, struct reader *in, struct vmbus_channel *const *channels)
{
	struct net_stats stats[NET_MAX_QUEUES];
	uint8_t phase;
	bool link_up;
	int r = 0;

	if (!read_identity(vsp, in))
		return -EBADMSG;
	for (unsigned i = 0; i < vsp->config.n_queues; i++)
		net_state_restore_stats(&stats[i], in);
	link_up = net_state_bool(in);
	phase = reader_u8(in);
	if (!reader_ok(in) || phase > NET_NEGOTIATED || (phase == NET_CLOSED) != !channels[0])
		return -EBADMSG;

	vsp->rndis.link_up = link_up;
	if (phase != NET_CLOSED) {
		(void)open_channels(vsp, channels);
		vsp->phase = phase;
		r = restore_open(vsp, in);
	}
	if (r)
		net_queue_close(&vsp->queues[0]);
	for (unsigned i = 0; r == 0 && i < vsp->config.n_queues; i++)
		vsp->queues[i].stats = stats[i];
	return r;
}
