"""What deploy/quickstart does once everything is built: the departments scenario, told as it goes."""
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
from lablib.departments import DIRTY_MIB, DIRTY_RATE, Departments, Failed, settle  # noqa: E402
from lablib.lab import DEFAULT_DIRECTORY, lock  # noqa: E402

NETWORK_LIMIT = 0.05  # of the pages' bytes may be seen on another network: heartbeat and control


class Story:
    def __init__(self):
        self.begin = time.monotonic()
        self.errors = []

    def say(self, text):
        print(f"[{time.monotonic() - self.begin:5.1f} s] {text}", flush=True)

    def check(self, text, errors):
        self.say(("ok    " if not errors else "WRONG ") + text)
        for error in errors[:10]:
            print(f"              {error}", flush=True)
        self.errors += errors


def show(scenario, *words):
    print("\n$ viaduct " + " ".join(words))
    print(scenario.lab.first().viaduct(*words).stdout, flush=True)


def measure(story, scenario, title):
    matrix = scenario.measure_matrix()
    story.say(f"isolation matrix {title}, measured with pings from everybody to everybody:\n")
    print(scenario.matrix_text(matrix) + "\n")
    story.check("every VM reaches its own department and its server, and nobody else",
                scenario.matrix_errors(matrix))


def check_path(story, report):
    sent = report["sent_bytes"]
    others = {n["name"]: n["tx_bytes"] for n in report["networks"] if n["name"] != report["network"]["name"]}
    here = next(n["tx_bytes"] for n in report["networks"] if n["name"] == report["network"]["name"])
    errors = [] if report["network"]["name"] == "Migration" else [f"it took {report['network']['name']}"]
    if here < sent:
        errors.append(f"the migration network carried {here} bytes, the report says {sent}")
    errors += [f"{name} carried {n} bytes meanwhile" for name, n in others.items() if n > NETWORK_LIMIT * sent]
    listed = ", ".join(f"{name} {n}" for name, n in others.items())
    story.check(f"the migration network carried the pages ({here} bytes for {sent} sent), the others did not "
                f"({listed})", errors)


def move(story, scenario):
    capture = scenario.capture("move")
    finish = scenario.converse("Server1", "VM1")
    story.say(f"Server1 talks to VM1 over TCP, VM1 dirties {DIRTY_RATE} pages/s of {DIRTY_MIB} MiB; moving VM1 "
              "to host2\n")
    settle(1)
    print("$ viaduct live-migrate VM1 host2")
    done = scenario.lab.first().viaduct("live-migrate", "VM1", "host2", check=False)
    print(done.stdout + done.stderr, flush=True)
    if done.returncode:
        raise Failed(f"live-migrate: exit {done.returncode}")
    settle(1)
    talk = finish()
    frames = capture.stop()
    story.check(f"the TCP connection survived: {talk['sent']} bytes sent, {talk['received']} came back, all right; "
                f"longest silence {talk['longest_gap_ms']} ms", [] if talk["ok"] else [talk["error"]])
    pages, bad = scenario.verify_memory("VM1")
    story.check(f"VM1's memory on host2: {pages} pages verified, {bad} wrong", [f"{bad} wrong pages"] * (bad > 0))
    story.check("VM1's MAC was on the wire in one place at a time",
                scenario.check_one_place(frames, "VM1", "host1", "host2"))
    jobs = scenario.lab.first().ask("job", "list")["jobs"]
    check_path(story, jobs[-1]["report"])


def tell(story, scenario):
    story.say("starting two hosts and a witness")
    scenario.up(story.say)
    story.say("starting nine VMs")
    scenario.start_vms()
    show(scenario, "vm", "list")
    show(scenario, "cluster", "network", "list")
    capture = scenario.capture("before")
    measure(story, scenario, "before")
    scenario.make_private_noise()
    story.check("no frame of R&D on any wire, no VM's frame on a wire that is not its own (captured)",
                scenario.check_wires(capture.stop()))
    move(story, scenario)
    measure(story, scenario, "after the move")


def main():
    keep = "--keep" in sys.argv[1:]
    story = Story()
    try:
        held = lock(DEFAULT_DIRECTORY)  # noqa: F841
    except BlockingIOError:
        sys.exit(f"quickstart: somebody else works on the lab in {DEFAULT_DIRECTORY}")
    if os.path.exists(os.path.join(DEFAULT_DIRECTORY, "lab.json")):
        sys.exit("quickstart: there is a lab already; take it down first: deploy/lab down")
    bin_directory = os.environ.get("VIADUCT_BIN", os.path.join(ROOT, "build", "dev", "bin"))
    kernel = os.path.join(os.path.dirname(bin_directory), "guest", "probe.elf")
    scenario = Departments(DEFAULT_DIRECTORY, bin_directory, kernel)
    try:
        tell(story, scenario)
    except (Failed, RuntimeError, TimeoutError) as e:
        story.check("the scenario ran to its end", [str(e)])
    except KeyboardInterrupt:
        story.check("the scenario ran to its end", ["interrupted"])
    finally:
        if keep:
            story.say("the lab stays up. Look around:  deploy/lab exec host1 viaduct vm list\n"
                      "          Take it down:            deploy/lab down")
        else:
            scenario.down()
            story.say("everything taken down")
    if story.errors:
        sys.exit(f"quickstart: {len(story.errors)} things were not as they must be")
    story.say("all as it must be")


if __name__ == "__main__":
    main()
