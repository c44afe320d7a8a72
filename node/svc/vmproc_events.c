/* SPDX-License-Identifier: MIT
 *
 * vmproc_events.c - what a VM's process says by itself.
 */
#include "node/svc/failover.h"
#include "node/svc/svc.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define CALL_TIMEOUT_NS (30 * NS_PER_SEC)

static void on_ignored(int error _unused_, const struct json *reply _unused_, int *fds _unused_,
	size_t n_fds _unused_, void *data _unused_)
{
}

static void on_serial(struct vmproc *vp, const char *data)
{
	struct api_call *call, *after;
	struct buf bytes = {0};

	if (base64_decode(data, &bytes) == 0)
		console_append(&vp->console, bytes.data, bytes.size_bytes);
	buf_fini(&bytes);
	list_for_each_safe(call, after, &vp->console.waiters, link)
		call->expired(call);
}

static void on_heartbeat(struct vmproc *vp, const char *state)
{
	if (strcmp(vp->heartbeat, state) == 0)
		return;
	snprintf(vp->heartbeat, sizeof(vp->heartbeat), "%s", state);
	if (vp->state != VMPROC_RUNNING || vp->out || vp->quick)
		return;
	vmproc_publish(vp->svc, vp->name, vp->epoch, "Running", "");
	if (strcmp(state, "lost") == 0)
		guest_is_silent(vp);
}

static void on_reset(struct vmproc *vp)
{
	if (vp->in || vp->quick) {
		vmproc_died(vp, "Failed", "the guest restarted while it was being moved");
	} else if (vp->out) {
		/* The move cannot go on; when it is over here, the restart comes. */
		vp->restart_wanted = true;
		chan_call(vp->chan, "mig.cancel", NULL, NULL, 0, CALL_TIMEOUT_NS, on_ignored, NULL);
	} else {
		log_info("%s: the guest restarts", vp->name);
		vmproc_restart(vp);
	}
}

/* Of many lines the one that says most: the panic itself, otherwise the last one. */
static const char *telling_line(const char *text, size_t *ret_len)
{
	const char *found = strstr(text, "Kernel panic");
	const char *line = found ? found : text;

	while (!found && strchr(line, '\n') && strchr(line, '\n')[1])
		line = strchr(line, '\n') + 1;
	*ret_len = strcspn(line, "\n");
	return line;
}

static void on_ended(struct vmproc *vp, const struct json *message)
{
	const char *how = json_get_string(message, "how", "error");
	const char *text = json_get_string(message, "text", ""), *line;
	char reason[300];
	size_t len;

	if (strcmp(how, "poweroff") == 0) {
		vmproc_died(vp, "Off", "the guest powered off");
		return;
	}
	if (strcmp(how, "reset") == 0) {
		on_reset(vp);
		return;
	}
	line = telling_line(text, &len);
	if (strlen(text) > len)
		log_info("%s: the guest's last words:\n%s", vp->name, text);
	snprintf(reason, sizeof(reason), "the guest ended by %s: %.*s", how, (int)len, line);
	vmproc_died(vp, "Failed", reason);
}

void vmproc_on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;

	if (id)
		chan_reply(chan, id, -EOPNOTSUPP, NULL, NULL, NULL, 0);
	else if (strcmp(op, "serial") == 0)
		on_serial(vp, json_get_string(message, "data", ""));
	else if (strcmp(op, "vm.heartbeat") == 0)
		on_heartbeat(vp, json_get_string(message, "state", ""));
	else if (strcmp(op, "vm.ended") == 0)
		on_ended(vp, message);
	else if (strncmp(op, "mig.in.", 7) == 0 && vp->in)
		mig_in_event(vp, op, message);
	else if (strncmp(op, "mig.", 4) == 0 && vp->out)
		mig_out_event(vp, op, message);
	else if (strncmp(op, "save.", 5) == 0 && vp->quick)
		quick_out_event(vp, op, message);
}
