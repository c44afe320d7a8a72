/* SPDX-License-Identifier: MIT
 *
 * vm_serial.c - the serial port, byte for byte: base64 in the messages to and from the service.
 */
#include "node/vm/vm.h"

#include "base/base64.h"
#include "base/clock.h"

#include <string.h>

#define PART_MAX_BYTES 32768
#define AT_ONCE_BYTES  512
#define GATHER_NS      (5 * NS_PER_MS)

void vm_serial_flush(struct vm *vm)
{
	struct buf bytes;

	pthread_mutex_lock(&vm->serial_lock);
	bytes = vm->serial;
	vm->serial = (struct buf){0};
	vm->serial_scheduled = false;
	pthread_mutex_unlock(&vm->serial_lock);
	for (size_t at = 0; at < bytes.size_bytes; at += PART_MAX_BYTES) {
		size_t n = MIN(bytes.size_bytes - at, (size_t)PART_MAX_BYTES);
		_cleanup_free_ char *text = base64_encode(bytes.data + at, n);
		struct json *message = json_object_new();

		json_set_string(message, "data", text ? text : "");
		chan_event(vm->chan, "serial", message, NULL, 0);
	}
	buf_fini(&bytes);
}

static void on_timer(void *data)
{
	vm_serial_flush(data);
}

/* A guest writes byte by byte, and a message for each would cost it dearly: what comes within a
 * moment goes together, whole lines at once. */
static void on_output(void *data)
{
	struct vm *vm = data;
	bool at_once;

	pthread_mutex_lock(&vm->serial_lock);
	at_once = vm->serial.size_bytes >= AT_ONCE_BYTES ||
		  (vm->serial.size_bytes && vm->serial.data[vm->serial.size_bytes - 1] == '\n');
	pthread_mutex_unlock(&vm->serial_lock);
	if (at_once || loop_timer_add(vm->loop, GATHER_NS, on_timer, vm, NULL) < 0)
		vm_serial_flush(vm);
}

void vm_serial_output(void *data, const void *bytes, size_t size_bytes)
{
	struct vm *vm = data;
	bool schedule;

	pthread_mutex_lock(&vm->serial_lock);
	if (vm->serial.size_bytes + size_bytes > VM_SERIAL_PENDING_MAX_BYTES) {
		vm->serial_dropped_bytes += size_bytes;
		pthread_mutex_unlock(&vm->serial_lock);
		return;
	}
	buf_bytes(&vm->serial, bytes, size_bytes);
	schedule = !vm->serial_scheduled && vm->serial.size_bytes > 0;
	vm->serial_scheduled |= schedule;
	pthread_mutex_unlock(&vm->serial_lock);
	if (schedule)
		loop_wake(vm->loop, on_output, vm);
}

/* {data: base64} or {text} */
int vm_op_serial(struct vm *vm, struct vm_request *q)
{
	const char *text = json_get_string(q->message, "text", NULL);
	const char *data = json_get_string(q->message, "data", NULL);
	struct buf bytes = {0};
	int r = text || data ? 0 : -EINVAL;

	if (data)
		r = base64_decode(data, &bytes);
	else if (text)
		buf_bytes(&bytes, text, strlen(text));
	if (r == 0 && bytes.failed)
		r = -ENOMEM;
	/* Typing interrupts the guest: not while a start puts its interrupt controllers in order.
	 */
	pthread_mutex_lock(&vm->lock);
	/* What a VM that stands still is given may be saved already: it would be lost. */
	if (r == 0 && vm->state != VM_RUNNING)
		r = -EAGAIN;
	if (r == 0)
		r = partition_serial_input(vm->partition, bytes.data, bytes.size_bytes);
	pthread_mutex_unlock(&vm->lock);
	buf_fini(&bytes);
	return r;
}
