/* SPDX-License-Identifier: MIT
 *
 * viewer.c - where VNC viewers reach a VM's display: one socket a VM, in the state folder, for root
 * alone. The service accepts; the connection goes to the VM's process as it is.
 */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CALL_TIMEOUT_NS (10 * NS_PER_SEC)

struct viewer {
	struct vmproc *vp;
	int fd;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

void viewer_path(const struct svc *svc, const char *vm, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s/vnc-%s", svc->options.state_dir, vm);
}

static void on_handed_over(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	const struct vmproc *vp = data;

	if (error < 0)
		log_warning("%s does not take a viewer: %s", vp->name,
			json_get_string(reply, "error", strerror(-error)));
}

static void on_viewer(int fd, short revents _unused_, void *data)
{
	struct viewer *viewer = data;
	struct vmproc *vp = viewer->vp;
	_cleanup_close_ int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client >= 0 && vp->chan)
		chan_call(vp->chan, "vm.viewer", NULL, &client, 1, CALL_TIMEOUT_NS, on_handed_over,
			vp);
}

static int listen_at(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before;
	int r;

	strcpy(address.sun_path, path);
	if (fd < 0)
		return -errno;
	unlink(path);
	before = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(before);
	if (r < 0 || listen(fd, 4) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int viewer_new(struct vmproc *vp, struct viewer **ret_viewer)
{
	struct viewer *viewer = calloc(1, sizeof(*viewer));
	char path[320];
	int r;

	if (!viewer)
		return -ENOMEM;
	viewer->vp = vp;
	viewer->fd = -1;
	viewer_path(vp->svc, vp->name, path, sizeof(path));
	r = strlen(path) < sizeof(viewer->path) ? 0 : -ENAMETOOLONG;
	if (r == 0) {
		strcpy(viewer->path, path);
		r = listen_at(path, &viewer->fd);
	}
	if (r == 0)
		r = loop_fd_add(vp->svc->loop, viewer->fd, POLLIN, on_viewer, viewer);
	if (r < 0) {
		close_fd(viewer->fd);
		free(viewer);
		return r;
	}
	*ret_viewer = viewer;
	return 0;
}

void viewer_free(struct viewer *viewer)
{
	if (!viewer)
		return;
	loop_fd_remove(viewer->vp->svc->loop, viewer->fd);
	close(viewer->fd);
	unlink(viewer->path);
	free(viewer);
}
