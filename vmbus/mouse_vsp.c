/* SPDX-License-Identifier: MIT */
#include "vmbus/mouse_vsp.h"

#include "vmbus/proto/pipe.h"

#define VENDOR  0x045e
#define PRODUCT 0x0621

#define HID_DESCRIPTOR        0x21
#define HID_REPORT_DESCRIPTOR 0x22
#define HID_VERSION_1_1       0x0101

/* What mouse_report() fills. Guests look at single bytes of it: it stays as Hyper-V has it. */
static const uint8_t report_descriptor[SYNTHMOUSE_REPORT_DESCRIPTOR_BYTES] = {
	0x05, 0x01,       /* usage page: generic desktop */
	0x09, 0x02,       /* usage: mouse */
	0xa1, 0x01,       /* collection: application */
	0x09, 0x01,       /*   usage: pointer */
	0xa1, 0x00,       /*   collection: physical */
	0x05, 0x09,       /*     usage page: buttons */
	0x19, 0x01,       /*     1.. */
	0x29, 0x05,       /*     ..5 */
	0x15, 0x00,       /*     logical 0.. */
	0x25, 0x01,       /*     ..1 */
	0x95, 0x05,       /*     five of */
	0x75, 0x01,       /*     one bit */
	0x81, 0x02,       /*     input: data, variable, absolute */
	0x95, 0x01,       /*     one of */
	0x75, 0x03,       /*     three bits */
	0x81, 0x01,       /*     input: constant */
	0x05, 0x01,       /*     usage page: generic desktop */
	0x09, 0x30,       /*     usage: X */
	0x09, 0x31,       /*     usage: Y */
	0x15, 0x00,       /*     logical 0.. */
	0x26, 0xff, 0x7f, /*     ..32767 */
	0x75, 0x10,       /*     sixteen bits */
	0x95, 0x02,       /*     twice */
	0x81, 0x02,       /*     input: data, variable, absolute */
	0x05, 0x01,       /*     usage page: generic desktop */
	0x09, 0x38,       /*     usage: wheel */
	0x16, 0x01, 0x80, /*     logical -32767.. */
	0x26, 0xff, 0x7f, /*     ..32767 */
	0x75, 0x10,       /*     sixteen bits */
	0x95, 0x01,       /*     once */
	0x81, 0x06,       /*     input: data, variable, relative */
	0xc0, 0xc0,       /* both collections end */
};

struct message_row {
	uint32_t type;
	uint32_t min_bytes;
	unsigned phases;
	void (*handle)(struct mouse_vsp *vsp, const uint8_t *message);
};

enum {
	IN_OPEN = 1 << MOUSE_OPEN,
	IN_DESCRIBED = 1 << MOUSE_DESCRIBED,
	IN_CONNECTED = 1 << MOUSE_CONNECTED,
};

static struct synthmouse_header make_header(enum synthmouse_message_type type, size_t size_bytes)
{
	return (struct synthmouse_header){
		.type = type, .size = (uint32_t)(size_bytes - sizeof(struct synthmouse_header))};
}

static void forget_reports(struct mouse_vsp *vsp)
{
	vsp->first_report = 0;
	vsp->n_reports = 0;
	vsp->last = (struct mouse_report){0};
	vsp->release_wanted = false;
}

static void describe(struct mouse_vsp *vsp)
{
	struct synthmouse_device_info info = {
		.header = make_header(SYNTHMOUSE_DEVICE_INFO, sizeof(info)),
		.attributes =
			{
				.size = sizeof(info.attributes),
				.vendor = VENDOR,
				.product = PRODUCT,
				.version = 1,
			},
		.hid =
			{
				.length = sizeof(info.hid),
				.type = HID_DESCRIPTOR,
				.hid_version = HID_VERSION_1_1,
				.n_descriptors = 1,
				.report_type = HID_REPORT_DESCRIPTOR,
				.report_length = sizeof(report_descriptor),
			},
	};

	memcpy(info.report_descriptor, report_descriptor, sizeof(report_descriptor));
	pipe_queue_message(&vsp->out, &info, sizeof(info));
}

