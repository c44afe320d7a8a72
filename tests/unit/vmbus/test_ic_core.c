/* SPDX-License-Identifier: MIT
 *
 * What integration services share - negotiation, transactions, patience, hostile answers - by
 * heartbeat and shutdown.
 */
#include "ic_rig.h"
#include "vmbus/ic_heartbeat.h"
#include "vmbus/ic_shutdown.h"

static struct ic_heartbeat_core heartbeat;
static struct ic_shutdown_core shutdown_service;

static int setup_heartbeat(void **state)
{
	static struct ic_rig rig;

	ic_heartbeat_init(&heartbeat);
	ic_rig_init(&rig, &heartbeat.core);
	*state = &rig;
	return 0;
}

static int setup_shutdown(void **state)
{
	static struct ic_rig rig;

	ic_shutdown_init(&shutdown_service);
	ic_rig_init(&rig, &shutdown_service.core);
	*state = &rig;
	return 0;
}

static void test_negotiation(void **state)
{
	static const struct ic_version frames[] = {{3, 0}, {1, 0}};
	static const struct ic_version services[] = {{3, 2}, {3, 1}, {3, 0}, {1, 0}};
	struct ic_rig *rig = *state;
	struct ic_negotiate negotiate;

	assert_false(ic_rig_fetch(rig));
	assert_int_equal(ic_core_deadline_ns(rig->core, true), IC_NEVER);
	ic_core_open(rig->core);
	assert_int_equal(ic_core_deadline_ns(rig->core, true), 0);
	assert_int_equal(ic_core_deadline_ns(rig->core, false), IC_NEVER);
	assert_true(ic_rig_fetch(rig));
	assert_int_equal(rig->header.type, IC_MESSAGE_NEGOTIATE);
	assert_int_equal(rig->header.body_bytes, sizeof(negotiate) + 6 * sizeof(frames[0]));
	memcpy(&negotiate, rig->body, sizeof(negotiate));
	assert_int_equal(negotiate.n_frame_versions, 2);
	assert_int_equal(negotiate.n_message_versions, 4);
	assert_memory_equal(rig->body + sizeof(negotiate), frames, sizeof(frames));
	assert_memory_equal(
		rig->body + sizeof(negotiate) + sizeof(frames), services, sizeof(services));

	/* Drivers that wait for their daemon take a minute and more; nothing is said twice. */
	ic_rig_pass(rig, 3600 * NS_PER_SEC);
	assert_false(ic_rig_fetch(rig));
	assert_int_equal(ic_core_deadline_ns(rig->core, true), IC_NEVER);
	rig->header.type = IC_MESSAGE_NEGOTIATE;
	ic_rig_choose(rig, frames[1], services[2]);
	assert_int_equal(rig->core->phase, IC_READY);
	assert_int_equal(rig->core->frame_version.major, 1);
	assert_int_equal(rig->core->message_version.major, 3);
	assert_int_equal(rig->core->message_version.minor, 0);
	assert_int_equal(rig->core->n_requests, 1);
	assert_int_equal(rig->core->n_answers, 1);
	assert_int_equal(rig->core->n_protocol_errors, 0);
	/* A driver that is loaded again. */
	ic_core_close(rig->core);
	assert_int_equal(rig->core->phase, IC_CLOSED);
	ic_rig_up(rig);
	assert_int_equal(rig->core->message_version.minor, 2);
}

/* Each answer, and what becomes of it. */
static void test_negotiation_answers(void **state)
{
	static const struct {
		uint16_t n_frame, n_message;
		struct ic_version frame, message;
		size_t size_bytes;
		enum ic_phase phase;
		unsigned n_errors;
	} cases[] = {
		{0, 0, {0, 0}, {0, 0}, 16, IC_REFUSED, 0},
		{1, 0, {3, 0}, {0, 0}, 16, IC_REFUSED, 0},
		{0, 1, {0, 0}, {3, 2}, 16, IC_REFUSED, 0},
		{0, 0, {0, 0}, {0, 0}, 8, IC_REFUSED, 0},
		{0, 0, {0, 0}, {0, 0}, 7, IC_NEGOTIATING, 1},
		{0, 0, {0, 0}, {0, 0}, 0, IC_NEGOTIATING, 1},
		{1, 1, {3, 0}, {3, 2}, 15, IC_REFUSED, 1},
		{1, 1, {3, 0}, {3, 2}, 8, IC_REFUSED, 1},
		{2, 1, {3, 0}, {3, 2}, 16, IC_REFUSED, 1},
		{0xffff, 0xffff, {3, 0}, {3, 2}, 16, IC_REFUSED, 1},
		{1, 1, {3, 1}, {3, 2}, 16, IC_REFUSED, 1},
		{1, 1, {3, 0}, {3, 3}, 16, IC_REFUSED, 1},
		{1, 1, {3, 0}, {0, 0}, 16, IC_REFUSED, 1},
		{1, 1, {3, 0}, {3, 1}, 16, IC_READY, 0},
	};
	struct ic_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct {
			struct ic_negotiate negotiate;
			struct ic_version frame, message;
		} body = {{cases[i].n_frame, cases[i].n_message, 0}, cases[i].frame,
			cases[i].message};

		setup_shutdown(state);
		ic_core_open(rig->core);
		assert_true(ic_rig_fetch(rig));
		ic_rig_answer(rig, IC_STATUS_OK, &body, cases[i].size_bytes);
		assert_int_equal(rig->core->phase, cases[i].phase);
		assert_int_equal(rig->core->n_protocol_errors, cases[i].n_errors);
		assert_false(ic_rig_fetch(rig));
	}
}

