/* SPDX-License-Identifier: MIT
 *
 * libqb calls the server from inside of its own dispatch, where a connection must not be dropped.
 * So a request is only copied there and handled in a turn of its own; everything may happen in
 * that.
 *
 * Shared memory is the transport: a datagram socket has no room for a megabyte unless the machine
 * is tuned for it.
 */
#include "base/ipc.h"
#include "base/clock.h"
#include "base/list.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <qb/qbipcc.h>
#include <qb/qbipcs.h>

#define IPC_MAX_CLIENTS        64
#define IPC_MAX_PENDING        16 /* requests a client */
#define IPC_NAME_MAX_LEN       63
#define IPC_CONNECT_TIMEOUT_MS 15000
#define IPC_LIVENESS_MS        100 /* how soon a client notices that the daemon is gone */
#define IPC_FULL_RETRY_MS      10

/* Room for the framing of libqb around the JSON text. */
#define IPC_BUFFER_BYTES (IPC_MAX_BYTES + 4096)

struct ipc_server {
	qb_ipcs_service_t *service;
	ipc_handler_fn handler;
	ipc_accept_fn accept;
	void *data;
	unsigned n_clients;

	struct list arrived; /* requests to handle */
	struct loop_event *turn;
	unsigned n_refs; /* the owner's and that of the turn that is under way */
};

/* One connection. Requests may outlive it, so they hold this and not libqb's object:
 * qb_ipcs_destroy() drops a reference to each connection that is still referenced, its own or not.
 */
struct client {
	qb_ipcs_connection_t *connection; /* NULL once closed */
	struct ipc_server *server;        /* NULL once closed */
	uid_t uid;
	int tag;
	unsigned n_requests;
	unsigned n_refs; /* the connection's and those of the requests */
};

struct ipc_request {
	struct list siblings; /* ipc_server.arrived */
	struct client *client;
	int32_t id;
	int error; /* the request cannot be handled */
	size_t size_bytes;
	char text[];
};

/* libqb's poll handlers have no context; all servers of a process share one loop. */
static qb_loop_t *ipc_loop;
static unsigned n_ipc_servers;

static int32_t poll_add(
	enum qb_loop_priority p, int32_t fd, int32_t events, void *data, qb_ipcs_dispatch_fn_t fn)
{
	return qb_loop_poll_add(ipc_loop, p, fd, events, data, fn);
}

static int32_t poll_modify(
	enum qb_loop_priority p, int32_t fd, int32_t events, void *data, qb_ipcs_dispatch_fn_t fn)
{
	return qb_loop_poll_mod(ipc_loop, p, fd, events, data, fn);
}

static int32_t poll_remove(int32_t fd)
{
	return qb_loop_poll_del(ipc_loop, fd);
}

static struct qb_ipcs_poll_handlers poll_handlers = {
	.dispatch_add = poll_add,
	.dispatch_mod = poll_modify,
	.dispatch_del = poll_remove,
};

static void server_unref(struct ipc_server *server)
{
	if (--server->n_refs == 0)
		free(server);
}

static void client_unref(struct client *client)
{
	if (--client->n_refs == 0)
		free(client);
}

static void request_free(struct ipc_request *request)
{
	list_remove(&request->siblings);
	request->client->n_requests--;
	client_unref(request->client);
	free(request);
}

/* Send `text`, or have the client learn that there is no answer. */
static void response_send(struct ipc_request *request, const char *text)
{
	qb_ipcs_connection_t *connection = request->client->connection;
	struct qb_ipc_response_header header = {.id = request->id};
	struct iovec iov[2] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = (void *)text, .iov_len = strlen(text)},
	};

	if (!connection)
		return;
	header.size = (int32_t)(iov[0].iov_len + iov[1].iov_len);
	if (qb_ipcs_response_sendv(connection, iov, ARRAY_LEN(iov)) < 0)
		qb_ipcs_disconnect(connection);
}

static void error_send(struct ipc_request *request, int error)
{
	char text[160];

	snprintf(text, sizeof(text), "{\"ok\":false,\"errno\":%d,\"error\":\"%s\"}", -error,
		error == -EBADMSG ? "malformed request" : strerror(-error));
	response_send(request, text);
}

void ipc_reply(struct ipc_request *request, struct json *reply)
{
	_cleanup_free_ char *text = reply ? json_dump(reply, 0) : NULL;

	if (!text)
		error_send(request, -ENOMEM);
	else if (strlen(text) > IPC_MAX_BYTES)
		error_send(request, -EMSGSIZE);
	else
		response_send(request, text);
	json_unref(reply);
	request_free(request);
}

static void request_handle(struct ipc_server *server, struct ipc_request *request)
{
	_cleanup_json_ struct json *message = NULL;
	int r = request->error;

	if (r == 0)
		r = json_parse(request->text, request->size_bytes, &message);
	if (r == 0 && !json_is_object(message))
		r = -EBADMSG;
	if (r < 0) {
		error_send(request, r);
		request_free(request);
		return;
	}
	server->handler(request, message, server->data);
}

