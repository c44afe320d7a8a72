/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/shell.h"

#define LINE_BYTES 512

#define ARP_TIMEOUT_NS   (1600 * NS_PER_MS) /* all of ARP's own tries */
#define BCAST_TIMEOUT_NS (5 * NS_PER_S)
#define BCAST_RETRY_NS   NS_PER_MS
#define UDP_SOURCE_PORT  9007

/* --- answers --- */

struct answer {
	char line[LINE_BYTES];
	struct text text;
};

static struct text *answer_begin(struct answer *answer, const struct shell *shell, bool good)
{
	answer->text = text_on(answer->line, sizeof(answer->line));
	text_add(&answer->text, good ? "ok " : "err ");
	text_add(&answer->text, shell->command.name);
	return &answer->text;
}

static void answer_end(struct shell *shell, const struct answer *answer)
{
	shell->busy = false;
	shell->ops->print(answer->line);
}

static void refuse(struct shell *shell, const char *why)
{
	struct answer answer;
	struct text *text = answer_begin(&answer, shell, false);

	text_char(text, ' ');
	text_add(text, why);
	answer_end(shell, &answer);
}

static void text_address(struct text *text, uint32_t ip)
{
	text_char(text, ' ');
	text_ipv4(text, ip);
}

/* --- the commands --- */

static struct net *route(const struct shell *shell, uint32_t ip)
{
	struct shell_nic_facts facts;
	struct net *net, *by_gateway = NULL;

	for (unsigned i = 0; i < MAX_NICS; i++) {
		net = shell->ops->nic(i, &facts);
		if (!net)
			continue;
		if (net_is_local(net, ip))
			return net;
		if (net->ip && net->gateway && !by_gateway)
			by_gateway = net;
	}
	return by_gateway;
}

static void ping_send(struct shell *shell, uint64_t now_ns)
{
	shell->n_sent++;
	shell->deadline_ns = now_ns + shell->command.ping.timeout_ms * NS_PER_MS;
	net_ping_send(shell->net, shell->command.ip, now_ns);
}

static void ping_start(struct shell *shell, uint64_t now_ns)
{
	shell->net = route(shell, shell->command.ip);
	if (!shell->net) {
		refuse(shell, "no route");
		return;
	}
	shell->rtt_sum_ns = 0;
	ping_send(shell, now_ns);
}

static void ping_step(struct shell *shell, uint64_t now_ns)
{
	struct net_ping *ping = &shell->net->ping;
	struct answer answer;
	struct text *text;

	if (ping->answered) {
		shell->n_received++;
		shell->rtt_sum_ns += ping->rtt_ns;
	} else if (now_ns < shell->deadline_ns) {
		return;
	}
	ping->answered = false;
	ping->waiting = false;
	if (shell->n_sent < shell->command.ping.count) {
		ping_send(shell, now_ns);
		return;
	}
	text = answer_begin(&answer, shell, true);
	text_address(text, shell->command.ip);
	text_field(text, "sent", shell->n_sent);
	text_field(text, "received", shell->n_received);
	text_field(text, "rtt_us",
		shell->n_received ? shell->rtt_sum_ns / shell->n_received / NS_PER_US : 0);
	answer_end(shell, &answer);
}

static void arp_start(struct shell *shell, uint64_t now_ns)
{
	shell->net = route(shell, shell->command.ip);
	if (!shell->net || !net_is_local(shell->net, shell->command.ip)) {
		refuse(shell, "no route");
		return;
	}
	shell->deadline_ns = now_ns + ARP_TIMEOUT_NS;
	net_arp_request(shell->net, shell->command.ip, now_ns);
}

static void arp_step(struct shell *shell, uint64_t now_ns)
{
	bool known;
	uint8_t mac[ETH_MAC_BYTES];
	struct answer answer;
	struct text *text;

	known = net_arp_lookup(shell->net, shell->command.ip, mac) == 0;
	if (!known && now_ns < shell->deadline_ns)
		return;
	text = answer_begin(&answer, shell, known);
	text_address(text, shell->command.ip);
	if (known) {
		text_add(text, " mac=");
		text_mac(text, mac);
	} else {
		text_add(text, " no answer");
	}
	answer_end(shell, &answer);
}

