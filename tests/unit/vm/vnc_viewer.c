/* SPDX-License-Identifier: MIT */
#include "vnc_viewer.h"

#include "base/bytes.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <cmocka.h>

#define PATIENCE_MS 20000
#define MAX_UPDATES 10000

#define ENCODING_RAW     0
#define ENCODING_NEWSIZE (-223)
#define SECURITY_NONE    1

int vnc_viewer_init(struct vnc_viewer *viewer)
{
	int pair[2];

	*viewer = (struct vnc_viewer){.fd = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	viewer->fd = pair[0];
	return pair[1];
}

void vnc_viewer_fini(struct vnc_viewer *viewer)
{
	viewer->fd = close_fd(viewer->fd);
	free(take_ptr(viewer->pixels));
}

/* 0: the server hung up. */
static size_t read_some(struct vnc_viewer *viewer, void *data, size_t size_bytes)
{
	struct pollfd pollfd = {.fd = viewer->fd, .events = POLLIN};
	ssize_t n;

	assert_int_equal(poll(&pollfd, 1, PATIENCE_MS), 1);
	n = recv(viewer->fd, data, size_bytes, 0);
	if (n < 0)
		assert_int_equal(errno, ECONNRESET);
	return n < 0 ? 0 : (size_t)n;
}

static void read_all(struct vnc_viewer *viewer, void *data, size_t size_bytes)
{
	uint8_t *at = data;

	while (size_bytes) {
		size_t n = read_some(viewer, at, size_bytes);

		assert_true(n > 0);
		at += n;
		size_bytes -= n;
	}
}

void vnc_viewer_send(struct vnc_viewer *viewer, const void *message, size_t size_bytes)
{
	assert_int_equal(send(viewer->fd, message, size_bytes, MSG_NOSIGNAL), size_bytes);
}

bool vnc_viewer_offers(struct vnc_viewer *viewer, uint8_t security_type)
{
	char greeting[12];
	uint8_t types[256];

	read_all(viewer, greeting, sizeof(greeting));
	assert_memory_equal(greeting, "RFB 003.008\n", sizeof(greeting));
	vnc_viewer_send(viewer, greeting, sizeof(greeting));
	read_all(viewer, types, 1);
	read_all(viewer, types + 1, types[0]);
	return memchr(types + 1, security_type, types[0]);
}

static void make_pixels(struct vnc_viewer *viewer, uint32_t width, uint32_t height)
{
	viewer->width = width;
	viewer->height = height;
	free(viewer->pixels);
	viewer->pixels = calloc((size_t)width * height, 4);
	assert_non_null(viewer->pixels);
}

static void send_encodings(struct vnc_viewer *viewer)
{
	uint8_t message[12] = {2, 0, 0, 2};

	store_be32(message + 4, ENCODING_RAW);
	store_be32(message + 8, (uint32_t)ENCODING_NEWSIZE);
	vnc_viewer_send(viewer, message, sizeof(message));
}

static void send_pixel_format(struct vnc_viewer *viewer)
{
	/* 32 bits, depth 24, little-endian, true colour, 255 each, red 16, green 8, blue 0 */
	static const uint8_t message[20] = {
		0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0};

	vnc_viewer_send(viewer, message, sizeof(message));
}

void vnc_viewer_begin(struct vnc_viewer *viewer)
{
	static const uint8_t shared = 1;
	uint8_t result[4], init[24];
	uint32_t title_bytes;

	read_all(viewer, result, sizeof(result));
	assert_int_equal(load_be32(result), 0);
	vnc_viewer_send(viewer, &shared, 1);
	read_all(viewer, init, sizeof(init));
	make_pixels(viewer, load_be16(init), load_be16(init + 2));
	title_bytes = load_be32(init + 20);
	assert_true(title_bytes < sizeof(viewer->title));
	read_all(viewer, viewer->title, title_bytes);
	viewer->title[title_bytes] = '\0';
}

void vnc_viewer_set_up(struct vnc_viewer *viewer)
{
	send_pixel_format(viewer);
	send_encodings(viewer);
}

void vnc_viewer_connect(struct vnc_viewer *viewer)
{
	static const uint8_t none = SECURITY_NONE;

	assert_true(vnc_viewer_offers(viewer, SECURITY_NONE));
	vnc_viewer_send(viewer, &none, 1);
	vnc_viewer_begin(viewer);
	vnc_viewer_set_up(viewer);
}

void vnc_viewer_request(struct vnc_viewer *viewer, bool incremental)
{
	uint8_t message[10] = {3, incremental};

	store_be16(message + 6, (uint16_t)viewer->width);
	store_be16(message + 8, (uint16_t)viewer->height);
	vnc_viewer_send(viewer, message, sizeof(message));
}

static void take_rect(struct vnc_viewer *viewer)
{
	uint8_t header[12];
	uint32_t x, y, w, h;

	read_all(viewer, header, sizeof(header));
	x = load_be16(header);
	y = load_be16(header + 2);
	w = load_be16(header + 4);
	h = load_be16(header + 6);
	if ((int32_t)load_be32(header + 8) == ENCODING_NEWSIZE) {
		make_pixels(viewer, w, h);
		viewer->n_resizes++;
		return;
	}
	assert_int_equal(load_be32(header + 8), ENCODING_RAW);
	assert_true(x + w <= viewer->width && y + h <= viewer->height);
	for (uint32_t i = 0; i < h; i++)
		read_all(viewer, viewer->pixels + (size_t)(y + i) * viewer->width + x, 4UL * w);
	viewer->n_rects++;
	viewer->n_pixels += (uint64_t)w * h;
}

void vnc_viewer_update(struct vnc_viewer *viewer)
{
	uint8_t header[4];

	read_all(viewer, header, sizeof(header));
	assert_int_equal(header[0], 0);
	for (unsigned n = load_be16(header + 2); n; n--)
		take_rect(viewer);
}

void vnc_viewer_await_pixel(struct vnc_viewer *viewer, uint32_t x, uint32_t y, uint32_t colour)
{
	for (unsigned i = 0; i < MAX_UPDATES; i++) {
		if (x < viewer->width && y < viewer->height &&
			(viewer->pixels[(size_t)y * viewer->width + x] & 0xffffff) == colour)
			return;
		vnc_viewer_request(viewer, true);
		vnc_viewer_update(viewer);
	}
	fail();
}

void vnc_viewer_await_size(struct vnc_viewer *viewer, uint32_t width, uint32_t height)
{
	for (unsigned i = 0; i < MAX_UPDATES; i++) {
		if (viewer->width == width && viewer->height == height)
			return;
		vnc_viewer_request(viewer, true);
		vnc_viewer_update(viewer);
	}
	fail();
}

void vnc_viewer_key(struct vnc_viewer *viewer, uint32_t keysym, bool down)
{
	uint8_t message[8] = {4, down};

	store_be32(message + 4, keysym);
	vnc_viewer_send(viewer, message, sizeof(message));
}

void vnc_viewer_pointer(struct vnc_viewer *viewer, uint8_t buttons, uint16_t x, uint16_t y)
{
	uint8_t message[6] = {5, buttons};

	store_be16(message + 2, x);
	store_be16(message + 4, y);
	vnc_viewer_send(viewer, message, sizeof(message));
}

void vnc_viewer_await_end(struct vnc_viewer *viewer)
{
	uint8_t nothing[4096];

	while (read_some(viewer, nothing, sizeof(nothing)) > 0)
		;
}
