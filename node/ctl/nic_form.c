/* SPDX-License-Identifier: MIT
 *
 * nic_form.c - the settings of a network adapter between what people write and what a request has
 * (node/svc/nic.h). Here only the form is looked at; the node service checks what it means.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

int ctl_parse_int(const char *text, int64_t *ret_value)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || *end || errno)
		return -EINVAL;
	*ret_value = v;
	return 0;
}

int ctl_parse_bool(const char *text, bool *ret_value)
{
	static const char *const yes[] = {"on", "true", "yes"}, *const no[] = {
									"off", "false", "no"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*ret_value = strcasecmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

int ctl_parse_rate(const char *text, int64_t *ret_bps)
{
	char *end;
	double v = strtod(text, &end), unit = 1;

	if (end == text || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	if (*end == 'K' || *end == 'k')
		unit = 1e3;
	else if (*end == 'M' || *end == 'm')
		unit = 1e6;
	else if (*end == 'G' || *end == 'g')
		unit = 1e9;
	if ((unit > 1 && end[1]) || (unit <= 1 && *end) || v * unit > 1e15)
		return -EINVAL;
	*ret_bps = (int64_t)(v * unit + 0.5);
	return 0;
}

/* ---- VLAN ---- */

static const char *set_mode(struct json *nic, const char *mode)
{
	const char *other = json_get_string(nic, "mode", mode);

	if (strcmp(other, mode) != 0)
		return "it contradicts another VLAN setting; an adapter has one VLAN mode";
	json_set_string(nic, "mode", mode);
	return NULL;
}

static const char *set_number(struct json *object, const char *key, const char *value)
{
	int64_t number;

	if (ctl_parse_int(value, &number) < 0)
		return "a whole number is needed";
	json_set_int(object, key, number);
	return NULL;
}

static const char *set_vlan(struct json *nic, const char *mode, const char *key, const char *value)
{
	const char *why = set_mode(nic, mode);

	return why ? why : set_number(nic, key, value);
}

/* A list when the mode, which may come later, is promiscuous: see finish(). */
static const char *set_private(struct json *nic, const char *mode, const char *value)
{
	const char *comma = strchr(value, ',');
	_cleanup_free_ char *primary = NULL;
	const char *why = set_mode(nic, mode);

	if (why)
		return why;
	if (!comma)
		return "the primary VLAN and the secondary are needed, as 200,201";
	primary = strndup(value, (size_t)(comma - value));
	json_set_string(nic, "secondary", comma + 1);
	return primary ? set_number(nic, "primary", primary) : "out of memory";
}

static const char *set_trunk(struct json *nic, const char *value)
{
	const char *why = set_mode(nic, "trunk");

	if (!why)
		json_set_string(nic, "allowed", value);
	return why;
}

static const char *set_private_mode(struct json *nic, const char *value)
{
	static const char *const names[] = {"isolated", "community", "promiscuous"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcasecmp(value, names[i]) == 0)
			return set_mode(nic, names[i]);
	}
	return "it is isolated, community or promiscuous";
}

/* NULL, or what is wrong. */
static const char *finish(struct json *nic)
{
	const char *secondary = json_get_string(nic, "secondary", NULL);
	const char *mode = json_get_string(nic, "mode", "");
	_cleanup_free_ char *copy = secondary ? strdup(secondary) : NULL;

	if (json_get(nic, "native") && strcmp(mode, "trunk") != 0)
		return "--native goes with --trunk";
	if ((secondary || json_get(nic, "primary")) && !mode[0])
		return "--primary and --secondary go with --private";
	if (!copy)
		return NULL;
	if (strcmp(mode, "promiscuous") != 0)
		return set_number(nic, "secondary", copy) ? "a secondary VLAN is one number" : NULL;
	json_delete(nic, "secondary");
	json_set_string(nic, "secondaries", copy);
	return NULL;
}

/* ---- the other groups ---- */

static struct json *group(struct json *nic, const char *key)
{
	if (!json_get(nic, key))
		json_set(nic, key, json_object_new());
	return json_get(nic, key);
}

