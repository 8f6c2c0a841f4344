// The room: who is here, what they hold, and who is ready for a game.

import { get, order } from './api.js';
import { h, icon, say } from './dom.js';
import { bytes, clock, version } from './format.js';
import { nameOf } from './steps.js';
import { state } from './state.js';
import { hash } from './covers.js';
import { count, t } from './words.js';

/** @typedef {import('./types.d.ts').PeerRow} PeerRow */
/** @typedef {import('./types.d.ts').Offer} Offer */

/** How a peer was found, in words. @type {Record<string, string>} */
const FOUND = { typed: 'typed', mdns: 'found by itself', broadcast: 'found by broadcast', introduced: 'introduced', remembered: 'known from before', inbound: 'came by itself' };
/** Why somebody is not connected. @type {Record<string, string>} */
const ABSENT = {
  coming: 'coming', 'other-version': 'another version of lanspread: use the same on both', 'own-address': 'this very peer', unreachable: 'cannot be reached', 'turned-away': 'was not let in', left: 'has left',
  'other-party': 'in another party', 'needs-pass': 'in a closed party',
};

/** `<room-page>`. */
export class RoomPage extends HTMLElement {
  #count = h('p', { class: 'lead' });
  #peers = h('ul', { class: 'peers' });
  #others = h('section', { class: 'card', hidden: true });
  #game = h('select', { 'aria-label': t('Game') });
  #ready = h('div', { class: 'ready' });
  /** @type {Offer[]} */
  #offers = [];
  #address = h('input', { name: 'addr', required: true, placeholder: '192.168.0.7', 'aria-label': t('Address'), autocomplete: 'off' });

