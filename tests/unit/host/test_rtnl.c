/* SPDX-License-Identifier: MIT */
#include "node/host/rtnl.h"

#include "base/bytes.h"
#include "tests/unit/base/cmocka_all.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* ---- messages as the kernel writes them ---- */

static void pad(struct buf *b)
{
	while (b->size_bytes % 4)
		buf_u8(b, 0);
}

static size_t begin(struct buf *b, uint16_t type, const void *header, size_t size_bytes)
{
	size_t at = b->size_bytes;
	struct nlmsghdr message = {.nlmsg_type = type, .nlmsg_flags = NLM_F_MULTI};

	buf_bytes(b, &message, sizeof(message));
	buf_bytes(b, header, size_bytes);
	pad(b);
	return at;
}

static void end(struct buf *b, size_t at)
{
	uint32_t len = (uint32_t)(b->size_bytes - at);

	memcpy(b->data + at, &len, sizeof(len));
}

static void attr(struct buf *b, uint16_t type, const void *data, size_t size_bytes)
{
	const struct nlattr header = {
		.nla_len = (uint16_t)(sizeof(header) + size_bytes), .nla_type = type};

	buf_bytes(b, &header, sizeof(header));
	buf_bytes(b, data, size_bytes);
	pad(b);
}

static void attr_u32(struct buf *b, uint16_t type, uint32_t v)
{
	attr(b, type, &v, sizeof(v));
}

static void put_link(struct buf *b, int ifindex, const char *name, const char *kind)
{
	const struct ifinfomsg header = {
		.ifi_type = ARPHRD_ETHER, .ifi_index = ifindex, .ifi_flags = IFF_UP | IFF_LOWER_UP};
	const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)ifindex};
	size_t at = begin(b, RTM_NEWLINK, &header, sizeof(header));
	struct buf nested = {0};

	attr(b, IFLA_IFNAME, name, strlen(name) + 1);
	attr(b, IFLA_ADDRESS, mac, sizeof(mac));
	attr_u32(b, IFLA_MTU, 1500);
	attr_u32(b, IFLA_MASTER, 9);
	attr(&nested, IFLA_INFO_KIND, kind, strlen(kind) + 1);
	attr(b, IFLA_LINKINFO, nested.data, nested.size_bytes);
	attr(b, 4000, "what a later kernel says", 24);
	end(b, at);
	buf_fini(&nested);
}

static void put_address(struct buf *b)
{
	const struct ifaddrmsg header = {
		.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 2};
	const uint8_t local[4] = {10, 0, 0, 1}, broadcast[4] = {10, 0, 0, 255};
	size_t at = begin(b, RTM_NEWADDR, &header, sizeof(header));

	attr(b, IFA_LOCAL, local, 4);
	attr(b, IFA_ADDRESS, local, 4);
	attr(b, IFA_BROADCAST, broadcast, 4);
	attr_u32(b, IFA_FLAGS, 0x80);
	attr_u32(b, IFA_RT_PRIORITY, 30);
	end(b, at);
}

static void put_route(struct buf *b)
{
	const struct rtmsg header = {.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_type = RTN_UNICAST,
		.rtm_protocol = RTPROT_BOOT};
	const uint8_t gateway[4] = {10, 0, 0, 254};
	size_t at = begin(b, RTM_NEWROUTE, &header, sizeof(header));

	attr(b, RTA_GATEWAY, gateway, 4);
	attr_u32(b, RTA_OIF, 2);
	attr_u32(b, RTA_PRIORITY, 100);
	end(b, at);
}

static void put_done(struct buf *b)
{
	const int nothing = 0;
	size_t at = begin(b, NLMSG_DONE, &nothing, sizeof(nothing));

	end(b, at);
}

static struct buf whole_dump(void)
{
	struct buf b = {0};

	put_link(&b, 2, "eth0", "veth");
	put_address(&b);
	put_route(&b);
	put_done(&b);
	assert_false(b.failed);
	return b;
}

/* Parse from an allocation of just that size, so that a sanitizer sees every byte too many. */
static int parse(const void *bytes, size_t size_bytes, struct host_net *net)
{
	uint8_t *copy = malloc(MAX(size_bytes, (size_t)1));
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes, size_bytes);
	r = rtnl_parse(copy, size_bytes, net);
	free(copy);
	return r;
}

/* ---- tests ---- */

static void what_the_kernel_says_is_understood(void **state _unused_)
{
	struct host_net net = {0};
	struct buf b = whole_dump();

	assert_int_equal(parse(b.data, b.size_bytes, &net), 1);
	assert_int_equal(net.n_nics, 1);
	assert_string_equal(net.nics[0].name, "eth0");
	assert_int_equal(net.nics[0].kind, HOST_NIC_VETH);
	assert_int_equal(net.nics[0].mac[5], 2);
	assert_int_equal(net.nics[0].master_ifindex, 9);
	assert_true(net.nics[0].up && net.nics[0].carrier && net.nics[0].arp);
	assert_int_equal(net.n_addresses, 1);
	assert_int_equal(net.addresses[0].metric, 30);
	assert_true(net.addresses[0].has_broadcast);
	assert_int_equal(net.n_routes, 1);
	assert_int_equal(net.routes[0].metric, 100);
	assert_true(net.routes[0].has_gateway && !net.routes[0].special);
	host_net_fini(&net);
	buf_fini(&b);
}

