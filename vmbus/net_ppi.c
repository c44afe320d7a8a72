/* SPDX-License-Identifier: MIT */
#include "vmbus/net_ppi.h"

#include "base/bytes.h"

#define PPI_ALIGNMENT_BYTES 4

#define TCI_VID_MASK       0xFFF
#define TCI_CFI            0x1000
#define TCI_PRIORITY_SHIFT 13

static int take_value(const uint8_t *entry, const struct rndis_ppi *ppi, bool *has, uint32_t *value)
{
	if (*has || ppi->size - ppi->offset < sizeof(*value))
		return -EBADMSG;
	*value = load_le32(entry + ppi->offset);
	*has = true;
	return 0;
}

static int take_entry(const uint8_t *entry, const struct rndis_ppi *ppi, struct net_ppi *info)
{
	switch (ppi->type) {
	case RNDIS_PPI_CHECKSUM:
		return take_value(entry, ppi, &info->has_checksum, &info->checksum);
	case RNDIS_PPI_LSO:
		return take_value(entry, ppi, &info->has_lso, &info->lso);
	case RNDIS_PPI_8021Q:
		return take_value(entry, ppi, &info->has_vlan, &info->vlan);
	default:
		return 0;
	}
}

int net_ppi_parse(const uint8_t *list, size_t size_bytes, struct net_ppi *ret_ppi)
{
	struct net_ppi info = {0};

	while (size_bytes) {
		struct rndis_ppi ppi;
		int r;

		if (size_bytes < sizeof(ppi))
			return -EBADMSG;
		memcpy(&ppi, list, sizeof(ppi));
		if (ppi.size < sizeof(ppi) || ppi.size > size_bytes ||
			ppi.size % PPI_ALIGNMENT_BYTES || ppi.offset < sizeof(ppi) ||
			ppi.offset > ppi.size)
			return -EBADMSG;
		r = take_entry(list, &ppi, &info);
		if (r)
			return r;
		list += ppi.size;
		size_bytes -= ppi.size;
	}
	*ret_ppi = info;
	return 0;
}

void net_ppi_append(uint8_t *list, size_t *size_bytes, uint32_t type, uint32_t value)
{
	const struct rndis_ppi_u32 entry = {
		.header = {.size = sizeof(entry), .type = type, .offset = sizeof(entry.header)},
		.value = value,
	};

	memcpy(list + *size_bytes, &entry, sizeof(entry));
	*size_bytes += sizeof(entry);
}

uint32_t net_ppi_packet_id(uint16_t id, bool first, bool last)
{
	const struct rndis_packet_id packet_id = {
		.version = RNDIS_PACKET_ID_VERSION,
		.flags = (uint8_t)(RNDIS_PACKET_ID_SUB_ALLOC |
				   (first ? RNDIS_PACKET_ID_FIRST_FRAG : 0) |
				   (last ? RNDIS_PACKET_ID_LAST_FRAG : 0)),
		.id = id,
	};
	uint32_t value;

	memcpy(&value, &packet_id, sizeof(value));
	return value;
}

uint16_t net_ppi_vlan_to_tci(uint32_t vlan)
{
	uint16_t tci = vlan >> RNDIS_8021Q_VID_SHIFT & RNDIS_8021Q_VID_MASK;

	tci |= (uint16_t)((vlan & RNDIS_8021Q_PRIORITY_MASK) << TCI_PRIORITY_SHIFT);
	if (vlan & RNDIS_8021Q_CFI)
		tci |= TCI_CFI;
	return tci;
}

uint32_t net_ppi_vlan_from_tci(uint16_t tci)
{
	uint32_t vlan = (uint32_t)(tci & TCI_VID_MASK) << RNDIS_8021Q_VID_SHIFT;

	vlan |= (uint32_t)tci >> TCI_PRIORITY_SHIFT;
	if (tci & TCI_CFI)
		vlan |= RNDIS_8021Q_CFI;
	return vlan;
}
