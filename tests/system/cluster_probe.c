/* SPDX-License-Identifier: MIT
 *
 * cluster_probe - a node of the cluster under the control of a test: commands on standard input,
 * one line of JSON for each on standard output, in the order in which they are done.
 *
 *   status | nodes | nets | migration FROM TO | get KEY | put KEY JSON | cas KEY VERSION JSON |
 *   del KEY | bench COUNT KEY | mac OWNER [WANTED] | owner OBJECT NODE |
 *   upgrade | fill N BYTES | reset | quit
 */
#include "base/clock.h"
#include "cluster/cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PUBLISH_NS  (500 * NS_PER_MS)
#define MAX_SAMPLES 100000
#define FILL_WINDOW 256

struct probe {
	struct loop *loop;
	struct cluster *cluster;
	uint64_t n_changed; /* calls of store_changed */
	char line[CLUSTER_VALUE_MAX_BYTES + 512];
	size_t line_len;

	/* bench */
	char key[CLUSTER_KEY_MAX_LEN + 1];
	size_t n_wanted, n_samples;
	uint64_t began_ns, write_began_ns;
	uint64_t samples_ns[MAX_SAMPLES];

	/* fill */
	size_t n_to_fill, n_asked, n_filled, fill_bytes;
	int fill_error;
};

static void reply(struct json *object)
{
	char *text = json_dump(object, 0);

	printf("%s\n", text ? text : "null");
	fflush(stdout);
	free(text);
	json_unref(object);
}

static void reply_error(int error)
{
	struct json *object = json_object_new();

	json_set_string(object, "error", strerror(-error));
	json_set_int(object, "errno", -error);
	reply(object);
}

static void on_done(int error, uint64_t version, void *data)
{
	struct json *object = json_object_new();

	(void)data;
	json_set_int(object, "errno", -error);
	json_set_int(object, "version", (int64_t)version);
	reply(object);
}

static void do_status(struct probe *probe, char *arguments)
{
	struct json *object = json_object_new();
	struct turn_times turn = loop_longest_turn(probe->loop);
	struct cluster_status status;

	(void)arguments;
	cluster_get_status(probe->cluster, &status);
	json_set_bool(object, "connected", cluster_is_connected(probe->cluster));
	json_set_bool(object, "quorate", cluster_is_quorate(probe->cluster));
	json_set_bool(object, "synced", cluster_is_synced(probe->cluster));
	json_set_int(object, "id", cluster_local_id(probe->cluster));
	json_set_string(object, "name", cluster_local_name(probe->cluster));
	json_set_int(object, "expected_votes", status.expected_votes);
	json_set_int(object, "total_votes", status.total_votes);
	json_set_int(object, "quorum_votes", status.quorum_votes);
	json_set_int(object, "generation", (int64_t)status.generation);
	json_set_int(object, "version", (int64_t)status.store_version);
	json_set_int(object, "n_keys", (int64_t)status.n_keys);
	json_set_int(object, "n_changed", (int64_t)probe->n_changed);
	json_set_string(object, "digest", status.digest);
	json_set_int(object, "store_error", -status.store_error);
	json_set_int(object, "connect_error", -status.connect_error);
	json_set_int(object, "protocol", status.protocol);
	json_set_int(object, "protocol_floor", status.protocol_floor);
	json_set_int(object, "protocol_needed", status.protocol_needed);
	json_set_int(object, "longest_turn_us", (int64_t)(turn.longest_ns / NS_PER_US));
	json_set_int(object, "longest_turn_own_us", (int64_t)(turn.longest_own_ns / NS_PER_US));
	reply(object);
}

static void do_nodes(struct probe *probe, char *arguments)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(probe->cluster, nodes, ARRAY_LEN(nodes));
	struct json *list = json_array_new();

	(void)arguments;
	for (size_t i = 0; i < n; i++) {
		struct json *object = json_object_new();

		json_set_int(object, "id", nodes[i].id);
		json_set_string(object, "name", nodes[i].name);
		json_set_string(object, "ring0_addr", nodes[i].ring_addr[0]);
		json_set_bool(object, "is_member", nodes[i].is_member);
		json_set_bool(object, "has_service", nodes[i].has_service);
		json_set_bool(object, "is_synced", nodes[i].is_synced);
		json_append(list, object);
	}
	reply(list);
}

