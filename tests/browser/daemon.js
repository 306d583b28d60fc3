// What the browser tests start: browser, daemon, a TCP proxy that can cut, a server of pages.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const program = process.env.SSE_NOTIFY_BIN ?? path.join(root, 'build/release/sse-notify');

const homes = [];
process.once('exit', () => homes.forEach(
    (home) => fs.rmSync(home, { recursive: true, force: true })));

export function launch() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
}

// The daemon on a port of the system's choice, the same again after a restart.
export class Daemon {
    constructor(options = []) {
        this.options = options;
        this.port = 0;
        this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'sse-notify-test-'));
        homes.push(this.home);
    }

    async start() {
        const options = [
            `listener.default.address=127.0.0.1:${this.port}`, 'log.format=json',
            'server.drain_time=100ms', 'streams.retry=200ms', ...this.options,
        ];
        this.child = spawn(program, ['serve', ...options.flatMap((option) => ['-o', option])], {
            stdio: ['ignore', 'ignore', 'pipe'],
            env: { ...process.env, STATE_DIRECTORY: this.home },
        });
        this.ended = once(this.child, 'exit');
        this.log = [];
        await new Promise((resolve, reject) => {
            readline.createInterface({ input: this.child.stderr }).on('line', (line) => {
                this.log.push(line);
                if (line.includes('"listening"')) {
                    this.port = Number(JSON.parse(line).address.split(':').pop());
                    resolve();
                }
            });
            this.ended.then(() => reject(new Error(`ended early:\n${this.log.join('\n')}`)));
        });
        return this;
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    async kill() {
        this.child.kill('SIGKILL');
        await this.ended;
    }

    // SIGTERM, and exit status 0 as it should be.
    async stop() {
        if (this.child.exitCode !== null || this.child.signalCode !== null)
            return;
        this.child.kill('SIGTERM');
        const [status] = await this.ended;
        if (status !== 0)
            throw new Error(`exit status ${status}:\n${this.log.join('\n')}`);
    }

    async request(method, target, body) {
        const response = await fetch(this.url + target, { method, body });
        if (!response.ok)
            throw new Error(`${method} ${target}: ${response.status} ${await response.text()}`);
        return response.json();
    }

    notify(fields) {
        return this.request('POST', '/notify', JSON.stringify(fields));
    }

    async streams(user) {
        return (await this.request('GET', `/users/${user}`)).streams;
    }
}

// Waits until `condition` gives something true, which it returns.
export async function until(what, condition, seconds = 20) {
    for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
        const result = await condition();
        if (result)
            return result;
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${what}: not within ${seconds} s`);
}

// A TCP proxy before `daemon`: cut() breaks what is open and refuses what comes, until restore().
export class Proxy {
    constructor(daemon) {
        this.pairs = new Set();
        this.isCut = false;
        this.server = net.createServer((near) => {
            if (this.isCut) {
                near.resetAndDestroy();
                return;
            }
            const far = net.connect(daemon.port, '127.0.0.1');
            const pair = [near, far];
            this.pairs.add(pair);
            for (const socket of pair) {
                socket.on('error', () => {});
                socket.on('close', () => {
                    pair.forEach((each) => each.destroy());
                    this.pairs.delete(pair);
                });
            }
            near.pipe(far);
            far.pipe(near);
        });
    }

    async start() {
        this.server.listen(0, '127.0.0.1');
        await once(this.server, 'listening');
        this.url = `http://127.0.0.1:${this.server.address().port}`;
        return this;
    }

    cut() {
        this.isCut = true;
        for (const pair of this.pairs)
            pair.forEach((socket) => socket.resetAndDestroy());
    }

    restore() {
        this.isCut = false;
    }

    async stop() {
        this.cut();
        this.server.close();
        await once(this.server, 'close');
    }
}

// Serves an empty page; with `daemon`, everything else is handed on to it, as a reverse proxy
// does, so that page and stream are of one origin.
export class Pages {
    constructor(daemon = null) {
        this.server = http.createServer((request, response) => {
            if (request.url === '/page' || daemon === null) {
                response.setHeader('Content-Type', 'text/html; charset=utf-8');
                response.end('<!doctype html><title>sse-notify</title>');
                return;
            }
            const inner = http.request({
                host: '127.0.0.1', port: daemon.port, path: request.url, method: request.method,
                headers: request.headers,
            }, (answer) => {
                response.writeHead(answer.statusCode, answer.headers);
                response.flushHeaders();
                answer.pipe(response);
                answer.on('error', () => response.destroy());
                answer.on('close', () => response.destroy());
            });
            inner.on('error', () => response.destroy());
            response.on('close', () => inner.destroy());
            request.pipe(inner);
        });
    }

    async start() {
        this.server.listen(0, '127.0.0.1');
        await once(this.server, 'listening');
        this.origin = `http://127.0.0.1:${this.server.address().port}`;
        return this;
    }

    async stop() {
        this.server.closeAllConnections();
        this.server.close();
        await once(this.server, 'close');
    }
}
