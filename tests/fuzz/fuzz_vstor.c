/* SPDX-License-Identifier: MIT
 *
 * fuzz_vstor.c - a guest that says anything to its SCSI controller, and disks that come, go and
 * fail meanwhile. Every packet that asks for an answer gets one.
 *
 * Input: a byte - bit 0: the controller is initialised, else its channel was just opened; bit 1: no
 * two pages are neighbours - then steps {operation u8, argument u8, size u16, bytes}.
 */
#include "tests/unit/vmbus/stor_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define MAX_STEPS 64
/* Where requests read and write: small, so that inputs reach it. */
#define DATA_GPA 0x3000U

enum operation {
	INBAND,
	GPA_DIRECT,
	OTHER_PACKET,
	COMMAND, /* an SRB around the bytes, which are a descriptor */
	MEMORY,
	RING_ROOM,
	HOLD,
	RELEASE,
	FAIL,
	DEPTH,
	RESIZE,
	MEDIUM,
	ATTACH,
	DETACH,
	REOPEN,
	N_OPERATIONS,
};

static struct stor_rig rig;
static unsigned n_asked, n_answered;

static void take_all(void)
{
	while (rig_take(&rig, 0))
		n_answered += rig.packet.type == VMBUS_PACKET_COMPLETION;
}

static void push(uint16_t type, const uint8_t *bytes, size_t n,
	const struct stor_double_range *ranges, unsigned n_ranges)
{
	stor_double_push(rig_channel(&rig, 0), type, n_asked + 1, true, bytes, n, ranges, n_ranges);
	n_asked += type == VMBUS_PACKET_INBAND || type == VMBUS_PACKET_GPA_DIRECT;
}

static void gpa_direct(uint8_t argument, const uint8_t *bytes, size_t n)
{
	const struct stor_double_range ranges[] = {{DATA_GPA + argument % 16, argument * 512U},
		{STOR_DOUBLE_MEMORY_BYTES - 0x2000 + argument * 3U, argument * 41U}};

	push(VMBUS_PACKET_GPA_DIRECT, bytes, n, ranges, argument % 3);
}

static void command(uint8_t argument, const uint8_t *bytes, size_t n)
{
	struct rig_command made = {
		.lun = argument & 3,
		.direction = argument >> 2 & 1 ? VSTOR_DATA_IN : VSTOR_DATA_OUT,
		.gpa = DATA_GPA + (argument >> 3 & 1),
		.transfer_bytes = (argument >> 4) * 1024U,
	};

	memcpy(made.cdb, bytes, MIN(n, sizeof(made.cdb)));
	n_asked++;
	rig_queue(&rig, &made);
}

/* What only waits for the disk must not be waited for. */
static void settle(void)
{
	disk_dummy_hold(rig.backend, false);
	rig_work(&rig);
}

static void reopen(void)
{
	settle();
	take_all();
	stor_double_close(rig_channel(&rig, 0));
	stor_double_open(rig_channel(&rig, 0));
	n_asked = n_answered = 0;
}

static void owner_step(enum operation operation, uint8_t argument)
{
	struct storvsp_lun lun = {.lun = argument & 3,
		.kind = argument & 4 ? STORVSP_DVD : STORVSP_DISK,
		.disk = argument & 8 ? rig.disc : rig.disk};

	settle();
	if (operation == MEDIUM)
		(void)storvsp_set_medium(
			rig.storvsp, argument & 3, argument & 8 ? rig.disc : NULL, argument & 4);
	else if (operation == ATTACH)
		(void)storvsp_attach(rig.storvsp, &lun);
	else if (operation == DETACH)
		(void)storvsp_detach(rig.storvsp, argument & 3);
	else if (operation == RESIZE) {
		disk_dummy_resize(rig.disk, (1U + argument) * RIG_BLOCK * 16);
		if (argument & 1)
			(void)storvsp_resized(rig.storvsp, 0);
	}
}

static void step(enum operation operation, uint8_t argument, const uint8_t *bytes, size_t n)
{
	switch (operation) {
	case INBAND:
		push(VMBUS_PACKET_INBAND, bytes, n, NULL, 0);
		break;
	case GPA_DIRECT:
		gpa_direct(argument, bytes, n);
		break;
	case OTHER_PACKET:
		push(argument % 16, bytes, n, NULL, 0);
		break;
	case COMMAND:
		command(argument, bytes, n);
		break;
	case MEMORY:
		memcpy(rig.bus->memory + DATA_GPA, bytes, n);
		break;
	case RING_ROOM:
		rig_channel(&rig, 0)->room = argument == 255 ? STOR_DOUBLE_NO_LIMIT : argument;
		break;
	case HOLD:
		disk_dummy_hold(rig.backend, argument & 1);
		break;
	case RELEASE:
		(void)disk_dummy_release(rig.backend, argument);
		break;
	case FAIL:
		disk_dummy_fail(rig.backend, argument % 5, argument & 0x80 ? -ENOSPC : -EIO,
			argument >> 4 & 7);
		break;
	case DEPTH:
		disk_dummy_set_depth(rig.backend, argument);
		break;
	case REOPEN:
		reopen();
		break;
	default:
		owner_step(operation, argument);
		break;
	}
	rig_work(&rig);
	take_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	uint8_t start = reader_u8(&in);

	rig_new_blank(&rig, 1);
	rig.bus->scattered = start & 2;
	if (start & 1)
		rig_initialise(&rig, VSTOR_VERSION_62);
	else
		stor_double_open(rig_channel(&rig, 0));
	n_asked = n_answered = 0;
	for (unsigned i = 0; i < MAX_STEPS && in.left_bytes >= 4; i++) {
		uint8_t operation = reader_u8(&in);
		uint8_t argument = reader_u8(&in);
		size_t n = MIN((size_t)reader_le16(&in), in.left_bytes);

		step(operation % N_OPERATIONS, argument, reader_take(&in, n), n);
	}
	rig_channel(&rig, 0)->room = STOR_DOUBLE_NO_LIMIT;
	settle();
	take_all();
	if (n_answered != n_asked)
		abort();
	rig_free(&rig);
	return 0;
}
