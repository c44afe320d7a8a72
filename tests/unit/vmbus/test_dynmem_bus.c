/* SPDX-License-Identifier: MIT
 *
 * Dynamic memory on the real bus: channel, worker and ops, and moving in the middle of it.
 */
#include "base/bytes.h"
#include "channel_rig.h"
#include "vmbus/dynmem.h"
#include "vmbus/proto/dynmem.h"
#include "vmbus/proto/guids.h"

#include <sys/mman.h>

#define MIB       (1ULL << 20)
#define N_PAGES   2048
#define HOT_FIRST (4096 * MIB)
#define HOT_BYTES (1024 * MIB)

struct rig {
	struct fake_guest guest;
	struct dynmem *dynmem;
	struct fake_channel channel;
	struct buf saved;

	uint8_t packet[VMBUS_MAX_PACKET_BYTES];
	const uint8_t *message;

	void *hot; /* where memory is added */

	/* What ops were asked for, atomic. */
	uint64_t released_bytes, hot_bytes;
	int release_error;
};

static int on_release(void *data, gpa_t first, uint64_t size_bytes)
{
	struct rig *rig = data;

	if (rig->release_error)
		return rig->release_error;
	assert_true(first.v >= GUEST_MEMORY_BASE);
	assert_true(first.v + size_bytes <= GUEST_MEMORY_BASE + N_PAGES * GPA_PAGE_SIZE);
	__atomic_add_fetch(&rig->released_bytes, size_bytes, __ATOMIC_ACQ_REL);
	return 0;
}

static int on_hot_add(void *data, uint64_t size_bytes, gpa_t *ret_first)
{
	struct rig *rig = data;

	ret_first->v = HOT_FIRST + rig->hot_bytes;
	__atomic_add_fetch(&rig->hot_bytes, size_bytes, __ATOMIC_ACQ_REL);
	return 0;
}

static const struct dynmem_ops ops = {.release = on_release, .hot_add = on_hot_add};

static void new_dynmem(struct rig *rig)
{
	struct dynmem_config config = {
		.start_bytes = 1024 * MIB,
		.limits = {.min_bytes = 1025 * MIB, .max_bytes = 2048 * MIB},
		.ops = &ops,
		.data = rig,
	};

	assert_int_equal(dynmem_new(rig->guest.bus, &config, &rig->dynmem), -EINVAL);
	config.limits.min_bytes = 512 * MIB;
	assert_int_equal(dynmem_new(rig->guest.bus, &config, &rig->dynmem), 0);
	assert_int_equal(dynmem_register_unit(rig->dynmem, rig->guest.units), 0);
}

static struct dynmem_info info(struct rig *rig)
{
	struct dynmem_info now;

	dynmem_get_info(rig->dynmem, &now);
	return now;
}

static void take(struct rig *rig, uint16_t type)
{
	int n = fake_channel_recv(&rig->channel, rig->packet, sizeof(rig->packet));
	struct vmbus_packet_descriptor descriptor;

	assert_true(n >= (int)(sizeof(descriptor) + sizeof(struct dynmem_header)));
	memcpy(&descriptor, rig->packet, sizeof(descriptor));
	assert_int_equal(descriptor.type, VMBUS_PACKET_INBAND);
	assert_int_equal(descriptor.flags, 0);
	rig->message = rig->packet + sizeof(descriptor);
	assert_int_equal(load_le16(rig->message), type);
}

static void say(struct rig *rig, uint16_t type, const void *body, size_t body_bytes)
{
	uint8_t bytes[256] = {0};

	store_le16(bytes, type);
	store_le16(bytes + 2, (uint16_t)(sizeof(struct dynmem_header) + body_bytes));
	if (body_bytes)
		memcpy(bytes + sizeof(struct dynmem_header), body, body_bytes);
	assert_true(fake_channel_try_send(&rig->channel, VMBUS_PACKET_INBAND, 0, NULL, 0, bytes,
		ALIGN_UP(sizeof(struct dynmem_header) + body_bytes, 8UL)));
}

