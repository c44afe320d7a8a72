/* SPDX-License-Identifier: MIT
 *
 * Scrubbing the network of this node: what there is, the steps that remove it, and the way back.
 *
 * The command line asks for the steps (scrub.begin, or scrub.undo for the way back) and then for
 * each of them (scrub.step), so that a dry run shows exactly what a real one does. Steps are
 * checked as if they came from anybody. The way back is a file of records, written before the first
 * step:
 *
 *   {"version": 1, "node": NODE, "switches": {NAME: record}, "bound": [{"nic", "switch"}]}
 */
#include "node/svc/svc.h"

#include "node/svc/scrub.h"
#include "node/svc/switch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define UNDO_VERSION   1
#define UNDO_MAX_BYTES (1U << 20)
#define PATH_MAX_BYTES 512

/* ---- what there is ---- */

struct survey {
	struct svc *svc;
	struct host_net net;
	struct json *adapters, *switches, *bound, *records;
};

static void survey_adapter(struct survey *s, const char *switch_name, const char *ifname)
{
	struct json *entry = json_object_new();
	const struct host_nic *nic = host_net_find(&s->net, ifname);

	json_set_string(entry, "name", ifname);
	json_set_string(entry, "switch", switch_name);
	json_set_string(entry, "state", !nic ? "absent" : nic->up ? "enabled" : "disabled");
	json_append(s->adapters, entry);
}

static void survey_bound(struct survey *s, const char *switch_name, const char *uplink)
{
	struct json *entry = json_object_new();

	json_set_string(entry, "nic", uplink);
	json_set_string(entry, "switch", switch_name);
	json_append(s->bound, entry);
}

static int survey_switch(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct survey *s = data;
	const char *name = strrchr(key, '/') + 1;
	const char *node = cluster_local_name(s->svc->cluster);
	_cleanup_json_ struct json *uplinks = switch_uplinks(record);
	_cleanup_json_ struct json *adapters = switch_adapters(record, node, name);
	struct json *entry = json_object_new();

	json_set_string(entry, "name", name);
	json_set_string(entry, "type", json_get_string(record, "type", ""));
	json_set(entry, "uplinks", json_copy(uplinks));
	json_append(s->switches, entry);
	json_set(s->records, name, json_copy(record));
	for (size_t i = 0; i < json_length(adapters); i++)
		survey_adapter(s, name, json_get_string(json_at(adapters, i), "ifname", ""));
	for (size_t i = 0; i < json_length(uplinks); i++)
		survey_bound(s, name, json_string(json_at(uplinks, i), ""));
	return 0;
}

static int survey_init(struct survey *s, struct svc *svc)
{
	char prefix[SVC_NAME_MAX_LEN + 16];
	int r;

	*s = (struct survey){.svc = svc};
	r = host_net_read(&s->net);
	if (r < 0)
		return r;
	s->adapters = json_array_new();
	s->switches = json_array_new();
	s->bound = json_array_new();
	s->records = json_object_new();
	snprintf(prefix, sizeof(prefix), "switch/%s/", cluster_local_name(svc->cluster));
	cluster_for_each(svc->cluster, prefix, survey_switch, s);
	return 0;
}

static void survey_fini(struct survey *s)
{
	host_net_fini(&s->net);
	json_unref(s->adapters);
	json_unref(s->switches);
	json_unref(s->bound);
	json_unref(s->records);
}

/* ---- the steps ---- */

static void append_step(struct json *steps, const char *kind, const char *switch_name,
	const char *nic, const char *text, bool force)
{
	struct json *step = json_object_new();

	json_set_string(step, "kind", kind);
	if (switch_name)
		json_set_string(step, "switch", switch_name);
	if (nic)
		json_set_string(step, "nic", nic);
	if (force)
		json_set_bool(step, "force", true);
	json_set_string(step, "text", text);
	json_append(steps, step);
}

/* All adapters, those that are disabled, or the one of that name; which were kept, and why. */
static void plan_adapters(const struct survey *s, const char *mode, const char *wanted,
	struct json *steps, struct json *kept)
{
	char text[256];

