/* SPDX-License-Identifier: MIT
 *
 * viaduct-vmhost - one virtual machine.
 *
 * Started by viaductd without privileges and with one descriptor, the control channel (3).
 * Everything else it ever uses - KVM, the kernel image, switch ports, migration sockets - arrives
 * through that channel already open. When the channel closes, so does the VM.
 */
#include "node/vm/vm.h"

#include "base/log.h"
#include "node/vm/sandbox.h"
#include "node/vm/vm_lease.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CONTROL_FD 3

static void on_close(struct chan *chan _unused_, int error, void *data)
{
	struct vm *vm = data;

	log_info("the service closed the control channel (%s)", strerror(-error));
	loop_stop(vm->loop);
}

static int serve(struct vm *vm)
{
	int r = loop_new(&vm->loop);

	if (r == 0)
		r = chan_new(vm->loop, CONTROL_FD, vm_on_message, on_close, vm, &vm->chan);
	if (r < 0)
		return r;
	loop_run(vm->loop);
	return 0;
}

int main(int argc, char **argv)
{
	struct vm vm = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.serial_lock = PTHREAD_MUTEX_INITIALIZER,
	};
	int r;

	if (argc > 2 || fcntl(CONTROL_FD, F_GETFD) < 0) {
		fprintf(stderr, "viaduct-vmhost is started by viaductd, not by hand\n");
		return 2;
	}
	log_init(argc == 2 ? argv[1] : "viaduct-vmhost", LOG_LEVEL_INFO, STDERR_FILENO);
	r = vm_lease_init();
	if (r == 0)
		r = sandbox_enter(CONTROL_FD);
	if (r == 0)
		r = serve(&vm);
	if (r < 0)
		log_error("cannot start: %s", strerror(-r));
	/* The guest's memory goes with the process; freeing every part first would only add to the
	 * time until a target may reuse the name. */
	log_fini();
	return r < 0 ? 1 : 0;
}