static void requests_handle(void *data)
{
	struct ipc_server *server = data;
	struct ipc_request *request;

	server->n_refs++;
	/* A handler may free the server, which empties the list. */
	while ((request = list_pop(&server->arrived, struct ipc_request, siblings)))
		request_handle(server, request);
	server_unref(server);
}

/* The header and the text lie in memory that the client writes: they are read once. A request that
 * cannot be kept is dropped, and its client times out. */
static int32_t on_message(qb_ipcs_connection_t *connection, void *data, size_t size_bytes)
{
	struct client *client = qb_ipcs_context_get(connection);
	struct qb_ipc_request_header header;
	struct ipc_request *request;
	size_t text_bytes = 0;
	int error = 0;

	memcpy(&header, data, sizeof(header));
	if (size_bytes < sizeof(header))
		error = -EBADMSG;
	else if (size_bytes - sizeof(header) > IPC_MAX_BYTES)
		error = -EMSGSIZE;
	else
		text_bytes = size_bytes - sizeof(header);
	if (!client || !client->server || client->n_requests == IPC_MAX_PENDING)
		return 0;
	request = calloc(1, sizeof(*request) + text_bytes);
	if (!request)
		return 0;
	request->client = client;
	request->id = header.id;
	request->error = error;
	request->size_bytes = text_bytes;
	memcpy(request->text, (const char *)data + sizeof(header), text_bytes);
	client->n_requests++;
	client->n_refs++;
	list_append(&client->server->arrived, &request->siblings);
	loop_event_raise(client->server->turn);
	return 0;
}

static int32_t on_accept(qb_ipcs_connection_t *connection, uid_t uid, gid_t gid)
{
	struct ipc_server *server = qb_ipcs_connection_service_context_get(connection);
	int tag = uid == 0 || uid == geteuid() ? 0 : -EACCES;
	struct client *client;

	if (server->accept)
		tag = server->accept(uid, gid, server->data);
	if (tag < 0)
		return tag;
	if (server->n_clients == IPC_MAX_CLIENTS)
		return -EBUSY;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	*client = (struct client){
		.connection = connection,
		.server = server,
		.uid = uid,
		.tag = tag,
		.n_refs = 1,
	};
	server->n_clients++;
	qb_ipcs_context_set(connection, client);
	return 0;
}

static void client_close(struct client *client)
{
	if (client->server)
		client->server->n_clients--;
	client->server = NULL;
	client->connection = NULL;
}

static int32_t on_closed(qb_ipcs_connection_t *connection)
{
	client_close(qb_ipcs_context_get(connection));
	return 0;
}

/* Also of connections that were never accepted, and then of those that were, but not established.
 */
static void on_destroyed(qb_ipcs_connection_t *connection)
{
	struct client *client = qb_ipcs_context_get(connection);

	if (!client)
		return;
	client_close(client);
	client_unref(client);
}

static struct qb_ipcs_service_handlers service_handlers = {
	.connection_accept = on_accept,
	.msg_process = on_message,
	.connection_closed = on_closed,
	.connection_destroyed = on_destroyed,
};

static bool name_is_valid(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '-')
			return false;
	}
	return len > 0 && len <= IPC_NAME_MAX_LEN;
}

int ipc_server_new(struct loop *loop, const char *name, ipc_handler_fn handler, void *data,
	struct ipc_server **ret_server)
{
	struct ipc_server *server;
	int r;

	if (!name_is_valid(name))
		return -EINVAL;
	if (n_ipc_servers && ipc_loop != loop_native(loop))
		return -EBUSY;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->handler = handler;
	server->data = data;
	server->n_refs = 1;
	list_init(&server->arrived);
	r = loop_event_new(loop, requests_handle, server, &server->turn);
	if (r < 0)
		goto fail;
	ipc_loop = loop_native(loop);
	server->service = qb_ipcs_create(name, 0, QB_IPC_SHM, &service_handlers);
	if (!server->service) {
		r = -errno;
		goto fail;
	}
	qb_ipcs_service_context_set(server->service, server);
	qb_ipcs_poll_handlers_set(server->service, &poll_handlers);
	qb_ipcs_enforce_buffer_size(server->service, IPC_BUFFER_BYTES);
	r = qb_ipcs_run(server->service); /* destroys it on failure */
	if (r < 0)
		goto fail;
	n_ipc_servers++;
	*ret_server = server;
	return 0;
fail:
	loop_event_free(server->turn);
	free(server);
	return r;
}

void ipc_server_set_accept(struct ipc_server *server, ipc_accept_fn fn)
{
	server->accept = fn;
}

uid_t ipc_request_uid(const struct ipc_request *request)
{
	return request->client->uid;
}

int ipc_request_tag(const struct ipc_request *request)
{
	return request->client->tag;
}

void ipc_server_free(struct ipc_server *server)
{
	struct ipc_request *request;

	if (!server)
		return;
	while ((request = list_pop(&server->arrived, struct ipc_request, siblings)))
		request_free(request);
	qb_ipcs_destroy(server->service);
	n_ipc_servers--;
	loop_event_free(server->turn);
	server_unref(server);
}

