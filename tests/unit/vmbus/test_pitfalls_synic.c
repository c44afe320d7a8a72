/* SPDX-License-Identifier: MIT
 *
 * Where implementations of the bus have fallen before, part two: the bus on the real SynIC - slots,
 * event flags, hypercalls, CPUID. A test for each pitfall, numbered as in test_pitfalls.c.
 */
#include "channel_rig.h"
#include "tests/unit/hv/hv_fixture.h"

#include "node/hv/cpuid.h"
#include "vmbus/ctl.h"
#include "vmbus/proto/hypercall.h"

#include <sys/eventfd.h>

#define N_VPS        FIXTURE_N_VPS
#define N_RING_PAGES 3
#define FIRST_PAGE   16 /* of the rings */
#define GPADL        9
#define VECTOR       0x31

/* A bus that posts to the SynIC of a partition, an echo device, and a guest that knows both. */
struct machine {
	struct hv_fixture *hv;
	struct vmbus *bus;
	struct unit_registry *units;
	struct echo_device echo;
	struct vmbus_msg_offer_channel offer;
	struct guest_ring to_host, from_host;
	uint32_t bell_id;
	int bell_fd;
	bool always_eom; /* without a look at the flags, which the next message may be filling */
};

static int on_post(void *host, uint32_t vp_index, const void *payload, size_t size_bytes)
{
	struct machine *m = host;

	return hv_synic_post(
		m->hv->hv, vp_index, VMBUS_SINT, HV_MESSAGE_VMBUS, payload, size_bytes);
}

static void on_signal(void *host, uint32_t vp_index, uint32_t relid)
{
	struct machine *m = host;

	(void)hv_synic_signal(m->hv->hv, vp_index, VMBUS_SINT, relid);
}

static int on_doorbell_add(void *host, uint32_t connection_id, int event_fd)
{
	struct machine *m = host;

	m->bell_id = connection_id;
	m->bell_fd = event_fd;
	return 0;
}

static void on_doorbell_remove(void *host, uint32_t connection_id, int event_fd)
{
	struct machine *m = host;

	assert_int_equal(connection_id, m->bell_id);
	assert_int_equal(event_fd, m->bell_fd);
	m->bell_id = 0;
}

static const struct vmbus_host_ops host_ops = {
	.post_message = on_post,
	.signal = on_signal,
	.doorbell_add = on_doorbell_add,
	.doorbell_remove = on_doorbell_remove,
};

static uint8_t *message_page(struct machine *m, uint32_t vp)
{
	return m->hv->ram + (1 + 2 * (size_t)vp) * GPA_PAGE_SIZE;
}

static uint8_t *slot(struct machine *m, uint32_t vp)
{
	return message_page(m, vp) + VMBUS_SINT * sizeof(struct hv_message);
}

static uint32_t slot_type(struct machine *m, uint32_t vp)
{
	return __atomic_load_n((uint32_t *)(void *)slot(m, vp), __ATOMIC_SEQ_CST);
}

static uint64_t *flag_word(struct machine *m, uint32_t vp, uint32_t relid)
{
	uint8_t *page = message_page(m, vp) + GPA_PAGE_SIZE;

	return (uint64_t *)(void *)(page + VMBUS_SINT * HV_EVENT_FLAGS_PER_SINT / 8) + relid / 64;
}

static bool flag_is_set(struct machine *m, uint32_t vp, uint32_t relid)
{
	return __atomic_load_n(flag_word(m, vp, relid), __ATOMIC_SEQ_CST) >> relid % 64 & 1;
}

static void clear_flag(struct machine *m, uint32_t vp, uint32_t relid)
{
	__atomic_fetch_and(flag_word(m, vp, relid), ~(1ULL << relid % 64), __ATOMIC_SEQ_CST);
}

static uint32_t interrupted_vp(struct machine *m)
{
	return __atomic_load_n(&m->hv->interrupted_vp, __ATOMIC_SEQ_CST);
}

