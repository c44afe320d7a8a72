/* SPDX-License-Identifier: MIT */
#include "cluster/corosync_conf.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static const struct corosync_node third = {3, "h3", {"10.1.0.3", "10.2.0.3"}};

static struct corosync_conf *parse(const char *text)
{
	struct corosync_conf *conf = NULL;
	char error[256] = "";

	if (corosync_conf_parse(text, strlen(text), &conf, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	return conf;
}

static char *make_two(bool fast)
{
	static struct corosync_spec spec = {
		.name = "lab",
		.nodes = {{1, "h1", {"10.1.0.1", "10.2.0.1"}}, {2, "h2", {"10.1.0.2", "10.2.0.2"}}},
		.n_nodes = 2,
		.n_links = 2,
	};

	spec.fast = fast;
	return corosync_conf_make(&spec, 1);
}

static void what_is_made_is_read(void **state _unused_)
{
	_cleanup_free_ char *text = make_two(true);
	_cleanup_free_ char *again = NULL;
	struct corosync_conf *conf = parse(text);

	assert_non_null(strstr(text, "    token: 300\n"));
	assert_non_null(strstr(text, "        knet_ping_timeout: 375\n"));
	assert_string_equal(corosync_conf_name(conf), "lab");
	assert_int_equal(corosync_conf_version(conf), 1);
	assert_int_equal(corosync_conf_n_nodes(conf), 2);
	assert_int_equal(corosync_conf_n_links(conf), 2);
	assert_string_equal(corosync_conf_find(conf, "h2")->address[1], "10.2.0.2");
	assert_null(corosync_conf_find(conf, "h3"));
	again = corosync_conf_print(conf);
	assert_string_equal(again, text);
	corosync_conf_free(conf);
}

/* knet looks every 200 ms; corosync forms a new membership 1.2 tokens after it has lost one. */
static void a_link_is_lost_before_a_member(void **state _unused_)
{
	const unsigned look_ms = 200;

	for (int fast = 0; fast < 2; fast++) {
		_cleanup_free_ char *text = make_two(fast);
		unsigned token, timeout;

		assert_int_equal(sscanf(strstr(text, " token:"), " token: %u", &token), 1);
		assert_int_equal(sscanf(strstr(text, "knet_ping_timeout:"), "knet_ping_timeout: %u",
					 &timeout),
			1);
		assert_true(timeout > look_ms * 3 / 2);
		assert_true((timeout / look_ms + 1) * look_ms < token + token * 12 / 10);
	}
}

/* As people write them. */
static const char foreign[] = "# ours\n"
			      "totem {\n"
			      "\tversion: 2\n"
			      "\tinterface {\n"
			      "\t\tlinknumber: 0\n"
			      "\t\tconfig_version: 99\n"
			      "\t}\n"
			      "}\n"
			      "quorum {\n"
			      "\tprovider: corosync_votequorum\n"
			      "\texpected_votes: 2\n"
			      "}\n"
			      "nodelist {\n"
			      "\tnode {\n"
			      "\t\tname:h1 \n"
			      "\t\tnodeid : 1\n"
			      "\t\tring0_addr: 10.1.0.1\n"
			      "\t}\n"
			      "\tnode {\n"
			      "\t\t# the second one\n"
			      "\t\tnodeid: 2\n"
			      "\t\tname: h2\n"
			      "\t\tring0_addr: 10.1.0.2\n"
			      "\t}\n"
			      "}\n"
			      "logging { \n"
			      "\tto_syslog: yes\n"
			      "}\n";

static void nodes_come_and_go(void **state _unused_)
{
	static const struct corosync_node one_link = {7, "h7", {"10.1.0.7"}};
	struct corosync_conf *conf = parse(foreign);
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *after = NULL;

	assert_int_equal(corosync_conf_version(conf), 0);
	assert_int_equal(corosync_conf_add(conf, &one_link), 0);
	assert_int_equal(corosync_conf_version(conf), 1);
	text = corosync_conf_print(conf);
	assert_non_null(strstr(text, "totem {\n    config_version: 1\n\tversion: 2\n"));
	assert_non_null(strstr(text, "    expected_votes: 3\n"));
	assert_non_null(strstr(text, "\tnode {\n\t\t# the second one\n"));
	assert_non_null(strstr(text, "    node {\n        nodeid: 7\n        name: h7\n        "
				     "ring0_addr: 10.1.0.7\n    }\n}\nlogging"));
	assert_int_equal(corosync_conf_remove(conf, "h2"), 0);
	assert_int_equal(corosync_conf_version(conf), 2);
	assert_null(corosync_conf_find(conf, "h2"));
	assert_non_null(corosync_conf_find(conf, "h1"));
	assert_int_equal(corosync_conf_n_nodes(conf), 2);
	after = corosync_conf_print(conf);
	assert_null(strstr(after, "the second one"));
	assert_non_null(strstr(after, "# ours\n"));
	assert_non_null(strstr(after, "\t\tconfig_version: 99\n"));
	assert_non_null(strstr(after, "    expected_votes: 2\n"));
	corosync_conf_free(conf);
}

static void changes_that_make_no_sense(void **state _unused_)
{
	_cleanup_free_ char *text = make_two(false);
	struct corosync_conf *conf = parse(text);
	struct corosync_node node = third;

	node.id = 2;
	assert_int_equal(corosync_conf_add(conf, &node), -EEXIST);
	node = third;
	strcpy(node.name, "h1");
	assert_int_equal(corosync_conf_add(conf, &node), -EEXIST);
	node = third;
	strcpy(node.address[1], "10.1.0.1");
	assert_int_equal(corosync_conf_add(conf, &node), -EEXIST);
	node = third;
	node.address[1][0] = '\0';
	assert_int_equal(corosync_conf_add(conf, &node), -EINVAL);
	node = third;
	strcpy(node.address[2], "10.3.0.3");
	assert_int_equal(corosync_conf_add(conf, &node), -EINVAL);
	node = third;
	strcpy(node.name, "h3\n}");
	assert_int_equal(corosync_conf_add(conf, &node), -EINVAL);
	node = third;
	strcpy(node.address[0], "10.1.0.3\n");
	assert_int_equal(corosync_conf_add(conf, &node), -EINVAL);
	assert_int_equal(corosync_conf_remove(conf, "h9"), -ENOENT);
	assert_int_equal(corosync_conf_version(conf), 1);
	assert_int_equal(corosync_conf_remove(conf, "h1"), 0);
	assert_int_equal(corosync_conf_remove(conf, "h2"), -EINVAL);
	corosync_conf_free(conf);
}

/* As Debian's package installs it; one node that others could reach is a cluster. */
static void an_example_is_no_cluster(void **state _unused_)
{
	static const char *const texts[] = {
		"totem {\n\tversion: 2\n\n\tcluster_name: debian\n}\nnodelist {\n\n\tnode {\n"
		"\t\tname: node1\n\t\tnodeid: 1\n\t\tring0_addr: 127.0.0.1\n\t}\n}\n",
		"nodelist {\n node {\n  nodeid: 1\n  name: a\n  ring0_addr: 10.1.0.1\n }\n}\n",
		"nodelist {\n node {\n  nodeid: 1\n  name: a\n  ring0_addr: 127.0.0.1\n }\n"
		" node {\n  nodeid: 2\n  name: b\n  ring0_addr: 127.0.0.2\n }\n}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct corosync_conf *conf = parse(texts[i]);

		assert_int_equal(corosync_conf_is_example(conf), i == 0);
		corosync_conf_free(conf);
	}
}

static void nonsense_is_refused(void **state _unused_)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{"", "it has no nodelist"},
		{"}\n", "line 1: '}' ends no section"},
		{"totem {\n", "a section is not closed with '}'"},
		{"a {\nb {\nc {\nd {\ne {\n", "line 5: too deep"},
		{"nodelist {\nnode {\nnodeid: 1\nname: a\n}\n}\n",
			"node 1 of its nodelist has no nodeid or no ring0_addr"},
		{"nodelist {\nnode {\nnodeid: 1\nring0_addr: b\n}\n}\n",
			"node 1 of its nodelist has no name"},
		{"nodelist {\nnode {\nnodeid: x\n}\n}\n", "line 3: a node cannot have 'nodeid: x'"},
		{"nodelist {\nnode {\nname: a b\n}\n}\n", "line 3: a node cannot have 'name: a b'"},
		{"nodelist {\nnode {\nnodeid: 1\nname: a\nring0_addr: b\n}\nnode {\nnodeid: "
		 "1\nname: c\nring0_addr: d\n}\n}\n",
			"node a and node c have the same name or nodeid"},
	};
	_cleanup_free_ char *large = calloc(1, COROSYNC_CONF_MAX_BYTES + 1);
	struct corosync_conf *conf;
	char error[256];

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(corosync_conf_parse(table[i].text, strlen(table[i].text), &conf,
					 error, sizeof(error)),
			-EBADMSG);
		assert_string_equal(error, table[i].why);
	}
	assert_int_equal(corosync_conf_parse("a\0b", 3, &conf, error, sizeof(error)), -EBADMSG);
	assert_int_equal(corosync_conf_parse(
				 large, COROSYNC_CONF_MAX_BYTES + 1, &conf, error, sizeof(error)),
		-EBADMSG);
	memset(large, '\n', COROSYNC_CONF_MAX_BYTES);
	assert_int_equal(
		corosync_conf_parse(large, COROSYNC_CONF_MAX_BYTES, &conf, error, sizeof(error)),
		-EBADMSG);
	assert_string_equal(error, "it has more than 4096 lines");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_made_is_read),
		cmocka_unit_test(a_link_is_lost_before_a_member),
		cmocka_unit_test(nodes_come_and_go),
		cmocka_unit_test(changes_that_make_no_sense),
		cmocka_unit_test(an_example_is_no_cluster),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
