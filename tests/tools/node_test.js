// SPDX-License-Identifier: MIT
'use strict';
/* Usage: node node_test.js SOCKET HOST    HOST: limit 2. Exit status 0: all is well. */
const assert = require('node:assert');
const dns = require('node:dns').promises;
const net = require('node:net');
const { Slots } = require('../../tools/node/slotshare');

const [, , path, host] = process.argv;
global.OK = 906;
global.DELAY = 908;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition) {
    while (!await condition()) await pause(10); // the caller's time limit is the bound
}

async function client() {
    const slots = new Slots(path);
    const first = await slots.take({ binding: 'b', domain: 'd.example', host });
    const second = await slots.own({ host });
    assert(first && second);
    assert.strictEqual(await slots.take({ host }), null);
    assert.strictEqual(await slots.look({ hosts: [host] }), false);
    assert.strictEqual(await slots.look({ hosts: [host, 'other.example'] }), true);
    const third = new Slots(path).take({ host, wait: 60 });
    await second.give();
    await (await third).give();
    await assert.rejects(first.give().then(() => first.give()), /no such slot/);
    await assert.rejects(async () => slots.take({ host: 'a b' }), /blank/);
    assert.strictEqual(await slots.look({ hosts: [host] }), true);
    slots.close();
    await assert.rejects(new Slots(`${path}.none`).take({ host }), /ENOENT/);
}

async function attached() {
    const server = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const slots = new Slots(path);
    const watch = new Slots(path);
    const sockets = [];
    for (let i = 0; i < 2; i++) {
        const slot = await slots.take({ host });
        sockets.push(slot.attach(net.connect(server.address().port, '127.0.0.1')));
    }
    assert.strictEqual(await watch.look({ hosts: [host] }), false);
    for (const socket of sockets) socket.end();
    await until(() => watch.look({ hosts: [host] }));
    const refused = (await slots.take({ host })).attach(net.connect(1, '127.0.0.1'));
    await new Promise((resolve) => refused.once('error', resolve));
    slots.close();
    watch.close();
    server.close();
}

/** As Haraka calls it. */
async function haraka() {
    const plugin = require('../../tools/node/haraka');
    const log = [];
    Object.assign(plugin, {
        config: { get: () => ({ main: { socket: path, binding: 'haraka' } }) },
        logerror: (text) => log.push(text),
    });
    dns.resolveMx = async () => [{ priority: 20, exchange: 'second.example' },
        { priority: 10, exchange: host }];
    dns.resolve4 = async () => ['192.0.2.1'];
    plugin.register();
    const call = (hook, mail) => new Promise((resolve) => {
        plugin[`hook_${hook}`]((...result) => resolve(result), mail, 'example.org');
    });
    const mails = [1, 2, 3].map(() => ({ todo: { domain: 'example.org' } }));
    for (const mail of mails) assert.deepStrictEqual(await call('send_email', mail), []);
    const chosen = [];
    for (const mail of mails) chosen.push((await call('get_mx', mail))[1].exchange);
    assert.deepStrictEqual(chosen, [host, host, 'second.example']);
    const watch = new Slots(path);
    assert.strictEqual(await watch.look({ hosts: [host] }), false);
    for (const mail of mails) await call('delivered', mail);
    await until(() => watch.look({ hosts: [host] }));
    assert.deepStrictEqual(await call('get_mx', mails[0]), []);
    watch.close();
    assert.deepStrictEqual(log, []);
}

(async () => {
    await client();
    await attached();
    await haraka();
    process.exit(0);
})().catch((error) => {
    console.error(error);
    process.exit(1);
});