static unsigned n_interrupts(struct machine *m)
{
	return __atomic_load_n(&m->hv->n_interrupts, __ATOMIC_SEQ_CST);
}

static void write_msr(struct machine *m, uint32_t vp, uint32_t msr, uint64_t value)
{
	struct hv_effects effects;

	assert_int_equal(hv_msr_write(m->hv->hv, vp, msr, value, &effects), 0);
	if (effects.freed_sints & 1U << VMBUS_SINT)
		vmbus_slot_free(m->bus, vp, VMBUS_SINT);
}

static void enable_synic(struct machine *m, uint32_t vp)
{
	const uint64_t simp = (1 + 2 * (uint64_t)vp) * GPA_PAGE_SIZE;

	write_msr(m, vp, HV_MSR_SIMP, simp | HV_MSR_PAGE_ENABLE);
	write_msr(m, vp, HV_MSR_SIEFP, (simp + GPA_PAGE_SIZE) | HV_MSR_PAGE_ENABLE);
	write_msr(m, vp, HV_MSR_SINT0 + VMBUS_SINT, VECTOR + vp);
	write_msr(m, vp, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
}

static int setup(void **state)
{
	static struct machine m;
	void *fixture;

	m = (struct machine){0};
	hv_fixture_setup(&fixture);
	m.hv = fixture;
	assert_int_equal(vmbus_new(m.hv->memory, &host_ops, &m, &m.bus), 0);
	assert_int_equal(unit_registry_new(&m.units), 0);
	assert_int_equal(vmbus_register_unit(m.bus, m.units), 0);
	echo_init(&m.echo);
	echo_offer(&m.echo, m.bus, 1);
	for (uint32_t vp = 0; vp < N_VPS; vp++)
		enable_synic(&m, vp);
	assert_int_equal(unit_start_all(m.units), 0);
	*state = &m;
	return 0;
}

static int teardown(void **state)
{
	struct machine *m = *state;

	assert_int_equal(unit_stop_all(m->units), 0);
	vmbus_offer_remove(m->echo.channel);
	unit_registry_free(m->units);
	vmbus_free(m->bus);
	assert_int_equal(m->bell_id, 0);
	return hv_fixture_teardown((void **)&m->hv);
}

/* ---- the guest ---- */

static void post(struct machine *m, const void *message, size_t size_bytes)
{
	assert_int_equal(vmbus_post(m->bus, VMBUS_CONNECTION_MESSAGES, VMBUS_MESSAGE_TYPE, message,
				 size_bytes),
		HV_STATUS_SUCCESS);
}

static bool somebody_waits(struct machine *m, uint32_t vp)
{
	const uint8_t *flags = slot(m, vp) + offsetof(struct hv_message, flags);

	return __atomic_load_n(flags, __ATOMIC_SEQ_CST) & HV_MESSAGE_PENDING;
}

/* What a guest does with a full slot: copy, clear the type, EOM when somebody waits. */
static void take(struct machine *m, uint32_t vp, uint32_t type, void *ret_message, size_t n)
{
	const uint8_t *payload = slot(m, vp) + offsetof(struct hv_message, payload);

	/* The type says that the rest is there; only the flags may still change. */
	assert_int_equal(slot_type(m, vp), HV_MESSAGE_VMBUS);
	assert_int_equal(load_le32(payload), type);
	assert_int_equal(slot(m, vp)[offsetof(struct hv_message, payload_bytes)], n);
	if (ret_message)
		memcpy(ret_message, payload, n);
	__atomic_store_n((uint32_t *)(void *)slot(m, vp), HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
	if (m->always_eom || somebody_waits(m, vp))
		write_msr(m, vp, HV_MSR_EOM, 0);
}

static void connect_on(struct machine *m, uint32_t vp)
{
	struct vmbus_msg_initiate_contact contact = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = VMBUS_VERSION_5_3,
		.target_vp = vp,
		.v5.sint = VMBUS_SINT,
	};
	struct vmbus_msg_header request = {.type = VMBUS_MSG_REQUEST_OFFERS};
	struct vmbus_msg_version_response response;

	assert_int_equal(vmbus_post(m->bus, VMBUS_CONNECTION_MESSAGES_V5, VMBUS_MESSAGE_TYPE,
				 &contact, sizeof(contact)),
		HV_STATUS_SUCCESS);
	take(m, vp, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.supported, 1);
	post(m, &request, sizeof(request));
	take(m, vp, VMBUS_MSG_OFFER_CHANNEL, &m->offer, sizeof(m->offer));
	take(m, vp, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(request));
}

static void make_rings(struct machine *m, uint32_t message_vp)
{
	uint8_t bytes[VMBUS_MSG_MAX_BYTES];
	struct vmbus_msg_gpadl_header header = {
		.header.type = VMBUS_MSG_GPADL_HEADER,
		.relid = m->offer.relid,
		.gpadl_id = GPADL,
		.range_count = 1,
		.range.byte_count = 2 * N_RING_PAGES * GPA_PAGE_SIZE,
	};
	struct vmbus_msg_gpadl_created created;

	memcpy(bytes, &header, sizeof(header));
	for (uint32_t i = 0; i < 2 * N_RING_PAGES; i++) {
		uint8_t *page = m->hv->ram + (FIRST_PAGE + i) * GPA_PAGE_SIZE;

		store_le64(bytes + sizeof(header) + 8 * (size_t)i, FIRST_PAGE + i);
		if (i < N_RING_PAGES)
			m->to_host.pages[i] = page;
		else
			m->from_host.pages[i - N_RING_PAGES] = page;
	}
	m->to_host.n_pages = m->from_host.n_pages = N_RING_PAGES;
	guest_ring_reset(&m->to_host);
	guest_ring_reset(&m->from_host);
	post(m, bytes, sizeof(header) + 16 * N_RING_PAGES);
	take(m, message_vp, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
	assert_int_equal(created.status, 0);
}

static void open_on(struct machine *m, uint32_t message_vp, uint32_t target_vp)
{
	struct vmbus_msg_open_channel open = {
		.header.type = VMBUS_MSG_OPEN_CHANNEL,
		.relid = m->offer.relid,
		.open_id = m->offer.relid,
		.ring_gpadl_id = GPADL,
		.target_vp = target_vp,
		.downstream_page_offset = N_RING_PAGES,
	};
	struct vmbus_msg_open_result result;

	make_rings(m, message_vp);
	post(m, &open, sizeof(open));
	take(m, message_vp, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result));
	assert_int_equal(result.status, 0);
}

/* Send a packet, wait for the host's flag on that VP, take the echo. */
static void echo_by(struct machine *m, uint32_t vp, uint64_t id)
{
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_INBAND,
		.flags = VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
		.transaction_id = id,
	};
	uint8_t packet[64];
	bool signal;
	int n;

	assert_true(guest_ring_send(&m->to_host, descriptor, NULL, 0, &id, sizeof(id), &signal));
	if (signal)
		eventfd_write(m->bell_fd, 1);
	do {
		wait_until(flag_is_set(m, vp, m->offer.relid));
		clear_flag(m, vp, m->offer.relid);
		n = guest_ring_recv(&m->from_host, packet, sizeof(packet), &signal);
	} while (n == 0); /* a signal too many is none too few */
	assert_int_equal(n, 24);
	assert_memory_equal(packet + 16, &id, sizeof(id));
}

