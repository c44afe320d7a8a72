/* SPDX-License-Identifier: MIT
 *
 * The mouse: its protocol, the descriptor against a small HID parser, and which reports wait, merge
 * and are refused.
 */
#include "vmbus/mouse_vsp.h"

#include "ui_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct mouse_vsp vsp;

static bool receive(void *core, const void *payload, size_t size_bytes)
{
	return mouse_vsp_receive(core, payload, size_bytes);
}

static int restore(void *core, struct reader *in, bool is_open)
{
	return mouse_vsp_restore(core, in, is_open);
}

#define SEND(message) ui_send(receive, &vsp, &(message), sizeof(message))
#define TAKE(message) ui_take(&vsp.out, &(message), sizeof(message))

static const struct synthmouse_device_info_ack ack = {{SYNTHMOUSE_DEVICE_INFO_ACK, 1}, 0};
static struct synthmouse_device_info info;

static bool ask_version(uint32_t version)
{
	const struct synthmouse_protocol_request request = {
		{SYNTHMOUSE_PROTOCOL_REQUEST, 4}, version};
	struct synthmouse_protocol_response response;

	assert_true(SEND(request));
	TAKE(response);
	assert_int_equal(response.header.type, SYNTHMOUSE_PROTOCOL_RESPONSE);
	assert_int_equal(response.version, version);
	if (response.approved)
		TAKE(info);
	return response.approved;
}

static int setup_open(_unused_ void **state)
{
	memset(&vsp, 0, sizeof(vsp));
	mouse_vsp_open(&vsp);
	return 0;
}

static int setup(void **state)
{
	setup_open(state);
	return ask_version(SYNTHMOUSE_VERSION) && SEND(ack) ? 0 : -1;
}

static void take_report(uint8_t buttons, uint16_t x, uint16_t y, int16_t wheel)
{
	struct synthmouse_input_report report;

	assert_true(mouse_vsp_produce(&vsp));
	TAKE(report);
	assert_int_equal(report.header.type, SYNTHMOUSE_INPUT_REPORT);
	assert_int_equal(report.header.size, 7);
	assert_int_equal(report.buttons, buttons);
	assert_int_equal(report.x, x);
	assert_int_equal(report.y, y);
	assert_int_equal(report.wheel, wheel);
}

static void expect_nothing(void)
{
	assert_false(mouse_vsp_produce(&vsp));
	assert_null(pipe_queue_head(&vsp.out));
}

static void a_driver_comes_up(_unused_ void **state)
{
	assert_int_equal(mouse_vsp_report(&vsp, 0, 1, 2, 0), -ENOTCONN);
	assert_false(ask_version(0x00010000));
	assert_false(SEND(ack));
	assert_true(ask_version(SYNTHMOUSE_VERSION));
	assert_int_equal(info.header.type, SYNTHMOUSE_DEVICE_INFO);
	assert_int_equal(info.attributes.size, 32);
	assert_int_equal(info.hid.length, 9);
	assert_int_equal(info.hid.report_length, 67);
	/* Not before the driver has understood what it gets. */
	assert_int_equal(mouse_vsp_report(&vsp, 0, 1, 2, 0), -ENOTCONN);
	assert_true(SEND(ack));
	assert_false(SEND(ack));
	assert_int_equal(mouse_vsp_report(&vsp, 0, 1, 2, 0), 0);
	take_report(0, 1, 2, 0);
	expect_nothing();
	/* It may start over. */
	assert_true(ask_version(SYNTHMOUSE_VERSION));
	assert_int_equal(mouse_vsp_report(&vsp, 0, 1, 2, 0), -ENOTCONN);
}

struct field {
	uint8_t first_bit, n_bits;
	uint32_t usage;
	int32_t logical_min, logical_max;
	uint8_t flags;
};