	for (size_t i = 0; i < json_length(s->adapters); i++) {
		const struct json *adapter = json_at(s->adapters, i);
		const char *name = json_get_string(adapter, "name", "");
		const char *switch_name = json_get_string(adapter, "switch", "");
		const char *state = json_get_string(adapter, "state", "");

		if (strcmp(mode, "disabled") == 0 && strcmp(state, "disabled") != 0) {
			snprintf(text, sizeof(text), "%s of switch %s is %s", name, switch_name,
				state);
			json_append_string(kept, text);
			continue;
		}
		if (strcmp(mode, "name") == 0 && strcmp(wanted, name) != 0 &&
			strcmp(wanted, switch_name) != 0)
			continue;
		snprintf(text, sizeof(text), "delete management adapter %s of switch %s", name,
			switch_name);
		append_step(steps, "adapter", switch_name, name, text, false);
	}
}

static void plan_switches(const struct survey *s, bool force, struct json *steps)
{
	char text[256];

	for (size_t i = 0; i < json_length(s->switches); i++) {
		const char *name = json_get_string(json_at(s->switches, i), "name", "");

		snprintf(text, sizeof(text), "delete switch %s", name);
		append_step(steps, "switch", name, NULL, text, force);
	}
	for (size_t i = 0; i < json_length(s->bound); i++) {
		const char *nic = json_get_string(json_at(s->bound, i), "nic", "");

		snprintf(text, sizeof(text), "unbind adapter %s", nic);
		append_step(steps, "unbind", NULL, nic, text, false);
	}
}

/* ---- the way back, as a file ---- */

static int undo_path(const struct svc *svc, const char *wanted, char *path, size_t size_bytes)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];

	if (wanted)
		return wanted[0] != '/' || strlen(wanted) >= size_bytes
			       ? -EINVAL
			       : (snprintf(path, size_bytes, "%s", wanted), 0);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	/* Two in one second must not meet. */
	snprintf(path, size_bytes, "%s/scrub-undo-%s-%03ld.json", svc->options.state_dir, stamp,
		now.tv_nsec / 1000000);
	return 0;
}

static int write_undo(struct survey *s, const char *path)
{
	_cleanup_json_ struct json *file = json_object_new();
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	ssize_t n;

	json_set_int(file, "version", UNDO_VERSION);
	json_set_string(file, "node", cluster_local_name(s->svc->cluster));
	json_set(file, "switches", json_ref(s->records));
	json_set(file, "bound", json_ref(s->bound));
	text = json_dump(file, 2);
	if (!text)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n != (ssize_t)strlen(text) || fsync(fd) < 0) {
		unlink(path);
		return n < 0 ? -errno : -EIO;
	}
	return 0;
}

static int read_undo(const char *path, struct json **ret_file)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	struct stat status;
	ssize_t n;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size > UNDO_MAX_BYTES)
		return -EBADMSG;
	text = malloc((size_t)status.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = read(fd, text, (size_t)status.st_size);
	return n < 0 ? -errno : json_parse(text, (size_t)n, ret_file);
}

/* ---- scrub.begin ---- */

static bool is_in_use(struct api_call *call, const char *switch_name)
{
	const char *vm = scrub_user_of(call->svc, switch_name);

	if (!vm)
		return false;
	api_fail(call, API_REFUSED,
		"%s runs on switch %s and would lose its network; stop or move it, or use --force",
		vm, switch_name);
	return true;
}

static struct json *survey_json(struct survey *s, struct json *steps, struct json *kept)
{
	struct json *result = json_object_new();

	json_set_string(result, "node", cluster_local_name(s->svc->cluster));
	json_set(result, "adapters", json_ref(s->adapters));
	json_set(result, "switches", json_ref(s->switches));
	json_set(result, "bound", json_ref(s->bound));
	json_set(result, "steps", steps);
	json_set(result, "kept", kept);
	return result;
}

/* True unless the call was failed. */
static bool check_begin(
	struct api_call *call, struct survey *s, const char *mode, const struct json *steps)
{
	const char *wanted = json_get_string(call->message, "nic", "");
	bool force = json_get_bool(call->message, "force", false);

	if (strcmp(mode, "name") == 0 && json_length(steps) == 0) {
		api_fail(call, API_NOT_FOUND, "there is no management adapter '%.63s'", wanted);
		return false;
	}
	for (size_t i = 0; !force && strcmp(mode, "purge") == 0 && i < json_length(s->switches);
		i++) {
		if (is_in_use(call, json_get_string(json_at(s->switches, i), "name", "")))
			return false;
	}
	return true;
}

