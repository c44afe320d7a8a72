/* SPDX-License-Identifier: MIT */
#include "node/vm/display.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "node/vm/display_vnc.h"
#include "node/vm/png_write.h"

#include <stdio.h>
#include <sys/eventfd.h>

#define BLANK_WIDTH  640
#define BLANK_HEIGHT 480
#define CHUNK_ROWS   32
/* In which changes of a row are told apart. */
#define BLOCK_PIXELS 16U

#define FRAME_NS      (NS_PER_SEC / 40) /* pictures are not taken more often */
#define LOOK_NS       NS_PER_SEC        /* the guest tells of changes: look all the same */
#define LOOK_ALONE_NS (NS_PER_SEC / 10) /* it does not (yet) */
#define GUARD_S       1

#define SCREENSHOT_TRIES 8

struct display {
	struct synthvid *video;
	struct synthkbd *keyboard;
	struct synthmouse *mouse;
	struct vnc_server *vnc;
	int wake_fd;
	struct thread thread, guard;

	pthread_mutex_t lock;
	pthread_cond_t guard_wakes;
	/* Under lock. */
	bool stopping;
	int new_fds[DISPLAY_MAX_CLIENTS];
	unsigned n_new_fds;
	unsigned n_clients; /* with the new ones */
	bool mode_changed;
	bool is_dirty;
	bool is_told; /* the guest tells of changes in this mode */
	bool dirty[SYNTHVID_MAX_HEIGHT];
	bool password_changed;
	char password[VNC_PASSWORD_MAX_LEN + 1];

	/* The thread's. */
	struct vnc_picture picture;
	bool is_active; /* the guest has a picture of this size */
	bool is_watched;
	bool rows[SYNTHVID_MAX_HEIGHT]; /* to be taken */
	bool has_rows;
	uint64_t next_frame_ns, next_look_ns;
	uint8_t buttons;
	uint8_t chunk[CHUNK_ROWS * SYNTHVID_MAX_WIDTH * 4];
};

static void wake(struct display *display)
{
	const uint64_t one = 1;

	/* Fails only when the counter is full, and then it is readable all the same. */
	(void)!write(display->wake_fd, &one, sizeof(one));
}

/* ---- the video's word ---- */

static void on_mode_changed(void *data, _unused_ const struct synthvid_mode *mode)
{
	struct display *display = data;

	pthread_mutex_lock(&display->lock);
	display->mode_changed = true;
	if (display->n_clients)
		wake(display);
	pthread_mutex_unlock(&display->lock);
}

/* Before anybody watches there is nothing to keep: who comes first has all of the picture taken. */
static void on_damaged(void *data, const struct synthvid_rect *rects, unsigned n_rects)
{
	struct display *display = data;

	pthread_mutex_lock(&display->lock);
	display->is_told = true;
	if (display->n_clients) {
		for (unsigned i = 0; i < n_rects; i++)
			memset(display->dirty + rects[i].y1, true, rects[i].y2 - rects[i].y1);
		if (!display->is_dirty)
			wake(display);
		display->is_dirty = true;
	}
	pthread_mutex_unlock(&display->lock);
}

static const struct synthvid_ops video_ops = {
	.mode_changed = on_mode_changed,
	.damaged = on_damaged,
};

/* ---- the viewers' ---- */

static void on_key(void *data, uint32_t keysym, bool down)
{
	struct display *display = data;

	/* Keys that there are not, and a guest that does not listen, are nobody's fault. */
	(void)synthkbd_keysym(display->keyboard, keysym, down);
}

static uint16_t position(uint32_t at, uint32_t n_pixels)
{
	uint32_t last = n_pixels - 1;

	return (uint16_t)((uint64_t)MIN(at, last) * SYNTHMOUSE_MAX_POSITION / last);
}

enum {
	VNC_LEFT = 1 << 0,
	VNC_MIDDLE = 1 << 1,
	VNC_RIGHT = 1 << 2,
	VNC_WHEEL_UP = 1 << 3,
	VNC_WHEEL_DOWN = 1 << 4,
};

