"""The files of a repository, as docs/format.md describes them: what can be seen, and damaged, without a key."""
import os
import struct

PACK_HEADER = 52
RECORD_HEADER = 104
TAG = 16
KIND_AT, STORED_LENGTH_AT = 5, 68
NODE_STORED = 5120
NODE_RECORD = RECORD_HEADER + NODE_STORED + TAG
ROOT_RECORD = RECORD_HEADER + 64 + TAG
ENVELOPE_RECORD = RECORD_HEADER + 6 + 16 + 8 + 48 + 40 + TAG
FANOUT = 128


def body_record(host, disk, reason, certificate_length):
    """The most that a point's body takes, with what was signed: format/statement.h, format/manifest.h."""
    statement = (1 + 16 + 16 + 16 + 8 + 32 + 2 + len(host) + 2 + len(disk) + 1 + 2 + len(reason) + 2 +
                 2 + len(disk) + 16 + 8 + 32 + 2)
    return RECORD_HEADER + 1 + 4 + statement + 64 + 2 + certificate_length + TAG


def height(blocks):
    """Levels of nodes above BLOCKS blocks."""
    levels = 0
    while blocks > FANOUT ** levels:
        levels += 1
    return levels


def nodes_over(changed, blocks):
    """How many nodes stand above the CHANGED ones of a disk of BLOCKS blocks."""
    return sum(len({block // FANOUT ** level for block in changed})
               for level in range(1, height(blocks) + 1))


class Record:
    def __init__(self, pack, offset, length):
        self.pack = pack
        self.offset = offset
        self.length = length


def names(data, ending):
    """The packs of the repository DATA whose names end in ENDING (.data, .meta), the oldest first."""
    folder = os.path.join(data, 'packs')
    found = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(ending)]
    return sorted(found, key=lambda path: (os.stat(path).st_mtime_ns, path))


def size(data):
    """Bytes of all packs."""
    return sum(os.path.getsize(path) for path in names(data, ''))


def records(path):
    """The records of a pack, in order, up to what is none."""
    with open(path, 'rb') as file:
        content = file.read()
    at = PACK_HEADER
    while content[at:at + 4] == b'TMrc' and at + RECORD_HEADER <= len(content):
        length = RECORD_HEADER + struct.unpack_from('<I', content, at + STORED_LENGTH_AT)[0]
        if at + length > len(content):
            return
        yield Record(path, at, length)
        at += length


def flip_bit(path, offset, bit=3):
    """Flips it, or flips it back."""
    with open(path, 'r+b') as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))
