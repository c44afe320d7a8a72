/* SPDX-License-Identifier: MIT */
#include "ui_bus_rig.h"

#include "vmbus/proto/guids.h"
#include "vmbus/proto/pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N_DEVICES 3

static void make_devices(struct ui_bus_rig *rig)
{
	const struct synthvid_config config = {
		.vram_bytes = UI_VRAM_BYTES,
		.ops = rig->ops,
		.data = rig->data,
	};

	assert_int_equal(synthvid_new(rig->guest.bus, &config, &rig->video), 0);
	assert_int_equal(synthkbd_new(rig->guest.bus, &rig->keyboard), 0);
	assert_int_equal(synthmouse_new(rig->guest.bus, &rig->mouse), 0);
	assert_int_equal(synthvid_register_unit(rig->video, rig->guest.units), 0);
	assert_int_equal(synthkbd_register_unit(rig->keyboard, rig->guest.units), 0);
	assert_int_equal(synthmouse_register_unit(rig->mouse, rig->guest.units), 0);
}

static void free_devices(struct ui_bus_rig *rig)
{
	synthvid_free(rig->video);
	synthkbd_free(rig->keyboard);
	synthmouse_free(rig->mouse);
}

static void open_channel(struct ui_bus_rig *rig, const struct vmbus_msg_offer_channel *offers,
	const uint8_t *class_guid, struct fake_channel *ret_channel)
{
	for (unsigned i = 0; i < N_DEVICES; i++) {
		const struct fake_open how = {.gpadl_id = 0xe1e10 + i, .n_ring_pages = 4};

		if (memcmp(offers[i].class_guid, class_guid, VMBUS_GUID_BYTES) == 0) {
			assert_int_equal(
				fake_channel_open(&rig->guest, &offers[i], &how, ret_channel), 0);
			return;
		}
	}
	fail();
}

void ui_bus_rig_init(struct ui_bus_rig *rig)
{
	static const uint8_t video[] = VMBUS_GUID_VIDEO, keyboard[] = VMBUS_GUID_KEYBOARD,
			     mouse[] = VMBUS_GUID_MOUSE;
	struct vmbus_msg_offer_channel offers[N_DEVICES];

	rig->next_transaction = 1;
	fake_guest_init(&rig->guest, UI_N_PAGES);
	make_devices(rig);
	fake_guest_start(&rig->guest);
	fake_guest_connect(&rig->guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig->guest, offers, N_DEVICES), N_DEVICES);
	assert_int_equal(offers[0].mmio_mb, UI_VRAM_BYTES >> 20);
	rig->vram_page = fake_guest_alloc(&rig->guest, UI_VRAM_BYTES / VMBUS_PAGE_BYTES);
	open_channel(rig, offers, video, &rig->video_channel);
	open_channel(rig, offers, keyboard, &rig->keyboard_channel);
	open_channel(rig, offers, mouse, &rig->mouse_channel);
	rig->video_channel.no_completions = true;
}

void ui_bus_rig_fini(struct ui_bus_rig *rig)
{
	fake_guest_stop(&rig->guest);
	free_devices(rig);
	fake_guest_fini(&rig->guest);
	buf_fini(&rig->saved);
}

void ui_bus_rig_save(struct ui_bus_rig *rig)
{
	fake_guest_stop(&rig->guest);
	buf_reset(&rig->saved);
	assert_int_equal(unit_save_all(rig->guest.units, &rig->saved), 0);
}

void ui_bus_rig_leave(struct ui_bus_rig *rig)
{
	free_devices(rig);
	fake_guest_free_bus(&rig->guest);
	memset(rig->guest.flags, 0, sizeof(rig->guest.flags));
}

void ui_bus_rig_arrive(struct ui_bus_rig *rig)
{
	struct reader in;

	fake_guest_new_bus(&rig->guest);
	make_devices(rig);
	in = reader_make(rig->saved.data, rig->saved.size_bytes);
	assert_int_equal(unit_restore_all(rig->guest.units, &in, NULL), 0);
	fake_guest_start(&rig->guest);
}

void ui_bus_rig_move(struct ui_bus_rig *rig)
{
	ui_bus_rig_save(rig);
	ui_bus_rig_leave(rig);
	ui_bus_rig_arrive(rig);
}

static bool has_pipe_header(const struct ui_bus_rig *rig, const struct fake_channel *channel)
{
	return channel != &rig->keyboard_channel;
}

void ui_guest_send(
	struct ui_bus_rig *rig, struct fake_channel *channel, const void *message, size_t size)
{
	const struct pipe_header header = {PIPE_DATA, (uint32_t)size};
	uint8_t payload[4200];
	size_t at = 0;

	assert_true(sizeof(header) + size <= sizeof(payload));
	if (has_pipe_header(rig, channel)) {
		memcpy(payload, &header, sizeof(header));
		at = sizeof(header);
	}
	memcpy(payload + at, message, size);
	fake_channel_send(channel, rig->next_transaction++, payload, at + size);
}

void ui_guest_take(
	struct ui_bus_rig *rig, struct fake_channel *channel, void *ret_message, size_t size)
{
	struct vmbus_packet_descriptor descriptor;
	uint8_t packet[1024];
	size_t message_bytes, payload_bytes;
	const uint8_t *message;

