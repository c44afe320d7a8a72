/* SPDX-License-Identifier: MIT
 *
 * viaduct-vmhost without a VM, for machines without KVM: to viaductd it is the process of one. It
 * is configured, runs, moves, is saved and goes on; the guest restarts when it is asked to. All
 * that there is of the guest is what its network drivers agreed on, and as a real process it takes
 * it from elsewhere only if its adapters were started with the same (vmbus/net_state.c). What it
 * was started with is in its log.
 */
#include "node/vm/vm.h"
#include "node/vm/vm_lease.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define CONTROL_FD       3
#define STATE_MAX_BYTES  256
#define NEVER_CPU_DIGEST "0000000000000001"

struct puppet {
	struct loop *loop;
	struct chan *chan;
	struct vm_spec spec;
	char state[STATE_MAX_BYTES]; /* of the guest's drivers */
	int mover;                   /* a connection to another host, or -1 */
	bool is_silent;              /* its guest stops answering as soon as it runs */
};

struct op {
	uint64_t id;
	const struct json *message;
	int *fds;
	size_t n_fds;
	struct json *reply;
	char error[200];
};

static void describe(const struct vm_spec *spec, char text[STATE_MAX_BYTES])
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < spec->n_nics; i++)
		len += (size_t)snprintf(text + len, STATE_MAX_BYTES - len,
			"nic%u: withheld %#x, %s; ", i, spec->nics[i].withheld,
			spec->nics[i].one_queue ? "one queue" : "queues");
}

static int op_configure(struct puppet *p, struct op *op)
{
	int r = vm_spec_parse(op->message, &p->spec, op->error, sizeof(op->error));

	if (r < 0)
		return r;
	describe(&p->spec, p->state);
	p->is_silent = strstr(json_get_string(op->message, "cmdline", ""), "silent") != NULL;
	log_info("%s with %s", p->spec.incoming ? "waits" : "boots", p->state);
	op->reply = json_object_new();
	return json_set_string(op->reply, "cpuid_digest", NEVER_CPU_DIGEST);
}

static int op_lease(struct puppet *p _unused_, struct op *op)
{
	return vm_lease_renew((uint64_t)json_get_int(op->message, "until_ns", 0));
}

static int op_nothing(struct puppet *p _unused_, struct op *op _unused_)
{
	return 0;
}

static int op_shutdown(struct puppet *p, struct op *op)
{
	bool reboot = strcmp(json_get_string(op->message, "power", ""), "reboot") == 0;
	struct json *ended = json_object_new();

	json_set_string(ended, "how", reboot ? "reset" : "poweroff");
	return chan_event(p->chan, "vm.ended", ended, NULL, 0);
}

/* ---- to a file and from it ---- */

static int op_save(struct puppet *p, struct op *op)
{
	size_t len = strlen(p->state);

	if (op->n_fds != 1 || pwrite(op->fds[0], p->state, len, 0) != (ssize_t)len)
		return -EIO;
	op->reply = json_object_new();
	return json_set_int(op->reply, "file_bytes", (int64_t)len);
}

static int take(struct puppet *p, const char *state, size_t len, char *error, size_t size_bytes)
{
	if (len == strlen(p->state) && memcmp(p->state, state, len) == 0)
		return 0;
	snprintf(error, size_bytes, "the guest has %.*s and the adapters %s", (int)len, state,
		p->state);
	log_error("%s", error);
	return -EBADMSG;
}

static int op_load(struct puppet *p, struct op *op)
{
	char state[STATE_MAX_BYTES];
	ssize_t n = op->n_fds == 1 ? pread(op->fds[0], state, sizeof(state), 0) : -1;

	if (n < 0)
		return -EIO;
	op->reply = json_object_new();
	return take(p, state, (size_t)n, op->error, sizeof(op->error));
}

/* ---- to another host and from it: the state over the first connection, and a word back ---- */

static void say(struct puppet *p, const char *event, int error, const char *text)
{
	struct json *message = json_object_new();

	json_set_int(message, "error", error);
	json_set_string(message, "text", text);
	chan_event(p->chan, event, message, NULL, 0);
}

static int keep_mover(struct puppet *p, struct op *op, loop_fd_fn fn)
{
	if (op->n_fds < 2 || p->mover >= 0)
		return -EINVAL;
	p->mover = take_fd(&op->fds[0]);
	return loop_fd_add(p->loop, p->mover, POLLIN, fn, p);
}

