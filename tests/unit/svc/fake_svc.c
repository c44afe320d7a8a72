/* SPDX-License-Identifier: MIT */
#include "tests/unit/svc/fake_svc.h"

#include "node/svc/events_db.h"
#include "node/svc/nic.h"
#include "node/svc/remote.h"
#include "node/svc/zsock.h"
#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define MAX_KEYS 64

struct fake fake;

static struct entry {
	char key[CLUSTER_KEY_MAX_LEN + 1];
	struct json *value;
	uint64_t version;
} entries[MAX_KEYS];
static uint64_t last_version;
static unsigned next_mac;

/* ---- the store: applied at once ---- */

static struct entry *find(const char *key)
{
	for (size_t i = 0; i < MAX_KEYS; i++) {
		if (entries[i].value && strcmp(entries[i].key, key) == 0)
			return &entries[i];
	}
	return NULL;
}

const struct json *fake_stored(const char *key)
{
	struct entry *e = find(key);

	return e ? e->value : NULL;
}

int cluster_get(const struct cluster *cluster _unused_, const char *key,
	const struct json **ret_value, uint64_t *ret_version)
{
	struct entry *e = find(key);

	if (!e)
		return -ENOENT;
	if (ret_value)
		*ret_value = e->value;
	if (ret_version)
		*ret_version = e->version;
	return 0;
}

int cluster_for_each(const struct cluster *cluster _unused_, const char *prefix,
	int (*fn)(const char *key, const struct json *value, uint64_t version, void *data),
	void *data)
{
	for (size_t i = 0; i < MAX_KEYS; i++) {
		int r = 0;

		if (entries[i].value && strncmp(entries[i].key, prefix, strlen(prefix)) == 0)
			r = fn(entries[i].key, entries[i].value, entries[i].version, data);
		if (r)
			return r;
	}
	return 0;
}

int cluster_cas(struct cluster *cluster _unused_, const char *key, uint64_t expected,
	struct json *value, cluster_done_fn done, void *data)
{
	struct entry *e = find(key);

	if (!fake.quorate || strlen(key) > CLUSTER_KEY_MAX_LEN) {
		json_unref(value);
		return fake.quorate ? -EINVAL : -EHOSTDOWN;
	}
	if (expected != CLUSTER_ANY_VERSION && expected != (e ? e->version : 0)) {
		json_unref(value);
		done(-ESTALE, e ? e->version : 0, data);
		return 0;
	}
	for (size_t i = 0; !e && value && i < MAX_KEYS; i++) {
		if (!entries[i].value)
			e = &entries[i];
	}
	if (e) {
		json_unref(e->value);
		e->value = value;
		e->version = ++last_version;
		snprintf(e->key, sizeof(e->key), "%s", key);
	}
	done(0, last_version, data);
	return 0;
}

int cluster_owner_get(
	const struct cluster *cluster, const char *object, struct cluster_owner *ret_owner)
{
	char key[128];
	const struct json *value;
	uint64_t version;

	snprintf(key, sizeof(key), "owner/%s", object);
	if (cluster_get(cluster, key, &value, &version) < 0)
		return -ENOENT;
	ret_owner->node_id = (uint32_t)json_get_int(value, "node", 0);
	ret_owner->epoch = (uint64_t)json_get_int(value, "epoch", 0);
	ret_owner->version = version;
	return 0;
}

int cluster_owner_cas(struct cluster *cluster, const char *object,
	const struct cluster_owner *expected, uint32_t node_id, cluster_done_fn done, void *data)
{
	struct json *value = json_object_new();
	char key[128];

	snprintf(key, sizeof(key), "owner/%s", object);
	json_set_int(value, "node", node_id);
	json_set_int(value, "epoch", (int64_t)expected->epoch + 1);
	return cluster_cas(cluster, key, expected->version, value, done, data);
}

int cluster_mac_lease(struct cluster *cluster _unused_, const char *owner _unused_,
	const char *wanted, cluster_mac_fn done, void *data)
{
	char mac[18];

	snprintf(mac, sizeof(mac), "00:15:5d:00:00:%02x", ++next_mac);
	if (wanted && strcmp(wanted, "00:15:5d:00:00:ff") == 0)
		done(-EADDRINUSE, NULL, data);
	else
		done(0, wanted ? wanted : mac, data);
	return 0;
}

