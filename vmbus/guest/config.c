/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/config.h"
#include "vmbus/guest/text.h"

static bool set_name(struct config *config, const char *value, size_t length)
{
	if (length == 0 || length >= sizeof(config->name))
		return false;
	memset(config->name, 0, sizeof(config->name));
	memcpy(config->name, value, length);
	return true;
}

/* A.B.C.D/LENGTH */
static bool set_ip(struct nic_config *nic, const char *value, size_t length)
{
	size_t slash = 0;
	uint64_t prefix;
	uint32_t ip;

	while (slash < length && value[slash] != '/')
		slash++;
	if (slash == length || !parse_ipv4(value, slash, &ip) ||
		!parse_u64(value + slash + 1, length - slash - 1, 30, &prefix) || prefix == 0)
		return false;
	nic->ip = ip;
	nic->prefix_length = (uint8_t)prefix;
	return true;
}

/* An empty value means none. */
static bool set_gateway(struct nic_config *nic, const char *value, size_t length)
{
	return length == 0 || parse_ipv4(value, length, &nic->gateway);
}

static bool set_u32(uint32_t *field, const char *value, size_t length)
{
	uint64_t v;

	if (!parse_u64(value, length, UINT32_MAX, &v))
		return false;
	*field = (uint32_t)v;
	return true;
}

static bool set_status(struct config *config, const char *value, size_t length)
{
	uint64_t v;

	if (!parse_u64(value, length, 1, &v))
		return false;
	config->status = v;
	return true;
}

static bool set_option(
	struct config *config, const char *key, size_t key_length, const char *value, size_t length)
{
	if (word_is(key, key_length, "name"))
		return set_name(config, value, length);
	if (word_is(key, key_length, "ip"))
		return set_ip(&config->nics[0], value, length);
	if (word_is(key, key_length, "ip1"))
		return set_ip(&config->nics[1], value, length);
	if (word_is(key, key_length, "gw"))
		return set_gateway(&config->nics[0], value, length);
	if (word_is(key, key_length, "gw1"))
		return set_gateway(&config->nics[1], value, length);
	if (word_is(key, key_length, "dirty"))
		return set_u32(&config->dirty_pages_per_s, value, length);
	if (word_is(key, key_length, "ws"))
		return set_u32(&config->working_set_mb, value, length);
	if (word_is(key, key_length, "status"))
		return set_status(config, value, length);
	if (word_is(key, key_length, "tsc_khz"))
		return parse_u64(value, length, 100000000, &config->tsc_khz);
	return true;
}

int config_parse(const char *line, struct config *ret_config, const char **ret_bad)
{
	struct config config = {.name = "probe"};
	const char *word, *bad = NULL;
	size_t length;

	while (scan_word(&line, &word, &length)) {
		size_t equals = 0;

		while (equals < length && word[equals] != '=')
			equals++;
		if (equals == length)
			continue;
		if (!set_option(&config, word, equals, word + equals + 1, length - equals - 1))
			bad = word;
	}
	*ret_config = config;
	if (bad && ret_bad)
		*ret_bad = bad;
	return bad ? -EINVAL : 0;
}