  connectedCallback() {
    this.#game.addEventListener('change', () => this.#ask());
    const connect = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const text = this.#address.value.trim();
      const addr = /:\d+$/.test(text) ? text : `${text}:24930`;
      if (await order('connect', { addr })) this.#address.value = '';
    };
    this.append(
      h('h1', {}, t('Room')), this.#count, this.#peers,
      h('div', { class: 'columns' },
        h('section', { class: 'card' }, h('h2', {}, t('Who is ready?')),
          h('p', { class: 'note' }, t('Choose a game to see who has it in the version that counts, and who does not yet.')), this.#game, this.#ready),
        h('section', { class: 'card' }, h('h2', {}, t('Somebody is missing?')),
          h('p', { class: 'note' }, t('Type the address that their lanspread shows; one of them is enough.')),
          h('form', { class: 'row', onsubmit: connect }, this.#address, h('button', { type: 'submit' }, t('Connect'))))),
      this.#others);
    this.#show();
  }

  /** @param {import('./state.js').Changed} changed */
  update(changed) {
    if (changed.all || changed.peers || changed.status || changed.log || changed.games.size) this.#show();
    if (changed.all || changed.peers) this.#ask();
  }

  #show() {
    const status = state.status;
    if (!status) return;
    const peers = [...state.peers.values()].sort((a, b) => a.name.localeCompare(b.name));
    say(this.#count, peers.length ? count(peers.length, 'You and one other.', 'You and {n} others.') : t('Nobody else is here yet.'));
    const own = [...state.games.values()].filter((game) => game.availability === 'Ready');
    const me = h('li', { class: 'peer me' }, face(status.peer_id, status.name),
      h('div', {}, h('b', {}, status.name, ' ', h('small', {}, t('you'))), h('span', { class: 'facts' }, status.addr), h('span', { class: 'facts' }, `${count(own.length, '{n} game', '{n} games')} · ${bytes(own.reduce((sum, game) => sum + game.size, 0))}`), doing(status.active_operations)));
    const text = JSON.stringify([peers, own.length, status.active_operations.map((o) => [o.game_id, o.kind])]);
    if (this.#peers.dataset.shown !== text) {
      this.#peers.dataset.shown = text;
      this.#peers.replaceChildren(me, ...peers.map(card));
    }
    this.#showOthers();
    this.#showGames();
  }

  #showGames() {
    const games = [...state.games.values()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const text = games.map((game) => game.game_id).join('|');
    if (this.#game.dataset.shown === text) {
      this.#showReady();
      return;
    }
    this.#game.dataset.shown = text;
    const before = this.#game.value;
    this.#game.replaceChildren(...games.map((game) => h('option', { value: game.game_id, selected: game.game_id === before }, nameOf(game))));
    this.#ask();
  }

  async #ask() {
    const id = this.#game.value;
    if (!id) {
      this.#ready.replaceChildren();
      return;
    }
    try {
      const { offers } = await get(`offers/${encodeURIComponent(id)}`);
      if (this.#game.value === id) this.#offers = offers;
    } catch {
      this.#offers = [];
    }
    this.#showReady();
  }

  #showReady() {
    const game = state.games.get(this.#game.value);
    if (!game || !state.status) return;
    const has = new Map(this.#offers.filter((offer) => offer.peer_id).map((offer) => [offer.peer_id, offer.eti_version]));
    const rows = [
      { name: state.status.name, version: game.downloaded ? game.local_version : null, operation: state.operation(game.game_id) },
      ...[...state.peers.values()].map((peer) => ({ name: peer.name, version: has.get(peer.peer_id) ?? null, operation: null })),
    ];
    const right = rows.filter((row) => row.version === game.eti_game_version).length;
    this.#ready.replaceChildren(
      h('p', { class: 'lead' }, t('{n} of {all} are ready', { n: right, all: rows.length }), ' ', h('small', {}, version(game.eti_game_version))),
      h('progress', { max: rows.length, value: right, 'aria-hidden': 'true' }),
      h('ul', { class: 'people' }, ...rows.map((row) => {
        const ok = row.version === game.eti_game_version;
        const text = ok ? t('ready') : row.version ? t('has {version}', { version: version(row.version) }) : row.operation ? t('fetching') : t('does not have it');
        return h('li', { class: ok ? 'ok' : 'lacks' }, icon(ok ? 'check' : 'people'), h('span', {}, row.name), h('small', {}, text));
      })));
  }

  /** Those who were heard of and are not here, each with the reason. */
  #showOthers() {
    const others = state.others.filter((other) => other.reason !== 'own-address');
    /** @type {[string, string][]} */
    const rows = others.map((other) => [other.name ?? other.addrs[0] ?? '', t(ABSENT[other.reason] ?? other.message) + (other.protocol ? ` (${t('protocol {n}', { n: other.protocol })})` : '')]);
    if (!others.length) {
      // What only an event told.
      const seen = new Map(state.log.filter(({ event }) => event.event === 'peer-incompatible').map((entry) => [entry.event.addr, entry]));
      for (const [addr, { at_ms, event }] of seen) rows.push([addr, `${t('protocol {theirs}, here {ours}: use the same version of lanspread on both', { theirs: event.their_protocol, ours: event.our_protocol })} (${clock(at_ms)})`]);
    }
    this.#others.hidden = rows.length === 0;
    this.#others.replaceChildren(h('h2', {}, t('Heard of, but not here')), h('ul', { class: 'people' }, ...rows.map(([name, reason]) => h('li', { class: 'lacks' }, icon('people'), h('span', {}, name), h('small', {}, reason)))));
  }
}
customElements.define('room-page', RoomPage);

/** @param {string} id @param {string} name */
function face(id, name) {
  return h('span', { class: 'face', style: { '--hue': hash(id) % 360 }, 'aria-hidden': 'true' }, name.slice(0, 1).toUpperCase());
}

/** @param {import('./types.d.ts').Operation[]} operations */
function doing(operations) {
  if (!operations.length) return null;
  return h('span', { class: 'doing' }, operations.map((operation) => operation.game_id).join(', '));
}

/** @param {PeerRow} peer */
function card(peer) {
  const found = peer.found_by?.[0];
  return h('li', { class: 'peer' }, face(peer.peer_id, peer.name),
    h('div', {}, h('b', {}, peer.name), h('span', { class: 'facts' }, peer.addr, found ? ` · ${t(FOUND[found] ?? found)}` : ''),
      h('span', { class: 'facts' }, `${count(peer.game_count, '{n} game', '{n} games')} · ${bytes(peer.offered_bytes)}`)));
}
