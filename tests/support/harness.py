"""A small runner for system tests: each test is a function of the file, run in order, in one process.

    from tests.support.harness import main, check, skip

    def test_something(env): ...

    main(setup=..., teardown=...)

Arguments select tests by name. Exit status 77 means that the whole file was skipped, with its reason.
"""
import inspect
import os
import sys
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SKIPPED = 77


class Skip(Exception):
    pass


def skip(reason):
    raise Skip(reason)


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def with_lab(make):
    """make(), which sets its `lab`; if it fails, the lab it has brought up so far is taken down."""
    env = make.__new__(make)
    try:
        env.__init__()
    except BaseException as e:
        if hasattr(env, "lab"):
            env.lab.down()
        if isinstance(e, FileNotFoundError):
            skip(f"a program is missing: {e.filename}")
        raise
    return env


def bin_directory():
    return os.environ.get("VIADUCT_BIN", os.path.join(ROOT, "build", "dev", "bin"))


def kernel():
    return os.path.join(os.path.dirname(bin_directory()), "guest", "probe.elf")


def need_kvm():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as e:
        skip(f"/dev/kvm cannot be used: {e.strerror}")


def need_namespaces():
    sys.path.insert(0, os.path.join(ROOT, "deploy"))
    from lablib.namespaces import missing_ability
    reason = missing_ability()
    if reason:
        skip(f"namespaces cannot be used: {reason}")


def _run_one(name, function, arguments):
    begin = time.monotonic()
    try:
        function(*arguments)
        word, detail = "ok", ""
    except Skip as e:
        word, detail = "skip", f": {e}"
    except Exception:  # every failure of a test is shown the same way
        word, detail = "FAIL", "\n" + traceback.format_exc()
    print(f"{word:5} {name} ({time.monotonic() - begin:.1f} s){detail}", flush=True)
    return word


def main(setup=None, teardown=None):
    module = sys.modules["__main__"]
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and inspect.isfunction(f)]
    tests.sort(key=lambda t: t[1].__code__.co_firstlineno)
    if sys.argv[1:]:
        tests = [t for t in tests if t[0] in sys.argv[1:]]
    env, words = None, []
    try:
        if setup:
            env = setup()
    except Skip as e:
        print(f"skip  everything: {e}")
        sys.exit(SKIPPED)
    try:
        for name, function in tests:
            words.append(_run_one(name, function, [env] if inspect.signature(function).parameters else []))
    finally:
        if teardown:
            teardown(env)
    print(f"{words.count('ok')} passed, {words.count('FAIL')} failed, {words.count('skip')} skipped")
    sys.exit(1 if "FAIL" in words or not words else SKIPPED if set(words) == {"skip"} else 0)
