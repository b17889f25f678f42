"""TLS and HTTP/2 by hand: what no program of ours would ever say. A frame is {24 bits length, 8 type, 8 flags,
32 stream}, big-endian (RFC 9113); headers are written as literals without compression (RFC 7541, 6.2.2)."""
import os
import select
import socket
import ssl
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
SETTINGS_WINDOW = 4
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'


def connect(port, tls, deadline=30):
    """A TLS connection to PORT with the certificate in the folder TLS, by any name the server has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(os.path.join(tls, 'ca.pem'))
    context.load_cert_chain(os.path.join(tls, 'cert.pem'), os.path.join(tls, 'key.pem'))
    context.set_alpn_protocols(['h2'])
    plain = socket.create_connection(('127.0.0.1', port), timeout=deadline)
    return context.wrap_socket(plain, server_hostname='localhost')


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def _literal(name, value):
    """One header; both texts shorter than 127 bytes."""
    return b'\0' + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def call(path):
    """What opens a connection and the call of PATH on it, as stream 1."""
    headers = b''.join(_literal(name, value) for name, value in (
        (':method', 'POST'), (':scheme', 'https'), (':path', path), (':authority', 'localhost'),
        ('te', 'trailers'), ('content-type', 'application/grpc')))
    return PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, headers)


class Flood:
    """One call whose first message says that it has LENGTH bytes, and which sends them as far as the server lets it."""

    def __init__(self, connection, path, length):
        self.connection = connection
        self.sent = 0
        self.grpc_status = None
        self.reset = self.goaway = self.closed = False
        self._path = path
        self._prefix = b'\0' + struct.pack('>I', length)
        self._pending = b''
        self._windows = {0: 65535, 1: 65535}  # what may still be sent: on the connection, in the call
        self._initial = 65535
        self._frame_max = 16384

    def refused(self):
        return self.reset or self.goaway or self.closed or self.grpc_status not in (None, 0)

    def run(self, most, quiet=5):
        """Sends until the call is refused, MOST bytes are sent, or the server has said nothing for QUIET seconds
        while nothing may be sent."""
        try:
            self.connection.settimeout(quiet)
            self.connection.sendall(call(self._path))
            while not self.refused() and self.sent < most:
                room = min(self._windows[0], self._windows[1], self._frame_max)
                if room < len(self._prefix) + 1:
                    if not self._read():
                        break
                    continue
                data = self._prefix + bytes(room - len(self._prefix))
                self._prefix = b''
                self.connection.sendall(frame(DATA, 0, 1, data))
                self.sent += room
                self._windows[0] -= room
                self._windows[1] -= room
                while self.connection.pending() or select.select([self.connection], [], [], 0)[0]:
                    self._read()
        except (ConnectionError, ssl.SSLError):
            self.closed = True
        return self

    def _read(self):
        """Takes what the server says. False: nothing came."""
        try:
            got = self.connection.recv(65536)
        except TimeoutError:
            return False
        if not got:
            raise ConnectionResetError
        self._pending += got
        while len(self._pending) >= 9:
            length = int.from_bytes(self._pending[:3], 'big')
            if len(self._pending) < 9 + length:
                break
            self._take(self._pending[3], self._pending[4], int.from_bytes(self._pending[5:9], 'big'),
                       self._pending[9:9 + length])
            self._pending = self._pending[9 + length:]
        return True

    def _take(self, kind, flags, stream, payload):
        if kind == WINDOW_UPDATE and stream in self._windows:
            self._windows[stream] += int.from_bytes(payload, 'big')
        elif kind == PING and flags == 0:
            self.connection.sendall(frame(PING, 1, 0, payload))
        elif kind == SETTINGS and flags == 0:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack_from('>HI', payload, at)
                if name == SETTINGS_WINDOW:
                    self._windows[1] += value - self._initial
                    self._initial = value
            self.connection.sendall(frame(SETTINGS, 1, 0))
        elif kind == HEADERS:
            # gRPC's server writes this name and its value as they are, never in Huffman's code.
            at = payload.find(b'grpc-status')
            if at >= 0:
                value = payload[at + 11:]
                self.grpc_status = int(value[1:1 + value[0]])
        self.reset |= kind == RST_STREAM
        self.goaway |= kind == GOAWAY


def flood(connection, path, length, most):
    return Flood(connection, path, length).run(most)


def ended(connection):
    """Does the server close the CONNECTION, without a word more from us?"""
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except (ConnectionError, ssl.SSLError):
        pass
    return True
