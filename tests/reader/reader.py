#!/usr/bin/python3 -B
"""Reads a Tidemark repository by docs/format.md alone, sharing no code with the programs.

    reader.py list    DATA (--key FILE | --kit FILE)                        what is there, as JSON
    reader.py extract DATA (--key FILE | --kit FILE) POINT DISK OUT         one disk or file into OUT
    reader.py check   DATA (--key FILE | --kit FILE)                        every record, every reference

POINT is the beginning of a point's task or of its envelope's id, or a partial tree's task. DISK is the name of a disk or file,
or disk:N or file:N (from 0), or the digits of a VirtualDiskId.

Exit code: 0 all well, 1 something is damaged or missing and was told, 2 nothing was read.

The sections follow the page, from the top down, each under the page's heading.
"""
import argparse
import collections
import datetime
import getpass
import hashlib
import hmac
import json
import mmap
import os
import re
import struct
import sys
import unicodedata

import zstandard
from cryptography import exceptions, x509
from cryptography.hazmat.primitives import cmac, hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt


class Refused(Exception):
    """Bytes that the page does not allow, or that are not what they should be; says which and why."""


def require(truth, why):
    if not truth:
        raise Refused(why)


# ---- Conventions

def _crc_tables():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)

    def behind(value, more):
        for _ in range(more):
            value = table[value & 255] ^ (value >> 8)
        return value

    return table, [behind(n, 4) for n in range(1 << 16)], [behind(n, 2) for n in range(1 << 16)]


# Of a byte; of the lower and the upper half of four bytes at once.
_CRC_BYTE, _CRC_LOWER, _CRC_UPPER = _crc_tables()


def crc32c(data):
    crc = 0xFFFFFFFF
    whole = len(data) // 4 * 4
    for (word,) in struct.iter_unpack('<I', data[:whole]):
        crc ^= word
        crc = _CRC_LOWER[crc & 0xFFFF] ^ _CRC_UPPER[crc >> 16]
    for byte in data[whole:]:
        crc = _CRC_BYTE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Fields:
    """Takes fields from the front of BYTES; WHAT says of what they are."""

    def __init__(self, data, what):
        self.data = data
        self.what = what
        self.at = 0

    def take(self, size):
        require(size <= len(self.data) - self.at, '%s ends too early' % self.what)
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), 'little')

    def time(self):
        return int.from_bytes(self.take(8), 'little', signed=True)

    def zeros(self, size):
        require(not any(self.take(size)), '%s has other bytes where zeros belong' % self.what)

    def version(self):
        require(self.number(1) == 0, '%s is of another version' % self.what)

    def name16(self):
        """A random id, which is never all zeros."""
        name = self.take(16)
        require(any(name), '%s has zeros where a random id belongs' % self.what)
        return name

    def text(self, least, most):
        data = self.take(self.number(2))
        require(least <= len(data) <= most, '%s has a text of a wrong length' % self.what)
        try:
            text = data.decode('utf-8')
        except UnicodeDecodeError:
            raise Refused('%s has a text that is not UTF-8' % self.what) from None
        require(all(unicodedata.category(c) != 'Cc' for c in text),
                '%s has a control character in a text' % self.what)
        return text

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        require(self.at == len(self.data), '%s has bytes left over' % self.what)


NO_ID = bytes(32)

# ---- Ids

BLOCK, DISK_ROOT, ENVELOPE, BODY, PACK_INDEX, FILE_ROOT = 1, 2, 3, 4, 5, 6
NODES = range(17, 26)
KINDS = {BLOCK, DISK_ROOT, ENVELOPE, BODY, PACK_INDEX, FILE_ROOT, *NODES}


def content_id(id_key, kind, plain):
    return hmac.digest(id_key, bytes([kind]) + struct.pack('<Q', len(plain)) + plain, 'sha256')


def plain_of_stored(kind, stored):
    """What the id covers, of what a record holds."""
    if kind in (BLOCK, BODY):
        return stored
    if kind in (DISK_ROOT, FILE_ROOT):
        require(len(stored) == 64, 'a root is not 64 bytes')
        return stored[:56]
    if kind == ENVELOPE:
        return envelope_without_numbers(stored)
    require(len(stored) == 5120, 'a node is not 5,120 bytes')
    return b''.join(stored[at:at + 32] for at in range(0, 5120, 40))


# ---- Keys

def derive(repository_key, label, length=32):
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=label).derive(repository_key)


class Keys:
    def __init__(self, repository_key):
        self.repository_key = repository_key
        self.data = derive(repository_key, b'tidemark v0 data')
        self.structure = derive(repository_key, b'tidemark v0 structure')
        self.check = derive(repository_key, b'tidemark v0 check')
        self._id_keys = {}

    def id_key(self, domain):
        if domain not in self._id_keys:
            self._id_keys[domain] = derive(self.repository_key, b'tidemark v0 id' + domain)
        return self._id_keys[domain]

    def log_key(self, writer):
        """The writer's public key, 65 bytes."""
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        seed = int.from_bytes(derive(self.repository_key, b'tidemark v0 log' + writer, 48), 'big')
        point = ec.derive_private_key(1 + seed % (order - 1), ec.SECP256R1()).public_key().public_numbers()
        return b'\x04' + point.x.to_bytes(32, 'big') + point.y.to_bytes(32, 'big')

    def sealing(self, kind):
        return self.data if kind in (BLOCK, BODY) else self.structure


# ---- Sealing

def aes_cmac(key, message):
    mac = cmac.CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def unseal(key, nonce, sealed, associated):
    derived = (aes_cmac(key, b'\x00\x01\x58\x00' + nonce[:12]) +
               aes_cmac(key, b'\x00\x02\x58\x00' + nonce[:12]))
    try:
        return AESGCM(derived).decrypt(nonce[12:], sealed, associated)
    except exceptions.InvalidTag:
        raise Refused('the seal is wrong') from None


# ---- Signatures

def check_signature(public_key, context, message, signature):
    r, s = int.from_bytes(signature[:32], 'big'), int.from_bytes(signature[32:], 'big')
    try:
        public_key.verify(utils.encode_dss_signature(r, s), context + b'\x00' + message,
                          ec.ECDSA(hashes.SHA256()))
    except exceptions.InvalidSignature:
        raise Refused('the signature is wrong') from None


def public_key_of(point):
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise Refused('a public key is no point of P-256') from None


def certificates_of(pem):
    found = re.findall(b'-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----', pem, re.DOTALL)
    try:
        return [x509.load_pem_x509_certificate(one) for one in found]
    except ValueError as error:
        raise Refused('a CA certificate cannot be read: %s' % error) from None


def _extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def is_ca(certificate):
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def was_valid(certificate, time):
    try:
        at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=time)
    except OverflowError:
        return False
    return certificate.not_valid_before <= at <= certificate.not_valid_after