static struct json *net_to_json(const struct cluster_net *net)
{
	struct json *object = json_object_new(), *interfaces = json_object_new();
	char id[16];

	for (size_t i = 0; i < net->n_interfaces; i++) {
		snprintf(id, sizeof(id), "%u", net->interfaces[i].node_id);
		json_set_int(interfaces, id, net->interfaces[i].state);
	}
	json_set_string(object, "subnet", net->subnet);
	json_set_string(object, "name", net->name);
	json_set_int(object, "role", net->role);
	json_set_int(object, "metric", net->metric);
	json_set_int(object, "state", net->state);
	json_set_string(object, "reason", net->reason);
	json_set(object, "interfaces", interfaces);
	return object;
}

static void reply_nets(const struct cluster_net *nets, size_t n)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < n; i++)
		json_append(list, net_to_json(&nets[i]));
	reply(list);
}

static void do_nets(struct probe *probe, char *arguments)
{
	static struct cluster_net nets[CLUSTER_MAX_NETS];

	(void)arguments;
	reply_nets(nets, cluster_nets(probe->cluster, nets, ARRAY_LEN(nets)));
}

static void do_migration(struct probe *probe, char *arguments)
{
	static struct cluster_net nets[CLUSTER_MAX_NETS];
	unsigned from = 0, to = 0;

	sscanf(arguments, "%u %u", &from, &to);
	reply_nets(nets, cluster_migration_nets(probe->cluster, from, to, nets, ARRAY_LEN(nets)));
}

static void do_get(struct probe *probe, char *arguments)
{
	struct json *object = json_object_new();
	const struct json *value;
	uint64_t version;

	if (cluster_get(probe->cluster, arguments, &value, &version) == 0) {
		json_set(object, "value", json_copy(value));
		json_set_int(object, "version", (int64_t)version);
	}
	reply(object);
}

static void write_value(struct probe *probe, const char *key, uint64_t expected, const char *text)
{
	struct json *value = NULL;
	int r = text ? json_parse(text, strlen(text), &value) : 0;

	if (r == 0)
		r = cluster_cas(probe->cluster, key, expected, value, on_done, NULL);
	if (r < 0)
		reply_error(r);
}

static void do_put(struct probe *probe, char *arguments)
{
	char *key = strsep(&arguments, " ");

	write_value(probe, key, CLUSTER_ANY_VERSION, arguments ? arguments : "");
}

static void do_cas(struct probe *probe, char *arguments)
{
	char *key = strsep(&arguments, " ");
	char *version = arguments ? strsep(&arguments, " ") : NULL;

	write_value(
		probe, key, version ? strtoull(version, NULL, 10) : 0, arguments ? arguments : "");
}

static void do_del(struct probe *probe, char *arguments)
{
	write_value(probe, arguments, CLUSTER_ANY_VERSION, NULL);
}

static int order_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void bench_report(struct probe *probe)
{
	uint64_t took_ns = clock_mono_ns() - probe->began_ns;
	struct json *object = json_object_new();
	uint64_t *ns = probe->samples_ns;
	size_t n = probe->n_samples;

	qsort(ns, n, sizeof(ns[0]), order_ns);
	json_set_int(object, "count", (int64_t)n);
	json_set_int(object, "min_us", (int64_t)(ns[0] / NS_PER_US));
	json_set_int(object, "p50_us", (int64_t)(ns[n / 2] / NS_PER_US));
	json_set_int(object, "p99_us", (int64_t)(ns[n * 99 / 100] / NS_PER_US));
	json_set_int(object, "max_us", (int64_t)(ns[n - 1] / NS_PER_US));
	json_set_int(object, "per_second", (int64_t)(n * NS_PER_SEC / took_ns));
	reply(object);
}

