#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sizes that people and machines have to cope with.

 - A file has at most 700 lines, a function at most 100.
 - With --bin: the stripped size of each program; viaduct-vmhost, of which there is one for each
   virtual machine, has a limit.

Prints a line for each violation, as file:line: text, and a table of the programs.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

from tree import read_lines, source_files

FILE_MAX_LINES = 700
FUNCTION_MAX_LINES = 100
PROGRAM_PREFIX = "viaduct"
PROGRAM_MAX_BYTES = {"viaduct-vmhost": 600 * 1024}

FUNCTION_NAME = re.compile(r"(\w+)\(")


def functions_of(lines):
    """(name, line number, lines) of each function: its brace stands alone in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
            while start > 1 and lines[start - 2].strip() and \
                    not lines[start - 2].rstrip().endswith((";", "}", "*/")) and \
                    not lines[start - 2].startswith("#"):
                start -= 1
        elif line == "}" and start:
            match = FUNCTION_NAME.search(" ".join(lines[start - 1:number]))
            yield match.group(1) if match else "?", start, number - start + 1
            start = None


def check_file(root, path):
    violations = []
    lines = read_lines(root, path)
    if len(lines) > FILE_MAX_LINES:
        violations.append(
            f"{path}:{FILE_MAX_LINES + 1}: {len(lines)} lines, at most {FILE_MAX_LINES}")
    if path.endswith((".c", ".h")):
        for name, start, n_lines in functions_of(lines):
            if n_lines > FUNCTION_MAX_LINES:
                violations.append(f"{path}:{start}: {name}() has {n_lines} lines, "
                                  f"at most {FUNCTION_MAX_LINES}")
    return violations


def check_tree(root):
    paths = source_files(root, (".c", ".h", ".S", ".py", ".sh"))
    return [v for path in paths for v in check_file(root, path)]


def stripped_bytes(program):
    with tempfile.NamedTemporaryFile() as copy:
        subprocess.run(["strip", "-o", copy.name, program], check=True)
        return os.path.getsize(copy.name)


def check_programs(folder):
    violations = []
    names = sorted(n for n in os.listdir(folder) if n.startswith(PROGRAM_PREFIX))
    print(f"{'program':24} {'stripped':>12} {'limit':>12}")
    for name in names:
        limit = PROGRAM_MAX_BYTES.get(name)
        size = stripped_bytes(os.path.join(folder, name))
        print(f"{name:24} {size:12} {limit if limit else '-':>12}")
        if limit and size > limit:
            violations.append(f"{os.path.join(folder, name)}:0: {size} bytes, at most {limit}")
    for name in sorted(set(PROGRAM_MAX_BYTES) - set(names)):
        print(f"{name:24} {'not built':>12} {PROGRAM_MAX_BYTES[name]:12}")
    return violations


def self_test():
    body = "\tx();\n"
    files = {
        "good.c": "/* x */\nint f(void)\n{\n" + body * (FUNCTION_MAX_LINES - 3) + "}\n",
        "function.c": "int f(void)\n{\n" + body * (FUNCTION_MAX_LINES - 2) + "}\n",
        "signature.c": "\nint f(int a,\n\tint b)\n{\n" + body * (FUNCTION_MAX_LINES - 3) + "}\n",
        "table.c": "static int t[] = {\n" + "\t1,\n" * (FUNCTION_MAX_LINES + 1) + "};\n",
        "good.py": "x\n" * FILE_MAX_LINES,
        "file.h": "\n" * (FILE_MAX_LINES + 1),
    }
    bad = {"function.c:1:", "signature.c:2:", f"file.h:{FILE_MAX_LINES + 1}:"}
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                f.write(text)
        found = {violation.split(" ")[0] for violation in check_tree(root)}
    for place in sorted(bad ^ found):
        print(f"{place} was {'refused' if place in found else 'not refused'}")
    return found == bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    parser.add_argument("--bin", help="the folder of the built programs")
    parser.add_argument("--self-test", action="store_true", help="check known bad input")
    arguments = parser.parse_args()
    if arguments.self_test:
        return 0 if self_test() else 1
    violations = check_tree(arguments.root)
    if arguments.bin and os.path.isdir(arguments.bin):
        violations += check_programs(arguments.bin)
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