def issued_by(certificate, ca, time):
    usage = _extension(ca, x509.KeyUsage)
    if (certificate.issuer != ca.subject or not is_ca(ca) or not was_valid(ca, time) or
            (usage is not None and not usage.key_cert_sign)):
        return False
    signed, algorithm = certificate.tbs_certificate_bytes, certificate.signature_hash_algorithm
    key = ca.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(certificate.signature, signed, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(certificate.signature, signed, padding.PKCS1v15(), algorithm)
        else:
            return False
    except exceptions.InvalidSignature:
        return False
    return True


def host_of(der, time, agents_cas):
    """The public key and the name that a host's certificate vouches for."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        issued = not is_ca(certificate) and any(issued_by(certificate, ca, time) for ca in agents_cas)
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise Refused("the host's certificate cannot be read: %s" % error) from None
    require(isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1),
            "the host's certificate is not over a P-256 key")
    require(len(names) == 1, "the host's certificate has not exactly one common name")
    require(re.fullmatch('[ -~]{1,64}', names[0].value), "the host's certificate has a strange common name")
    require(was_valid(certificate, time), "the host's certificate was not valid at the time stated")
    require(issued, "no given CA vouches for the host's certificate")
    return key, names[0].value


# ---- Key file

def lines_of(data, first, most, what):
    """The lines between the first two and the last one of a file that ends by its sum."""
    require(len(data) <= most, '%s is too long' % what)
    match = re.fullmatch(b'(.*\n)crc ([0-9a-f]{8})\n', data, re.DOTALL)
    require(match, '%s does not end with its sum' % what)
    require(crc32c(match[1]) == int(match[2], 16), '%s is damaged: its sum is wrong' % what)
    lines = match[1].split(b'\n')[:-1]
    require(lines[0] == first, 'this is not %s' % what)
    require(lines[1:2] == [b'version 0 build 3'], '%s is of another version or build' % what)
    return lines[2:]


def words_of(lines, patterns, what):
    """The groups of PATTERNS, each of which one line must match exactly."""
    require(len(lines) == len(patterns), '%s has another number of lines' % what)
    found = []
    for line, pattern in zip(lines, patterns):
        match = re.fullmatch(pattern, line)
        require(match, '%s has a line that does not belong there: %r' % (what, line))
        found += match.groups()
    return found


def digits(text):
    return bytes.fromhex(text.decode('ascii'))


def plain_key(data):
    match = re.fullmatch(b'([0-9a-f]{64})\n', data)
    require(match, 'the key file is neither plain nor wrapped')
    return digits(match[1])


KEY_LINES = [b'repository ([0-9a-f]{32})', b'kdf scrypt ([1-9][0-9]*) ([1-9][0-9]*) ([1-9][0-9]*)',
             b'salt ((?:[0-9a-f]{2}){16,32})', b'nonce ([0-9a-f]{48})', b'wrapped ([0-9a-f]{96})']


def scrypt_key(passphrase, salt, n, r, p):
    require(n & (n - 1) == 0 and 2 <= n <= 1 << 20 and (r > 1 or n < 1 << 16), 'scrypt: N is refused')
    require(1 <= r <= 32 and 1 <= p <= 16 and 128 * n * r <= 1 << 30, 'scrypt: r or p is refused')
    require(1 <= len(passphrase) <= 1024, 'a passphrase has 1 to 1,024 bytes')
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase)


def wrapped_key(data, ask):
    """The repository key and the repository's id; ASK() gives the passphrase."""
    lines = lines_of(data, b'Tidemark key', 1024, 'the key file')
    repository, n, r, p, salt, nonce, wrapped = words_of(lines, KEY_LINES, 'the key file')
    key = scrypt_key(ask(), digits(salt), int(n), int(r), int(p))
    associated = data[:data.index(b'\nwrapped ') + 1]
    try:
        return unseal(key, digits(nonce), digits(wrapped), associated), digits(repository)
    except Refused:
        raise Refused('the passphrase is wrong') from None


def key_file(data, ask):
    """The repository key, and the id of the repository that it names (None for a plain one)."""
    if data.startswith(b'Tidemark key\n'):
        return wrapped_key(data, ask)
    return plain_key(data), None


def passphrase_of_file(data):
    return data[:-1] if data.endswith(b'\n') else data


# ---- Recovery kit

PEM_CERTIFICATES = re.compile(
    b'(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n)*')


def recovery_kit(data, ask):
    """The repository key, the repository's id, and the PEM of the agents' CA."""
    what = 'the recovery kit'
    lines = lines_of(data, b'Tidemark recovery kit', 81920, what)
    while lines and lines[0].startswith(b'#'):
        require(re.fullmatch(b'[ -~]*', lines.pop(0)), '%s has a remark that is not ASCII' % what)
    repository, year, month, day, form = words_of(
        lines[:3], [b'repository ([0-9a-f]{32})', b'made ([0-9]{4})-([0-9]{2})-([0-9]{2})',
                    b'key (wrapped|plain)'], what)
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        raise Refused('%s was made on no day' % what) from None
    count = 3 + (8 if form == b'wrapped' else 1)
    key_lines = b''.join(line + b'\n' for line in lines[3:count])
    length, = words_of(lines[count:count + 1], [b'agents-ca (0|[1-9][0-9]{0,4})'], what)
    pem = b''.join(line + b'\n' for line in lines[count + 1:])
    require(len(pem) == int(length) <= 65536 and PEM_CERTIFICATES.fullmatch(pem),
            '%s has no such certificates' % what)
    if form == b'plain':
        return plain_key(key_lines), digits(repository), pem
    key, named = wrapped_key(key_lines, ask)
    require(named == digits(repository), '%s and its key name two repositories' % what)
    return key, named, pem


# ---- Repository file

REPOSITORY_LINES = [b'id ([0-9a-f]{32})', b'domain ([0-9a-f]{32})', b'key-check ([0-9a-f]{64})']


def repository_file(data):
    """The repository's id, its first domain, and key-check."""
    what = "the repository's file"
    found = words_of(lines_of(data, b'Tidemark repository', 1024, what), REPOSITORY_LINES, what)
    identity, domain, check = (digits(word) for word in found)
    require(any(identity) and any(domain), '%s has zeros for an id' % what)
    return identity, domain, check


# ---- Record

RECORD_HEADER = 104
TAG = 16
MOST_PLAIN = 4194304
MOST_WINDOW = 8 << 20

Header = collections.namedtuple('Header', 'kind codec domain number id plain stored nonce crc')


def record_header(data):
    """The header that stands at the beginning of DATA; its own values are checked, not its payload."""
    require(len(data) >= RECORD_HEADER, 'a record has no whole header')
    magic, version, kind, codec, zero, domain, number, identity, plain, stored, nonce, crc, own = struct.unpack(
        '<4sBBBB16sQ32sII24sII', data[:RECORD_HEADER])
    require(magic == b'TMrc', 'no record stands there')
    require(own == crc32c(data[:100]), "a record's header is damaged")
    require(version == 0 and zero == 0 and kind in KINDS and codec in (0, 1), "a record's header says the unknown")
    require(1 <= plain <= MOST_PLAIN, 'a record has an impossible length')
    require(stored == plain + TAG if codec == 0 else TAG < stored < plain + TAG, 'a record has an impossible length')
    require(any(domain), 'a record has no domain')
    if kind == PACK_INDEX:
        require(number == 0 and not any(identity), 'a pack index has a number or an id')
    else:
        require(number != 0 and any(identity), 'a record has no number or no id')
    return Header(kind, codec, domain, number, identity, plain, stored, nonce, crc)


def unpack_zstd(packed, length):
    require(packed[:4] == b'\x28\xb5\x2f\xfd', 'packed bytes are no Zstandard frame')
    try:
        frame = zstandard.get_frame_parameters(packed)
        require(frame.content_size == length, 'packed bytes declare another size')
        require(frame.dict_id == 0, 'packed bytes want a dictionary')
        require(frame.window_size <= MOST_WINDOW, 'packed bytes want too large a window')
        unpacking = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW).decompressobj()
        plain = unpacking.decompress(packed)
    except zstandard.ZstdError as error:
        raise Refused('packed bytes cannot be unpacked: %s' % error) from None
    require(unpacking.eof and not unpacking.unused_data, 'packed bytes are not exactly one frame')
    require(len(plain) == length, 'packed bytes have another size')
    return plain


