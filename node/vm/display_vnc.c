/* SPDX-License-Identifier: MIT */
#include "node/vm/display_vnc.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#define MAX_CLIENTS          32
#define MAX_TITLE_BYTES      128
#define MAX_HELD_KEYS        32
#define MAX_VIEWER_ENCODINGS 512
#define MAX_CLIPBOARD        (1U << 20)
#define BITS_PER_SAMPLE      8
#define BYTES_PER_PIXEL      4
#define DEPTH                24
#define GREETING_BYTES       12

/* The part of the picture that goes out in one turn, before it is encoded. A local socket that
 * takes anything takes that much without waiting; for the others it is a matter of measure. */
#define LOCAL_SLICE_BYTES (96U << 10)
#define SLICE_BYTES       (256U << 10)

#define HANDSHAKE_NS    (30 * NS_PER_SEC)
#define STALL_NS        (10 * NS_PER_SEC)  /* nothing is taken between turns */
#define PARTIAL_NS      (5 * NS_PER_SEC)   /* half a message is there */
#define PARTIAL_TRY_NS  (NS_PER_SEC / 100) /* and is looked at this often */
#define TURN_NS         (2 * NS_PER_SEC)   /* while others wait */
#define TURN_ALONE_NS   (10 * NS_PER_SEC)
#define LIBRARY_WAIT_MS 5000 /* nothing is taken within a turn */

struct viewer {
	struct vnc_server *server;
	rfbClientPtr client; /* NULL: there is none */
	int guard_fd; /* of its own, for others than the serving thread; under server->lock */
	uint32_t slice_bytes;
	uint64_t connected_ns;
	uint64_t stalled_ns;     /* since when nothing is taken; 0: it is */
	uint64_t partial_ns;     /* since when half a message is there; 0: none is */
	uint64_t partial_try_ns; /* when to look again */
	uint32_t skip_bytes;     /* of the clipboard, to be read over */
	bool missed_size;        /* the size changed before the viewer said that it minds */
	uint32_t held[MAX_HELD_KEYS];
	unsigned n_held;
	bool holds_more; /* than are kept count of */
	uint8_t buttons;
};

struct vnc_server {
	rfbScreenInfoPtr screen;
	const struct vnc_ops *ops;
	void *data;
	unsigned max_clients;
	char title[MAX_TITLE_BYTES];
	char password[VNC_PASSWORD_MAX_LEN + 1];
	char *passwords[2]; /* as the library wants it */
	struct viewer viewers[MAX_CLIENTS];
	struct viewer *polled[MAX_CLIENTS];

	pthread_mutex_t lock;
	/* Under lock. */
	const struct viewer *turn; /* being served; or NULL */
	uint64_t turn_ns;          /* since then */
	bool hanging_up;
};

static void on_log(const char *format, ...) _printf_(1, 2);

static void on_log(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("vnc: %s", text);
}

static unsigned count_clients(const struct vnc_server *server)
{
	unsigned n = 0;

	for (unsigned i = 0; i < server->max_clients; i++)
		n += server->viewers[i].guard_fd >= 0;
	return n;
}

/* ---- turns ---- */

static void begin_turn(struct viewer *viewer)
{
	struct vnc_server *server = viewer->server;

	pthread_mutex_lock(&server->lock);
	server->turn = viewer;
	server->turn_ns = clock_mono_ns();
	pthread_mutex_unlock(&server->lock);
}

static void end_turn(struct viewer *viewer)
{
	struct vnc_server *server = viewer->server;

	pthread_mutex_lock(&server->lock);
	server->turn = NULL;
	pthread_mutex_unlock(&server->lock);
}

void vnc_server_guard(struct vnc_server *server)
{
	pthread_mutex_lock(&server->lock);
	if (server->turn && clock_mono_ns() - server->turn_ns >
				    (count_clients(server) > 1 ? TURN_NS : TURN_ALONE_NS))
		shutdown(server->turn->guard_fd, SHUT_RDWR);
	pthread_mutex_unlock(&server->lock);
}