int cluster_mac_lease_at(struct cluster *cluster, const char *owner, const char *wanted,
	const char *node _unused_, cluster_mac_fn done, void *data)
{
	return cluster_mac_lease(cluster, owner, wanted, done, data);
}

int cluster_mac_release(struct cluster *cluster _unused_, const char *owner _unused_)
{
	return 0;
}

/* ---- members ---- */

bool cluster_is_connected(const struct cluster *cluster _unused_)
{
	return true;
}

bool cluster_is_quorate(const struct cluster *cluster _unused_)
{
	return fake.quorate;
}

bool cluster_is_synced(const struct cluster *cluster _unused_)
{
	return true;
}

uint32_t cluster_local_id(const struct cluster *cluster _unused_)
{
	return 1;
}

const char *cluster_local_name(const struct cluster *cluster _unused_)
{
	return "host1";
}

size_t cluster_nodes(
	const struct cluster *cluster _unused_, struct cluster_node *ret_nodes, size_t max)
{
	size_t n = MIN(max, (size_t)(fake.is_alone ? 1 : 2));

	for (size_t i = 0; i < n; i++) {
		memset(&ret_nodes[i], 0, sizeof(ret_nodes[i]));
		ret_nodes[i].id = (uint32_t)i + 1;
		snprintf(ret_nodes[i].name, sizeof(ret_nodes[i].name), "host%zu", i + 1);
		snprintf(ret_nodes[i].ring_addr[0], sizeof(ret_nodes[i].ring_addr[0]),
			"10.10.3.%zu", i + 1);
		ret_nodes[i].is_member = ret_nodes[i].has_service = true;
		ret_nodes[i].is_synced = i == 0 || !fake.is_joining;
	}
	return n;
}

int cluster_find_node(
	const struct cluster *cluster, const char *name, struct cluster_node *ret_node)
{
	struct cluster_node nodes[2];
	size_t n = cluster_nodes(cluster, nodes, 2);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(nodes[i].name, name) == 0) {
			*ret_node = nodes[i];
			return 0;
		}
	}
	return -ENOENT;
}

bool cluster_node_is_gone(const struct cluster *cluster _unused_, uint32_t node_id _unused_)
{
	return false;
}

void cluster_get_status(const struct cluster *cluster _unused_, struct cluster_status *ret_status)
{
	memset(ret_status, 0, sizeof(*ret_status));
}

/* ---- the rest of the service ---- */

int switchd_call(struct switchd *switchd _unused_, const char *op, struct json *message,
	chan_reply_fn fn, void *data)
{
	_cleanup_json_ struct json *reply = json_object_new();

	json_unref(fake.to_switch);
	fake.to_switch = message ? message : json_object_new();
	json_set_string(fake.to_switch, "op", op);
	if (fake.switch_is_gone)
		return -ENOTCONN;
	if (fake.break_store)
		fake.quorate = false;
	if (fake.switch_refusal)
		json_set_string(reply, "error", fake.switch_refusal);
	else if (fake.switch_port)
		json_set(reply, "port", json_ref(fake.switch_port));
	fn(fake.switch_refusal ? -EINVAL : 0, reply, NULL, 0, data);
	return 0;
}

bool switchd_knows(struct switchd *switchd _unused_, const char *name)
{
	return strcmp(fake.known_switch, name) == 0;
}

const char *switchd_state(struct switchd *switchd _unused_, const char *name _unused_,
	const struct json *record _unused_, char *why, size_t size_bytes)
{
	snprintf(why, size_bytes, "%s", fake.switch_is_gone ? "it is gone" : "");
	return fake.switch_is_gone ? "not made" : "up";
}

void switchd_list(
	struct svc *svc _unused_, void (*fn)(const struct json *switches, void *data), void *data)
{
	_cleanup_json_ struct json *none = json_array_new();

	fn(fake.switch_is_gone ? NULL : none, data);
}

const char *switchd_resolve(struct svc *svc _unused_, const char *node _unused_,
	const char *reference, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s", reference);
	return text;
}

