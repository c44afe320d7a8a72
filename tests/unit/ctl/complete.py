#!/usr/bin/env python3
"""What the command line offers where the cursor is, through the shells' own scripts, too; and its manual page.

complete.py VIADUCT: the program."""
import itertools
import os
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
SCRIPTS = os.path.join(ROOT, "deploy", "completion")
VIADUCT = None
# No service of this name runs here.
ENVIRONMENT = dict(os.environ, VIADUCT_IPC_NAME="viaduct-test-of-completion")


def run(*words, **options):
    return subprocess.run(words, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                          **options)


def complete(*words):
    done = run(VIADUCT, "complete", *words)
    assert done.returncode == 0 and not done.stderr, done
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


class Completion(unittest.TestCase):
    def test_words(self):
        self.assertIn("vm", complete(""))
        self.assertNotIn("Get-VM", complete(""))
        self.assertEqual(len(complete("")), len(set(complete(""))))
        self.assertEqual(complete("v"), ["vm", "volume"])
        self.assertEqual(complete("vm", "n"), ["nic"])
        self.assertEqual(complete("vm", "nic", "acl", ""), ["list", "add", "remove"])
        self.assertEqual(complete("nothing", ""), [])

    def test_options(self):
        options = complete("vm", "create", "X", "--")
        self.assertTrue({"--kernel", "--memory", "--json", "--help"} <= set(options))
        self.assertEqual(complete("vm", "create", "X", "--ker"), ["--kernel"])
        self.assertEqual(complete("vm", "create", "X", "--kernel", ""), [":files"])
        self.assertEqual(complete("vm", "nic", "set", "VM1", "0", "--lso", "o"), ["on", "off"])
        # A value that looks like nothing in particular.
        self.assertEqual(complete("vm", "nic", "set", "VM1", "0", "--vlan", ""), [])

    def test_names_without_service(self):
        self.assertEqual(complete("vm", "start", ""), [])
        self.assertEqual(complete("live-migrate", "VM1", ""), [])

    def test_other_names(self):
        self.assertEqual(complete("Get-VMS"), ["Get-VMSwitch"])
        self.assertEqual(complete("Get-VMSwitch", "-"), ["-ComputerName"])

    def test_every_command_can_be_typed(self):
        for line in run(VIADUCT, "--help").stdout.splitlines():
            # Commands stand behind two blanks; so do the other names, in one line.
            if not line.startswith("  ") or line[2].isupper():
                continue
            words = line.split("  ")[1].split()
            typed = list(itertools.takewhile(lambda word: not word.isupper() and not word.startswith("["), words))
            for n in range(len(typed)):
                self.assertIn(typed[n], complete(*typed[:n], typed[n][:1]), line)

    def bash(self, *words):
        text = (f"source {SCRIPTS}/viaduct.bash; COMP_WORDS=({' '.join(words)} ''); COMP_CWORD={len(words)}; "
                "_viaduct; printf '%s\\n' \"${COMPREPLY[@]}\"")
        return run("bash", "-c", text, cwd=SCRIPTS).stdout.split()

    def test_bash(self):
        self.assertEqual(self.bash(VIADUCT, "vm", "nic", "acl"), ["list", "add", "remove"])
        self.assertEqual(sorted(self.bash(VIADUCT, "vm", "create", "X", "--kernel")), ["_viaduct", "viaduct.bash"])

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh(self):
        with open(os.path.join(SCRIPTS, "_viaduct")) as script:
            text = (f"_describe() {{ print -l ${{(P)4}} }}; _files() {{ print FILES }}; CURRENT=5; "
                    f"words=({VIADUCT} vm nic acl ''); () {{ {script.read()} }}")
        self.assertEqual(run("zsh", "-f", "-c", text).stdout.splitlines(),
                         ["list:an adapter's access list, with counters", "add:add a rule; also while the VM runs",
                          "remove:remove a rule, by its number in the list"])
        self.assertEqual(run("zsh", "-f", "-c", text.replace("nic acl ''", "create --kernel ''")).stdout, "FILES\n")

    def test_manual(self):
        page = run(VIADUCT, "manual").stdout
        drawn = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-P-cbou"], input=page, capture_output=True, text=True,
                               timeout=20)
        self.assertEqual((drawn.returncode, drawn.stderr), (0, ""))
        for text in ("viaduct live-migrate VM NODE", "--no-compress", "EXIT STATUS", "Move-ClusterVirtualMachineRole"):
            self.assertIn(text, drawn.stdout)


if __name__ == "__main__":
    VIADUCT = os.path.realpath(sys.argv.pop())
    unittest.main()
