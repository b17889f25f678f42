"""Disk images: making them, changing them, and what is in them, block by block. Knows nothing of Tidemark."""
import errno
import hashlib
import os

BLOCK = 65536


def data_ranges(file, size):
    """Where FILE has data: (start, end), ascending."""
    at = 0
    while at < size:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # holes up to the end
                return
            raise
        at = os.lseek(file, start, os.SEEK_HOLE)
        yield start, min(at, size)


def blocks_with_data(file, size):
    """The numbers of the blocks of which the file system has at least one byte, ascending."""
    last = -1
    for start, end in data_ranges(file, size):
        for block in range(max(start // BLOCK, last + 1), (end + BLOCK - 1) // BLOCK):
            last = block
            yield block


class Image:
    """What a disk was at one moment: its size, and a digest of each block that is not all zeros."""

    def __init__(self, path):
        self.blocks = {}
        file = os.open(path, os.O_RDONLY)
        try:
            self.size = os.fstat(file).st_size
            for block in blocks_with_data(file, self.size):
                data = os.pread(file, min(BLOCK, self.size - block * BLOCK), block * BLOCK)
                if data.count(0) != len(data):
                    self.blocks[block] = hashlib.sha256(data).digest()
        finally:
            os.close(file)

    def length(self, block):
        return min(BLOCK, self.size - block * BLOCK)

    def block_count(self):
        return (self.size + BLOCK - 1) // BLOCK

    def changed_since(self, before):
        """The numbers of the blocks that differ from BEFORE (of the same size), ascending."""
        return sorted(block for block in self.blocks.keys() | before.blocks.keys()
                      if self.blocks.get(block) != before.blocks.get(block))

    def difference(self, other):
        """What tells it from OTHER, in a sentence; None: nothing."""
        if self.size != other.size:
            return '%d bytes, not %d' % (other.size, self.size)
        changed = self.changed_since(other)
        if changed:
            return '%d of its blocks differ, the first at %d' % (len(changed), changed[0] * BLOCK)
        return None


def allocated(path):
    """Bytes of the blocks of which the file system has at least one byte."""
    file = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(file).st_size
        return sum(min(BLOCK, size - block * BLOCK) for block in blocks_with_data(file, size))
    finally:
        os.close(file)


def make(path, size):
    """A disk of SIZE bytes, all hole."""
    with open(path, 'wb') as file:
        file.truncate(size)


def write(path, offset, data):
    with open(path, 'r+b') as file:
        file.seek(offset)
        file.write(data)


def half_noise(random, length=BLOCK):
    """LENGTH bytes of which half are noise and half are zeros: what is left of them when they are compressed
    well is known beforehand."""
    return random.randbytes(length // 2) + bytes(length - length // 2)


def punch(path, offset, length):
    """Takes bytes away by writing the file anew around them: a hole, where the file system has holes."""
    with open(path, 'r+b') as file:
        size = os.fstat(file.fileno()).st_size
        keep = []
        for start, end in list(data_ranges(file.fileno(), size)):
            for first, last in ((start, min(end, offset)), (max(start, offset + length), end)):
                if first < last:
                    keep.append((first, os.pread(file.fileno(), last - first, first)))
        file.truncate(0)
        file.truncate(size)
        for first, data in keep:
            os.pwrite(file.fileno(), data, first)


def change(random, path, most=6):
    """One to MOST changes of a disk as a machine makes them: noise, text, zeros, copies, at any offset."""
    size = os.path.getsize(path)
    with open(path, 'r+b') as file:
        for _ in range(random.randint(1, most)):
            length = min(size, random.choice((1, 512, 4096, 65536, 200000, 500000)))
            offset = random.randrange(0, size - length + 1)
            kind = random.choice('nnnttzc')
            if kind == 'n':
                data = random.randbytes(length)
            elif kind == 't':
                data = (b'%d times the same line\n' % random.getrandbits(32) * (length // 16 + 1))[:length]
            elif kind == 'z':
                data = bytes(length)
            else:
                file.seek(random.randrange(0, size - length + 1))
                data = file.read(length)
            file.seek(offset)
            file.write(data)