int vmproc_new(struct svc *svc _unused_, const char *name _unused_, struct json *config _unused_,
	struct json *offloads, uint64_t epoch _unused_, bool incoming _unused_,
	void (*prepared)(struct vmproc *, int, const char *, void *) _unused_, void *data _unused_,
	struct vmproc **ret_vp _unused_)
{
	fake.n_started++;
	json_unref(fake.started_with);
	fake.started_with = offloads ? json_ref(offloads) : NULL;
	return -ENODEV;
}

struct vmproc *vmproc_find(struct svc *svc _unused_, const char *name)
{
	struct vmproc *vp;

	list_for_each(vp, &fake.svc.vms, link) {
		if (strcmp(vp->name, name) == 0)
			return vp;
	}
	return fake.vm && strcmp(fake.vm->name, name) == 0 ? fake.vm : NULL;
}

int vmproc_start(struct vmproc *vp _unused_, chan_reply_fn fn _unused_, void *data _unused_)
{
	return -EPIPE;
}

void vmproc_destroy(struct vmproc *vp _unused_)
{
}

void vmproc_publish(struct svc *svc _unused_, const char *name _unused_, uint64_t epoch _unused_,
	const char *state _unused_, const char *reason _unused_)
{
}

void vmproc_publish_lost(struct svc *svc _unused_, const char *name _unused_,
	uint64_t epoch _unused_, const char *reason _unused_)
{
}

void vmproc_publish_with(struct svc *svc _unused_, const char *name _unused_,
	uint64_t epoch _unused_, const char *state _unused_, const char *reason _unused_,
	struct json *extra)
{
	json_unref(extra);
}

int cluster_upgrade(struct cluster *cluster _unused_, unsigned *ret_version _unused_,
	struct cluster_node *ret_node _unused_, cluster_done_fn done _unused_, void *data _unused_)
{
	return -EOPNOTSUPP;
}

void api_store_view(struct api_call *call)
{
	api_fail(call, API_FAILED, "not here");
}

void api_store_read(struct api_call *call)
{
	api_fail(call, API_FAILED, "not here");
}

void api_store_restore(struct api_call *call)
{
	api_fail(call, API_FAILED, "not here");
}

void viewer_path(
	const struct svc *svc _unused_, const char *vm _unused_, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "nowhere");
}

bool svc_has_lease(const struct svc *svc _unused_)
{
	return true;
}

uint64_t svc_memory_free(const struct svc *svc)
{
	return svc->options.vm_memory_bytes;
}

uint64_t vm_config_memory(const struct json *config)
{
	return (uint64_t)json_get_int(config, "memory_bytes", 0);
}

uint64_t vm_config_room(const struct json *config)
{
	return vm_config_memory(config);
}

int mig_out_start(struct vmproc *vp, struct job *job, const struct cluster_node *target _unused_,
	const struct json *options _unused_)
{
	if (!fake.moves)
		return -ENETUNREACH;
	assert_true(fake.n_moving < ARRAY_LEN(fake.moving));
	fake.moving[fake.n_moving++] = job;
	vp->out = (struct mig_out *)&fake;
	return 0;
}

int quick_out_start(struct vmproc *vp _unused_, struct job *job _unused_,
	const struct cluster_node *target _unused_, const char *volume _unused_)
{
	return -ENETUNREACH;
}

int peer_call(struct peer *peer _unused_, const char *node, struct json *message,
	uint64_t timeout_ns _unused_, peer_reply_fn fn, void *data)
{
	struct json *reply = json_object_new();

	snprintf(fake.forwarded, sizeof(fake.forwarded), "%s", node);
	json_unref(message);
	json_set_bool(reply, "ok", true);
	fn(0, reply, data);
	json_unref(reply);
	return 0;
}

void peer_reply(struct peer_request *request _unused_, struct json *reply)
{
	json_unref(fake.answer);
	fake.answer = reply;
}

void ipc_reply(struct ipc_request *request _unused_, struct json *reply)
{
	json_unref(fake.answer);
	fake.answer = reply;
}

/* ---- joining and leaving: corosync and guests, who never come ---- */

int cluster_reload_config(struct cluster *cluster _unused_, cluster_told_fn fn, void *data)
{
	fake.n_reloads++;
	if (fn)
		fn(0, data);
	return 0;
}

int cluster_stop_corosync(
	struct cluster *cluster _unused_, cluster_told_fn fn _unused_, void *data _unused_)
{
	return 0;
}