void vnc_server_hang_up(struct vnc_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->hanging_up = true;
	for (unsigned i = 0; i < server->max_clients; i++) {
		if (server->viewers[i].guard_fd >= 0)
			shutdown(server->viewers[i].guard_fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&server->lock);
}

/* ---- what viewers do ---- */

static struct viewer *viewer_of(rfbClientPtr client)
{
	return client->clientData;
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
	struct viewer *viewer = viewer_of(client);
	unsigned i = 0;

	while (i < viewer->n_held && viewer->held[i] != keysym)
		i++;
	if (down && i == viewer->n_held) {
		if (i < MAX_HELD_KEYS)
			viewer->held[viewer->n_held++] = keysym;
		else
			viewer->holds_more = true;
	} else if (!down && i < viewer->n_held) {
		viewer->held[i] = viewer->held[--viewer->n_held];
	}
	viewer->server->ops->key(viewer->server->data, keysym, down);
}

static void on_pointer(int buttons, int x, int y, rfbClientPtr client)
{
	struct viewer *viewer = viewer_of(client);

	viewer->buttons = (uint8_t)buttons;
	viewer->server->ops->pointer(
		viewer->server->data, (uint8_t)buttons, (uint32_t)MAX(x, 0), (uint32_t)MAX(y, 0));
}

static void on_clipboard(_unused_ char *text, _unused_ int size, _unused_ rfbClientPtr client)
{
}

static void on_gone(rfbClientPtr client)
{
	struct viewer *viewer = viewer_of(client);
	struct vnc_server *server = viewer->server;
	int guard_fd = viewer->guard_fd;

	for (unsigned i = 0; i < viewer->n_held; i++)
		server->ops->key(server->data, viewer->held[i], false);
	if (viewer->holds_more || viewer->buttons)
		server->ops->let_go(server->data);
	pthread_mutex_lock(&server->lock);
	*viewer = (struct viewer){.server = server, .guard_fd = -1};
	pthread_mutex_unlock(&server->lock);
	close_fd(guard_fd);
}

/* ---- the server ---- */

/* The library takes red for the lowest byte. */
static void set_format(rfbScreenInfoPtr screen)
{
	screen->depth = DEPTH;
	screen->serverFormat.depth = DEPTH;
	screen->serverFormat.blueShift = 0;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.redShift = 16;
}

static void set_up_screen(struct vnc_server *server, const struct vnc_picture *picture)
{
	rfbScreenInfoPtr screen = server->screen;

	screen->screenData = server;
	screen->frameBuffer = (char *)picture->pixels;
	screen->desktopName = server->title;
	screen->port = 0;
	screen->ipv6port = 0;
	screen->alwaysShared = TRUE;
	screen->ignoreSIGPIPE = FALSE;
	screen->cursor = NULL; /* the guest draws its own */
	screen->deferUpdateTime = 0;
	screen->maxClientWait = LIBRARY_WAIT_MS;
	screen->kbdAddEvent = on_key;
	screen->ptrAddEvent = on_pointer;
	screen->setXCutText = on_clipboard;
	screen->setXCutTextUTF8 = on_clipboard;
	FD_ZERO(&screen->allFds);
	set_format(screen);
}

int vnc_server_new(const char *title, const struct vnc_picture *picture, unsigned max_clients,
	const struct vnc_ops *ops, void *data, struct vnc_server **ret_server)
{
	struct vnc_server *server;

	if (max_clients > MAX_CLIENTS)
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	rfbLog = on_log;
	rfbErr = on_log;
	server->screen = rfbGetScreen(NULL, NULL, (int)picture->width, (int)picture->height,
		BITS_PER_SAMPLE, 3, BYTES_PER_PIXEL);
	if (!server->screen) {
		free(server);
		return -ENOMEM;
	}
	server->ops = ops;
	server->data = data;
	server->max_clients = max_clients;
	snprintf(server->title, sizeof(server->title), "%s", title);
	for (unsigned i = 0; i < max_clients; i++)
		server->viewers[i] = (struct viewer){.server = server, .guard_fd = -1};
	pthread_mutex_init(&server->lock, NULL);
	set_up_screen(server, picture);
	*ret_server = server;
	return 0;
}

void vnc_server_set_password(struct vnc_server *server, const char *password)
{
	snprintf(server->password, sizeof(server->password), "%s", password);
	server->passwords[0] = server->password;
	server->screen->passwordCheck = rfbCheckPasswordByList;
	server->screen->authPasswdData = server->password[0] ? server->passwords : NULL;
}

void vnc_server_free(struct vnc_server *server)
{
	if (!server)
		return;
	for (unsigned i = 0; i < server->max_clients; i++) {
		if (server->viewers[i].client)
			rfbClientConnectionGone(server->viewers[i].client);
	}
	rfbScreenCleanup(server->screen);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

unsigned vnc_server_n_clients(const struct vnc_server *server)
{
	return count_clients(server);
}

/* A client of the library on the one end of `pair` that looks like a plain viewer: the library asks
 * a new socket for its name, and looks whether it wants to speak HTTP or TLS. */
static rfbClientPtr make_client(struct vnc_server *server, int pair[2], char *ret_greeting)
{
	rfbClientPtr client;

	if (send(pair[1], "RFB ", 4, MSG_NOSIGNAL) != 4)
		return NULL;
	client = rfbNewClient(server->screen, take_fd(&pair[0]));
	if (!client)
		return NULL;
	client->clientGoneHook = rfbDoNothingWithClient;
	if (recv(pair[1], ret_greeting, GREETING_BYTES, MSG_DONTWAIT) == GREETING_BYTES)
		return client;
	rfbCloseClient(client);
	rfbClientConnectionGone(client);
	return NULL;
}

/* Puts the viewer's socket where the pair's was. */
static int connect_client(rfbClientPtr client, int fd, const char *greeting)
{
	const int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!rfbSetNonBlocking(fd))
		return -EIO;
	if (send(fd, greeting, GREETING_BYTES, MSG_NOSIGNAL) != GREETING_BYTES)
		return -EPIPE;
	return dup3(fd, client->sock, O_CLOEXEC) < 0 ? -errno : 0;
}

static bool is_local(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);

	return getpeername(fd, (struct sockaddr *)&address, &size) == 0 &&
	       address.ss_family == AF_UNIX;
}

