/* SPDX-License-Identifier: MIT */
#include "node/ctl/link.h"

#include "base/ipc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ctl_link {
	struct ipc_client *ipc; /* one of the two */
	struct zlink *remote;
};

static int local_failed(int error, char *text, size_t size_bytes)
{
	switch (error) {
	case -ECONNREFUSED:
	case -ENOENT:
		snprintf(text, size_bytes,
			"viaductd does not run on this node; start it "
			"(systemctl start viaductd)");
		break;
	case -EACCES:
	case -EPERM:
		snprintf(text, size_bytes,
			"viaductd takes requests of root and of members of the groups "
			"viaduct-read, viaduct-operate and viaduct-admin only; use sudo");
		break;
	default:
		snprintf(text, size_bytes, "viaductd cannot be reached: %s", strerror(-error));
	}
	return EXIT_NO_DAEMON;
}

static int open_remote(const char *path, struct ctl_link *link, char *error, size_t size_bytes)
{
	static struct remote_file file;
	int r = remote_file_load(path, &file, error, size_bytes);

	if (r < 0)
		return EXIT_USAGE;
	return zlink_open(&file, &link->remote, error, size_bytes);
}

int ctl_link_open(
	const struct ctl_args *args, struct ctl_link **ret_link, char *error, size_t size_bytes)
{
	const char *path = getenv("VIADUCT_REMOTE");
	struct ctl_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link) {
		snprintf(error, size_bytes, "out of memory");
		return EXIT_FAILED;
	}
	if (path && *path) {
		r = open_remote(path, link, error, size_bytes);
	} else {
		r = ipc_client_new(args->ipc_name, &link->ipc);
		r = r < 0 ? local_failed(r, error, size_bytes) : EXIT_OK;
	}
	if (r != EXIT_OK) {
		free(link);
		return r;
	}
	*ret_link = link;
	return EXIT_OK;
}

void ctl_link_close(struct ctl_link *link)
{
	if (!link)
		return;
	ipc_client_free(link->ipc);
	zlink_close(link->remote);
	free(link);
}

bool ctl_link_is_kept(struct ctl_link *link)
{
	return link && link->remote && zlink_is_alive(link->remote);
}

int ctl_link_call(struct ctl_link *link, const struct json *request, unsigned timeout_ms,
	struct json **ret_reply)
{
	return link->remote ? zlink_call(link->remote, request, timeout_ms, ret_reply)
			    : ipc_call(link->ipc, request, timeout_ms, ret_reply);
}
