"""A raw ACME client for tests: every part of a request can be spoiled."""
import base64
import hashlib
import http.client
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def jwk_of(key):
    n = key.public_key().public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": b64(n.x.to_bytes(32, "big")),
            "y": b64(n.y.to_bytes(32, "big"))}


def thumbprint(key):
    text = json.dumps(jwk_of(key), sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(text.encode()).digest())


def sign(key, data):
    r, s = utils.decode_dss_signature(
        key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def make_csr(names, key=None, cn=None):
    key = key or new_key()
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(
            [x509.DNSName(n) for n in names]), critical=False)
    csr = builder.sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.DER)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()
        try:
            self.json = json.loads(self.raw)
        except ValueError:
            self.json = None

    @property
    def type(self):
        """The last part of a problem's type, or None."""
        if self.json and "type" in self.json:
            return self.json["type"].rsplit(":", 1)[-1]
        return None


class Client:
    def __init__(self, directory, root, http01_port=None):
        self.base = urlsplit(directory)
        self.context = ssl.create_default_context(cafile=root)
        self.key = new_key()
        self.kid = None
        self.http01_port = http01_port
        self.tokens = {}
        self.dir = self.send("GET", directory).json

    def send(self, method, url, body=None, headers=None):
        conn = http.client.HTTPSConnection(
            self.base.hostname, self.base.port, context=self.context,
            timeout=30)
        try:
            parts = urlsplit(url)
            path = parts.path + ("?" + parts.query if parts.query else "")
            conn.request(method, path, body, headers or {})
            return Answer(conn.getresponse())
        finally:
            conn.close()

    def announce(self, url, size):
        """A POST that says how large its body would be, and waits."""
        conn = http.client.HTTPSConnection(
            self.base.hostname, self.base.port, context=self.context,
            timeout=30)
        try:
            conn.putrequest("POST", urlsplit(url).path)
            conn.putheader("Content-Type", "application/jose+json")
            conn.putheader("Content-Length", str(size))
            conn.putheader("Expect", "100-continue")
            conn.endheaders()
            return Answer(conn.getresponse())
        finally:
            conn.close()

    def nonce(self):
        return self.send("HEAD", self.dir["newNonce"]).headers["Replay-Nonce"]

    def jws(self, url, payload, key=None, header=None, drop=(), jwk=None):
        """The body of a POST as a dict; 'header' overrides members."""
        key = key or self.key
        protected = {"alg": "ES256", "url": url}
        if "nonce" not in drop:
            protected["nonce"] = self.nonce()
        if self.kid and jwk is None:
            protected["kid"] = self.kid
        else:
            protected["jwk"] = jwk_of(key)
        protected.update(header or {})
        for name in drop:
            protected.pop(name, None)
        p64 = b64(json.dumps(protected))
        d64 = b64("" if payload is None else payload
                  if isinstance(payload, (str, bytes)) else
                  json.dumps(payload))
        return {"protected": p64, "payload": d64,
                "signature": b64(sign(key, f"{p64}.{d64}".encode()))}

    def post(self, url, payload=None, **kw):
        return self.post_raw(url, json.dumps(self.jws(url, payload, **kw)))

    def post_raw(self, url, body, ctype="application/jose+json"):
        return self.send("POST", url, body, {"Content-Type": ctype})

    def register(self):
        a = self.post(self.dir["newAccount"], {"termsOfServiceAgreed": True},
                      jwk=True)
        if a.status in (200, 201):
            self.kid = a.headers["Location"]
        return a

    def order(self, *names, **more):
        return self.post(self.dir["newOrder"], dict(identifiers=[
            {"type": "dns", "value": n} for n in names], **more))

    def serve(self):
        """Answers http-01 challenges of this client's account."""
        client = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                token = self.path.rsplit("/", 1)[-1]
                body = client.tokens.get(token, "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.http01_port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def poll(self, url, done, tries=150):
        import time
        for _ in range(tries):
            a = self.post(url)
            if a.json and a.json.get("status") in done:
                return a
            time.sleep(0.1)
        raise AssertionError(f"{url} stays {a.status} {a.raw!r}")

    def authorize(self, order):
        for url in order.json["authorizations"]:
            az = self.post(url)
            if az.json["status"] == "valid":
                continue
            ch = [c for c in az.json["challenges"]
                  if c["type"] == "http-01"][0]
            self.tokens[ch["token"]] = (
                ch["token"] + "." + thumbprint(self.key))
            self.post(ch["url"], {})
            self.poll(url, ("valid", "invalid"))

    def ready(self, *names, **more):
        """An order that waits for its CSR: (URL, answer)."""
        o = self.order(*names, **more)
        assert o.status == 201, o.raw
        self.authorize(o)
        url = o.headers["Location"]
        return url, self.poll(url, ("ready", "invalid"))

    def finalize(self, order, csr):
        return self.post(order.json["finalize"], {"csr": b64(csr)})


class Tap:
    def __init__(self):
        self.n = 0
        self.failed = 0

    def point(self, ok, text, detail=""):
        self.n += 1
        if ok:
            print(f"ok {self.n} - {text}", flush=True)
            return
        self.failed += 1
        print(f"not ok {self.n} - {text}", flush=True)
        for line in str(detail).splitlines():
            print(f"# {line}", flush=True)

    def problem(self, answer, status, kind, text):
        """A problem document of this status and type, with its headers."""
        ok = (answer.status == status and answer.type == kind and
              answer.headers["Content-Type"] == "application/problem+json")
        self.point(ok, text, f"wanted {status} {kind}, got {answer.status} "
                   f"{answer.headers['Content-Type']} {answer.raw!r}")

    def done(self):
        print(f"1..{self.n}")
        return 1 if self.failed or not self.n else 0
