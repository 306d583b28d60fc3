// The operator's page. All that it shows comes from the daemon's own routes; what others have
// written (user ids, data, user agents) is put in as text, never as HTML.
"use strict";

const KEPT = 120;           // seconds that the charts go back
const HISTORY = 50;         // rows shown
const PAGES = 20;           // of a thousand, that are read of a history to find its newest
const byId = (id) => document.getElementById(id);
const segment = encodeURIComponent;

// ---- asking the daemon ----

let credential = sessionStorage.getItem("credential");
let denied = () => {};      // called when a new credential is there

class Problem extends Error {}

async function ask(path, options = {}) {
    const headers = credential === null ? {} : { Authorization: `Bearer ${credential}` };
    const answer = await fetch(path, { ...options, headers, cache: "no-store" })
        .catch(() => { throw new Problem("The daemon does not answer."); });
    if (answer.ok)
        return answer;
    const why = (await answer.json().catch(() => ({}))).detail ?? `HTTP ${answer.status}`;
    if (answer.status === 401)
        needKey(credential === null ? "" : why);
    throw new Problem(why);
}

const get = async (path) => (await ask(path)).json();

function needKey(why) {
    byId("key-why").textContent = why;
    if (byId("key-form").hidden) {
        byId("key-form").hidden = false;
        byId("key").focus();
    }
}

byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    credential = byId("key").value.trim();
    sessionStorage.setItem("credential", credential);
    byId("key").value = "";
    byId("key-form").hidden = true;
    denied();
    showConfig();
    showLog();
});

// Runs what a person has asked for; what goes wrong is told at `where`.
async function attempt(where, action) {
    const at = byId(where);
    try {
        at.textContent = await action() ?? "";
        at.className = "";
    } catch (error) {
        if (!(error instanceof Problem))
            throw error;
        at.textContent = error.message;
        at.className = "bad";
    }
}

function onSubmit(form, where, action) {
    byId(form).addEventListener("submit", (event) => {
        event.preventDefault();
        attempt(where, action);
    });
}

// ---- showing ----

const grouped = (n) => n.toLocaleString("en", { maximumFractionDigits: n < 10 ? 1 : 0 });
const local = (iso) => iso === null ? "" : new Date(iso).toLocaleString([], {
    dateStyle: "short", timeStyle: "medium" });
const exact = (iso) => iso === null ? null : iso.replace("T", " ").replace("Z", " UTC");

function bytes(n) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    for (; n >= 1024 && i < units.length - 1; i++)
        n /= 1024;
    return `${grouped(n)} ${units[i]}`;
}

function time(ms) {
    return ms < 1 ? `${grouped(ms * 1000)} µs` : ms < 1000 ? `${grouped(ms)} ms`
        : `${grouped(ms / 1000)} s`;
}

function button(text, label, action) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.ariaLabel = label;
    made.addEventListener("click", action);
    return made;
}

// Rows of texts and, at the end, of lists of buttons.
function fill(id, rows, none) {
    const body = byId(id);
    body.replaceChildren(...rows.map((cells) => {
        const row = document.createElement("tr");
        for (const cell of cells) {
            const at = row.insertCell();
            if (Array.isArray(cell))
                at.append(...cell);
            else
                at.textContent = cell;
            if (Array.isArray(cell) || `${cell}`.length < 32)
                at.className = "word";
        }
        return row;
    }));
    if (rows.length === 0) {
        const cell = body.insertRow().insertCell();
        cell.colSpan = 9;
        cell.textContent = none;
    }
}

// ---- charts ----

// The least bound of a bucket that `share` of all counted is under, in milliseconds; null: nothing
// was counted.
function quantile(counts, share) {
    const all = counts.reduce((sum, n) => sum + n, 0);
    let sum = 0;
    if (all === 0)
        return null;
    const bucket = counts.findIndex((n) => (sum += n) >= all * share);
    return 2 ** bucket / 1000;
}

const rate = (name) => (now, before, seconds) => (now[name] - before[name]) / seconds;
const gaps = (f) => f.gaps_expired + f.gaps_unknown_id + f.gaps_overflow;
const latency = (share) => (now, before) => {
    const counts = (f) => f.histograms.publish_to_written.counts;
    return quantile(counts(now).map((n, i) => n - counts(before)[i]), share);
};

