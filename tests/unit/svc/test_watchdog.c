/* SPDX-License-Identifier: MIT
 *
 * When the watchdog device is armed, fed, starved and disarmed, around a device that only counts.
 */
#include "node/svc/watchdog.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/loop.h"
#include "tests/unit/base/cmocka_all.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define PATH     "/dev/watchdog7"
#define FD       1000
#define LEASE_NS (3 * NS_PER_SEC)

static struct fixture {
	struct loop *loop;
	struct watchdog *watchdog;
	char note[64];
	/* the device */
	bool is_there;
	int open_error, feed_error;
	struct watchdog_device device;
	bool is_open, is_running; /* as the hardware has it */
	unsigned n_opened, n_fed, asked_s;
	/* around it */
	struct watchdog_sight sight;
	bool orphans;
	char event[32], text[512];
	enum watchdog_level level;
	unsigned n_events;
} f;

static bool fake_exists(const char *path)
{
	return f.is_there && strcmp(path, PATH) == 0;
}

static int fake_open(const char *path)
{
	assert_false(f.is_open);
	if (f.open_error || !fake_exists(path))
		return f.open_error ? f.open_error : -ENOENT;
	f.is_open = f.is_running = true;
	f.n_opened++;
	return FD;
}

static int fake_set_up(
	int fd, const char *path _unused_, unsigned timeout_s, struct watchdog_device *ret)
{
	assert_int_equal(fd, FD);
	f.asked_s = timeout_s;
	*ret = f.device;
	ret->timeout_s = MAX(timeout_s, f.device.timeout_s);
	return 0;
}

static int fake_feed(int fd)
{
	assert_int_equal(fd, FD);
	assert_true(f.is_open);
	f.n_fed += !f.feed_error;
	return f.feed_error;
}

static void fake_close(int fd, bool disarm)
{
	assert_int_equal(fd, FD);
	assert_true(f.is_open);
	f.is_open = false;
	f.is_running = !disarm;
}

static void fake_look(struct watchdog_sight *ret, void *data)
{
	assert_ptr_equal(data, &f);
	*ret = f.sight;
}

static bool fake_orphans(void)
{
	return f.orphans;
}

static void fake_say(enum watchdog_level level, const char *id, const char *text, void *data)
{
	assert_ptr_equal(data, &f);
	snprintf(f.event, sizeof(f.event), "%s", id);
	snprintf(f.text, sizeof(f.text), "%s", text);
	f.level = level;
	f.n_events++;
}

static const struct watchdog_ops fake_ops = {fake_exists, fake_open, fake_set_up, fake_feed,
	fake_close, fake_look, fake_orphans, fake_say};

static void make(const char *device)
{
	const struct watchdog_config config = {device, f.note, LEASE_NS};

	assert_int_equal(watchdog_new(f.loop, &config, &fake_ops, &f, &f.watchdog), 0);
}

static int set_up(void **state _unused_)
{
	memset(&f, 0, sizeof(f));
	f.is_there = true;
	f.device = (struct watchdog_device){.identity = "Fake", .timeout_s = 1, .can_disarm = true};
	snprintf(f.note, sizeof(f.note), "/tmp/viaduct-test-watchdog-%d", getpid());
	return loop_new(&f.loop);
}

static int tear_down(void **state _unused_)
{
	watchdog_free(f.watchdog);
	loop_free(f.loop);
	unlink(f.note);
	return 0;
}

static void arm(void)
{
	f.sight.n_vms = 1;
	watchdog_touch(f.watchdog);
	assert_true(watchdog_is_armed(f.watchdog));
}

static void it_is_armed_while_there_are_vms(void **state _unused_)
{
	make(PATH);
	watchdog_touch(f.watchdog);
	assert_int_equal(f.n_opened, 0);
	assert_int_equal(f.n_events, 0);
	arm();
	assert_string_equal(f.event, "watchdog.armed");
	assert_int_equal(f.level, WATCHDOG_INFO);
	assert_string_equal(f.text, PATH " (Fake) resets this machine when it is not fed for 2 s");
	assert_int_equal(f.n_fed, 1);
	assert_int_equal(access(f.note, F_OK), 0);
	watchdog_touch(f.watchdog); /* the timer's business by now */
	assert_int_equal(f.n_fed, 1);
	f.sight.n_vms = 2;
	watchdog_look(f.watchdog);
	assert_int_equal(f.n_fed, 2);
	f.sight.n_vms = 0;
	watchdog_look(f.watchdog);
	assert_false(f.is_running);
	assert_string_equal(f.event, "watchdog.disarmed");
	assert_int_equal(access(f.note, F_OK), -1);
	arm();
	assert_int_equal(f.n_opened, 2);
}

