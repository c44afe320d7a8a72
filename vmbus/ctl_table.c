/* SPDX-License-Identifier: MIT */
#include "vmbus/ctl_internal.h"

#define IN_CONNECTED (1U << CTL_CONNECTED)
#define IN_ANY       (1U << CTL_DISCONNECTED | IN_CONNECTED)

const struct ctl_row ctl_table[] = {
	{VMBUS_MSG_INITIATE_CONTACT, "INITIATE_CONTACT", sizeof(struct vmbus_msg_initiate_contact),
		0, IN_ANY, true, ctl_handle_initiate_contact},
	{VMBUS_MSG_REQUEST_OFFERS, "REQUEST_OFFERS", sizeof(struct vmbus_msg_header), 0,
		IN_CONNECTED, false, ctl_handle_request_offers},
	{VMBUS_MSG_OPEN_CHANNEL, "OPEN_CHANNEL", sizeof(struct vmbus_msg_open_channel), 0,
		IN_CONNECTED, false, ctl_handle_open},
	{VMBUS_MSG_CLOSE_CHANNEL, "CLOSE_CHANNEL", sizeof(struct vmbus_msg_relid), 0, IN_CONNECTED,
		false, ctl_handle_close},
	{VMBUS_MSG_GPADL_HEADER, "GPADL_HEADER", sizeof(struct vmbus_msg_gpadl_header), 0,
		IN_CONNECTED, false, ctl_handle_gpadl_header},
	{VMBUS_MSG_GPADL_BODY, "GPADL_BODY", sizeof(struct vmbus_msg_gpadl_body), 0, IN_CONNECTED,
		false, ctl_handle_gpadl_body},
	{VMBUS_MSG_GPADL_TEARDOWN, "GPADL_TEARDOWN", sizeof(struct vmbus_msg_gpadl_teardown), 0,
		IN_CONNECTED, false, ctl_handle_gpadl_teardown},
	/* Also after its farewell: Linux's driver lets go of its channels last. */
	{VMBUS_MSG_RELID_RELEASED, "RELID_RELEASED", sizeof(struct vmbus_msg_relid), 0, IN_ANY,
		false, ctl_handle_relid_released},
	/* Whoever asks waits without end, also before contact and before 3.0. */
	{VMBUS_MSG_UNLOAD, "UNLOAD", sizeof(struct vmbus_msg_header), 0, IN_ANY, true,
		ctl_handle_unload},
	{VMBUS_MSG_TL_CONNECT_REQUEST, "TL_CONNECT_REQUEST",
		sizeof(struct vmbus_msg_tl_connect_request), VMBUS_VERSION_5_0, IN_CONNECTED, false,
		ctl_handle_tl_connect},
	{VMBUS_MSG_MODIFY_CHANNEL, "MODIFY_CHANNEL", sizeof(struct vmbus_msg_modify_channel),
		VMBUS_VERSION_4_1, IN_CONNECTED, false, ctl_handle_modify},
};

const size_t ctl_table_len = ARRAY_LEN(ctl_table);

const struct ctl_row *ctl_table_find(uint32_t type)
{
	for (size_t i = 0; i < ctl_table_len; i++) {
		if (ctl_table[i].type == type)
			return &ctl_table[i];
	}
	return NULL;
}