def open_record(data, keys):
    """Header and stored form of the record that is exactly DATA; all is checked but the id."""
    header = record_header(data)
    require(len(data) == RECORD_HEADER + header.stored, 'a record has another length')
    payload = data[RECORD_HEADER:]
    require(crc32c(payload) == header.crc, "a record's payload is damaged")
    packed = unseal(keys.sealing(header.kind), header.nonce, payload, data[:96])
    return header, packed if header.codec == 0 else unpack_zstd(packed, header.plain)


def open_content(data, keys):
    """As open_record, of a record that has an id, which is compared."""
    header, stored = open_record(data, keys)
    require(header.kind != PACK_INDEX, 'a pack index stands where content should')
    plain = plain_of_stored(header.kind, stored)
    require(content_id(keys.id_key(header.domain), header.kind, plain) == header.id, 'the id is wrong')
    return header, stored


# ---- Pack

PACK_HEADER = 52
FOOTER = 24
INDEX_ENTRY = 72
CLASSES = {'data': 1, 'meta': 2}

Place = collections.namedtuple('Place', 'pack offset length kind')


class ForeignPack(Exception):
    """The file is another repository's or another pack's: it counts as missing."""


def class_of(kind):
    return 1 if kind == BLOCK else 2


def check_pack_header(data, repository, name, pack_class):
    require(len(data) >= PACK_HEADER, 'the header is not whole')
    require(struct.unpack('<I', data[48:52])[0] == crc32c(data[:48]), 'the header is damaged')
    fields = Fields(data[:48], 'the header')
    require(fields.take(8) == b'TMpack\x00\x00', 'the header has another magic')
    require(fields.number(4) == 0, 'the pack is of another version')
    said_class = fields.number(1)
    fields.zeros(3)
    if (fields.take(16), fields.take(16), said_class) != (repository, name, pack_class):
        raise ForeignPack('its header names another pack or repository')


def index_place(data):
    """Offset and length of the index's record, by the footer."""
    require(len(data) >= PACK_HEADER + FOOTER, 'there is no footer')
    magic, offset, length, crc = struct.unpack('<8sQII', data[-FOOTER:])
    require(magic == b'TMseal\x00\x00', 'there is no footer')
    require(crc == crc32c(data[-FOOTER:-4]), 'the footer is damaged')
    require(PACK_HEADER <= offset and offset + length + FOOTER == len(data), 'the footer points elsewhere')
    return offset, length


def read_index(data, name, pack_class, keys):
    """[((domain, number, id), offset, length, kind)] of a sealed pack."""
    offset, length = index_place(data)
    header, stored = open_record(data[offset:offset + length], keys)
    require(header.kind == PACK_INDEX and header.domain == name, 'the index is not that of this pack')
    require(len(stored) % INDEX_ENTRY == 0, 'the index has a strange length')
    end, found = PACK_HEADER, []
    for entry in struct.iter_unpack('<16sQ32sQIB3s', stored):
        domain, number, identity, at, size, kind, zeros = entry
        require(any(domain) and number != 0 and any(identity) and not any(zeros), 'the index has a wrong entry')
        require(kind in KINDS and kind != PACK_INDEX and class_of(kind) == pack_class, 'the index has a wrong kind')
        require(end <= at and at + size <= offset and RECORD_HEADER + TAG < size <= RECORD_HEADER + TAG + MOST_PLAIN,
                'the index has a record where none can be')
        end = at + size
        found.append(((domain, number, identity), at, size, kind))
    return found


def sound_header(data, at):
    """The header at AT if it is sound and its record ends within DATA, else None."""
    try:
        header = record_header(data[at:at + RECORD_HEADER])
    except Refused:
        return None
    return header if at + RECORD_HEADER + header.stored <= len(data) else None


def next_header(data, at):
    """The first offset from AT on where a sound header stands; the end if none does."""
    while True:
        at = data.find(b'TMrc', at)
        if at < 0:
            return len(data)
        if sound_header(data, at):
            return at
        at += 1


def scan_pack(data):
    """What a pack without an index holds, as read_index, and [(from, to)] that was stepped over."""
    at, found, stepped = PACK_HEADER, [], []
    while at < len(data):
        header = sound_header(data, at)
        end = at + RECORD_HEADER + header.stored if header else next_header(data, at)
        if header is None or crc32c(data[at + RECORD_HEADER:end]) != header.crc:
            stepped.append((at, end))
        elif header.kind != PACK_INDEX:
            found.append(((header.domain, header.number, header.id), at, end - at, header.kind))
        at = end
    return found, stepped


class Packs:
    """All packs of a folder: where each {domain, number, id} lies."""

    def __init__(self, folder, repository, keys):
        self.keys = keys
        self.files = {}       # name, 16 bytes: its bytes
        self.sealed = set()   # names
        self.stepped = {}     # of packs that were scanned: [(from, to)]
        self.findings = []
        self.places = collections.defaultdict(list)
        for name in sorted(os.listdir(folder)):
            match = re.fullmatch('([0-9a-f]{32})[.](data|meta)', name)
            if match:
                self._add(os.path.join(folder, name), bytes.fromhex(match[1]), CLASSES[match[2]], repository)

    def _add(self, path, name, pack_class, repository):
        data = map_file(path)
        try:
            check_pack_header(data, repository, name, pack_class)
        except ForeignPack as error:
            self.findings.append('pack %s counts as missing: %s' % (name.hex(), error))
            return
        except Refused as error:
            if len(data) >= PACK_HEADER:
                self.findings.append('pack %s: %s' % (name.hex(), error))
        self.files[name] = data
        for key, at, size, kind in self._contents(data, name, pack_class):
            if class_of(kind) != pack_class:
                self.findings.append('pack %s: a record of another class at %d' % (name.hex(), at))
            self.places[key].append(Place(name, at, size, kind))

    def _contents(self, data, name, pack_class):
        try:
            found = read_index(data, name, pack_class, self.keys)
            self.sealed.add(name)
            return found
        except Refused as error:
            if data[-FOOTER:-FOOTER + 8] == b'TMseal\x00\x00':
                self.findings.append('pack %s: no sound index: %s' % (name.hex(), error))
        found, self.stepped[name] = scan_pack(data)
        return found

    def open_place(self, key, place):
        """The stored form of the record there, which must be the one of {domain, number, id} KEY."""
        data = self.files[place.pack][place.offset:place.offset + place.length]
        header, stored = open_content(data, self.keys)
        require((header.domain, header.number, header.id, header.kind) == key + (place.kind,),
                'another record lies there than the index says')
        return stored

    def open(self, domain, number, identity, kind):
        """The stored form, from whichever place it can be read."""
        key, why = (domain, number, identity), []
        for place in self.places.get(key, []):
            try:
                require(place.kind == kind, 'it is of another kind')
                return self.open_place(key, place)
            except Refused as error:
                why.append('%s at %d: %s' % (place.pack.hex(), place.offset, error))
        raise Refused('record %#x: %s' % (number, '; '.join(why) or 'in no pack'))

    def damage(self, synced):
        """What was stepped over, but torn tails above the lengths SYNCED that the log calls so."""
        found = []
        for name, ranges in self.stepped.items():
            for begin, end in ranges:
                if end < len(self.files[name]) or begin < synced.get(name, 0):
                    found.append('pack %s: bytes %d to %d cannot be read' % (name.hex(), begin, end))
        return found