/* ---- the pitfalls ---- */

static void pitfall_2_one_message_a_slot_until_eom(void **state)
{
	struct machine *m = *state;
	struct vmbus_msg_gpadl_teardown teardown_message = {
		.header.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = 1,
	};
	struct vmbus_msg_gpadl_torndown answer;
	uint8_t first[sizeof(struct hv_message)];
	unsigned before;

	connect_on(m, 0);
	teardown_message.gpadl_id = 100;
	post(m, &teardown_message, sizeof(teardown_message));
	memcpy(first, slot(m, 0), sizeof(first));
	before = n_interrupts(m);
	for (uint32_t i = 1; i < 5; i++) {
		teardown_message.gpadl_id = 100 + i;
		post(m, &teardown_message, sizeof(teardown_message));
	}
	/* Not one byte of a message that nobody took, but for the sign that more wait. */
	assert_int_equal(slot(m, 0)[offsetof(struct hv_message, flags)], HV_MESSAGE_PENDING);
	first[offsetof(struct hv_message, flags)] = HV_MESSAGE_PENDING;
	assert_memory_equal(slot(m, 0), first, sizeof(first));
	assert_int_equal(n_interrupts(m), before);

	/* An EOM too early moves nothing; one in time moves one message. */
	write_msr(m, 0, HV_MSR_EOM, 0);
	assert_memory_equal(slot(m, 0), first, sizeof(first));
	for (uint32_t i = 0; i < 5; i++) {
		take(m, 0, VMBUS_MSG_GPADL_TORNDOWN, &answer, sizeof(answer));
		assert_int_equal(answer.gpadl_id, 100 + i);
	}
	assert_int_equal(n_interrupts(m), before + 4);
	assert_int_equal(slot_type(m, 0), HV_MESSAGE_NONE);
}

