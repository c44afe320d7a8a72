/* SPDX-License-Identifier: MIT */
#include "vmbus/stor_vstor.h"

#include <string.h>

enum {
	IN_OPEN = 1 << VSTOR_OPEN,
	IN_BEGUN = 1 << VSTOR_BEGUN,
	IN_VERSIONED = 1 << VSTOR_VERSIONED,
	IN_DESCRIBED = 1 << VSTOR_DESCRIBED,
	IN_READY = 1 << VSTOR_READY,
};

/* The handler finds the packet to be the request, and changes it into the answer; its status is
 * success unless it returns another. */
struct operation_row {
	uint32_t operation;
	uint32_t min_bytes;
	uint16_t min_version;
	unsigned phases;
	enum vstor_action action;
	uint32_t (*handle)(struct vstor *vstor, struct vstor_packet *packet, unsigned *argument);
};

bool vstor_has_version(uint16_t version)
{
	static const uint16_t versions[] = {VSTOR_VERSION_20, VSTOR_VERSION_42, VSTOR_VERSION_51,
		VSTOR_VERSION_60, VSTOR_VERSION_62};

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		if (versions[i] == version)
			return true;
	}
	return false;
}

static uint32_t handle_begin(
	struct vstor *vstor, _unused_ struct vstor_packet *packet, _unused_ unsigned *argument)
{
	vstor->phase = VSTOR_BEGUN;
	return VSTOR_STATUS_SUCCESS;
}

/* The guest tries its versions, the newest first, until one is accepted. */
static uint32_t handle_version(
	struct vstor *vstor, struct vstor_packet *packet, _unused_ unsigned *argument)
{
	if (!vstor_has_version(packet->version.version))
		return VSTOR_STATUS_REVISION_MISMATCH;
	vstor->version = packet->version.version;
	vstor->phase = VSTOR_VERSIONED;
	return VSTOR_STATUS_SUCCESS;
}

static uint32_t handle_properties(
	struct vstor *vstor, struct vstor_packet *packet, _unused_ unsigned *argument)
{
	bool multi = vstor->max_sub_channels && vstor->version >= VSTOR_VERSION_51;

	packet->properties = (struct vstor_properties){
		.max_sub_channels = (uint16_t)(multi ? vstor->max_sub_channels : 0),
		.flags = multi ? VSTOR_PROPERTY_MULTI_CHANNEL : 0,
		.max_transfer_bytes = vstor->max_transfer_bytes,
	};
	vstor->phase = VSTOR_DESCRIBED;
	return VSTOR_STATUS_SUCCESS;
}

static uint32_t handle_end(
	struct vstor *vstor, _unused_ struct vstor_packet *packet, _unused_ unsigned *argument)
{
	vstor->phase = VSTOR_READY;
	return VSTOR_STATUS_SUCCESS;
}

static uint32_t handle_create(struct vstor *vstor, struct vstor_packet *packet, unsigned *argument)
{
	if (vstor->is_sub_channel)
		return VSTOR_STATUS_INVALID_DEVICE_REQUEST;
	if (packet->n_sub_channels > vstor->max_sub_channels)
		return VSTOR_STATUS_INVALID_PARAMETER;
	*argument = packet->n_sub_channels;
	return VSTOR_STATUS_SUCCESS;
}

static uint32_t handle_reset_lun(
	_unused_ struct vstor *vstor, struct vstor_packet *packet, unsigned *argument)
{
	const struct vstor_srb *srb = &packet->srb;

	if (srb->path || srb->target)
		return VSTOR_STATUS_INVALID_PARAMETER;
	*argument = srb->lun;
	return VSTOR_STATUS_SUCCESS;
}

static uint32_t handle_reset_all(
	_unused_ struct vstor *vstor, _unused_ struct vstor_packet *packet, unsigned *argument)
{
	*argument = VSTOR_ALL_UNITS;
	return VSTOR_STATUS_SUCCESS;
}

