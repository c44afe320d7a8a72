/* SPDX-License-Identifier: MIT */
#include "cluster/corosync_conf.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_LINES 4096
#define MAX_DEPTH 4

/* What a line is, and what it is in. */
enum line_kind { LINE_OTHER, LINE_OPEN, LINE_CLOSE, LINE_SETTING };

struct line {
	char *text;
	enum line_kind kind;
};

struct corosync_conf {
	struct line lines[MAX_LINES];
	size_t n_lines;
	char name[64];
	uint64_t version;
	struct corosync_node nodes[COROSYNC_CONF_MAX_NODES];
	size_t n_nodes;
};

/* ---- a new one ---- */

/* Links are found down before a new membership is formed, which is a token and 1.2 of it later:
 * otherwise the cut of one link would look like the loss of a node. knet looks at its links every
 * 200 ms, whatever the interval says (KNET_THREADS_TIMERES of libknet). When it does, the last
 * answer is as old: with a timeout of less, or little more, every link is down again and again. */
static const struct profile {
	unsigned token_ms, pong_ms;
} profiles[] = {{1000, 500}, {300, 375}};

static void print_node(FILE *out, const struct corosync_node *node)
{
	fprintf(out, "    node {\n        nodeid: %u\n        name: %s\n", node->id, node->name);
	for (size_t i = 0; i < COROSYNC_CONF_MAX_LINKS; i++) {
		if (node->address[i][0])
			fprintf(out, "        ring%zu_addr: %s\n", i, node->address[i]);
	}
	fputs("    }\n", out);
}

char *corosync_conf_make(const struct corosync_spec *spec, uint64_t version)
{
	const struct profile *profile = &profiles[spec->fast];
	char *text = NULL;
	size_t size_bytes;
	FILE *out = open_memstream(&text, &size_bytes);

	if (!out)
		return NULL;
	fprintf(out,
		"# Made by 'viaduct cluster config'; 'viaduct node join' and 'node evict' change "
		"the nodes.\n"
		"totem {\n    version: 2\n    cluster_name: %s\n    config_version: %llu\n"
		"    transport: knet\n    crypto_cipher: aes256\n    crypto_hash: sha256\n"
		"    token: %u\n    token_coefficient: 0\n    link_mode: passive\n",
		spec->name, (unsigned long long)version, profile->token_ms);
	for (size_t i = 0; i < spec->n_links; i++)
		fprintf(out,
			"    interface {\n        linknumber: %zu\n        knet_transport: udp\n"
			"        knet_link_priority: %zu\n        knet_ping_interval: 200\n"
			"        knet_ping_timeout: %u\n        knet_pong_count: 2\n    }\n",
			i, 10 - i, profile->pong_ms);
	fputs("}\nnodelist {\n", out);
	for (size_t i = 0; i < spec->n_nodes; i++)
		print_node(out, &spec->nodes[i]);
	fputs("}\nquorum {\n    provider: corosync_votequorum\n}\n"
	      "system {\n    move_to_root_cgroup: yes\n}\n"
	      "logging {\n    to_stderr: no\n    to_logfile: no\n    to_syslog: yes\n"
	      "    timestamp: on\n}\n",
		out);
	fclose(out);
	return text;
}

/* ---- one that is there ---- */

static int refuse(char *error, size_t size_bytes, const char *format, ...) _printf_(3, 4);

static int refuse(char *error, size_t size_bytes, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size_bytes, format, args);
	va_end(args);
	return -EBADMSG;
}

/* The first character that is no space. */
static const char *content(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

static enum line_kind kind_of(const char *text)
{
	const char *at = content(text);
	size_t len = strlen(at);

	while (len > 0 && isspace((unsigned char)at[len - 1]))
		len--;
	if (!len || *at == '#')
		return LINE_OTHER;
	if (*at == '}')
		return LINE_CLOSE;
	if (at[len - 1] == '{')
		return LINE_OPEN;
	return strchr(at, ':') ? LINE_SETTING : LINE_OTHER;
}

/* Is it "KEY: VALUE"? The value without spaces around it. */
static bool setting(const char *text, const char *key, char *ret_value, size_t size_bytes)
{
	const char *at = content(text), *value;
	size_t len = strlen(key), n;

	if (strncmp(at, key, len) != 0)
		return false;
	at = content(at + len);
	if (*at != ':')
		return false;
	value = content(at + 1);
	n = strlen(value);
	while (n > 0 && isspace((unsigned char)value[n - 1]))
		n--;
	snprintf(ret_value, size_bytes, "%.*s", (int)n, value);
	return true;
}

static bool opens(const struct line *line, const char *section)
{
	const char *at = content(line->text);
	size_t len = strlen(section);

	return line->kind == LINE_OPEN && strncmp(at, section, len) == 0 &&
	       *content(at + len) == '{';
}

static bool is_word(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("-_.:%", *c))
			return false;
	}
	return text[0] != '\0';
}