/* Timers in message mode use the bus's own slot: whoever offers timers offers them without it. */
static void pitfall_2_timers_do_not_need_the_slot(void **state _unused_)
{
	static const struct kvm_cpuid_entry2 nothing = {.function = 0, .eax = 1};
	struct cpuid_table table;
	const struct kvm_cpuid_entry2 *features;

	assert_int_equal(cpuid_build(&nothing, 1, 1, &table), 0);
	features = cpuid_find(&table, HV_CPUID_FEATURES, 0);
	assert_non_null(features);
	assert_true(!(features->eax & 1U << 3) || features->edx & 1U << 19);
}

static void pitfall_4_event_bit_on_the_target_vp(void **state)
{
	struct machine *m = *state;
	struct vmbus_msg_modify_channel modify = {
		.header.type = VMBUS_MSG_MODIFY_CHANNEL,
		.target_vp = 0,
	};

	connect_on(m, 0);
	open_on(m, 0, 1);
	for (uint64_t id = 1; id < 20; id++) {
		echo_by(m, 1, id);
		assert_false(flag_is_set(m, 0, m->offer.relid));
		assert_int_equal(interrupted_vp(m), 1);
		assert_int_equal(__atomic_load_n(&m->hv->vector, __ATOMIC_SEQ_CST), VECTOR + 1);
	}
	modify.relid = m->offer.relid;
	post(m, &modify, sizeof(modify));
	/* From the answer on nothing comes to the old one. */
	take(m, 0, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, NULL,
		sizeof(struct vmbus_msg_modify_response));
	clear_flag(m, 1, m->offer.relid);
	for (uint64_t id = 1; id < 20; id++) {
		echo_by(m, 0, id);
		assert_false(flag_is_set(m, 1, m->offer.relid));
		assert_int_equal(interrupted_vp(m), 0);
	}
}

static uint64_t call(struct machine *m, uint64_t code, uint64_t input, uint64_t output)
{
	return hv_hypercall(m->hv->hv, code, input, output);
}

