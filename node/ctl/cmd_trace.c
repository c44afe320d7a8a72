/* SPDX-License-Identifier: MIT
 *
 * cmd_trace.c - `viaduct switch trace`: what would happen to this frame, and why.
 */
#include "node/ctl/ctl.h"
#include "node/ctl/trace_frame.h"

#include "base/base64.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

static int parse_mac(const char *text, uint8_t mac[6])
{
	char rest;
	int n = sscanf(text, "%2hhx%*1[:-]%2hhx%*1[:-]%2hhx%*1[:-]%2hhx%*1[:-]%2hhx%*1[:-]%2hhx%c",
		&mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &rest);

	return n == 6 ? EXIT_OK
		      : ctl_fail(EXIT_USAGE, "'%s' is not a MAC address like 00:15:5d:00:00:01",
				text);
}

/* A number in an option, or `fallback`. */
static int number(const struct ctl_args *args, const char *option, long min, long max,
	long fallback, long *ret_value)
{
	const char *text = ctl_option(args, option);
	char *end;

	*ret_value = text ? strtol(text, &end, 0) : fallback;
	if (text && (end == text || *end || *ret_value < min || *ret_value > max))
		return ctl_fail(
			EXIT_USAGE, "--%s must be a number from %ld to %ld", option, min, max);
	return EXIT_OK;
}

static int parse_ips(const struct ctl_args *args, struct trace_spec *spec)
{
	const char *texts[] = {ctl_option(args, "from"), ctl_option(args, "to")};
	uint8_t *addresses[] = {spec->ip_src, spec->ip_dst};

	spec->ipv6 = (texts[0] && strchr(texts[0], ':')) || (texts[1] && strchr(texts[1], ':'));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i] &&
			inet_pton(spec->ipv6 ? AF_INET6 : AF_INET, texts[i], addresses[i]) != 1)
			return ctl_fail(EXIT_USAGE, "'%s' is not an IPv%d address", texts[i],
				spec->ipv6 ? 6 : 4);
	}
	if (texts[0] || texts[1])
		spec->ethertype = spec->ipv6 ? 0x86dd : 0x0800;
	return EXIT_OK;
}

static int parse_protocol(const struct ctl_args *args, struct trace_spec *spec)
{
	static const struct {
		const char *name;
		uint8_t number;
	} protocols[] = {{"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmpv6", 58}};
	const char *text = ctl_option(args, "protocol");
	long value;
	int r;

	for (size_t i = 0; text && i < ARRAY_LEN(protocols); i++) {
		if (strcmp(text, protocols[i].name) == 0) {
			spec->protocol = protocols[i].number;
			return EXIT_OK;
		}
	}
	r = number(args, "protocol", 0, 255, 59, &value); /* 59: nothing follows */
	spec->protocol = (uint8_t)value;
	return r;
}

static int parse_type(const struct ctl_args *args, struct trace_spec *spec)
{
	const char *text = ctl_option(args, "type");
	long value;
	int r;

	if (!text)
		return EXIT_OK;
	if (strcmp(text, "arp") == 0) {
		spec->ethertype = 0x0806;
		return EXIT_OK;
	}
	r = number(args, "type", 0x600, 0xffff, 0, &value);
	spec->ethertype = (uint16_t)value;
	return r;
}

/* `own` is the port's address. */
static int parse_spec(const struct ctl_args *args, const char *own, struct trace_spec *spec)
{
	const char *dst = ctl_option(args, "dst");
	long vlan, priority, src_port, dst_port;
	int r = parse_mac(ctl_option(args, "src") ? ctl_option(args, "src") : own, spec->src);

	spec->ethertype = 0x88b5; /* local experimental */
	r = r ? r : parse_mac(dst ? dst : "ff:ff:ff:ff:ff:ff", spec->dst);
	r = r ? r : parse_ips(args, spec);
	r = r ? r : parse_protocol(args, spec);
	r = r ? r : parse_type(args, spec);
	r = r ? r : number(args, "vlan", 0, 4095, -1, &vlan);
	r = r ? r : number(args, "priority", 0, 7, 0, &priority);
	r = r ? r : number(args, "sport", 0, 65535, 0, &src_port);
	r = r ? r : number(args, "dport", 0, 65535, 0, &dst_port);
	if (r)
		return r;
	spec->vlan = (int)vlan;
	spec->priority = (int)priority;
	spec->src_port = (uint16_t)src_port;
	spec->dst_port = (uint16_t)dst_port;
	return EXIT_OK;
}

static void print_trace(const struct json *reply)
{
	const struct json *steps = json_get(reply, "steps"), *out = json_get(reply, "out");

	for (size_t i = 0; i < json_length(steps); i++) {
		const struct json *step = json_at(steps, i);

		printf("%-4s %-16s %s\n", json_get_bool(step, "ok", false) ? "ok" : "no",
			json_get_string(step, "step", ""), json_get_string(step, "text", ""));
	}
	if (json_length(out) == 0)
		printf("It goes nowhere.\n");
	for (size_t i = 0; i < json_length(out); i++) {
		const struct json *copy = json_at(out, i);
		long long vlan = (long long)json_get_int(copy, "vlan", 0);

		printf("%s leaves by %s, ", i ? "     and" : "It",
			json_get_string(copy, "port", ""));
		if (json_get_bool(copy, "tagged", false))
			printf("with a tag of VLAN %lld%s\n", vlan,
				json_get_bool(copy, "mirror", false) ? ", mirrored" : "");
		else
			printf("without a tag%s\n",
				json_get_bool(copy, "mirror", false) ? ", mirrored" : "");
	}
}

static struct json *request_for(const struct ctl_args *args, const char *op)
{
	struct json *request = ctl_request(op);

	json_set_string(request, "port", args->positional[0]);
	return request;
}

int cmd_switch_trace(const struct ctl_args *args)
{
	_cleanup_json_ struct json *port = NULL, *reply = NULL;
	_cleanup_free_ char *text = NULL;
	uint8_t frame[TRACE_FRAME_MAX_BYTES];
	struct trace_spec spec = {0};
	struct json *request;
	const char *own;
	int r = ctl_call(args, request_for(args, "port.stats"), TIMEOUT_MS, &port);

	if (r)
		return r;
	own = json_get_string(json_get(port, "port"), "mac", "02:00:00:00:00:01");
	r = parse_spec(args, own, &spec);
	if (r)
		return r;
	text = base64_encode(frame, trace_frame_build(&spec, frame));
	request = request_for(args, "port.trace");
	json_set_string(request, "frame", text);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	print_trace(reply);
	return EXIT_OK;
}
