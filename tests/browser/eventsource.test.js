// A page with EventSource in headless Chromium, against the built daemon: it receives, loses its
// connection in every way there is, and resumes.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Daemon, Pages, Proxy, launch, until } from './daemon.js';

let browser;
let pages; // another origin than the daemon's
let daemon;
let page;

before(async () => {
    browser = await launch();
    pages = await new Pages().start();
});

after(async () => {
    await browser?.close();
    await pages?.stop();
});

beforeEach(async () => {
    daemon = await new Daemon([`http.allowed_origins=${pages.origin}`]).start();
    page = await browser.newPage();
    await page.goto(`${pages.origin}/page`);
});

afterEach(async () => {
    await page.close();
    await daemon.stop();
});

// Opens an EventSource in the page; what it hears is gathered in window.heard, one object each.
async function listen(url) {
    await page.evaluate((address) => {
        window.heard = [];
        const source = new EventSource(address);
        window.source = source;
        const note = (name) => (event) => window.heard.push(
            { event: name, data: event.data, id: event.lastEventId });
        for (const name of ['message', 'notification', 'gap', 'bye', 'retract', 'ping', 'build'])
            source.addEventListener(name, note(name));
        source.addEventListener('open', () => window.heard.push({ event: 'open' }));
        source.addEventListener('error', () => window.heard.push(
            { event: source.readyState === EventSource.CLOSED ? 'failed' : 'lost' }));
    }, url);
}

const heard = () => page.evaluate(() => window.heard);

function hears(count, event = 'notification') {
    return until(`${count} times ${event}`, async () => {
        const found = (await heard()).filter((item) => item.event === event);
        assert.ok(found.length <= count, `${event} too often: ${JSON.stringify(found)}`);
        return found.length === count && found;
    });
}

const dataOf = (items) => items.map((item) => item.data);

async function sendMany(user, from, to) {
    for (let n = from; n < to; n++)
        await daemon.notify({ user, data: `${n}` });
}

const numbers = (count) => Array.from({ length: count }, (_, n) => `${n}`);

// Nothing else is under way: what is sent now is the next thing heard.
async function assertQuiet(user) {
    const before = (await heard()).filter((item) => item.event === 'notification').length;
    await daemon.notify({ user, data: 'fence', ttl: 0 });
    const found = await hears(before + 1);
    assert.equal(found.at(-1).data, 'fence');
}

test('a page of an allowed origin receives what is sent', async () => {
    await listen(`${daemon.url}/notifications/alice`);
    await hears(1, 'open');
    const sent = await daemon.notify({ user: 'alice', event: 'build', data: { a: 1 } });
    assert.deepEqual(await hears(1, 'build'), [{ event: 'build', data: '{"a":1}', id: sent.id }]);
    await daemon.notify({ user: 'alice', data: 'Zoë\r\n🔔\nline' });
    assert.deepEqual(dataOf(await hears(1)), ['Zoë\n🔔\nline']);
});

test('a page of another origin is not let in', async () => {
    const other = await new Pages().start();
    try {
        await page.goto(`${other.origin}/page`);
        await listen(`${daemon.url}/notifications/alice`);
        await hears(1, 'failed');
    } finally {
        await other.stop();
    }
});

test('a page of the same origin receives through a reverse proxy at once', async () => {
    const front = await new Pages(daemon).start();
    try {
        await page.goto(`${front.origin}/page`);
        await listen('/notifications/alice');
        await hears(1, 'open');
        await sendMany('alice', 0, 20);
        assert.deepEqual(dataOf(await hears(20)), numbers(20));
    } finally {
        await page.goto('about:blank');
        await front.stop();
    }
});

test('the network is cut: the page resumes with nothing lost and nothing twice', async () => {
    const proxy = await new Proxy(daemon).start();
    try {
        await listen(`${proxy.url}/notifications/alice`);
        await hears(1, 'open');
        await sendMany('alice', 0, 10);
        await hears(10);
        proxy.cut();
        await until('the loss', async () => (await heard()).some((item) => item.event === 'lost'));
        await sendMany('alice', 10, 30);
        proxy.restore();
        await sendMany('alice', 30, 40);
        assert.deepEqual(dataOf(await hears(40)), numbers(40));
        await assertQuiet('alice');
        assert.deepEqual((await heard()).filter((item) => item.event === 'gap'), []);
    } finally {
        await proxy.stop();
    }
});

test('cut before the first notification: the id-only block is enough to resume', async () => {
    const proxy = await new Proxy(daemon).start();
    try {
        await listen(`${proxy.url}/notifications/alice`);
        await hears(1, 'open');
        await until('the stream', async () => (await daemon.streams('alice')).length === 1);
        proxy.cut();
        await until('the end', async () => (await daemon.streams('alice')).length === 0);
        await sendMany('alice', 0, 5);
        proxy.restore();
        assert.deepEqual(dataOf(await hears(5)), numbers(5));
        assert.deepEqual((await heard()).filter((item) => item.event === 'gap'), []);
    } finally {
        await proxy.stop();
    }
});

