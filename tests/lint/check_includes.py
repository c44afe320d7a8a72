#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The order of the layers, as includes show it.

 - A folder includes folders of lower layers only, and of those only the public headers.
 - vmbus/proto is freestanding, vmbus/guest knows nothing but vmbus/proto and itself.
 - foo.c includes foo.h before anything else.
 - Paths start at the top of the tree, and name a file that exists.
 - A library that we did not write is touched by one file.

Prints a line for each violation, as file:line: text. Tests may look into the folders that they test
and may use libraries themselves.
"""

import argparse
import os
import re
import sys
import tempfile

from tree import read_lines, source_files

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')

# Parts of folders that are in another layer than the rest, by the prefix of their files' names.
PARTS = ["csv/csvd"]
# Lowest first; folders of one layer do not know each other.
LAYERS = [
    ["base", "vmbus/proto"],
    ["vmbus", "fabric", "csv", "migrate", "node/hv", "node/host"],
    ["cluster"],
    ["csv/csvd"],
    ["node/vm", "node/svc"],
    ["node/deploy"],
    ["node/ctl"],
]
# What a folder may include, where that is less than all lower layers and itself.
ONLY = {
    "base": [],
    "vmbus/proto": [],
    "vmbus/guest": ["vmbus/proto"],
}
# What the other folders may include of a folder; None for every header.
PUBLIC = {
    "base": None,
    "vmbus/proto": None,
    "vmbus": ["vmbus.h", "channel.h", "storvsp.h", "synthvid.h", "synthinput.h", "ic.h", "dynmem.h"],
    "fabric": ["client.h", "open.h", "vlan.h"],
    "csv": ["csv.h", "disk.h"],
    "migrate": ["migrate.h"],
    "node/hv": ["partition.h", "host_cpu.h"],
    "node/host": ["nic.h", "bindings.h", "order.h", "ethtool.h", "sysctl.h", "tcp.h"],
    "cluster": ["cluster.h", "backup.h", "corosync_conf.h", "drain.h", "failover.h", "place.h"],
    "node/svc": ["nic.h", "policy.h"],
    "node/deploy": ["cluster_file.h", "differ.h"],
}
# Headers of base that are for base alone.
PRIVATE = {"base/chan_wire.h"}

FREESTANDING_FOLDERS = {"vmbus/proto"}
FREESTANDING_HEADERS = {
    "assert.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h",
    "stdnoreturn.h",
}

# (prefix of the header, where it may be included, how many files may). A place is a file or a folder;
# None stands for everywhere, but counted by folder.
LIBRARIES = [
    ("jansson.h", ["base/json.c"], 1),
    ("qb/", ["base/log.c", "base/loop.c", "base/ipc.c"], 3),
    ("lz4", ["migrate"], 1),
    ("zmq.h", ["node/svc/zsock.c", "node/ctl/link_zmq.c"], 2),
    ("sqlite3.h", ["cluster", "node/svc/events_db.c"], 2),
    ("curses.h", ["node/ctl/cmd_top.c"], 1),
    ("openssl/", None, 1),
    ("linux/kvm.h", ["node/hv", "node/vm/sandbox_rules.c"], None),
    ("liburing.h", ["csv"], 1),
    ("libmnl/", ["node/host"], 1),
    ("rfb/", ["node/vm"], 1),
    ("yaml.h", ["node/deploy"], 1),
    ("png.h", ["node/vm"], 1),
    ("seccomp.h", ["node/vm"], 1),
    ("cmocka.h", [], 0),
]
# Each API of corosync is a library of its own; these two are its common vocabulary.
COROSYNC_PLACES = ["cluster"]
COROSYNC_COMMON = {"corosync/corotypes.h", "corosync/corodefs.h"}


def folder_of(path):
    """The entry of the tables that `path` belongs to, or None for tests, fuzzers and the like."""
    for part in PARTS:
        if path.startswith(part):
            return part
    folder = os.path.dirname(path)
    known = folder in ONLY or layer_of(folder) is not None
    return folder if known else None


def layer_of(folder):
    for i, layer in enumerate(LAYERS):
        if folder in layer:
            return i
    return None


def may_include(folder, other):
    if folder == other:
        return True
    if folder in ONLY:
        return other in ONLY[folder]
    if layer_of(other) is None:
        return False
    return layer_of(other) < layer_of(folder)


def is_public(header):
    folder = folder_of(header)
    if header in PRIVATE:
        return False
    names = PUBLIC.get(folder, [])
    return names is None or os.path.basename(header) in names


def check_own_include(path, header, headers):
    """A quoted include: the text of the violation, or None."""
    in_tests = path.startswith("tests/")
    if in_tests and os.path.join(os.path.dirname(path), header) in headers:
        return None
    if header not in headers:
        return f'"{header}" is not in the tree; paths start at its top'
    folder, other = folder_of(path), folder_of(header)
    if in_tests or folder is None:
        return None
    if header.startswith("tests/"):
        return f"{folder} includes a header of the tests"
    if not may_include(folder, other):
        return f"{folder} must not include {other}: {header}"
    if folder != other and os.path.dirname(path) != os.path.dirname(header) and \
            not is_public(header):
        return f"{header} is internal to {other}"
    return None


def library_of(header):
    """(what is counted together, places, limit) of a system include, or None."""
    if header.startswith("corosync/"):
        return None if header in COROSYNC_COMMON else (header, COROSYNC_PLACES, 1)
    for prefix, places, limit in LIBRARIES:
        if header.startswith(prefix):
            return prefix, places, limit
    return None


def check_system_include(path, header, users):
    if folder_of(path) in FREESTANDING_FOLDERS and header not in FREESTANDING_HEADERS:
        return f"{folder_of(path)} is freestanding: <{header}>"
    library = library_of(header)
    if library is None or path.startswith("tests/"):
        return None
    name, places, limit = library
    folder = os.path.dirname(path)
    if places is not None and path not in places and folder not in places:
        return f"<{header}> belongs to {' or '.join(places) or 'the tests'}"
    files = users.setdefault((name, folder if places is None else None), set())
    files.add(path)
    if limit is not None and len(files) > limit:
        return f"<{header}> is already included from {', '.join(sorted(files - {path}))}"
    return None


def check_file(root, path, headers, users):
    violations = []
    own = path[:-2] + ".h" if path.endswith(".c") else None
    first = True
    for number, line in enumerate(read_lines(root, path), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, system = match.groups()
        beside = path.startswith("tests/") and quoted == os.path.basename(own or "")
        if first and own in headers and quoted != own and not beside:
            violations.append((path, number, f'the first include must be "{own}"'))
        first = False
        if quoted:
            text = check_own_include(path, quoted, headers)
        else:
            text = check_system_include(path, system, users)
        if text:
            violations.append((path, number, text))
    return violations


def check_tree(root):
    paths = source_files(root, (".c", ".h", ".S"))
    headers = {p for p in paths if p.endswith(".h")}
    users = {}
    return [v for path in paths for v in check_file(root, path, headers, users)]


# (path, text, the number of the line that must be refused or None)
SELF_TEST_FILES = [
    ("base/err.h", "", None),
    ("base/json.h", '#include "base/err.h"\n', None),
    ("base/json.c", '#include "base/json.h"\n#include <jansson.h>\n', None),
    ("base/chan_wire.h", "", None),
    ("base/up.c", '\n#include "vmbus/vmbus.h"\n', 2),
    ("base/late.h", "", None),
    ("base/late.c", '#include <errno.h>\n#include "base/late.h"\n', 1),
    ("base/more_json.c", "#include <jansson.h>\n", 1),
    ("base/missing.c", '#include "err.h"\n', 1),
    ("base/test.c", '#include "tests/unit/base/rig.h"\n', 1),
    ("base/mock.c", "#include <cmocka.h>\n", 1),
    ("vmbus/proto/wire.h", "#include <stdint.h>\n", None),
    ("vmbus/proto/libc.h", "#include <string.h>\n", 1),
    ("vmbus/proto/base.h", '#include "base/err.h"\n', 1),
    ("vmbus/guest/boot.h", '#include "vmbus/proto/wire.h"\n', None),
    ("vmbus/guest/host.h", '#include "vmbus/vmbus.h"\n', 1),
    ("vmbus/guest/low.h", '  #  include "base/err.h"\n', 1),
    ("vmbus/vmbus.h", '#include "base/err.h"\n#include "vmbus/proto/wire.h"\n', None),
    ("vmbus/ctl.h", "", None),
    ("vmbus/peer.c", '#include "fabric/client.h"\n', 1),
    ("vmbus/wire.c", '#include "base/chan_wire.h"\n', 1),
    ("vmbus/guesting.c", '#include "vmbus/guest/boot.h"\n', 1),
    ("vmbus/kvm.c", "#include <linux/kvm.h>\n", 1),
    ("fabric/client.h", "", None),
    ("fabric/hash.c", "#include <openssl/evp.h>\n#include <openssl/rand.h>\n", None),
    ("fabric/hash2.c", "#include <openssl/evp.h>\n", 1),
    ("migrate/hash.c", "#include <openssl/evp.h>\n", None),
    ("migrate/pack.c", "#include <lz4.h>\n#include <lz4hc.h>\n", None),
    ("migrate/unpack.c", "#include <lz4.h>\n", 1),
    ("node/hv/partition.h", '#include "vmbus/proto/wire.h"\n', None),
    ("node/hv/a.c", "#include <linux/kvm.h>\n", None),
    ("node/hv/b.c", "#include <linux/kvm.h>\n", None),
    ("node/host/nic.h", '#include "base/json.h"\n', None),
    ("node/host/rtnl.c", "#include <libmnl/libmnl.h>\n", None),
    ("node/host/rtnl2.c", "#include <libmnl/libmnl.h>\n", 1),
    ("node/host/hv.c", '#include "node/hv/partition.h"\n', 1),
    ("cluster/cluster.h", '#include "fabric/client.h"\n', None),
    ("cluster/cpg.c", "#include <corosync/corotypes.h>\n#include <corosync/cpg.h>\n", None),
    ("cluster/cpg2.c", "#include <corosync/cpg.h>\n", 1),
    ("cluster/quorum.c", "#include <corosync/corotypes.h>\n#include <corosync/quorum.h>\n", None),
    ("csv/csv.h", "", None),
    ("csv/volume.c", '#include "cluster/cluster.h"\n', 1),
    ("csv/csvd_main.c", '#include "cluster/cluster.h"\n#include "csv/csv.h"\n', None),
    ("node/svc/svc.h", '#include "cluster/cluster.h"\n#include "csv/csv.h"\n', None),
    ("node/svc/quorum.c", "#include <corosync/quorum.h>\n", 1),
    ("node/svc/vm.c", '#include "node/vm/vm.h"\n', 1),
    ("node/vm/vm.h", '#include "node/hv/partition.h"\n', None),
    ("node/vm/vm.c", '#include "node/vm/vm.h"\n#include "vmbus/ctl.h"\n', 2),
    ("node/ctl/main.c", '#include "base/json.h"\n', None),
    ("tests/unit/base/rig.h", "#include <cmocka.h>\n", None),
    ("tests/unit/base/test.c", '#include "rig.h"\n#include "vmbus/ctl.h"\n#include <lz4.h>\n',
     None),
    ("tests/unit/base/rig.c", '#include "rig.h"\n', None),
    ("tests/unit/base/lost.c", '#include "lost.h"\n', 1),
]


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for path, text, _ in SELF_TEST_FILES:
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
        found = {(path, number) for path, number, _ in check_tree(root)}
    expected = {(path, number) for path, _, number in SELF_TEST_FILES if number}
    for path, number in sorted(expected - found):
        print(f"{path}:{number}: was not refused")
    for path, number in sorted(found - expected):
        print(f"{path}:{number}: was refused")
    return found == expected


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    parser.add_argument("--self-test", action="store_true", help="check known bad input")
    arguments = parser.parse_args()
    if arguments.self_test:
        return 0 if self_test() else 1
    violations = check_tree(arguments.root)
    for path, number, text in violations:
        print(f"{path}:{number}: {text}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
