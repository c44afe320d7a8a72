/* SPDX-License-Identifier: MIT
 *
 * schema_value.c - one text of a file as a value.
 */
#include "node/deploy/schema.h"
#include "node/deploy/subnet.h"
#include "node/svc/nic.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN   63
#define IFNAME_MAX_LEN 15
#define PATH_MAX_LEN   1023

/* One text, and where to complain about it. */
struct reading {
	const struct field *field;
	const char *name, *text;
	struct place_in_file at;
	struct problems *problems;
};

static struct json *refuse(const struct reading *r, const char *wanted)
{
	problem(r->problems, r->at, "%s is '%.60s', and must be %s", r->name, r->text, wanted);
	return NULL;
}

/* ---- numbers ---- */

static bool parse_int(const char *text, int64_t *ret_value)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || *end || errno || isspace((unsigned char)text[0]) || text[0] == '+')
		return false;
	*ret_value = v;
	return true;
}

static struct json *read_int(const struct reading *r)
{
	char wanted[80];
	int64_t v;

	snprintf(wanted, sizeof(wanted), "a whole number from %lld to %lld",
		(long long)r->field->min, (long long)r->field->max);
	if (!parse_int(r->text, &v) || v < r->field->min || v > r->field->max)
		return refuse(r, wanted);
	return json_int_new(v);
}

/* Digits, perhaps a fraction, a unit of one letter. */
static bool parse_scaled(const char *text, double base, double *ret_value)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	double v;

	if (!isdigit((unsigned char)text[0]) || strpbrk(text, "xXpP"))
		return false;
	v = strtod(text, &end);
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return false;
		for (const char *u = units; u <= unit; u++)
			v *= base;
	}
	*ret_value = v;
	return v < 9e15;
}

static struct json *read_size(const struct reading *r)
{
	char wanted[96];
	double v;

	snprintf(wanted, sizeof(wanted), "a size from %lldM to %lldM, as 128M or 2G",
		(long long)(r->field->min >> 20), (long long)(r->field->max >> 20));
	if (!parse_scaled(r->text, 1024, &v) || v != (double)(int64_t)v ||
		(int64_t)v < r->field->min || (int64_t)v > r->field->max)
		return refuse(r, wanted);
	return json_int_new((int64_t)v);
}

static struct json *read_rate(const struct reading *r)
{
	double v;

	if (!parse_scaled(r->text, 1000, &v) ||
		(v != 0 && ((int64_t)v < r->field->min || (int64_t)v > r->field->max)))
		return refuse(
			r, r->field->help
				   ? r->field->help
				   : "bits per second from 1M to 1000G, as 100M, or 0 for none");
	return json_int_new((int64_t)(v + 0.5));
}

static struct json *read_special(const struct reading *r, const char *word, int64_t value)
{
	char wanted[96];
	int64_t v;

	if (strcmp(r->text, word) == 0)
		return value ? json_int_new(value) : json_string_new(word);
	snprintf(wanted, sizeof(wanted), "a whole number from %lld to %lld, or '%s'",
		(long long)r->field->min, (long long)r->field->max, word);
	if (!parse_int(r->text, &v) || v < r->field->min || v > r->field->max)
		return refuse(r, wanted);
	return json_int_new(v);
}

/* ---- words ---- */

static struct json *read_bool(const struct reading *r)
{
	static const char *const words[] = {"on", "off", "yes", "no", "true", "false"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(words[i], r->text) == 0)
			return json_bool_new(i % 2 == 0);
	}
	return refuse(r, "on or off");
}

static struct json *read_choice(const struct reading *r)
{
	const char *word = r->field->choices;

	while (*word) {
		size_t len = strcspn(word, "|");

		if (strlen(r->text) == len && strncasecmp(word, r->text, len) == 0) {
			char text[64];

			snprintf(text, sizeof(text), "%.*s", (int)len, word);
			return json_string_new(text);
		}
		word += len + (word[len] == '|');
	}
	problem(r->problems, r->at, "%s is '%.60s', and must be one of: %s%s", r->name, r->text,
		r->field->choices, schema_guess(r->text, r->field->choices));
	return NULL;
}

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > NAME_MAX_LEN || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
			return false;
	}
	return true;
}