static void bench_next(struct probe *probe);

static void on_bench_done(int error, uint64_t version, void *data)
{
	struct probe *probe = data;

	(void)version;
	if (error < 0) {
		reply_error(error);
		return;
	}
	probe->samples_ns[probe->n_samples++] = clock_mono_ns() - probe->write_began_ns;
	if (probe->n_samples == probe->n_wanted)
		bench_report(probe);
	else
		bench_next(probe);
}

/* One write at a time, of the size of an owner record and a bit. */
static void bench_next(struct probe *probe)
{
	struct json *value = json_object_new();
	int r;

	json_set_int(value, "n", (int64_t)probe->n_samples);
	json_set_string(value, "text",
		"0123456789012345678901234567890123456789012345678901234567890123456789");
	probe->write_began_ns = clock_mono_ns();
	r = cluster_cas(
		probe->cluster, probe->key, CLUSTER_ANY_VERSION, value, on_bench_done, probe);
	if (r < 0)
		reply_error(r);
}

static void do_bench(struct probe *probe, char *arguments)
{
	size_t count = strtoul(strsep(&arguments, " "), NULL, 10);

	snprintf(probe->key, sizeof(probe->key), "%s", arguments ? arguments : "bench");
	probe->n_wanted = count == 0 ? 1 : MIN(count, (size_t)MAX_SAMPLES);
	probe->n_samples = 0;
	probe->began_ns = clock_mono_ns();
	bench_next(probe);
}

static void on_mac(int error, const char *mac, void *data)
{
	struct json *object = json_object_new();

	(void)data;
	json_set_int(object, "errno", -error);
	json_set_string(object, "mac", mac);
	reply(object);
}

static void do_mac(struct probe *probe, char *arguments)
{
	char *owner = strsep(&arguments, " ");
	int r = cluster_mac_lease(probe->cluster, owner, arguments, on_mac, NULL);

	if (r < 0)
		reply_error(r);
}

static void do_owner(struct probe *probe, char *arguments)
{
	char *object = strsep(&arguments, " ");
	struct cluster_owner owner;
	int r;

	r = cluster_owner_get(probe->cluster, object, &owner);
	if (r == 0)
		r = cluster_owner_cas(probe->cluster, object, &owner,
			arguments ? (uint32_t)strtoul(arguments, NULL, 10) : 0, on_done, NULL);
	if (r < 0)
		reply_error(r);
}

static void do_upgrade(struct probe *probe, char *arguments)
{
	struct cluster_node node = {};
	unsigned version = 0;
	int r = cluster_upgrade(probe->cluster, &version, &node, on_done, NULL);

	(void)arguments;
	if (r < 0)
		reply_error(r);
}

static void on_filled(int error, uint64_t version, void *data);

/* "fill N BYTES": that many keys, as many under way as there may be. */
static void fill_more(struct probe *probe)
{
	char key[32], text[2048];
	struct json *value;
	int r = 0;

	memset(text, 'x', probe->fill_bytes);
	text[probe->fill_bytes] = '\0';
	while (r == 0 && probe->n_asked < probe->n_to_fill &&
		probe->n_asked - probe->n_filled < FILL_WINDOW) {
		snprintf(key, sizeof(key), "fill/%07zu", probe->n_asked);
		value = json_object_new();
		json_set_string(value, "text", text);
		r = cluster_cas(probe->cluster, key, CLUSTER_ANY_VERSION, value, on_filled, probe);
		probe->n_asked += r == 0;
	}
	probe->fill_error = r < 0 ? r : probe->fill_error;
	if (probe->n_filled < probe->n_asked || (r == 0 && probe->n_asked < probe->n_to_fill))
		return;
	reply_error(probe->fill_error);
}

static void on_filled(int error, uint64_t version, void *data)
{
	struct probe *probe = data;

	(void)version;
	probe->n_filled++;
	if (error < 0) {
		probe->fill_error = error;
		probe->n_to_fill = probe->n_asked;
	}
	fill_more(probe);
}

