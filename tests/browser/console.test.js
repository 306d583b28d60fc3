// GET /console: the operator's page in headless Chromium. With CONSOLE_PICTURES=FOLDER it also
// takes the pictures of the documentation.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Daemon, launch, program, until } from './daemon.js';

let browser;
let folder;
let daemon;
let page;
let faults; // of scripts, and of what the Content-Security-Policy has stopped

before(async () => {
    browser = await launch();
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sse-notify-test-'));
});

after(async () => {
    await browser?.close();
    fs.rmSync(folder, { recursive: true, force: true });
});

async function open(options = {}) {
    const context = await browser.newContext(options);
    page = await context.newPage();
    faults = [];
    page.on('pageerror', (error) => faults.push(`${error}`));
    page.on('console', (line) => {
        if (line.type() === 'error' && !line.text().startsWith('Failed to load resource'))
            faults.push(line.text());
    });
    await page.goto(`${daemon.url}/console`);
}

beforeEach(() => {
    daemon = null;
    page = null;
    faults = [];
});

afterEach(async () => {
    await page?.context().close();
    await daemon?.stop();
    assert.deepEqual(faults, []);
});

async function start(...options) {
    daemon = await new Daemon(options).start();
}

const held = []; // an answer that nobody holds is collected, and its connection closed

// A user's stream, held until the daemon or `close` ends it.
async function listen(user) {
    const end = new AbortController();
    held.push(await fetch(`${daemon.url}/notifications/${encodeURIComponent(user)}`,
        { signal: end.signal }));
    return { close: () => end.abort() };
}

// What the chart of that title says is now.
const figure = (title) => page.locator('figure', { hasText: new RegExp(`^${title}`) })
    .locator('strong');
const says = (locator, pattern) => until(`${pattern}`,
    async () => pattern.test(await locator.textContent()));
const rows = (id) => page.locator(`#${id} tr`);
const row = (id, text) => rows(id).filter({ hasText: text });

async function look(user) {
    await page.locator('#user-id').fill(user);
    await page.getByRole('button', { name: 'Look' }).click();
    await page.locator('#user-shown').waitFor();
}

test('a load is seen on it within a few seconds', async () => {
    await start();
    await open();
    await says(page.locator('#state'), /^0\.\d+\.\d+, up 00:\d\d:\d\d, journal disk up, 0 kept$/);
    await listen('alice');
    await listen('alice');
    for (let n = 0; n < 20; n++)
        await daemon.notify({ user: 'alice', data: n });
    await says(figure('Streams'), /^2 open, 1 users online$/);
    await says(page.locator('#state'), /20 kept$/);
    await says(figure('Memory'), /MiB process, [\d.]+ \w*B window$/);
    const drawn = () => page.evaluate(() => charts[2].chart.data.datasets[0].data
        .reduce((most, point) => Math.max(most, point.y), 0));
    assert.ok(await until('deliveries', drawn) > 0);
    const under = () => page.evaluate(() => charts[3].chart.data.datasets[1].data
        .find((point) => point.y !== null)?.y);
    assert.ok(await until('a latency', under) < 10000);
});

test('it is in nobody\'s presence, and in no count of streams', async () => {
    await start();
    await open();
    await says(figure('Streams'), /^0 open, 0 users online$/);
    const stats = await daemon.request('GET', '/stats');
    assert.equal(stats.streams_open + stats.streams_opened, 0);
});

test('the daemon is killed and started again: the page goes on', async () => {
    await start();
    await open();
    await says(figure('Streams'), /0 open/);
    await daemon.kill();
    await says(page.locator('#state'), /lost|does not answer/);
    await daemon.start();
    await listen('alice');
    await says(figure('Streams'), /^1 open/);
});

