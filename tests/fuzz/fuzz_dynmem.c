/* SPDX-License-Identifier: MIT
 *
 * fuzz_dynmem.c - a guest that says anything to dynamic memory, and states that hold anything.
 *
 * Input: a byte - bit 7: the rest is a saved state to begin with, else steps {operation u8,
 * argument u8, size u16, bytes}; bit 0: the guest is up.
 */
#include "base/clock.h"
#include "vmbus/dynmem_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define MIB       (1ULL << 20)
#define RAM_PAGES (1024 * MIB / 4096)
#define HOT_FIRST (4096 * MIB / 4096)
#define MAX_STEPS 256

static struct dynmem_core core;
static uint64_t now_ns, hot_pages;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool is_ram(_unused_ void *data, uint64_t first, uint64_t n_pages)
{
	if (first >= HOT_FIRST)
		return first - HOT_FIRST + n_pages <= hot_pages;
	return first + n_pages <= RAM_PAGES;
}

static const struct dynmem_core_config config = {
	.start_bytes = 1024 * MIB,
	.limits = {.min_bytes = 256 * MIB, .max_bytes = 4096 * MIB},
	.is_ram = is_ram,
};

/* As the device does: release, make, send. */
static void work(void)
{
	uint8_t message[DYNMEM_MAX_MESSAGE_BYTES];
	uint64_t size_bytes;
	size_t n;

	for (size_t i = 0; i < core.n_released; i++)
		must(is_ram(NULL, core.released[i].first, core.released[i].n_pages));
	core.n_released = 0;
	size_bytes = dynmem_core_wants_bytes(&core, now_ns);
	if (size_bytes) {
		must(size_bytes % DYNMEM_HOT_ADD_BYTES == 0);
		must(hot_pages + size_bytes / 4096 < 1ULL << 32);
		dynmem_core_made(&core, now_ns, 0, HOT_FIRST + hot_pages, size_bytes / 4096);
		hot_pages += size_bytes / 4096;
	}
	while ((n = dynmem_core_send(&core, now_ns, message)))
		must(n <= sizeof(message) && load_le16(message + 2) == n);
	must(dynmem_core_deadline_ns(&core, now_ns) > now_ns);
	must(core.ballooned.n_pages <= RAM_PAGES + hot_pages);
	must(core.ballooned.n_runs <= DYNMEM_MAX_RUNS);
}

static void receive(const uint8_t *bytes, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1);

	must(exact);
	if (n)
		memcpy(exact, bytes, n);
	dynmem_core_receive(&core, now_ns, exact, n);
	free(exact);
}

static void say(uint16_t type, const uint8_t *bytes, size_t n)
{
	struct buf message = {0};

	buf_le16(&message, type);
	buf_le16(&message, (uint16_t)(n + sizeof(struct dynmem_header)));
	buf_le32(&message, 1);
	buf_bytes(&message, bytes, n);
	receive(message.data, message.size_bytes);
	buf_fini(&message);
}

static int restore(struct reader *in, bool open)
{
	const struct dynmem_limits limits = core.limits;

	/* The other side's owner has set the same limits. */
	dynmem_core_fini(&core);
	dynmem_core_init(&core, &config);
	must(dynmem_core_set_limits(&core, &limits) == 0);
	return dynmem_core_restore(&core, in, open);
}

static void move(void)
{
	bool open = core.phase != DYNMEM_CLOSED;
	struct buf saved = {0}, again = {0};
	struct reader in;

	dynmem_core_save(&core, &saved);
	in = reader_make(saved.data, saved.size_bytes);
	must(restore(&in, open) == 0 && reader_done(&in));
	dynmem_core_save(&core, &again);
	must(saved.size_bytes == again.size_bytes &&
		!memcmp(saved.data, again.data, saved.size_bytes));
	buf_fini(&saved);
	buf_fini(&again);
}

static void up(void)
{
	static const uint8_t version[8] = {0, 0, 2, 0};
	static const uint8_t capabilities[24] = {0x1f};

	say(DYNMEM_VERSION_REQUEST, version, sizeof(version));
	work();
	say(DYNMEM_CAPABILITIES, capabilities, sizeof(capabilities));
	work();
}

static void step(uint8_t operation, uint8_t argument, const uint8_t *bytes, size_t n)
{
	switch (operation % 7) {
	case 0:
		receive(bytes, n);
		break;
	case 1:
		say(argument % 16, bytes, n);
		break;
	case 2:
		now_ns += argument * NS_PER_SEC;
		break;
	case 3:
		(void)dynmem_core_set_target(&core, argument * 16 * MIB);
		break;
	case 4:
		if (core.phase != DYNMEM_CLOSED)
			dynmem_core_close(&core);
		else
			dynmem_core_open(&core);
		break;
	case 5:
		move();
		break;
	case 6:
		(void)dynmem_core_set_limits(
			&core, &(struct dynmem_limits){.min_bytes = (argument & 15) * 64 * MIB,
				       .max_bytes = 1024 * MIB + (argument >> 4) * 192 * MIB});
		break;
	}
	work();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	uint8_t begin = reader_u8(&in);

	dynmem_core_init(&core, &config);
	now_ns = NS_PER_SEC;
	hot_pages = 0;
	if (begin & 0x80) {
		hot_pages = 1024 * MIB / 4096;
		if (restore(&in, true) == 0) {
			work();
			move();
		}
		dynmem_core_fini(&core);
		return 0;
	}
	dynmem_core_open(&core);
	if (begin & 1)
		up();
	for (unsigned i = 0; i < MAX_STEPS && in.left_bytes >= 4; i++) {
		uint8_t operation = reader_u8(&in);
		uint8_t argument = reader_u8(&in);
		size_t n = MIN((size_t)reader_le16(&in), in.left_bytes);

		step(operation, argument, reader_take(&in, n), n);
	}
	dynmem_core_fini(&core);
	return 0;
}
