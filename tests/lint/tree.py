# SPDX-License-Identifier: MIT
"""The source files of the tree, as the lints see it."""

import os

SKIPPED_FOLDERS = {"build", "__pycache__"}


def source_files(root, suffixes):
    """Paths relative to `root`, sorted, of the files with one of `suffixes`."""
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            s for s in subfolders if s not in SKIPPED_FOLDERS and not s.startswith("."))
        for name in names:
            if name.endswith(suffixes):
                found.append(os.path.relpath(os.path.join(folder, name), root))
    return sorted(found)


def read_lines(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read().splitlines()
