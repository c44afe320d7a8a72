/* SPDX-License-Identifier: MIT
 *
 * The names of priorities, for whoever reads policies.
 */
#include "cluster/place.h"

#include <string.h>

static const char *const priority_names[] = {
	[PLACE_NO_AUTO_START] = "none",
	[PLACE_LOW] = "low",
	[PLACE_MEDIUM] = "medium",
	[PLACE_HIGH] = "high",
};

const char *place_priority_name(enum place_priority priority)
{
	return priority_names[priority];
}

int place_priority_from_name(const char *name, enum place_priority *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(priority_names); i++) {
		if (strcmp(name, priority_names[i]) == 0) {
			*ret = (enum place_priority)i;
			return 0;
		}
	}
	return -EINVAL;
}