static int read_node_line(struct corosync_node *node, const char *text)
{
	char value[80], key[16];
	unsigned long id;
	char *end;

	if (setting(text, "nodeid", value, sizeof(value))) {
		errno = 0;
		id = strtoul(value, &end, 10);
		if (*end || end == value || errno || id < 1 || id > INT32_MAX)
			return -EINVAL;
		node->id = (uint32_t)id;
	} else if (setting(text, "name", value, sizeof(value))) {
		if (!is_word(value) || strlen(value) >= sizeof(node->name))
			return -EINVAL;
		snprintf(node->name, sizeof(node->name), "%s", value);
	}
	for (size_t i = 0; i < COROSYNC_CONF_MAX_LINKS; i++) {
		snprintf(key, sizeof(key), "ring%zu_addr", i);
		if (!setting(text, key, value, sizeof(value)))
			continue;
		if (!is_word(value) || strlen(value) >= sizeof(node->address[0]))
			return -EINVAL;
		snprintf(node->address[i], sizeof(node->address[i]), "%s", value);
	}
	return 0;
}

static int end_node(struct corosync_conf *conf, const struct corosync_node *node, char *error,
	size_t size_bytes)
{
	if (!node->id || !node->address[0][0])
		return refuse(error, size_bytes,
			"node %zu of its nodelist has no nodeid or no ring0_addr",
			conf->n_nodes + 1);
	if (!node->name[0])
		return refuse(error, size_bytes, "node %u of its nodelist has no name", node->id);
	for (size_t i = 0; i < conf->n_nodes; i++) {
		if (conf->nodes[i].id == node->id || strcmp(conf->nodes[i].name, node->name) == 0)
			return refuse(error, size_bytes,
				"node %s and node %s have the same name or nodeid",
				conf->nodes[i].name, node->name);
	}
	if (conf->n_nodes == COROSYNC_CONF_MAX_NODES)
		return refuse(
			error, size_bytes, "it has more than %d nodes", COROSYNC_CONF_MAX_NODES);
	conf->nodes[conf->n_nodes++] = *node;
	return 0;
}

/* What the lines say. */
static int understand(struct corosync_conf *conf, char *error, size_t size_bytes)
{
	const struct line *stack[MAX_DEPTH];
	struct corosync_node node = {0};
	size_t depth = 0;
	char value[80];
	int r = 0;

	conf->n_nodes = 0;
	conf->version = 0;
	conf->name[0] = '\0';
	for (size_t i = 0; r == 0 && i < conf->n_lines; i++) {
		const struct line *line = &conf->lines[i];
		bool in_node = depth == 2 && opens(stack[0], "nodelist") && opens(stack[1], "node");

		if (line->kind == LINE_OPEN) {
			if (depth == MAX_DEPTH)
				return refuse(error, size_bytes, "line %zu: too deep", i + 1);
			stack[depth++] = line;
			if (depth == 2)
				memset(&node, 0, sizeof(node));
		} else if (line->kind == LINE_CLOSE) {
			if (depth == 0)
				return refuse(
					error, size_bytes, "line %zu: '}' ends no section", i + 1);
			if (in_node)
				r = end_node(conf, &node, error, size_bytes);
			depth--;
		} else if (in_node && line->kind == LINE_SETTING) {
			if (read_node_line(&node, line->text) < 0)
				return refuse(error, size_bytes,
					"line %zu: a node cannot have '%.60s'", i + 1,
					content(line->text));
		} else if (depth == 1 && opens(stack[0], "totem")) {
			if (setting(line->text, "config_version", value, sizeof(value)))
				conf->version = strtoull(value, NULL, 10);
			if (setting(line->text, "cluster_name", value, sizeof(value)))
				snprintf(conf->name, sizeof(conf->name), "%.63s", value);
		}
	}
	if (r == 0 && depth > 0)
		return refuse(error, size_bytes, "a section is not closed with '}'");
	return r == 0 && conf->n_nodes == 0 ? refuse(error, size_bytes, "it has no nodelist") : r;
}