static struct viewer *free_viewer(struct vnc_server *server)
{
	for (unsigned i = 0; i < server->max_clients; i++) {
		if (!server->viewers[i].client)
			return &server->viewers[i];
	}
	return NULL;
}

int vnc_server_add(struct vnc_server *server, int fd)
{
	struct viewer *viewer = free_viewer(server);
	_cleanup_close_ int real = fd, end0 = -1, end1 = -1;
	char greeting[GREETING_BYTES];
	int pair[2], guard_fd, r;
	rfbClientPtr client;

	if (!viewer)
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	end1 = pair[1];
	if (pair[0] >= FD_SETSIZE) {
		end0 = pair[0];
		return -EMFILE;
	}
	client = make_client(server, pair, greeting);
	end0 = pair[0];
	if (!client)
		return -ENOMEM;
	guard_fd = fcntl(real, F_DUPFD_CLOEXEC, 0);
	r = guard_fd < 0 ? -errno : connect_client(client, real, greeting);
	if (r < 0) {
		close_fd(guard_fd);
		rfbCloseClient(client);
		rfbClientConnectionGone(client);
		return r;
	}
	client->clientData = viewer;
	client->clientGoneHook = on_gone;
	viewer->slice_bytes = is_local(real) ? LOCAL_SLICE_BYTES : SLICE_BYTES;
	viewer->connected_ns = clock_mono_ns();
	pthread_mutex_lock(&server->lock);
	viewer->client = client;
	viewer->guard_fd = guard_fd;
	if (server->hanging_up)
		shutdown(guard_fd, SHUT_RDWR);
	pthread_mutex_unlock(&server->lock);
	return 0;
}

void vnc_server_set_picture(struct vnc_server *server, const struct vnc_picture *picture)
{
	rfbNewFramebuffer(server->screen, (char *)picture->pixels, (int)picture->width,
		(int)picture->height, BITS_PER_SAMPLE, 3, BYTES_PER_PIXEL);
	set_format(server->screen);
	for (unsigned i = 0; i < server->max_clients; i++) {
		struct viewer *viewer = &server->viewers[i];

		if (!viewer->client)
			continue;
		server->screen->setTranslateFunction(viewer->client);
		viewer->missed_size |= !viewer->client->useNewFBSize;
	}
}

void vnc_server_changed(
	struct vnc_server *server, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2)
{
	rfbMarkRectAsModified(server->screen, (int)x1, (int)y1, (int)x2, (int)y2);
}

/* ---- serving ---- */

static bool has_update(rfbClientPtr client)
{
	return client->state == RFB_NORMAL && FB_UPDATE_PENDING(client) &&
	       !sraRgnEmpty(client->requestedRegion);
}

