#!/usr/bin/env python3
"""Debian packages as an administrator meets them, on two machines with systemd: installed, a cluster is made and joined,
the service is killed, machines boot, packages are upgraded, removed and purged. VMs are puppets (vm_puppet.c).

Where systemd cannot run in namespaces, all of it goes on in the QEMU machine (deploy/machine)."""
import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.namespaces import SLOW, cable, wait_for  # noqa: E402
from lablib.systemd import CannotBoot, SystemdMachine  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, skip  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_PACKAGES_LAB", "/var/lib/viaduct-test-packages")
BUILD = os.path.dirname(bin_directory())
SERVICE = "viaductd.service"
VMHOST = "/usr/libexec/viaduct/viaduct-vmhost"
CLUSTER = """cluster:
  name: packages

networks:
  - {name: Cluster, subnet: 10.77.0.0/24, link: 0}

nodes:
  - {name: alpha, id: 1, addresses: {Cluster: 10.77.0.1}}
"""
# What a package has besides its folders; every file of docs/ goes into the command line's.
FILES = {
    "viaduct-node": {
        "etc/default/viaductd": 0o644, "etc/logrotate.d/viaductd": 0o644,
        "usr/lib/systemd/system/viaductd.service": 0o644, "usr/lib/sysusers.d/viaduct.conf": 0o644,
        "usr/libexec/viaduct/viaduct-vmhost": 0o755, "usr/libexec/viaduct/viaduct-vswitchd": 0o755,
        "usr/sbin/viaductd": 0o755, "usr/share/man/man8/viaductd.8.gz": 0o644,
        "usr/share/doc/viaduct-node/changelog.gz": 0o644, "usr/share/doc/viaduct-node/copyright": 0o644,
    },
    "viaduct-cli": {
        "usr/bin/viaduct": 0o755, "usr/share/man/man1/viaduct.1.gz": 0o644,
        "usr/share/bash-completion/completions/viaduct": 0o644,
        "usr/share/zsh/vendor-completions/_viaduct": 0o644,
        "usr/share/doc/viaduct-cli/changelog.gz": 0o644, "usr/share/doc/viaduct-cli/copyright": 0o644,
        "usr/share/doc/viaduct-cli/examples/departments.yaml": 0o644,
        **{f"usr/share/doc/viaduct-cli/docs/{os.path.basename(path)}": 0o644
           for path in glob.glob(os.path.join(ROOT, "docs", "*.md"))},
    },
}


