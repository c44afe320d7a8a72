/* SPDX-License-Identifier: MIT
 *
 * Words about a VM's state on their way into a store that is one record and a queue of writes.
 */
#include "node/svc/state_events.h"
#include "node/svc/svc.h"

#include "tests/unit/base/cmocka_all.h"

#include <string.h>

static struct {
	struct json *record;
	uint64_t version;
	bool is_down;
	struct write {
		struct json *value;
		uint64_t expected;
		cluster_done_fn done;
		void *data;
	} writes[16];
	size_t n_writes;
} store;

int cluster_get(const struct cluster *cluster _unused_, const char *key,
	const struct json **ret_value, uint64_t *ret_version)
{
	assert_string_equal(key, "vmstate/VM1");
	if (!store.record)
		return -ENOENT;
	*ret_value = store.record;
	*ret_version = store.version;
	return 0;
}

int cluster_cas(struct cluster *cluster _unused_, const char *key _unused_, uint64_t expected,
	struct json *value, cluster_done_fn done, void *data)
{
	if (store.is_down) {
		json_unref(value);
		return -EHOSTDOWN;
	}
	assert_true(store.n_writes < ARRAY_LEN(store.writes));
	store.writes[store.n_writes++] = (struct write){value, expected, done, data};
	return 0;
}

const char *cluster_local_name(const struct cluster *cluster _unused_)
{
	return "host1";
}

struct vmproc *vmproc_find(struct svc *svc _unused_, const char *name _unused_)
{
	return NULL;
}

void state_events_vm(struct svc *svc _unused_, struct vmproc *vp _unused_,
	const char *name _unused_, const char *state _unused_, const char *reason _unused_)
{
}

/* The oldest write: it is done as it has to be, or ends with `error`. */
static void next(int error)
{
	struct write write = store.writes[0];

	assert_true(store.n_writes > 0);
	memmove(store.writes, store.writes + 1, --store.n_writes * sizeof(write));
	if (error == 0 && write.expected != store.version)
		error = -ESTALE;
	if (error == 0) {
		json_unref(store.record);
		store.record = json_ref(write.value);
		store.version++;
	}
	json_unref(write.value);
	write.done(error, store.version, write.data);
}

static void settle(void)
{
	for (unsigned i = 0; store.n_writes; i++) {
		assert_true(i < 100);
		next(0);
	}
}

static void is_said(const char *state, uint64_t epoch)
{
	assert_string_equal(json_get_string(store.record, "state", ""), state);
	assert_int_equal(json_get_int(store.record, "epoch", 0), epoch);
}

static struct svc svc;

static int set_up(void **state _unused_)
{
	memset(&store, 0, sizeof(store));
	list_init(&svc.words);
	return 0;
}

static int tear_down(void **state _unused_)
{
	assert_int_equal(store.n_writes, 0);
	assert_true(list_empty(&svc.words));
	json_unref(store.record);
	return 0;
}

static void the_last_word_stands(void **state _unused_)
{
	vmproc_publish(&svc, "VM1", 3, "Starting", "");
	vmproc_publish(&svc, "VM1", 3, "Running", "");
	vmproc_publish(&svc, "VM1", 3, "Paused", "");
	settle();
	is_said("Paused", 3);
}

static void a_former_owner_is_not_heard(void **state _unused_)
{
	vmproc_publish(&svc, "VM1", 4, "Running", "");
	settle();
	vmproc_publish_lost(&svc, "VM1", 3, "cut off");
	assert_int_equal(store.n_writes, 0);
	is_said("Running", 4);
}

/* It was said before the new owner spoke, and comes after that. */
static void a_former_owner_that_is_late_is_not_heard(void **state _unused_)
{
	vmproc_publish_lost(&svc, "VM1", 3, "cut off");
	vmproc_publish(&svc, "VM1", 4, "Running", "");
	next(-EIO);
	settle();
	is_said("Running", 4);

	vmproc_publish_lost(&svc, "VM1", 4, "cut off");
	json_unref(store.record);
	assert_int_equal(json_parse("{\"epoch\":5,\"state\":\"Running\"}", 29, &store.record), 0);
	store.version++;
	settle();
	is_said("Running", 5);
}

static void what_broke_off_is_said_again(void **state _unused_)
{
	vmproc_publish(&svc, "VM1", 3, "Running", "");
	next(-EIO);
	settle();
	is_said("Running", 3);
}

/* But not what has been overtaken: that would be the last word. */
static void what_broke_off_and_is_overtaken_is_not(void **state _unused_)
{
	vmproc_publish(&svc, "VM1", 3, "Starting", "");
	vmproc_publish(&svc, "VM1", 3, "Running", "");
	next(-EIO);
	settle();
	is_said("Running", 3);
}

static void without_quorum_nothing_is_said(void **state _unused_)
{
	store.is_down = true;
	vmproc_publish(&svc, "VM1", 3, "Running", "");
	store.is_down = false;
	vmproc_publish(&svc, "VM1", 3, "Running", "");
	store.is_down = true;
	next(-EIO);
	assert_null(store.record);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(the_last_word_stands),
		T(a_former_owner_is_not_heard),
		T(a_former_owner_that_is_late_is_not_heard),
		T(what_broke_off_is_said_again),
		T(what_broke_off_and_is_overtaken_is_not),
		T(without_quorum_nothing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
