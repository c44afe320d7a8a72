/* SPDX-License-Identifier: MIT */
#include "vmbus/kvp_wire.h"

#include "base/bytes.h"
#include "vmbus/ic_text.h"

#include <inttypes.h>
#include <stdio.h>

/* A text of UTF-8 never takes more units than bytes. */
_Static_assert(IC_KVP_KEY_MAX_LEN < KVP_KEY_BYTES / 2, "keys fit into requests");
_Static_assert(IC_KVP_VALUE_MAX_LEN < KVP_VALUE_BYTES / 2, "values fit into requests");

size_t kvp_write_enumerate(enum kvp_pool pool, uint32_t index, uint8_t *ret_body)
{
	const struct kvp_enumerate request = {
		.header = {.operation = KVP_ENUMERATE, .pool = (uint8_t)pool},
		.index = index,
	};

	memcpy(ret_body, &request, sizeof(request));
	return sizeof(request);
}

/* Returns the bytes of the text with its NUL. */
static uint32_t write_text(const char *text, uint8_t *ret_field, size_t field_bytes)
{
	uint16_t units[KVP_VALUE_BYTES / 2];
	size_t n_units = ic_text_to_utf16(text, units, field_bytes / 2);

	memcpy(ret_field, units, (n_units + 1) * 2);
	return (uint32_t)(n_units + 1) * 2;
}

size_t kvp_write_set(enum kvp_pool pool, const struct ic_item *item, uint8_t *ret_body)
{
	struct kvp_set request = {
		.header = {.operation = KVP_SET, .pool = (uint8_t)pool},
		.item.value_type = KVP_STRING,
	};

	request.item.key_bytes = write_text(item->key, request.item.key, sizeof(request.item.key));
	request.item.value_bytes =
		write_text(item->value, request.item.value, sizeof(request.item.value));
	memcpy(ret_body, &request, sizeof(request));
	return sizeof(request);
}

size_t kvp_write_delete(enum kvp_pool pool, const char *key, uint8_t *ret_body)
{
	struct kvp_delete request = {
		.header = {.operation = KVP_DELETE, .pool = (uint8_t)pool},
	};

	request.key_bytes = write_text(key, request.key, sizeof(request.key));
	memcpy(ret_body, &request, sizeof(request));
	return sizeof(request);
}

/* Daemons know an adapter by its address, in capitals and with colons. */
size_t kvp_write_get_ip_info(const uint8_t mac[ETH_ADDR_LEN], uint8_t *ret_body)
{
	struct kvp_ip_info request = {.operation = KVP_GET_IP_INFO};
	uint16_t units[KVP_ADAPTER_UNITS] = {0};
	char text[3 * ETH_ADDR_LEN];

	snprintf(text, sizeof(text), "%02X:%02X:%02X:%02X:%02X:%02X", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	ic_text_to_utf16(text, units, ARRAY_LEN(units));
	memcpy(request.adapter_id, units, sizeof(units));
	memcpy(ret_body, &request, sizeof(request));
	return sizeof(request);
}

static int read_value(const struct kvp_item *item, char *ret_value, size_t capacity_bytes)
{
	switch (item->value_type) {
	case KVP_STRING:
		ic_text_to_utf8(item->value, item->value_bytes, ret_value, capacity_bytes);
		return 0;
	case KVP_U32:
		snprintf(ret_value, capacity_bytes, "%" PRIu32, load_le32(item->value));
		return 0;
	case KVP_U64:
		snprintf(ret_value, capacity_bytes, "%" PRIu64, load_le64(item->value));
		return 0;
	}
	return -EBADMSG;
}

int kvp_read_enumerated(const uint8_t *body, size_t size_bytes, struct ic_item *ret_item)
{
	struct ic_item item = {0};
	struct kvp_enumerate answer;

	if (size_bytes < sizeof(answer))
		return -EBADMSG;
	memcpy(&answer, body, sizeof(answer));
	if (answer.header.operation != KVP_ENUMERATE || answer.item.key_bytes > KVP_KEY_BYTES ||
		answer.item.value_bytes > KVP_VALUE_BYTES)
		return -EBADMSG;
	if (read_value(&answer.item, item.value, sizeof(item.value)))
		return -EBADMSG;
	ic_text_to_utf8(answer.item.key, answer.item.key_bytes, item.key, sizeof(item.key));
	*ret_item = item;
	return 0;
}

int kvp_read_addresses(
	const uint8_t *body, size_t size_bytes, char *ret_text, size_t capacity_bytes)
{
	const size_t at = offsetof(struct kvp_ip_info, addresses);

	if (size_bytes < sizeof(struct kvp_ip_info) || body[0] != KVP_GET_IP_INFO)
		return -EBADMSG;
	ic_text_to_utf8(body + at, KVP_IP_UNITS * 2, ret_text, capacity_bytes);
	return 0;
}

bool kvp_fits(const char *key, const char *value)
{
	if (!*key || strlen(key) > IC_KVP_KEY_MAX_LEN || !ic_text_is_sound(key))
		return false;
	return !value || (strlen(value) <= IC_KVP_VALUE_MAX_LEN && ic_text_is_sound(value));
}