static void kinds_are_told_apart(void **state _unused_)
{
	static const struct {
		const char *link_kind;
		enum host_nic_kind kind;
	} kinds[] = {{"bridge", HOST_NIC_BRIDGE}, {"bond", HOST_NIC_TEAM}, {"team", HOST_NIC_TEAM},
		{"tun", HOST_NIC_TAP}, {"vlan", HOST_NIC_VIRTUAL}, {"", HOST_NIC_PHYSICAL}};
	struct host_net net = {0};
	struct buf b = {0};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		put_link(&b, (int)i + 1, "x", kinds[i].link_kind);
	assert_int_equal(parse(b.data, b.size_bytes, &net), 0); /* more is to come */
	assert_int_equal(net.n_nics, ARRAY_LEN(kinds));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		assert_int_equal(net.nics[i].kind, kinds[i].kind);
	host_net_fini(&net);
	buf_fini(&b);
}

static void every_truncation_is_refused_or_incomplete(void **state _unused_)
{
	struct buf b = whole_dump();

	for (size_t size = 0; size < b.size_bytes; size++) {
		struct host_net net = {0};
		int r = parse(b.data, size, &net);

		assert_true(r == -EBADMSG || r == 0);
		host_net_fini(&net);
	}
	buf_fini(&b);
}

static void any_changed_byte_is_survived(void **state _unused_)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct buf b = whole_dump();

	for (size_t at = 0; at < b.size_bytes; at++) {
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			uint8_t old = b.data[at];
			struct host_net net = {0};

			b.data[at] = values[i];
			assert_true(parse(b.data, b.size_bytes, &net) <= 1);
			for (size_t k = 0; k < net.n_nics; k++)
				assert_true(host_nic_name_is_valid(net.nics[k].name));
			for (size_t k = 0; k < net.n_addresses; k++)
				assert_true(net.addresses[k].prefix_len <=
					    (net.addresses[k].family == AF_INET ? 32 : 128));
			host_net_fini(&net);
			b.data[at] = old;
		}
	}
	buf_fini(&b);
}

static void contradictions_are_refused(void **state _unused_)
{
	const struct ifaddrmsg wide = {.ifa_family = AF_INET, .ifa_prefixlen = 33, .ifa_index = 2};
	const struct ifaddrmsg fine = {.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 2};
	const uint8_t six[16] = {0x20, 1}, four[4] = {10, 0, 0, 1};
	const char *const names[] = {"", "a/b", "..", "an adapter", "sixteen-letters."};
	struct host_net net = {0};
	struct buf b = {0};

	begin(&b, RTM_NEWADDR, &wide, sizeof(wide));
	attr(&b, IFA_LOCAL, four, 4);
	end(&b, 0);
	assert_int_equal(parse(b.data, b.size_bytes, &net), -EBADMSG);

	buf_reset(&b);
	begin(&b, RTM_NEWADDR, &fine, sizeof(fine));
	attr(&b, IFA_LOCAL, six, 16); /* of the other family */
	end(&b, 0);
	assert_int_equal(parse(b.data, b.size_bytes, &net), -EBADMSG);

	buf_reset(&b);
	begin(&b, RTM_NEWADDR, &fine, sizeof(fine)); /* without an address */
	end(&b, 0);
	assert_int_equal(parse(b.data, b.size_bytes, &net), -EBADMSG);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		buf_reset(&b);
		put_link(&b, 2, names[i], "veth");
		assert_int_equal(parse(b.data, b.size_bytes, &net), -EBADMSG);
	}
	assert_int_equal(net.n_nics + net.n_addresses + net.n_routes, 0);
	buf_fini(&b);
}

static void errors_and_interruptions_are_passed_on(void **state _unused_)
{
	struct host_net net = {0};
	struct nlmsgerr refused = {.error = -EPERM};
	struct buf b = {0};
	struct nlmsghdr *first;

	begin(&b, NLMSG_ERROR, &refused, sizeof(refused));
	end(&b, 0);
	assert_int_equal(parse(b.data, b.size_bytes, &net), -EPERM);
	refused.error = 0;
	memcpy(b.data + sizeof(struct nlmsghdr), &refused, sizeof(refused));
	assert_int_equal(parse(b.data, b.size_bytes, &net), 1);
	refused.error = 5;
	memcpy(b.data + sizeof(struct nlmsghdr), &refused, sizeof(refused));
	assert_int_equal(parse(b.data, b.size_bytes, &net), -EBADMSG);

	buf_reset(&b);
	put_link(&b, 2, "eth0", "veth");
	first = (struct nlmsghdr *)b.data;
	first->nlmsg_flags |= NLM_F_DUMP_INTR;
	assert_int_equal(parse(b.data, b.size_bytes, &net), -EAGAIN);
	assert_int_equal(net.n_nics, 0);
	buf_fini(&b);
}

static void too_much_is_refused(void **state _unused_)
{
	struct host_net net = {0};
	struct buf b = {0};
	int r = 0;

	put_link(&b, 2, "eth0", "veth");
	for (unsigned i = 0; i <= HOST_MAX_NICS && r == 0; i++)
		r = parse(b.data, b.size_bytes, &net);
	assert_int_equal(r, -EMSGSIZE);
	assert_int_equal(net.n_nics, HOST_MAX_NICS);
	host_net_fini(&net);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_says_is_understood),
		cmocka_unit_test(kinds_are_told_apart),
		cmocka_unit_test(every_truncation_is_refused_or_incomplete),
		cmocka_unit_test(any_changed_byte_is_survived),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(errors_and_interruptions_are_passed_on),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