static const char *set_switched(struct json *object, const char *key, const char *value)
{
	bool on;

	if (ctl_parse_bool(value, &on) < 0)
		return "it is on or off";
	json_set_bool(object, key, on);
	return NULL;
}

static const char *add_ips(struct json *guards, const char *value)
{
	_cleanup_free_ char *copy = strdup(value);
	char *rest = copy, *item;

	if (!json_get(guards, "ips"))
		json_set(guards, "ips", json_array_new());
	if (strcmp(value, "none") == 0)
		return NULL;
	while ((item = strsep(&rest, ",")))
		json_append_string(json_get(guards, "ips"), item);
	return NULL;
}

/* `other` is the other way to say a minimum: it goes. */
static const char *set_minimum(
	struct json *bandwidth, const char *key, const char *other, const char *value)
{
	int64_t number;

	if (json_is_int(json_get(bandwidth, other)))
		return "a minimum is either a rate or a weight";
	if (ctl_parse_rate(value, &number) < 0)
		return "a number is needed, as 7 or 100M";
	json_set_int(bandwidth, key, number);
	return json_set_string(bandwidth, other, NULL) < 0 ? "out of memory" : NULL;
}

static const char *set_rate(struct json *bandwidth, const char *key, const char *value)
{
	int64_t rate;

	if (ctl_parse_rate(value, &rate) < 0)
		return "a number is needed, as 500 or 100M";
	json_set_int(bandwidth, key, rate);
	return NULL;
}

static const char *set_word(struct json *object, const char *key, const char *value)
{
	char text[32];
	size_t i;

	for (i = 0; value[i] && i + 1 < sizeof(text); i++)
		text[i] = (char)(value[i] | (value[i] >= 'A' && value[i] <= 'Z' ? 0x20 : 0));
	text[i] = '\0';
	json_set_string(object, key, text);
	return NULL;
}

enum form {
	FORM_TEXT,
	FORM_NUMBER,
	FORM_SWITCH, /* on or off */
	FORM_WORD,
	FORM_RATE,
	FORM_IPS,
};

/* Settings with a place of their own. */
static const struct {
	const char *name, *group, *key;
	enum form form;
} plain[] = {
	{"switch", NULL, "switch", FORM_TEXT},
	{"mac", NULL, "mac", FORM_TEXT},
	{"mtu", NULL, "mtu", FORM_NUMBER},
	{"native", NULL, "native", FORM_NUMBER},
	{"primary", NULL, "primary", FORM_NUMBER},
	{"secondary", NULL, "secondary", FORM_TEXT},
	{"spoofing", NULL, "spoofing", FORM_SWITCH},
	{"dhcp-guard", "guards", "dhcp", FORM_SWITCH},
	{"router-guard", "guards", "router", FORM_SWITCH},
	{"address-guard", "guards", "addresses", FORM_SWITCH},
	{"ip", "guards", "ips", FORM_IPS},
	{"max-bandwidth", "bandwidth", "max_bps", FORM_RATE},
	{"storm-limit", "bandwidth", "storm_fps", FORM_RATE},
	{"mirror", NULL, "mirror", FORM_WORD},
	{"csum", "offload", "csum", FORM_WORD},
	{"lso", "offload", "lso", FORM_SWITCH},
	{"rsc", "offload", "rsc", FORM_SWITCH},
	{"rss", "offload", "rss", FORM_SWITCH},
};

static const char *set_plain(struct json *nic, size_t at, const char *value)
{
	struct json *object = plain[at].group ? group(nic, plain[at].group) : nic;
	const char *key = plain[at].key;

	switch (plain[at].form) {
	case FORM_NUMBER:
		return set_number(object, key, value);
	case FORM_SWITCH:
		return set_switched(object, key, value);
	case FORM_WORD:
		return set_word(object, key, value);
	case FORM_RATE:
		return set_rate(object, key, value);
	case FORM_IPS:
		return add_ips(object, value);
	default:
		json_set_string(object, key, value);
		return NULL;
	}
}

