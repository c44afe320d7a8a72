/* SPDX-License-Identifier: MIT
 *
 * fuzz_mig_stream.c - the target of a live migration under a hostile source: frames go to the state
 * machine, chunks to a decoder, in whatever order the input wants.
 */
#include "fuzz_mig.h"

#include "migrate/decode.h"
#include "migrate/recv_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum {
	STEP_ARRIVED = STEP_COMMON_END, /* pages le16 */
	STEP_RESTORED,
	STEP_NEXT_ROUND,
	N_STEPS,
};

struct wire {
	struct buf bytes;
	size_t at;
};

static int wire_read(void *data, struct iovec *iov, unsigned n_iov)
{
	struct wire *w = data;

	for (unsigned i = 0; i < n_iov; i++) {
		if (w->bytes.size_bytes - w->at < iov[i].iov_len)
			return -ECONNRESET;
		memcpy(iov[i].iov_base, w->bytes.data + w->at, iov[i].iov_len);
		w->at += iov[i].iov_len;
	}
	return 0;
}

/* What the channel's thread does with what has arrived. */
static void serve_chunks(struct decoder *d, struct wire *wire, uint32_t round)
{
	struct chunk chunk;
	const char *why = NULL;
	int r;

	do {
		r = decoder_next(d, round, &chunk, &why);
		fuzz_check(r == 0 || why);
	} while (r == 0);
	buf_reset(&wire->bytes);
	wire->at = 0;
}

/* What the job's thread does. True: the job goes on. */
static bool serve_frames(struct recv_proto *proto, struct wire *wire)
{
	enum recv_action action;
	const char *why = NULL;
	int r = 0;

	while (r == 0 && wire->bytes.size_bytes - wire->at >= sizeof(struct mig_frame_header)) {
		struct mig_frame_header header;
		struct frame frame;

		memcpy(&header, wire->bytes.data + wire->at, sizeof(header));
		r = frame_header_parse(&header, MIG_MAX_FRAME_BYTES, &frame, &why);
		wire->at += sizeof(header);
		if (r < 0 || frame.size_bytes > wire->bytes.size_bytes - wire->at)
			break;
		frame.payload = wire->bytes.data + wire->at;
		wire->at += frame.size_bytes;
		r = frame_verify(&frame, &why);
		if (r == 0)
			r = recv_proto_frame(proto, &frame, &action, &why);
	}
	fuzz_check(r == 0 || why);
	fuzz_check(proto->units.size_bytes <= MIG_MAX_STATE_BYTES && proto->state <= RECV_OVER);
	buf_reset(&wire->bytes);
	wire->at = 0;
	return r == 0;
}

static bool own_step(struct recv_proto *proto, struct reader *in, uint8_t step, uint32_t *round)
{
	enum recv_action action;
	const char *why;

	if (step == STEP_ARRIVED)
		return recv_proto_arrived(proto, reader_le16(in), &action, &why) == 0;
	if (step == STEP_RESTORED && proto->state == RECV_RESTORE)
		recv_proto_restored(proto);
	if (step == STEP_NEXT_ROUND)
		(*round)++;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	struct wire control = {0}, channel = {0};
	struct recv_proto proto;
	struct manifest ours;
	struct decoder decoder;
	struct fuzz_vm vm;
	uint32_t round = 0;
	bool go_on = true;

	fuzz_vm_init(&vm);
	ours = fuzz_manifest(&vm);
	recv_proto_init(&proto, &ours);
	fuzz_check(decoder_init(&decoder, vm.memory, wire_read, &channel) == 0);
	while (go_on && in.left_bytes && reader_ok(&in)) {
		uint8_t step = reader_u8(&in) % N_STEPS;

		if (!fuzz_step(
			    step == STEP_CHUNK ? &channel.bytes : &control.bytes, &in, &vm, step))
			go_on = own_step(&proto, &in, step, &round);
		if (channel.bytes.size_bytes)
			serve_chunks(&decoder, &channel, round);
		go_on = serve_frames(&proto, &control) && go_on;
	}
	decoder_fini(&decoder);
	recv_proto_fini(&proto);
	buf_fini(&control.bytes);
	buf_fini(&channel.bytes);
	fuzz_vm_fini(&vm);
	return 0;
}
