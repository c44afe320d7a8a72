/* SPDX-License-Identifier: MIT
 *
 * hv_hypercall.c - the hypercall page and what is behind it.
 *
 * The page is plain I/O, because an instruction like VMCALL is the business of the hardware below
 * and hangs where there is none. HvSignalEvent in its usual form is one OUT of the connection id,
 * which KVM turns into an eventfd without leaving the kernel; when no connection took it, the OUT
 * reaches vcpu.c, which leaves the status in RCX. Everything else is an OUT to the slow port, with
 * the guest's registers as arguments and the result in RAX. For 64-bit callers.
 */
#include "node/hv/hv.h"
#include "node/hv/ports.h"

_Static_assert(HV_DOORBELL_PORT <= 0xff && HV_HYPERCALL_PORT <= 0xff, "OUT with an 8-bit port");

#define SIGNAL_FAST (HV_CALL_SIGNAL_EVENT | HV_HYPERCALL_FAST)

static const uint8_t page_code[] = {
	0xf3, 0x0f, 0x1e, 0xfa, /*   endbr64 */
	0x48, 0x81, 0xf9,       /*   cmp $SIGNAL_FAST, %rcx */
	SIGNAL_FAST & 0xff, SIGNAL_FAST >> 8 & 0xff, SIGNAL_FAST >> 16 & 0xff,
	SIGNAL_FAST >> 24 & 0xff, 0x75, 0x0e, /*   jne slow */
	0x89, 0xd0,                           /*   mov %edx, %eax */
	0x48, 0x39, 0xd0,                     /*   cmp %rdx, %rax */
	0x75, 0x07,                           /*   jne slow (a flag number) */
	0x31, 0xc9,                           /*   xor %ecx, %ecx */
	0xe7, HV_DOORBELL_PORT,               /*   out %eax, $doorbell */
	0x89, 0xc8,                           /*   mov %ecx, %eax */
	0xc3,                                 /*   ret */
	0xe6, HV_HYPERCALL_PORT,              /* slow: out %al, $hypercall */
	0xc3,                                 /*   ret */
};

void hv_hypercall_page(uint8_t page[GPA_PAGE_SIZE])
{
	memset(page, 0xcc, GPA_PAGE_SIZE); /* int3 */
	memcpy(page, page_code, sizeof(page_code));
}

#define INPUT_MAX_BYTES  sizeof(struct hv_post_message_input)
#define FAST_INPUT_BYTES 16

static uint16_t post_message(struct hv *hv, const void *bytes)
{
	struct hv_post_message_input input;

	memcpy(&input, bytes, sizeof(input));
	/* Types from 2^31 on are the hypervisor's own. */
	if (input.payload_bytes > HV_MESSAGE_PAYLOAD_MAX_BYTES ||
		input.message_type == HV_MESSAGE_NONE || input.message_type >> 31)
		return HV_STATUS_INVALID_PARAMETER;
	return hv->ops->post_message(hv->data, input.connection_id, input.message_type,
		input.payload, input.payload_bytes);
}

static uint16_t signal_event(struct hv *hv, const void *bytes)
{
	struct hv_signal_event_input input;

	memcpy(&input, bytes, sizeof(input));
	if (input.reserved || input.flag_number >= HV_EVENT_FLAGS_PER_SINT)
		return HV_STATUS_INVALID_PARAMETER;
	return hv->ops->signal_event(hv->data, input.connection_id, input.flag_number);
}

static const struct call_row {
	uint16_t code;
	uint16_t input_bytes;
	uint16_t (*fn)(struct hv *hv, const void *input);
} call_table[] = {
	{HV_CALL_POST_MESSAGE, sizeof(struct hv_post_message_input), post_message},
	{HV_CALL_SIGNAL_EVENT, sizeof(struct hv_signal_event_input), signal_event},
};

static const struct call_row *row_find(uint16_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(call_table); i++) {
		if (call_table[i].code == code)
			return &call_table[i];
	}
	return NULL;
}

/* Copied once; whatever the guest does to its page afterwards is not seen. */
static uint16_t fetch_input(struct hv *hv, uint64_t at, void *ret_input, size_t size_bytes)
{
	if (at % 8 || at % GPA_PAGE_SIZE + size_bytes > GPA_PAGE_SIZE)
		return HV_STATUS_INVALID_ALIGNMENT;
	if (gpa_read(hv->memory, gpa(at), ret_input, size_bytes) < 0)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	return HV_STATUS_SUCCESS;
}

static bool may_call(struct hv *hv)
{
	bool is_known;

	pthread_mutex_lock(&hv->lock);
	is_known = hv->guest_os_id;
	pthread_mutex_unlock(&hv->lock);
	return is_known;
}

uint64_t hv_hypercall(struct hv *hv, uint64_t control, uint64_t input, uint64_t output)
{
	const struct call_row *row = row_find(control & HV_HYPERCALL_CODE_MASK);
	uint8_t bytes[INPUT_MAX_BYTES] = {0};
	uint16_t status;

	if (!may_call(hv))
		return HV_STATUS_ACCESS_DENIED;
	if (!row)
		return HV_STATUS_INVALID_HYPERCALL_CODE;
	/* None of the calls repeats, nests or has a variable header. */
	if (control & ~(HV_HYPERCALL_CODE_MASK | HV_HYPERCALL_FAST))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	if (control & HV_HYPERCALL_FAST) {
		if (row->input_bytes > FAST_INPUT_BYTES)
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		store_le64(bytes, input);
		store_le64(bytes + sizeof(input), output);
	} else {
		status = fetch_input(hv, input, bytes, row->input_bytes);
		if (status != HV_STATUS_SUCCESS)
			return status;
	}
	return row->fn(hv, bytes);
}