def map_file(path):
    """The file's bytes, mapped, with nothing of an empty one."""
    with open(path, 'rb') as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b''
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


# ---- Disk root, file root

Root = collections.namedtuple('Root', 'size block blocks height top number')


def is_power(value, least, most):
    return least <= value <= most and value & (value - 1) == 0


def height_of(blocks):
    height = 0
    while 128 ** height < blocks:
        height += 1
    return height


def check_disk_size(size):
    require(0 < size <= 1 << 46, 'no disk has this size')


def check_file_size(size):
    require(size <= 1 << 30, 'no file has this size')


def parse_root(kind, stored):
    fields = Fields(stored, 'a root')
    size, block = fields.number(8), fields.number(4)
    logical, physical, height = fields.number(4), fields.number(4), fields.number(1)
    fields.zeros(3)
    top, number = fields.take(32), fields.number(8)
    fields.end()
    require(is_power(block, 4096, 1 << 20), 'a root has a wrong block size')
    if kind == DISK_ROOT:
        check_disk_size(size)
        require(logical in (512, 4096) and size % logical == 0, 'a disk is not whole sectors')
        require(is_power(physical, 512, 1 << 20), 'a disk has a wrong physical sector')
    else:
        check_file_size(size)
        require(logical == 0 and physical == 0, 'a file has sectors')
    blocks = -(-size // block)
    require(height == height_of(blocks), 'a root has a wrong height')
    require((top == NO_ID) == (number == 0), 'a root has half a hole')
    require(blocks > 0 or number == 0, 'a file without bytes has a top')
    return Root(size, block, blocks, height, top, number)


# ---- Tree

def parse_node(stored):
    """[(id, number)] of its 128 children."""
    children = list(struct.iter_unpack('<32sQ', stored))
    require(any(number for _, number in children), 'a node has no child')
    require(all((identity == NO_ID) == (number == 0) for identity, number in children),
            'a node has half a hole')
    return children


class Tree:
    """Walks a disk or a file: gives its blocks, and notes what is lost."""

    def __init__(self, packs, domain, root):
        self.packs = packs
        self.domain = domain
        self.root = root
        self.lost = []  # (offset, length, why)

    def blocks(self):
        """(offset, bytes) of each block that is no hole and can be read, in order."""
        if self.root.number:
            yield from self._below(self.root.height, 0, self.root.top, self.root.number)

    def _below(self, level, index, identity, number):
        try:
            if level == 0:
                yield index * self.root.block, self._block(index, identity, number)
                return
            children = self._node(level, index, identity, number)
        except Refused as error:
            self._lose(level, index, str(error))
            return
        for child, (child_id, child_number) in enumerate(children):
            if child_number:
                yield from self._below(level - 1, index * 128 + child, child_id, child_number)

    def _block(self, index, identity, number):
        data = self.packs.open(self.domain, number, identity, BLOCK)
        require(len(data) == min(self.root.block, self.root.size - index * self.root.block),
                'a block has a wrong length')
        return data

    def _node(self, level, index, identity, number):
        require(16 + level in NODES, 'a node is of an impossible level')
        children = parse_node(self.packs.open(self.domain, number, identity, 16 + level))
        width = 128 ** (level - 1)
        for child in range(128):
            if (index * 128 + child) * width >= self.root.blocks:
                require(children[child][1] == 0, 'a node has a child behind the end')
        return children

    def _lose(self, level, index, why):
        width = 128 ** level * self.root.block
        begin = index * width
        self.lost.append((begin, min(begin + width, self.root.size) - begin, why))


def open_tree(packs, domain, kind, identity, number):
    return Tree(packs, domain, parse_root(kind, packs.open(domain, number, identity, kind)))


# ---- Statement and tracking

Disk = collections.namedtuple('Disk', 'name disk_id size root')
File = collections.namedtuple('File', 'name role size root')
Statement = collections.namedtuple('Statement', 'repository task vm time parent host vm_name consistency '
                                                'reason disks files')
Tracking = collections.namedtuple('Tracking', 'repository vm envelope time disks')
TrackedDisk = collections.namedtuple('TrackedDisk', 'disk_id size root change')
Signed = collections.namedtuple('Signed', 'body signature certificate')


def take_root_id(fields):
    identity = fields.take(32)
    require(identity != NO_ID, '%s names a root by zeros' % fields.what)
    return identity


def parse_stated_disk(fields):
    name, disk_id, size = fields.text(1, 255), fields.take(16), fields.number(8)
    check_disk_size(size)
    require(size % 512 == 0, 'a statement has a disk of parts of sectors')
    return Disk(name, disk_id, size, take_root_id(fields))


def parse_stated_file(fields):
    name, role, size = fields.text(1, 255), fields.number(1), fields.number(8)
    require('/' not in name and '\\' not in name and name not in ('.', '..'), 'a statement has a file with a path')
    require(1 <= role <= 4, 'a statement has a file of an unknown role')
    check_file_size(size)
    return File(name, role, size, take_root_id(fields))


def parse_several(fields, most, parse):
    count = fields.number(2)
    require(count <= most, '%s has too many of something' % fields.what)
    return [parse(fields) for _ in range(count)]


def all_differ(values):
    values = list(values)
    return len(set(values)) == len(values)


def parse_statement(data):
    require(len(data) <= 131072, 'a statement is too long')
    fields = Fields(data, 'a statement')
    fields.version()
    repository, task, vm = fields.name16(), fields.name16(), fields.name16()
    time, parent = fields.time(), fields.take(32)
    host, vm_name, consistency = fields.text(1, 255), fields.text(1, 255), fields.number(1)
    require(consistency in (1, 2), 'a statement has an unknown consistency')
    reason = fields.text(0, 64)
    disks = parse_several(fields, 256, parse_stated_disk)
    files = parse_several(fields, 64, parse_stated_file)
    fields.end()
    require(disks or files, 'a statement has neither disk nor file')
    require(all_differ(disk.disk_id for disk in disks), 'a statement has one disk twice')
    require(all_differ(file.name for file in files), 'a statement has one file twice')
    return Statement(repository, task, vm, time, parent, host, vm_name, consistency, reason, disks, files)


def parse_tracked_disk(fields):
    disk_id, size = fields.take(16), fields.number(8)
    check_disk_size(size)
    return TrackedDisk(disk_id, size, take_root_id(fields), fields.text(0, 768))


def parse_tracking(data):
    require(len(data) <= 262144, 'a tracking record is too long')
    fields = Fields(data, 'a tracking record')
    fields.version()
    repository, vm, envelope = fields.name16(), fields.name16(), take_root_id(fields)
    time = fields.time()
    disks = parse_several(fields, 256, parse_tracked_disk)
    fields.end()
    require(disks, 'a tracking record has no disk')
    require(all_differ(disk.disk_id for disk in disks), 'a tracking record has one disk twice')
    return Tracking(repository, vm, envelope, time, disks)


def parse_signed(data):
    fields = Fields(data, 'a signed record')
    length = fields.number(4)
    require(1 <= length <= 262144, 'a signed record has a wrong length')
    body, signature = fields.take(length), fields.take(64)
    length = fields.number(2)
    require(1 <= length <= 8192, 'a certificate has a wrong length')
    certificate = fields.take(length)
    fields.end()
    return Signed(body, signature, certificate)


def check_host_signature(signed, context, time, agents_cas):
    """The name of the host that has signed."""
    key, name = host_of(signed.certificate, time, agents_cas)
    check_signature(key, context, signed.body, signed.signature)
    return name


# ---- Manifest

Named = collections.namedtuple('Named', 'size root number')
Envelope = collections.namedtuple('Envelope', 'vm time disks files body number')


def parse_envelope(data):
    fields = Fields(data, 'an envelope')
    fields.version()
    fields.zeros(1)
    disk_count, file_count = fields.number(2), fields.number(2)
    require(disk_count <= 256 and file_count <= 64 and disk_count + file_count > 0,
            'an envelope has a wrong number of disks or files')
    vm, time = fields.name16(), fields.time()

    def take_named(check_size):
        named = Named(fields.number(8), take_root_id(fields), fields.number(8))
        check_size(named.size)
        require(named.number != 0, 'an envelope has no number for a root')
        return named

    disks = [take_named(check_disk_size) for _ in range(disk_count)]
    files = [take_named(check_file_size) for _ in range(file_count)]
    body, number = take_root_id(fields), fields.number(8)
    require(number != 0, 'an envelope has no number for its body')
    fields.end()
    return Envelope(vm, time, disks, files, body, number)


def envelope_without_numbers(data):
    envelope = parse_envelope(data)
    named = b''.join(struct.pack('<Q', one.size) + one.root for one in envelope.disks + envelope.files)
    return data[:30] + named + envelope.body


def parse_body(data):
    """The signed statement, and what it says."""
    fields = Fields(data, 'a body')
    fields.version()
    signed = parse_signed(fields.rest())
    return signed, parse_statement(signed.body)


# ---- Log: an entry

ENTRY_HEADER = 104
MOST_ENTRY_BODY = 278528
SPACE, NUMBERS, POINT, TRACKING, SUMMARY, TRASH, UNDELETE, PURGE = 1, 2, 3, 4, 5, 6, 7, 8
LOCK, HOLD, TASK, SESSION, CONDEMN, DOMAIN, ROLLBACK, ACCEPT = 9, 10, 11, 12, 13, 14, 15, 16

Entry = collections.namedtuple('Entry', 'type writer sequence time before body raw hash')


def has_entry_header(data, at):
    header = data[at:at + ENTRY_HEADER]
    return (len(header) == ENTRY_HEADER and header[:4] == b'TMlg' and
            struct.unpack('<I', header[100:])[0] == crc32c(header[:100]))


def whole_entry(data, at):
    """All bytes of the entry at AT, or None if none stands whole there."""
    if not has_entry_header(data, at):
        return None
    require(data[at + 4] == 0, 'an entry of the log is of another version')
    length, = struct.unpack('<I', data[at + 72:at + 76])
    require(length <= MOST_ENTRY_BODY, 'an entry of the log is too long')
    raw = data[at:at + 188 + length]
    if len(raw) < 188 + length or struct.unpack('<I', raw[-4:])[0] != crc32c(raw[:-4]):
        return None
    return raw


class Writers:
    """Opens entries of the log; remembers the key of each writer."""

    def __init__(self, keys):
        self.keys = keys
        self._points = {}

    def point(self, writer):
        if writer not in self._points:
            self._points[writer] = self.keys.log_key(writer)
        return self._points[writer]

    def open(self, raw):
        fields = Fields(raw, 'an entry of the log')
        fields.take(5)
        kind = fields.number(1)
        fields.zeros(2)
        writer, sequence, time, before = fields.name16(), fields.number(8), fields.time(), fields.take(32)
        require(sequence >= 1, 'an entry of the log has no sequence')
        body = unseal(self.keys.structure, raw[76:100], raw[104:-68], raw[:100])
        check_signature(public_key_of(self.point(writer)), b'tidemark v0 log', raw[:-68], raw[-68:-4])
        check_entry_body(kind, body, self.point(writer))
        return Entry(kind, writer, sequence, time, before, body, raw, hashlib.sha256(raw).digest())


# ---- Log: what the entries say

Point = collections.namedtuple('Point', 'task domain envelope number packs')
Session = collections.namedtuple('Session', 'task disk_id domain blocks root number packs')
Condemn = collections.namedtuple('Condemn', 'sweep pack last dead')
SummaryPart = collections.namedtuple('SummaryPart', 'part parts items')
Item = collections.namedtuple('Item', 'type sequence time body')


def take_flag(fields, allowed):
    value = fields.number(1)
    require(value in allowed, '%s has an unknown value' % fields.what)
    return value


def take_packs(fields):
    return parse_several(fields, 256, lambda inner: (inner.name16(), inner.number(8)))


def body_space(fields):
    space, key = fields.number(4), fields.take(65)
    require(1 <= space <= 0xFFFFFF, 'there is no such number space')
    return space, key


def body_numbers(fields):
    first, count = fields.number(8), fields.number(8)
    last = first + count - 1
    require(count >= 1 and first >> 40 == last >> 40 and first >> 40 != 0, 'a range of numbers leaves its space')
    return first, count


def body_point(fields):
    task, domain, envelope, number = fields.name16(), fields.name16(), fields.take(32), fields.number(8)
    require(envelope != NO_ID and number != 0, 'a point names no envelope')
    return Point(task, domain, envelope, number, take_packs(fields))


def body_tracking(fields):
    vm = fields.name16()
    signed = parse_signed(fields.rest())
    return vm, signed, parse_tracking(signed.body)


def take_item(fields):
    kind, sequence, time = fields.number(1), fields.number(8), fields.time()
    require(kind not in (SUMMARY, UNDELETE, PURGE), 'a summary has an item that is none')
    return Item(kind, sequence, time, fields.take(fields.number(4)))


def body_summary(fields):
    part, parts = fields.number(4), fields.number(4)
    require(part < parts <= 65536, 'a summary has an impossible part')
    items = []
    while fields.at < len(fields.data):
        items.append(take_item(fields))
    require(items or parts == 1, 'a part of a summary is empty')
    sequences = [0] + [item.sequence for item in items]
    require(all(low < high for low, high in zip(sequences, sequences[1:])), "a summary's items do not ascend")
    return SummaryPart(part, parts, items)


def body_until(fields):
    return fields.name16(), fields.time()


def body_of_task(fields):
    return fields.name16()


def body_hold(fields):
    task, held, why = fields.name16(), take_flag(fields, (0, 1)), fields.text(0, 255)
    require(held or not why, 'a hold is let go with a reason')
    return task, held, why


def body_task(fields):
    task, vm, epoch = fields.name16(), fields.name16(), fields.number(4)
    state, length = take_flag(fields, (1, 2, 3, 4, 5)), fields.number(4)
    require(length <= 65536, 'a task has too much detail')
    return task, vm, epoch, state, fields.take(length)


def body_session(fields):
    task, disk_id, domain = fields.name16(), fields.take(16), fields.name16()
    blocks, root, number = fields.number(8), fields.take(32), fields.number(8)
    packs = take_packs(fields)
    require((root == NO_ID) == (number == 0), 'a partial tree has half a root')
    require(number or (blocks == 0 and not packs), 'a partial tree has no root')
    return Session(task, disk_id, domain, blocks, root, number, packs)


def body_condemn(fields):
    sweep, pack, last, count = fields.number(8), fields.name16(), take_flag(fields, (0, 1)), fields.number(4)
    require(count <= 32768, 'a condemn entry is too long')
    dead = [fields.number(8) for _ in range(count)]
    require(all(low < high for low, high in zip([0] + dead, dead)), 'the dead do not ascend')
    return Condemn(sweep, pack, last, dead)


def body_domain(fields):
    return fields.name16(), take_flag(fields, (1, 2)), fields.text(1, 255)


def body_rollback(fields):
    writer, sequence, head = fields.name16(), fields.number(8), fields.take(32)
    require(sequence >= 1, 'a rollback names no head')
    return writer, sequence, head


def body_accept(fields):
    sequence = fields.number(8)
    require(sequence >= 1, 'an acceptance names no rollback')
    return sequence


BODIES = {SPACE: body_space, NUMBERS: body_numbers, POINT: body_point, TRACKING: body_tracking,
          SUMMARY: body_summary, TRASH: body_until, UNDELETE: body_of_task, PURGE: body_of_task,
          LOCK: body_until, HOLD: body_hold, TASK: body_task, SESSION: body_session, CONDEMN: body_condemn,
          DOMAIN: body_domain, ROLLBACK: body_rollback, ACCEPT: body_accept}


def parse_entry_body(kind, body):
    """What the body says, or None of a type that is not known."""
    if kind not in BODIES:
        return None
    fields = Fields(body, 'the body of an entry of type %d' % kind)
    said = BODIES[kind](fields)
    fields.end()
    return said


def check_entry_body(kind, body, writer_key):
    said = parse_entry_body(kind, body)
    items = said.items if kind == SUMMARY else [Item(kind, 1, 0, body)]
    for item in items:
        said = parse_entry_body(item.type, item.body)
        require(item.type != SPACE or said[1] == writer_key, "a number space names another key than its writer's")


# ---- Log: segments and the chain

class Segment:
    """The entries at its front; what made the reading stop there, if it was more than an end."""

    def __init__(self, name, data, writers):
        self.name = name
        self.entries = []
        self.problem = None
        self.tail_problem = None
        at = 0
        try:
            while True:
                raw = whole_entry(data, at)
                if raw is None:
                    break
                self.entries.append(writers.open(raw))
                at += len(raw)
        except Refused as error:
            self.problem = 'log/%s at %d: %s' % (name, at, error)
            return
        if has_entry_header_behind(data, at):
            self.tail_problem = 'log/%s: an entry after byte %d is damaged' % (name, at)


def has_entry_header_behind(data, at):
    while True:
        at = data.find(b'TMlg', at)
        if at < 0:
            return False
        if has_entry_header(data, at):
            return True
        at += 1


class Chain:
    """Entries that follow each other, from the one that it begins with."""

    def __init__(self):
        self.entries = []
        self.findings = []
        self.broken = False

    def read(self, segments):
        for segment in segments:
            if segment.entries and not self.broken:
                self._join(segment)
            for problem in (segment.tail_problem, segment.problem):
                if problem is not None and not self.broken:
                    self.findings.append(problem)
            self.broken = self.broken or segment.problem is not None

    def _join(self, segment):
        try:
            self._begin_segment(segment.entries[0])
            for entry in segment.entries[1:]:
                require(self._follows(entry), 'an entry does not follow the one before it')
                require(not is_part_0(entry), 'a summary begins inside a segment')
                self.entries.append(entry)
        except Refused as error:
            self.findings.append('log/%s: %s' % (segment.name, error))
            self.broken = True

    def _follows(self, entry):
        newest = self.entries[-1]
        return (entry.writer, entry.sequence, entry.before) == (newest.writer, newest.sequence + 1, newest.hash)

    def _begin_segment(self, entry):
        if not self.entries or self._follows(entry):
            self.entries.append(entry)
            return
        newest = self.entries[-1]
        if (entry.writer, entry.sequence, entry.before) == (newest.writer, newest.sequence, newest.before):
            self.entries[-1] = entry
        elif entry.hash == newest.before:
            # The newest was given up; ENTRY is the one before it, which a chain from a summary has not read.
            self.entries[-2:] = [entry]
        else:
            raise Refused('its first entry does not go on from the segment before')


# ---- Summaries

def is_part_0(entry):
    return entry.type == SUMMARY and parse_entry_body(SUMMARY, entry.body).part == 0


def whole_summary(entries):
    """The items of the summary that ENTRIES begin with, and how many parts it has; None if it is not whole."""
    if not entries or not is_part_0(entries[0]):
        return None
    first = parse_entry_body(SUMMARY, entries[0].body)
    items = []
    for part in range(first.parts):
        if part >= len(entries) or entries[part].type != SUMMARY:
            return None
        said = parse_entry_body(SUMMARY, entries[part].body)
        if (said.part, said.parts) != (part, first.parts):
            return None
        items += said.items
    require(all(one.sequence < other.sequence for one, other in zip(items, items[1:])),
            "a summary's items do not ascend")
    return items, first.parts


def read_segments(folder, writers):
    names = sorted(name for name in os.listdir(folder) if re.fullmatch('[0-9]{10}', name) and int(name) > 0)
    segments = []
    for name in names:
        with open(os.path.join(folder, name), 'rb') as file:
            segments.append(Segment(name, file.read(), writers))
    return segments


def last_summary(segments):
    """(items, what follows them, findings) from the last whole summary on, or None."""
    for begin in reversed(range(len(segments))):
        if segments[begin].entries and is_part_0(segments[begin].entries[0]):
            chain = Chain()
            chain.read(segments[begin:])
            whole = whole_summary(chain.entries)
            if whole is not None and chain.entries[0].sequence == segments[begin].entries[0].sequence:
                return whole[0], chain.entries[whole[1]:], chain.findings
    return None


def whole_chain(segments):
    """As last_summary, from the first entry of all."""
    chain = Chain()
    chain.read(segments)
    if not chain.entries:
        chain.findings.append('the log has no entry')
        return [], [], chain.findings
    first = chain.entries[0]
    if (first.type, first.sequence, first.before) != (SPACE, 1, NO_ID):
        chain.findings.append('the log does not begin with its first entry')
        return [], [], chain.findings
    return [], chain.entries, chain.findings


# ---- Log: what the entries add up to

class State:
    """What counts, after items and entries in their order."""

    def __init__(self, first_domain):
        self.domains = {first_domain: (1, '')}
        self.points = {}      # task: Point
        self.trash = {}       # task: until
        self.locks = {}       # task: until
        self.holds = {}       # task: why
        self.tracking = {}    # VM: (signed, tracking)
        self.sessions = {}    # (task, disk): Session
        self.condemned = collections.defaultdict(list)  # pack: [Condemn]
        self.rollbacks = {}   # sequence of the entry: (writer, sequence, hash)
        self.space = None

    def add(self, entry):
        said = parse_entry_body(entry.type, entry.body)
        if said is not None:
            self._BY_TYPE[entry.type](self, entry, said)

    def _space(self, _entry, said):
        require(said[0] != self.space, 'a number space is made twice')
        self.space = said[0]

    def _numbers(self, _entry, said):
        require(said[0] >> 40 == self.space, 'a range of numbers is not of the newest space')

    def _point(self, _entry, said):
        require(said.task not in self.points, 'a point is made twice')
        self.points[said.task] = said
        for key in [key for key in self.sessions if key[0] == said.task]:
            del self.sessions[key]

    def _tracking(self, _entry, said):
        self.tracking[said[0]] = said[1:]

    def _trash(self, _entry, said):
        self._point_of(said[0])
        self.trash[said[0]] = said[1]

    def _lock(self, _entry, said):
        task, until = said
        self._point_of(task)
        self.locks[task] = max(until, self.locks.get(task, until))
        self.trash.pop(task, None)

    def _undelete(self, _entry, said):
        self._point_of(said)
        self.trash.pop(said, None)

    def _purge(self, _entry, said):
        self._point_of(said)
        for of_task in (self.points, self.trash, self.locks, self.holds):
            of_task.pop(said, None)

    def _hold(self, _entry, said):
        task, held, why = said
        self._point_of(task)
        self.holds.pop(task, None)
        if held:
            self.holds[task] = why

    def _point_of(self, task):
        require(task in self.points, 'an entry names a point that is not there')

    def _session(self, _entry, said):
        self.sessions.pop((said.task, said.disk_id), None)
        if said.number:
            self.sessions[said.task, said.disk_id] = said

    def _condemn(self, _entry, said):
        self.condemned[said.pack].append(said)

    def _domain(self, _entry, said):
        self.domains[said[0]] = said[1:]

    def _rollback(self, entry, said):
        self.rollbacks[entry.sequence] = said

    def _accept(self, _entry, said):
        self.rollbacks.pop(said, None)

    def _nothing(self, _entry, _said):
        pass

    _BY_TYPE = {SPACE: _space, NUMBERS: _numbers, POINT: _point, TRACKING: _tracking, SUMMARY: _nothing,
                TRASH: _trash, UNDELETE: _undelete, PURGE: _purge, LOCK: _lock, HOLD: _hold, TASK: _nothing,
                SESSION: _session, CONDEMN: _condemn, DOMAIN: _domain, ROLLBACK: _rollback, ACCEPT: _accept}

    def synced(self):
        """Of each pack that what counts lists: up to where it was on disk."""
        lengths = {}
        for listing in list(self.points.values()) + list(self.sessions.values()):
            for name, length in listing.packs:
                lengths[name] = max(length, lengths.get(name, 0))
        return lengths

    def may_be_gone(self, pack):
        return any(entry.last for entry in self.condemned.get(pack, []))


def add_up(first_domain, read):
    """The state after (items, entries, findings), and the findings with what could not be added."""
    items, entries, findings = read
    state, findings = State(first_domain), list(findings)
    for entry in items + entries:
        try:
            state.add(entry)
        except Refused as error:
            findings.append('entry %d of the log: %s' % (entry.sequence, error))
    return state, findings


# ---- Reading a repository

class Repository:
    def __init__(self, folder, repository_key, named=None, agents_cas=()):
        with open(os.path.join(folder, 'repository'), 'rb') as file:
            self.id, self.first_domain, check = repository_file(file.read())
        require(named in (None, self.id), 'the key is that of another repository')
        self.keys = Keys(repository_key)
        require(hmac.compare_digest(self.keys.check, check), "the key is not this repository's")
        self.agents_cas = agents_cas
        self.packs = Packs(os.path.join(folder, 'packs'), self.id, self.keys)
        self.segments = read_segments(os.path.join(folder, 'log'), Writers(self.keys))
        read = last_summary(self.segments) or whole_chain(self.segments)
        self.state, self.log_findings = add_up(self.first_domain, read)

    def damage(self):
        """What is damaged or missing, as far as it is known before content is opened."""
        found = self.log_findings + self.packs.findings + self.packs.damage(self.state.synced())
        for name, length in self.state.synced().items():
            data = self.packs.files.get(name)
            if data is None and not self.state.may_be_gone(name):
                found.append('pack %s is missing' % name.hex())
            elif data is not None and len(data) < length:
                found.append('pack %s has %d bytes of %d' % (name.hex(), len(data), length))
        for writer, sequence, _head in self.state.rollbacks.values():
            found.append('the log of %s was put back to before entry %d' % (writer.hex(), sequence))
        return found

    def prove_chain(self):
        """Findings of reading all segments that are there, and of a state that is another from the beginning on."""
        if not self.segments or not self.segments[0].entries or self.segments[0].entries[0].sequence > 1:
            chain = Chain()
            chain.read(self.segments)
            return chain.findings
        state, findings = add_up(self.first_domain, whole_chain(self.segments))
        for what in ('domains', 'points', 'trash', 'locks', 'holds', 'tracking', 'sessions', 'condemned',
                     'rollbacks', 'space'):
            if getattr(state, what) != getattr(self.state, what):
                findings.append('the last summary and the whole chain differ in: %s' % what)
        return findings

    def open_point(self, task):
        return OpenPoint(self, self.state.points[task])

    def open_session(self, key):
        """The tree of an unfinished upload."""
        session = self.state.sessions[key]
        tree = open_tree(self.packs, session.domain, DISK_ROOT, session.root, session.number)
        require(session.blocks <= tree.root.blocks, 'a partial tree has more blocks than its disk')
        return tree


Content = collections.namedtuple('Content', 'kind name disk_id size root number')


class OpenPoint:
    """A point with its envelope and, if it can be read, its statement."""

    def __init__(self, repository, point):
        self.packs = repository.packs
        self.point = point
        self.problems = []
        self.statement = None
        self.envelope = parse_envelope(
            self.packs.open(point.domain, point.number, point.envelope, ENVELOPE))
        try:
            self._read_body(repository)
        except Refused as error:
            self.problems.append('names and signature are missing: %s' % error)

    def _read_body(self, repository):
        envelope = self.envelope
        signed, statement = parse_body(
            self.packs.open(self.point.domain, envelope.number, envelope.body, BODY))
        require((envelope.vm, envelope.time) == (statement.vm, statement.time) and
                self._same(envelope.disks, statement.disks) and self._same(envelope.files, statement.files),
                'envelope and statement differ')
        self.statement = statement
        try:
            require(statement.repository == repository.id, 'it names another repository')
            require(statement.task == self.point.task, 'it names another task')
            host = check_host_signature(signed, b'tidemark v0 statement', statement.time, repository.agents_cas)
            require(host == statement.host, "the certificate is another host's")
        except Refused as error:
            self.problems.append('the statement cannot be believed: %s' % error)

    @staticmethod
    def _same(named, stated):
        return [(one.size, one.root) for one in named] == [(one.size, one.root) for one in stated]

    def contents(self):
        """Disks, then files, with their names as far as they are known."""
        disks = self.statement.disks if self.statement else [Disk(None, None, 0, None)] * len(self.envelope.disks)
        files = self.statement.files if self.statement else [File(None, None, 0, None)] * len(self.envelope.files)
        return ([Content(DISK_ROOT, stated.name, stated.disk_id, *named)
                 for named, stated in zip(self.envelope.disks, disks)] +
                [Content(FILE_ROOT, stated.name, None, *named)
                 for named, stated in zip(self.envelope.files, files)])

    def tree(self, content):
        tree = open_tree(self.packs, self.point.domain, content.kind, content.root, content.number)
        require(tree.root.size == content.size, 'root and envelope differ in the size')
        return tree


# ---- list

def describe_content(content):
    said = {'name': content.name, 'size': content.size, 'root': content.root.hex()}
    if content.disk_id is not None:
        said['disk'] = content.disk_id.hex()
    return said


def describe_point(repository, task):
    point, state = repository.state.points[task], repository.state
    said = {'task': task.hex(), 'envelope': point.envelope.hex(), 'domain': point.domain.hex(),
            'state': 'trash' if task in state.trash else 'live', 'trash_until': state.trash.get(task),
            'locked_until': state.locks.get(task), 'held': state.holds.get(task)}
    try:
        opened = repository.open_point(task)
    except Refused as error:
        said['problems'] = ['the point cannot be read: %s' % error]
        return said
    statement = opened.statement
    said.update({
        'vm': opened.envelope.vm.hex(), 'time': opened.envelope.time,
        'vm_name': statement and statement.vm_name, 'host': statement and statement.host,
        'consistency': statement and {1: 'crash', 2: 'application'}[statement.consistency],
        'disks': [describe_content(one) for one in opened.contents() if one.kind == DISK_ROOT],
        'files': [describe_content(one) for one in opened.contents() if one.kind == FILE_ROOT],
        'problems': opened.problems})
    return said


def describe_session(repository, key):
    session = repository.state.sessions[key]
    said = {'task': session.task.hex(), 'disk': session.disk_id.hex(), 'domain': session.domain.hex(),
            'blocks': session.blocks}
    try:
        said['size'] = repository.open_session(key).root.size
        said['problems'] = []
    except Refused as error:
        said['problems'] = [str(error)]
    return said


def command_list(repository, _options):
    said = {
        'repository': repository.id.hex(),
        'domains': [{'domain': domain.hex(), 'name': name, 'retired': state == 2}
                    for domain, (state, name) in repository.state.domains.items()],
        'points': [describe_point(repository, task) for task in repository.state.points],
        'partial_trees': [describe_session(repository, key) for key in repository.state.sessions],
        'damage': repository.damage()}
    print(json.dumps(said, indent=1))
    bad = [one for one in said['points'] + said['partial_trees'] if one['problems']]
    if not repository.agents_cas:  # nobody can be believed without: that is no damage
        bad = [one for one in bad if not all('cannot be believed' in problem for problem in one['problems'])]
    return 1 if said['damage'] or bad else 0


# ---- extract

def write_tree(tree, path):
    """Makes the file; what is not written in it is zeros."""
    with open(path, 'xb') as file:
        for offset, data in tree.blocks():
            file.seek(offset)
            file.write(data)
        file.truncate(tree.root.size)


def one_of(found, what):
    require(found, 'there is no such %s' % what)
    require(len(found) == 1, 'there are several such %ss; say more' % what)
    return found[0]


def choose_content(opened, word):
    contents = opened.contents()
    match = re.fullmatch('(disk|file):([0-9]+)', word)
    if match:
        kind = DISK_ROOT if match[1] == 'disk' else FILE_ROOT
        of_kind = [one for one in contents if one.kind == kind]
        return one_of(of_kind[int(match[2]):][:1], match[1])
    return one_of([one for one in contents if one.name == word or
                   (one.disk_id is not None and one.disk_id.hex() == word)], 'disk or file')


def choose_tree(repository, point_word, disk_word):
    state = repository.state
    partial = [key for key in state.sessions if (key[0].hex(), key[1].hex()) == (point_word, disk_word)]
    if partial:
        return repository.open_session(partial[0])
    task = one_of([task for task, point in state.points.items() if task.hex().startswith(point_word) or
                   point.envelope.hex().startswith(point_word)], 'point')
    opened = repository.open_point(task)
    return opened.tree(choose_content(opened, disk_word))


def command_extract(repository, options):
    tree = choose_tree(repository, options.point, options.disk)
    write_tree(tree, options.out)
    for offset, length, why in tree.lost:
        print('reader.py: %d bytes from %d on are lost: %s' % (length, offset, why), file=sys.stderr)
    return 1 if tree.lost else 0


# ---- check

def check_records(repository):
    packs = repository.packs
    for key, places in packs.places.items():
        for place in places:
            try:
                packs.open_place(key, place)
            except Refused as error:
                yield 'pack %s, record %#x at %d: %s' % (place.pack.hex(), key[1], place.offset, error)


def check_tree(tree, what):
    for _ in tree.blocks():
        pass
    for offset, length, why in tree.lost:
        yield '%s: %d bytes from %d on: %s' % (what, length, offset, why)


def check_point(repository, task):
    what = 'point %s' % task.hex()
    try:
        opened = repository.open_point(task)
    except Refused as error:
        yield '%s: %s' % (what, error)
        return
    if repository.state.points[task].domain not in repository.state.domains:
        yield '%s is of a domain that nobody has named' % what
    for problem in opened.problems:
        if repository.agents_cas or 'cannot be believed' not in problem:
            yield '%s: %s' % (what, problem)
    for number, content in enumerate(opened.contents()):
        try:
            yield from check_tree(opened.tree(content), '%s, content %d' % (what, number))
        except Refused as error:
            yield '%s, content %d: %s' % (what, number, error)


def check_session(repository, key):
    what = 'partial tree %s of %s' % (key[1].hex(), key[0].hex())
    try:
        yield from check_tree(repository.open_session(key), what)
    except Refused as error:
        yield '%s: %s' % (what, error)


def check_tracking(repository):
    for vm, (signed, tracking) in repository.state.tracking.items():
        try:
            require(tracking.vm == vm and tracking.repository == repository.id, 'it names another VM or repository')
            if repository.agents_cas:
                check_host_signature(signed, b'tidemark v0 tracking', tracking.time, repository.agents_cas)
        except Refused as error:
            yield 'tracking of VM %s: %s' % (vm.hex(), error)


def check_all(repository):
    yield from repository.damage()
    for finding in repository.prove_chain():
        if finding not in repository.log_findings:
            yield finding
    yield from check_records(repository)
    for task in repository.state.points:
        yield from check_point(repository, task)
    for key in repository.state.sessions:
        yield from check_session(repository, key)
    yield from check_tracking(repository)


def command_check(repository, _options):
    findings = list(check_all(repository))
    places = sum(len(places) for places in repository.packs.places.values())
    print(json.dumps({'records': places, 'points': len(repository.state.points), 'findings': findings}, indent=1))
    return 1 if findings else 0


# ---- The command line

def read_whole(path):
    with open(path, 'rb') as file:
        return file.read()


def open_repository(options):
    def ask():
        if options.passphrase_file:
            return passphrase_of_file(read_whole(options.passphrase_file))
        return getpass.getpass().encode()

    pem = read_whole(options.agents_ca) if options.agents_ca else b''
    if options.kit:
        key, named, kept = recovery_kit(read_whole(options.kit), ask)
        pem += kept
    else:
        key, named = key_file(read_whole(options.key), ask)
    return Repository(options.data, key, named, certificates_of(pem))


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    for name, call in (('list', command_list), ('extract', command_extract), ('check', command_check)):
        command = commands.add_parser(name)
        command.set_defaults(call=call)
        command.add_argument('data', metavar='DATA', help="the repository's folder")
        key = command.add_mutually_exclusive_group(required=True)
        key.add_argument('--key', metavar='FILE', help='a key file, plain or wrapped')
        key.add_argument('--kit', metavar='FILE', help='a recovery kit')
        command.add_argument('--passphrase-file', metavar='FILE', help='else the passphrase is asked for')
        command.add_argument('--agents-ca', metavar='FILE', help="the agents' CAs, PEM, beside those of the kit")
        if name == 'extract':
            for word in ('point', 'disk', 'out'):
                command.add_argument(word, metavar=word.upper())
    return parser.parse_args(arguments)


def main(arguments):
    options = parse_options(arguments)
    try:
        return options.call(open_repository(options), options)
    except (Refused, OSError) as error:
        print('reader.py: %s' % error, file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
