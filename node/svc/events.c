/* SPDX-License-Identifier: MIT */
#include "node/svc/events.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_TEXT_LEN 511

void events_add(struct svc *svc _unused_, enum event_level level, const char *id,
	const char *object, const char *format, ...)
{
	char text[MAX_TEXT_LEN + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (level == EVENT_ERROR)
		log_error("%s: %s (%s)", object, text, id);
	else if (level == EVENT_WARNING)
		log_warning("%s: %s (%s)", object, text, id);
	else
		log_info("%s: %s (%s)", object, text, id);
}