static int setup(void **state)
{
	static const uint8_t class_guid[] = VMBUS_GUID_DYNAMIC_MEMORY;
	const uint64_t capabilities[] = {
		DYNMEM_CAP_BALLOON | DYNMEM_CAP_HOT_ADD | 7U << DYNMEM_CAP_ALIGNMENT_SHIFT, 0, 0};
	const struct fake_open how = {.gpadl_id = 0xe1e10, .n_ring_pages = 5, .target_vp = 1};
	static struct rig rig;
	struct vmbus_msg_offer_channel offer;

	memset(&rig, 0, sizeof(rig));
	fake_guest_init(&rig.guest, N_PAGES);
	rig.hot = mmap(
		NULL, HOT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(rig.hot != MAP_FAILED);
	assert_int_equal(
		gpa_space_add(rig.guest.memory.space, gpa(HOT_FIRST), HOT_BYTES, rig.hot), 0);
	new_dynmem(&rig);
	fake_guest_start(&rig.guest);
	fake_guest_connect(&rig.guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig.guest, &offer, 1), 1);
	assert_memory_equal(offer.class_guid, class_guid, sizeof(class_guid));
	assert_int_equal(fake_channel_open(&rig.guest, &offer, &how, &rig.channel), 0);
	rig.channel.no_completions = true;
	say(&rig, DYNMEM_VERSION_REQUEST, (uint32_t[]){DYNMEM_VERSION_2_0, 0}, 8);
	take(&rig, DYNMEM_VERSION_RESPONSE);
	say(&rig, DYNMEM_CAPABILITIES, capabilities, sizeof(capabilities));
	take(&rig, DYNMEM_CAPABILITIES_RESPONSE);
	take(&rig, DYNMEM_INFO);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fake_guest_stop(&rig->guest);
	dynmem_free(rig->dynmem);
	fake_guest_fini(&rig->guest);
	munmap(rig->hot, HOT_BYTES);
	buf_fini(&rig->saved);
	return 0;
}

static void say_ballooned(struct rig *rig, uint32_t page, uint32_t n_pages)
{
	const uint64_t body[] = {1ULL << 33, dynmem_range(guest_pfn(page), n_pages)};

	say(rig, DYNMEM_BALLOON_RESPONSE, body, sizeof(body));
}

static void test_balloon(void **state)
{
	struct rig *rig = *state;

	assert_true(info(rig).connected);
	assert_int_equal(dynmem_set_target(rig->dynmem, 511 * MIB), -EINVAL);
	assert_int_equal(dynmem_set_target(rig->dynmem, 1020 * MIB), 0);
	take(rig, DYNMEM_BALLOON_REQUEST);
	assert_int_equal(load_le32(rig->message + 8), 1024);
	say_ballooned(rig, 512, 1024);
	wait_until(__atomic_load_n(&rig->released_bytes, __ATOMIC_ACQUIRE) == 4 * MIB);
	assert_int_equal(info(rig).ballooned_bytes, 4 * MIB);
	assert_int_equal(info(rig).assigned_bytes, 1020 * MIB);
	assert_int_equal(info(rig).target_bytes, 1020 * MIB);
	assert_int_equal(dynmem_set_target(rig->dynmem, 1024 * MIB), 0);
	take(rig, DYNMEM_UNBALLOON_REQUEST);
	assert_int_equal(load_le64(rig->message + 16), dynmem_range(guest_pfn(512), 1024));
	say(rig, DYNMEM_UNBALLOON_RESPONSE, NULL, 0);
	/* Outside its memory. */
	assert_int_equal(dynmem_set_target(rig->dynmem, 1022 * MIB), 0);
	take(rig, DYNMEM_BALLOON_REQUEST);
	say_ballooned(rig, N_PAGES - 256, 512);
	wait_until(info(rig).n_protocol_errors == 1);
	assert_int_equal(rig->released_bytes, 4 * MIB);
	assert_int_equal(info(rig).ballooned_bytes, 0);
	/* Within, but no RAM. */
	assert_int_equal(dynmem_set_target(rig->dynmem, 1020 * MIB), 0);
	take(rig, DYNMEM_BALLOON_REQUEST);
	rig->release_error = -EINVAL;
	say_ballooned(rig, 512, 1024);
	wait_until(info(rig).n_protocol_errors == 2);
	assert_int_equal(info(rig).ballooned_bytes, 0);
	/* It is gone, and has it all again. */
	vmbus_reset(rig->guest.bus);
	assert_false(info(rig).connected);
	assert_int_equal(info(rig).assigned_bytes, 1024 * MIB);
}