/* The wheel is two buttons there, pressed once a notch. */
static void on_pointer(void *data, uint8_t vnc_buttons, uint32_t x, uint32_t y)
{
	struct display *display = data;
	uint8_t pressed = vnc_buttons & (uint8_t)~display->buttons;
	uint8_t buttons = (vnc_buttons & VNC_LEFT ? 1 : 0) | (vnc_buttons & VNC_RIGHT ? 2 : 0) |
			  (vnc_buttons & VNC_MIDDLE ? 4 : 0);
	int16_t wheel = (pressed & VNC_WHEEL_UP ? 1 : 0) - (pressed & VNC_WHEEL_DOWN ? 1 : 0);

	display->buttons = vnc_buttons;
	(void)synthmouse_report(display->mouse, buttons, position(x, display->picture.width),
		position(y, display->picture.height), wheel);
}

static void on_let_go(void *data)
{
	struct display *display = data;

	display->buttons = 0;
	synthkbd_release_all(display->keyboard);
	synthmouse_release_all(display->mouse);
}

static const struct vnc_ops vnc_ops = {
	.key = on_key,
	.pointer = on_pointer,
	.let_go = on_let_go,
};

/* ---- the picture ---- */

static void take_all_rows(struct display *display)
{
	memset(display->rows, true, display->picture.height);
	display->has_rows = true;
}

/* Another size: other pixels, all black. */
static int resize(struct display *display, uint32_t width, uint32_t height)
{
	struct vnc_picture picture = {.width = width, .height = height};

	picture.pixels = calloc((size_t)width * height, 4);
	if (!picture.pixels)
		return -ENOMEM;
	vnc_server_set_picture(display->vnc, &picture);
	free(display->picture.pixels);
	display->picture = picture;
	return 0;
}

static void follow_mode(struct display *display)
{
	struct vnc_picture *picture = &display->picture;
	struct synthvid_mode mode;
	int r = 0;

	synthvid_get_mode(display->video, &mode);
	if (mode.active && (mode.width != picture->width || mode.height != picture->height))
		r = resize(display, mode.width, mode.height);
	display->is_active = mode.active && r == 0;
	if (display->is_active) {
		take_all_rows(display);
	} else {
		memset(picture->pixels, 0, (size_t)picture->width * picture->height * 4);
		vnc_server_changed(display->vnc, 0, 0, picture->width, picture->height);
	}
}

struct change {
	uint32_t x1, y1, x2, y2;
};

/* Copies what is different. */
static void copy_row(
	uint8_t *old, const uint8_t *new, uint32_t y, uint32_t width, struct change *change)
{
	for (uint32_t x = 0; x < width; x += BLOCK_PIXELS) {
		uint32_t n = MIN(BLOCK_PIXELS, width - x);

		if (memcmp(old + 4UL * x, new + 4UL * x, 4UL * n) == 0)
			continue;
		memcpy(old + 4UL * x, new + 4UL * x, 4UL * n);
		change->x1 = MIN(change->x1, x);
		change->x2 = MAX(change->x2, x + n);
		change->y1 = MIN(change->y1, y);
		change->y2 = y + 1;
	}
}

/* False: the picture is another by now. */
static bool refresh_rows(struct display *display, uint32_t y, uint32_t n_rows)
{
	const struct vnc_picture *picture = &display->picture;
	size_t row_bytes = 4UL * picture->width;
	struct change change = {UINT32_MAX, UINT32_MAX, 0, 0};
	int r;

	r = synthvid_capture(display->video, y, n_rows, display->chunk, n_rows * row_bytes);
	if (r == -EFAULT)
		memset(display->chunk, 0, n_rows * row_bytes);
	else if (r < 0)
		return false;
	for (uint32_t i = 0; i < n_rows; i++)
		copy_row(picture->pixels + (y + i) * row_bytes, display->chunk + i * row_bytes,
			y + i, picture->width, &change);
	if (change.y2)
		vnc_server_changed(display->vnc, change.x1, change.y1, change.x2, change.y2);
	return true;
}

static void refresh(struct display *display)
{
	uint32_t height = display->picture.height;
	bool same = true;

	for (uint32_t y = 0; y < height && same;) {
		uint32_t n = 0;

		while (n < CHUNK_ROWS && y + n < height && display->rows[y + n])
			n++;
		if (n)
			same = refresh_rows(display, y, n);
		y += MAX(n, 1U);
	}
	memset(display->rows, false, sizeof(display->rows));
	display->has_rows = false;
}

