// examples/: the login back end and its page, as docs/tutorial.md has them, in headless Chromium.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Daemon, launch, root, until } from './daemon.js';

const TTL = 62; // seconds: expiring comes 60 before the end

let browser;
let folder;
let daemon;
let login;
let page;

async function startLogin() {
    const child = spawn('python3', [path.join(root, 'examples/login.py'), '--secret',
        path.join(folder, 'secret'), '--listen', 'localhost:0', '--ttl', `${TTL}`,
        '--daemon', `http://localhost:${daemon.port}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(readline.createInterface({ input: child.stdout }), 'line');
    return { child, ended: once(child, 'exit'), url: line.trim() };
}

before(async () => {
    browser = await launch();
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sse-notify-test-'));
    fs.writeFileSync(path.join(folder, 'secret'), 'x'.repeat(64), { mode: 0o600 });
});

after(async () => {
    await browser?.close();
    fs.rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
    daemon = await new Daemon(['auth.subscribe=jwt',
        `auth.jwt_key_file=${path.join(folder, 'secret')}`]).start();
    login = await startLogin();
    // The login's port is known now: the daemon again, with its origin allowed.
    daemon.options.push(`http.allowed_origins=${new URL(login.url).origin}`);
    await daemon.stop();
    await daemon.start();
    page = await (await browser.newContext()).newPage();
});

afterEach(async () => {
    await page.context().close();
    login.child.kill();
    await login.ended;
    await daemon.stop();
});

async function signIn(name = 'alice', password = 'wonderland') {
    await page.goto(login.url);
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
}

const connected = () => page.getByText('connected', { exact: true }).waitFor();
const badge = (text) => until(`a badge of ${text}`,
    async () => await page.getByRole('status').textContent() === text);
const listed = () => page.getByRole('listitem').allTextContents();
const send = (text, user = 'alice') => daemon.notify({ user, data: { text } });

test('the badge counts what comes, and what came while nobody was there', async () => {
    await signIn();
    await connected();
    await send('one');
    await badge('1');
    await page.goto('about:blank');
    await send('two');
    await send('three');
    await page.goto(login.url);
    await badge('3');
    await send('four');
    await badge('4');
    assert.deepEqual(await listed(), ['four', 'three', 'two', 'one']);
});

test('nothing is lost or doubled where the daemon is killed', async () => {
    await signIn();
    await connected();
    await send('one');
    await badge('1');
    await daemon.kill();
    await daemon.start();
    await send('two');
    await badge('2');
    assert.deepEqual(await listed(), ['two', 'one']);
});

test('what was retracted leaves the page', async () => {
    await signIn();
    await connected();
    const { id } = await send('wrong');
    await badge('1');
    await daemon.request('DELETE', `/notifications/alice/${id}`);
    await until('an empty list', async () => (await listed()).length === 0);
});

test('the open stream is prolonged before its token expires', async () => {
    await signIn();
    await connected();
    await until('a new token', async () => (await daemon.request('GET', '/stats')).streams_renewed);
    assert.equal((await daemon.request('GET', '/stats')).streams_opened, 1);
    await send('still here');
    await badge('1');
});

test('somebody else hears nothing of it, and a wrong password opens nothing', async () => {
    await signIn('alice', 'guessed');
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    assert.deepEqual((await page.context().cookies()).map((cookie) => cookie.name), []);
    await signIn('bob', 'builder');
    await connected();
    await send('for alice');
    await send('for bob', 'bob');
    await badge('1');
    assert.deepEqual(await listed(), ['for bob']);
});

test('text is never taken for HTML', async () => {
    await signIn();
    await connected();
    await send('<img src=x onerror="document.title = 1">');
    await badge('1');
    assert.deepEqual(await listed(), ['<img src=x onerror="document.title = 1">']);
});

test('who signs out hears nothing more', async () => {
    await signIn();
    await connected();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    assert.deepEqual((await page.context().cookies()).map((cookie) => cookie.name), []);
    await until('the end of the stream', async () => (await daemon.streams('alice')).length === 0);
});