static struct json *read_text(const struct reading *r)
{
	char wanted[80];
	size_t len = strlen(r->text);

	snprintf(wanted, sizeof(wanted), "%lld to %lld printable characters",
		(long long)r->field->min, (long long)r->field->max);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)r->text[i] < ' ' || r->text[i] == 0x7f)
			return refuse(r, wanted);
	}
	return (int64_t)len < r->field->min || (int64_t)len > r->field->max
		       ? refuse(r, wanted)
		       : json_string_new(r->text);
}

/* ---- addresses ---- */

static struct json *read_ip(const struct reading *r)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, r->text, bytes) != 1 && inet_pton(AF_INET6, r->text, bytes) != 1)
		return refuse(r, "an IP address, as 10.10.2.1 or fd00::1");
	return json_string_new(r->text);
}

static struct json *read_subnet(const struct reading *r)
{
	struct subnet subnet;

	if (!subnet_parse(r->text, &subnet))
		return refuse(r, "a subnet, as 10.10.2.0/24 or fd00::/64");
	if (!subnet_is_base(&subnet))
		return refuse(r, "the address of a subnet: no bits behind its length, as "
				 "10.10.2.0/24");
	return json_string_new(r->text);
}

static struct json *read_mac(const struct reading *r)
{
	unsigned char mac[6];
	char text[18];

	if (!nic_mac_parse(r->text, mac))
		return refuse(r, "the MAC address of one machine, as 00:15:5d:00:00:01");
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	return json_string_new(text);
}

static struct json *read_vlans(const struct reading *r)
{
	const char *why = nic_vlan_list_error(r->text, 0);

	if (!why)
		return json_string_new(r->text);
	problem(r->problems, r->at, "%s is '%.60s', and that is %s", r->name, r->text, why);
	return NULL;
}

static struct json *read_path(const struct reading *r)
{
	if (r->text[0] != '/' || strlen(r->text) > PATH_MAX_LEN)
		return refuse(r, "an absolute path, the same on every node");
	return json_string_new(r->text);
}

static struct json *read_ifname(const struct reading *r)
{
	size_t len = strlen(r->text);

	if (len < 1 || len > IFNAME_MAX_LEN || strpbrk(r->text, "/ \t\n:") ||
		strcmp(r->text, ".") == 0 || strcmp(r->text, "..") == 0)
		return refuse(r, "the name of a network adapter, as 'ip link' shows it");
	return json_string_new(r->text);
}

struct json *schema_value(const struct field *field, enum field_type type, const char *name,
	const struct doc *doc, struct problems *problems)
{
	const struct reading r = {.field = field,
		.name = name,
		.text = doc->text,
		.at = doc->at,
		.problems = problems};

	if (doc->kind != DOC_TEXT) {
		problem(problems, doc->at, "'%.60s' must be one value, and this is %s", name,
			doc_kind_name(doc));
		return NULL;
	}
	if (doc->plain && !doc->text[0]) {
		problem(problems, doc->at, "'%.60s' has no value; give it one, or leave it out",
			name);
		return NULL;
	}
	switch (type) {
	case FIELD_INT:
		return read_int(&r);
	case FIELD_BOOL:
		return read_bool(&r);
	case FIELD_SIZE:
		return read_size(&r);
	case FIELD_RATE:
		return read_rate(&r);
	case FIELD_CHOICE:
		return read_choice(&r);
	case FIELD_IP:
		return read_ip(&r);
	case FIELD_SUBNET:
		return read_subnet(&r);
	case FIELD_MAC:
		return read_mac(&r);
	case FIELD_VLANS:
		return read_vlans(&r);
	case FIELD_PATH:
		return read_path(&r);
	case FIELD_IFNAME:
		return read_ifname(&r);
	case FIELD_METRIC:
		return read_special(&r, "auto", 0);
	case FIELD_ORDER:
		return read_special(&r, "never", -1);
	case FIELD_NAME:
		return is_name(r.text) ? json_string_new(r.text)
				       : refuse(&r, "a name of at most 63 letters, digits, - _ .");
	default:
		return read_text(&r);
	}
}
