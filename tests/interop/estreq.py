"""What curl and openssl cannot do for the EST tests.

estreq.py csr --key FILE [--cn NAME] [--dns NAME]... [--challenge TEXT]
	[--new-cn NAME] [--new-dns NAME]... [--attribute OID] [--break]
    Writes a PKCS#10 request (DER) with the key in FILE, which is made when it
    is not there.

estreq.py bound --root FILE --port N --path PATH --user NAME:SECRET
	--tls 1.2|1.3 --bind MODE --key FILE --cn NAME
    Sends a request whose challengePassword is the channel binding of its own
    connection (MODE "good"), that binding with a bit turned ("wrong"), that
    of another connection ("other") or not there ("none").  Prints status and
    body.
"""
import argparse
import base64
import os
import re
import socket
import ssl
import subprocess
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ENCODING = serialization.Encoding
EXPORTER = "EXPORTER-Channel-Binding"


def tlv(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def oid(text):
    arcs = [int(x) for x in text.split(".")]
    out = bytearray([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        septets = [arc & 0x7F]
        while arc > 0x7F:
            arc >>= 7
            septets.append(arc & 0x7F | 0x80)
        out += bytes(reversed(septets))
    return tlv(0x06, bytes(out))


def name_of(cn):
    if cn is None:
        return tlv(0x30)
    atv = tlv(0x30, oid("2.5.4.3"), tlv(0x0C, cn.encode()))
    return tlv(0x30, tlv(0x31, atv))


def general_names(names):
    return tlv(0x30, *(tlv(0x82, n.encode()) for n in names))


def attribute(kind, *values):
    return tlv(0x30, oid(kind), tlv(0x31, *values))


def attributes_of(o):
    out = []
    if o.dns:
        san = tlv(0x30, oid("2.5.29.17"),
                  tlv(0x04, general_names(o.dns)))
        out.append(attribute("1.2.840.113549.1.9.14", tlv(0x30, san)))
    if o.challenge is not None:
        out.append(attribute("1.2.840.113549.1.9.7",
                             tlv(0x0C, o.challenge.encode())))
    if o.new_cn is not None or o.new_dns:
        parts = [] if o.new_cn is None else [name_of(o.new_cn)]
        if o.new_dns:
            parts.append(general_names(o.new_dns))
        out.append(attribute("1.3.6.1.5.5.7.7.36", tlv(0x30, *parts)))
    if o.attribute is not None:
        out.append(attribute(o.attribute, tlv(0x04, b"id")))
    return tlv(0xA0, *sorted(out))


def load_key(path):
    if os.path.exists(path):
        with open(path, "rb") as f:
            return serialization.load_pem_private_key(f.read(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    with open(path, "wb") as f:
        f.write(key.private_bytes(ENCODING.PEM,
                                  serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption()))
    return key


def request(o):
    key = load_key(o.key)
    public = key.public_key().public_bytes(
        ENCODING.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    info = tlv(0x30, b"\x02\x01\x00", name_of(o.cn), public, attributes_of(o))
    signature = key.sign(info + b"x" if o.broken else info,
                         ec.ECDSA(hashes.SHA256()))
    return tlv(0x30, info, tlv(0x30, oid("1.2.840.10045.4.3.2")),
               tlv(0x03, b"\0", signature))


class Tls12:
    """Python's ssl knows tls-unique."""

    def __init__(self, o):
        context = ssl.create_default_context(cafile=o.root)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        plain = socket.create_connection(("localhost", o.port), timeout=20)
        self.sock = context.wrap_socket(plain, server_hostname="localhost")
        self.binding = self.sock.get_channel_binding("tls-unique")

    def ask(self, text):
        self.sock.sendall(text)
        got = b""
        while True:
            piece = self.sock.recv(65536)
            if not piece:
                return got
            got += piece

    def close(self):
        self.sock.close()


class Tls13:
    """The exporter needs openssl's own client."""

    def __init__(self, o):
        self.child = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"localhost:{o.port}",
             "-tls1_3", "-CAfile", o.root, "-verify_return_error",
             "-keymatexport", EXPORTER, "-keymatexportlen", "32", "-ign_eof"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.binding = None
        while self.binding is None:
            line = self.child.stdout.readline()
            if not line:
                sys.exit("s_client ended")
            found = re.search(rb"Keying material: ([0-9A-F]{64})", line)
            if found:
                self.binding = bytes.fromhex(found.group(1).decode())

    def ask(self, text):
        self.child.stdin.write(text)
        self.child.stdin.flush()
        got = self.child.stdout.read()
        return got[got.index(b"HTTP/1.1 "):]

    def close(self):
        self.child.terminate()
        self.child.communicate()


def value(o, connection, connect):
    binding = bytearray(connection.binding)
    if o.bind == "wrong":
        binding[0] ^= 1
    if o.bind == "other":
        second = connect(o)
        binding = second.binding
        second.close()
    return None if o.bind == "none" else base64.b64encode(binding).decode()


def bound(o):
    connect = Tls12 if o.tls == "1.2" else Tls13
    connection = connect(o)
    o.challenge = value(o, connection, connect)
    o.dns = [o.cn]
    body = base64.b64encode(request(o))
    head = (f"POST {o.path} HTTP/1.1\r\nHost: localhost:{o.port}\r\n"
            "Content-Type: application/pkcs10\r\nConnection: close\r\n"
            "Authorization: Basic "
            f"{base64.b64encode(o.user.encode()).decode()}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    answer = connection.ask(head.encode() + body)
    head, _, body = answer.partition(b"\r\n\r\n")
    print(head.split()[1].decode(), body.decode(errors="replace"))
    connection.close()


def options():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["csr", "bound"])
    p.add_argument("--key", required=True)
    p.add_argument("--cn")
    p.add_argument("--dns", action="append", default=[])
    p.add_argument("--challenge")
    p.add_argument("--new-cn")
    p.add_argument("--new-dns", action="append", default=[])
    p.add_argument("--attribute")
    p.add_argument("--break", dest="broken", action="store_true")
    p.add_argument("--root")
    p.add_argument("--port", type=int)
    p.add_argument("--path")
    p.add_argument("--user")
    p.add_argument("--tls", choices=["1.2", "1.3"])
    p.add_argument("--bind", choices=["good", "wrong", "other", "none"])
    return p.parse_args()


def main():
    o = options()
    if o.what == "csr":
        sys.stdout.buffer.write(request(o))
    else:
        bound(o)


main()
