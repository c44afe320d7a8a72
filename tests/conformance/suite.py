"""One line for each property: "ok/FAIL/skip NAME: detail". Groups of properties share guests, because a boot
takes seconds."""
import contextlib
import faulthandler
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

from tests.support.harness import Skip, bin_directory, check
from tests.support.linux_guest import SLOW, GuestError, LinuxGuest, SilentError
from tests.support.vmhost import Switch

# No property and no group may take longer; ctest's own bound, which shows nothing, is above both.
PROPERTY_S = 120 + 45 * SLOW
GROUP_S = max(880, 110 * SLOW)
# For what cleans up after that.
CLEANUP_S = 120


class Late(BaseException):
    """A bound was hit. Not an Exception, so that nothing on the way takes it for a usual failure."""


class Property:
    """One of them while it is checked; `detail` is what its line says in the end."""

    def __init__(self):
        self.detail = ""


class Suite:
    def __init__(self):
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}
        self.begin = time.monotonic()
        self.group = ""
        self.directory = tempfile.mkdtemp(prefix="viaduct-conformance-")
        self.log = os.path.join(self.directory, "log")
        self.artifacts = os.environ.get("VIADUCT_ARTIFACTS")
        self.guests = []  # those that are to be looked at when something did not happen
        self.group_end = None
        signal.signal(signal.SIGALRM, self._on_alarm)

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def _line(self, word, name, detail):
        self.counts[word] += 1
        print(f"{word:5}{self.group}: {name}" + (f": {detail}" if detail else ""), flush=True)

    @staticmethod
    def _on_alarm(*_):
        signal.setitimer(signal.ITIMER_REAL, CLEANUP_S)
        raise Late("it took too long")

    def _bound(self, seconds=None):
        """Raise Late in so many seconds; at the latest, and without `seconds`, when the group's time is over."""
        left = max(self.group_end - time.monotonic(), 0.001)
        signal.setitimer(signal.ITIMER_REAL, min(seconds, left) if seconds else left)

    def _diagnose(self, error):
        """Once for each error that may be a hang, and was not looked at before."""
        if not isinstance(error, (GuestError, TimeoutError, Late)) or isinstance(error, SilentError):
            return
        if getattr(error, "shown", False):
            return
        error.shown = True
        signal.setitimer(signal.ITIMER_REAL, CLEANUP_S)
        traceback.print_exception(error, file=sys.stdout)
        for guest in self.guests:
            try:
                for piece in guest.diagnosis():
                    print(piece, flush=True)
            except Exception as e:  # of a guest that is broken anyhow
                print(f"{type(e).__name__}: {e}", flush=True)

    @contextlib.contextmanager
    def __call__(self, name, times=1):
        """`with suite("disks are there") as p:` checks one property; whatever is raised is its failure. `times`: so
        many times the usual patience."""
        p, begin = Property(), time.monotonic()
        self._bound(times * PROPERTY_S)
        try:
            yield p
        except Skip as e:
            self._line("skip", name, str(e))
        except (Exception, Late) as e:  # every failure is shown the same way
            where = traceback.extract_tb(e.__traceback__)[-1]
            self._line("FAIL", name, f"{type(e).__name__}: {e} [{os.path.basename(where.filename)}:{where.lineno}]")
            self._diagnose(e)
            if isinstance(e, Late):
                raise  # what hangs here would hang whatever comes next
        else:
            seconds = f"{time.monotonic() - begin:.1f} s"
            self._line("ok", name, f"{p.detail} ({seconds})" if p.detail else seconds)
        self._bound()

    @contextlib.contextmanager
    def guest(self, **boot):
        """A guest that has booted; its console is kept when something in it failed."""
        guest = LinuxGuest(bin_directory(), self.log)
        failed = self.counts["FAIL"]
        try:
            with self.look_at(guest):
                guest.boot(**boot)
                yield guest
        finally:
            if self.counts["FAIL"] > failed:
                self.keep("console.txt", guest.console().encode())
            guest.close()

    @contextlib.contextmanager
    def look_at(self, guest):
        """A guest whose diagnosis() tells more when something does not happen."""
        self.guests.append(guest)
        try:
            yield
        except BaseException as e:
            self._diagnose(e)
            raise
        finally:
            self.guests.remove(guest)

    @contextlib.contextmanager
    def switch(self):
        switch = Switch(bin_directory(), self.log)
        try:
            yield switch
        finally:
            switch.stop()

    def keep(self, name, data):
        """Leave a file behind where somebody asked for such (VIADUCT_ARTIFACTS)."""
        if not self.artifacts:
            return
        os.makedirs(self.artifacts, exist_ok=True)
        with open(os.path.join(self.artifacts, f"{self.group}-{name}"), "wb") as f:
            f.write(data)

    def run(self, name, function):
        self.group = name
        failed = self.counts["FAIL"]
        begin = time.monotonic()
        self.group_end = begin + GROUP_S
        self._bound()
        # Where nothing else helps: the stacks of this program, and its end.
        faulthandler.dump_traceback_later(GROUP_S + 2 * CLEANUP_S, exit=True)
        try:
            function(self)
        except Skip as e:
            self._line("skip", "the rest", str(e))
        except Exception:  # a guest that did not boot, or died
            self._line("FAIL", "the rest", "\n" + traceback.format_exc())
        except Late as e:  # in a property, which said so, or between two
            self._line("FAIL", "the rest", str(e) if hasattr(e, "shown") else "\n" + traceback.format_exc())
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        if self.counts["FAIL"] > failed and os.path.exists(self.log):
            with open(self.log, "rb") as f:
                self.keep("log.txt", f.read())
        print(f"      {name} took {time.monotonic() - begin:.0f} s", flush=True)

    def summary(self):
        text = f"{self.counts['ok']} passed, {self.counts['FAIL']} failed"
        if self.counts["skip"]:
            text += f", {self.counts['skip']} skipped"
        return f"{text} in {time.monotonic() - self.begin:.0f} s"


def wait(condition, seconds, what):
    """Until condition() is true; its value."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds * SLOW:.0f} s")
        time.sleep(0.1)


def number(text, pattern):
    """The number that `pattern`'s group finds in `text`."""
    match = re.search(pattern, text)
    check(match, f"no '{pattern}' in {text[:200]!r}")
    return float(match[1])