uid_t ipc_request_uid(const struct ipc_request *request _unused_)
{
	return 0;
}

int peer_admit(struct peer *peer _unused_, const char *name _unused_, const char *key _unused_)
{
	return 0;
}

int peer_set_node(struct peer *peer _unused_, const char *name _unused_,
	const char *address _unused_, const char *key _unused_)
{
	return 0;
}

int peer_keypair(char ret_public[PEER_KEY_TEXT_BYTES], char ret_secret[PEER_KEY_TEXT_BYTES])
{
	memset(ret_public, 'p', PEER_KEY_TEXT_BYTES - 1);
	memset(ret_secret, 's', PEER_KEY_TEXT_BYTES - 1);
	ret_public[PEER_KEY_TEXT_BYTES - 1] = ret_secret[PEER_KEY_TEXT_BYTES - 1] = '\0';
	return 0;
}

const char *peer_public_key(const struct peer *peer _unused_)
{
	return "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
}

int peer_new_guest(struct loop *loop _unused_, const char *public_key _unused_,
	const char *secret_key _unused_, struct peer **ret_peer)
{
	*ret_peer = (struct peer *)&fake;
	return 0;
}

void peer_free(struct peer *peer _unused_)
{
}

int ipc_request_tag(const struct ipc_request *request _unused_)
{
	return (int)fake.role;
}

void remote_reply(struct remote_request *request _unused_, struct json *reply)
{
	json_unref(fake.answer);
	fake.answer = reply;
}

int zkey_decode(const char *text, uint8_t ret_key[ZKEY_BYTES])
{
	memset(ret_key, 0, ZKEY_BYTES);
	return strlen(text) == ZKEY_TEXT_BYTES - 1 ? 0 : -EINVAL;
}

void events_add(struct svc *svc _unused_, enum event_level level _unused_, const char *id,
	const char *object _unused_, const char *format _unused_, ...)
{
	snprintf(fake.event, sizeof(fake.event), "%s", id);
}

void events_add_audit(struct svc *svc _unused_, const struct identity *identity, const char *object,
	const char *request, const char *outcome, bool done _unused_)
{
	fake.n_audits++;
	snprintf(fake.audit, sizeof(fake.audit), "%s|%s|%s|%s|%s", identity->who, identity->from,
		object, request, outcome);
}

int events_watch(struct svc *svc _unused_, void (*fn)(void *data) _unused_, void *data _unused_,
	struct events_watch **ret_watch _unused_)
{
	return -ENOMEM;
}

void events_unwatch(struct events_watch *watch _unused_)
{
}

int events_db_read(struct events_db *db _unused_, const struct events_query *query _unused_,
	events_read_fn fn _unused_, void *data _unused_)
{
	return -ENOMEM;
}

int event_level_from_name(const char *name, enum event_level *ret_level)
{
	*ret_level = EVENT_INFO;
	return strcmp(name, "info") == 0 ? 0 : -EINVAL;
}

/* ---- the test's own ---- */

void fake_set_up(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(entries, 0, sizeof(entries));
	last_version = next_mac = 0;
	fake.quorate = true;
	fake.switch_is_gone = true;
	fake.role = ROLE_ADMINISTER;
	fake.svc.options.vm_memory_bytes = 256 << 20;
	fake.svc.peer = (struct peer *)&fake; /* only ever handed back to peer_call() */
	assert_int_equal(loop_new(&fake.svc.loop), 0);
	list_init(&fake.svc.vms);
	list_init(&fake.svc.jobs);
	list_init(&fake.svc.moves);
	list_init(&fake.svc.starts);
	list_init(&fake.svc.invitations);
	fake.svc.options.corosync_dir = "/nonexistent";
	fake.svc.options.state_dir = "/nonexistent";
}

static void vm_free(struct vmproc *vp)
{
	if (vp) {
		list_remove(&vp->link);
		json_unref(vp->config);
		json_unref(vp->offloads);
	}
	free(vp);
}

static void on_turned(void *data)
{
	loop_stop(data);
}

void fake_turn(void)
{
	for (int i = 0; i < 5; i++) {
		assert_int_equal(loop_job_add(fake.svc.loop, on_turned, fake.svc.loop), 0);
		loop_run(fake.svc.loop);
	}
}