test('a user is looked up, sent to, and a notification taken back', async () => {
    await start();
    await daemon.notify({ user: 'alice', data: '<img src=x onerror="document.title=1">' });
    await open();
    await look('alice');
    await says(page.locator('#user-said'), /^alice is not online\.$/);
    assert.match(await rows('history').first().textContent(), /<img src=x onerror=/);
    assert.equal(await page.title(), 'sse-notify');
    await page.getByLabel('Data, JSON or text').fill('{"text":"hello"}');
    await page.getByRole('button', { name: 'Send' }).click();
    await says(page.locator('#user-said'), /^Sent as \S+, to 0 streams\.$/);
    await row('history', '{"text":"hello"}').waitFor();
    assert.equal(await rows('history').count(), 2);
    page.on('dialog', (dialog) => dialog.accept());
    await row('history', 'hello').getByRole('button', { name: 'Retract' }).click();
    await says(page.locator('#user-said'), /is retracted\.$/);
    const kept = await daemon.request('GET', '/notifications/alice/history');
    assert.deepEqual(kept.notifications.map((one) => typeof one.data), ['string']);
    assert.equal(await rows('history').count(), 1);
});

test('the newest of a long history comes first', async () => {
    await start('journal.keep_per_user=2000');
    await daemon.request('POST', '/notify',
        JSON.stringify(Array.from({ length: 1000 }, (_, n) => ({ user: 'alice', data: n }))));
    await daemon.notify({ user: 'alice', data: 'newest' });
    await open();
    await look('alice');
    assert.match(await rows('history').first().textContent(), /newest/);
    assert.equal(await rows('history').count(), 50);
});

test('streams are kicked, one and all', async () => {
    await start();
    for (let i = 0; i < 3; i++)
        await listen('Zoë/ 1');
    const client = (await daemon.streams(encodeURIComponent('Zoë/ 1')))[1].client_id;
    await open();
    await look('Zoë/ 1');
    await row('streams', client).getByRole('button').click();
    await says(page.locator('#user-said'), /^Streams ended: 1\./);
    await until('two streams', async () => await rows('streams').count() === 2);
    page.on('dialog', (dialog) => dialog.accept());
    await page.getByRole('button', { name: 'Kick all' }).click();
    await says(page.locator('#user-said'), /^Streams ended: 2\./);
    await page.getByText('No stream is open.').waitFor();
});

test('why did it not arrive: what became of it, at each stream', async () => {
    await start();
    await listen('alice');
    const sent = await daemon.notify({ user: 'alice', data: 1 });
    await until('the delivery', async () => (await daemon.streams('alice'))[0].last_id === sent.id);
    await listen('alice');
    await open();
    await look('alice');
    await row('history', sent.id).getByRole('button', { name: 'Trace' }).click();
    await page.locator('#trace-shown').waitFor();
    const text = await page.locator('#trace-times').textContent();
    assert.match(text, /Sent touser:alice.*Streams that it was for1Times written1/);
    assert.deepEqual(await rows('trace-streams').locator('td:nth-child(4)').allTextContents(),
        ['written', 'opened-later']);
    await page.locator('#trace-id').fill('zzzzzzzz-1');
    await page.locator('#trace-form button').click();
    await says(page.locator('#trace-said'), /has not given out that id/);
});

test('warnings and errors are shown as they come', async () => {
    const key = path.join(folder, 'jwt');
    fs.writeFileSync(key, 'x'.repeat(64), { mode: 0o600 });
    await start('auth.subscribe=jwt', `auth.jwt_key_file=${key}`);
    await open();
    await page.getByText('None since the start.').waitFor();
    fs.unlinkSync(key);
    daemon.child.kill('SIGHUP');
    await row('lines', 'the configuration is refused').waitFor();
    assert.match(await rows('lines').first().textContent(), /error/);
});

test('the configuration: what was set, and on request all', async () => {
    await start('streams.heartbeat=20s');
    await open();
    assert.equal(await row('options', 'streams.heartbeat').textContent(),
        'streams.heartbeat20s15s-oreload');
    assert.equal(await row('options', 'journal.keep_bytes').count(), 0);
    await page.getByLabel('Also what is at its default').check();
    await row('options', 'journal.keep_bytes').waitFor();
});