const char *ctl_nic_setting(struct json *nic, const char *key, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		if (strcmp(plain[i].name, key) == 0)
			return set_plain(nic, i, value);
	}
	if (strcmp(key, "vlan") == 0)
		return set_vlan(nic, "access", "vid", value);
	if (strcmp(key, "trunk") == 0)
		return set_trunk(nic, value);
	if (strcmp(key, "untagged") == 0)
		return set_mode(nic, "untagged");
	if (strcmp(key, "private") == 0)
		return set_private_mode(nic, value);
	if (strcmp(key, "isolated") == 0 || strcmp(key, "community") == 0 ||
		strcmp(key, "promiscuous") == 0)
		return set_private(nic, key, value);
	if (strcmp(key, "min-bandwidth") == 0)
		return set_minimum(group(nic, "bandwidth"), "min_bps", "weight", value);
	if (strcmp(key, "weight") == 0)
		return set_minimum(group(nic, "bandwidth"), "weight", "min_bps", value);
	return "there is no such setting; 'viaduct vm nic set --help' lists them";
}

int ctl_nic_options(const struct ctl_args *args, struct json *nic)
{
	const char *why = NULL;

	for (unsigned i = 0; i < args->n_options; i++) {
		if (strcmp(args->options[i].name, "node") == 0)
			continue;
		why = ctl_nic_setting(nic, args->options[i].name, args->options[i].value);
		if (why)
			return ctl_fail(EXIT_USAGE, "--%s %s: %s", args->options[i].name,
				args->options[i].value, why);
	}
	why = finish(nic);
	return why ? ctl_fail(EXIT_USAGE, "%s", why) : EXIT_OK;
}

static const char *spec_item(struct json *nic, char *item)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = '\0';
	else if (strcmp(item, "untagged") != 0)
		return "it needs a value, as vlan=2";
	for (char *p = value; p && (p = strchr(p, '+'));)
		*p = ',';
	return ctl_nic_setting(nic, item, value ? value : "");
}

int ctl_parse_nic(const char *spec, struct json *nics)
{
	_cleanup_free_ char *copy = strdup(spec);
	_cleanup_json_ struct json *nic = json_object_new();
	char *rest = copy, *item;
	const char *why;

	while ((item = strsep(&rest, ","))) {
		why = spec_item(nic, item);
		if (why)
			return ctl_fail(EXIT_USAGE, "adapter '%s': %s: %s", spec, item, why);
	}
	why = finish(nic);
	if (why)
		return ctl_fail(EXIT_USAGE, "adapter '%s': %s", spec, why);
	json_append(nics, take_ptr(nic));
	return EXIT_OK;
}

/* ---- for people ---- */

const char *format_rate(int64_t bps)
{
	static const char *const units[] = {"", "K", "M", "G", "T"};
	static char texts[4][24];
	static unsigned at;
	char *text = texts[at++ % ARRAY_LEN(texts)];
	double value = (double)bps;
	unsigned unit = 0;

	while (value >= 1000 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(text, sizeof(texts[0]), "%.4g%s", value, units[unit]);
	return text;
}

void ctl_describe_vlan(const struct json *nic, char *text, size_t size_bytes)
{
	const char *mode = json_get_string(nic, "mode", "untagged");
	long long native = (long long)json_get_int(nic, "native", 0);
	long long primary = (long long)json_get_int(nic, "primary", 0);

	if (strcmp(mode, "access") == 0)
		snprintf(text, size_bytes, "access %lld", (long long)json_get_int(nic, "vid", 0));
	else if (strcmp(mode, "trunk") == 0 && json_get_string(nic, "allowed", "")[0] && native)
		snprintf(text, size_bytes, "trunk %s native %lld",
			json_get_string(nic, "allowed", ""), native);
	else if (strcmp(mode, "trunk") == 0 && json_get_string(nic, "allowed", "")[0])
		snprintf(text, size_bytes, "trunk %s", json_get_string(nic, "allowed", ""));
	else if (primary && json_get_string(nic, "secondaries", NULL))
		snprintf(text, size_bytes, "%s %lld,%s", mode, primary,
			json_get_string(nic, "secondaries", ""));
	else if (primary)
		snprintf(text, size_bytes, "%s %lld,%lld", mode, primary,
			(long long)json_get_int(nic, "secondary", 0));
	else
		snprintf(text, size_bytes, "%s", mode);
}