struct ipc_client {
	qb_ipcc_connection_t *connection;
	int32_t last_id;
	char *response; /* IPC_BUFFER_BYTES */
};

/* Anybody may take the name of a daemon that does not run: see whom we talk to before libqb maps
 * what it is told to. */
static int server_check(int fd)
{
	struct ucred cred;
	socklen_t size_bytes = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size_bytes) < 0)
		return -errno;
	return cred.uid == 0 || cred.uid == geteuid() ? 0 : -EACCES;
}

static int server_wait(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int n;

	do {
		n = poll(&poll_fd, 1, IPC_CONNECT_TIMEOUT_MS);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

static int client_connect(const char *name, qb_ipcc_connection_t **ret_connection)
{
	qb_ipcc_connection_t *connection;
	int fd = -1, r;

	connection = qb_ipcc_connect_async(name, IPC_BUFFER_BYTES, &fd);
	if (!connection)
		return errno == ENOENT ? -ECONNREFUSED : -errno;
	r = server_check(fd);
	if (r == 0)
		r = server_wait(fd);
	if (r < 0) {
		qb_ipcc_disconnect(connection);
		close(fd);
		return r;
	}
	r = qb_ipcc_connect_continue(connection); /* frees it on failure */
	if (r < 0)
		return r == -ENOTCONN ? -ECONNREFUSED : r;
	*ret_connection = connection;
	return 0;
}

int ipc_client_new(const char *name, struct ipc_client **ret_client)
{
	struct ipc_client *client;
	int r;

	if (!name_is_valid(name))
		return -EINVAL;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->response = malloc(IPC_BUFFER_BYTES);
	r = client->response ? client_connect(name, &client->connection) : -ENOMEM;
	if (r < 0) {
		free(client->response);
		free(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

void ipc_client_free(struct ipc_client *client)
{
	if (!client)
		return;
	qb_ipcc_disconnect(client->connection);
	free(client->response);
	free(client);
}

static int client_error(struct ipc_client *client, ssize_t error)
{
	if (error == -EAGAIN || error == -ETIMEDOUT || error == -EINTR)
		return qb_ipcc_is_connected(client->connection) ? -EAGAIN : -ECONNRESET;
	return error == -EMSGSIZE || error == -ENOMEM ? (int)error : -ECONNRESET;
}

static unsigned ms_until(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_mono_ns();

	return now_ns < deadline_ns ? (unsigned)((deadline_ns - now_ns) / NS_PER_MS) : 0;
}

static int request_send(struct ipc_client *client, const char *text, uint64_t deadline_ns)
{
	struct qb_ipc_request_header header = {.id = client->last_id};
	struct iovec iov[2] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = (void *)text, .iov_len = strlen(text)},
	};
	ssize_t sent;
	int r;

	if (iov[1].iov_len > IPC_MAX_BYTES)
		return -EMSGSIZE;
	header.size = (int32_t)(iov[0].iov_len + iov[1].iov_len);
	for (;;) {
		sent = qb_ipcc_sendv(client->connection, iov, ARRAY_LEN(iov));
		if (sent > 0)
			return 0;
		r = client_error(client, sent);
		if (r != -EAGAIN)
			return r;
		if (ms_until(deadline_ns) == 0)
			return -ETIMEDOUT;
		usleep(IPC_FULL_RETRY_MS * 1000);
	}
}

/* Wait for the response to the last request. Others are answers to calls that were given up. */
static int response_wait(struct ipc_client *client, uint64_t deadline_ns, size_t *ret_size_bytes)
{
	struct qb_ipc_response_header header;
	unsigned left_ms;
	ssize_t n;
	int r;

	for (;;) {
		left_ms = ms_until(deadline_ns);
		n = qb_ipcc_recv(client->connection, client->response, IPC_BUFFER_BYTES,
			(int32_t)MIN(left_ms, (unsigned)IPC_LIVENESS_MS));
		if (n < 0) {
			r = client_error(client, n);
			if (r != -EAGAIN)
				return r;
			if (left_ms == 0)
				return -ETIMEDOUT;
			continue;
		}
		if ((size_t)n < sizeof(header))
			return -EBADMSG;
		memcpy(&header, client->response, sizeof(header));
		if (header.id == client->last_id) {
			*ret_size_bytes = (size_t)n;
			return 0;
		}
	}
}

int ipc_call(struct ipc_client *client, const struct json *request, unsigned timeout_ms,
	struct json **ret_reply)
{
	uint64_t deadline_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
	_cleanup_free_ char *text = json_dump(request, 0);
	const size_t header_bytes = sizeof(struct qb_ipc_response_header);
	size_t size_bytes;
	int r;

	if (!text)
		return -ENOMEM;
	client->last_id = client->last_id == INT32_MAX ? 1 : client->last_id + 1;
	r = request_send(client, text, deadline_ns);
	if (r == 0)
		r = response_wait(client, deadline_ns, &size_bytes);
	if (r < 0)
		return r;
	return json_parse(client->response + header_bytes, size_bytes - header_bytes, ret_reply);
}