def run(*words, **kwargs):
    done = subprocess.run(list(map(str, words)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120 * SLOW, **kwargs)
    check(done.returncode == 0, f"{words}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Node:
    def __init__(self, env, name, number):
        self.env, self.name, self.address = env, name, f"10.77.0.{number}"
        self.folder = os.path.join(DIRECTORY, name)
        self.machine = None

    def boot(self):
        self.machine = SystemdMachine.boot(self.name, self.folder)

    def run(self, *words, code=0, timeout=60):
        done = self.machine.run(*words, check=False, timeout=timeout)
        check(done.returncode == code, f"{self.name}: {words}: exit {done.returncode}, not {code}:\n"
                                       f"{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def shell(self, script, **kwargs):
        return self.run("bash", "-c", script, **kwargs)

    def viaduct(self, *words, code=0):
        return self.run("viaduct", *words, code=code)

    def ask(self, *words):
        return json.loads(self.machine.run("viaduct", *words, "--json").stdout)

    def property(self, name, unit=SERVICE):
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def pid(self):
        return int(self.property("MainPID"))

    def processes(self, unit=SERVICE):
        """{pid there: program} of all that is in the service's group."""
        script = 'for p in $(cat /sys/fs/cgroup/system.slice/"$0"/cgroup.procs 2>/dev/null); do ' \
                 'echo $p $(readlink /proc/$p/exe); done'
        lines = self.run("bash", "-c", script, unit).splitlines()
        return {int(line.split()[0]): line.split(" ", 1)[1] for line in lines if " " in line}

    def vm_processes(self):
        return sorted(pid for pid, exe in self.processes().items() if exe.startswith(VMHOST))

    def is_member(self):
        done = self.machine.run("viaduct", "cluster", "status", "--json", check=False)
        if done.returncode:
            return False
        status = json.loads(done.stdout)
        return status["quorate"] and status["synced"] and \
            all(n["state"] == "Up" for n in status["nodes"] if n["name"] == self.name)

    def wait_member(self, what):
        wait_for(self.is_member, 60, f"{self.name}: {what}")

    def install(self, *packages):
        return self.run("apt-get", "-y", "-q", "install", "--no-install-recommends", "--allow-downgrades",
                        "--reinstall", *[f"/srv/packages/{p}" for p in packages], timeout=240)


class Env:
    def __init__(self):
        need_namespaces()
        self.nodes, self.packages = [], os.path.join(DIRECTORY, "packages")
        unmount()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        os.makedirs(DIRECTORY)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "viaduct-packages", DIRECTORY)
        os.makedirs(self.packages)
        run("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", os.path.join(DIRECTORY, "cpack"))
        self.debs = {}
        for path in glob.glob(os.path.join(DIRECTORY, "cpack", "*.deb")):
            name = run("dpkg-deb", "-f", path, "Package").strip()
            shutil.copy(path, self.packages)
            self.debs[name] = os.path.basename(path)
        shutil.rmtree(os.path.join(DIRECTORY, "cpack"))
        self.version = run("dpkg-deb", "-f", self.path("viaduct-node"), "Version").strip()
        self.newer = {name: self.newer_package(name) for name in self.debs}
        self.alpha, self.beta = Node(self, "alpha", 1), Node(self, "beta", 2)
        self.nodes = [self.alpha, self.beta]
        self.boot()
        for node in self.nodes:
            self.as_new(node)

    def path(self, name):
        return os.path.join(self.packages, self.debs[name])

    def newer_package(self, name):
        """The same with a later version and a later default file."""
        tree = os.path.join(DIRECTORY, "tree")
        run("dpkg-deb", "-R", self.path(name), tree)
        control = os.path.join(tree, "DEBIAN", "control")
        with open(control) as f:
            text = f.read().replace(f"Version: {self.version}", f"Version: {self.version}+1").replace(
                f"viaduct-cli (= {self.version})", f"viaduct-cli (= {self.version}+1)")
        with open(control, "w") as f:
            f.write(text)
        if name == "viaduct-node":
            with open(os.path.join(tree, "etc/default/viaductd"), "a") as f:
                f.write("# of a later version\n")
        run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, self.packages)
        shutil.rmtree(tree)
        return os.path.basename(glob.glob(os.path.join(self.packages, f"{name}_{self.version}+1_*.deb"))[0])

    def boot(self):
        for node in self.nodes:
            if not (node.machine and node.machine.is_alive()):
                node.boot()
        cable(self.alpha.machine, "clu0", self.beta.machine, "clu0")
        for node in self.nodes:
            node.run("ip", "addr", "add", f"{node.address}/24", "dev", "clu0")

    def as_new(self, node):
        """What a machine has on which Debian's corosync was just installed."""
        node.shell("dpkg --purge viaduct-node viaduct-cli; rm -rf /var/lib/viaduct /var/log/viaduct /etc/corosync/*.bak*"
                   " /etc/corosync/authkey; mkdir -p /srv/packages /var/log/corosync /var/lib/corosync")
        # Nothing of these runs here, so the folder can be shown there by a copy.
        for deb in os.listdir(self.packages):
            with open(os.path.join(self.packages, deb), "rb") as f:
                done = subprocess.run(node.machine.command("sh", "-c", f"cat >/srv/packages/{deb}"), stdin=f,
                                      timeout=60 * SLOW)
                check(done.returncode == 0, f"{deb} cannot be copied")
        check("cluster_name: debian" in node.run("cat", "/etc/corosync/corosync.conf"),
              "corosync.conf of this machine is not the one of its package")
        node.run("systemctl", "enable", "--now", "corosync")

    def down(self):
        for node in self.nodes:
            if node.machine:
                node.machine.stop()
        unmount()
        shutil.rmtree(DIRECTORY, ignore_errors=True)


def unmount():
    subprocess.run(["umount", "-l", DIRECTORY], capture_output=True, timeout=60)


def setup():
    if not shutil.which("cpack") or not os.path.exists(os.path.join(BUILD, "CPackConfig.cmake")):
        skip("there is no build with packages")
    if os.environ.get("VIADUCT_MACHINE", "0") != "0" and os.environ.get("VIADUCT_MACHINE_INSIDE", "0") == "0":
        go_to_machine("VIADUCT_MACHINE is set")
    env = Env.__new__(Env)
    try:
        env.__init__()
    except BaseException as e:
        if hasattr(env, "nodes"):
            env.down()
        if isinstance(e, CannotBoot):
            go_to_machine(e)
        raise
    return env


def go_to_machine(reason):
    if os.environ.get("VIADUCT_MACHINE_INSIDE", "0") != "0":
        skip(str(reason))
    print(f"packages: {reason}: running inside a QEMU machine", file=sys.stderr, flush=True)
    os.execv(os.path.join(ROOT, "deploy", "machine", "run"),
             ["run", sys.executable, os.path.realpath(__file__), *sys.argv[1:]])


def teardown(env):
    env.down()


def test_packages_have_what_is_meant(env):
    check(sorted(env.debs) == sorted(FILES), f"{env.debs}")
    for name, wanted in FILES.items():
        tree = os.path.join(DIRECTORY, "look")
        run("dpkg-deb", "-x", env.path(name), tree)
        found = {}
        for folder, folders, files in os.walk(tree):
            for entry in files:
                path = os.path.join(folder, entry)
                found[os.path.relpath(path, tree)] = os.lstat(path).st_mode & 0o7777
            for entry in folders:
                check(os.lstat(os.path.join(folder, entry)).st_mode & 0o7777 == 0o755, f"{folder}/{entry}")
        check(found == wanted, f"{name}: {sorted(set(found.items()) ^ set(wanted.items()))}")
        owners = {line.split()[1] for line in run("dpkg-deb", "-c", env.path(name)).splitlines()}
        check(owners == {"root/root"}, f"{owners}")
        for path in filter(lambda p: wanted[p] == 0o755, wanted):
            check("not stripped" not in run("file", os.path.join(tree, path)), f"{path} has its symbols")
        shutil.rmtree(tree)
    needs = run("dpkg-deb", "-f", env.path("viaduct-node"), "Depends")
    for need in ("corosync (>=", f"viaduct-cli (= {env.version})", "libc6 (>=", "libqb", "libzmq5"):
        check(need in needs, f"{need} is not in {needs}")


def test_manual_names_all_options(env):
    words = run(os.path.join(bin_directory(), "viaductd"), "--help")
    with gzip.open(os.path.join(BUILD, "packaging", "viaductd.8.gz"), "rt") as f:
        manual = f.read().replace("\\-", "-")
    for option in re.findall(r"^  (--[a-z-]+)", words, re.MULTILINE):
        check(f"{option} " in manual.replace('"', " ") or f"{option}\n" in manual, f"{option} is not in viaductd(8)")


def test_install(env):
    for node in env.nodes:
        said = node.install(*env.debs.values())
        check("in no cluster of viaduct yet" in said and "install.md" in said, f"no word of what to do:\n{said}")
        check(node.run("systemctl", "is-active", SERVICE).strip() == "active", "it was not started")
        check(node.run("systemctl", "is-enabled", SERVICE).strip() == "enabled", "it is not enabled")
        # The example that Debian's corosync runs with is no cluster to be in.
        check("no node of a cluster yet" in node.viaduct("cluster", "status"), node.viaduct("cluster", "status"))
        wait_for(lambda: "example" in node.property("StatusText"), 20, "the word in systemctl status")
        check("no node of a cluster yet" in node.viaduct("switch", "create", "S", "--type", "private", code=5), "no why")
    check(env.alpha.run("systemd-analyze", "verify", "/usr/lib/systemd/system/viaductd.service") == "", "its unit")
    check(sorted(env.alpha.processes().values()) == ["/usr/libexec/viaduct/viaduct-vswitchd", "/usr/sbin/viaductd"],
          f"{env.alpha.processes()}")
    modes = env.alpha.run("stat", "-c", "%a %U", "/var/lib/viaduct", "/var/log/viaduct").split()
    check(modes == ["750", "root", "750", "root"], f"{modes}")


def children(node):
    """{program: (user, OOM score)} of what viaductd has started."""
    found = {}
    for pid, exe in node.processes().items():
        user, score = node.shell(f"stat -c %U /proc/{pid}; cat /proc/{pid}/oom_score_adj").split()
        found[os.path.basename(exe)] = (user, int(score))
    return found


def test_privileges(env):
    # A machine without CAP_SYS_RESOURCE, which containers often are, leaves everything at 0.
    mask = int(re.search(r"CapBnd:\s*(\S+)", env.alpha.run("cat", "/proc/1/status"))[1], 16)
    found = children(env.alpha)
    check(found == {"viaductd": ("root", -800 if mask & 1 << 24 else 0), "viaduct-vswitchd": ("viaduct", 0)},
          f"{found}")
    for group in ("viaduct-read", "viaduct-operate", "viaduct-admin"):
        env.alpha.run("getent", "group", group)


def test_manual_and_completions(env):
    node = env.alpha
    check(node.run("man", "-w", "viaduct").strip() == "/usr/share/man/man1/viaduct.1.gz", "viaduct(1)")
    check("live-migrate" in node.run("man", "viaduct") and "--lease" in node.run("man", "viaductd"), "manual pages")
    said = node.shell("source /usr/share/bash-completion/completions/viaduct; COMP_WORDS=(viaduct cluster sta); "
                      "COMP_CWORD=2; _viaduct; echo ${COMPREPLY[@]}")
    check(said.split() == ["status"], f"bash: {said}")
    said = node.run("zsh", "-fc", "autoload -Uz compinit; compinit -u; print $_comps[viaduct]; whence -v _viaduct")
    check(said.startswith("_viaduct\n"), f"zsh: {said}")


def test_first_node(env):
    node = env.alpha
    node.run("bash", "-c", 'printf %s "$0" >/root/cluster.yaml', CLUSTER)
    said = node.viaduct("cluster", "config", "/root/cluster.yaml", "--node", "alpha", "--new-key")
    check("corosync.conf.bak-1" in said and "systemctl restart corosync" in said, f"no copy of the example: {said}")
    node.run("systemctl", "restart", "corosync")
    node.wait_member("its own cluster")
    nodes = node.ask("node", "list")["nodes"]
    check([(n["name"], n["state"]) for n in nodes] == [("alpha", "up")], f"{nodes}")
    wait_for(lambda: node.property("StatusText") == "Node alpha, in its cluster", 20, "the word in systemctl status")
    check("debian" not in node.viaduct("cluster", "status") and node.ask("cluster", "status")["store_keys"] > 0,
          "something of the example is left")


def test_second_node_joins(env):
    said = env.alpha.viaduct("node", "invite", "beta", "--address", "10.77.0.2")
    token = re.search(r"viaduct-join-\S+", said)[0]
    said = env.beta.viaduct("node", "join", "--token", token)
    check("corosync is being started" in said, f"{said}")
    env.beta.wait_member("the cluster it has joined")
    wait_for(lambda: [n["state"] for n in env.alpha.ask("node", "list")["nodes"]] == ["up", "up"], 30, "both are up")


def test_journal(env):
    lines = env.alpha.run("journalctl", "-u", SERVICE, "-b", "--no-pager", "-o", "cat").splitlines()
    check("node alpha (1) takes requests on 10.77.0.1" in lines, f"{lines[-20:]}")
    # Levels are the journal's as well. While the second node was invited and did not run yet, one vote was not enough.
    errors = env.alpha.run("journalctl", "-u", SERVICE, "-b", "--no-pager", "-o", "cat", "-q", "-p", "err").splitlines()
    check([e for e in errors if "(quorum.lost)" not in e] == [], f"{errors}")
    check("node alpha (1) takes requests on 10.77.0.1" not in env.alpha.run(
        "journalctl", "-u", SERVICE, "-b", "--no-pager", "-o", "cat", "-q", "-p", "warning"), "all is a warning")


def test_a_killed_service_is_back(env):
    node = env.beta
    before = node.pid()
    node.run("systemctl", "kill", "--kill-who=main", "-s", "KILL", SERVICE)
    wait_for(lambda: node.pid() not in (0, before) and node.property("ActiveState") == "active", 20, "it is back")
    check(node.property("NRestarts") == "1", "systemd did not count it")
    node.wait_member("back in the cluster")


def use_puppets(node):
    """Before it is started: VMs are puppets, which need nothing in KVM's place but a file."""
    puppet = os.path.join(BUILD, "puppet", "viaduct-vmhost")
    node.run("systemctl", "stop", SERVICE)
    with open(puppet, "rb") as f:
        done = subprocess.run(node.machine.command("sh", "-c", f"cat >{VMHOST}.new && chmod 755 {VMHOST}.new && "
                                                               f"mv {VMHOST}.new {VMHOST} && touch -a /dev/kvm"),
                              stdin=f, timeout=60 * SLOW)
    check(done.returncode == 0, "no puppets")
    node.run("systemctl", "start", SERVICE)
    node.wait_member("with puppets")


def test_a_vm_runs(env):
    node = env.alpha
    use_puppets(node)
    node.run("touch", "/root/kernel")
    for vm in ("VM1", "VM2"):
        node.viaduct("vm", "create", vm, "--kernel", "/root/kernel", "--memory", "64M", "--no-video")
    node.viaduct("vm", "start", "VM1")
    check(len(node.vm_processes()) == 1, f"{node.processes()}")
    check(children(node)["viaduct-vmhost"] == ("viaduct", 0), f"{children(node)}")


def test_upgrade_ends_nothing(env):
    node = env.alpha
    node.shell("echo 'VIADUCTD_OPTIONS=\"--vm-memory 3000\"' >>/etc/default/viaductd")
    service, vms, switch = node.pid(), node.vm_processes(), node.processes()
    said = node.run("apt-get", "-y", "-q", "-o", "Dpkg::Options::=--force-confold", "install",
                    *[f"/srv/packages/{deb}" for deb in env.newer.values()], timeout=240)
    check("viaductd was not restarted" in said and "viaduct node drain alpha" in said, f"no word of it:\n{said}")
    check(node.pid() == service and node.vm_processes() == vms, "something was restarted")
    check(sorted(node.processes()) == sorted(switch), "the switch is another one")
    check("--vm-memory 3000" in node.run("cat", "/etc/default/viaductd"), "its configuration is gone")
    # It goes on with the programs that it was started with: the puppet, which the package has replaced.
    node.viaduct("vm", "start", "VM2")
    check(all(exe.endswith("(deleted)") for exe in node.processes().values()), f"{node.processes()}")
    check(len(node.vm_processes()) == 2, f"{node.processes()}")
    node.viaduct("vm", "stop", "VM2")


def test_remove_is_refused_while_vms_run(env):
    said = env.alpha.run("dpkg", "-r", "viaduct-node", code=1)
    check("VMs of this node (1) run and would end" in said and "viaduct node drain alpha" in said, f"no reason:\n{said}")
    check(len(env.alpha.vm_processes()) == 1 and env.alpha.run("dpkg-query", "-W", "-f", "${db:Status-Status}",
                                                               "viaduct-node") == "installed", "it went on")


def test_stop_ends_everything(env):
    node = env.alpha
    node.run("systemctl", "stop", SERVICE)
    check(node.processes() == {}, f"{node.processes()}")
    check(node.shell("pgrep -af '[v]iaduct'; true") == "", "something is left")
    check(node.property("ActiveState") == "inactive" and node.property("Result") == "success",
          f"{node.property('ActiveState')} {node.property('Result')}")
    said = node.run("journalctl", "-u", SERVICE, "--no-pager", "-o", "cat")
    check("asked to end" in said, said[-1000:])
    node.run("systemctl", "start", SERVICE)
    node.wait_member("after a stop")
    check(all("(deleted)" not in exe for exe in node.processes().values()), f"{node.processes()}")
    check([vm["name"] for vm in node.ask("vm", "list")["vms"]] == ["VM1", "VM2"], "the store has lost VMs")
    memory = node.ask("node", "show", "alpha")
    check("3145728000" in json.dumps(memory), f"options do not count: {memory}")


def test_boot(env):
    for node in env.nodes:
        node.machine.stop()
    env.boot()
    for node in env.nodes:
        node.wait_member("after its boot")
        check(node.run("systemctl", "is-system-running", code=0).strip() == "running",
              node.run("systemctl", "--failed", "--no-pager"))


def test_reinstall_of_what_does_not_run(env):
    node = env.beta
    node.run("systemctl", "disable", "--now", SERVICE)
    node.run("dpkg", "-i", *[f"/srv/packages/{deb}" for deb in env.newer.values()], timeout=240)
    check(node.run("systemctl", "is-enabled", SERVICE, code=1).strip() == "disabled", "it was enabled again")
    node.run("systemctl", "enable", "--now", SERVICE)
    node.wait_member("enabled again")


def left_behind(node):
    """Files of ours that were written since the machine is new. Deleted ones of the layer below are no files."""
    return node.shell("find /run/upper -iname '*viaduct*' ! -type c ! -path '/run/upper/srv/*' | sort").splitlines()


def test_remove_and_purge(env):
    node = env.beta
    node.run("dpkg", "-r", "viaduct-node", timeout=240)
    check(node.shell("pgrep -af '[v]iaduct'; true") == "", "it still runs")
    check(node.run("systemctl", "is-active", "corosync").strip() == "active", "corosync is gone, too")
    node.run("test", "-e", "/var/lib/viaduct/store.sqlite")
    node.run("test", "-e", "/etc/default/viaductd")
    check(node.run("systemctl", "show", "--value", "-p", "LoadState", SERVICE).strip() in ("not-found", "masked"),
          "the unit is there")
    # Installed again it is where it was.
    node.install(*env.newer.values())
    node.wait_member("installed again")
    node.run("dpkg", "--purge", "viaduct-node", "viaduct-cli", timeout=240)
    check(left_behind(node) == [], f"{left_behind(node)}")
    check(node.shell("grep -rl viaduct /run/upper/var/lib/systemd /run/upper/etc/systemd 2>/dev/null; true") == "",
          "systemd remembers it")
    check(node.run("systemctl", "is-system-running").strip() == "running", node.run("systemctl", "--failed"))


if __name__ == "__main__":
    main(setup, teardown)
