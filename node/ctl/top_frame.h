/* SPDX-License-Identifier: MIT
 *
 * top_frame.h - pure: what `viaduct top` shows, as lines of text, from the answers of the service.
 */
#ifndef VIADUCT_NODE_CTL_TOP_FRAME_H
#define VIADUCT_NODE_CTL_TOP_FRAME_H

#include "base/json.h"

#define TOP_MAX_WIDTH 256

enum top_sort {
	TOP_BY_NAME,
	TOP_BY_STATE,
	TOP_BY_NODE,
	TOP_BY_MEMORY,
	TOP_BY_HEARTBEAT,
	TOP_N_SORTS
};

/* Its key, and its name for the head line. */
extern const struct top_sort_key {
	char letter;
	const char *name;
} top_sort_keys[TOP_N_SORTS];

struct top_view {
	unsigned width, height; /* height 0: as many lines as it takes */
	enum top_sort sort;
	bool reversed;
	size_t first;        /* VM at the top of the list; corrected when there are not so many */
	char clock[16];      /* "12:34:56" */
	const char *trouble; /* the last answer is an old one, and why; or NULL */
};

enum top_style { TOP_PLAIN, TOP_TITLE, TOP_HEADING, TOP_WARNING };

struct top_frame {
	size_t n, n_vms_shown;
	struct top_line {
		enum top_style style;
		char text[TOP_MAX_WIDTH + 1];
	} lines[];
};

/* `status`, `networks`, `top`: the answers to cluster.status, network.list, top.show; what is
 * missing is left out. To free(); NULL: no memory. */
struct top_frame *top_frame_make(const struct json *status, const struct json *networks,
	const struct json *top, struct top_view *view);

#endif
