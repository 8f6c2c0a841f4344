// The room: who is here, what they hold and do, and who has a game.

import { get, order, post } from './api.js';
import { doctor, toast } from './dialogs.js';
import { h, icon, say } from './dom.js';
import { bytes, duration, percent, rate, version } from './format.js';
import { wrongPhrase } from './sentences.js';
import { nameOf } from './steps.js';
import { state } from './state.js';
import { hash } from './covers.js';
import { count, t } from './words.js';


/** Everybody is asked anew after so many milliseconds, while somebody looks. */
const ASK_EVERY_MS = 2000;
/** How a peer was found, in words. @type {Record<string, string>} */
const FOUND = { typed: 'entered by hand', mdns: 'found automatically', broadcast: 'found by broadcast', introduced: 'introduced by another PC', remembered: 'seen before', inbound: 'connected to you' };
/** Why somebody is not connected. @type {Record<string, string>} */
const ABSENT = {
  'coming': 'connecting', 'other-version': 'incompatible version of lanspread: use the same one everywhere', 'own-address': 'this PC', 'unreachable': 'unreachable', 'turned-away': 'refused', 'left': 'left',
  'other-party': 'in another party', 'wrong-pass-phrase': 'different passphrase', 'too-many-tries': 'too many wrong passphrases',
};

/** `<room-page>`. */
export class RoomPage extends HTMLElement {
  #count = h('p', { class: 'lead' });
  #wrong = h('p', { class: 'trouble', role: 'alert', hidden: true });
  #peers = h('ul', { class: 'peers' });
  #others = h('section', { class: 'card', hidden: true });
  #groups = h('section', { class: 'card', hidden: true });
  #game = h('select', { 'aria-label': t('Game') });
  #lead = h('p', { class: 'lead' });
  #bar = h('progress', { max: 1, 'aria-hidden': 'true' });
  #last = h('p', { class: 'note', role: 'status' });
  #people = h('ul', { class: 'people' });
  #want = h('button', { type: 'button' }, t('Ask everyone to download'));
  #willing = h('small', {});
  #ready = h('div', { class: 'ready' }, this.#lead, this.#bar, this.#last, this.#people, h('div', { class: 'row wrap' }, this.#want, this.#willing));
  #address = h('input', { name: 'addr', required: true, placeholder: '192.168.0.7', 'aria-label': t('Address'), autocomplete: 'off' });
  /** What everybody said last. @type {{guests: Guest[], groups: RoomGroup[], games: RoomGame[]}} */
  #said = { guests: [], groups: [], games: [] };
  /** @type {number | undefined} */
  #next;
  #chosen = false;