unsigned vnc_server_poll_fds(struct vnc_server *server, struct pollfd *ret_fds)
{
	unsigned n = 0;

	for (unsigned i = 0; i < server->max_clients; i++) {
		struct viewer *viewer = &server->viewers[i];

		if (!viewer->client)
			continue;
		server->polled[n] = viewer;
		ret_fds[n++] = (struct pollfd){
			.fd = viewer->client->sock,
			.events = (short)((viewer->partial_ns ? 0 : POLLIN) |
					  (viewer->stalled_ns ? POLLOUT : 0)),
		};
	}
	return n;
}

uint64_t vnc_server_deadline_ns(const struct vnc_server *server)
{
	uint64_t deadline_ns = UINT64_MAX;

	for (unsigned i = 0; i < server->max_clients; i++) {
		const struct viewer *viewer = &server->viewers[i];

		if (!viewer->client)
			continue;
		if (viewer->client->state != RFB_NORMAL)
			deadline_ns = MIN(deadline_ns, viewer->connected_ns + HANDSHAKE_NS);
		if (viewer->stalled_ns)
			deadline_ns = MIN(deadline_ns, viewer->stalled_ns + STALL_NS);
		if (viewer->partial_ns)
			deadline_ns = MIN(deadline_ns, viewer->partial_try_ns);
	}
	return deadline_ns;
}

/* The text is of no use here, and its compressed form not worth the risk. */
static void begin_clipboard(struct viewer *viewer)
{
	rfbClientCutTextMsg message;
	uint32_t size_bytes;

	if (recv(viewer->client->sock, &message, sz_rfbClientCutTextMsg, MSG_DONTWAIT) !=
		sz_rfbClientCutTextMsg) {
		rfbCloseClient(viewer->client);
		return;
	}
	size_bytes = Swap32IfLE(message.length);
	if (size_bytes & 0x80000000U) /* the compressed form */
		size_bytes = -size_bytes;
	if (size_bytes > MAX_CLIPBOARD)
		rfbCloseClient(viewer->client);
	else
		viewer->skip_bytes = size_bytes;
}

static void skip_clipboard(struct viewer *viewer)
{
	char text[4096];
	ssize_t n;

	n = recv(viewer->client->sock, text, MIN(viewer->skip_bytes, (uint32_t)sizeof(text)),
		MSG_DONTWAIT);
	if (n > 0)
		viewer->skip_bytes -= (uint32_t)n;
	else if (n == 0 || errno != EAGAIN)
		rfbCloseClient(viewer->client);
}

/* The viewer draws its own pointer, has its own size, and keeps its clipboard. */
static void forget_extensions(rfbClientPtr client)
{
	client->enableCursorShapeUpdates = FALSE;
	client->enableCursorPosUpdates = FALSE;
	client->useRichCursorEncoding = FALSE;
	client->cursorWasChanged = FALSE;
	client->cursorWasMoved = FALSE;
	client->useExtDesktopSize = FALSE;
	client->enableExtendedClipboard = FALSE;
}

/* How long the next message is, as far as can be told from its first bytes; 0: not one for us. */
static size_t normal_message_bytes(const uint8_t *head, size_t head_bytes)
{
	uint32_t n_encodings;

	switch (head[0]) {
	case rfbSetPixelFormat:
		return sz_rfbSetPixelFormatMsg;
	case rfbSetEncodings:
		if (head_bytes < sz_rfbSetEncodingsMsg)
			return sz_rfbSetEncodingsMsg;
		n_encodings = load_be16(head + 2);
		return n_encodings <= MAX_VIEWER_ENCODINGS ? sz_rfbSetEncodingsMsg + 4 * n_encodings
							   : 0;
	case rfbFramebufferUpdateRequest:
		return sz_rfbFramebufferUpdateRequestMsg;
	case rfbKeyEvent:
		return sz_rfbKeyEventMsg;
	case rfbPointerEvent:
		return sz_rfbPointerEventMsg;
	case rfbClientCutText:
		return sz_rfbClientCutTextMsg;
	default:
		log_debug("vnc: a viewer sent a message of type %u", head[0]);
		return 0;
	}
}