static const struct operation_row operation_table[] = {
	{VSTOR_EXECUTE_SRB, VSTOR_OLD_PACKET_BYTES, 0, IN_READY, VSTOR_EXECUTE, NULL},
	{VSTOR_RESET_LUN, VSTOR_OLD_PACKET_BYTES, 0, IN_READY, VSTOR_RESET, handle_reset_lun},
	{VSTOR_RESET_ADAPTER, VSTOR_HEADER_BYTES, 0, IN_READY, VSTOR_RESET, handle_reset_all},
	{VSTOR_RESET_BUS, VSTOR_HEADER_BYTES, 0, IN_READY, VSTOR_RESET, handle_reset_all},
	{VSTOR_BEGIN_INIT, VSTOR_HEADER_BYTES, 0, IN_OPEN, VSTOR_ANSWER, handle_begin},
	{VSTOR_QUERY_VERSION, VSTOR_HEADER_BYTES + sizeof(struct vstor_version), 0, IN_BEGUN,
		VSTOR_ANSWER, handle_version},
	{VSTOR_QUERY_PROPERTIES, VSTOR_HEADER_BYTES, 0, IN_VERSIONED, VSTOR_ANSWER,
		handle_properties},
	{VSTOR_END_INIT, VSTOR_HEADER_BYTES, 0, IN_DESCRIBED, VSTOR_ANSWER, handle_end},
	{VSTOR_CREATE_SUB_CHANNELS, VSTOR_HEADER_BYTES + sizeof(uint16_t), VSTOR_VERSION_51,
		IN_READY, VSTOR_OFFER, handle_create},
};

static const struct operation_row *find_row(uint32_t operation)
{
	for (size_t i = 0; i < ARRAY_LEN(operation_table); i++) {
		if (operation_table[i].operation == operation)
			return &operation_table[i];
	}
	return NULL;
}

static uint32_t check(const struct vstor *vstor, const struct operation_row *row,
	size_t payload_bytes, bool moves_data)
{
	if (!row || vstor->version < row->min_version)
		return VSTOR_STATUS_INVALID_DEVICE_REQUEST;
	if (payload_bytes < row->min_bytes || (moves_data && row->action != VSTOR_EXECUTE))
		return VSTOR_STATUS_INVALID_PARAMETER;
	if (!(row->phases & 1U << vstor->phase))
		return VSTOR_STATUS_INVALID_DEVICE_STATE;
	return VSTOR_STATUS_SUCCESS;
}

enum vstor_action vstor_handle(struct vstor *vstor, const void *payload, size_t payload_bytes,
	bool moves_data, struct vstor_packet *ret_packet, unsigned *ret_argument)
{
	const struct operation_row *row;
	uint32_t status;

	memset(ret_packet, 0, sizeof(*ret_packet));
	memcpy(ret_packet, payload, MIN(payload_bytes, sizeof(*ret_packet)));
	row = find_row(ret_packet->operation);
	status = check(vstor, row, payload_bytes, moves_data);
	if (status == VSTOR_STATUS_SUCCESS) {
		if (row->action == VSTOR_EXECUTE)
			return VSTOR_EXECUTE;
		status = row->handle(vstor, ret_packet, ret_argument);
	}
	ret_packet->operation = VSTOR_COMPLETE_IO;
	ret_packet->flags = 0;
	ret_packet->status = status;
	if (status == VSTOR_STATUS_SUCCESS)
		return row->action;
	/* A version we do not have is a question answered. */
	return status == VSTOR_STATUS_REVISION_MISMATCH ? VSTOR_ANSWER : VSTOR_REFUSED;
}

/* A guest of before 5.1 gives its completions no room for more than it sends; all others expect the
 * whole union. */
size_t vstor_answer_bytes(const struct vstor *vstor, size_t payload_bytes)
{
	bool is_old = vstor->version && vstor->version < VSTOR_VERSION_51;

	if (payload_bytes)
		is_old = payload_bytes >= VSTOR_OLD_PACKET_BYTES &&
			 payload_bytes < sizeof(struct vstor_packet);
	return is_old ? VSTOR_OLD_PACKET_BYTES : sizeof(struct vstor_packet);
}

void vstor_open(struct vstor *vstor)
{
	vstor->phase = vstor->is_sub_channel ? VSTOR_READY : VSTOR_OPEN;
	vstor->version = vstor->is_sub_channel ? VSTOR_VERSION_51 : 0;
}

void vstor_close(struct vstor *vstor)
{
	vstor->phase = VSTOR_CLOSED;
	vstor->version = 0;
}