/* A driver that asks again starts anew. */
static void handle_protocol_request(struct mouse_vsp *vsp, const uint8_t *message)
{
	const struct synthmouse_protocol_request *request = (const void *)message;
	struct synthmouse_protocol_response response = {
		.header = make_header(SYNTHMOUSE_PROTOCOL_RESPONSE, sizeof(response)),
		.version = request->version,
		.approved = request->version == SYNTHMOUSE_VERSION,
	};

	forget_reports(vsp);
	vsp->phase = response.approved ? MOUSE_DESCRIBED : MOUSE_OPEN;
	pipe_queue_message(&vsp->out, &response, sizeof(response));
	if (response.approved)
		describe(vsp);
}

static void handle_device_info_ack(struct mouse_vsp *vsp, _unused_ const uint8_t *message)
{
	vsp->phase = MOUSE_CONNECTED;
}

static const struct message_row message_table[] = {
	{SYNTHMOUSE_PROTOCOL_REQUEST, sizeof(struct synthmouse_protocol_request),
		IN_OPEN | IN_DESCRIBED | IN_CONNECTED, handle_protocol_request},
	{SYNTHMOUSE_DEVICE_INFO_ACK, sizeof(struct synthmouse_device_info_ack), IN_DESCRIBED,
		handle_device_info_ack},
};

bool mouse_vsp_receive(struct mouse_vsp *vsp, const void *payload, size_t size_bytes)
{
	size_t message_bytes;
	const uint8_t *message = pipe_message(payload, size_bytes, &message_bytes);

	if (!message || message_bytes < sizeof(struct synthmouse_header))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(message_table); i++) {
		const struct message_row *row = &message_table[i];

		if (row->type != load_le32(message))
			continue;
		if (message_bytes < row->min_bytes || !(row->phases & 1U << vsp->phase))
			return false;
		row->handle(vsp, message);
		return true;
	}
	return false;
}

static bool has_room(const struct mouse_vsp *vsp, unsigned n_reports, uint8_t buttons)
{
	return vsp->n_reports + n_reports + (unsigned)__builtin_popcount(buttons) <=
	       MOUSE_MAX_REPORTS;
}

static struct mouse_report *newest(struct mouse_vsp *vsp)
{
	return vsp->n_reports
		       ? &vsp->reports[(vsp->first_report + vsp->n_reports - 1) % MOUSE_MAX_REPORTS]
		       : NULL;
}

static bool append(struct mouse_vsp *vsp, struct mouse_report report)
{
	struct mouse_report *before = newest(vsp);

	if (report.only_moves && before && before->only_moves) {
		*before = report;
		return true;
	}
	if (!has_room(vsp, 1, report.buttons))
		return false;
	vsp->reports[(vsp->first_report + vsp->n_reports) % MOUSE_MAX_REPORTS] = report;
	vsp->n_reports++;
	return true;
}

static void release(struct mouse_vsp *vsp)
{
	struct mouse_report report = {.x = vsp->last.x, .y = vsp->last.y};

	vsp->release_wanted = false;
	if (vsp->last.buttons && append(vsp, report)) {
		vsp->last = report;
		vsp->n_accepted++;
	}
}

int mouse_vsp_report(struct mouse_vsp *vsp, uint8_t buttons, uint16_t x, uint16_t y, int16_t wheel)
{
	struct mouse_report report = {.buttons = buttons, .x = x, .y = y, .wheel = wheel};

	if (buttons & ~MOUSE_BUTTONS_MASK || x > MOUSE_MAX_POSITION || y > MOUSE_MAX_POSITION ||
		wheel == INT16_MIN)
		return -EINVAL;
	if (vsp->phase != MOUSE_CONNECTED)
		return -ENOTCONN;
	if (vsp->release_wanted)
		release(vsp);
	report.only_moves = buttons == vsp->last.buttons && !wheel;
	if (!append(vsp, report)) {
		vsp->n_refused++;
		return -EAGAIN;
	}
	vsp->last = report;
	vsp->n_accepted++;
	return 0;
}