// Each line is a figure of two answers of GET /stats and the seconds between them.
const CHARTS = [
    { title: "Streams", show: grouped, lines: {
        open: (now) => now.streams_open, "users online": (now) => now.users_online } },
    { title: "Publishes a second", show: grouped, lines: {
        accepted: rate("notifications_accepted"),
        refused: (now, before, seconds) => rate("notifications_refused")(now, before, seconds) +
            rate("notifications_failed")(now, before, seconds) } },
    { title: "Deliveries a second", show: grouped, lines: {
        live: (now, before, seconds) => Math.max(0, rate("deliveries")(now, before, seconds) -
            rate("replayed")(now, before, seconds)),
        replayed: rate("replayed") } },
    { title: "Publish to written, under", show: time, lines: {
        p50: latency(0.5), p99: latency(0.99) } },
    { title: "Memory", show: bytes, lines: {
        process: (now) => now.process.resident_bytes, window: (now) => now.window_bytes } },
    { title: "Gaps a second, streams behind", show: grouped, lines: {
        gaps: (now, before, seconds) => (gaps(now) - gaps(before)) / seconds,
        behind: (now) => now.streams_behind } },
];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function paint(chart) {
    const { scales } = chart.options;
    chart.data.datasets.forEach((line, i) => {
        line.borderColor = line.backgroundColor = colour(i === 0 ? "--one" : "--two");
    });
    for (const scale of [scales.x, scales.y]) {
        scale.grid.color = colour("--line");
        scale.ticks.color = colour("--faint");
    }
}

function makeChart({ title, show, lines }) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const value = document.createElement("strong");
    const box = document.createElement("div");
    const canvas = document.createElement("canvas");
    figure.className = "chart";
    canvas.role = "img";
    canvas.ariaLabel = `${title}, the last ${KEPT / 60} minutes`;
    value.textContent = "–";
    caption.append(title, value);
    box.append(canvas);
    figure.append(caption, box);
    byId("charts").append(figure);
    const chart = new Chart(canvas, {
        type: "line",
        data: { datasets: Object.keys(lines).map((label) => ({
            label, data: [], borderWidth: 2, pointRadius: 0, spanGaps: true })) },
        options: {
            animation: false, maintainAspectRatio: false, parsing: false, normalized: true,
            interaction: { mode: "index", intersect: false },
            scales: {
                x: { type: "linear", min: -KEPT, max: 0, grid: {},
                    ticks: { stepSize: 30, maxRotation: 0,
                        callback: (s) => s === 0 ? "now" : `${s} s` } },
                y: { beginAtZero: true, grid: {}, ticks: { maxTicksLimit: 4, callback: show } },
            },
            plugins: {
                legend: { display: false }, // the caption is one
                tooltip: { callbacks: {
                    title: (items) => `${Math.round(-items[0].parsed.x)} s ago`,
                    label: (item) => `${item.dataset.label}: ${show(item.parsed.y)}` } },
            },
        },
    });
    paint(chart);
    return { chart, value, show, lines: Object.entries(lines) };
}

const charts = CHARTS.map(makeChart);
const past = [];    // { at, figures }

function addFigures(figures) {
    const at = performance.now() / 1000;
    const last = past.at(-1);
    // Another life of the daemon counts from zero again.
    if (last !== undefined && figures.uptime_seconds < last.figures.uptime_seconds)
        past.length = 0;
    past.push({ at, figures });
    while (at - past[0].at > KEPT + 5)
        past.shift();
    for (const { chart, value, show, lines } of charts) {
        value.replaceChildren(...lines.flatMap(([name, line], i) => {
            chart.data.datasets[i].data = past.slice(1).map((p, j) => ({
                x: p.at - at, y: line(p.figures, past[j].figures, p.at - past[j].at) }));
            const y = chart.data.datasets[i].data.at(-1)?.y ?? null;
            const part = document.createElement("span");
            part.className = i === 0 ? "one" : "two";
            part.textContent = `${y === null ? "–" : show(y)} ${name}`;
            return i === 0 ? [part] : [", ", part];
        }));
        chart.update("none");
    }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const { chart } of charts) {
        paint(chart);
        chart.update("none");
    }
});

// ---- the stream of figures ----

function onFigures(figures) {
    const { journal } = figures;
    addFigures(figures);
    byId("state").textContent = `${figures.version}, up ${uptime(figures.uptime_seconds)}, ` +
        `journal ${journal.type} ${journal.up ? "up" : "DOWN"}, ${grouped(journal.entries)} kept`;
    if (figures.log_warnings !== logTotal)
        showLog();
}

function uptime(seconds) {
    const days = Math.floor(seconds / 86400);
    const clock = new Date(seconds * 1000).toISOString().slice(11, 19);
    return days > 0 ? `${days} d ${clock}` : clock;
}

// An EventSource could not send the credential.
async function readFigures() {
    const answer = await ask("console/events");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
        const { value, done } = await reader.read();
        if (done)
            return;
        text += value;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
            const data = event.split("\n").find((line) => line.startsWith("data: "));
            if (data !== undefined)
                onFigures(JSON.parse(data.slice(6)));
        }
    }
}

async function watch() {
    for (;;) {
        try {
            await readFigures();
        } catch (error) {
            byId("state").textContent = error instanceof Problem ? error.message
                : "The connection was lost.";
        }
        // With the form open only a new credential helps; else in a second again.
        await new Promise((resolve) => {
            denied = resolve;
            if (byId("key-form").hidden)
                setTimeout(resolve, 1000);
        });
    }
}

// ---- a user ----

let shownUser = null;

