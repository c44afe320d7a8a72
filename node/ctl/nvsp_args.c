/* SPDX-License-Identifier: MIT */
#include "node/ctl/nvsp_args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char nvspbind_usage[] =
	"Viaduct network binding, with the switches of nvspbind\n"
	"\n"
	"usage: viaduct nvspbind [option] [NIC] [protocol]\n"
	"\n"
	"  (none) [NIC]        every adapter with its bindings\n"
	"  /n [NIC]            adapters only\n"
	"  /u NIC              unbind the switch protocol, restore the bindings there were\n"
	"  /b NIC              bind the switch protocol (--switch NAME: to a switch made for it)\n"
	"  /d NIC protocol     disable a protocol\n"
	"  /e NIC protocol     enable a protocol\n"
	"  /r NIC              repair the bindings\n"
	"  /o protocol         the order of the adapters\n"
	"  /+  NIC protocol    move the adapter up in the order; /- down, /++ to the top, /-- to\n"
	"                      the bottom\n"
	"  /?                  this text\n"
	"\n"
	"NIC is an adapter's name, or * for all. Protocols: ipv4 (ms_tcpip), ipv6 (ms_tcpip6),\n"
	"bridge, team, viaduct_switch (vms_pp). --node, --json, --force, --dry-run as with\n"
	"'viaduct nic bindings'.\n";

const char nvspscrub_usage[] =
	"Viaduct network scrub, with the switches of nvspscrub\n"
	"\n"
	"usage: viaduct nvspscrub [option]\n"
	"\n"
	"  (none)     list management adapters, switches and bound adapters\n"
	"  /v         delete the management adapters that are disabled\n"
	"  /n NIC     delete the management adapter of that name\n"
	"  /p         purge: delete all management adapters, all switches, unbind all adapters\n"
	"  /?         this text\n"
	"\n"
	"--dry-run, --force, --undo, --undo-file, --node, --json as with 'viaduct network "
	"scrub'.\n";

/* How many arguments follow a switch, and what becomes of them. */
struct nvsp_switch {
	const char *name, *option;
	enum { TAKES_NOTHING, MAY_TAKE_NIC, TAKES_ONE, TAKES_NIC_AND_PROTOCOL } takes;
};

static const struct nvsp_switch bind_switches[] = {
	{"n", "nics", MAY_TAKE_NIC},
	{"u", "unbind", TAKES_ONE},
	{"b", "bind", TAKES_ONE},
	{"d", "disable", TAKES_NIC_AND_PROTOCOL},
	{"e", "enable", TAKES_NIC_AND_PROTOCOL},
	{"r", "repair", TAKES_ONE},
	{"o", "order", TAKES_ONE},
	{"+", "up", TAKES_NIC_AND_PROTOCOL},
	{"-", "down", TAKES_NIC_AND_PROTOCOL},
	{"++", "top", TAKES_NIC_AND_PROTOCOL},
	{"--", "bottom", TAKES_NIC_AND_PROTOCOL},
	{0},
};

static const struct nvsp_switch scrub_switches[] = {
	{"v", "disabled", TAKES_NOTHING},
	{"n", "name", TAKES_ONE},
	{"p", "purge", TAKES_NOTHING},
	{0},
};

struct rewriter {
	const struct nvsp_switch *switches;
	struct nvsp_args *out;
	int argc, at;
	char **argv;
	char *error;
	size_t error_size_bytes;
};

static int _printf_(2, 3) refuse(struct rewriter *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(w->error, w->error_size_bytes, format, args);
	va_end(args);
	return -EINVAL;
}

static int put(struct rewriter *w, const char *prefix, const char *text, const char *second)
{
	struct nvsp_args *out = w->out;
	char *place;
	int len;

	if (out->argc == NVSP_MAX_ARGS)
		return refuse(w, "too many arguments");
	place = out->text[out->argc];
	len = snprintf(place, NVSP_TEXT_BYTES, "%s%s%s%s", prefix, text, second ? "," : "",
		second ? second : "");
	if (len >= NVSP_TEXT_BYTES)
		return refuse(w, "'%.40s...' is too long", text);
	out->argv[out->argc++] = place;
	out->argv[out->argc] = NULL;
	return 0;
}