bool mouse_vsp_produce(struct mouse_vsp *vsp)
{
	struct synthmouse_input_report message = {
		.header = make_header(SYNTHMOUSE_INPUT_REPORT, sizeof(message)),
	};
	const struct mouse_report *report;

	if (vsp->release_wanted)
		release(vsp);
	if (vsp->phase != MOUSE_CONNECTED || !vsp->n_reports)
		return false;
	report = &vsp->reports[vsp->first_report];
	message.buttons = report->buttons;
	message.x = report->x;
	message.y = report->y;
	message.wheel = report->wheel;
	pipe_queue_message(&vsp->out, &message, sizeof(message));
	vsp->first_report = (vsp->first_report + 1) % MOUSE_MAX_REPORTS;
	vsp->n_reports--;
	return true;
}

static void forget_guest(struct mouse_vsp *vsp)
{
	pipe_queue_clear(&vsp->out);
	forget_reports(vsp);
}

void mouse_vsp_open(struct mouse_vsp *vsp)
{
	forget_guest(vsp);
	vsp->phase = MOUSE_OPEN;
}

void mouse_vsp_close(struct mouse_vsp *vsp)
{
	forget_guest(vsp);
	vsp->phase = MOUSE_CLOSED;
}

static void save_report(const struct mouse_report *report, struct buf *out)
{
	buf_u8(out, report->buttons);
	buf_le16(out, report->x);
	buf_le16(out, report->y);
	buf_le16(out, (uint16_t)report->wheel);
	buf_u8(out, report->only_moves);
}

static void restore_report(struct mouse_report *report, struct reader *in)
{
	report->buttons = reader_u8(in);
	report->x = reader_le16(in);
	report->y = reader_le16(in);
	report->wheel = (int16_t)reader_le16(in);
	report->only_moves = pipe_read_bool(in);
	in->failed |= report->buttons & ~MOUSE_BUTTONS_MASK || report->x > MOUSE_MAX_POSITION ||
		      report->y > MOUSE_MAX_POSITION || report->wheel == INT16_MIN;
}

/* In this order: counters, phase; then, unless closed, the last report, waiting ones, waiting
 * packets. */
void mouse_vsp_save(const struct mouse_vsp *vsp, struct buf *out)
{
	buf_le64(out, vsp->n_accepted);
	buf_le64(out, vsp->n_refused);
	buf_u8(out, (uint8_t)vsp->phase);
	if (vsp->phase == MOUSE_CLOSED)
		return;
	save_report(&vsp->last, out);
	buf_le32(out, vsp->n_reports);
	for (unsigned i = 0; i < vsp->n_reports; i++)
		save_report(&vsp->reports[(vsp->first_report + i) % MOUSE_MAX_REPORTS], out);
	pipe_queue_save(&vsp->out, out);
}

static void restore_open(struct mouse_vsp *vsp, struct reader *in)
{
	restore_report(&vsp->last, in);
	vsp->n_reports = pipe_read_up_to(in, MOUSE_MAX_REPORTS);
	for (unsigned i = 0; i < vsp->n_reports; i++)
		restore_report(&vsp->reports[i], in);
	pipe_queue_restore(&vsp->out, in);
	in->failed |= !has_room(vsp, 0, vsp->last.buttons) ||
		      (vsp->phase != MOUSE_CONNECTED && (vsp->n_reports || vsp->last.buttons));
}

int mouse_vsp_restore(struct mouse_vsp *vsp, struct reader *in, bool is_open)
{
	uint64_t n_accepted = reader_le64(in), n_refused = reader_le64(in);
	uint8_t phase = reader_u8(in);

	if (!reader_ok(in) || phase > MOUSE_CONNECTED || (phase != MOUSE_CLOSED) != is_open)
		return -EBADMSG;
	if (phase != MOUSE_CLOSED) {
		vsp->phase = phase;
		restore_open(vsp, in);
	}
	if (!reader_ok(in)) {
		mouse_vsp_close(vsp);
		return -EBADMSG;
	}
	vsp->n_accepted = n_accepted;
	vsp->n_refused = n_refused;
	vsp->release_wanted = vsp->last.buttons != 0;
	return 0;
}
