"""Tokens and keys for the integration tests: made with Python's own HMAC, or by the program."""
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import pathlib
import re
import threading
import time

from harness import ROOT, run

SECRET = b"a secret of sixty-four bytes that nobody could ever have guessed"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user="alice", ttl=3600, secret=SECRET, header=None, **claims):
    """A token of HS256; a claim of None is left out."""
    claims = {"sub": user, "exp": int(time.time()) + ttl} | claims
    claims = {name: value for name, value in claims.items() if value is not None}
    parts = [json.dumps(header or {"alg": "HS256"}).encode(), json.dumps(claims).encode()]
    text = ".".join(map(encode, parts))
    return f"{text}.{encode(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def grants(subscribe=(), publish=()):
    return {"sse_notify": {"subscribe": list(subscribe), "publish": list(publish)}}


def bearer(text):
    return [("Authorization", f"Bearer {text}")]


def support(name):
    """A text of tests/support/keys.h."""
    source = (ROOT / "tests" / "support" / "keys.h").read_text()
    lines = re.search(rf'#define {name} \\\n((?: +".*"(?: \\)?\n)+)', source).group(1)
    return "".join(json.loads(part) for part in re.findall(r'".*"', lines))


def jwk(name, **more):
    """A public key of keys.h as a JWK."""
    return json.loads("{" + support(f"KEYS_{name}_JWK") + "}") | more


def signed(folder, name, *arguments):
    """A token that the program signs with a private key of keys.h."""
    path = pathlib.Path(folder) / f"{name}.pem"
    path.write_text(support(f"KEYS_{name}_PRIVATE"))
    done = run("token", "--key", path, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class KeyServer:
    """Serves a JWK Set from a loopback port. `keys` may change; `status` other than 200 fails;
    while `gate` is clear, answers wait."""

    def __init__(self, *keys):
        self.keys = list(keys)
        self.status = 200
        self.fetches = 0
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.fetches += 1
                outer.gate.wait(60)
                body = json.dumps({"keys": outer.keys}).encode()
                with contextlib.suppress(OSError):  # it may have given up
                    self.send_response(outer.status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/jwks.json"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
