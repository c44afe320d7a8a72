/* SPDX-License-Identifier: MIT */
#include "node/host/tcp.h"

#include <arpa/inet.h>
#include <string.h>

/* In order of the kernel's numbers, from 1. */
static const char *const states[] = {"ESTABLISHED", "SYN_SENT", "SYN_RECEIVED", "FIN_WAIT_1",
	"FIN_WAIT_2", "TIME_WAIT", "CLOSED", "CLOSE_WAIT", "LAST_ACK", "LISTENING", "CLOSING",
	"SYN_RECEIVED"};

/* "0100007F:1F90": words of the address as the host holds them, then the port. */
static int parse_end(const char *text, int family, char out[HOST_TCP_TEXT_BYTES])
{
	size_t n_words = family == AF_INET ? 1 : 4;
	char bare[INET6_ADDRSTRLEN], word[9], *end;
	uint32_t address[4] = {0};
	unsigned long port;

	if (strspn(text, "0123456789ABCDEFabcdef") != 8 * n_words || text[8 * n_words] != ':')
		return -EBADMSG;
	for (size_t i = 0; i < n_words; i++) {
		memcpy(word, text + 8 * i, 8);
		word[8] = '\0';
		address[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	port = strtoul(text + 8 * n_words + 1, &end, 16);
	if (*end || port > UINT16_MAX || !text[8 * n_words + 1])
		return -EBADMSG;
	inet_ntop(family, address, bare, sizeof(bare));
	snprintf(out, HOST_TCP_TEXT_BYTES, family == AF_INET ? "%s:%lu" : "[%s]:%lu", bare, port);
	return 0;
}

int host_tcp_parse(const char *line, int family, struct host_tcp *ret_connection)
{
	char local[48], remote[48];
	struct host_tcp c;
	unsigned state;

	if (sscanf(line, " %*u: %47s %47s %2x", local, remote, &state) != 3 || state < 1 ||
		state > ARRAY_LEN(states))
		return -EBADMSG;
	if (parse_end(local, family, c.local) < 0 || parse_end(remote, family, c.remote) < 0)
		return -EBADMSG;
	c.state = states[state - 1];
	*ret_connection = c;
	return 0;
}

static int read_table(const char *path, int family, struct host_tcp *connections, size_t max,
	size_t *n, size_t *total)
{
	FILE *file = fopen(path, "re");
	struct host_tcp one;
	char line[512];

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	while (fgets(line, sizeof(line), file)) {
		if (host_tcp_parse(line, family, &one) < 0)
			continue;
		if (*n < max)
			connections[(*n)++] = one;
		++*total;
	}
	fclose(file);
	return 0;
}

int host_tcp_read(struct host_tcp *ret_connections, size_t max, size_t *ret_n, size_t *ret_total)
{
	size_t n = 0, total = 0;
	int r = read_table("/proc/self/net/tcp", AF_INET, ret_connections, max, &n, &total);

	if (r == 0)
		r = read_table("/proc/self/net/tcp6", AF_INET6, ret_connections, max, &n, &total);
	if (r < 0)
		return r;
	*ret_n = n;
	*ret_total = total;
	return 0;
}
