/* SPDX-License-Identifier: MIT
 *
 * The program: bench_pump ROLE --port KIND:FDS --mac MAC --peer-mac MAC [...]; one line of JSON.
 */
#include "pump.h"
#include "base/clock.h"
#include "pump_tcp.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* More than any run needs to find its other half. */
#define GRACE_NS (30 * NS_PER_SEC)

static const struct {
	const char *name;
	int (*run)(struct pump *pump, struct json *result);
} roles[] = {
	{"blast", pump_blast},
	{"sink", pump_sink},
	{"ping", pump_ping},
	{"echo", pump_echo},
	{"send", pump_send},
	{"receive", pump_receive},
};

static int usage(void)
{
	fprintf(stderr, "bench_pump ROLE --port KIND:FDS --mac MAC --peer-mac MAC [options]\n"
			"  roles: blast and sink, ping and echo, send and receive (TCP)\n"
			"  --port     shm:MEMORY,KICK_SWITCH,KICK_VM or tap:FD or packet:FD\n"
			"  --offload  unfinished checksums and super-frames\n"
			"  --alone    blast: nobody is there to answer\n"
			"  --bytes N  of a frame, without FCS (64)\n"
			"  --flows N  of UDP (1)\n"
			"  --window N bytes of TCP in flight (1048576)\n"
			"  --ms N     duration (1000)\n"
			"  --count N  frames at most\n");
	return EXIT_FAILURE;
}

static int parse_mac(const char *text, uint8_t ret_mac[ETH_ADDR_LEN])
{
	int n = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &ret_mac[0], &ret_mac[1],
		    &ret_mac[2], &ret_mac[3], &ret_mac[4], &ret_mac[5], &n) != ETH_ADDR_LEN ||
		text[n])
		return -EINVAL;
	return 0;
}

static int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static int parse_option(struct pump *pump, int option, const char *text, const char **ret_port)
{
	uint64_t value = 0;
	int r = 0;

	switch (option) {
	case 'p':
		*ret_port = text;
		return 0;
	case 'm':
		return parse_mac(text, pump->mac);
	case 'r':
		return parse_mac(text, pump->peer_mac);
	case 'o':
		pump->offload = true;
		return 0;
	case 'a':
		pump->alone = true;
		return 0;
	case 'b':
		r = parse_number(text, ETH_MIN_FRAME_BYTES, 1514, &value);
		pump->frame_bytes = (unsigned)value;
		return r;
	case 'f':
		r = parse_number(text, 1, PUMP_MAX_FLOWS, &value);
		pump->n_flows = (unsigned)value;
		return r;
	case 'w':
		r = parse_number(text, TCP_SUPER_PAYLOAD, TCP_MAX_WINDOW, &value);
		pump->window_bytes = (unsigned)value;
		return r;
	case 't':
		r = parse_number(text, 1, 60000, &value);
		pump->run_ns = value * NS_PER_MS;
		return r;
	case 'c':
		return parse_number(text, 1, UINT32_MAX, &pump->max_frames);
	default:
		return -EINVAL;
	}
}

static int parse(int argc, char **argv, struct pump *pump, const char **ret_port)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'},
		{"mac", required_argument, NULL, 'm'},
		{"peer-mac", required_argument, NULL, 'r'},
		{"offload", no_argument, NULL, 'o'},
		{"alone", no_argument, NULL, 'a'},
		{"bytes", required_argument, NULL, 'b'},
		{"flows", required_argument, NULL, 'f'},
		{"window", required_argument, NULL, 'w'},
		{"ms", required_argument, NULL, 't'},
		{"count", required_argument, NULL, 'c'},
		{0},
	};
	int option;

	*ret_port = NULL;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (parse_option(pump, option, optarg, ret_port) < 0)
			return -EINVAL;
	}
	return *ret_port && optind + 1 == argc ? 0 : -EINVAL;
}

static int run_role(struct pump *pump, const char *name, struct json *result)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		if (strcmp(roles[i].name, name) == 0)
			return roles[i].run(pump, result);
	}
	return -EOPNOTSUPP;
}

int main(int argc, char **argv)
{
	struct pump pump = {
		.frame_bytes = 64,
		.n_flows = 1,
		.window_bytes = 1 << 20,
		.run_ns = NS_PER_SEC,
	};
	_cleanup_json_ struct json *result = json_object_new();
	_cleanup_free_ char *text = NULL;
	const char *port;
	int r;

	if (parse(argc, argv, &pump, &port) < 0)
		return usage();
	r = pump_port_open(port, pump.offload, &pump.port);
	if (r < 0) {
		fprintf(stderr, "bench_pump: --port %s: %s\n", port, strerror(-r));
		return EXIT_FAILURE;
	}
	pump.deadline_ns = clock_mono_ns() + pump.run_ns + GRACE_NS;
	r = run_role(&pump, argv[optind], result);
	pump_port_close(&pump.port);
	if (r < 0) {
		fprintf(stderr, "bench_pump %s: %s\n", argv[optind], strerror(-r));
		return EXIT_FAILURE;
	}
	text = json_dump(result, 0);
	if (!text)
		return EXIT_FAILURE;
	puts(text);
	return EXIT_SUCCESS;
}
