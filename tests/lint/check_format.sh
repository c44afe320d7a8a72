#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every C file looks as .clang-format says. Exits with 77, which ctest takes for "skipped", when there
# is no clang-format.
set -eu

cd "$(dirname "$0")/../.."

if ! command -v clang-format >/dev/null; then
	echo "skipped: clang-format is not installed"
	exit 77
fi

find . \( -name '.?*' -o -name build \) -prune -o -type f -name '*.[ch]' -print0 |
	xargs -0 -r clang-format --dry-run -Werror