/* What is due of it, at this moment. */
static void look(struct display *display, bool is_told)
{
	uint64_t now_ns = clock_mono_ns();

	if (!display->is_watched || !display->is_active)
		return;
	if (now_ns >= display->next_look_ns) {
		display->next_look_ns = now_ns + (is_told ? LOOK_NS : LOOK_ALONE_NS);
		take_all_rows(display);
	}
	if (!display->has_rows || now_ns < display->next_frame_ns)
		return;
	display->next_frame_ns = now_ns + FRAME_NS;
	refresh(display);
}

/* ---- the thread ---- */

struct news {
	int fds[DISPLAY_MAX_CLIENTS];
	unsigned n_fds;
	bool mode_changed;
	bool is_told;
};

/* False: stop. */
static bool take_news(struct display *display, struct news *news)
{
	bool go_on;

	*news = (struct news){0};
	pthread_mutex_lock(&display->lock);
	go_on = !display->stopping;
	news->n_fds = display->n_new_fds;
	memcpy(news->fds, display->new_fds, sizeof(news->fds));
	display->n_new_fds = 0;
	news->mode_changed = display->mode_changed;
	if (display->mode_changed)
		display->is_told = false;
	display->mode_changed = false;
	news->is_told = display->is_told;
	if (display->is_dirty) {
		for (size_t y = 0; y < ARRAY_LEN(display->rows); y++)
			display->rows[y] |= display->dirty[y];
		memset(display->dirty, false, sizeof(display->dirty));
		display->has_rows = true;
		display->is_dirty = false;
	}
	if (display->password_changed)
		vnc_server_set_password(display->vnc, display->password);
	display->password_changed = false;
	pthread_mutex_unlock(&display->lock);
	return go_on;
}

static void add_clients(struct display *display, const struct news *news)
{
	for (unsigned i = 0; i < news->n_fds; i++) {
		int r = vnc_server_add(display->vnc, news->fds[i]);

		if (r < 0)
			log_debug("a viewer could not be served: %s", strerror(-r));
	}
}

/* After viewers came or went. */
static void count_clients(struct display *display)
{
	unsigned n = vnc_server_n_clients(display->vnc);

	pthread_mutex_lock(&display->lock);
	display->n_clients = n + display->n_new_fds;
	pthread_mutex_unlock(&display->lock);
	if ((n != 0) == display->is_watched)
		return;
	display->is_watched = n != 0;
	(void)synthvid_set_watched(display->video, display->is_watched);
	if (display->is_watched)
		follow_mode(display);
}

static int timeout_ms(const struct display *display)
{
	uint64_t until_ns = vnc_server_deadline_ns(display->vnc), now_ns = clock_mono_ns();

	if (display->is_watched && display->is_active) {
		until_ns = MIN(until_ns, display->next_look_ns);
		if (display->has_rows)
			until_ns = MIN(until_ns, display->next_frame_ns);
	}
	if (until_ns == UINT64_MAX)
		return -1;
	return until_ns <= now_ns ? 0 : (int)((until_ns - now_ns) / 1000000) + 1;
}

static void body(void *data)
{
	struct display *display = data;
	struct pollfd fds[DISPLAY_MAX_CLIENTS + 1];
	struct news news;
	uint64_t count;

	while (take_news(display, &news)) {
		unsigned n;

		add_clients(display, &news);
		if (news.n_fds)
			count_clients(display);
		if (news.mode_changed && display->is_watched)
			follow_mode(display);
		look(display, news.is_told);
		n = vnc_server_poll_fds(display->vnc, fds);
		/* What the picture brought goes out first. */
		for (unsigned i = 0; i < n; i++)
			fds[i].revents = 0;
		vnc_server_serve(display->vnc, fds, n);
		n = vnc_server_poll_fds(display->vnc, fds);
		fds[n] = (struct pollfd){.fd = display->wake_fd, .events = POLLIN};
		if (poll(fds, n + 1, timeout_ms(display)) <= 0)
			continue;
		if (fds[n].revents)
			(void)!read(display->wake_fd, &count, sizeof(count));
		vnc_server_serve(display->vnc, fds, n);
		count_clients(display);
	}
	for (unsigned i = 0; i < news.n_fds; i++)
		close(news.fds[i]);
	if (display->is_watched)
		(void)synthvid_set_watched(display->video, false);
}