static void test_status(void **state)
{
	struct rig *rig = *state;
	const uint64_t status[] = {300 * 256, 700 * 256, 0, 0, 0};

	say(rig, DYNMEM_STATUS, status, sizeof(status));
	wait_until(info(rig).demand_bytes == 700 * MIB);
	assert_int_equal(info(rig).available_bytes, 300 * MIB);
	assert_int_equal(info(rig).target_bytes, 1024 * MIB);
}

/* Pressure makes memory. */
static void test_hot_add(void **state)
{
	struct rig *rig = *state;
	const uint64_t status[] = {10 * 256, 1000 * 256, 0, 0, 0};

	say(rig, DYNMEM_STATUS, status, sizeof(status));
	take(rig, DYNMEM_HOT_ADD_REQUEST);
	assert_int_equal(load_le64(rig->message + 8), dynmem_range(HOT_FIRST / 4096, 256 * 256));
	say(rig, DYNMEM_HOT_ADD_RESPONSE, (uint32_t[]){256 * 256, 1}, 8);
	wait_until(info(rig).added_bytes == 256 * MIB);
	assert_int_equal(rig->hot_bytes, 256 * MIB);
	assert_int_equal(info(rig).assigned_bytes, 1280 * MIB);
}

static int move(struct rig *rig)
{
	struct reader in;

	fake_guest_stop(&rig->guest);
	buf_reset(&rig->saved);
	assert_int_equal(unit_save_all(rig->guest.units, &rig->saved), 0);
	dynmem_free(rig->dynmem);
	fake_guest_free_bus(&rig->guest);
	memset(rig->guest.flags, 0, sizeof(rig->guest.flags));
	fake_guest_new_bus(&rig->guest);
	rig->released_bytes = 0;
	new_dynmem(rig);
	in = reader_make(rig->saved.data, rig->saved.size_bytes);
	return unit_restore_all(rig->guest.units, &in, NULL);
}

static void test_move(void **state)
{
	struct rig *rig = *state;

	/* With memory added, and a balloon that is just being filled. */
	assert_int_equal(dynmem_set_target(rig->dynmem, 1152 * MIB), 0);
	take(rig, DYNMEM_HOT_ADD_REQUEST);
	say(rig, DYNMEM_HOT_ADD_RESPONSE, (uint32_t[]){128 * 256, 1}, 8);
	wait_until(info(rig).added_bytes == 128 * MIB);
	assert_int_equal(dynmem_set_target(rig->dynmem, 1150 * MIB), 0);
	take(rig, DYNMEM_BALLOON_REQUEST);
	assert_int_equal(move(rig), 0);
	/* Whoever has the memory brings it back. */
	assert_int_equal(rig->hot_bytes, 128 * MIB);
	assert_int_equal(info(rig).added_bytes, 128 * MIB);
	fake_guest_start(&rig->guest);
	say_ballooned(rig, 512, 512);
	wait_until(info(rig).assigned_bytes == 1150 * MIB);
	/* What is in the balloon is given back there too. */
	assert_int_equal(move(rig), 0);
	assert_int_equal(rig->released_bytes, 2 * MIB);
	assert_int_equal(info(rig).assigned_bytes, 1150 * MIB);
	fake_guest_start(&rig->guest);
	assert_int_equal(dynmem_set_target(rig->dynmem, 1152 * MIB), 0);
	take(rig, DYNMEM_UNBALLOON_REQUEST);
	assert_int_equal(info(rig).n_protocol_errors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_balloon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hot_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
