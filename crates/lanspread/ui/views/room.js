// The room: who is here, what they hold and do, and who has a game.

import { get, post } from '../model/api.js';
import { wrongPhrase } from '../model/events.js';
import { bytes, duration, percent, rate, version } from '../model/format.js';
import { nameOf } from '../model/game.js';
import { state } from '../model/state.js';
import { count, refusal, t } from '../model/words.js';
import { hash } from '../widgets/cover.js';
import { order, toast } from '../widgets/dialogs.js';
import { doctor } from '../widgets/doctor.js';
import { h, icon, say } from '../widgets/dom.js';

/** Everybody is asked anew after so many milliseconds, while somebody looks. */
const ASK_EVERY_MS = 2000;
/** How a peer was found, in words. @type {Record<string, string>} */
const FOUND = {
  typed: 'room.found.typed',
  mdns: 'room.found.mdns',
  broadcast: 'room.found.broadcast',
  introduced: 'room.found.introduced',
  remembered: 'room.found.remembered',
  inbound: 'room.found.inbound',
};
/** Why somebody is not connected. @type {Record<string, string>} */
const ABSENT = {
  coming: 'room.absent.coming',
  'other-version': 'room.absent.other-version',
  unreachable: 'room.absent.unreachable',
  'turned-away': 'room.absent.turned-away',
  left: 'room.absent.left',
  'other-party': 'room.absent.other-party',
  'wrong-pass-phrase': 'room.absent.wrong-pass-phrase',
  'too-many-tries': 'room.absent.too-many-tries',
};

