/* SPDX-License-Identifier: MIT
 *
 * script.h - scripted cases: a folder with `script`, what happens when, and `expected`, the log
 * that has to come of it, to the letter. The language is in README.md.
 */
#ifndef VIADUCT_TESTS_SIM_SCRIPT_H
#define VIADUCT_TESTS_SIM_SCRIPT_H

#include "tests/sim/sim.h"

#define SCRIPT_MAX_WORDS 16

struct script {
	const char *path;
	unsigned line;
	struct sim *sim; /* from the line that says how many nodes on */
	bool failed;     /* the script makes no sense, or what it expects is not so */
};

/* Runs the case in `folder` and compares; with `update` writes what came of it to `expected`. Says
 * on stdout what is wrong. True: nothing. */
bool script_run_case(const char *folder, bool update);

/* script.c: what is wrong with this line. */
void script_fail(struct script *script, const char *format, ...) _printf_(2, 3);

/* script_commands.c: one command with its arguments. */
void script_command(struct script *script, char *const *words, size_t n_words);
/* "gather", "exchange", ...; false: there is no such mode. */
bool script_mode(const char *word, enum rs_mode *ret_mode);
uint32_t script_node(struct script *script, const char *word);

#endif