static void bcast_start(struct shell *shell, uint64_t now_ns)
{
	struct shell_nic_facts facts;

	shell->net = shell->ops->nic(shell->command.bcast.nic, &facts);
	if (!shell->net)
		refuse(shell, "no such NIC");
	shell->deadline_ns = now_ns + BCAST_TIMEOUT_NS;
}

static void bcast_step(struct shell *shell, uint64_t now_ns)
{
	char marker[64];
	struct answer answer;
	struct text *text;

	while (shell->n_sent < shell->command.bcast.count) {
		struct text mark = text_on(marker, sizeof(marker));

		text_add(&mark, "viaduct-probe ");
		text_add(&mark, shell->name);
		text_char(&mark, ' ');
		text_u64(&mark, shell->n_sent + 1);
		if (!net_send_marker(shell->net, marker, mark.length))
			break;
		shell->n_sent++;
	}
	if (shell->n_sent < shell->command.bcast.count && now_ns < shell->deadline_ns)
		return;
	text = answer_begin(&answer, shell, true);
	text_field(text, "sent", shell->n_sent);
	answer_end(shell, &answer);
}

static void udp_start(struct shell *shell, uint64_t now_ns)
{
	size_t length = strlen(shell->command.udp.text);
	struct answer answer;
	struct text *text;

	shell->net = route(shell, shell->command.ip);
	if (!shell->net) {
		refuse(shell, "no route");
		return;
	}
	net_udp_send(shell->net, shell->command.ip, UDP_SOURCE_PORT, shell->command.udp.port,
		shell->command.udp.text, length, now_ns);
	text = answer_begin(&answer, shell, true);
	text_address(text, shell->command.ip);
	text_field(text, "bytes", length);
	answer_end(shell, &answer);
}

static void dirty_start(struct shell *shell, uint64_t now_ns)
{
	struct answer answer;
	struct text *text;

	if (work_set(shell->work, shell->command.dirty.pages_per_s, shell->command.dirty.size_mb,
		    now_ns)) {
		refuse(shell, "not so much memory");
		return;
	}
	text = answer_begin(&answer, shell, true);
	text_field(text, "rate", shell->work->rate);
	text_field(text, "pages", shell->work->n_pages);
	answer_end(shell, &answer);
}

static void verify_start(struct shell *shell, uint64_t now_ns)
{
	(void)now_ns;
	shell->deadline_ns = NEVER_NS;
}

/* Waits until the first content is there, then checks share after share. */
static void verify_step(struct shell *shell, uint64_t now_ns)
{
	struct work *work = shell->work;
	struct answer answer;
	struct text *text;

	if (!work->verifying && work_verify_start(work))
		return;
	if (!work_verify_step(work, now_ns))
		return;
	text = answer_begin(&answer, shell, true);
	text_field(text, "pages", work->n_pages);
	text_field(text, "bad", work->verify_bad);
	text_add(text, " crc=");
	text_hex(text, work->verify_crc);
	answer_end(shell, &answer);
}

void shell_status(const struct shell *shell, struct text *text, uint64_t now_ns)
{
	uint64_t max_tsc = MAX_OF(shell->gap->max_tsc, shell->gap->second_max_tsc);
	uint64_t rx = 0, tx = 0, tcp = 0;

	for (unsigned i = 0; i < MAX_NICS; i++) {
		struct shell_nic_facts facts;
		const struct net *net = shell->ops->nic(i, &facts);

		if (!net)
			continue;
		rx += net->counters.rx_frames;
		tx += net->counters.tx_frames;
		tcp += tcp_n_open(&net->tcp);
	}
	text_field(text, "t_ms", now_ns / NS_PER_MS);
	text_field(text, "dirtied", shell->work->n_touched);
	text_field(text, "bad", shell->work->n_bad);
	text_field(text, "gap_us", shell->ops->tsc_to_us(shell->last_second_gap_tsc));
	text_field(text, "gap_max_us", shell->ops->tsc_to_us(max_tsc));
	text_field(text, "rx", rx);
	text_field(text, "tx", tx);
	text_field(text, "tcp", tcp);
	text_field(text, "irq", shell->ops->irq_count());
}

static void status_start(struct shell *shell, uint64_t now_ns)
{
	struct answer answer;

	shell_status(shell, answer_begin(&answer, shell, true), now_ns);
	answer_end(shell, &answer);
}