static int insert_line(struct corosync_conf *conf, size_t at, const char *text, size_t len)
{
	char *copy;

	if (conf->n_lines == MAX_LINES)
		return -ENOSPC;
	copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	memmove(&conf->lines[at + 1], &conf->lines[at],
		(conf->n_lines - at) * sizeof(conf->lines[0]));
	conf->lines[at] = (struct line){copy, kind_of(copy)};
	conf->n_lines++;
	return 0;
}

static void delete_line(struct corosync_conf *conf, size_t at)
{
	free(conf->lines[at].text);
	conf->n_lines--;
	memmove(&conf->lines[at], &conf->lines[at + 1],
		(conf->n_lines - at) * sizeof(conf->lines[0]));
}

int corosync_conf_parse(const char *text, size_t len, struct corosync_conf **ret_conf, char *error,
	size_t error_size_bytes)
{
	struct corosync_conf *conf;
	int r = 0;

	if (len > COROSYNC_CONF_MAX_BYTES)
		return refuse(error, error_size_bytes, "it is larger than %d bytes",
			COROSYNC_CONF_MAX_BYTES);
	if (memchr(text, '\0', len))
		return refuse(error, error_size_bytes, "it has NUL characters");
	conf = calloc(1, sizeof(*conf));
	if (!conf)
		return -ENOMEM;
	for (const char *at = text, *end = text + len; r == 0 && at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = newline ? (size_t)(newline - at) : (size_t)(end - at);

		r = insert_line(conf, conf->n_lines, at, n);
		at += n + 1;
	}
	if (r == -ENOSPC)
		r = refuse(error, error_size_bytes, "it has more than %d lines", MAX_LINES);
	if (r == 0)
		r = understand(conf, error, error_size_bytes);
	if (r < 0)
		corosync_conf_free(conf);
	else
		*ret_conf = conf;
	return r;
}

void corosync_conf_free(struct corosync_conf *conf)
{
	if (!conf)
		return;
	for (size_t i = 0; i < conf->n_lines; i++)
		free(conf->lines[i].text);
	free(conf);
}

char *corosync_conf_print(const struct corosync_conf *conf)
{
	char *text = NULL;
	size_t size_bytes;
	FILE *out = open_memstream(&text, &size_bytes);

	if (!out)
		return NULL;
	for (size_t i = 0; i < conf->n_lines; i++)
		fprintf(out, "%s\n", conf->lines[i].text);
	fclose(out);
	return text;
}

const char *corosync_conf_name(const struct corosync_conf *conf)
{
	return conf->name;
}

uint64_t corosync_conf_version(const struct corosync_conf *conf)
{
	return conf->version;
}

size_t corosync_conf_n_nodes(const struct corosync_conf *conf)
{
	return conf->n_nodes;
}

const struct corosync_node *corosync_conf_node(const struct corosync_conf *conf, size_t at)
{
	return at < conf->n_nodes ? &conf->nodes[at] : NULL;
}

const struct corosync_node *corosync_conf_find(const struct corosync_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_nodes; i++) {
		if (strcmp(conf->nodes[i].name, name) == 0)
			return &conf->nodes[i];
	}
	return NULL;
}

size_t corosync_conf_n_links(const struct corosync_conf *conf)
{
	size_t n = 0;

	while (n < COROSYNC_CONF_MAX_LINKS && conf->nodes[0].address[n][0])
		n++;
	return n;
}

bool corosync_is_alone(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
	       strcmp(address, "localhost") == 0;
}

bool corosync_conf_is_example(const struct corosync_conf *conf)
{
	return conf->n_nodes == 1 && corosync_is_alone(conf->nodes[0].address[0]);
}

/* ---- changes ---- */

/* The section's first and last line at that depth, from `from` on; -ENOENT. */
static int find_section(const struct corosync_conf *conf, const char *name, size_t from, size_t to,
	size_t *ret_open, size_t *ret_close)
{
	size_t depth = 0;
	bool found = false;

	for (size_t i = from; i < to; i++) {
		if (conf->lines[i].kind == LINE_OPEN) {
			if (depth == 0 && !found && opens(&conf->lines[i], name)) {
				found = true;
				*ret_open = i;
			}
			depth++;
		} else if (conf->lines[i].kind == LINE_CLOSE) {
			depth--;
			if (depth == 0 && found) {
				*ret_close = i;
				return 0;
			}
		}
	}
	return -ENOENT;
}