/* Short items only; usages of a field as the first one counts. */
static unsigned parse_descriptor(const uint8_t *d, size_t n, struct field *ret_fields, unsigned max)
{
	uint32_t usages[8], n_usages = 0, page = 0, size_bits = 0, count = 0, bit = 0;
	int32_t logical_min = 0, logical_max = 0;
	unsigned n_fields = 0, depth = 0;

	for (size_t at = 0; at < n;) {
		unsigned n_data = d[at] & 3, tag = d[at] & 0xfc;
		int32_t value = n_data == 1 ? (int8_t)d[at + 1]
				: n_data    ? (int16_t)load_le16(d + at + 1)
					    : 0;

		at += 1 + n_data;
		assert_true(n_data < 3 && at <= n);
		switch (tag) {
		case 0x04:
			page = (uint32_t)value << 16;
			break;
		case 0x08:
		case 0x18:
			assert_true(n_usages < ARRAY_LEN(usages));
			usages[n_usages++] = page | (uint32_t)value;
			break;
		case 0x28:
			break;
		case 0x14:
			logical_min = value;
			break;
		case 0x24:
			logical_max = value;
			break;
		case 0x74:
			size_bits = (uint32_t)value;
			break;
		case 0x94:
			count = (uint32_t)value;
			break;
		case 0x80:
			for (uint32_t i = 0; i < count; i++, bit += size_bits) {
				assert_true(n_fields < max);
				ret_fields[n_fields++] =
					(struct field){(uint8_t)bit, (uint8_t)size_bits,
						n_usages > i ? usages[i]
						: n_usages   ? usages[0] + i
							     : 0,
						logical_min, logical_max, (uint8_t)value};
			}
			n_usages = 0;
			break;
		case 0xa0:
			depth++;
			n_usages = 0;
			break;
		case 0xc0:
			depth--;
			break;
		default:
			fail();
		}
	}
	assert_int_equal(depth, 0);
	assert_int_equal(bit, 8 * 7);
	return n_fields;
}

static void the_descriptor_says_what_reports_are(_unused_ void **state)
{
	struct field fields[16];
	unsigned n;

	assert_true(ask_version(SYNTHMOUSE_VERSION));
	n = parse_descriptor(info.report_descriptor, sizeof(info.report_descriptor), fields, 16);
	assert_int_equal(n, 5 + 1 + 3);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(fields[i].usage, 0x90001 + i);
		assert_int_equal(fields[i].first_bit, i);
		assert_int_equal(fields[i].n_bits, 1);
	}
	assert_int_equal(fields[5].n_bits, 3);
	assert_int_equal(fields[6].usage, 0x10030);
	assert_int_equal(fields[6].first_bit, 8);
	assert_int_equal(fields[6].logical_max, MOUSE_MAX_POSITION);
	assert_int_equal(fields[7].usage, 0x10031);
	assert_int_equal(fields[7].first_bit, 24);
	assert_int_equal(fields[7].flags, 2);
	assert_int_equal(fields[8].usage, 0x10038);
	assert_int_equal(fields[8].first_bit, 40);
	assert_int_equal(fields[8].logical_min, -32767);
	assert_int_equal(fields[8].flags, 6);
	/* Linux takes another value there for a fault it knows, and mends it. */
	assert_int_equal(info.report_descriptor[14], 0x29);
}

static void movements_merge(_unused_ void **state)
{
	for (uint16_t i = 0; i < 1000; i++)
		assert_int_equal(mouse_vsp_report(&vsp, 0, i, i, 0), 0);
	take_report(0, 999, 999, 0);
	expect_nothing();
}

/* Clicks, drags and the wheel stay where they were made. */
static void what_is_more_than_a_movement_does_not(_unused_ void **state)
{
	assert_int_equal(mouse_vsp_report(&vsp, 0, 10, 10, 0), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 1, 11, 11, 0), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 1, 12, 12, 0), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 1, 13, 13, 0), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 0, 14, 14, 0), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 0, 15, 15, -1), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 0, 15, 15, -1), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 0, 16, 16, 0), 0);
	take_report(0, 10, 10, 0);
	take_report(1, 11, 11, 0);
	take_report(1, 13, 13, 0);
	take_report(0, 14, 14, 0);
	take_report(0, 15, 15, -1);
	take_report(0, 15, 15, -1);
	take_report(0, 16, 16, 0);
	expect_nothing();
}

static void releases_have_room(_unused_ void **state)
{
	unsigned n = 0;
	uint8_t held = 0;

	/* Wheel turns under ever more buttons, until nothing goes in. */
	for (unsigned i = 0; i < 200; i++) {
		uint8_t buttons = (uint8_t)(held | 1U << i % 5);

		if (mouse_vsp_report(&vsp, buttons, 1, 1, 1) == 0) {
			held = buttons;
			n++;
		}
		assert_true(vsp.n_reports <= MOUSE_MAX_REPORTS);
	}
	assert_int_equal(held, 0x1f);
	assert_true(vsp.n_refused > 0);
	while (held) {
		held &= (uint8_t)(held - 1);
		assert_int_equal(mouse_vsp_report(&vsp, held, 1, 1, 0), 0);
		n++;
	}
	assert_int_equal(vsp.n_reports, n);
	assert_int_equal(n, MOUSE_MAX_REPORTS);
	/* Full, and a movement is refused too. */
	assert_int_equal(mouse_vsp_report(&vsp, 0, 2, 2, 0), -EAGAIN);
	while (vsp.n_reports > 1) {
		assert_true(mouse_vsp_produce(&vsp));
		pipe_queue_clear(&vsp.out);
	}
	take_report(0, 1, 1, 0);
}

