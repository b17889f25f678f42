"""Starts programs, listens to what they say, waits for a line or an end with a deadline, stops them."""
import os
import re
import signal
import subprocess
import threading
import time

import cases

# Seconds after which whatever a test waits for will not come any more. Long: sanitizers, a busy machine.
DEADLINE = 60

TROUBLE = re.compile(r'(Address|Leak|Thread|Memory)Sanitizer|UndefinedBehavior|runtime error:|'
                     r'[Ii]nvariant .*(broken|failed)|Assertion')


def environment(fault=None):
    """This process's environment, without what would reroute or arm a program."""
    result = {name: value for name, value in os.environ.items()
              if not name.startswith(('TIDEMARK_', 'GRPC_')) and not name.lower().endswith('_proxy')}
    result.setdefault('ASAN_OPTIONS', 'detect_leaks=1:abort_on_error=1')
    result.setdefault('UBSAN_OPTIONS', 'print_stacktrace=1')
    result['LSAN_OPTIONS'] = 'print_suppressions=0:suppressions=' + os.path.join(
        os.path.dirname(os.path.abspath(__file__)), 'leaks.supp')
    if fault is not None:
        result['TIDEMARK_FAULT'] = fault
    return result


def trouble_in(lines):
    return [line for line in lines if TROUBLE.search(line)]


class Program:
    """A program that runs until it is stopped. What it writes is kept, line by line."""

    def __init__(self, name, arguments, fault=None):
        self.name = name
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, env=environment(fault))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for raw in self._process.stdout:
            with self._changed:
                self.lines.append(raw.decode(errors='replace').rstrip('\n'))
                self._changed.notify_all()
        self._process.stdout.close()
        self._process.wait()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self):
        return self._process.pid

    @property
    def code(self):
        """How it ended: its exit code, negative for a signal. None: it runs."""
        return self._process.returncode if self._ended else None

    def running(self):
        return not self._ended

    def mark(self):
        """A place in what it says: for wait_line(..., since)."""
        with self._changed:
            return len(self.lines)

    def wait_line(self, pattern, since=0, deadline=DEADLINE):
        """The match of the first line, from the mark SINCE on, in which PATTERN is. Fails if it ends before."""
        end = time.monotonic() + deadline
        with self._changed:
            while True:
                for line in self.lines[since:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                since = len(self.lines)
                if self._ended:
                    raise cases.Failed('%s ended with %s before it said "%s"' % (self.name, self.code, pattern))
                if not self._changed.wait(max(0, end - time.monotonic())) and time.monotonic() >= end:
                    raise cases.Failed('%s did not say "%s" in %d s' % (self.name, pattern, deadline))

    def wait_end(self, deadline=DEADLINE):
        """Its exit code. Fails, and kills it, if it does not end."""
        end = time.monotonic() + deadline
        with self._changed:
            while not self._ended:
                if not self._changed.wait(max(0, end - time.monotonic())) and time.monotonic() >= end:
                    self._process.kill()
                    raise cases.Failed('%s did not end in %d s' % (self.name, deadline))
        return self.code

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def kill(self):
        """SIGKILL; returns when it is gone."""
        self.signal(signal.SIGKILL)
        return self.wait_end()

    def stop(self):
        """Asks it to stop, and expects that it does, without a complaint of a sanitizer."""
        self.signal(signal.SIGTERM)
        code = self.wait_end()
        self.check_quiet()
        cases.expect_equal(code, 0, '%s, stopped on request: its exit code' % self.name)

    def check_quiet(self):
        found = trouble_in(self.lines)
        cases.expect(not found, '%s: %s' % (self.name, found[:1]))

    def said(self, pattern):
        with self._changed:
            return [line for line in self.lines if re.search(pattern, line)]

    def memory_peak(self):
        """The most memory it had so far, in bytes."""
        with open('/proc/%d/status' % self.pid, encoding='ascii') as file:
            for line in file:
                if line.startswith('VmHWM:'):
                    return int(line.split()[1]) * 1024
        raise cases.Failed('%s has no VmHWM' % self.name)

    def tail(self, count=25):
        with self._changed:
            return '--- %s (%s), its last lines\n%s' % (
                self.name, 'runs' if self.code is None else 'ended with %s' % self.code,
                '\n'.join(self.lines[-count:]))


class Result:
    """How a program that ends by itself has ended."""

    def __init__(self, arguments, code, out, err):
        self.arguments = arguments
        self.code = code
        self.out = out
        self.err = err

    def expect(self, code, words=()):
        """It ended with CODE, and said WORDS on its standard error (or, for findings, its output)."""
        said = self.err + self.out
        cases.expect(self.code == code, '%s: expected exit code %d, got %s: %s' % (
            ' '.join(self.arguments), code, self.code, said.strip()[-2000:]))
        cases.expect_words(said, words, ' '.join(self.arguments))
        return self


def run(arguments, deadline=DEADLINE, fault=None):
    """Runs a program to its end."""
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.PIPE, env=environment(fault), timeout=deadline)
    except subprocess.TimeoutExpired as error:
        raise cases.Failed('%s did not end in %d s; it said: %s' % (
            ' '.join(arguments), deadline, (error.stderr or b'').decode(errors='replace'))) from None
    result = Result(arguments, done.returncode, done.stdout.decode(errors='replace'),
                    done.stderr.decode(errors='replace'))
    found = trouble_in((result.out + result.err).split('\n'))
    cases.expect(not found, '%s: %s' % (' '.join(arguments), result.err[-3000:]))
    return result