/** `<room-page>`. */
export class RoomPage extends HTMLElement {
  #count = h('p', { class: 'lead' });
  #wrong = h('p', { class: 'trouble', role: 'alert', hidden: true });
  #peers = h('ul', { class: 'peers' });
  #others = h('section', { class: 'card', hidden: true });
  #groups = h('section', { class: 'card', hidden: true });
  #game = h('select', { 'aria-label': t('room.game') });
  #lead = h('p', { class: 'lead' });
  #bar = h('progress', { max: 1, 'aria-hidden': 'true' });
  #last = h('p', { class: 'note', role: 'status' });
  #people = h('ul', { class: 'people' });
  #want = h('button', { type: 'button' }, t('room.want'));
  #willing = h('small', {});
  #ready = h(
    'div',
    { class: 'ready' },
    this.#lead,
    this.#bar,
    this.#last,
    this.#people,
    h('div', { class: 'row wrap' }, this.#want, this.#willing),
  );
  address = h('input', {
    name: 'addr',
    required: true,
    placeholder: '192.168.0.7',
    'aria-label': t('fact.address'),
    autocomplete: 'off',
  });
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
        toast(count('room.wanted', data.asked), 'good');
      } catch (error) {
        toast(error instanceof Error ? error.message : String(error), 'bad');
      }
      this.#want.disabled = false;
    });
    const connect = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const text = this.address.value.trim();
      const addr = /:\d+$/.test(text) ? text : `${text}:24930`;
      if (await order('connect', { addr })) this.address.value = '';
    };
    this.append(
      h('h1', {}, t('room.title')),
      this.#count,
      this.#wrong,
      this.#peers,
      h(
        'div',
        { class: 'columns' },
        h('section', { class: 'card' }, h('h2', {}, t('holders.title')), this.#game, this.#ready),
        h(
          'section',
          { class: 'card' },
          h('h2', {}, t('room.missing')),
          h('p', { class: 'note' }, t('room.missing.text')),
          h(
            'form',
            { class: 'row', onsubmit: connect },
            this.address,
            h('button', { type: 'submit' }, t('room.connect')),
          ),
          h('p', {}, h('button', { type: 'button', onclick: doctor }, t('doctor.title'))),
        ),
      ),
      this.#groups,
      this.#others,
    );
    this.#show();
    this.#ask();
  }

  disconnectedCallback() {
    clearTimeout(this.#next);
  }

  /** @param {import('../model/state.js').Changed} changed */
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
    say(
      this.#count,
      (peers.length ? count('room.others', peers.length) : t('room.alone')) +
        (status.party ? ` ${t('room.party', { party: status.party })}` : ''),
    );
    this.#wrong.hidden = !state.wrongPhrase;
    say(this.#wrong, state.wrongPhrase ? wrongPhrase() : '');
    const own = [...state.games.values()].filter((game) => game.availability === 'Ready');
    const me = {
      peer_id: status.peer_id,
      name: status.name,
      addr: status.addr,
      game_count: own.length,
      offered_bytes: own.reduce((sum, game) => sum + game.size, 0),
    };
    const cards = [me, ...peers].map((peer) => ({
      peer,
      doing: this.#doing(peer.peer_id),
      guest: this.#said.guests.find((guest) => guest.peer_id === peer.peer_id),
    }));
    const text = JSON.stringify(cards);
    if (this.#peers.dataset.shown !== text) {
      this.#peers.dataset.shown = text;
      this.#peers.replaceChildren(
        ...cards.map(({ peer, doing, guest }) => card(peer, doing, guest, peer === me)),
      );
    }
    this.#showGroups();
    this.#showOthers();
    this.#showGames();
  }

  /** What somebody fetches, in a line. @param {string} id */
  #doing(id) {
    const all = this.#said.games.flatMap((game) =>
      game.fetching
        .filter((one) => one.peer_id === id)
        .map((one) => `${titled(game.game_id)} ${percent(part(one))}`),
    );
    return all.join(', ');
  }

  #showGames() {
    const games = [...state.games.values()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const text = games.map((game) => `${game.game_id}/${nameOf(game)}`).join('|');
    if (this.#game.dataset.shown !== text) {
      this.#game.dataset.shown = text;
      const before = this.#game.value;
      this.#game.replaceChildren(
        ...games.map((game) =>
          h('option', { value: game.game_id, selected: game.game_id === before }, nameOf(game)),
        ),
      );
      if (games.length && this.#game.value !== before) this.#ask();
    }
    this.#showReady();
  }

  #showReady() {
    const game = this.#said.games.find((row) => row.game_id === this.#game.value);
    this.#ready.hidden = !game;
    if (!game) return;
    const { guests } = this.#said;
    say(
      this.#lead,
      `${t('room.ready', { n: game.ready.length, all: guests.length })} · ${version(game.eti_version)}`,
    );
    this.#bar.value = guests.length ? game.ready.length / guests.length : 0;
    const last = game.last_ready_seconds;
    say(
      this.#last,
      !game.fetching.length
        ? ''
        : last === null
          ? t('room.last.unknown')
          : t('room.last', { time: duration(last) }),
    );
    this.#last.hidden = !game.fetching.length;
    const rows = guests.map((guest) => ({ name: guest.name, ...standing(game, guest) }));
    const text = JSON.stringify(rows);
    if (this.#people.dataset.shown !== text) {
      this.#people.dataset.shown = text;
      this.#people.replaceChildren(
        ...rows.map(({ name, ok, text: said }) =>
          h(
            'li',
            { class: ok ? 'ok' : 'lacks' },
            icon(ok ? 'check' : 'people'),
            h('span', {}, name),
            h('small', {}, said),
          ),
        ),
      );
    }
    const willing = guests.slice(1).filter((guest) => guest.accepts_wants).length;
    this.#want.hidden = guests.length < 2 || game.ready.length === guests.length;
    this.#willing.hidden = this.#want.hidden;
    say(this.#willing, willing ? count('room.willing', willing) : t('room.willing.none'));
  }

  /** Who is behind which switch, and what crossed between them; nothing in a room with one switch. */
  #showGroups() {
    const { groups } = this.#said;
    this.#groups.hidden = groups.length < 2;
    const text = JSON.stringify(groups);
    if (this.#groups.dataset.shown === text) return;
    this.#groups.dataset.shown = text;
    this.#groups.replaceChildren(
      h('h2', {}, t('room.groups')),
      h(
        'ul',
        { class: 'people wide' },
        ...groups.map((group) =>
          h('li', {}, icon('people'), h('span', {}, group.name), h('small', {}, exchanged(group))),
        ),
      ),
    );
  }

  /** Those who were heard of and are not here, each with the reason. */
  #showOthers() {
    /** @type {Map<string, string>} */
    const rows = new Map();
    const add = (/** @type {string} */ name, /** @type {string} */ reason) =>
      rows.has(name) || rows.set(name, reason);
    for (const other of state.others) {
      if (other.reason === 'own-address') continue;
      add([other.name, other.addrs[0]].filter(Boolean).join(' · '), absence(other));
    }
    const known = state.others.flatMap((other) => other.addrs);
    // Who was turned away at the door, here or there.
    for (const one of state.status?.refused ?? [])
      if (!known.includes(one.addr)) add(one.addr, ABSENT[one.code] ? t(ABSENT[one.code]) : one.reason);
    this.#others.hidden = rows.size === 0;
    const text = JSON.stringify([...rows]);
    if (this.#others.dataset.shown === text) return;
    this.#others.dataset.shown = text;
    this.#others.replaceChildren(
      h('h2', {}, t('room.absent')),
      h(
        'ul',
        { class: 'people wide' },
        ...[...rows].map(([name, reason]) =>
          h('li', { class: 'lacks' }, icon('people'), h('span', {}, name), h('small', {}, reason)),
        ),
      ),
    );
  }
}
customElements.define('room-page', RoomPage);