static void pitfall_10_unknown_connections_are_status_12(void **state)
{
	struct machine *m = *state;
	struct hv_post_message_input input = {
		.message_type = VMBUS_MESSAGE_TYPE,
		.payload_bytes = sizeof(struct vmbus_msg_header),
	};
	static const uint32_t unknown[] = {0, 2, 3, 5, 0x1000, 0x1001, 0xffffff, 0xffffffff};

	write_msr(m, 0, HV_MSR_GUEST_OS_ID, 1);
	connect_on(m, 0);
	open_on(m, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		uint8_t *at = m->hv->ram + 50 * GPA_PAGE_SIZE;

		/* The bus says so, and the hypercall passes it on. */
		m->hv->status = vmbus_post(m->bus, unknown[i], VMBUS_MESSAGE_TYPE, &input,
			sizeof(struct vmbus_msg_header));
		assert_int_equal(m->hv->status, HV_STATUS_INVALID_CONNECTION_ID);
		input.connection_id = unknown[i];
		memcpy(at, &input, sizeof(input));
		assert_int_equal(call(m, HV_CALL_POST_MESSAGE, 50 * GPA_PAGE_SIZE, 0), 0x12);
		assert_int_equal(m->hv->connection_id, unknown[i]);
		assert_int_equal(
			call(m, HV_CALL_SIGNAL_EVENT | HV_HYPERCALL_FAST, unknown[i], 0), 0x12);
	}
	assert_int_equal(slot_type(m, 0), HV_MESSAGE_NONE);
}

static void pitfall_11_nested_virtualisation_is_hidden(void **state _unused_)
{
	static const struct kvm_cpuid_entry2 supported[] = {
		{.function = 0, .eax = 0x1f},
		{.function = 1, .ecx = 0x7fffffff, .edx = 0xffffffff},
		{.function = 0x80000001, .ecx = 0xffffffff, .edx = 0xffffffff},
		{.function = 0x8000000a, .eax = 1, .edx = 0xffffffff},
		{.function = 0x4000000a, .eax = 0xffffffff},
	};
	const struct kvm_cpuid_entry2 *leaf;
	struct cpuid_table table;

	assert_int_equal(cpuid_build(supported, ARRAY_LEN(supported), 2, &table), 0);
	assert_int_equal(cpuid_find(&table, 1, 0)->ecx & 1U << 5, 0);          /* VMX */
	assert_int_equal(cpuid_find(&table, 0x80000001, 0)->ecx & 1U << 2, 0); /* SVM */
	leaf = cpuid_find(&table, 0x8000000a, 0);
	assert_true(!leaf || !(leaf->eax | leaf->edx));
	leaf = cpuid_find(&table, 0x4000000a, 0); /* nested enlightenments */
	assert_true(!leaf || !leaf->eax);
	/* Neither the hint for nested hypervisors nor the one for an enlightened VMCS. */
	leaf = cpuid_find(&table, HV_CPUID_ENLIGHTENMENTS, 0);
	assert_int_equal(leaf->eax & (1U << 12 | 1U << 14), 0);
}

#define N_POSTS 500

static void *ask_and_signal(void *data)
{
	struct machine *m = data;
	struct vmbus_msg_gpadl_teardown ask = {
		.header.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = 1,
	};

	for (uint32_t i = 0; i < N_POSTS; i++) {
		ask.gpadl_id = i;
		while (vmbus_post(m->bus, VMBUS_CONNECTION_MESSAGES, VMBUS_MESSAGE_TYPE, &ask,
			       sizeof(ask)) != HV_STATUS_SUCCESS)
			sched_yield();
		on_signal(m, 0, 64 + i % 256);
	}
	return NULL;
}

/* Several VPs post and several workers signal at once: every message arrives whole and once, no
 * flag and no interrupt is lost. */
static void pitfall_12_synic_pages_have_one_owner(void **state)
{
	struct machine *m = *state;
	unsigned n_seen[N_POSTS] = {0}, n_taken = 0;
	pthread_t threads[3];

	connect_on(m, 0);
	m->always_eom = true;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_and_signal, m), 0);
	while (n_taken < ARRAY_LEN(threads) * N_POSTS) {
		struct vmbus_msg_gpadl_torndown answer;

		wait_until(slot_type(m, 0) != HV_MESSAGE_NONE);
		take(m, 0, VMBUS_MSG_GPADL_TORNDOWN, &answer, sizeof(answer));
		assert_in_range(answer.gpadl_id, 0, N_POSTS - 1);
		assert_in_range(++n_seen[answer.gpadl_id], 1, ARRAY_LEN(threads));
		n_taken++;
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	for (uint32_t flag = 64; flag < 64 + 256; flag++)
		assert_true(flag_is_set(m, 0, flag));
	assert_int_equal(slot_type(m, 0), HV_MESSAGE_NONE);
	/* One for each message, one for each flag that was not set. */
	assert_int_equal(n_interrupts(m), 3 + n_taken + 256);
}

