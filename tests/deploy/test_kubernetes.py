"""deploy/kubernetes.yaml beside the daemon: what it says of ports, paths, keys and times is so."""
import os
import pathlib
import re
import subprocess
import sys

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import BIN, ROOT, Http, OneDaemonATest, main, run  # noqa: E402

TEXT = (ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
CONTAINERFILE = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")
OBJECTS = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(TEXT)}
POD = OBJECTS["StatefulSet", "sse-notify"]["spec"]["template"]
SPEC = POD["spec"]
CONTAINER = SPEC["containers"][0]
MOUNTS = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
CONFIG = OBJECTS["ConfigMap", "sse-notify"]["data"]["sse-notify.conf"]
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def setting(name):
    return re.search(rf"^{name} = (\S+)$", CONFIG, re.M).group(1)


def mib(text):
    number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()
    return int(number) * {"Mi": 1, "MiB": 1, "Gi": 1024, "GiB": 1024}[unit]


class Manifest(OneDaemonATest):
    def test_it_is_what_it_needs(self):
        self.assertEqual(sorted(OBJECTS), [
            ("ConfigMap", "sse-notify"), ("Service", "sse-notify"),
            ("Service", "sse-notify-internal"), ("StatefulSet", "sse-notify")])
        self.assertEqual(OBJECTS["StatefulSet", "sse-notify"]["spec"]["replicas"], 1)
        self.assertEqual(OBJECTS["StatefulSet", "sse-notify"]["spec"]["serviceName"],
                         "sse-notify-internal")

    def test_what_names_another_part_names_one_that_is_there(self):
        labels = POD["metadata"]["labels"]
        for (kind, name), each in OBJECTS.items():
            self.assertEqual(each["metadata"]["labels"], labels, name)
            if kind == "Service":
                self.assertEqual(each["spec"]["selector"], labels)
                for port in each["spec"]["ports"]:
                    self.assertIn(port["targetPort"], PORTS)
        for probe in PROBES:
            self.assertIn(CONTAINER[probe]["httpGet"]["port"], PORTS)
        self.assertEqual(PORTS, {name: int(port) for name, port in re.findall(
            r"\[listener\.(\w+)\]\naddress = \*:(\d+)", CONFIG)})
        self.assertEqual(int(POD["metadata"]["annotations"]["prometheus.io/port"]),
                         PORTS["internal"])
        volumes = {each["name"] for each in SPEC["volumes"]} | {"journal"}
        self.assertEqual(set(MOUNTS), volumes)
        self.assertEqual(CONTAINER["args"], ["serve", "-c", MOUNTS["config"] + "/sse-notify.conf"])
        self.assertTrue(setting("path").startswith(MOUNTS["journal"] + "/"))

    def test_nothing_is_permitted_that_the_unit_forbids(self):
        pod, own = SPEC["securityContext"], CONTAINER["securityContext"]
        self.assertTrue(pod["runAsNonRoot"] and pod["runAsUser"] > 0 and pod["fsGroup"] > 0)
        self.assertEqual(pod["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertEqual(own, {"allowPrivilegeEscalation": False, "privileged": False,
                               "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
        self.assertFalse(SPEC["automountServiceAccountToken"])
        for mount in CONTAINER["volumeMounts"]:
            self.assertEqual(mount.get("readOnly", False), mount["name"] != "journal")
        keys = next(each for each in SPEC["volumes"] if each["name"] == "keys")
        self.assertEqual(keys["secret"]["defaultMode"] & 0o007, 0)

    def test_there_is_time_for_the_drain_and_memory_for_its_limits(self):
        default = re.search(r"^#drain_time = (\d+)s$", (ROOT / "sse-notify.conf.example").read_text(
            encoding="utf-8"), re.M).group(1)
        asleep = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
        self.assertNotIn("drain_time =", CONFIG)
        self.assertGreaterEqual(SPEC["terminationGracePeriodSeconds"], asleep + int(default) + 5)
        self.assertGreater(mib(CONTAINER["resources"]["limits"]["memory"]),
                           2 * mib(setting("max_memory")))
        claim = OBJECTS["StatefulSet", "sse-notify"]["spec"]["volumeClaimTemplates"][0]["spec"]
        self.assertGreaterEqual(mib(claim["resources"]["requests"]["storage"]),
                                3 * mib(setting("keep_bytes")))

    def test_the_secret_of_the_docs_has_the_files_of_the_configuration(self):
        text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
        keys = next(each for each in SPEC["volumes"] if each["name"] == "keys")
        command = re.search(r"kubectl create secret generic (\S+)(( --from-file=\S+)+)", text)
        self.assertEqual(command.group(1), keys["secret"]["secretName"])
        self.assertEqual({MOUNTS["keys"] + "/" + name for name in
                          re.findall(r"--from-file=(\S+)", command.group(2))},
                         {setting("jwt_key_file"), setting("publish_keys_file")})


class Running(OneDaemonATest):
    """The daemon with the ConfigMap's file, but that ports and folders are this test's."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.scratch())
        for name in ("keys", "journal"):
            (self.folder / name).mkdir()
        keys = self.folder / "keys"
        (keys / "jwt-secret").write_bytes(b"k" * 48)
        self.key = run("key", "add", "prometheus", "--file", keys / "publish-keys", "--allow",
                       "user:none").stdout.strip()
        for path in keys.iterdir():
            path.chmod(0o440)
        self.path = self.folder / "sse-notify.conf"
        self.path.write_text(CONFIG.replace(MOUNTS["keys"] + "/", f"{keys}/").replace(
            MOUNTS["journal"] + "/", f"{self.folder}/journal/"))

    def test_the_configuration_is_taken_as_it_stands(self):
        done = run("check-config", "-c", self.path)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_probes_and_scrapes_are_answered(self):
        # What a Service of that name puts into the environment, where links are not off.
        links = {"SSE_NOTIFY_SERVICE_HOST": "10.0.0.1", "SSE_NOTIFY_PORT": "tcp://10.0.0.1:80",
                 "SSE_NOTIFY_INTERNAL_PORT_8081_TCP": "tcp://10.0.0.2:8081"}
        daemon = self.start("listener.public.address=127.0.0.1:0",
                            "listener.internal.address=127.0.0.1:0",
                            arguments=["-c", str(self.path)], env=links)
        ports = {line["listener"]: int(line["address"].rpartition(":")[2])
                 for line in daemon.log("listening")}
        self.assertEqual(set(PORTS) - set(ports), set())

        def get(listener, path, *headers):
            with Http(ports[listener]) as http:
                http.send_request("GET", path, headers=headers)
                return http.read_response().status

        for probe in PROBES:
            asked = CONTAINER[probe]["httpGet"]
            self.assertEqual(get(asked["port"], asked["path"]), 200)
        path = POD["metadata"]["annotations"]["prometheus.io/path"]
        self.assertEqual(get("internal", path), 401)
        self.assertEqual(get("internal", path, ("Authorization", f"Bearer {self.key}")), 200)
        self.assertEqual(get("public", path), 404)
        self.assertEqual((self.folder / "journal" / "journal").stat().st_mode & 0o777, 0o700)


class Image(OneDaemonATest):
    def test_it_has_the_libraries_of_the_program(self):
        if "VERSION_ID=\"12\"" not in pathlib.Path("/etc/os-release").read_text(encoding="utf-8"):
            self.skipTest("names of packages are Debian 12's")
        direct = re.findall(r"NEEDED +(\S+)", subprocess.run(
            ["objdump", "-p", BIN], text=True, capture_output=True, check=True).stdout)
        places = dict(re.findall(r"^\s+(\S+) => (/\S+)", subprocess.run(
            ["ldd", BIN], text=True, capture_output=True, check=True).stdout, re.M))
        # By the name below /lib: dpkg does not know that it is below /usr now.
        owners = subprocess.run(
            ["dpkg-query", "-S", *(f"*/{pathlib.Path(os.path.realpath(places[name])).name}"
                                   for name in direct)],
            text=True, capture_output=True, check=True).stdout
        packages = {line.partition(":")[0] for line in owners.splitlines()
                    if "/x86_64-linux-gnu/" in line or "/aarch64-linux-gnu/" in line}
        listed = set(re.search(r"no-install-recommends \\\n(.*?) &&", CONTAINERFILE,
                               re.S).group(1).replace("\\", "").split())
        self.assertEqual(listed - {"ca-certificates"}, packages - {"libc6"})


if __name__ == "__main__":
    main()
