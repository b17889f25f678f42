"""What the checks share: which files the tree has, C text with its comments and strings blanked, calls."""
import os
import re
import subprocess
import sys

# Calls that one file of base makes for all others: of the heap base/memory.c, of files base/fs_posix.c.
HEAP_CALLS = ('malloc calloc realloc reallocarray aligned_alloc posix_memalign free strdup strndup '
              'asprintf vasprintf')
FILE_CALLS = ('open openat creat fsync fdatasync rename renameat renameat2 unlink unlinkat mkdir mkdirat '
              'pwrite pwritev ftruncate fopen freopen')
# The same; but tests, which prepare and inspect what the seam cannot make, may call them.
MORE_FILE_CALLS = ('remove rmdir link linkat symlink symlinkat truncate writev mkstemp mkdtemp tmpfile '
                   'posix_fallocate fallocate sync syncfs sync_file_range msync open64 pwrite64 opendir '
                   'uv_fs_*')

TEXT_PROBE = 8192  # bytes; a NUL among them makes a file binary


class CannotRun(Exception):
    """The check cannot be made; the text says why."""


def _git_files(root):
    """What git knows or would add, or None where ROOT is not the top of a work tree."""
    if not os.path.exists(os.path.join(root, '.git')):
        return None
    # In a hook, git's variables name the repository of the caller.
    env = {k: v for k, v in os.environ.items() if not k.startswith('GIT_')}
    git = ['git', '-c', 'safe.directory=' + os.path.realpath(root), '-C', root]
    done = subprocess.run(git + ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                          env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise CannotRun('git ls-files: ' + done.stderr.decode(errors='replace').strip())
    return {os.fsdecode(name) for name in done.stdout.split(b'\0') if name}


def _all_files(root):
    found = set()
    for folder, folders, names in os.walk(root):
        place = os.path.relpath(folder, root)
        if place == '.':
            folders[:] = [name for name in folders if name not in ('.git', 'build')]
        found.update(os.path.normpath(os.path.join(place, name)) for name in names)
    return found


def files(root, suffixes=()):
    """The regular files of the tree, sorted, relative to ROOT; those that end in one of SUFFIXES."""
    if not os.path.isdir(root):
        raise CannotRun('%s is not a folder' % root)
    found = _git_files(root)
    if found is None:
        found = _all_files(root)
    return sorted(name for name in found
                  if (not suffixes or name.endswith(tuple(suffixes)))
                  and os.path.isfile(os.path.join(root, name))
                  and not os.path.islink(os.path.join(root, name)))


def read_bytes(root, name):
    """The bytes of file NAME below ROOT."""
    with open(os.path.join(root, name), 'rb') as file:
        return file.read()


def read(root, name):
    """The text of file NAME below ROOT; what is not UTF-8 comes back as a replacement character."""
    return read_bytes(root, name).decode('utf-8', errors='replace')


def is_text(data):
    """Are these bytes text?"""
    return b'\0' not in data[:TEXT_PROBE]


def interpreter(data):
    """What stands in the #! line of DATA ('' if none): 'bash', 'sh', 'python3' ..."""
    match = re.match(rb'#![ \t]*(\S+)(?:[ \t]+(\S+))?', data)
    if match is None:
        return ''
    program = os.path.basename(match.group(1))
    if program == b'env' and match.group(2):
        program = os.path.basename(match.group(2))
    return program.decode(errors='replace')


_TOKENS = re.compile(r'''
    /\*.*?(?:\*/|\Z)              # a comment
  | //(?:\\\n|[^\n])*             # a comment to the end of the line
  | "(?:\\.|[^"\\\n])*"           # a string
  | '(?:\\.|[^'\\\n])*'           # a character
''', re.VERBOSE | re.DOTALL)


def blank(text, strings=True):
    """C TEXT with comments (and, if asked, what is inside strings) as spaces; lines stay in place."""
    def spaces(match):
        token = match.group(0)
        if token[0] == '/':
            return re.sub(r'[^\n]', ' ', token)
        if not strings:
            return token
        return token[0] + re.sub(r'[^\n]', ' ', token[1:-1]) + token[-1]
    return _TOKENS.sub(spaces, text)


def line_of(text, offset):
    """The number, from 1, of the line that OFFSET lies in."""
    return text.count('\n', 0, offset) + 1


def allowed(line):
    """Does LINE carry a comment `allowed: reason`?"""
    return re.search(r'(?:/\*|//|#|<!--)[ \t]*allowed: +[A-Za-z0-9]', line) is not None


def main(check):
    """Runs CHECK(root), which yields (file, line, sentence), as the program of one rule."""
    if len(sys.argv) != 2:
        print('use: %s ROOT' % os.path.basename(sys.argv[0]), file=sys.stderr)
        sys.exit(2)
    try:
        found = sorted(set(check(sys.argv[1])))
    except (CannotRun, OSError) as error:
        print('%s: cannot run: %s' % (os.path.basename(sys.argv[0]), error), file=sys.stderr)
        sys.exit(2)
    for name, line, sentence in found:
        print('%s:%d: %s' % (name, line, sentence))
    sys.exit(1 if found else 0)
