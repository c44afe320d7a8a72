/* SPDX-License-Identifier: MIT
 *
 * Reports about links: what they mean, and that nothing in them is believed beyond its end.
 */
#include "fabric/link_watch.h"
#include "tests/unit/fabric/support.h"

#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define UP (IFF_UP | IFF_LOWER_UP | IFF_RUNNING)

static struct {
	unsigned n;
	int ifindex;
	enum link_event event;
} seen;

static void on_link(int ifindex, enum link_event event, void *data)
{
	(void)data;
	seen.n++;
	seen.ifindex = ifindex;
	seen.event = event;
}

static void parse(const void *data, size_t size_bytes)
{
	/* On the heap, where a sanitizer sees a byte too many. */
	void *copy = malloc(size_bytes ? size_bytes : 1);

	assert_non_null(copy);
	memcpy(copy, data, size_bytes);
	memset(&seen, 0, sizeof(seen));
	link_parse(copy, size_bytes, on_link, NULL);
	free(copy);
}

/* A message with attributes behind it, as the kernel's have. Returns its size. */
static size_t put_link(uint8_t *at, unsigned type, unsigned family, int ifindex, unsigned flags)
{
	const size_t attributes_bytes = 21;
	struct nlmsghdr header = {
		.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)) + attributes_bytes,
		.nlmsg_type = (uint16_t)type,
	};
	struct ifinfomsg info = {
		.ifi_family = (uint8_t)family,
		.ifi_index = ifindex,
		.ifi_flags = flags,
	};

	memset(at, 0xa5, NLMSG_ALIGN(header.nlmsg_len));
	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), &info, sizeof(info));
	return NLMSG_ALIGN(header.nlmsg_len);
}

static size_t put_error(uint8_t *at, unsigned number, int error)
{
	struct nlmsghdr header = {
		.nlmsg_len = NLMSG_LENGTH(sizeof(int)),
		.nlmsg_type = NLMSG_ERROR,
		.nlmsg_seq = number,
	};

	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), &error, sizeof(error));
	return header.nlmsg_len;
}

static void expect_event(unsigned type, unsigned flags, enum link_event event)
{
	uint8_t bytes[256];

	parse(bytes, put_link(bytes, type, AF_UNSPEC, 7, flags));
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.ifindex, 7);
	assert_int_equal(seen.event, event);
}

static void test_states(void **state)
{
	(void)state;
	expect_event(RTM_NEWLINK, UP, LINK_UP);
	expect_event(RTM_NEWLINK, UP | IFF_PROMISC, LINK_UP);
	expect_event(RTM_NEWLINK, UP & ~IFF_UP, LINK_DOWN);
	expect_event(RTM_NEWLINK, UP & ~IFF_LOWER_UP, LINK_DOWN);
	expect_event(RTM_NEWLINK, UP & ~IFF_RUNNING, LINK_DOWN);
	expect_event(RTM_NEWLINK, 0, LINK_DOWN);
	expect_event(RTM_DELLINK, UP, LINK_GONE);
}

static void test_what_is_not_about_links(void **state)
{
	uint8_t bytes[256];

	(void)state;
	/* A port left its bridge. */
	parse(bytes, put_link(bytes, RTM_DELLINK, AF_BRIDGE, 7, UP));
	assert_int_equal(seen.n, 0);
	parse(bytes, put_link(bytes, RTM_NEWLINK, AF_BRIDGE, 7, 0));
	assert_int_equal(seen.n, 0);
	parse(bytes, put_link(bytes, RTM_NEWADDR, AF_UNSPEC, 7, 0));
	assert_int_equal(seen.n, 0);
}

static void test_many_in_a_datagram(void **state)
{
	uint8_t bytes[1024];
	size_t at = 0;

	(void)state;
	for (int i = 1; i <= 5; i++)
		at += put_link(bytes + at, RTM_NEWLINK, AF_UNSPEC, i, UP);
	parse(bytes, at);
	assert_int_equal(seen.n, 5);
	assert_int_equal(seen.ifindex, 5);
}

static void test_answers_of_refusal(void **state)
{
	uint8_t bytes[64];
	size_t size_bytes = put_error(bytes, 9, -ENODEV);

	(void)state;
	parse(bytes, size_bytes);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.ifindex, 9);
	assert_int_equal(seen.event, LINK_GONE);
	for (size_t n = 0; n < size_bytes; n++) {
		parse(bytes, n);
		assert_int_equal(seen.n, 0);
	}
	/* They say nothing about the link. */
	parse(bytes, put_error(bytes, 9, -EBUSY));
	assert_int_equal(seen.n, 0);
	parse(bytes, put_error(bytes, 9, 0));
	assert_int_equal(seen.n, 0);
}

static void test_truncated(void **state)
{
	uint8_t bytes[256];
	size_t first_bytes = put_link(bytes, RTM_NEWLINK, AF_UNSPEC, 1, UP), size_bytes;

	(void)state;
	size_bytes = first_bytes + put_link(bytes + first_bytes, RTM_NEWLINK, AF_UNSPEC, 2, UP);
	for (size_t n = 0; n < size_bytes; n++) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)bytes;

		parse(bytes, n);
		assert_int_equal(
			seen.n, (n >= header->nlmsg_len) + (n >= first_bytes + header->nlmsg_len));
	}
}

static void test_wrong_lengths(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, 15, 16, 17, 31, 57, 1000, 0x7fffffff, 0x80000000, UINT32_MAX - 2, UINT32_MAX};
	uint8_t bytes[256];
	size_t size_bytes = put_link(bytes, RTM_NEWLINK, AF_UNSPEC, 1, UP);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
		memcpy(bytes, &lengths[i], sizeof(lengths[i]));
		parse(bytes, size_bytes);
		assert_int_equal(seen.n, 0);
	}
}

static void test_other_descriptors_are_refused(void **state)
{
	struct link_watch *watch;
	const int lo = 1;
	int pair[2], fd;

	(void)state;
	assert_int_equal(link_watch_new(-1, &lo, 1, &watch), -EINVAL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	assert_int_equal(link_watch_new(pair[0], &lo, 1, &watch), -EINVAL);
	/* Told of nothing. */
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	assert_true(fd >= 0);
	assert_int_equal(link_watch_new(fd, &lo, 1, &watch), -EINVAL);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

static void test_states_of_the_kernel(void **state)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int indexes[] = {1, INT32_MAX - 1}, fd;
	struct link_states states;
	struct link_watch *watch;

	(void)state;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(link_watch_new(fd, indexes, 2, &watch), -ENODEV);
	assert_int_equal(link_watch_new(fd, indexes, LINK_WATCH_MAX_LINKS + 1, &watch), -EINVAL);
	/* The loopback adapter is always there. */
	assert_int_equal(link_watch_new(fd, indexes, 1, &watch), 0);
	link_watch_take(watch, &states);
	assert_int_equal(states.gone, 0);
	link_watch_free(watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_what_is_not_about_links),
		cmocka_unit_test(test_many_in_a_datagram),
		cmocka_unit_test(test_answers_of_refusal),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_wrong_lengths),
		cmocka_unit_test(test_states_of_the_kernel),
		cmocka_unit_test(test_other_descriptors_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
