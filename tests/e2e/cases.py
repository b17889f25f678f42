"""Tests as sentences: collects them, runs them, tells each in one line, counts them.

A test program names its tests by @case, and ends with sys.exit(cases.main(__doc__, ...)). Its last line is
`N passed, N failed`, as scripts/test reads it.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_cases = []


class Failed(Exception):
    """What a test expected did not come; its text says both."""


class Case:
    """What a test gets: a folder of its own, a seeded source of numbers, and what it must not forget."""

    def __init__(self, sentence, folder, build, seed):
        self.sentence = sentence
        self.folder = folder
        self.build = build
        self.random = random.Random('%d %s' % (seed, sentence))
        self._undo = []
        self._explain = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def at_end(self, call):
        """CALL() runs when the test has ended, however; the newest first."""
        self._undo.append(call)

    def to_explain(self, call):
        """CALL() gives text that helps whoever reads of a failure."""
        self._explain.append(call)

    def end(self):
        failures = []
        for call in reversed(self._undo):
            try:
                call()
            except Exception as error:  # the others must run all the same
                failures.append(error)
        self._undo = []
        if failures:
            raise failures[0]

    def explanation(self):
        return '\n'.join(call() for call in self._explain)


def case(function):
    """Makes FUNCTION(case) a test; its name is its sentence."""
    add(function.__name__.replace('_', ' '), function)
    return function


def add(sentence, function):
    _cases.append((sentence, function))


def expect(truth, sentence):
    if not truth:
        raise Failed(sentence)


def expect_equal(got, wanted, what):
    if got != wanted:
        raise Failed('%s: expected %r, got %r' % (what, wanted, got))


def expect_words(text, words, what):
    """Each of WORDS is in TEXT, in any case of letters."""
    for word in words:
        if word.lower() not in text.lower():
            raise Failed('%s: expected the words %s, got: %s' % (what, ', '.join(words), text.strip()))


def tell(text):
    for line in text.rstrip('\n').split('\n'):
        print('#   ' + line)


def problem_of(error):
    """What to tell of it: of an expectation that failed, where it stands; of anything else, all."""
    if isinstance(error, Failed):
        return '%s\n%s' % (error, ''.join(traceback.format_tb(error.__traceback__)[-3:]))
    return ''.join(traceback.format_exception(error))


def _run_one(sentence, function, options):
    folder = tempfile.mkdtemp(prefix='tidemark-e2e-', dir=options.temp)
    this = Case(sentence, folder, options.build, options.seed)
    began = time.monotonic()
    problem = None
    try:
        try:
            function(this)
        finally:
            this.end()
    except Exception as error:
        problem = problem_of(error)
    seconds = time.monotonic() - began
    print('%s - %s (%.1f s)' % ('not ok' if problem else 'ok', sentence, seconds))
    if problem:
        tell(problem)
        tell(this.explanation())
        print('#   again: %s --build %s --seed %d %r' % (
            os.path.relpath(sys.argv[0], ROOT), options.build, options.seed, sentence))
    if options.keep:
        print('#   kept: ' + folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    return problem is None


def parser(description):
    result = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('--build', default=os.path.join(ROOT, 'build', 'debug'),
                        help='the build folder with the programs (build/debug); with fault points')
    result.add_argument('--seed', type=int, help='repeats the run that printed it')
    result.add_argument('--temp', help='where temporary folders go')
    result.add_argument('--keep', action='store_true', help="keeps each test's folder")
    result.add_argument('--list', action='store_true', help='only lists the tests')
    return result


def prepare(options):
    """What must be so before the first test: a seed, and a word on a stop that comes as a signal."""
    options.build = os.path.abspath(options.build)
    if options.seed is None:
        options.seed = int(os.environ.get('TIDEMARK_TEST_SEED') or random.SystemRandom().getrandbits(32))
    print('seed %d' % options.seed)
    sys.stdout.flush()

    def stop(number, _frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def main(description):
    options_of = parser(description)
    options_of.add_argument('words', nargs='*', help='only tests whose sentence contains one of these')
    options = options_of.parse_args()
    chosen = [(sentence, function) for sentence, function in _cases
              if not options.words or any(word in sentence for word in options.words)]
    if options.list:
        for sentence, _function in chosen:
            print(sentence)
        return 0
    prepare(options)
    passed = sum(_run_one(sentence, function, options) for sentence, function in chosen)
    failed = len(chosen) - passed
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed or not chosen else 0