static void stop(void *data)
{
	loop_stop(data);
}

static void the_loop_feeds_it_in_time(void **state _unused_)
{
	make(PATH);
	arm();
	assert_int_equal(loop_timer_add(f.loop, 1200 * NS_PER_MS, stop, f.loop, NULL), 0);
	loop_run(f.loop);
	assert_true(
		f.n_fed >= 2); /* of two seconds: twice beside the first one, if it is busy once */
}

static void what_outlives_its_lease_is_not_fed_for(void **state _unused_)
{
	make(PATH);
	arm();
	f.sight.overdue_ns = WATCHDOG_GRACE_NS;
	snprintf(f.sight.worst, sizeof(f.sight.worst), "VM1");
	watchdog_look(f.watchdog);
	assert_int_equal(f.n_fed, 2);
	f.sight.overdue_ns++;
	watchdog_look(f.watchdog);
	watchdog_look(f.watchdog);
	assert_int_equal(f.n_fed, 2);
	assert_true(f.is_running);
	assert_string_equal(f.event, "watchdog.not-fed");
	assert_int_equal(f.level, WATCHDOG_ERROR);
	assert_string_equal(f.text,
		"the process of VM VM1 is still there 500 ms after its lease ran out, and cannot "
		"be "
		"killed: " PATH " is not fed any more and resets this machine within 2 s");
	assert_int_equal(f.n_events, 2); /* once */
	/* It has ended after all. */
	f.sight.overdue_ns = 0;
	watchdog_look(f.watchdog);
	assert_int_equal(f.n_fed, 3);
	assert_string_equal(f.text, PATH " is fed again, in time");
}

static void an_end_with_such_a_process_leaves_it_armed(void **state _unused_)
{
	make(PATH);
	arm();
	watchdog_free(take_ptr(f.watchdog));
	assert_true(f.is_running);
	assert_int_equal(f.asked_s, 2);
}

static void an_end_without_vms_disarms_it(void **state _unused_)
{
	make(PATH);
	arm();
	f.sight.n_vms = 0;
	watchdog_free(take_ptr(f.watchdog));
	assert_false(f.is_running);
	assert_string_equal(f.event, "watchdog.disarmed");
}

static void one_that_cannot_be_disarmed_is_fed_on(void **state _unused_)
{
	f.device.can_disarm = false;
	make(PATH);
	arm();
	assert_int_equal(f.level, WATCHDOG_WARNING);
	assert_non_null(strstr(f.text, "nowayout"));
	f.sight.n_vms = 0;
	watchdog_look(f.watchdog);
	assert_true(f.is_open);
	assert_int_equal(f.n_fed, 2);
	/* Time for the service to come back. */
	watchdog_free(take_ptr(f.watchdog));
	assert_true(f.is_running);
	assert_int_equal(f.asked_s, 60);
}

static void what_is_missing_is_said_once(void **state _unused_)
{
	f.is_there = false;
	make("auto");
	for (unsigned i = 0; i < 3; i++)
		watchdog_touch(f.watchdog);
	assert_string_equal(f.event, "watchdog.missing");
	assert_int_equal(f.level, WATCHDOG_INFO);
	assert_non_null(strstr(f.text, "there is no /dev/watchdog: "));
	assert_int_equal(f.n_events, 1);
	watchdog_free(take_ptr(f.watchdog));
	f.n_events = 0;
	make(PATH);
	watchdog_touch(f.watchdog);
	assert_int_equal(f.level, WATCHDOG_WARNING);
	f.sight.n_vms = 1;
	watchdog_touch(f.watchdog);
	assert_int_equal(f.n_events, 1);
	/* Its module is loaded later. */
	f.is_there = true;
	watchdog_touch(f.watchdog);
	assert_true(watchdog_is_armed(f.watchdog));
}

static void one_that_others_use_is_left_to_them(void **state _unused_)
{
	f.open_error = -EBUSY;
	make(PATH);
	watchdog_touch(f.watchdog);
	assert_int_equal(f.n_events, 0);
	f.sight.n_vms = 1;
	watchdog_touch(f.watchdog);
	watchdog_touch(f.watchdog);
	assert_int_equal(f.n_events, 1);
	assert_string_equal(f.event, "watchdog.missing");
	assert_non_null(strstr(f.text, "in use by another program"));
	assert_false(watchdog_is_armed(f.watchdog));
	assert_int_equal(access(f.note, F_OK), -1);
}

static void one_that_cannot_be_fed_is_an_error(void **state _unused_)
{
	make(PATH);
	arm();
	f.feed_error = -EIO;
	watchdog_look(f.watchdog);
	watchdog_look(f.watchdog);
	assert_int_equal(f.n_events, 2);
	assert_string_equal(f.text, PATH " cannot be fed: Input/output error");
	assert_int_equal(f.level, WATCHDOG_ERROR);
}

