/* SPDX-License-Identifier: MIT */
#include "node/svc/notify.h"
#include "node/svc/svc.h"

#include "base/log.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void send_text(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	size_t len = path ? strlen(path) : 0;

	/* "@..." is a name of the abstract namespace, which begins with a 0 in truth. */
	if (len < 2 || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
			      (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_debug("systemd was not told '%s': %s", text, strerror(errno));
}

void notify_ready(void)
{
	send_text("READY=1");
}

void notify_stopping(void)
{
	send_text("STOPPING=1\nSTATUS=Ending, with the VMs of this node");
}

void notify_status(struct svc *svc)
{
	static char last[256];
	struct cluster_status status;
	char text[256];

	cluster_get_status(svc->cluster, &status);
	if (svc->evicted)
		snprintf(text, sizeof(text), "STATUS=This node has been evicted from its cluster");
	else if (status.connect_error == -EADDRNOTAVAIL)
		snprintf(text, sizeof(text),
			"STATUS=No cluster yet: corosync.conf is the example of its package");
	else if (!cluster_is_connected(svc->cluster))
		snprintf(text, sizeof(text), "STATUS=Waiting for corosync");
	else
		snprintf(text, sizeof(text), "STATUS=Node %s, %s", cluster_local_name(svc->cluster),
			!cluster_is_quorate(svc->cluster)  ? "without quorum"
			: !cluster_is_synced(svc->cluster) ? "joining"
							   : "in its cluster");
	if (strcmp(text, last) == 0)
		return;
	memcpy(last, text, sizeof(last));
	send_text(text);
}
