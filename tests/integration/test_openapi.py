"""docs/openapi.yaml against itself and against the daemon: the same routes, every documented
answer provoked, every body, header and control event as its schema says."""
import json
import pathlib
import re
import signal
import unittest

from harness import ROOT, Http, TestCase, main, quote, run, wait_for
from tokens import SECRET, bearer, token

try:
    import jsonschema
    import yaml
except ImportError as why:
    raise SystemExit(f"python3 has no module {why.name}: `make test-deps`") from None

METHODS = ("get", "post", "delete")
SCHEMES = ["token", "cookie", "query", "key"]


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise yaml.YAMLError(f"the key {key!r} is no string {node.start_mark}")
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice {node.start_mark}")
        return super().construct_mapping(node, deep)


DOCUMENT = yaml.load((ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8"), StrictLoader)


def resolve(node):
    """What a Reference Object stands for; its own description takes the place of the other's."""
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    return node


def faults(schema, value):
    """What is wrong with the value, by a schema of the document; a list of sentences."""
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    found = jsonschema.Draft202012Validator(whole).iter_errors(value)
    return [f"{list(e.absolute_path)}: {e.message}" for e in found]


def walk(node, path=()):
    """Every mapping in the document, with where it stands."""
    if isinstance(node, dict):
        yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(
        node if isinstance(node, list) else ())
    for key, value in items:
        yield from walk(value, (*path, key))


def operations():
    """(path, method, operation) of each."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


BY_ID = {operation["operationId"]: (path, method, operation)
         for path, method, operation in operations()}


# ---- the file by itself ----

# The objects of OpenAPI 3.1 (Source: spec.openapis.org/oas/v3.1) as far as the file uses them; a
# field that is not here is one that the file has no use for, or a slip.
def an_object(needed="", /, **properties):
    return {"type": "object", "required": needed.split(), "properties": properties,
            "additionalProperties": False}


def a_map(names, of):
    return {"type": "object", "minProperties": 1, "propertyNames": {"pattern": names},
            "additionalProperties": of}


def or_reference(name):
    """Either a Reference Object or the object itself."""
    return {"if": {"required": ["$ref"]},
            "then": an_object("$ref", **{"$ref": {"pattern": "^#/components/[a-zA-Z]+/[A-Za-z]+$"},
                                         "description": TEXT}),
            "else": {"$ref": f"#/$defs/{name}"}}


TEXT = {"type": "string", "minLength": 1}
SCHEMA = {"type": ["object", "boolean"]}  # judged by JSON Schema's own meta-schema
COMPONENT = "^[A-Za-z]+$"
META = an_object(
    "openapi info servers security tags paths components",
    openapi={"pattern": r"^3\.1\.[0-9]+$"},
    info=an_object("title version license description summary", title=TEXT, version=TEXT,
                   summary=TEXT, description=TEXT,
                   license=an_object("name identifier", name=TEXT, identifier=TEXT)),
    servers={"type": "array", "minItems": 1,
             "items": an_object("url", url={"pattern": "^http://"}, description=TEXT)},
    security={"type": "array", "maxItems": 0},
    tags={"type": "array", "items": an_object("name description", name=TEXT, description=TEXT)},
    paths=a_map("^/", an_object(parameters={"type": "array", "items": or_reference("parameter")},
                                **{method: {"$ref": "#/$defs/operation"} for method in METHODS})),
    components=an_object(
        securitySchemes=a_map(COMPONENT, {"$ref": "#/$defs/scheme"}),
        parameters=a_map(COMPONENT, {"$ref": "#/$defs/parameter"}),
        headers=a_map(COMPONENT, {"$ref": "#/$defs/header"}),
        responses=a_map(COMPONENT, {"$ref": "#/$defs/response"}),
        schemas=a_map(COMPONENT, SCHEMA)))
META["$defs"] = {
    "operation": an_object(
        "operationId tags summary responses", operationId={"pattern": COMPONENT}, summary=TEXT,
        description=TEXT, tags={"type": "array", "minItems": 1,
                                "items": {"enum": ["public", "internal"]}},
        security={"type": "array", "minItems": 1, "items": {
            "propertyNames": {"enum": SCHEMES}, "additionalProperties": {"maxItems": 0}}},
        parameters={"type": "array", "items": or_reference("parameter")},
        requestBody=an_object("content", required={"type": "boolean"}, description=TEXT,
                              content=a_map("^[a-z]+/", {"$ref": "#/$defs/media"})),
        responses=a_map("^([1-5][0-9][0-9]|default)$", or_reference("response"))),
    "parameter": an_object(
        "name in schema", name=TEXT, **{"in": {"enum": ["path", "query", "header"]}},
        required={"type": "boolean"}, description=TEXT, explode={"type": "boolean"},
        schema=SCHEMA),
    "scheme": an_object("type description", type={"enum": ["http", "apiKey"]}, description=TEXT,
                        scheme={"const": "bearer"}, bearerFormat=TEXT, name=TEXT,
                        **{"in": {"enum": ["query", "header", "cookie"]}}),
    "header": an_object("schema", required={"type": "boolean"}, description=TEXT, schema=SCHEMA),
    "response": an_object(
        "description content", description=TEXT,
        headers=a_map("^[A-Za-z-]+$", or_reference("header")),
        content=a_map("^[a-z]+/", {"$ref": "#/$defs/media"})),
    "media": an_object(
        "schema", schema=SCHEMA, example=True,
        examples=a_map(COMPONENT, an_object("value", value=True)),
        **{"x-control-events": a_map("^[a-z]+$", SCHEMA)}),
}


class Document(unittest.TestCase):
    def test_it_is_an_openapi_description(self):
        jsonschema.Draft202012Validator.check_schema(META)
        found = list(jsonschema.Draft202012Validator(META).iter_errors(DOCUMENT))
        self.assertEqual([f"{list(e.absolute_path)}: {e.message[:300]}" for e in found], [])

    def test_every_reference_leads_to_a_component_and_every_component_is_used(self):
        used = {node["$ref"] for _, node in walk(DOCUMENT) if "$ref" in node}
        used |= {f"#/components/securitySchemes/{name}" for _, _, operation in operations()
                 for scheme in operation.get("security", ()) for name in scheme}
        there = {f"#/components/{kind}/{name}" for kind, items in DOCUMENT["components"].items()
                 for name in items}
        self.assertEqual(used, there)

    def test_every_schema_is_one(self):
        schemas = list(DOCUMENT["components"]["schemas"].values())
        schemas += [node["schema"] for path, node in walk(DOCUMENT)
                    if "schema" in node and "schemas" not in path]
        self.assertGreater(len(schemas), 40)
        for schema in schemas:
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_every_example_is_as_its_schema_says(self):
        count = 0
        for path, node in walk(DOCUMENT):
            if "schema" not in node or "schemas" in path:
                continue
            examples = [node["example"]] if "example" in node else []
            examples += [each["value"] for each in node.get("examples", {}).values()]
            for example in examples:
                count += 1
                self.assertEqual(faults(node["schema"], example), [], path)
        self.assertGreater(count, 10)

    def test_the_examples_of_ndjson_and_of_the_stream_are_well_formed(self):
        _, _, notify = BY_ID["notify"]
        lines = notify["requestBody"]["content"]["application/x-ndjson"]["example"].splitlines()
        for line in lines:
            self.assertEqual(faults({"$ref": "#/components/schemas/Notification"},
                                    json.loads(line)), [])
        media = resolve(BY_ID["subscribe"][2]["responses"]["200"])["content"]["text/event-stream"]
        blocks = media["example"].rstrip("\n").split("\n\n")
        self.assertEqual([re.findall("^event: (.*)", block, re.M) for block in blocks],
                         [[], ["notification"], ["retract"]])
        data, = re.findall("^data: (.*)", blocks[2], re.M)
        self.assertEqual(faults(media["x-control-events"]["retract"], json.loads(data)), [])

    def test_operation_ids_are_unique_and_path_parameters_declared(self):
        self.assertEqual(len(BY_ID), len(list(operations())))
        for path, _, operation in operations():
            declared = [resolve(p) for p in (*DOCUMENT["paths"][path].get("parameters", ()),
                                             *operation.get("parameters", ()))]
            self.assertEqual({p["name"] for p in declared if p["in"] == "path"},
                             set(re.findall(r"\{(\w+)\}", path)), path)
            self.assertTrue(all(p["required"] for p in declared if p["in"] == "path"))
            self.assertEqual(len({(p["in"], p["name"]) for p in declared}), len(declared), path)

    def test_every_operation_has_a_problem_for_what_is_not_listed(self):
        for _, _, operation in operations():
            for status, response in operation["responses"].items():
                if status == "default" or status >= "400":
                    self.assertEqual(list(resolve(response)["content"]),
                                     ["application/problem+json"])
            self.assertIn("default", operation["responses"])

    def test_it_is_of_this_version(self):
        self.assertEqual(run("version").stdout.split()[1], DOCUMENT["info"]["version"])


# ---- the routes ----

def fill(path, **values):
    """A concrete path of the template; "x" for what is not given."""
    return re.sub(r"\{(\w+)\}", lambda name: values.get(name.group(1), "x"), path)


def fits(template, path):
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) is not None


def documented_methods(path, role=None):
    """Of all templates that the path fits: `history` is an id, too."""
    return {method.upper() for template, method, operation in operations()
            if fits(template, path) and (role is None or role in operation["tags"])}


class Routes(TestCase):
    options = ("listener.public.address=127.0.0.1:0", "listener.public.role=public",
               "listener.internal.address=127.0.0.1:0", "listener.internal.role=internal")

    def port_of(self, name):
        return int(self.daemon.wait_log("listening", listener=name)["address"].split(":")[-1])

    def test_they_are_those_of_the_source(self):
        source = (ROOT / "src" / "api" / "routes.c").read_text()
        rows = re.findall(r'\{HTTP_(\w+), "([^"]+)", HTTP_(\w+), \w+\}', source)
        self.assertEqual(len(rows), source.count('", HTTP_'))
        tags = {"PUBLIC": ["public"], "INTERNAL": ["internal"], "ALL": ["public", "internal"]}
        self.assertEqual(
            sorted((re.sub(r":(\w+)", r"{\1}", path), method.lower(), tags[role])
                   for method, path, role in rows),
            sorted((path, method, operation["tags"]) for path, method, operation in operations()))

    def test_allow_lists_what_is_documented(self):
        for name, role in (("default", None), ("public", "public"), ("internal", "internal")):
            port = self.port_of(name)
            for template in DOCUMENT["paths"]:
                path = fill(template)
                expected = documented_methods(path, role)
                with self.subTest(listener=name, path=template):
                    response = self.request_at(port, "OPTIONS", path)
                    if not expected:
                        self.assertEqual(response.status, 404)
                        continue
                    self.assertEqual(response.status, 204)
                    expected |= {"OPTIONS"} | ({"HEAD"} if "GET" in expected else set())
                    self.assertEqual(set(response["Allow"].split(", ")), expected)

    def test_a_listener_answers_what_its_role_has_and_nothing_else(self):
        for name in ("public", "internal"):
            port = self.port_of(name)
            for path, method, operation in operations():
                with self.subTest(listener=name, path=path, method=method):
                    # A user id that cannot be: no stream opens, and where the route is it is 400.
                    verb = "HEAD" if operation["operationId"] == "figures" else method.upper()
                    status = self.request_at(port, verb, fill(path, userID="%ff")).status
                    if name in operation["tags"]:
                        self.assertIn(status, (200, 400, 409))
                    else:
                        self.assertIn(status, (404, 405))

    def request_at(self, port, method, path):
        with Http(port) as http:
            http.send_request(method, path, b"" if method == "POST" else None)
            return http.read_response(method == "HEAD")


# ---- the answers ----

# With the journal in memory nothing makes the daemon answer these.
OUT_OF_REACH = {("listHistory", "503"), ("userHistory", "503"), ("trace", "503"),
                 ("notify", "503"), ("notify", "507"), ("revoke", "507")}

NOTIFICATION = {"$ref": "#/components/schemas/Notification"}

# Whether the schema and the daemon take it must be the same.
BODIES = [
    {"user": "a", "data": 1},
    {"user": "a", "data": None},
    {"user": "é" * 128, "data": ""},
    {"users": ["a", "b", "a"], "data": [1, {"b": 2.50}]},
    {"users": [f"u{n}" for n in range(1000)], "data": 1},
    {"topic": "t", "data": {}, "event": "e" * 128},
    {"broadcast": True, "data": False, "ttl": 0},
    {"user": "a", "data": 1, "ttl": 1.5},
    {"user": "a", "data": 1, "ttl": 316224000},
    {"user": "a", "data": 1, "collapse_key": "k", "idempotency_key": "k" * 256},
    {},
    {"data": 1},
    {"user": "a"},
    {"user": "a", "topic": "t", "data": 1},
    {"user": "a", "users": ["b"], "data": 1},
    {"broadcast": False, "data": 1},
    {"broadcast": 1, "data": 1},
    {"user": "", "data": 1},
    {"user": 5, "data": 1},
    {"user": "a\nb", "data": 1},
    {"user": "a" * 257, "data": 1},
    {"users": [], "data": 1},
    {"users": "a", "data": 1},
    {"users": [""], "data": 1},
    {"users": [f"u{n}" for n in range(1001)], "data": 1},
    {"topic": "", "data": 1},
    {"user": "a", "data": 1, "event": ""},
    {"user": "a", "data": 1, "event": "gap"},
    {"user": "a", "data": 1, "event": "expiring"},
    {"user": "a", "data": 1, "event": "e\u007f"},
    {"user": "a", "data": 1, "event": "e" * 129},
    {"user": "a", "data": 1, "ttl": -1},
    {"user": "a", "data": 1, "ttl": "60"},
    {"user": "a", "data": 1, "ttl": 316224001},
    {"user": "a", "data": 1, "collapse_key": ""},
    {"user": "a", "data": 1, "collapse_key": "k" * 257},
    {"user": "a", "data": 1, "idempotency_key": 7},
    {"user": "a", "data": 1, "dta": 1},
    [],
    17,
    "text",
    None,
]


class Answers(TestCase):
    """A method `OPERATION_STATUS` provokes one documented answer and returns it."""
    secured = None

    # -- checking --

    def assert_header(self, response, name, header):
        header = resolve(header)
        value = response[name]
        if value is None:
            self.assertFalse(header.get("required"), f"{name} is missing: {response}")
            return
        if header["schema"].get("type") == "integer":
            self.assertRegex(value, r"\A[0-9]+\Z", name)
            value = int(value)
        self.assertEqual(faults(header["schema"], value), [], name)

    def assert_documented(self, response, operation_id, status):
        """That the answer is the one which stands under that status."""
        described = resolve(BY_ID[operation_id][2]["responses"][status])
        if status != "default":
            self.assertEqual(response.status, int(status), response)
        content_type = response["Content-Type"].partition(";")[0]
        self.assertIn(content_type, described["content"], response)
        for name, header in described.get("headers", {}).items():
            self.assert_header(response, name, header)
        if content_type != "text/event-stream":
            value = response.body.decode() if content_type.startswith("text/") else response.json()
            self.assertEqual(faults(described["content"][content_type]["schema"], value), [],
                             response)
        if response.status >= 400:
            self.assertEqual(response.json()["status"], response.status)

    def call(self, operation_id, body=None, headers=(), query="", daemon=None, **values):
        path, method, _ = BY_ID[operation_id]
        values = {"userID": quote(self.user)} | values
        return (daemon or self.daemon).request(method.upper(), fill(path, **values) + query, body,
                                               headers)

    # -- one answer each --

    def subscribe_200(self):
        return self.open(self.user).head

    def subscribe_400(self):
        return self.call("subscribe", query="?heartbeat=comment")

    def subscribe_429(self):
        daemon = self.start("streams.max_streams_per_user=1")
        self.open(daemon=daemon)
        return self.call("subscribe", daemon=daemon)

    def subscribe_503(self):
        daemon = self.start("streams.max_streams=1")
        self.open("another", daemon)
        return self.call("subscribe", daemon=daemon)

    def listHistory_200(self):
        for data in ("text", {"n": 1}, None):
            self.daemon.notify(user=self.user, event="e", data=data)
        response = self.call("listHistory", query="?limit=2")
        self.assertEqual(len(response.json()["notifications"]), 2)
        return response

    def listHistory_400(self):
        return self.call("listHistory", query="?limit=1001")

    def retract_200(self):
        return self.call("retract", id=self.daemon.notify(user=self.user, data=1)["id"])

    def retract_400(self):
        return self.call("retract", id="a%20b")

    def retract_404(self):
        sent = self.daemon.notify(user="another", data=1)["id"]
        return self.call("retract", id=sent)

    def notify_200(self):
        return self.call("notify", json.dumps({"user": self.user, "data": 1}).encode())

    def notify_400(self):
        return self.call("notify", b'{"user":')

    def notify_413(self):
        return self.call("notify", json.dumps({"user": self.user, "data": "x" * 70000}).encode())

    def presence_200(self):
        self.open(self.user)
        response = self.call("presence")
        self.assertTrue(response.json()["online"])
        return response

    def kick_200(self):
        self.open(self.user)
        return self.call("kick")

    def kickOne_200(self):
        return self.call("kickOne", clientID=self.open(self.user).client_id)

    def kickOne_400(self):
        return self.call("kickOne", clientID="x")

    def kickOne_404(self):
        return self.call("kickOne", clientID="0123456789abcdef")

    def erase_200(self):
        return self.call("erase")

    def with_credentials(self):
        """A daemon that asks for them, the test's one, and a key of one notification a second."""
        if self.secured is not None:
            return self.secured
        folder = pathlib.Path(self.scratch())
        (folder / "secret").write_bytes(SECRET)
        key = run("key", "add", "slow", "--rate", 1, "--file", folder / "keys").stdout.strip()
        self.secured = self.start("auth.subscribe=jwt", f"auth.jwt_key_file={folder}/secret",
                                  "auth.publish=key",
                                  f"auth.publish_keys_file={folder}/keys"), key
        return self.secured

    def notify_429(self):
        daemon, key = self.with_credentials()
        body = json.dumps([{"user": self.user, "data": 1}] * 9).encode()
        self.assertEqual(self.call("notify", body, bearer(key), daemon=daemon).status, 200)
        return self.call("notify", body, bearer(key), daemon=daemon)

    def refresh(self, client_id, daemon=None, headers=()):
        return self.call("refresh", json.dumps({"client_id": client_id}).encode(), headers,
                         daemon=daemon)

    def refresh_200(self):
        self.assert_documented(self.refresh(self.open(self.user).client_id), "refresh", "200")
        daemon, mine = self.with_credentials()[0], bearer(token(self.user, ttl=100))
        client_id = self.open(self.user, daemon, headers=mine).client_id
        return self.refresh(client_id, daemon, bearer(token(self.user)))

    def refresh_401(self):
        return self.refresh("0123456789abcdef", self.with_credentials()[0])

    def refresh_404(self):
        return self.refresh("0123456789abcdef")

    def revoke(self, daemon=None, headers=()):
        return self.call("revoke", b'{"jti":"t1"}', headers, daemon=daemon)

    def revoke_200(self):
        daemon, key = self.with_credentials()
        return self.revoke(daemon, bearer(key))

    def revoke_401(self):
        return self.revoke(self.with_credentials()[0])

    def revoke_400(self):
        daemon, key = self.with_credentials()
        return self.call("revoke", b"{}", bearer(key), daemon=daemon)

    def revoke_409(self):
        return self.revoke()

    def revoke_503(self):
        self.with_credentials()
        self.secured = None
        daemon, key = self.with_credentials()  # another one, which has written none yet
        (pathlib.Path(daemon.home) / "revocations.new").mkdir()
        return self.revoke(daemon, bearer(key))

    def stats_200(self):
        return self.call("stats")

    def metrics_200(self):
        return self.call("metrics")

    def trace_200(self):
        self.open(self.user)
        sent = self.daemon.notify(user=self.user, data=1)["id"]
        response = self.call("trace", query=f"?id={sent}")
        self.assertEqual(len(response.json()["streams"]), 1)
        return response

    def userHistory_200(self):
        self.daemon.notify(user=self.user, data=1)
        return self.call("userHistory")

    def log_200(self):
        daemon = self.start("auth.publish_keys_file=/tmp/unused")
        response = self.call("log", daemon=daemon)
        self.assertEqual(response.json()["total"], 1)
        return response

    def config_200(self):
        return self.call("config", daemon=self.start("listener.a.address=127.0.0.1:0"))

    def console_200(self):
        return self.call("console")

    def consoleStyle_200(self):
        return self.call("consoleStyle")

    def consoleScript_200(self):
        return self.call("consoleScript")

    def consoleCharts_200(self):
        return self.call("consoleCharts")

    def figures_200(self):
        stream = self.open("/console/events", wait=False).begin()
        event = stream.next()
        self.assertEqual(event.event, "figures")
        stats = BY_ID["stats"][2]["responses"]["200"]["content"]["application/json"]["schema"]
        self.assertEqual(faults(stats, json.loads(event.data)), [])
        return stream.head

    def figures_429(self):
        daemon = self.start("streams.max_streams_per_ip=1")
        self.open("/console/events", daemon, wait=False).begin()
        return self.call("figures", daemon=daemon)

    def figures_503(self):
        """Of a request that had begun when the daemon was told to end."""
        return self.while_draining("/console/events")

    def healthz_200(self):
        return self.call("healthz")

    def readyz_200(self):
        return self.call("readyz")

    def readyz_503(self):
        """Of a request that had begun when the daemon was told to end."""
        return self.while_draining("/readyz")

    def while_draining(self, path):
        daemon = self.start("server.drain_time=60s")
        self.open(daemon=daemon)
        http = self.connect(daemon)
        http.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode())
        wait_for(lambda: daemon.stats()["connections_open"] == 3, "all connections")
        daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in daemon.log_text(), "the drain")
        http.send(b"\r\n")
        return http.read_response()

    def provoke(self, operation_id, status):
        own = getattr(self, f"{operation_id}_{status}", None)
        if own is not None:
            return own()
        if status == "401":
            return self.call(operation_id, daemon=self.with_credentials()[0])
        if status == "403":
            return self.call(operation_id, headers=[("Origin", "http://elsewhere.example")])
        if status == "400":
            return self.call(operation_id, userID="%ff", query="?id=aaaaaaaa-1")
        self.assertEqual(status, "default", f"{operation_id} {status} is not provoked: add a "
                         f"method, or a row of OUT_OF_REACH")
        path, _, _ = BY_ID[operation_id]
        return self.daemon.request("PATCH", fill(path))

    # -- the tests --

    def test_every_documented_answer_is_as_it_is_documented(self):
        count = 0
        for operation_id, (_, _, operation) in BY_ID.items():
            for status in operation["responses"]:
                if (operation_id, status) in OUT_OF_REACH:
                    continue
                with self.subTest(operation=operation_id, status=status):
                    self.user = f"{operation_id}-{status}"
                    self.assert_documented(self.provoke(operation_id, status), operation_id,
                                           status)
                    count += 1
        self.assertEqual(count, sum(len(o["responses"]) for _, _, o in operations()) -
                         len(OUT_OF_REACH))

    def test_what_is_out_of_reach_is_documented(self):
        for operation_id, status in OUT_OF_REACH:
            self.assertIn(status, BY_ID[operation_id][2]["responses"])
            self.assertFalse(hasattr(self, f"{operation_id}_{status}"))

    def test_what_the_protocol_refuses_is_a_problem_too(self):
        for raw, status in ((b"GET /stats HTTP/1.1\r\n\r\n", 400),
                            (b"GET /stats HTTP/3.0\r\nHost: a\r\n\r\n", 505),
                            (b"BREW /stats HTTP/1.1\r\nHost: a\r\n\r\n", 501),
                            (b"GET /stats HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
                            (b"GET /" + b"a" * 20000, 414),
                            (b"GET /stats HTTP/1.1\r\nA: " + b"a" * 20000, 431)):
            with self.subTest(status=status), self.daemon.connect() as http:
                http.send(raw)
                response = http.read_response()
                self.assertEqual(response.status, status)
                self.assert_documented(response, "stats", "default")
        self.assert_documented(self.daemon.get("/nowhere"), "stats", "default")

    def test_a_head_is_that_of_its_get(self):
        for operation_id, (path, method, operation) in BY_ID.items():
            if method != "get":
                continue
            with self.subTest(operation_id):
                query = "?id=aaaaaaaa-1" if operation_id == "trace" else ""
                response = self.daemon.request("HEAD", fill(path) + query)
                self.assertEqual((response.status, response.body), (200, b""))
                described = resolve(operation["responses"]["200"])
                self.assertIn(response["Content-Type"].partition(";")[0], described["content"])
                for name, header in described["headers"].items():
                    self.assert_header(response, name, header)

    def test_the_schema_of_a_notification_takes_what_the_daemon_takes(self):
        one_or_many, = [media["schema"] for kind, media in
                        BY_ID["notify"][2]["requestBody"]["content"].items()
                        if kind == "application/json"]
        taken = 0
        for body in BODIES:
            with self.subTest(body=str(body)[:80]):
                response = self.call("notify", json.dumps(body).encode())
                self.assert_documented(response, "notify", str(response.status))
                self.assertEqual(faults(one_or_many, body) == [], response.status == 200, response)
                taken += response.status == 200
        self.assertEqual(taken, 11)

    def test_every_kind_of_result_is_as_its_schema_says(self):
        keyed = {"user": self.user, "data": 1, "idempotency_key": "once"}
        batch = [keyed, keyed, {"users": ["a", "b"], "data": 2}, {"user": self.user}, 7]
        lines = b"\n".join(json.dumps(item).encode() for item in batch) + b"\n{\n\n"
        for body, headers in ((json.dumps(batch).encode(), ()),
                              (lines, [("Content-Type", "application/x-ndjson")])):
            response = self.call("notify", body, headers)
            self.assert_documented(response, "notify", "200")
            results = response.json()["results"]
            self.assertEqual(len(results), 5 + (headers != ()))
            self.assertEqual(results[1]["duplicate"], True)
            self.assertEqual(results[2]["count"], 2)
            for refused in results[3:]:
                self.assertEqual(refused["error"]["status"], 400)

    def test_an_idempotency_key_in_the_header(self):
        body = json.dumps({"user": self.user, "data": 1}).encode()
        headers = [("Idempotency-Key", "k")]
        first, second = (self.call("notify", body, headers) for _ in range(2))
        self.assert_documented(first, "notify", "200")
        self.assert_documented(second, "notify", "200")
        self.assertEqual(second.json(), first.json() | {"duplicate": True})


class Events(TestCase):
    """The control events, by the schemas of x-control-events."""
    schemas = resolve(BY_ID["subscribe"][2]["responses"]["200"])["content"]["text/event-stream"][
        "x-control-events"]

    def assert_control(self, event, kind, **fields):
        self.assertEqual(event.event, kind)
        data = json.loads(event.data)
        self.assertEqual(faults(self.schemas[kind], data), [], event)
        self.assertEqual(data, data | fields)

    def test_all_of_them_are_provoked_here(self):
        self.assertEqual(set(self.schemas), {"gap", "bye", "retract", "ping", "expiring"})
        self.assertEqual(DOCUMENT["components"]["schemas"]["Notification"]["properties"]["event"]
                         ["not"]["enum"], list(self.schemas))

    def test_gap(self):
        ids = [self.daemon.notify(user=self.user, data=n)["id"] for n in range(102)]
        self.daemon.history(self.user)  # answered when the store has them, and no more than that
        self.assert_control(self.open(last_event_id=ids[0]).next(), "gap", reason="expired",
                            after=ids[0])
        self.assert_control(self.open(last_event_id="no id \\ \"at all\"").next(), "gap",
                            reason="unknown-id", after='no id \\ "at all"')

    def test_gap_of_an_overflow(self):
        daemon = self.start("streams.overflow=drop-oldest", "streams.queue=1")
        stream = self.open(daemon=daemon, rcvbuf=4096)

        def is_behind():
            daemon.notify(user=self.user, data="x" * 60000)
            return daemon.presence(self.user)["streams"][0]["lagging"]

        wait_for(is_behind, "a full queue")
        for _ in range(3):
            daemon.notify(user=self.user, data="more than the queue holds")
        event = stream.next()
        while event.event != "gap":
            event = stream.next()
        self.assert_control(event, "gap", reason="overflow")

    def test_retract(self):
        stream = self.open()
        sent = self.daemon.notify(user=self.user, data=1)["id"]
        self.assertEqual(stream.next().id, sent)
        self.daemon.request("DELETE", f"/notifications/{self.user}/{sent}")
        self.assert_control(stream.next(), "retract", id=sent)

    def test_bye_of_age_of_a_kick_and_of_a_shutdown(self):
        self.assert_control(self.open(daemon=self.start("streams.max_age=100ms")).next(), "bye",
                            reason="max-age")
        daemon = self.start()
        kicked, stays = self.open(daemon=daemon), self.open("another", daemon)
        daemon.request("DELETE", f"/users/{self.user}/streams")
        self.assert_control(kicked.next(), "bye", reason="kicked")
        daemon.process.send_signal(signal.SIGTERM)
        self.assert_control(stays.next(), "bye", reason="shutdown")

    def test_expiring_and_the_bye_of_a_token(self):
        path = pathlib.Path(self.scratch()) / "secret"
        path.write_bytes(SECRET)
        daemon = self.start("auth.subscribe=jwt", f"auth.jwt_key_file={path}")
        stream = self.open(daemon=daemon, headers=bearer(token(self.user, ttl=3)))
        self.assert_control(stream.next(), "expiring", client_id=stream.client_id)
        self.assert_control(stream.next(), "bye", reason="token-expired")

    def test_ping(self):
        daemon = self.start("streams.heartbeat=1s")
        self.assert_control(self.open(f"/notifications/{self.user}?heartbeat=event",
                                      daemon).next(), "ping")


if __name__ == "__main__":
    main()