static size_t message_bytes(rfbClientPtr client, const uint8_t *head, size_t head_bytes)
{
	switch (client->state) {
	case RFB_PROTOCOL_VERSION:
		return sz_rfbProtocolVersionMsg;
	case RFB_AUTHENTICATION:
		return CHALLENGESIZE;
	case RFB_NORMAL:
		return normal_message_bytes(head, head_bytes);
	default:
		return 1;
	}
}

/* A whole message is there. */
static void handle_message(struct viewer *viewer, uint8_t type)
{
	rfbClientPtr client = viewer->client;
	bool is_normal = client->state == RFB_NORMAL;

	if (is_normal && type == rfbClientCutText) {
		begin_clipboard(viewer);
		return;
	}
	rfbProcessClientMessage(client);
	if (!is_normal || type != rfbSetEncodings)
		return;
	forget_extensions(client);
	if (viewer->missed_size && client->useNewFBSize) {
		viewer->missed_size = false;
		client->newFBSizePending = TRUE;
	}
}

/* The library would wait for the rest of half a message. */
static void receive(struct viewer *viewer)
{
	uint8_t head[sz_rfbSetEncodingsMsg + 4 * MAX_VIEWER_ENCODINGS];
	rfbClientPtr client = viewer->client;
	size_t size_bytes;
	ssize_t n;

	if (viewer->skip_bytes) {
		skip_clipboard(viewer);
		return;
	}
	n = recv(client->sock, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	size_bytes = n > 0 ? message_bytes(client, head, (size_t)n) : 0;
	if (size_bytes == 0) {
		rfbCloseClient(client);
	} else if ((size_t)n < size_bytes) {
		viewer->partial_try_ns = clock_mono_ns() + PARTIAL_TRY_NS;
		if (!viewer->partial_ns)
			viewer->partial_ns = clock_mono_ns();
	} else {
		viewer->partial_ns = 0;
		handle_message(viewer, head[0]);
	}
}

/* What poll(2) said, or half a message that may be whole by now. */
static bool has_input(const struct viewer *viewer, short revents)
{
	if (viewer->partial_ns)
		return clock_mono_ns() >= viewer->partial_try_ns;
	return revents & (POLLIN | POLLHUP | POLLERR);
}

static bool is_writable(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLOUT};

	return poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLOUT;
}

/* Parts that the viewer did not ask for are passed over. */
static void send_slice(struct viewer *viewer)
{
	rfbClientPtr client = viewer->client;
	rfbScreenInfoPtr screen = client->screen;
	int n_rows = (int)viewer->slice_bytes / screen->paddedWidthInBytes;
	int n_slices = screen->height / n_rows + 1;

	screen->progressiveSliceHeight = n_rows;
	for (int i = 0; i < n_slices && client->sock >= 0 && has_update(client); i++)
		rfbUpdateClient(client);
}

static void update(struct viewer *viewer)
{
	if (!has_update(viewer->client)) {
		viewer->stalled_ns = 0;
	} else if (is_writable(viewer->client->sock)) {
		viewer->stalled_ns = 0;
		send_slice(viewer);
	} else if (!viewer->stalled_ns) {
		viewer->stalled_ns = clock_mono_ns();
	}
}

static bool is_overdue(const struct viewer *viewer)
{
	uint64_t now_ns = clock_mono_ns();

	return (viewer->stalled_ns && now_ns - viewer->stalled_ns >= STALL_NS) ||
	       (viewer->partial_ns && now_ns - viewer->partial_ns >= PARTIAL_NS) ||
	       (viewer->client->state != RFB_NORMAL &&
		       now_ns - viewer->connected_ns >= HANDSHAKE_NS);
}

void vnc_server_serve(struct vnc_server *server, const struct pollfd *fds, unsigned n_fds)
{
	for (unsigned i = 0; i < n_fds; i++) {
		struct viewer *viewer = server->polled[i];
		rfbClientPtr client = viewer->client;

		begin_turn(viewer);
		if (viewer->partial_ns && fds[i].revents & (POLLHUP | POLLERR))
			rfbCloseClient(client);
		else if (has_input(viewer, fds[i].revents))
			receive(viewer);
		if (client->sock >= 0)
			update(viewer);
		if (client->sock >= 0 && is_overdue(viewer))
			rfbCloseClient(client);
		end_turn(viewer);
		if (client->sock < 0)
			rfbClientConnectionGone(client);
	}
}
