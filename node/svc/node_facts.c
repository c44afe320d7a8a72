/* SPDX-License-Identifier: MIT */
#include "node/svc/node_facts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "csv/csv.h"
#include "node/hv/host_cpu.h"
#include "node/svc/numa.h"
#include "node/svc/svc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#define MAX_VOLUMES    64
#define MAX_PATH_LEN   1023
#define WHY_MAX_LEN    255
#define LOOK_AGAIN_NS  (4 * NS_PER_SEC)
#define HANGS_AFTER_NS (6 * NS_PER_SEC)

struct volume {
	struct list link;
	struct node_facts *facts; /* NULL: they are gone */
	char name[SVC_NAME_MAX_LEN + 1];
	char path[MAX_PATH_LEN + 1], id[CSV_ID_TEXT_BYTES];
	bool is_checked, is_listed;
	char why_not[WHY_MAX_LEN + 1];
	uint64_t looked_ns; /* when the last check began */
	/* the check: whoever runs has the members above from path to id for reading */
	bool is_running;
	struct thread thread;
	int result;
};

struct node_facts {
	struct svc *svc;
	struct list volumes;
	struct json *fixed;
};

/* ---- what does not change ---- */

static struct json *numa_json(void)
{
	struct numa_node nodes[NUMA_MAX_NODES];
	size_t n = numa_read("/sys/devices/system/node", nodes);
	struct json *list = json_array_new();

	for (size_t i = 0; i < n; i++) {
		struct json *entry = json_object_new();

		json_set_int(entry, "cpus", nodes[i].cpus);
		json_set_int(entry, "memory_bytes", (int64_t)nodes[i].memory_bytes);
		json_append(list, entry);
	}
	return list;
}

static struct json *look_once(const struct svc *svc)
{
	struct json *fixed = json_object_new();
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct sysinfo host = {0};
	uint64_t digest;
	int r;

	if (!fixed)
		return NULL;
	sysinfo(&host);
	json_set_int(fixed, "vm_memory_bytes", (int64_t)svc->options.vm_memory_bytes);
	json_set_int(fixed, "memory_bytes", (int64_t)(host.totalram * host.mem_unit));
	json_set_bool(fixed, "kvm", svc->kvm_fd >= 0);
	json_set_int(fixed, "cpus", cpus > 0 ? cpus : 0);
	json_set(fixed, "numa", numa_json());
	json_set_string(fixed, "cpu_digest", "");
	r = svc->kvm_fd >= 0 ? host_cpu_digest(svc->kvm_fd, &digest) : 0;
	if (r < 0)
		log_warning("KVM does not say what the processors can do: %s", strerror(-r));
	else if (svc->kvm_fd >= 0)
		json_set_stringf(fixed, "cpu_digest", "%016" PRIx64, digest);
	return fixed;
}

int node_facts_new(struct svc *svc, struct node_facts **ret_facts)
{
	struct node_facts *facts = calloc(1, sizeof(*facts));

	if (!facts)
		return -ENOMEM;
	facts->svc = svc;
	list_init(&facts->volumes);
	facts->fixed = look_once(svc);
	if (!facts->fixed) {
		free(facts);
		return -ENOMEM;
	}
	*ret_facts = facts;
	return 0;
}

void node_facts_free(struct node_facts *facts)
{
	struct volume *volume, *after;

	if (!facts)
		return;
	list_for_each_safe(volume, after, &facts->volumes, link) {
		list_remove(&volume->link);
		volume->facts = NULL;
		if (!volume->is_running)
			free(volume);
	}
	json_unref(facts->fixed);
	free(facts);
}

/* ---- volumes ---- */

static void explain(struct volume *volume)
{
	int r = volume->result;

	volume->why_not[0] = '\0';
	if (r == -EMEDIUMTYPE)
		snprintf(volume->why_not, sizeof(volume->why_not),
			"%.100s is not this volume; is it mounted?", volume->path);
	else if (r < 0)
		snprintf(volume->why_not, sizeof(volume->why_not), "%.100s: %s", volume->path,
			strerror(-r));
}