async function showUser(user) {
    const presence = await get(`users/${segment(user)}`);
    let rows = [];
    let page = { more: true };
    for (let i = 0; page.more && i < PAGES; i++) {
        const after = rows.length > 0 ? `&after=${rows.at(-1).id}` : "";
        page = await get(`users/${segment(user)}/history?limit=1000${after}`);
        rows = rows.concat(page.notifications).slice(-HISTORY);
    }
    byId("history-more").hidden = !page.more;
    shownUser = user;
    fill("streams", presence.streams.map((s) => [s.client_id, local(s.since), s.peer,
        s.queued + (s.lagging ? ", lagging" : ""), s.last_id ?? "", s.user_agent,
        [button("Kick", `Kick ${s.client_id}`, () => kick(`/${s.client_id}`))]]),
    "No stream is open.");
    fill("history", rows.reverse().map((n) => [n.id, local(n.at), n.event,
        typeof n.data === "string" ? n.data : JSON.stringify(n.data),
        [button("Trace", `Trace ${n.id}`, () => traceOf(n.id)),
            button("Retract", `Retract ${n.id}`, () => retract(n.id))]]), "Nothing is kept.");
    byId("kick-all").hidden = presence.streams.length === 0;
    byId("user-shown").hidden = false;
    return presence.online ? `${user} is online.` : `${user} is not online.`;
}

// Does it, shows what there is then, and says what was done.
function change(action) {
    const user = shownUser;
    attempt("user-said", async () => {
        const said = await action(segment(user));
        await showUser(user);
        return said;
    });
}

const remove = async (path) => (await ask(path, { method: "DELETE" })).json();

function kick(one) {
    change(async (user) =>
        `Streams ended: ${(await remove(`users/${user}/streams${one}`)).closed}. Browsers come back.`);
}

function retract(id) {
    if (confirm(`Take ${id} back? It is not kept any more then.`))
        change(async (user) => {
            await remove(`notifications/${user}/${id}`);
            return `${id} is retracted.`;
        });
}

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}

onSubmit("user-form", "user-said", () => {
    byId("user-shown").hidden = true;
    return showUser(byId("user-id").value);
});
byId("kick-all").addEventListener("click", () => {
    if (confirm(`End all streams of ${shownUser}?`))
        kick("");
});
byId("send-form").addEventListener("submit", (event) => {
    event.preventDefault();
    change(async () => {
        const body = JSON.stringify({ user: shownUser, event: byId("send-event").value,
            data: parsed(byId("send-data").value) });
        const sent = await (await ask("notify", { method: "POST", body })).json();
        return `Sent as ${sent.id}, to ${sent.streams} streams.`;
    });
});

// ---- why did it not arrive? ----

async function showTrace(user, id) {
    byId("trace-shown").hidden = true;
    const t = await get(`users/${segment(user)}/trace?id=${segment(id)}`);
    const unknown = "not known: that is not in memory";
    const terms = { "Sent to": t.sent_to ?? "–", Accepted: exact(t.accepted_at) ?? "–",
        "Stored, and handed to the streams": exact(t.stored_at) ?? unknown,
        "Streams that it was for": t.queued_to ?? unknown,
        "Times written": t.written ?? unknown,
        "Written last": exact(t.last_written_at) ?? (t.written === null ? unknown : "never") };
    byId("trace-times").replaceChildren(...Object.entries(terms).flatMap(([term, text]) => {
        const dt = document.createElement("dt");
        const dd = document.createElement("dd");
        dt.textContent = term;
        dd.textContent = text;
        return [dt, dd];
    }));
    fill("trace-streams", t.streams.map((s) => [s.client_id, local(s.since), s.peer, s.state,
        s.detail]), "No stream of this user is open. One that comes back gets what is kept.");
    byId("trace-shown").hidden = false;
    return t.detail;
}

function traceOf(id) {
    byId("trace-user").value = shownUser;
    byId("trace-id").value = id;
    byId("trace-form").requestSubmit();
    byId("trace-id").focus();
}

onSubmit("trace-form", "trace-said",
    () => showTrace(byId("trace-user").value, byId("trace-id").value.trim()));

// ---- errors, configuration ----

let logTotal = null;

function showLog() {
    attempt("log-said", async () => {
        const { total, lines } = await get("log");
        logTotal = total;
        fill("lines", lines.reverse().map((line) => [local(line.at), line.level, line.text]),
            "None since the start.");
    });
}

let options = [];

function listOptions() {
    const isSet = (o) => o.source !== null;
    fill("options", options.filter((o) => byId("config-all").checked || isSet(o)).map((o) =>
        [o.name, o.value, o.default, o.source ?? "", o.live ? "reload" : "restart"]),
    "All settings are at their defaults.");
}

function showConfig() {
    attempt("config-said", async () => {
        ({ options } = await get("config"));
        listOptions();
    });
}

byId("config-all").addEventListener("change", listOptions);
showLog();
showConfig();
watch();