static void set_owner(const char *vm, uint32_t node, uint64_t epoch)
{
	struct json *owner = json_object_new(), *state = json_object_new();
	char key[80];

	json_set_int(owner, "node", node);
	json_set_int(owner, "epoch", (int64_t)epoch);
	snprintf(key, sizeof(key), "owner/vm/%s", vm);
	fake_store(key, owner);
	json_set_int(state, "epoch", (int64_t)epoch);
	json_set_string(state, "state", "Running");
	snprintf(key, sizeof(key), "vmstate/%s", vm);
	fake_store(key, state);
}

void fake_end_move(unsigned n, const char *error)
{
	struct job *job = fake.moving[n];
	struct vmproc *vp;

	assert_true(n < fake.n_moving && job);
	vp = vmproc_find(&fake.svc, job->vm);
	vp->out = NULL;
	fake.moving[n] = NULL;
	if (!error) {
		set_owner(job->vm, 2, vp->epoch + 1);
		if (vp == fake.vm)
			fake.vm = NULL;
		vm_free(vp);
	}
	job_finish(job, error ? JOB_FAILED : JOB_DONE, API_FAILED, error ? error : "");
	fake_turn();
}

void fake_tear_down(void)
{
	struct job *job, *after;
	struct vmproc *vp;

	list_for_each_safe(job, after, &fake.svc.jobs, link) {
		list_remove(&job->link);
		json_unref(job->report);
		free(job);
	}
	for (size_t i = 0; i < MAX_KEYS; i++)
		json_unref(entries[i].value);
	json_unref(fake.answer);
	json_unref(fake.to_switch);
	json_unref(fake.switch_port);
	json_unref(fake.started_with);
	while ((vp = list_pop(&fake.svc.vms, struct vmproc, link)))
		vm_free(vp);
	vm_free(fake.vm);
	json_unref(fake.svc.nodestate);
	json_unref(fake.svc.evicted);
	loop_free(fake.svc.loop);
}

void fake_run(const char *vm)
{
	struct vmproc *vp = calloc(1, sizeof(*vp));
	struct cluster_owner owner = {0};
	char key[80];

	assert_non_null(vp);
	snprintf(key, sizeof(key), "vm/%s", vm);
	cluster_owner_get(NULL, key, &owner);
	list_init(&vp->link);
	if (fake.vm)
		list_append(&fake.svc.vms, &vp->link);
	else
		fake.vm = vp;
	snprintf(vp->name, sizeof(vp->name), "%s", vm);
	vp->svc = &fake.svc;
	vp->epoch = owner.epoch;
	vp->state = VMPROC_RUNNING;
	vp->config = json_copy(fake_stored(key));
	vp->offloads = nic_offloads(vp->config);
	vp->n_ports = (unsigned)json_length(json_get(vp->config, "nics"));
	list_init(&vp->calls);
	set_owner(vm, owner.node_id, owner.epoch);
}

static void on_stored(int error, uint64_t version _unused_, void *data _unused_)
{
	assert_int_equal(error, 0);
}

void fake_store(const char *key, struct json *value)
{
	assert_int_equal(cluster_cas(NULL, key, CLUSTER_ANY_VERSION, value, on_stored, NULL), 0);
}

static const char *ask(struct json *request)
{
	json_unref(fake.answer);
	fake.answer = NULL;
	fake.forwarded[0] = '\0';
	api_on_ipc((struct ipc_request *)&fake, request, &fake.svc);
	json_unref(request);
	if (!fake.answer)
		return "waits";
	if (json_get_bool(fake.answer, "ok", false))
		return "ok";
	/* Every refusal is one clear line. */
	assert_true(strlen(json_get_string(fake.answer, "error", "")) > 10);
	assert_null(strchr(json_get_string(fake.answer, "error", ""), '\n'));
	return json_get_string(fake.answer, "code", "?");
}

const char *fake_ask(const char *text)
{
	return fake_ask_with(text, NULL, NULL);
}

const char *fake_ask_with(const char *text, const char *key, struct json *value)
{
	struct json *request = NULL;

	if (json_parse(text, strlen(text), &request) < 0)
		fail_msg("the test's own request is no JSON: %s", text);
	if (key)
		json_set(request, key, value);
	return ask(request);
}

void switchd_reference(struct svc *svc _unused_, const char *name, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s", name);
}