static void on_checked(void *data)
{
	struct volume *volume = data;

	thread_join(&volume->thread);
	volume->is_running = false;
	if (!volume->facts) {
		free(volume);
		return;
	}
	volume->is_checked = true;
	explain(volume);
}

struct check {
	struct volume *volume;
	struct loop *loop;
};

static void check_main(void *data)
{
	struct check check = *(struct check *)data;
	int dir = -1;

	free(data);
	check.volume->result = csv_volume_open(check.volume->path, check.volume->id, &dir);
	close_fd(dir);
	loop_wake(check.loop, on_checked, check.volume);
}

static void start_check(struct volume *volume)
{
	struct check *check = malloc(sizeof(*check));
	int r = check ? 0 : -ENOMEM;

	volume->looked_ns = clock_mono_ns();
	if (r == 0) {
		*check = (struct check){.volume = volume, .loop = volume->facts->svc->loop};
		volume->is_running = true;
		r = thread_start(&volume->thread, "volume", check_main, check);
	}
	if (r < 0) {
		volume->is_running = false;
		free(check);
		log_warning("volume %s is not looked at: %s", volume->name, strerror(-r));
	}
}

static struct volume *find_volume(struct node_facts *facts, const char *name)
{
	struct volume *volume;

	list_for_each(volume, &facts->volumes, link) {
		if (strcmp(volume->name, name) == 0)
			return volume;
	}
	return NULL;
}

struct round {
	struct node_facts *facts;
	unsigned n;
};

static int look_at(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct round *round = data;
	const char *name = strchr(key, '/') + 1;
	const char *path = json_get_string(record, "path", "");
	const char *id = json_get_string(record, "id", "");
	struct volume *volume = find_volume(round->facts, name);

	if (round->n++ >= MAX_VOLUMES || !svc_name_is_valid(name) || strlen(path) > MAX_PATH_LEN ||
		strlen(id) >= sizeof(volume->id))
		return 0;
	if (!volume) {
		volume = calloc(1, sizeof(*volume));
		if (!volume)
			return -ENOMEM;
		volume->facts = round->facts;
		snprintf(volume->name, sizeof(volume->name), "%s", name);
		list_append(&round->facts->volumes, &volume->link);
	}
	volume->is_listed = true;
	if (volume->is_running ||
		(volume->looked_ns && clock_mono_ns() - volume->looked_ns < LOOK_AGAIN_NS))
		return 0;
	snprintf(volume->path, sizeof(volume->path), "%s", path);
	snprintf(volume->id, sizeof(volume->id), "%s", id);
	start_check(volume);
	return 0;
}

static void look_at_volumes(struct node_facts *facts)
{
	struct round round = {.facts = facts};
	struct volume *volume, *after;

	list_for_each(volume, &facts->volumes, link)
		volume->is_listed = false;
	cluster_for_each(facts->svc->cluster, "volume/", look_at, &round);
	list_for_each_safe(volume, after, &facts->volumes, link) {
		if (volume->is_listed)
			continue;
		list_remove(&volume->link);
		volume->facts = NULL;
		if (!volume->is_running)
			free(volume);
	}
}

static struct json *volumes_json(struct node_facts *facts)
{
	struct json *volumes = json_object_new();
	struct volume *volume;

	list_for_each(volume, &facts->volumes, link) {
		if (volume->is_running && clock_mono_ns() - volume->looked_ns > HANGS_AFTER_NS)
			json_set_stringf(
				volumes, volume->name, "%.100s does not answer", volume->path);
		else if (volume->is_checked)
			json_set_string(volumes, volume->name, volume->why_not);
	}
	return volumes;
}

struct json *node_facts_record(struct node_facts *facts)
{
	struct json *record = json_copy(facts->fixed);

	look_at_volumes(facts);
	if (record)
		json_set(record, "volumes", volumes_json(facts));
	return record;
}
