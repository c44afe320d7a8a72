/* SPDX-License-Identifier: MIT
 *
 * cmd_top.c - `viaduct top`: the cluster in one window (ncurses underneath; this is its only user).
 */
#include "node/ctl/top_frame.h"

#include "node/ctl/ctl.h"

#include "base/clock.h"

/* Its macros have names of ours. */
#define NCURSES_NOMACROS
#include <curses.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 5000
#define REFRESH_MS 1000
#define ONCE_WIDTH 200

static const char *const ops[] = {"cluster.status", "network.list", "top.show"};

struct screen {
	const struct ctl_args *args;
	struct top_view view;
	struct json *answers[ARRAY_LEN(ops)];
	char error[1024]; /* "": the answers are fresh */
	size_t page;      /* rows of VMs */
};

/* All three, or the old ones stay, with the reason. */
static int refresh_answers(struct screen *s)
{
	struct json *fresh[ARRAY_LEN(ops)] = {0};
	int r = EXIT_OK;

	for (size_t i = 0; r == EXIT_OK && i < ARRAY_LEN(ops); i++)
		r = ctl_send(s->args, ctl_request(ops[i]), TIMEOUT_MS, &fresh[i], s->error,
			sizeof(s->error));
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (r == EXIT_OK) {
			json_unref(s->answers[i]);
			s->answers[i] = fresh[i];
		} else {
			json_unref(fresh[i]);
		}
	}
	if (r == EXIT_OK)
		s->error[0] = '\0';
	return r;
}

static struct top_frame *make_frame(struct screen *s)
{
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(s->view.clock, sizeof(s->view.clock), "%H:%M:%S", &tm);
	s->view.trouble = s->error[0] ? s->error : NULL;
	return top_frame_make(s->answers[0], s->answers[1], s->answers[2], &s->view);
}

static int once(struct screen *s)
{
	_cleanup_free_ struct top_frame *frame = NULL;
	int r = refresh_answers(s);

	if (r != EXIT_OK)
		return ctl_fail((enum exit_code)r, "%s", s->error);
	if (s->args->json) {
		_cleanup_json_ struct json *all = json_object_new();

		json_set(all, "status", json_ref(s->answers[0]));
		json_set(all, "networks", json_ref(json_get(s->answers[1], "networks")));
		json_set(all, "top", json_ref(s->answers[2]));
		return ctl_print_json(all);
	}
	s->view.width = ONCE_WIDTH;
	frame = make_frame(s);
	for (size_t i = 0; frame && i < frame->n; i++)
		puts(frame->lines[i].text);
	return EXIT_OK;
}

static void draw(struct screen *s)
{
	static const attr_t styles[] = {
		[TOP_PLAIN] = A_NORMAL,
		[TOP_TITLE] = A_BOLD,
		[TOP_HEADING] = A_REVERSE,
		[TOP_WARNING] = A_BOLD | A_UNDERLINE,
	};
	_cleanup_free_ struct top_frame *frame = NULL;

	s->view.width = (unsigned)MAX(COLS, 1);
	s->view.height = (unsigned)MAX(LINES - 1, 1);
	frame = make_frame(s);
	if (!frame)
		return;
	werase(stdscr);
	for (size_t i = 0; i < frame->n; i++) {
		wattrset(stdscr, (int)styles[frame->lines[i].style]);
		mvwaddstr(stdscr, (int)i, 0, frame->lines[i].text);
	}
	wattrset(stdscr, A_NORMAL);
	mvwaddnstr(stdscr, LINES - 1, 0,
		"q quit  sort: n name, s state, o node, m memory, h heartbeat, r reverse  "
		"arrows, page keys: the list of VMs",
		COLS - 1);
	wrefresh(stdscr);
	s->page = frame->n_vms_shown;
}

/* False: that was the end. */
static bool take_key(struct screen *s, int key)
{
	size_t *first = &s->view.first;
	size_t page = MAX(s->page, (size_t)1);

	if (key == 'q' || key == 'Q')
		return false;
	if (key == 'r')
		s->view.reversed = !s->view.reversed;
	for (size_t i = 0; i < TOP_N_SORTS; i++) {
		if (key == top_sort_keys[i].letter)
			s->view.sort = (enum top_sort)i;
	}
	if (key == KEY_DOWN)
		++*first;
	else if (key == KEY_UP && *first)
		--*first;
	else if (key == KEY_NPAGE || key == ' ')
		*first += page;
	else if (key == KEY_PPAGE)
		*first -= MIN(*first, page);
	else if (key == KEY_HOME)
		*first = 0;
	else if (key == KEY_END)
		*first = SIZE_MAX / 2;
	return true;
}

static void run(struct screen *s)
{
	bool goes_on = true;

	while (goes_on) {
		uint64_t begin_ns = clock_mono_ns(), passed_ms;

		refresh_answers(s);
		draw(s);
		while (goes_on &&
			(passed_ms = (clock_mono_ns() - begin_ns) / NS_PER_MS) < REFRESH_MS) {
			int key;

			wtimeout(stdscr, (int)(REFRESH_MS - passed_ms));
			key = wgetch(stdscr);
			if (key == ERR)
				continue;
			goes_on = take_key(s, key); /* of another size, too: drawn anew */
			draw(s);
		}
	}
}

int cmd_top(const struct ctl_args *args)
{
	struct screen s = {.args = args};
	const char *sort = ctl_option(args, "sort");
	int r = EXIT_OK;

	for (size_t i = 0; sort && i <= TOP_N_SORTS; i++) {
		if (i == TOP_N_SORTS)
			return ctl_fail(EXIT_USAGE,
				"--sort %s: say name, state, node, memory or heartbeat", sort);
		s.view.sort = (enum top_sort)i;
		if (strcmp(top_sort_keys[i].name, sort) == 0)
			break;
	}
	if (args->json || ctl_option(args, "once") || !isatty(STDOUT_FILENO) ||
		!isatty(STDIN_FILENO)) {
		r = once(&s);
	} else if (newterm(NULL, stdout, stdin)) {
		cbreak();
		noecho();
		keypad(stdscr, true);
		curs_set(0);
		run(&s);
		endwin();
	} else {
		r = ctl_fail(EXIT_FAILED, "this terminal (TERM=%s) is unknown; --once needs none",
			getenv("TERM") ? getenv("TERM") : "");
	}
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		json_unref(s.answers[i]);
	return r;
}