test('cut again and again while notifications come', async () => {
    const proxy = await new Proxy(daemon).start();
    try {
        await listen(`${proxy.url}/notifications/alice`);
        await hears(1, 'open');
        for (let round = 0; round < 5; round++) {
            await sendMany('alice', round * 10, round * 10 + 5);
            proxy.cut();
            await sendMany('alice', round * 10 + 5, round * 10 + 10);
            proxy.restore();
            await hears(round * 10 + 10);
        }
        assert.deepEqual(dataOf(await hears(50)), numbers(50));
    } finally {
        await proxy.stop();
    }
});

test('the daemon is killed and started again: the page goes on and misses nothing', async () => {
    await listen(`${daemon.url}/notifications/alice`);
    await hears(1, 'open');
    await sendMany('alice', 0, 5);
    await hears(5);
    await daemon.kill();
    await until('the loss', async () => (await heard()).some((item) => item.event === 'lost'));
    await daemon.start();
    await sendMany('alice', 5, 10);
    assert.deepEqual(dataOf(await hears(10)), numbers(10));
    assert.deepEqual((await heard()).filter((item) => item.event === 'gap'), []);
});

test('the journal ends with the process: the page is told of the gap', async () => {
    const forgetful = await new Daemon(['http.allowed_origins=*', 'journal.type=memory']).start();
    try {
        await listen(`${forgetful.url}/notifications/alice`);
        await hears(1, 'open');
        const sent = await forgetful.notify({ user: 'alice', data: 'before' });
        await hears(1);
        await forgetful.kill();
        await until('the loss', async () => (await heard()).some((item) => item.event === 'lost'));
        await forgetful.start(); // another epoch
        const [gap] = await hears(1, 'gap');
        assert.equal(JSON.parse(gap.data).reason, 'unknown-id');
        assert.equal(JSON.parse(gap.data).after, sent.id);
        await forgetful.notify({ user: 'alice', data: 'after' });
        assert.deepEqual(dataOf(await hears(2)), ['before', 'after']);
    } finally {
        await forgetful.stop();
    }
});

test('more was missed than is kept: the page is told of the gap, and gets the rest', async () => {
    await daemon.stop();
    daemon = await new Daemon(
        [`http.allowed_origins=${pages.origin}`, 'journal.keep_per_user=3']).start();
    const proxy = await new Proxy(daemon).start();
    try {
        await listen(`${proxy.url}/notifications/alice`);
        await hears(1, 'open');
        await sendMany('alice', 0, 1);
        await hears(1);
        proxy.cut();
        await sendMany('alice', 1, 10);
        proxy.restore();
        const [gap] = await hears(1, 'gap');
        assert.equal(JSON.parse(gap.data).reason, 'expired');
        assert.deepEqual(dataOf(await hears(4)), ['0', '7', '8', '9']);
    } finally {
        await proxy.stop();
    }
});

test('a kicked page hears bye, comes back by itself and misses nothing', async () => {
    await listen(`${daemon.url}/notifications/alice`);
    await hears(1, 'open');
    await sendMany('alice', 0, 1);
    await hears(1);
    assert.deepEqual(await daemon.request('DELETE', '/users/alice/streams'), { closed: 1 });
    await sendMany('alice', 1, 5);
    const [bye] = await hears(1, 'bye');
    assert.deepEqual(JSON.parse(bye.data), { reason: 'kicked' });
    await hears(2, 'open');
    assert.deepEqual(dataOf(await hears(5)), numbers(5));
});

test('the daemon is stopped in peace: the page hears bye and finds the next one', async () => {
    await listen(`${daemon.url}/notifications/alice`);
    await hears(1, 'open');
    await daemon.stop();
    const [bye] = await hears(1, 'bye');
    assert.deepEqual(JSON.parse(bye.data), { reason: 'shutdown' });
    await daemon.start();
    await hears(2, 'open');
    await daemon.notify({ user: 'alice', data: 'next life' });
    assert.deepEqual(dataOf(await hears(1)), ['next life']);
});

test('a page can resume by query, listen to topics and hear retract', async () => {
    const first = await daemon.notify({ user: 'alice', data: '0' });
    await sendMany('alice', 1, 3);
    await listen(`${daemon.url}/notifications/alice?topic=news&last_event_id=${first.id}`);
    assert.deepEqual(dataOf(await hears(2)), ['1', '2']);
    const news = await daemon.notify({ topic: 'news', data: 'topic' });
    await daemon.notify({ broadcast: true, data: 'everyone' });
    assert.deepEqual(dataOf(await hears(4)), ['1', '2', 'topic', 'everyone']);
    assert.equal((await hears(4))[2].id, news.id);
    await daemon.request('DELETE', `/notifications/alice/${first.id}`);
    const [retract] = await hears(1, 'retract');
    assert.deepEqual(JSON.parse(retract.data), { id: first.id });
});

test('heartbeat=event is seen by the page', async () => {
    await daemon.stop();
    daemon = await new Daemon(
        [`http.allowed_origins=${pages.origin}`, 'streams.heartbeat=1s']).start();
    await listen(`${daemon.url}/notifications/alice?heartbeat=event`);
    await until('a ping', async () => (await heard()).some((item) => item.event === 'ping'));
});

test('a closed page is gone for the daemon', async () => {
    await listen(`${daemon.url}/notifications/alice`);
    await until('the stream', async () => (await daemon.streams('alice')).length === 1);
    await page.goto('about:blank');
    await until('its end', async () => (await daemon.streams('alice')).length === 0);
});