static void reports_that_cannot_be(_unused_ void **state)
{
	assert_int_equal(mouse_vsp_report(&vsp, 0x20, 0, 0, 0), -EINVAL);
	assert_int_equal(mouse_vsp_report(&vsp, 0, 32768, 0, 0), -EINVAL);
	assert_int_equal(mouse_vsp_report(&vsp, 0, 0, 65535, 0), -EINVAL);
	assert_int_equal(mouse_vsp_report(&vsp, 0, 0, 0, INT16_MIN), -EINVAL);
	assert_int_equal(mouse_vsp_report(&vsp, 0x1f, 32767, 32767, -32767), 0);
	take_report(0x1f, 32767, 32767, -32767);
	expect_nothing();
}

static void hostile_messages(_unused_ void **state)
{
	uint8_t bytes[64] = {0};

	for (uint32_t type = 0; type < 100; type++) {
		store_le32(bytes, type);
		for (size_t n = 0; n <= sizeof(bytes); n++) {
			if (n >= 12 && type == SYNTHMOUSE_PROTOCOL_REQUEST)
				continue;
			assert_false(ui_send(receive, &vsp, bytes, n));
		}
	}
	assert_int_equal(vsp.phase, MOUSE_CONNECTED);
	assert_false(ui_send_saying(receive, &vsp, bytes, 12, 17));
	assert_false(ui_send_raw(receive, &vsp, bytes, 12));
	expect_nothing();
}

static void save(struct buf *saved)
{
	buf_reset(saved);
	mouse_vsp_save(&vsp, saved);
	assert_false(saved->failed);
}

static int restore_state(const struct buf *saved, bool is_open)
{
	struct reader in = reader_make(saved->data, saved->size_bytes);
	int r;

	memset(&vsp, 0, sizeof(vsp));
	r = mouse_vsp_restore(&vsp, &in, is_open);
	if (r == 0)
		assert_true(reader_done(&in));
	return r;
}

static void goes_on_elsewhere(_unused_ void **state)
{
	struct buf saved = {0}, again = {0};

	assert_int_equal(mouse_vsp_report(&vsp, 0, 5, 6, 2), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 3, 7, 8, 0), 0);
	save(&saved);
	assert_int_equal(restore_state(&saved, true), 0);
	save(&again);
	assert_int_equal(again.size_bytes, saved.size_bytes);
	assert_memory_equal(again.data, saved.data, saved.size_bytes);
	take_report(0, 5, 6, 2);
	take_report(3, 7, 8, 0);
	/* Whoever held the buttons is not here. */
	take_report(0, 7, 8, 0);
	expect_nothing();
	assert_int_equal(restore_state(&saved, false), -EBADMSG);
	mouse_vsp_close(&vsp);
	save(&saved);
	assert_int_equal(restore_state(&saved, false), 0);
	/* In the middle of the handshake. */
	setup_open(NULL);
	assert_true(ask_version(SYNTHMOUSE_VERSION));
	save(&saved);
	assert_int_equal(restore_state(&saved, true), 0);
	assert_true(SEND(ack));
	buf_fini(&saved);
	buf_fini(&again);
}

static void spoiled_states(_unused_ void **state)
{
	static const struct mouse_vsp fresh;
	struct buf saved = {0};

	assert_int_equal(mouse_vsp_report(&vsp, 1, 5, 6, 2), 0);
	assert_int_equal(mouse_vsp_report(&vsp, 3, 7, 8, 0), 0);
	assert_true(mouse_vsp_produce(&vsp));
	save(&saved);
	ui_spoil_state(restore, sizeof(fresh), &fresh, &saved);
	buf_fini(&saved);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_driver_comes_up, setup_open),
		cmocka_unit_test_setup(the_descriptor_says_what_reports_are, setup_open),
		TEST(movements_merge),
		TEST(what_is_more_than_a_movement_does_not),
		TEST(releases_have_room),
		TEST(reports_that_cannot_be),
		TEST(hostile_messages),
		TEST(goes_on_elsewhere),
		TEST(spoiled_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