  connectedCallback() {
    this.#game.addEventListener('change', () => {
      this.#chosen = true;
      this.#ask();
    });
    this.#want.addEventListener('click', async () => {
      this.#want.disabled = true;
      try {
        const { data } = await post('want', { game_id: this.#game.value });
        toast(count(data.asked, 'Asked one person.', 'Asked {n} people.'), 'good');
      } catch (error) {
        toast(error instanceof Error ? error.message : String(error), 'bad');
      }
      this.#want.disabled = false;
    });
    const connect = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const text = this.#address.value.trim();
      const addr = /:\d+$/.test(text) ? text : `${text}:24930`;
      if (await order('connect', { addr })) this.#address.value = '';
    };
    this.append(
      h('h1', {}, t('Room')), this.#count, this.#wrong, this.#peers,
      h('div', { class: 'columns' },
        h('section', { class: 'card' }, h('h2', {}, t('Who has it')), this.#game, this.#ready),
        h('section', { class: 'card' }, h('h2', {}, t('Someone missing?')),
          h('p', { class: 'note' }, t('Enter the address shown in their Settings. Any one PC is enough.')),
          h('form', { class: 'row', onsubmit: connect }, this.#address, h('button', { type: 'submit' }, t('Connect'))),
          h('p', {}, h('button', { type: 'button', onclick: doctor }, t('Why is the room empty?'))))),
      this.#groups, this.#others);
    this.#show();
    this.#ask();
  }

  disconnectedCallback() {
    clearTimeout(this.#next);
  }

  /** @param {import('./state.js').Changed} changed */
  update(changed) {
    if (changed.all || changed.peers || changed.status || changed.log || changed.games.size) this.#show();
    if (changed.all || changed.peers) this.#ask();
  }

  /** Asks the room, now and while somebody looks. */
  async #ask() {
    clearTimeout(this.#next);
    const id = this.#game.value;
    if (!document.hidden && state.link === 'open') {
      const said = await get(`room/${encodeURIComponent(id || '-')}`).catch(() => null);
      if (said && this.#game.value === id) this.#said = said;
      // What somebody fetches just now is what the room is about.
      const now = this.#said.games.find((game) => game.fetching.length)?.game_id;
      if (!this.#chosen && now && now !== id) {
        this.#chosen = true;
        this.#game.value = now;
        this.#ask();
        return;
      }
    }
    if (!this.isConnected) return;
    this.#show();
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.#ask(), ASK_EVERY_MS);
  }

  #show() {
    const status = state.status;
    if (!status) return;
    const peers = [...state.peers.values()].sort((a, b) => a.name.localeCompare(b.name));
    say(this.#count, (peers.length ? count(peers.length, 'You and one other.', 'You and {n} others.') : t('Nobody else is here yet.')) + (status.party ? ` ${t('Closed party: {party}.', { party: status.party })}` : ''));
    this.#wrong.hidden = !state.wrongPhrase;
    say(this.#wrong, state.wrongPhrase ? wrongPhrase() : '');
    const own = [...state.games.values()].filter((game) => game.availability === 'Ready');
    const me = { peer_id: status.peer_id, name: status.name, addr: status.addr, game_count: own.length, offered_bytes: own.reduce((sum, game) => sum + game.size, 0) };
    const cards = [me, ...peers].map((peer) => ({ peer, doing: this.#doing(peer.peer_id), guest: this.#said.guests.find((guest) => guest.peer_id === peer.peer_id) }));
    const text = JSON.stringify(cards);
    if (this.#peers.dataset.shown !== text) {
      this.#peers.dataset.shown = text;
      this.#peers.replaceChildren(...cards.map(({ peer, doing, guest }) => card(peer, doing, guest, peer === me)));
    }
    this.#showGroups();
    this.#showOthers();
    this.#showGames();
  }

  /** What somebody fetches, in a line. @param {string} id */
  #doing(id) {
    const all = this.#said.games.flatMap((game) => game.fetching.filter((one) => one.peer_id === id).map((one) => `${titled(game.game_id)} ${percent(part(one))}`));
    return all.join(', ');
  }

  #showGames() {
    const games = [...state.games.values()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const text = games.map((game) => `${game.game_id}/${nameOf(game)}`).join('|');
    if (this.#game.dataset.shown !== text) {
      this.#game.dataset.shown = text;
      const before = this.#game.value;
      this.#game.replaceChildren(...games.map((game) => h('option', { value: game.game_id, selected: game.game_id === before }, nameOf(game))));
      if (games.length && this.#game.value !== before) this.#ask();
    }
    this.#showReady();
  }

  #showReady() {
    const game = this.#said.games.find((row) => row.game_id === this.#game.value);
    this.#ready.hidden = !game;
    if (!game) return;
    const { guests } = this.#said;
    say(this.#lead, `${t('{n} of {all} have it', { n: game.ready.length, all: guests.length })} · ${version(game.eti_version)}`);
    this.#bar.value = guests.length ? game.ready.length / guests.length : 0;
    const last = game.last_ready_seconds;
    say(this.#last, !game.fetching.length ? '' : last === null ? t('No estimate: a download is stalled.') : t('Last active download finishes in {time}.', { time: duration(last) }));
    this.#last.hidden = !game.fetching.length;
    const rows = guests.map((guest) => ({ name: guest.name, ...standing(game, guest) }));
    const text = JSON.stringify(rows);
    if (this.#people.dataset.shown !== text) {
      this.#people.dataset.shown = text;
      this.#people.replaceChildren(...rows.map(({ name, ok, text: said }) => h('li', { class: ok ? 'ok' : 'lacks' }, icon(ok ? 'check' : 'people'), h('span', {}, name), h('small', {}, said))));
    }
    const willing = guests.slice(1).filter((guest) => guest.accepts_wants).length;
    this.#want.hidden = guests.length < 2 || game.ready.length === guests.length;
    this.#willing.hidden = this.#want.hidden;
    say(this.#willing, count(willing, 'One other person accepts requests automatically.', 'Others who accept requests automatically: {n}.'));
  }

  /** Who is behind which switch, and what crossed between them; nothing in a room with one switch. */
  #showGroups() {
    const { groups } = this.#said;
    this.#groups.hidden = groups.length < 2;
    const text = JSON.stringify(groups);
    if (this.#groups.dataset.shown === text) return;
    this.#groups.dataset.shown = text;
    this.#groups.replaceChildren(h('h2', {}, t('Groups')), h('ul', { class: 'people wide' }, ...groups.map((group) => h('li', {}, icon('people'), h('span', {}, group.name), h('small', {}, `${count(group.peers, '{n} PC', '{n} PCs')} · ${t('{received} received, {crossed} of it from other groups', { received: bytes(group.received_bytes), crossed: bytes(group.from_other_groups_bytes) })}`)))));
  }

  /** Those who were heard of and are not here, each with the reason. */
  #showOthers() {
    /** @type {Map<string, string>} */
    const rows = new Map();
    const add = (/** @type {string} */ name, /** @type {string} */ reason) => rows.has(name) || rows.set(name, reason);
    for (const other of state.others) {
      if (other.reason === 'own-address') continue;
      add([other.name, other.addrs[0]].filter(Boolean).join(' · '), absence(other));
    }
    const known = state.others.flatMap((other) => other.addrs);
    // Who was turned away at the door, here or there.
    for (const one of state.status?.refused ?? []) if (!known.includes(one.addr)) add(one.addr, ABSENT[one.code] ? t(ABSENT[one.code]) : one.reason);
    this.#others.hidden = rows.size === 0;
    const text = JSON.stringify([...rows]);
    if (this.#others.dataset.shown === text) return;
    this.#others.dataset.shown = text;
    this.#others.replaceChildren(h('h2', {}, t('Seen, not connected')), h('ul', { class: 'people wide' }, ...[...rows].map(([name, reason]) => h('li', { class: 'lacks' }, icon('people'), h('span', {}, name), h('small', {}, reason)))));
  }
}
customElements.define('room-page', RoomPage);

/** Why somebody is not here, as far as that is short enough for a line. @param {OtherPeer} other */
function absence(other) {
  const why = t(ABSENT[other.reason] ?? other.message);
  if (other.protocol) return `${why} (${t('protocol {n}', { n: other.protocol })})`;
  return other.reason === 'turned-away' ? `${why}: ${t(other.message)}` : why;
}

/** @param {string} id */
function titled(id) {
  const game = state.games.get(id);
  return game ? nameOf(game) : id;
}

/** @param {{done_bytes: number, total_bytes: number}} fetching */
function part(fetching) {
  return fetching.done_bytes / Math.max(1, fetching.total_bytes);
}

/** How a guest stands with a game. @param {RoomGame} game @param {Guest} guest @returns {{ok: boolean, text: string}} */
function standing(game, guest) {
  const id = guest.peer_id;
  // Peers say what they downloaded, not what they installed; of this one it is known.
  if (game.ready.includes(id)) return { ok: true, text: id !== state.status?.peer_id ? t('has it') : state.games.get(game.game_id)?.installed ? t('has it, ready to play') : t('has it, not installed') };
  const fetching = game.fetching.find((one) => one.peer_id === id);
  if (fetching) {
    const left = fetching.seconds_left === null ? t('waiting') : t('{time} left', { time: duration(fetching.seconds_left) });
    return { ok: false, text: `${percent(part(fetching))} · ${rate(fetching.bytes_per_second)} · ${left}` };
  }
  const other = game.other.find((one) => one.peer_id === id);
  if (other) return { ok: false, text: other.same_version ? t('has different files for this version') : t('has {version}', { version: version(other.eti_version) }) };
  return { ok: false, text: guest.silent ? t('not responding') : t('does not have it') };
}

/** @param {string} id @param {string} name */
function face(id, name) {
  return h('span', { class: 'face', style: { '--hue': hash(id) % 360 }, 'aria-hidden': 'true' }, name.slice(0, 1).toUpperCase());
}

/** @param {any} peer @param {string} doing @param {Guest | undefined} guest @param {boolean} me */
function card(peer, doing, guest, me) {
  const found = peer.found_by?.[0];
  const remarks = [guest?.behind && t('outdated catalogue'), !me && guest?.silent && t('not responding')].filter(Boolean).join(' · ');
  return h('li', { class: me ? 'peer me' : 'peer' }, face(peer.peer_id, peer.name),
    h('div', {}, h('b', {}, peer.name, me ? h('small', {}, ` ${t('you')}`) : null), h('span', { class: 'facts' }, peer.addr, found ? ` · ${t(FOUND[found] ?? found)}` : ''),
      h('span', { class: 'facts' }, `${count(peer.game_count, '{n} game', '{n} games')} · ${bytes(peer.offered_bytes)}`),
      doing ? h('span', { class: 'doing' }, `${t('Downloading')} ${doing}`) : null,
      remarks ? h('span', { class: 'remark' }, remarks) : null));
}
