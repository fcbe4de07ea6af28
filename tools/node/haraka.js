// SPDX-License-Identifier: MIT
'use strict';
/*
 * A plugin for Haraka's outbound queue, as an example: copy it with slotshare.js into plugins/ and
 * add its name to config/plugins. It needs slotshare-socket on this host.
 *
 * send_email: before a message is delivered, take a slot for one of the domain's MX hosts, the best
 * first; when none has one, try again later. get_mx: deliver to that host and no other.
 * delivered, deferred, bounce: the delivery is over, but Haraka says QUIT and closes the connection
 * after that; so the slot is tied to the connection, and goes back when the kernel has it no more.
 * Use it with connections that are not kept for later messages (Haraka 3 keeps none).
 */
const dns = require('node:dns').promises;
const fs = require('node:fs').promises;
const { Slots } = require('./slotshare');

const WAIT = 5;   // seconds for a slot
const LATER = 10; // seconds until a message that got none is tried again
const settings = { socket: '/run/slotshare/socket', binding: 'haraka', else: 'deliver' };
const held = new Map(); // hmail -> what it holds
let slots;

exports.register = function () {
    const ini = this.config.get('slotshare.ini');
    Object.assign(settings, ini && ini.main);
    slots = new Slots(settings.socket);
};

async function hosts(domain) {
    try {
        const found = await dns.resolveMx(domain);
        if (found.length) {
            return found.sort((a, b) => a.priority - b.priority).map((mx) => mx.exchange);
        }
    } catch (error) {
        if (error.code !== 'ENODATA' && error.code !== 'ENOTFOUND') throw error;
    }
    return [domain]; // no MX record: its address
}

async function takeFirst(domain, names) {
    for (const [i, host] of names.entries()) {
        const wait = i === names.length - 1 ? WAIT : 0; // only where there is no other choice
        const slot = await slots.own({ binding: settings.binding, domain, host, wait });
        if (slot) return { host, slot };
    }
    return null;
}

exports.hook_send_email = async function (next, hmail) {
    const { domain } = hmail.todo;
    let names;
    try {
        names = await hosts(domain);
    } catch (error) {
        return next(); // DNS fails: Haraka will find out, and knows what to do
    }
    try {
        const taken = await takeFirst(domain, names);
        if (!taken) return next(DELAY, LATER);
        held.set(hmail, taken);
        return next();
    } catch (error) {
        this.logerror(error.message);
        return settings.else === 'hold' ? next(DELAY, LATER) : next();
    }
};

exports.hook_get_mx = function (next, hmail) {
    const taken = held.get(hmail);
    return taken ? next(OK, { priority: 0, exchange: taken.host }) : next();
};

/** This process's IPv4 connections to port 25 of these addresses. */
async function connections(addresses) {
    const own = new Set();
    for (const fd of await fs.readdir('/proc/self/fd')) {
        own.add(await fs.readlink(`/proc/self/fd/${fd}`).catch(() => ''));
    }
    const address = (hex) => hex.match(/../g).reverse().map((byte) => parseInt(byte, 16)).join('.');
    return (await fs.readFile('/proc/self/net/tcp', 'utf8')).split('\n').slice(1)
        .map((line) => line.trim().split(/\s+/)).filter((field) => own.has(`socket:[${field[9]}]`))
        .map((field) => [...field[1].split(':'), ...field[2].split(':')])
        .map(([local, localPort, remote, remotePort]) => ({
            localAddress: address(local), localPort: parseInt(localPort, 16),
            remoteAddress: address(remote), remotePort: parseInt(remotePort, 16),
        })).filter((ends) => ends.remotePort === 25 && addresses.includes(ends.remoteAddress));
}

const tied = new Set(); // "port", of connections that have a slot to go with

async function over(hmail) {
    const taken = held.get(hmail);
    if (!taken) return;
    held.delete(hmail);
    const addresses = await dns.resolve4(taken.host).catch(() => []);
    for (const ends of await connections(addresses).catch(() => [])) {
        if (!tied.has(ends.localPort)) {
            tied.add(ends.localPort);
            setTimeout(() => tied.delete(ends.localPort), 60000).unref();
            await taken.slot.tie(ends);
            break;
        }
    }
    await taken.slot.give();
}

for (const hook of ['delivered', 'deferred', 'bounce']) {
    exports[`hook_${hook}`] = function (next, hmail) {
        over(hmail).catch((error) => this.logerror(error.message)).then(() => next());
    };
}