/* In the section itself, not in those within it. `always`: also when it is not there yet. */
static int set_number(struct corosync_conf *conf, const char *section, const char *key,
	uint64_t number, bool always)
{
	char text[80], value[80];
	size_t open, close, depth = 0;
	int r = find_section(conf, section, 0, conf->n_lines, &open, &close);

	if (r < 0)
		return always ? r : 0;
	snprintf(text, sizeof(text), "    %s: %llu", key, (unsigned long long)number);
	for (size_t i = open; i < close; i++) {
		depth += conf->lines[i].kind == LINE_OPEN;
		depth -= conf->lines[i].kind == LINE_CLOSE;
		if (depth == 1 && conf->lines[i].kind == LINE_SETTING &&
			setting(conf->lines[i].text, key, value, sizeof(value))) {
			delete_line(conf, i);
			return insert_line(conf, i, text, strlen(text));
		}
	}
	return always ? insert_line(conf, open + 1, text, strlen(text)) : 0;
}

/* The nodes are as wanted: version and votes follow. */
static int finish(struct corosync_conf *conf)
{
	char error[128];
	uint64_t version = conf->version + 1;
	int r = set_number(conf, "totem", "config_version", version, true);

	if (r == 0)
		r = understand(conf, error, sizeof(error)) < 0 ? -EINVAL : 0;
	if (r == 0)
		r = set_number(conf, "quorum", "expected_votes", conf->n_nodes, false);
	return r;
}

static bool is_taken(const struct corosync_conf *conf, const struct corosync_node *node)
{
	for (size_t i = 0; i < conf->n_nodes; i++) {
		const struct corosync_node *other = &conf->nodes[i];

		if (other->id == node->id || strcmp(other->name, node->name) == 0)
			return true;
		for (size_t a = 0; a < COROSYNC_CONF_MAX_LINKS; a++) {
			for (size_t b = 0; b < COROSYNC_CONF_MAX_LINKS; b++) {
				if (node->address[a][0] &&
					strcmp(node->address[a], other->address[b]) == 0)
					return true;
			}
		}
	}
	return false;
}

static bool node_is_valid(const struct corosync_conf *conf, const struct corosync_node *node)
{
	if (!node->id || node->id > INT32_MAX || !is_word(node->name))
		return false;
	for (size_t i = 0; i < COROSYNC_CONF_MAX_LINKS; i++) {
		bool wanted = i < corosync_conf_n_links(conf);

		if (wanted != (node->address[i][0] != '\0') ||
			(wanted && !is_word(node->address[i])))
			return false;
	}
	return true;
}

int corosync_conf_add(struct corosync_conf *conf, const struct corosync_node *node)
{
	_cleanup_free_ char *text = NULL;
	size_t open, close, size_bytes;
	FILE *out;
	int r;

	if (!node_is_valid(conf, node))
		return -EINVAL;
	if (is_taken(conf, node))
		return -EEXIST;
	if (conf->n_nodes == COROSYNC_CONF_MAX_NODES)
		return -ENOSPC;
	r = find_section(conf, "nodelist", 0, conf->n_lines, &open, &close);
	if (r < 0)
		return r;
	out = open_memstream(&text, &size_bytes);
	if (!out)
		return -ENOMEM;
	print_node(out, node);
	fclose(out);
	for (char *at = text, *newline; r == 0 && (newline = strchr(at, '\n')); at = newline + 1)
		r = insert_line(conf, close++, at, (size_t)(newline - at));
	return r < 0 ? r : finish(conf);
}

int corosync_conf_remove(struct corosync_conf *conf, const char *name)
{
	size_t open, close, first, last, at;
	int r = find_section(conf, "nodelist", 0, conf->n_lines, &open, &close);

	if (!corosync_conf_find(conf, name))
		return -ENOENT;
	if (conf->n_nodes == 1)
		return -EINVAL;
	for (at = open + 1; r == 0; at = last + 1) {
		char value[80];
		bool found = false;

		r = find_section(conf, "node", at, close, &first, &last);
		for (size_t i = first; r == 0 && i < last; i++)
			found |= setting(conf->lines[i].text, "name", value, sizeof(value)) &&
				 strcmp(value, name) == 0;
		if (r == 0 && found) {
			for (size_t i = first; i <= last; i++)
				delete_line(conf, first);
			return finish(conf);
		}
	}
	return r;
}