static void test_heartbeat(void **state)
{
	struct ic_rig *rig = *state;
	struct ic_heartbeat_body body;

	assert_int_equal(heartbeat.state, IC_HEARTBEAT_NO_CONTACT);
	ic_rig_up(rig);
	assert_int_equal(heartbeat.state, IC_HEARTBEAT_OK);
	for (unsigned i = 1; i <= 100; i++) {
		ic_rig_expect(rig);
		assert_int_equal(rig->header.body_bytes, 40);
		memcpy(&body, rig->body, sizeof(body));
		assert_int_equal(body.sequence, i);
		body.sequence++;
		ic_rig_answer(rig, IC_STATUS_OK, &body, sizeof(body));
		assert_false(ic_rig_fetch(rig));
		assert_int_equal(
			ic_core_deadline_ns(rig->core, true), rig->time.now_ns + 2 * NS_PER_SEC);
		ic_rig_pass(rig, 2 * NS_PER_SEC);
	}
	assert_int_equal(heartbeat.state, IC_HEARTBEAT_OK);
	assert_int_equal(rig->core->n_requests, 101);
	assert_int_equal(rig->core->n_answers, 101);
	assert_int_equal(rig->core->n_protocol_errors, 0);
	ic_core_close(rig->core);
	assert_int_equal(heartbeat.state, IC_HEARTBEAT_NO_CONTACT);
	assert_int_equal(ic_core_deadline_ns(rig->core, true), IC_NEVER);
}

static void test_heartbeat_lost(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	ic_rig_expect(rig);
	/* Also when the ring is full. */
	assert_int_equal(ic_core_deadline_ns(rig->core, false), rig->time.now_ns + 15 * NS_PER_SEC);
	ic_rig_pass(rig, 15 * NS_PER_SEC - 1);
	assert_int_equal(heartbeat.state, IC_HEARTBEAT_OK);
	ic_rig_pass(rig, 1);
	assert_int_equal(heartbeat.state, IC_HEARTBEAT_LOST);
	assert_int_equal(ic_core_deadline_ns(rig->core, true), IC_NEVER);
	/* A guest that hangs is not asked again. */
	ic_rig_pass(rig, 3600 * NS_PER_SEC);
	assert_false(ic_core_send(rig->core, &rig->time, (uint8_t[IC_MAX_MESSAGE_BYTES]){0}));
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	assert_int_equal(heartbeat.state, IC_HEARTBEAT_OK);
	ic_rig_expect(rig);
}

static void ask_shutdown(struct ic_rig *rig, enum ic_power power, bool force, const char *reason)
{
	const struct ic_ask ask = {.done = ic_rig_done, .data = rig};

	assert_int_equal(ic_shutdown_ask(&shutdown_service, power, force, reason, &ask), 0);
	assert_int_equal(ic_shutdown_ask(&shutdown_service, power, force, reason, &ask), -EBUSY);
}

static void test_shutdown(void **state)
{
	static const struct {
		enum ic_power power;
		bool force;
		uint32_t flags;
	} cases[] = {{IC_POWER_OFF, false, 0}, {IC_POWER_OFF, true, 1}, {IC_POWER_REBOOT, false, 2},
		{IC_POWER_REBOOT, true, 3}, {IC_POWER_HIBERNATE, false, 4}};
	const struct ic_ask ask = {.done = ic_rig_done};
	struct ic_rig *rig = *state;
	struct ic_shutdown_body body;

	assert_int_equal(
		ic_shutdown_ask(&shutdown_service, IC_POWER_OFF, false, "", &ask), -ENOTCONN);
	ic_rig_up(rig);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ic_core_deadline_ns(rig->core, true), IC_NEVER);
		ask_shutdown(rig, cases[i].power, cases[i].force, "mains");
		ic_rig_expect(rig);
		assert_int_equal(rig->header.body_bytes, 2060);
		memcpy(&body, rig->body, sizeof(body));
		assert_int_equal(body.flags, cases[i].flags);
		assert_memory_equal(body.text, u"mains", sizeof(u"mains"));
		ic_rig_answer(rig, i % 2 ? IC_STATUS_FAIL : IC_STATUS_OK, NULL, 0);
		ic_rig_tell(&shutdown_service.finished);
		assert_int_equal(rig->n_done, i + 1);
		assert_int_equal(rig->error, i % 2 ? -EREMOTEIO : 0);
		assert_false(ic_rig_fetch(rig));
	}
}

