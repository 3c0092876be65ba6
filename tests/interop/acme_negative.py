"""What bad input gets: the exact error of RFC 8555, and no state change."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from acmeclient import (Client, Tap, b64, jwk_of, make_csr,  # noqa: E402
                        new_key)
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: E402

directory, root, port = sys.argv[1:4]
tap = Tap()
c = Client(directory, root, int(port))
c.serve()

# ---- directory, nonces, transport ----
d = c.dir
tap.point({"newNonce", "newAccount", "newOrder", "revokeCert", "meta"} <=
          set(d), "the directory names its resources", d)
tap.point("newAuthz" not in d, "newAuthz is absent: not offered")
a = c.send("HEAD", d["newNonce"])
tap.point(a.status == 200 and a.headers["Cache-Control"] == "no-store",
          "HEAD newNonce is 200 and no-store")
a = c.send("GET", d["newNonce"])
tap.point(a.status == 204 and a.raw == b"", "GET newNonce is 204 and empty")
tap.point('rel="index"' in a.headers["Link"], "with the index link")
tap.point(c.nonce() != c.nonce(), "nonces differ")
tap.problem(c.send("GET", d["newOrder"]), 405, "malformed",
            "plain GET of newOrder")
tap.problem(c.send("DELETE", d["newAccount"]), 405, "malformed", "DELETE")
tap.problem(c.send("GET", directory.replace("directory", "nothing")), 404,
            "malformed", "an unknown path")
body = json.dumps(c.jws(d["newAccount"], {}, jwk=True))
tap.problem(c.post_raw(d["newAccount"], body, "application/json"), 415,
            "malformed", "the wrong content type")
a = c.post_raw(d["newAccount"], body, "application/jose+json; charset=utf-8")
tap.point(a.status == 201, "a parameter of the content type is fine", a.raw)
tap.problem(c.announce(d["newAccount"], 200000), 413, "malformed",
            "an oversized body")
for name, raw in (("empty", ""), ("no JSON", "{"), ("an array", "[]"),
                  ("bytes", b"\xff\x00\xfe"), ("deep", "[" * 3000),
                  ("a repeated member", '{"a":1,"a":2}')):
    tap.problem(c.post_raw(d["newAccount"], raw), 400, "malformed",
                f"a body that is {name}")

# ---- the JWS envelope ----
url = d["newAccount"]


def spoiled(text, status, kind, change=None, **kw):
    kw.setdefault("jwk", True)
    j = c.jws(url, {}, **kw)
    if change:
        change(j)
    tap.problem(c.post_raw(url, json.dumps(j)), status, kind, text)


spoiled("padding in base64url", 400, "malformed",
        lambda j: j.update(protected=j["protected"] + "="))
spoiled("an unprotected header", 400, "malformed",
        lambda j: j.update(header={"a": 1}))
spoiled("the general form", 400, "malformed",
        lambda j: j.update(signatures=[]))
spoiled("no signature", 400, "malformed", lambda j: j.pop("signature"))
spoiled("a wrong signature", 400, "malformed",
        lambda j: j.update(signature=b64(b"\x01" * 64)))
spoiled("a short signature", 400, "malformed",
        lambda j: j.update(signature=b64(b"\x01" * 63)))
spoiled("alg none", 400, "badSignatureAlgorithm", header={"alg": "none"})
spoiled("alg HS256", 400, "badSignatureAlgorithm", header={"alg": "HS256"})
a = c.post(url, {}, jwk=True, header={"alg": "HS256"})
tap.point("ES256" in a.json.get("algorithms", []),
          "the document lists our algorithms", a.raw)
spoiled("alg that does not fit the key", 400, "malformed",
        header={"alg": "ES384"})
spoiled("b64=false", 400, "malformed", header={"b64": False})
spoiled("both jwk and kid", 400, "malformed", header={"kid": url})
spoiled("neither jwk nor kid", 400, "malformed", drop=("jwk",))
spoiled("another url", 401, "unauthorized", header={"url": url + "x"})
spoiled("no nonce", 400, "badNonce", drop=("nonce",))
spoiled("an unknown nonce", 400, "badNonce", header={"nonce": b64(b"x" * 40)})
spoiled("a nonce that is not base64url", 400, "malformed",
        header={"nonce": "a=b"})
a = c.post(url, {}, jwk=True, header={"nonce": b64(b"y" * 40)})
tap.point(a.headers["Replay-Nonce"] is not None,
          "badNonce brings a fresh nonce")
k = c.jws(url, {"onlyReturnExisting": True}, jwk=True)
c.post_raw(url, json.dumps(k))
tap.problem(c.post_raw(url, json.dumps(k)), 400, "badNonce", "a replay")
weak = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
spoiled("an RSA-1024 key", 400, "badPublicKey", header={
    "alg": "RS256", "jwk": {
        "kty": "RSA", "e": b64(b"\x01\x00\x01"),
        "n": b64(weak.n.to_bytes(128, "big"))}})
off = dict(jwk_of(c.key), y=b64(b"\x05" * 32))
spoiled("a point off the curve", 400, "badPublicKey", header={"jwk": off})
short = dict(jwk_of(c.key), x=b64(b"\x05" * 31))
spoiled("a short coordinate", 400, "malformed", header={"jwk": short})

# ---- accounts ----
c2 = Client(directory, root, None)
a = c2.post(url, {"onlyReturnExisting": True}, jwk=True)
tap.problem(a, 400, "accountDoesNotExist", "onlyReturnExisting, unknown key")
tap.problem(c2.post(url, {"contact": None}, jwk=True), 400, "malformed",
            "contact null")
tap.problem(c2.post(url, {"contact": "x"}, jwk=True), 400, "malformed",
            "contact that is no array")
tap.problem(c2.post(url, {"contact": ["tel:+1"]}, jwk=True), 400,
            "unsupportedContact", "contact tel:")
tap.problem(c2.post(url, {"contact": ["mailto:a@b.test?x=y"]}, jwk=True),
            400, "invalidContact", "contact with header fields")
a = c.register()
tap.point(a.status in (200, 201) and a.json["status"] == "valid" and
          "orders" in a.json, "an account is made", a.raw)
a = c.post(url, {"contact": ["mailto:other@x.test"]}, jwk=True)
tap.point(a.status == 200 and a.headers["Location"] == c.kid and
          a.json["contact"] == [], "a known key: 200 and the stored object",
          a.raw)
c2.register()
tap.problem(c2.post(c.kid), 403, "unauthorized", "another's account")
page = c.kid + "/orders?before=9"
tap.point(c.post(page).status == 200, "the URL of a page has a query")
tap.problem(c.post_raw(page, json.dumps(c.jws(c.kid + "/orders", None))), 401,
            "unauthorized", "a query that is not in the signed URL")
a = c.post(c.kid, {"status": "valid", "orders": "x", "contact":
                   ["mailto:new@x.test"], "resource": "reg"})
tap.point(a.status == 200 and a.json["contact"] == ["mailto:new@x.test"],
          "an update changes the contact and ignores the rest", a.raw)
c3 = Client(directory, root, None)
c3.kid = c.kid[:-4] + "AAAA"
tap.problem(c3.order("a.test"), 400, "accountDoesNotExist", "unknown kid")
c3.kid = "https://elsewhere.test/acme/account/x"
tap.problem(c3.order("a.test"), 400, "accountDoesNotExist", "foreign kid")
c3.kid = c.kid
tap.problem(c3.order("a.test"), 400, "malformed", "another's signature")

# ---- orders ----
for text, payload, status, kind in (
        ("no identifiers", {}, 400, "malformed"),
        ("an empty list", {"identifiers": []}, 400, "malformed"),
        ("a string", {"identifiers": ["a.test"]}, 400, "malformed"),
        ("type ip", {"identifiers": [{"type": "ip", "value": "127.0.0.1"}]},
         400, "unsupportedIdentifier"),
        ("an address as dns",
         {"identifiers": [{"type": "dns", "value": "127.0.0.1"}]}, 400,
         "malformed"),
        ("a trailing dot",
         {"identifiers": [{"type": "dns", "value": "a.test."}]}, 400,
         "malformed"),
        ("a port", {"identifiers": [{"type": "dns", "value": "a.test:80"}]},
         400, "malformed"),
        ("a bad A-label",
         {"identifiers": [{"type": "dns", "value": "ab--c.test"}]}, 400,
         "malformed"),
        ("a long label",
         {"identifiers": [{"type": "dns", "value": "a" * 64 + ".test"}]},
         400, "malformed"),
        ("a name outside the profile",
         {"identifiers": [{"type": "dns", "value": "www.example.com"}]}, 403,
         "rejectedIdentifier"),
        ("a wildcard without dns-01",
         {"identifiers": [{"type": "dns", "value": "*.a.test"}]}, 403,
         "rejectedIdentifier"),
        ("notBefore", {"identifiers": [{"type": "dns", "value": "a.test"}],
                       "notBefore": "2030-01-01T00:00:00Z"}, 400,
         "malformed"),
        ("a notAfter that is no time",
         {"identifiers": [{"type": "dns", "value": "a.test"}],
          "notAfter": "tomorrow"}, 400, "malformed"),
        ("too many identifiers",
         {"identifiers": [{"type": "dns", "value": f"n{i}.test"}
                          for i in range(101)]}, 400, "malformed")):
    tap.problem(c.post(d["newOrder"], payload), status, kind,
                f"newOrder with {text}")
a = c.order("x.example.com", "y.example.org", "fine.test")
tap.point(a.type == "rejectedIdentifier" and
          len(a.json.get("subproblems", [])) == 2 and
          a.json["subproblems"][0]["identifier"]["value"] == "x.example.com",
          "several refused names are subproblems", a.raw)
a = c.order("UPPER.test", "upper.test")
tap.point(a.status == 201 and a.json["identifiers"] ==
          [{"type": "dns", "value": "upper.test"}],
          "names are folded to lower case and once each", a.raw)
tap.point(a.headers["Location"] is not None and {"status", "expires",
          "authorizations", "finalize"} <= set(a.json), "the order object")
url = a.headers["Location"]
tap.problem(c2.post(url), 403, "unauthorized", "another's order")
tap.problem(c.finalize(a, make_csr(["upper.test"])), 403, "orderNotReady",
            "finalize before validation")
az = c.post(a.json["authorizations"][0])
tap.point(az.json["identifier"]["value"] == "upper.test" and
          "wildcard" not in az.json, "the authorization object", az.raw)
tap.problem(c2.post(a.json["authorizations"][0]), 403, "unauthorized",
            "another's authorization")
ch = az.json["challenges"][0]
tap.problem(c2.post(ch["url"], {}), 403, "unauthorized",
            "another's challenge")
a2 = c.post(ch["url"])
tap.point(a2.json["status"] == "pending" and
          any('rel="up"' in v for v in a2.headers.get_all("Link")),
          "POST-as-GET of a challenge reads it, with the up link", a2.raw)
b = c.post(ch["url"], {})
tap.point(b.status == 200 and b.headers["Retry-After"] is not None,
          "a challenge is answered, with Retry-After", b.raw)
az = c.poll(a.json["authorizations"][0], ("invalid", "valid"))
tap.point(az.json["status"] == "invalid" and
          "error" in az.json["challenges"][0],
          "a challenge that nobody serves makes it invalid", az.raw)
tap.point(c.post(url).json["status"] == "invalid", "and the order too")
tap.problem(c.finalize(a, make_csr(["upper.test"])), 403, "orderNotReady",
            "finalize of an invalid order")
o = c.order("gone.test")
azu = o.json["authorizations"][0]
tap.point(c.post(azu, {"status": "deactivated"}).json["status"] ==
          "deactivated", "an authorization is deactivated")
tap.point(c.post(o.headers["Location"]).json["status"] == "invalid",
          "its order is invalid")

# ---- finalize ----
url, o = c.ready("f1.test", "f2.test")
both = ["f1.test", "f2.test"]
der = make_csr(both)
for text, csr in (("garbage", b"\x30\x03\x02\x01\x00"), ("nothing", b""),
                  ("trailing bytes", der + b"\x00"),
                  ("a broken signature", der[:-1] + bytes([der[-1] ^ 1])),
                  ("a missing name", make_csr(both[:1])),
                  ("a foreign name", make_csr(both + ["f3.test"])),
                  ("a foreign CN", make_csr(both, cn="f3.test")),
                  ("no names", make_csr([])),
                  ("the account's key", make_csr(both, c.key))):
    tap.problem(c.finalize(o, csr), 400, "badCSR", f"finalize with {text}")
tap.problem(c.post(o.json["finalize"], {}), 400, "malformed",
            "finalize without csr")
tap.problem(c.post(o.json["finalize"], {"csr": "a=b"}), 400, "malformed",
            "finalize with padded base64url")
tap.point(c.post(url).json["status"] == "ready",
          "the order is still ready after all of that")
a = c.finalize(o, make_csr(both, cn="f1.test"))
tap.point(a.status == 200 and a.json["status"] == "valid" and
          a.headers["Location"] == url, "then it is finalized", a.raw)
a = c.finalize(o, make_csr(both))
tap.point(a.status == 200 and a.json["status"] == "valid",
          "again: the order as it is", a.raw)
tap.problem(c2.post(a.json["certificate"]), 403, "unauthorized",
            "another's certificate")
pem = c.post(a.json["certificate"])
tap.point(pem.headers["Content-Type"] == "application/pem-certificate-chain"
          and pem.raw.startswith(b"-----BEGIN CERTIFICATE-----"),
          "the certificate is PEM with nothing before it")
cert = x509.load_pem_x509_certificate(pem.raw)

# ---- revocation ----
rev = d["revokeCert"]
raw = cert.public_bytes(serialization.Encoding.DER)
tap.problem(c.post(rev, {}), 400, "malformed", "revokeCert with nothing")
tap.problem(c.post(rev, {"certificate": b64(b"x")}), 400, "malformed",
            "revokeCert with garbage")
tap.problem(c.post(rev, {"certificate": b64(raw), "reason": 7}), 400,
            "badRevocationReason", "an unused reason")
tap.problem(c.post(rev, {"certificate": b64(raw), "reason": "1"}), 400,
            "badRevocationReason", "a reason that is no number")
tap.problem(c2.post(rev, {"certificate": b64(raw)}), 403, "unauthorized",
            "another's account")
tap.problem(c.post(rev, {"certificate": b64(raw)}, key=(k := new_key()),
                   jwk=True), 403, "unauthorized", "another key as jwk")
spoiled_raw = raw[:-1] + bytes([raw[-1] ^ 1])
tap.problem(c.post(rev, {"certificate": b64(spoiled_raw)}), 404, "malformed",
            "a certificate that is not quite ours")
a = c.post(rev, {"certificate": b64(raw), "reason": 4})
tap.point(a.status == 200 and a.raw == b"", "the owner revokes", a.raw)
tap.problem(c.post(rev, {"certificate": b64(raw), "reason": 4}), 400,
            "alreadyRevoked", "twice")

# ---- the end of an account ----
a = c2.post(c2.kid, {"status": "deactivated"})
tap.point(a.status == 200 and a.json["status"] == "deactivated",
          "an account is deactivated", a.raw)
tap.problem(c2.order("a.test"), 401, "unauthorized", "and takes no orders")
tap.problem(c2.post(c2.kid), 401, "unauthorized", "nor reads")
sys.exit(tap.done())
