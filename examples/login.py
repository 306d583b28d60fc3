#!/usr/bin/env python3
"""A login that mints the tokens sse-notify takes, with nothing but Python's standard library.

    examples/login.py --secret FILE [--listen HOST:PORT] [--daemon URL] [--ttl SECONDS]

It stands for the back end that you have already: it knows who is signed in, and says so to the daemon
by a token (a JWT) that both can check, since both know the secret. A browser gets it as a cookie, which
its EventSource sends by itself; an app that is no browser asks for it as JSON and sends it in a header.

    POST /login    name and password of a form: the session's cookie, and the token's
    POST /token    with the session's cookie: the token's cookie anew; as JSON where that is accepted
    POST /logout   both cookies are gone
    GET /          the page: a form, or the badge"""
import argparse
import base64
import hashlib
import hmac
import html
import http.cookies
import http.server
import json
import pathlib
import secrets
import time
import urllib.parse

PEOPLE = {"alice": "wonderland", "bob": "builder"}     # yours are in a database, and hashed
PAGE = pathlib.Path(__file__).with_name("badge.html").read_text(encoding="utf-8")
FORM = """<!doctype html><title>Sign in</title><form method="post" action="/login">
<label>Name <input name="name" required></label>
<label>Password <input name="password" type="password" required></label>
<button>Sign in</button></form>"""


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mint(user, secret, ttl):
    """A token for `ttl` seconds (RFC 7519, by HMAC with SHA-256). What else a user may hear goes in
    here: "sse_notify": {"subscribe": ["topic:deploys"]}."""
    claims = {"sub": user, "exp": int(time.time()) + ttl}
    signed = ".".join(encoded(json.dumps(part).encode())
                      for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


class Login(http.server.BaseHTTPRequestHandler):
    options = secret = None
    sessions = {}   # the session's cookie: who it is

    def answer(self, status, body="", kind="text/html; charset=utf-8", cookies=(), **headers):
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(data),
                            "Cache-Control": "no-store", **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        for cookie in cookies:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(data)

    def cookie(self, name, value, path, seconds):
        """No script can read it, and no other site's form sends it along. Add Secure with TLS."""
        return f"{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax"

    def token_cookie(self, user):
        """For the streams alone. Cookies are for a host, whatever the port: the daemon gets it as
        long as both are on one host, or under one domain that is named here (Domain=)."""
        token = mint(user, self.secret, self.options.ttl)
        return self.cookie("sse_notify", token, "/notifications", self.options.ttl)

    def session(self):
        jar = http.cookies.SimpleCookie(self.headers.get("Cookie"))
        return jar["session"].value if "session" in jar else None

    def do_GET(self):
        user = self.sessions.get(self.session())
        if self.path != "/":
            self.answer(404)
        elif user is None:
            self.answer(200, FORM)
        else:
            names = {"USER": user, "DAEMON": self.options.daemon}
            page = PAGE
            for name, value in names.items():
                page = page.replace("{" + name + "}", html.escape(value))
            self.answer(200, page)

    def do_POST(self):
        route = {"/login": self.login, "/token": self.token, "/logout": self.logout}.get(self.path)
        if route is None:
            self.answer(404)
        else:
            route()

    def login(self):
        size = min(int(self.headers.get("Content-Length") or 0), 4096)
        form = dict(urllib.parse.parse_qsl(self.rfile.read(size).decode()))
        user, given = form.get("name", ""), form.get("password", "")
        if not hmac.compare_digest(PEOPLE.get(user, "").encode(), given.encode()) or not given:
            self.answer(401, FORM)
            return
        session = secrets.token_urlsafe()
        self.sessions[session] = user
        self.answer(303, Location="/", cookies=[
            self.cookie("session", session, "/", 86400), self.token_cookie(user)])

    def token(self):
        user = self.sessions.get(self.session())
        if user is None:
            self.answer(401)
        elif "application/json" in self.headers.get("Accept", ""):
            token = mint(user, self.secret, self.options.ttl)
            self.answer(200, json.dumps({"token": token}), "application/json")
        else:
            self.answer(204, cookies=[self.token_cookie(user)])

    def logout(self):
        self.sessions.pop(self.session(), None)
        self.answer(303, Location="/", cookies=[
            self.cookie("session", "", "/", 0), self.cookie("sse_notify", "", "/notifications", 0)])

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secret", type=pathlib.Path, required=True)
    parser.add_argument("--listen", default="localhost:8000")
    parser.add_argument("--daemon", default="http://localhost:8080")
    parser.add_argument("--ttl", type=int, default=900)
    Login.options = parser.parse_args()
    Login.secret = Login.options.secret.read_bytes().removesuffix(b"\n")
    host, _, port = Login.options.listen.rpartition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Login)
    print(f"http://{host}:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