	do {
		payload_bytes = (size_t)fake_channel_recv(channel, packet, sizeof(packet));
		memcpy(&descriptor, packet, sizeof(descriptor));
	} while (descriptor.type == VMBUS_PACKET_COMPLETION);
	assert_int_equal(descriptor.type, VMBUS_PACKET_INBAND);
	message = packet + descriptor.offset8 * 8U;
	payload_bytes -= descriptor.offset8 * 8U;
	message_bytes = size;
	if (has_pipe_header(rig, channel))
		message = pipe_message(message, payload_bytes, &message_bytes);
	assert_non_null(message);
	assert_int_equal(message_bytes, size);
	memcpy(ret_message, message, size);
}

void ui_guest_set_mode(struct ui_bus_rig *rig, uint32_t width, uint32_t height)
{
	const struct {
		struct synthvid_situation_update update;
		struct synthvid_output output;
	} _wire_ situation = {
		.update = {{SYNTHVID_SITUATION_UPDATE, 0}, 0, 1},
		.output = {1, 0, 32, width, height, 4 * width},
	};
	struct synthvid_ack ack;

	ui_guest_send(rig, &rig->video_channel, &situation, sizeof(situation));
	ui_guest_take(rig, &rig->video_channel, &ack, sizeof(ack));
	assert_int_equal(ack.header.type, SYNTHVID_SITUATION_UPDATE_ACK);
}

void ui_guest_load_video(struct ui_bus_rig *rig, uint32_t width, uint32_t height)
{
	const struct synthvid_version_request request = {
		{SYNTHVID_VERSION_REQUEST, 12}, SYNTHVID_VERSION_3_5};
	const struct synthvid_vram_location location = {
		.header.type = SYNTHVID_VRAM_LOCATION,
		.context = 5,
		.is_specified = 1,
		.address = guest_pfn(rig->vram_page) * VMBUS_PAGE_BYTES,
	};
	struct synthvid_version_response response;
	struct synthvid_ack ack;

	ui_guest_send(rig, &rig->video_channel, &request, sizeof(request));
	ui_guest_take(rig, &rig->video_channel, &response, sizeof(response));
	assert_int_equal(response.accepted, SYNTHVID_ACCEPTED);
	ui_guest_send(rig, &rig->video_channel, &location, sizeof(location));
	ui_guest_take(rig, &rig->video_channel, &ack, sizeof(ack));
	assert_int_equal(ack.context, 5);
	ui_guest_set_mode(rig, width, height);
}

void ui_guest_dirt(struct ui_bus_rig *rig, int32_t x1, int32_t y1, int32_t x2, int32_t y2)
{
	const struct {
		struct synthvid_dirt dirt;
		struct synthvid_dirt_rect rect;
	} _wire_ message = {
		.dirt = {{SYNTHVID_DIRT, 0}, 0, 1},
		.rect = {x1, y1, x2, y2},
	};

	ui_guest_send(rig, &rig->video_channel, &message, sizeof(message));
}

void ui_guest_expect_features(struct ui_bus_rig *rig, bool dirt)
{
	struct synthvid_feature_change change;

	ui_guest_take(rig, &rig->video_channel, &change, sizeof(change));
	assert_int_equal(change.header.type, SYNTHVID_FEATURE_CHANGE);
	assert_int_equal(change.dirt, dirt);
}

void ui_guest_load_keyboard(struct ui_bus_rig *rig)
{
	const struct synthkbd_protocol_request request = {
		SYNTHKBD_PROTOCOL_REQUEST, SYNTHKBD_VERSION};
	struct synthkbd_protocol_response response;

	ui_guest_send(rig, &rig->keyboard_channel, &request, sizeof(request));
	ui_guest_take(rig, &rig->keyboard_channel, &response, sizeof(response));
	assert_int_equal(response.type, SYNTHKBD_PROTOCOL_RESPONSE);
	assert_true(response.status & SYNTHKBD_ACCEPTED);
}

void ui_guest_load_mouse(struct ui_bus_rig *rig)
{
	const struct synthmouse_protocol_request request = {
		{SYNTHMOUSE_PROTOCOL_REQUEST, 4}, SYNTHMOUSE_VERSION};
	const struct synthmouse_device_info_ack ack = {{SYNTHMOUSE_DEVICE_INFO_ACK, 1}, 0};
	struct synthmouse_protocol_response response;
	struct synthmouse_device_info info;

	ui_guest_send(rig, &rig->mouse_channel, &request, sizeof(request));
	ui_guest_take(rig, &rig->mouse_channel, &response, sizeof(response));
	assert_true(response.approved);
	ui_guest_take(rig, &rig->mouse_channel, &info, sizeof(info));
	assert_int_equal(info.header.type, SYNTHMOUSE_DEVICE_INFO);
	ui_guest_send(rig, &rig->mouse_channel, &ack, sizeof(ack));
}

uint32_t ui_guest_take_key(struct ui_bus_rig *rig)
{
	struct synthkbd_event event;

	ui_guest_take(rig, &rig->keyboard_channel, &event, sizeof(event));
	assert_int_equal(event.type, SYNTHKBD_EVENT);
	return event.info << 16 | event.make_code;
}

struct synthmouse_input_report ui_guest_take_report(struct ui_bus_rig *rig)
{
	struct synthmouse_input_report report;

	ui_guest_take(rig, &rig->mouse_channel, &report, sizeof(report));
	assert_int_equal(report.header.type, SYNTHMOUSE_INPUT_REPORT);
	return report;
}

uint8_t *ui_guest_vram(struct ui_bus_rig *rig)
{
	return guest_page(&rig->guest.memory, rig->vram_page);
}