static void do_fill(struct probe *probe, char *arguments)
{
	probe->n_to_fill = strtoul(strsep(&arguments, " "), NULL, 10);
	probe->fill_bytes = MIN(arguments ? strtoul(arguments, NULL, 10) : 100, 2000UL);
	probe->n_asked = probe->n_filled = 0;
	probe->fill_error = 0;
	fill_more(probe);
}

static void do_reset(struct probe *probe, char *arguments)
{
	(void)arguments;
	reply_error(loop_measure(probe->loop));
}

static void do_quit(struct probe *probe, char *arguments)
{
	(void)arguments;
	loop_stop(probe->loop);
}

static const struct {
	const char *name;
	void (*fn)(struct probe *probe, char *arguments);
} commands[] = {
	{"status", do_status},
	{"nodes", do_nodes},
	{"nets", do_nets},
	{"migration", do_migration},
	{"get", do_get},
	{"put", do_put},
	{"cas", do_cas},
	{"del", do_del},
	{"bench", do_bench},
	{"mac", do_mac},
	{"owner", do_owner},
	{"upgrade", do_upgrade},
	{"fill", do_fill},
	{"reset", do_reset},
	{"quit", do_quit},
};

static void run_line(struct probe *probe, char *line)
{
	char *name = strsep(&line, " ");
	static char nothing[1];

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].fn(probe, line ? line : nothing);
			return;
		}
	}
	reply_error(-EINVAL);
}

static void on_input(int fd, short revents, void *data)
{
	struct probe *probe = data;
	size_t room = sizeof(probe->line) - probe->line_len - 1;
	ssize_t n = read(fd, probe->line + probe->line_len, room);
	char *end;

	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || room == 0) {
		loop_stop(probe->loop);
		return;
	}
	probe->line_len += (size_t)n;
	while ((end = memchr(probe->line, '\n', probe->line_len))) {
		size_t used = (size_t)(end - probe->line) + 1;

		*end = '\0';
		run_line(probe, probe->line);
		probe->line_len -= used;
		memmove(probe->line, probe->line + used, probe->line_len);
	}
}

static void on_changed(void *data)
{
	(void)data;
}

static void on_store_changed(const char *key, bool is_there, uint64_t version, void *data)
{
	struct probe *probe = data;

	(void)key;
	(void)is_there;
	(void)version;
	probe->n_changed++;
}

static void on_publish(void *data)
{
	struct probe *probe = data;

	cluster_publish_interfaces(probe->cluster);
	loop_timer_add(probe->loop, PUBLISH_NS, on_publish, probe, NULL);
}

static void on_signal(int signal_number, void *data)
{
	(void)signal_number;
	loop_stop(data);
}

int main(int argc, char **argv)
{
	static struct probe probe;
	const struct cluster_callbacks callbacks = {
		.changed = on_changed,
		.store_changed = on_store_changed,
	};
	struct cluster_config config = {.state_dir = argc > 1 ? argv[1] : ".",
		.protocol_newest = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0};
	int r;

	r = loop_new(&probe.loop);
	if (r == 0)
		r = loop_measure(probe.loop);
	if (r == 0)
		r = loop_signal_add(probe.loop, SIGTERM, on_signal, probe.loop);
	if (r == 0)
		r = cluster_new(probe.loop, &config, &callbacks, &probe, &probe.cluster);
	if (r == 0)
		r = loop_fd_add(probe.loop, STDIN_FILENO, POLLIN, on_input, &probe);
	if (r < 0) {
		fprintf(stderr, "cluster_probe: %s: %s\n", config.state_dir, strerror(-r));
		return EXIT_FAILURE;
	}
	on_publish(&probe);
	loop_run(probe.loop);
	loop_fd_remove(probe.loop, STDIN_FILENO);
	cluster_free(probe.cluster);
	loop_free(probe.loop);
	return EXIT_SUCCESS;
}
