// SPDX-License-Identifier: MIT
'use strict';
/*
 * Slots from slotshare-socket (tools/socket/README.md is its protocol), for Node 16 or newer.
 * Nothing to compile.
 *
 *   const { Slots } = require('./slotshare');
 *   const slots = new Slots('/run/slotshare/socket');
 *   const slot = await slots.take({ binding, domain, host, wait: 5 });
 *   if (slot) { const socket = net.connect(25, host); slot.attach(socket); ... }
 *
 * A slot that is attached to a socket goes back when that is closed; others by slot.give(). When
 * this process ends, all go back.
 */
const net = require('node:net');

class Slot {
    constructor(slots, id) {
        this.slots = slots;
        this.id = id;
    }

    /** To be called before the socket is connected; also right if it never will be. */
    attach(socket) {
        socket.once('close', () => this.give().catch(() => {}));
        return socket;
    }

    /** It is for this connection, and does not go back before the kernel says that it is closed. */
    async tie({ localAddress, localPort, remoteAddress, remotePort }) {
        const ends = [localAddress, localPort, remoteAddress, remotePort];
        return await this.slots.ask(`tie id=${this.id} ends=${ends.join(',')}`) === 'ok';
    }

    async give() {
        await this.slots.ask(`give id=${this.id}`);
    }
}

class Slots {
    constructor(path = '/run/slotshare/socket') {
        this.path = path;
        this.answers = [];
        this.rest = '';
    }

    words({ binding, domain, host, wait, waiters }) {
        const given = Object.entries({ binding, domain, host, wait, waiters })
            .filter(([, value]) => value !== undefined && value !== '');
        if (given.some(([, value]) => /\s/.test(`${value}`))) throw new Error('a name with a blank');
        return given.map(([key, value]) => `${key}=${value}`).join(' ');
    }

    /** A Slot, or null when there was none within `wait` seconds. While one take waits, further
     * requests wait behind it: for several at a time use a Slots each (see `own`). */
    async take(to) {
        const answer = await this.ask(`take ${this.words(to)}`);
        if (answer === 'full') return null;
        return new Slot(this, answer.split(' ')[1]);
    }

    /** As take(), by a connection of its own, so that others need not wait behind it. */
    async own(to) {
        const slots = new Slots(this.path);
        const slot = await slots.take(to).catch((error) => { slots.close(); throw error; });
        if (!slot) { slots.close(); return null; }
        const give = slot.give.bind(slot);
        slot.give = () => give().finally(() => slots.close());
        return slot;
    }

    /** Would a take to one of the hosts succeed? hosts: an array. */
    async look({ hosts = [], ...to }) {
        return await this.ask(`look ${this.words({ ...to, host: hosts.join(',') })}`) === 'yes';
    }

    ask(line) {
        return new Promise((resolve, reject) => {
            this.answers.push((error, answer) => {
                if (error) reject(error);
                else if (answer.startsWith('error')) reject(new Error(`slotshare: ${answer}`));
                else resolve(answer);
            });
            this.connection().write(`${line}\n`);
        });
    }

    connection() {
        if (!this.socket) {
            const socket = this.socket = net.connect(this.path);
            socket.setEncoding('utf8');
            socket.on('data', (text) => this.hear(text));
            socket.on('error', (error) => { this.error = error; });
            socket.on('close', () => this.lost());
        }
        return this.socket;
    }

    hear(text) {
        const lines = (this.rest + text).split('\n');
        this.rest = lines.pop();
        for (const line of lines) this.answers.shift()(null, line);
    }

    lost() {
        const error = this.error || new Error('slotshare: the service has closed the connection');
        this.socket = this.error = undefined;
        this.rest = '';
        for (const answer of this.answers.splice(0)) answer(error);
    }

    /** Slots that are still held go back. */
    close() {
        if (this.socket) this.socket.end();
    }
}

module.exports = { Slots, Slot };