static void drop_mover(struct puppet *p)
{
	loop_fd_remove(p->loop, p->mover);
	close_fd(p->mover);
	p->mover = -1;
}

static void on_word(int fd, short revents _unused_, void *data)
{
	struct puppet *p = data;
	char word;

	if (read(fd, &word, 1) == 1) {
		loop_fd_remove(p->loop, fd);
		say(p, "mig.ready", 0, "");
		return;
	}
	drop_mover(p);
	say(p, "mig.done", EPIPE, "the target does not take the guest");
}

static int op_out(struct puppet *p, struct op *op)
{
	size_t len = strlen(p->state);
	int r = keep_mover(p, op, on_word);

	if (r < 0)
		return r;
	return write(p->mover, p->state, len) == (ssize_t)len ? 0 : -EIO;
}

static int op_finish(struct puppet *p, struct op *op)
{
	bool committed = json_get_bool(op->message, "committed", false);

	if (p->mover < 0)
		return -ENOENT;
	drop_mover(p);
	say(p, "mig.done", committed ? 0 : ECANCELED, committed ? "" : "not committed");
	return 0;
}

static void on_state(int fd, short revents _unused_, void *data)
{
	struct puppet *p = data;
	char state[STATE_MAX_BYTES], error[200] = "the source went away";
	ssize_t n = read(fd, state, sizeof(state));

	if (n > 0 && take(p, state, (size_t)n, error, sizeof(error)) == 0 &&
		write(fd, "!", 1) == 1) {
		loop_fd_remove(p->loop, fd);
		say(p, "mig.in.ready", 0, "");
		return;
	}
	drop_mover(p);
	say(p, "mig.in.failed", EBADMSG, error);
}

static int op_in(struct puppet *p, struct op *op)
{
	return keep_mover(p, op, on_state);
}

static void beat(struct puppet *p, const char *state)
{
	struct json *message = json_object_new();

	json_set_string(message, "state", state);
	chan_event(p->chan, "vm.heartbeat", message, NULL, 0);
}

/* Whoever takes it answers himself. */
static uint64_t take_id(struct op *op)
{
	uint64_t id = op->id;

	op->id = 0;
	return id;
}

/* It has come, and may move on. */
static int op_start(struct puppet *p, struct op *op)
{
	if (p->mover >= 0)
		drop_mover(p);
	chan_reply(p->chan, take_id(op), 0, NULL, NULL, NULL, 0);
	beat(p, "ok");
	if (p->is_silent)
		beat(p, "lost");
	return 0;
}

/* ---- the channel ---- */

static const struct {
	const char *name;
	int (*fn)(struct puppet *p, struct op *op);
} ops[] = {
	{"vm.configure", op_configure},
	{"vm.lease", op_lease},
	{"vm.start", op_start},
	{"vm.pause", op_nothing},
	{"vm.info", op_nothing},
	{"vm.shutdown", op_shutdown},
	{"vm.save", op_save},
	{"vm.load", op_load},
	{"mig.out", op_out},
	{"mig.in", op_in},
	{"mig.finish", op_finish},
};

static void on_message(struct chan *chan, uint64_t id, const char *name, const struct json *message,
	int *fds, size_t n_fds, void *data)
{
	struct op op = {.id = id, .message = message, .fds = fds, .n_fds = n_fds};
	int r = -EOPNOTSUPP;

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strcmp(ops[i].name, name) == 0)
			r = ops[i].fn(data, &op);
	}
	if (r < 0)
		json_unref(take_ptr(op.reply));
	if (op.id == 0)
		return;
	chan_reply(chan, id, r, op.error[0] ? op.error : NULL, op.reply, NULL, 0);
}

static void on_close(struct chan *chan _unused_, int error _unused_, void *data)
{
	loop_stop(((struct puppet *)data)->loop);
}

int main(void)
{
	struct puppet p = {.mover = -1};

	log_init("puppet", LOG_LEVEL_INFO, STDERR_FILENO);
	if (vm_lease_init() < 0 || loop_new(&p.loop) < 0 ||
		chan_new(p.loop, CONTROL_FD, on_message, on_close, &p, &p.chan) < 0)
		return 1;
	loop_run(p.loop);
	return 0;
}