static void begin(struct api_call *call, struct survey *s, const char *mode)
{
	const char *wanted = json_get_string(call->message, "undo_file", NULL);
	bool dry = json_get_bool(call->message, "dry_run", false);
	struct json *steps = json_array_new(), *kept = json_array_new(), *result;
	char path[PATH_MAX_BYTES];
	int r = 0;

	if (strcmp(mode, "list") != 0)
		plan_adapters(s, mode, json_get_string(call->message, "nic", ""), steps, kept);
	if (strcmp(mode, "purge") == 0)
		plan_switches(s, json_get_bool(call->message, "force", false), steps);
	if (!check_begin(call, s, mode, steps)) {
		json_unref(steps);
		json_unref(kept);
		return;
	}
	result = survey_json(s, steps, kept);
	if (!dry && json_length(steps)) {
		r = undo_path(call->svc, wanted, path, sizeof(path));
		if (r == 0)
			r = write_undo(s, path);
		if (r == 0)
			json_set_string(result, "undo_file", path);
	}
	if (r < 0) {
		json_unref(result);
		api_fail(call, r == -EINVAL ? API_USAGE : API_FAILED,
			"the undo file cannot be written, so nothing was changed: %s",
			r == -EINVAL   ? "its path must be an absolute one"
			: r == -EEXIST ? "there is a file of that name already"
				       : strerror(-r));
		return;
	}
	api_reply(call, result);
}

void api_scrub_begin(struct api_call *call)
{
	static const char *const modes[] = {"list", "disabled", "name", "purge"};
	const char *mode = json_get_string(call->message, "mode", "");
	struct survey s;
	bool known = false;
	int r;

	if (!nic_at_node(call))
		return;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		known |= strcmp(modes[i], mode) == 0;
	if (!known) {
		api_fail(call, API_USAGE, "'%.40s' is no way to scrub", mode);
		return;
	}
	if (strcmp(mode, "list") != 0 && !json_get_bool(call->message, "dry_run", false) &&
		!api_needs_quorum(call))
		return;
	r = survey_init(&s, call->svc);
	if (r < 0) {
		api_fail(call, API_FAILED, "the kernel does not tell its network adapters: %s",
			strerror(-r));
		return;
	}
	begin(call, &s, mode);
	survey_fini(&s);
}

/* ---- scrub.undo ---- */

static int plan_undo(const struct svc *svc, const struct json *file, struct json *steps)
{
	const struct json *switches = json_get(file, "switches"), *bound = json_get(file, "bound");
	const char *name;
	struct json *record;
	char text[256];
	void *at = NULL;

	if (json_get_int(file, "version", 0) != UNDO_VERSION || !json_is_object(switches) ||
		!json_is_array(bound))
		return -EBADMSG;
	if (strcmp(json_get_string(file, "node", ""), cluster_local_name(svc->cluster)) != 0)
		return -EXDEV;
	for (size_t i = 0; i < json_length(bound); i++) {
		const char *nic = json_get_string(json_at(bound, i), "nic", "");
		const char *to = json_get_string(json_at(bound, i), "switch", "");

		if (!host_nic_name_is_valid(nic) || !svc_name_is_valid(to))
			return -EBADMSG;
		snprintf(text, sizeof(text), "bind adapter %s to switch %s", nic, to);
		append_step(steps, "bind", to, nic, text, false);
	}
	while (json_next(switches, &at, &name, &record)) {
		if (!svc_name_is_valid(name) || !scrub_record_is_valid(record))
			return -EBADMSG;
		snprintf(text, sizeof(text), "restore switch %s", name);
		append_step(steps, "restore", name, NULL, text, false);
		json_set(json_at(steps, json_length(steps) - 1), "record", json_copy(record));
	}
	return 0;
}

void api_scrub_undo(struct api_call *call)
{
	const char *path = json_get_string(call->message, "file", "");
	_cleanup_json_ struct json *file = NULL;
	struct json *steps, *result;
	int r;

	if (!nic_at_node(call))
		return;
	if (path[0] != '/' || strlen(path) >= PATH_MAX_BYTES) {
		api_fail(call, API_USAGE, "an undo file is named by its absolute path");
		return;
	}
	steps = json_array_new();
	r = read_undo(path, &file);
	if (r == 0)
		r = plan_undo(call->svc, file, steps);
	if (r < 0) {
		json_unref(steps);
		api_fail(call, r == -ENOENT ? API_NOT_FOUND : API_REFUSED,
			"%.200s cannot be used: %s", path,
			r == -EBADMSG ? "it is no undo file, or damaged"
			: r == -EXDEV ? "it was written on another node"
				      : strerror(-r));
		return;
	}
	result = json_object_new();
	json_set_string(result, "node", cluster_local_name(call->svc->cluster));
	json_set(result, "steps", steps);
	api_reply(call, result);
}