/** Why somebody is not here, as far as that is short enough for a line. @param {OtherPeer} other */
function absence(other) {
  const why = ABSENT[other.reason] ? t(ABSENT[other.reason]) : other.message;
  if (other.protocol) return `${why} (${t('fact.protocol', { n: other.protocol })})`;
  return other.reason === 'turned-away' ? `${why}: ${refusal(other.message)}` : why;
}

/** How many PCs a group has, and what they received. @param {RoomGroup} group */
function exchanged(group) {
  const received = bytes(group.received_bytes);
  const crossed = bytes(group.from_other_groups_bytes);
  return `${count('room.pcs', group.peers)} · ${t('room.received', { received, crossed })}`;
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

/**
 * How a guest stands with a game.
 * @param {RoomGame} game
 * @param {Guest} guest
 * @returns {{ok: boolean, text: string}}
 */
function standing(game, guest) {
  const id = guest.peer_id;
  // Peers say what they downloaded, not what they installed; of this one it is known.
  if (game.ready.includes(id))
    return {
      ok: true,
      text:
        id !== state.status?.peer_id
          ? t('room.guest.has')
          : state.games.get(game.game_id)?.installed
            ? t('room.guest.ready')
            : t('room.guest.downloaded'),
    };
  const fetching = game.fetching.find((one) => one.peer_id === id);
  if (fetching) {
    const left =
      fetching.seconds_left === null
        ? t('room.guest.waiting')
        : t('progress.left', { time: duration(fetching.seconds_left) });
    return { ok: false, text: `${percent(part(fetching))} · ${rate(fetching.bytes_per_second)} · ${left}` };
  }
  const other = game.other.find((one) => one.peer_id === id);
  if (other)
    return {
      ok: false,
      text: other.same_version
        ? t('room.guest.other-files')
        : t('room.guest.other-version', { version: version(other.eti_version) }),
    };
  return { ok: false, text: guest.silent ? t('room.guest.silent') : t('room.guest.lacks') };
}

/** @param {string} id @param {string} name */
function face(id, name) {
  return h(
    'span',
    { class: 'face', style: { '--hue': hash(id) % 360 }, 'aria-hidden': 'true' },
    name.slice(0, 1).toUpperCase(),
  );
}

/** @param {any} peer @param {string} doing @param {Guest | undefined} guest @param {boolean} me */
function card(peer, doing, guest, me) {
  const found = peer.found_by?.[0];
  const remarks = [guest?.behind && t('room.guest.behind'), !me && guest?.silent && t('room.guest.silent')]
    .filter(Boolean)
    .join(' · ');
  return h(
    'li',
    { class: me ? 'peer me' : 'peer' },
    face(peer.peer_id, peer.name),
    h(
      'div',
      {},
      h('b', {}, peer.name, me ? h('small', {}, ` ${t('room.you')}`) : null),
      h('span', { class: 'facts' }, peer.addr, found ? ` · ${FOUND[found] ? t(FOUND[found]) : found}` : ''),
      h('span', { class: 'facts' }, `${count('games', peer.game_count)} · ${bytes(peer.offered_bytes)}`),
      doing ? h('span', { class: 'doing' }, `${t('doing.downloading')} ${doing}`) : null,
      remarks ? h('span', { class: 'remark' }, remarks) : null,
    ),
  );
}