static void gap_start(struct shell *shell, uint64_t now_ns)
{
	struct answer answer;
	struct text *text = answer_begin(&answer, shell, true);

	(void)now_ns;
	text_field(text, "us", shell->ops->tsc_to_us(gap_take(shell->gap)));
	answer_end(shell, &answer);
}

static void text_nic(struct text *text, unsigned index, const struct net *net,
	const struct shell_nic_facts *facts)
{
	text_field(text, "nic", index);
	text_add(text, " mac=");
	text_mac(text, net->mac);
	text_add(text, " ip=");
	text_ipv4(text, net->ip);
	text_add(text, facts->link_up ? " link=up" : " link=down");
	text_add(text, " nvsp=");
	text_u64(text, facts->nvsp_version >> 16);
	text_char(text, '.');
	text_u64(text, facts->nvsp_version & 0xffff);
	text_field(text, "mtu", facts->mtu);
	text_field(text, "marks", net->counters.markers);
	text_field(text, "foreign", net->counters.foreign);
	text_field(text, "bad", net->counters.malformed + facts->n_errors);
	text_field(text, "dropped", net->counters.tx_dropped);
	text_field(text, "resent", net->tcp.n_retransmits);
}

static void net_start(struct shell *shell, uint64_t now_ns)
{
	struct answer answer;
	struct text *text = answer_begin(&answer, shell, true);

	(void)now_ns;
	for (unsigned i = 0; i < MAX_NICS; i++) {
		struct shell_nic_facts facts;
		const struct net *net = shell->ops->nic(i, &facts);

		if (net)
			text_nic(text, i, net, &facts);
	}
	answer_end(shell, &answer);
}

static void poweroff_start(struct shell *shell, uint64_t now_ns)
{
	struct answer answer;

	(void)now_ns;
	answer_begin(&answer, shell, true);
	answer_end(shell, &answer);
	shell->ops->power_off();
}

static void crash_start(struct shell *shell, uint64_t now_ns)
{
	struct answer answer;

	(void)now_ns;
	answer_begin(&answer, shell, true);
	answer_end(shell, &answer);
	shell->ops->crash();
}

/* --- running them --- */

static const struct {
	void (*start)(struct shell *shell, uint64_t now_ns);
	void (*step)(struct shell *shell, uint64_t now_ns); /* NULL: start does it all */
} handlers[] = {
	[COMMAND_PING] = {ping_start, ping_step},
	[COMMAND_ARP] = {arp_start, arp_step},
	[COMMAND_BCAST] = {bcast_start, bcast_step},
	[COMMAND_UDP] = {udp_start, NULL},
	[COMMAND_DIRTY] = {dirty_start, NULL},
	[COMMAND_VERIFY] = {verify_start, verify_step},
	[COMMAND_STATUS] = {status_start, NULL},
	[COMMAND_GAP] = {gap_start, NULL},
	[COMMAND_NET] = {net_start, NULL},
	[COMMAND_POWEROFF] = {poweroff_start, NULL},
	[COMMAND_CRASH] = {crash_start, NULL},
};

int shell_start(struct shell *shell, const char *line, uint64_t now_ns)
{
	const char *usage = NULL;
	int r;

	if (shell->busy)
		return -EBUSY;
	r = command_parse(line, &shell->command, &usage);
	if (r < 0) {
		char text_line[LINE_BYTES];
		struct text text = text_on(text_line, sizeof(text_line));

		text_add(&text, r == -EINVAL ? "err usage: " : "err unknown command");
		if (usage)
			text_add(&text, usage);
		shell->ops->print(text_line);
		return 0;
	}
	shell->busy = true;
	shell->n_sent = 0;
	shell->n_received = 0;
	handlers[shell->command.kind].start(shell, now_ns);
	return 0;
}

void shell_step(struct shell *shell, uint64_t now_ns)
{
	if (shell->busy && handlers[shell->command.kind].step)
		handlers[shell->command.kind].step(shell, now_ns);
}

uint64_t shell_deadline(const struct shell *shell)
{
	if (!shell->busy)
		return NEVER_NS;
	/* Room for the next frame, or the end of filling, does not announce itself. */
	if (shell->command.kind == COMMAND_BCAST || shell->command.kind == COMMAND_VERIFY)
		return 0;
	return shell->deadline_ns;
}