static void test_patience(void **state)
{
	struct ic_rig *rig = *state;
	struct ic_rig late;

	ic_rig_up(rig);
	ask_shutdown(rig, IC_POWER_OFF, false, "");
	ic_rig_expect(rig);
	late = *rig;
	assert_int_equal(ic_core_deadline_ns(rig->core, true), rig->time.now_ns + 30 * NS_PER_SEC);
	ic_rig_pass(rig, 30 * NS_PER_SEC - 1);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->n_done, 0);
	ic_rig_pass(rig, 1);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->n_done, 1);
	assert_int_equal(rig->error, -ETIMEDOUT);

	/* The late answer is no answer to the next request. */
	ask_shutdown(rig, IC_POWER_OFF, true, "");
	ic_rig_expect(rig);
	ic_rig_answer(&late, IC_STATUS_FAIL, NULL, 0);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->n_done, 1);
	assert_int_equal(rig->core->n_protocol_errors, 0);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->n_done, 2);
	assert_int_equal(rig->error, 0);
	/* Nor is a second one to the same. */
	ic_rig_answer(rig, IC_STATUS_FAIL, NULL, 0);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->n_done, 2);
}

static void test_closed_while_asked(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	ask_shutdown(rig, IC_POWER_OFF, false, "");
	ic_core_close(rig->core);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->error, -ECANCELED);
	ic_rig_up(rig);
	assert_false(ic_rig_fetch(rig));
	ask_shutdown(rig, IC_POWER_OFF, false, "");
	ic_rig_expect(rig);
	ic_core_close(rig->core);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->n_done, 2);
	assert_int_equal(rig->error, -ECANCELED);
}

static void set(struct ic_rig *rig, size_t at, uint16_t v)
{
	store_le16(rig->message + at, v);
}

static void unanswered(struct ic_rig *rig, uint64_t n_errors)
{
	ic_rig_push(rig, rig->message, rig->size_bytes);
	assert_int_equal(rig->core->n_protocol_errors, n_errors);
	assert_true(rig->core->asked);
}

static void test_hostile_answers(void **state)
{
	struct ic_rig *rig = *state;
	struct ic_rig good;

	ic_rig_up(rig);
	ic_rig_expect(rig);
	/* Its own request. */
	unanswered(rig, 1);
	rig->message[25] = IC_FLAG_RESPONSE | IC_FLAG_REQUEST;
	unanswered(rig, 2);
	rig->message[25] = 0;
	unanswered(rig, 3);
	rig->message[25] = IC_FLAG_TRANSACTION | IC_FLAG_RESPONSE;
	good = *rig;
	/* Truncated everywhere. */
	for (size_t n = 0; n < good.size_bytes; n++) {
		rig->size_bytes = n;
		unanswered(rig, 4 + n);
	}
	rig->core->n_protocol_errors = 0;
	rig->size_bytes = good.size_bytes;
	/* Another type: of the pipe, of the message, or negotiation once more. */
	set(rig, 0, 2);
	unanswered(rig, 1);
	*rig = good;
	set(rig, 12, IC_MESSAGE_VSS);
	unanswered(rig, 2);
	set(rig, 12, IC_MESSAGE_NEGOTIATE);
	unanswered(rig, 3);
	*rig = good;
	/* Sizes that contradict each other. */
	set(rig, 4, (uint16_t)rig->size_bytes);
	unanswered(rig, 4);
	*rig = good;
	set(rig, 18, 41);
	unanswered(rig, 5);
	set(rig, 18, 0xffff);
	unanswered(rig, 6);
	*rig = good;
	/* Somebody else's transaction is ignored. */
	rig->message[24]++;
	unanswered(rig, 6);
	/* A body that is too short is an answer that makes no sense. */
	*rig = good;
	set(rig, 18, 7);
	ic_rig_push(rig, rig->message, rig->size_bytes);
	assert_int_equal(rig->core->n_protocol_errors, 7);
	assert_false(rig->core->asked);
	/* Nobody listens while it is closed. */
	ic_core_close(rig->core);
	ic_rig_push(rig, rig->message, 3);
	assert_int_equal(rig->core->n_protocol_errors, 7);
}