test('it asks for a key where one is needed, and keeps it out of the address', async () => {
    const keys = path.join(folder, 'keys');
    const key = execFileSync(program, ['key', 'add', 'console', '--file', keys],
        { encoding: 'utf8' }).trim();
    await start('auth.publish=key', `auth.publish_keys_file=${keys}`);
    await open();
    await page.getByLabel('Publish key, or token').fill(`${key}x`);
    await page.getByRole('button', { name: 'Use it' }).click();
    await page.getByText('This is not one of the keys').first().waitFor();
    await page.getByLabel('Publish key, or token').fill(key);
    await page.keyboard.press('Enter');
    await says(figure('Streams'), /^0 open/);
    await row('options', 'auth.publish_keys_file').waitFor();
    await page.reload();
    await says(figure('Streams'), /^0 open/);
    assert.ok(!await page.locator('#key-form').isVisible());
    assert.equal(page.url(), `${daemon.url}/console`);
    assert.ok(!daemon.log.some((line) => line.includes(key)));
});

test('on a phone nothing is wider than the screen, and the keyboard does it all', async () => {
    await start();
    await daemon.notify({ user: 'alice', data: 'x'.repeat(500) });
    await open({ viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    for (let i = 0; i < 6; i++)
        await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'user-id');
    await page.keyboard.type('alice');
    await page.keyboard.press('Enter');
    await page.locator('#user-shown').waitFor();
    await says(figure('Streams'), /0 open/);
    assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth) <= 360);
    const background = () => page.evaluate(
        () => getComputedStyle(document.body).backgroundColor);
    const dark = await background();
    await page.emulateMedia({ colorScheme: 'light' });
    assert.notEqual(await background(), dark);
});

test('its files are asked for again, and come only when they have changed', async () => {
    await start();
    for (const name of ['', '/console.css', '/console.js', '/chart.js']) {
        const first = await fetch(`${daemon.url}/console${name}`);
        assert.match(first.headers.get('content-security-policy'), /^default-src 'none';/);
        assert.equal(first.headers.get('cache-control'), 'no-cache');
        assert.ok((await first.text()).length > 1000);
        const again = await fetch(`${daemon.url}/console${name}`,
            { headers: { 'If-None-Match': first.headers.get('etag') } });
        assert.equal(again.status, 304);
    }
});

// ---- the pictures of the documentation ----

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A load that rises and falls, of pages that come and go.
async function makeLoad(seconds) {
    const names = Array.from({ length: 40 }, (_, n) => `user-${n}`);
    const open = [];
    for (let second = 0; second < seconds; second++) {
        const begun = Date.now();
        for (const name of names.slice(0, 4))
            open.push(await listen(name));
        names.push(...names.splice(0, 4));
        if (second % 20 > 14)
            open.splice(0, 12).forEach((stream) => stream.close());
        const many = 60 + Math.round(50 * Math.sin(second / 8) + 30 * Math.random());
        await daemon.request('POST', '/notify', JSON.stringify(Array.from({ length: many },
            (_, n) => ({ user: names[(n * 7) % names.length], data: { n } }))));
        for (let n = 0; n < 5; n++)
            await daemon.notify({ user: names[n], data: { text: 'Your order has shipped' } });
        await pause(1000 - Math.min(1000, Date.now() - begun));
    }
}

async function takePictures(to) {
    await start('streams.heartbeat=20s', 'journal.keep=12h', 'auth.publish_keys_file=/etc/unused');
    await open({ viewport: { width: 1180, height: 530 }, colorScheme: 'light' });
    await makeLoad(118);
    const load = makeLoad(6);
    await pause(3000);
    await page.screenshot({ path: path.join(to, 'console.png') });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.screenshot({ path: path.join(to, 'console-dark.png') });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.screenshot({ path: path.join(to, 'console-phone.png') });
    await load;
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 1180, height: 530 });
    await listen('alice');
    const sent = await daemon.notify({ user: 'alice', data: { text: 'Your order has shipped' } });
    await listen('alice');
    await look('alice');
    await row('history', sent.id).getByRole('button', { name: 'Trace' }).click();
    await page.locator('#trace-shown').waitFor();
    await page.evaluate(() => {
        document.activeElement.blur();
        scrollTo(0, 0);
    });
    const user = await page.locator('#user').boundingBox();
    const trace = await page.locator('#trace').boundingBox();
    await page.screenshot({ path: path.join(to, 'console-user.png'), fullPage: true,
        clip: { x: 0, y: user.y - 8, width: 1180, height: trace.y + trace.height - user.y + 16 } });
}

if (process.env.CONSOLE_PICTURES !== undefined)
    test('pictures', () => takePictures(process.env.CONSOLE_PICTURES));