static void none_is_none(void **state _unused_)
{
	make("none");
	f.sight.n_vms = 1;
	watchdog_touch(f.watchdog);
	assert_int_equal(f.n_opened + f.n_events, 0);
	watchdog_touch(NULL);
}

static void other_names_are_refused(void **state _unused_)
{
	static const char *const names[] = {"", "watchdog0", "Auto",
		"/dev/a/name/that/is/so/long/that/no/device/can/have/it/as/names/of/devices/are"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct watchdog_config config = {names[i], NULL, LEASE_NS};

		assert_int_equal(
			watchdog_new(f.loop, &config, &fake_ops, &f, &f.watchdog), -EINVAL);
	}
}

/* ---- a service that was killed ---- */

/* The device runs on, and the next life finds it so. */
static void kill_service(void)
{
	make(PATH);
	arm();
	watchdog_free(take_ptr(f.watchdog));
	assert_true(f.is_running);
	f.n_fed = 0;
	f.sight.n_vms = 0;
}

static void the_next_life_takes_it_over(void **state _unused_)
{
	kill_service();
	f.orphans = true;
	make(PATH);
	assert_int_equal(f.n_opened, 2);
	assert_true(f.n_fed > 0);
	watchdog_look(f.watchdog);
	assert_true(f.is_open);
	f.orphans = false;
	watchdog_look(f.watchdog);
	assert_false(f.is_running);
	assert_int_equal(access(f.note, F_OK), -1);
}

static void what_is_of_another_boot_is_not_ours(void **state _unused_)
{
	int fd = open(f.note, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0 && write(fd, "another", 7) == 7);
	close(fd);
	make(PATH);
	assert_int_equal(f.n_opened, 0);
}

/* ---- numbers ---- */

static void the_timeout_follows_the_lease(void **state _unused_)
{
	static const struct {
		uint64_t lease_ms;
		unsigned timeout_s;
		bool in_time;
	} cases[] = {
		{500, 1, false},
		{1000, 1, false},
		{1333, 1, false},
		{1334, 1, true},
		{3000, 2, true},
		{4000, 3, true},
		{24000, 18, true},
		{60000, 45, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t lease_ns = cases[i].lease_ms * NS_PER_MS;
		unsigned timeout_s = watchdog_timeout_s(lease_ns);

		assert_int_equal(timeout_s, cases[i].timeout_s);
		assert_int_equal(watchdog_is_in_time(lease_ns, timeout_s), cases[i].in_time);
	}
}

static void a_driver_that_is_slower_is_said_to_be(void **state _unused_)
{
	_cleanup_json_ struct json *j = NULL;

	f.device.timeout_s = 10;
	make(PATH);
	arm();
	assert_non_null(strstr(f.text, "10 s; that is longer than three quarters of the lease"));
	j = watchdog_json(f.watchdog);
	assert_string_equal(json_get_string(j, "device", ""), PATH);
	assert_string_equal(json_get_string(j, "identity", ""), "Fake");
	assert_int_equal(json_get_int(j, "timeout_s", 0), 10);
	assert_false(json_get_bool(j, "in_time", true));
	assert_true(json_get_bool(j, "armed", false));
	assert_true(json_get_bool(j, "fed", false));
}

/* ---- Linux ---- */

static void a_process_that_runs_is_not_about_to_end(void **state _unused_)
{
	pid_t pid = fork();
	siginfo_t info;
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		for (;;)
			pause();
	}
	assert_false(watchdog_is_ending(pid));
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(watchdog_is_ending(pid)); /* over, but for who is to hear of it */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(watchdog_is_ending(pid)); /* nothing of it is left */
	assert_false(watchdog_linux.exists("/dev/null/nothing"));
	assert_false(watchdog_linux.exists("/tmp"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_armed_while_there_are_vms),
		TEST(the_loop_feeds_it_in_time),
		TEST(what_outlives_its_lease_is_not_fed_for),
		TEST(an_end_with_such_a_process_leaves_it_armed),
		TEST(an_end_without_vms_disarms_it),
		TEST(one_that_cannot_be_disarmed_is_fed_on),
		TEST(what_is_missing_is_said_once),
		TEST(one_that_others_use_is_left_to_them),
		TEST(one_that_cannot_be_fed_is_an_error),
		TEST(none_is_none),
		TEST(other_names_are_refused),
		TEST(the_next_life_takes_it_over),
		TEST(what_is_of_another_boot_is_not_ours),
		TEST(the_timeout_follows_the_lease),
		TEST(a_driver_that_is_slower_is_said_to_be),
		TEST(a_process_that_runs_is_not_about_to_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
