"""What deploy/ has for Prometheus and Grafana, against the real ones and the real daemon."""
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import DEADLINE, ROOT, OneDaemonATest, main, run, wait_for  # noqa: E402
from tokens import bearer  # noqa: E402

try:
    import yaml
except ImportError as why:
    raise SystemExit(f"python3 has no module {why.name}: `make test-deps`") from None

DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus-rules.yaml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in RULES for rule in group["rules"]}
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
PANELS = DASHBOARD["panels"]
ROWS = ["Streams", "Delivery", "Latency", "Journal", "Limits", "Process", "Webhooks"]
METRIC = re.compile(r"\b(?:sse_notify|process)_[a-z_]+\b")


def dashboard_queries():
    """(title, expression) of everything that the page asks of Prometheus."""
    for panel in PANELS:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, timeout=300, check=False)
    return done.returncode, done.stdout


class Rules(OneDaemonATest):
    def test_promtool_takes_them_and_their_cases(self):
        status, output = promtool("check", "rules", DEPLOY / "prometheus-rules.yaml")
        self.assertEqual(status, 0, output)
        folder = self.scratch()
        for path in (DEPLOY / "prometheus-rules.yaml", ROOT / "tests" / "deploy" / "rules.yaml"):
            shutil.copy(path, folder)
        status, output = promtool("test", "rules", f"{folder}/rules.yaml")
        self.assertEqual(status, 0, output)

    def test_every_alert_has_a_case_and_a_place_in_the_runbook(self):
        cases = (ROOT / "tests" / "deploy" / "rules.yaml").read_text()
        headings = re.findall("^### (.*)", (ROOT / "docs" / "operations.md").read_text(), re.M)
        for name, rule in ALERTS.items():
            with self.subTest(alert=name):
                self.assertIn(f'alertname="{name}"', cases)
                self.assertIn(name, headings)
                self.assertEqual(rule["annotations"]["runbook"], f"operations.md#{name.lower()}")
                self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
                self.assertTrue(rule["annotations"]["summary"].startswith(
                    "{{ $labels.instance }}"))
        self.assertEqual([h for h in headings if h.startswith("SseNotify")], list(ALERTS))


class Dashboard(unittest.TestCase):
    def test_its_rows_and_variables(self):
        self.assertEqual([p["title"] for p in PANELS if p["type"] == "row"], ROWS)
        self.assertEqual([v["name"] for v in DASHBOARD["templating"]["list"]],
                         ["datasource", "job", "instance"])

    def test_every_panel_has_a_place_and_an_id_of_its_own(self):
        taken = {}
        for panel in PANELS:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    self.assertIsNone(taken.get((x, y)), panel["title"])
                    taken[x, y] = panel["title"]
        self.assertEqual(len({p["id"] for p in PANELS}), len(PANELS))

    def test_every_query_is_of_the_job_and_the_instance_that_were_chosen(self):
        for title, query in dashboard_queries():
            for metric in METRIC.finditer(query):
                self.assertTrue(query[metric.end():].startswith(
                    '{job=~"$job", instance=~"$instance"'), f"{title}: {query}")


class Names(OneDaemonATest):
    def test_every_metric_that_is_asked_for_is_there(self):
        daemon = self.start("journal.type=memory")
        daemon.notify(user="u", data=1)
        text = daemon.get("/metrics").body.decode()
        there = set(re.findall("^([a-z_]+)[{ ]", text, re.M))
        labels = set(re.findall('([a-z]+)="', text))
        for where, query in (*dashboard_queries(), *((n, r["expr"]) for n, r in ALERTS.items())):
            self.assertLessEqual(set(METRIC.findall(query)), there, where)
            for name, value in re.findall('([a-z]+)=~?"([^"$]*)"', query):
                if name == "job":
                    continue
                self.assertIn(name, labels, where)
                for each in value.split("|"):
                    self.assertIn(f'{name}="{each}"', text, where)


class Prometheus(OneDaemonATest):
    """A real one: it scrapes the daemon, judges the rules and answers the dashboard."""

    def start_prometheus(self, target, key):
        folder = pathlib.Path(self.scratch())
        (folder / "prometheus.yml").write_text(json.dumps({  # YAML takes JSON
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms",
                       "evaluation_interval": "500ms"},
            "rule_files": [str(DEPLOY / "prometheus-rules.yaml")],
            "scrape_configs": [{"job_name": "sse-notify",
                                "authorization": {"credentials": key},
                                "static_configs": [{"targets": [target]}]}]}))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        log = (folder / "log").open("w+")
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

        def stop():
            process.terminate()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()
        self.addCleanup(stop)

        def is_ready():
            if process.poll() is not None:
                log.seek(0)
                raise AssertionError(f"prometheus has ended: {log.read()}")
            try:
                return self.ask("/-/ready") is not None
            except OSError:
                return False
        wait_for(is_ready, "prometheus", 3 * DEADLINE)

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
                return answer.read()
        except urllib.error.HTTPError as answer:
            if path == "/-/ready":
                return None
            raise AssertionError(f"{url}: {answer.read().decode()}") from None

    def query(self, expression):
        return json.loads(self.ask("/api/v1/query", query=expression))["data"]["result"]

    def value(self, expression):
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else None

    def test_it_scrapes_and_every_query_of_the_dashboard_has_data(self):
        keys = pathlib.Path(self.scratch()) / "keys"
        done = run("key", "add", "prometheus", "--file", keys)
        self.assertEqual(done.returncode, 0, done.stderr)
        key = done.stdout.split()[-1]
        daemon = self.start("auth.publish=key", f"auth.publish_keys_file={keys}")
        self.assertEqual(daemon.get("/metrics").status, 401)
        stream = self.open("u", daemon)
        for n in range(20):
            daemon.post(json.dumps({"user": "u", "data": n}).encode(), bearer(key))
        stream.take(20)
        self.start_prometheus(f"127.0.0.1:{daemon.port}", key)
        wait_for(lambda: self.value("up") == 1 and
                 (self.value("count_over_time(sse_notify_ready[5m])") or 0) >= 3, "three scrapes",
                 3 * DEADLINE)
        self.assertEqual(self.value("sse_notify_streams_open"), 1)
        self.assertEqual(self.value("sse_notify_deliveries_total"), 20)
        self.assertEqual(self.value('sse_notify_publish_to_written_seconds_bucket{le="+Inf"}'), 20)
        for title, query in dashboard_queries():
            for name, value in (("$job", "sse-notify"), ("$instance", ".*"),
                                ("$__rate_interval", "5m")):
                query = query.replace(name, value)
            result = self.query(query)
            if not title.startswith("Restart"):  # there was none
                self.assertNotEqual(result, [], f"{title}: {query}")
        rules = wait_for(self.judged_rules, "the rules to be judged", 3 * DEADLINE)
        self.assertEqual({r["name"]: r["health"] for r in rules}, dict.fromkeys(ALERTS, "ok"))
        self.assertEqual([r["name"] for r in rules if r["state"] == "firing"], [])

    def judged_rules(self):
        groups = json.loads(self.ask("/api/v1/rules"))["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None


if __name__ == "__main__":
    main()