static void save(struct buf *out)
{
	buf_reset(out);
	ic_heartbeat_save(&heartbeat, out);
	assert_false(out->failed);
}

static int restore(const uint8_t *bytes, size_t size_bytes, bool open)
{
	struct reader in = reader_make(bytes, size_bytes);
	int r;

	ic_heartbeat_init(&heartbeat);
	r = ic_heartbeat_restore(&heartbeat, &in, open);
	return r == 0 && !reader_done(&in) ? -EBADMSG : r;
}

static void test_state(void **state)
{
	struct ic_rig *rig = *state;
	struct buf saved = {0};

	/* Closed, negotiating, ready. */
	save(&saved);
	assert_int_equal(restore(saved.data, saved.size_bytes, true), -EBADMSG);
	assert_int_equal(restore(saved.data, saved.size_bytes, false), 0);
	ic_core_open(rig->core);
	assert_true(ic_rig_fetch(rig));
	ic_core_cancel(rig->core, &rig->time);
	save(&saved);
	assert_int_equal(restore(saved.data, saved.size_bytes, false), -EBADMSG);
	assert_int_equal(restore(saved.data, saved.size_bytes, true), 0);
	/* The guest's answer to the source reaches the target. */
	ic_rig_choose(rig, (struct ic_version){3, 0}, (struct ic_version){3, 0});
	assert_int_equal(heartbeat.state, IC_HEARTBEAT_OK);
	ic_rig_expect(rig);
	ic_core_cancel(rig->core, &rig->time);
	save(&saved);
	assert_int_equal(restore(saved.data, saved.size_bytes, true), 0);
	ic_heartbeat_resume(&heartbeat, rig->time.now_ns);
	assert_int_equal(heartbeat.state, IC_HEARTBEAT_OK);
	/* But one to a request of before is ignored. */
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	assert_int_equal(heartbeat.core.n_protocol_errors, 0);
	ic_rig_expect(rig);
	assert_int_equal(load_le64(rig->body), 2);

	for (size_t n = 0; n < saved.size_bytes; n++)
		assert_int_equal(restore(saved.data, n, true), -EBADMSG);
	/* Phase, versions, what is under way, heartbeat. */
	for (size_t i = 0; i < 11; i++) {
		saved.data[i] ^= 0x40;
		if (i != 9)
			assert_int_equal(restore(saved.data, saved.size_bytes, true), -EBADMSG);
		saved.data[i] ^= 0x40;
	}
	saved.data[10] = 1;
	assert_int_equal(restore(saved.data, saved.size_bytes, true), -EBADMSG);
	saved.data[10] = 0;
	saved.data[35] = IC_HEARTBEAT_NO_CONTACT;
	assert_int_equal(restore(saved.data, saved.size_bytes, true), -EBADMSG);
	saved.data[35] = IC_HEARTBEAT_LOST + 1;
	assert_int_equal(restore(saved.data, saved.size_bytes, true), -EBADMSG);
	buf_fini(&saved);
}

static void test_cancelled_shutdown(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	ask_shutdown(rig, IC_POWER_OFF, false, "");
	ic_rig_expect(rig);
	ic_core_cancel(rig->core, &rig->time);
	ic_shutdown_cancel(&shutdown_service);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->n_done, 1);
	assert_int_equal(rig->error, -ECANCELED);
	/* One that was not sent yet. */
	ask_shutdown(rig, IC_POWER_OFF, false, "");
	ic_core_cancel(rig->core, &rig->time);
	ic_shutdown_cancel(&shutdown_service);
	ic_rig_tell(&shutdown_service.finished);
	assert_int_equal(rig->n_done, 2);
	assert_false(ic_rig_fetch(rig));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_negotiation, setup_shutdown),
		cmocka_unit_test_setup(test_negotiation_answers, setup_shutdown),
		cmocka_unit_test_setup(test_heartbeat, setup_heartbeat),
		cmocka_unit_test_setup(test_heartbeat_lost, setup_heartbeat),
		cmocka_unit_test_setup(test_shutdown, setup_shutdown),
		cmocka_unit_test_setup(test_patience, setup_shutdown),
		cmocka_unit_test_setup(test_closed_while_asked, setup_shutdown),
		cmocka_unit_test_setup(test_hostile_answers, setup_heartbeat),
		cmocka_unit_test_setup(test_state, setup_heartbeat),
		cmocka_unit_test_setup(test_cancelled_shutdown, setup_shutdown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