static const char *next(struct rewriter *w)
{
	return w->at < w->argc ? w->argv[w->at++] : NULL;
}

/* "--name" is an option of ours; "--" and "---" are switches with a dash: down and bottom. */
static bool is_own_option(const char *text)
{
	return strncmp(text, "--", 2) == 0 && text[2] && text[2] != '-';
}

static int rewrite_switch(struct rewriter *w, const struct nvsp_switch *s, const char *as_typed)
{
	const char *first, *second = NULL;
	int r = put(w, "--", s->option, NULL);

	if (r < 0 || s->takes == TAKES_NOTHING)
		return r;
	if (s->takes == MAY_TAKE_NIC && (w->at == w->argc || is_own_option(w->argv[w->at])))
		return 0;
	first = next(w);
	if (s->takes == MAY_TAKE_NIC)
		return put(w, "--nic=", first, NULL);
	if (!first)
		return refuse(w, "%s needs %s", as_typed,
			strcmp(s->option, "order") == 0      ? "a protocol"
			: s->takes == TAKES_NIC_AND_PROTOCOL ? "an adapter and a protocol"
							     : "an adapter");
	if (s->takes == TAKES_NIC_AND_PROTOCOL && !strchr(first, ',')) {
		second = next(w);
		if (!second)
			return refuse(w, "%s %s needs a protocol", as_typed, first);
	}
	return put(w, "", first, second);
}

static bool takes_value(const char *option)
{
	static const char *const options[] = {"--switch", "--node", "--undo", "--undo-file"};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i], option) == 0)
			return true;
	}
	return false;
}

static const struct nvsp_switch *find_switch(const struct rewriter *w, const char *name)
{
	for (const struct nvsp_switch *s = w->switches; s->name; s++) {
		if (strcasecmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static int rewrite_own_option(struct rewriter *w, const char *option)
{
	const char *value = takes_value(option) ? next(w) : NULL;
	int r = put(w, "", option, NULL);

	return r == 0 && value ? put(w, "", value, NULL) : r;
}

static int rewrite(struct rewriter *w)
{
	const struct nvsp_switch *s;
	bool complete = false;
	const char *text;
	int r = 0;

	w->out->argc = 0;
	w->out->argv[0] = NULL;
	while (r == 0 && (text = next(w))) {
		if (is_own_option(text)) {
			r = rewrite_own_option(w, text);
			continue;
		}
		if (complete)
			return refuse(w, "'%.40s' is one argument too many", text);
		complete = true;
		if (text[0] != '/' && text[0] != '-') {
			/* An adapter alone: only that one is listed. */
			if (w->switches != bind_switches)
				return refuse(w, "there is no option '%.40s'; /? lists them", text);
			r = put(w, "--nic=", text, NULL);
			continue;
		}
		if (strcmp(text + 1, "?") == 0)
			return 1;
		s = find_switch(w, text + 1);
		if (!s)
			return refuse(w, "there is no option '%.40s'; /? lists them", text);
		r = rewrite_switch(w, s, text);
	}
	return r;
}

int nvspbind_rewrite(
	int argc, char **argv, struct nvsp_args *ret_args, char *error, size_t error_size_bytes)
{
	struct rewriter w = {
		.switches = bind_switches,
		.out = ret_args,
		.argc = argc,
		.argv = argv,
		.error = error,
		.error_size_bytes = error_size_bytes,
	};

	return rewrite(&w);
}

int nvspscrub_rewrite(
	int argc, char **argv, struct nvsp_args *ret_args, char *error, size_t error_size_bytes)
{
	struct rewriter w = {
		.switches = scrub_switches,
		.out = ret_args,
		.argc = argc,
		.argv = argv,
		.error = error,
		.error_size_bytes = error_size_bytes,
	};

	return rewrite(&w);
}