static void pitfall_14_connection_ids_fit_a_doorbell(void **state)
{
	struct machine *m = *state;
	const struct ctl_channel last = {.relid = VMBUS_MAX_RELID}, first = {.relid = 1};

	/* 24 bits, and none that messages travel on. */
	assert_true(ctl_event_connection(&last) < 1U << 24);
	assert_true(ctl_event_connection(&first) > VMBUS_CONNECTION_MESSAGES_V5);
	connect_on(m, 0);
	assert_int_equal(m->bell_id, 0);
	open_on(m, 0, 0);
	/* What was offered is what hangs there, and a signal with a flag number is none of it. */
	assert_int_equal(m->bell_id, m->offer.connection_id);
	write_msr(m, 0, HV_MSR_GUEST_OS_ID, 1);
	m->hv->status = HV_STATUS_SUCCESS;
	assert_int_equal(
		call(m, HV_CALL_SIGNAL_EVENT | HV_HYPERCALL_FAST, m->offer.connection_id, 0), 0);
	assert_int_equal(m->hv->connection_id, m->offer.connection_id);
	assert_int_equal(m->hv->flag, 0);
	assert_int_equal(call(m, HV_CALL_SIGNAL_EVENT | HV_HYPERCALL_FAST,
				 m->offer.connection_id | 5ULL << 32, 0),
		0);
	assert_int_equal(m->hv->flag, 5);
}

static void pitfall_15_one_vp_index_everywhere(void **state)
{
	struct machine *m = *state;

	for (uint32_t vp = 0; vp < N_VPS; vp++) {
		struct vmbus_msg_header unload = {.type = VMBUS_MSG_UNLOAD};
		uint64_t index;

		/* The number the guest reads is the one its messages, flags and interrupts obey. */
		assert_int_equal(hv_msr_read(m->hv->hv, vp, HV_MSR_VP_INDEX, &index), 0);
		assert_int_equal(index, vp);
		connect_on(m, (uint32_t)index);
		assert_int_equal(interrupted_vp(m), vp);
		for (uint32_t other = 0; other < N_VPS; other++)
			assert_int_equal(slot_type(m, other), HV_MESSAGE_NONE);
		open_on(m, vp, (uint32_t)index);
		echo_by(m, vp, 5);
		assert_int_equal(interrupted_vp(m), vp);
		post(m, &unload, sizeof(unload));
		take(m, vp, VMBUS_MSG_UNLOAD_RESPONSE, NULL, sizeof(unload));
	}
	/* One that does not exist loses its own signals, and that is all. */
	connect_on(m, 0);
	open_on(m, 0, N_VPS + 7);
	eventfd_write(m->bell_fd, 1);
	assert_int_equal(vmbus_channel_target_vp(m->echo.channel), N_VPS + 7);
}

int main(void)
{
#define pitfall(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		pitfall(pitfall_2_one_message_a_slot_until_eom),
		pitfall(pitfall_2_timers_do_not_need_the_slot),
		pitfall(pitfall_4_event_bit_on_the_target_vp),
		pitfall(pitfall_10_unknown_connections_are_status_12),
		pitfall(pitfall_11_nested_virtualisation_is_hidden),
		pitfall(pitfall_12_synic_pages_have_one_owner),
		pitfall(pitfall_14_connection_ids_fit_a_doorbell),
		pitfall(pitfall_15_one_vp_index_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