static void guard_body(void *data)
{
	struct display *display = data;

	pthread_mutex_lock(&display->lock);
	while (!display->stopping) {
		struct timespec until;

		if (!display->n_clients) {
			pthread_cond_wait(&display->guard_wakes, &display->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += GUARD_S;
		pthread_cond_timedwait(&display->guard_wakes, &display->lock, &until);
		vnc_server_guard(display->vnc);
	}
	pthread_mutex_unlock(&display->lock);
}

/* ---- the owner's ---- */

static void init_locks(struct display *display)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&display->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&display->guard_wakes, &attr);
	pthread_condattr_destroy(&attr);
}

static int start(struct display *display, const char *title)
{
	int r;

	display->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (display->wake_fd < 0)
		return -errno;
	display->picture = (struct vnc_picture){
		.pixels = calloc(BLANK_WIDTH * BLANK_HEIGHT, 4),
		.width = BLANK_WIDTH,
		.height = BLANK_HEIGHT,
	};
	if (!display->picture.pixels)
		return -ENOMEM;
	r = vnc_server_new(
		title, &display->picture, DISPLAY_MAX_CLIENTS, &vnc_ops, display, &display->vnc);
	if (r == 0)
		r = thread_start(&display->thread, "display", body, display);
	if (r == 0)
		r = thread_start(&display->guard, "display-guard", guard_body, display);
	return r;
}

int display_new(struct synthvid *video, struct synthkbd *keyboard, struct synthmouse *mouse,
	const char *title, struct display **ret_display)
{
	struct display *display = calloc(1, sizeof(*display));
	int r;

	if (!display)
		return -ENOMEM;
	display->video = video;
	display->keyboard = keyboard;
	display->mouse = mouse;
	display->wake_fd = -1;
	init_locks(display);
	r = start(display, title);
	if (r < 0) {
		display_free(display);
		return r;
	}
	synthvid_set_ops(video, &video_ops, display);
	*ret_display = display;
	return 0;
}

void display_free(struct display *display)
{
	if (!display)
		return;
	synthvid_set_ops(display->video, NULL, NULL);
	pthread_mutex_lock(&display->lock);
	display->stopping = true;
	pthread_cond_signal(&display->guard_wakes);
	pthread_mutex_unlock(&display->lock);
	if (display->vnc)
		vnc_server_hang_up(display->vnc);
	wake(display);
	thread_join(&display->thread);
	thread_join(&display->guard);
	vnc_server_free(display->vnc);
	free(display->picture.pixels);
	close_fd(display->wake_fd);
	pthread_cond_destroy(&display->guard_wakes);
	pthread_mutex_destroy(&display->lock);
	free(display);
}

int display_add_client(struct display *display, int fd)
{
	int r = -EBUSY;

	pthread_mutex_lock(&display->lock);
	if (display->n_clients < DISPLAY_MAX_CLIENTS) {
		display->new_fds[display->n_new_fds++] = take_fd(&fd);
		display->n_clients++;
		pthread_cond_signal(&display->guard_wakes);
		wake(display);
		r = 0;
	}
	pthread_mutex_unlock(&display->lock);
	close_fd(fd);
	return r;
}

void display_set_password(struct display *display, const char *password)
{
	pthread_mutex_lock(&display->lock);
	snprintf(display->password, sizeof(display->password), "%s", password);
	display->password_changed = true;
	wake(display);
	pthread_mutex_unlock(&display->lock);
}

int display_screenshot(struct display *display, struct buf *ret_png)
{
	int r = -ERANGE;

	/* The guest may change the mode between the two steps. */
	for (unsigned i = 0; i < SCREENSHOT_TRIES && r == -ERANGE; i++) {
		_cleanup_free_ uint8_t *pixels = NULL;
		struct synthvid_mode mode;
		size_t size_bytes;

		synthvid_get_mode(display->video, &mode);
		if (!mode.active)
			return -ENODATA;
		size_bytes = 4UL * mode.width * mode.height;
		pixels = malloc(size_bytes);
		if (!pixels)
			return -ENOMEM;
		r = synthvid_capture(display->video, 0, mode.height, pixels, size_bytes);
		if (r == 0)
			r = png_write(pixels, mode.width, mode.height, ret_png);
	}
	return r;
}
