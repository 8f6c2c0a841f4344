// The room's games as a grid of covers.

import { bytes } from '../model/format.js';
import { isOutdated, nameOf, standing } from '../model/game.js';
import { state } from '../model/state.js';
import { count, t } from '../model/words.js';
import { order as command } from '../widgets/dialogs.js';
import { attr, h, icon, say } from '../widgets/dom.js';
import { GameCard } from '../widgets/game-card.js';
import { fetchGame } from '../widgets/steps.js';

/** Cards that are made at once: as many as a large screen shows, so that the rest does not hold it up. */
const CARDS_AT_ONCE = 60;

/** How long cards are brought up to date in one frame, in milliseconds. */
const SLICE_MS = 12;

/** @type {Record<string, {label: string, has: (game: GameRow) => boolean}>} */
const FILTERS = {
  all: { label: 'library.filter.all', has: () => true },
  room: { label: 'library.filter.room', has: (game) => game.peer_count > 0 },
  downloaded: { label: 'library.filter.downloaded', has: (game) => game.downloaded },
  installed: { label: 'library.filter.installed', has: (game) => game.installed },
  updates: { label: 'library.filter.updates', has: isOutdated },
};
const STANDINGS = ['busy', 'running', 'update', 'installed', 'downloaded', 'checking', 'room', 'away'];
const byName = (/** @type {GameRow} */ a, /** @type {GameRow} */ b) => COLLATOR.compare(nameOf(a), nameOf(b));
const COLLATOR = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

/** @type {Record<string, {label: string, order: (a: GameRow, b: GameRow) => number}>} */
const ORDERS = {
  name: { label: 'library.order.name', order: byName },
  size: { label: 'library.order.size', order: (a, b) => b.size - a.size || byName(a, b) },
  peers: { label: 'library.order.peers', order: (a, b) => b.peer_count - a.peer_count || byName(a, b) },
  players: {
    label: 'library.order.players',
    order: (a, b) => (b.about?.players?.max ?? 0) - (a.about?.players?.max ?? 0) || byName(a, b),
  },
  state: {
    label: 'library.order.state',
    order: (a, b) => STANDINGS.indexOf(standing(a)) - STANDINGS.indexOf(standing(b)) || byName(a, b),
  },
};
/** @type {Record<string, string>} */
const DENSITIES = { large: 'library.view.large', small: 'library.view.small', list: 'library.view.list' };

/** How the user likes the library. */
const chosen = {
  filter: 'all',
  order: 'name',
  density: 'large',
  search: '',
  ...JSON.parse(localStorage.getItem('library') ?? '{}'),
};
chosen.search = '';

function keep() {
  const { search, ...rest } = chosen;
  localStorage.setItem('library', JSON.stringify(rest));
}

/**
 * A card that was in sight, and its distance from the top of the window.
 * @typedef {{id: string, top: number}} Position
 */

/** `<game-library>`: the grid and what chooses from it. */
export class GameLibrary extends HTMLElement {
  /** @type {Map<string, GameCard>} */
  #cards = new Map();
  /** Ids in the order in which they stand. @type {string[]} */
  #order = [];
  #current = '';
  /** Games whose cards are not as they are now. @type {Set<string>} */
  #stale = new Set();
  #refreshing = 0;
  #rest = 0;
  #grid = h('div', { class: 'grid', role: 'list', 'aria-label': t('library.games') });
  #empty = h('div', { class: 'empty', hidden: true });
  #count = h('span', { class: 'count', role: 'status' });
  /** Ids of the chosen games; null while none are to be chosen. @type {Set<string> | null} */
  #picked = null;
  #select = h(
    'button',
    { type: 'button', class: 'select-games', 'aria-pressed': 'false' },
    t('select.begin'),
  );
  #pickedCount = h('span', { role: 'status' });
  #fetchAll = h('button', { type: 'button', class: 'primary fetch-all' }, t('select.download'));
  #pauseAll = h('button', { type: 'button', class: 'pause-all' }, t('downloads.pause-all'));
  #pickedBar = h(
    'div',
    { class: 'picked banner', role: 'group', 'aria-label': t('select.begin'), hidden: true },
    this.#pickedCount,
    h('button', { type: 'button', onclick: () => this.#pickAll() }, t('select.all')),
    this.#fetchAll,
    this.#pauseAll,
  );
  #readOnly = h('p', { class: 'note', role: 'status', hidden: true });
  /** @type {HTMLInputElement} */
  search = h('input', {
    type: 'search',
    placeholder: t('library.search'),
    'aria-label': t('library.search.label'),
    'aria-keyshortcuts': '/',
    autocomplete: 'off',
    spellcheck: false,
  });
  #filters = h('div', { class: 'chips', role: 'group', 'aria-label': t('library.filter') });

  connectedCallback() {
    for (const [key, filter] of Object.entries(FILTERS)) {
      this.#filters.append(
        h(
          'button',
          {
            type: 'button',
            class: 'chip',
            'aria-pressed': String(chosen.filter === key),
            data: { key },
            onclick: () => this.#choose('filter', key),
          },
          t(filter.label),
          h('b', {}),
        ),
      );
    }
    this.search.value = chosen.search;
    this.search.addEventListener('input', () => this.#choose('search', this.search.value));
    const select = (
      /** @type {'order' | 'density'} */ what,
      /** @type {string} */ label,
      /** @type {[string, string][]} */ options,
    ) =>
      h(
        'label',
        { class: 'select' },
        h('span', {}, label),
        h(
          'select',
          { onchange: (/** @type {any} */ event) => this.#choose(what, event.target.value) },
          ...options.map(([key, text]) =>
            h('option', { value: key, selected: chosen[what] === key }, t(text)),
          ),
        ),
      );
    this.append(
      h('h1', { class: 'unseen' }, t('library.title')),
      h(
        'div',
        { class: 'tools' },
        h(
          'label',
          { class: 'search' },
          icon('search'),
          this.search,
          h('kbd', { 'aria-hidden': 'true' }, '/'),
        ),
        this.#filters,
        h(
          'div',
          { class: 'row' },
          this.#count,
          this.#select,
          select(
            'order',
            t('library.order'),
            Object.entries(ORDERS).map(([key, value]) => [key, value.label]),
          ),
          select('density', t('library.view'), Object.entries(DENSITIES)),
        ),
      ),
      this.#readOnly,
      this.#pickedBar,
      this.#grid,
      this.#empty,
    );
    this.#grid.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => this.#walk(event));
    this.#grid.addEventListener('focusin', (/** @type {FocusEvent} */ event) => {
      const card = /** @type {Element} */ (event.target).closest('game-card');
      if (card instanceof GameCard && card.game) this.#reach(card.game.game_id);
    });
    this.#select.addEventListener('click', () => this.#pickGames(this.#picked ? null : new Set()));
    this.#fetchAll.addEventListener('click', () => this.#fetchPicked());
    this.#pauseAll.addEventListener('click', () => this.#pausePicked());
    this.#grid.addEventListener('change', (/** @type {Event} */ event) => {
      const card = /** @type {Element} */ (event.target).closest('game-card');
      if (!(card instanceof GameCard) || !card.game || !this.#picked) return;
      if (card.pick.checked) this.#picked.add(card.game.game_id);
      else this.#picked.delete(card.game.game_id);
      this.#showPicked();
    });
    attr(this, 'data-density', chosen.density);
    this.#explainFolder();
    this.arrange();
  }

  disconnectedCallback() {
    cancelIdleCallback(this.#rest);
    cancelAnimationFrame(this.#refreshing);
  }

  /** @param {import('../model/state.js').Changed} changed */
  update(changed) {
    if (changed.all || changed.status) this.#explainFolder();
    if (changed.all) {
      this.arrange();
      return;
    }
    if (this.#picked && (changed.status || changed.games.size)) this.#showPicked();
    if (changed.games.size === 0) return;
    for (const id of changed.games) this.#stale.add(id);
    this.arrange(false);
    this.#refresh();
  }

  /** Shows what is stale, for as long as a frame allows; the rest in the next ones. */
  #refresh() {
    cancelAnimationFrame(this.#refreshing);
    const end = performance.now() + SLICE_MS;
    for (const id of this.#stale) {
      if (performance.now() > end) {
        this.#refreshing = requestAnimationFrame(() => this.#refresh());
        return;
      }
      this.#stale.delete(id);
      const game = state.games.get(id);
      if (game) this.#cards.get(id)?.show(game);
    }
  }

  /** @param {'filter' | 'order' | 'density' | 'search'} what @param {string} value */
  #choose(what, value) {
    chosen[what] = value;
    keep();
    attr(this, 'data-density', chosen.density);
    this.arrange(false);
  }

  /** Puts the right cards in the right order. @param {boolean} [anew] */
  arrange(anew = true) {
    const words = chosen.search.toLowerCase().split(/\s+/).filter(Boolean);
    const found = (/** @type {GameRow} */ game) => {
      const text = `${game.game_id} ${game.title ?? ''}`.toLowerCase();
      return words.every((/** @type {string} */ word) => text.includes(word));
    };
    const all = [...state.games.values()];
    const shown = all.filter((game) => (FILTERS[chosen.filter] ?? FILTERS.all).has(game) && found(game));
    shown.sort((ORDERS[chosen.order] ?? ORDERS.name).order);
    const order = shown.map((game) => game.game_id);
    for (const chip of this.#filters.children) {
      const key = /** @type {HTMLElement} */ (chip).dataset.key ?? '';
      attr(chip, 'aria-pressed', String(key === chosen.filter));
      const n = all.reduce((sum, game) => sum + (FILTERS[key].has(game) ? 1 : 0), 0);
      say(chip.lastElementChild, String(n));
    }
    say(this.#count, count('games', shown.length));
    if (anew)
      for (const [id, card] of this.#cards) {
        const game = state.games.get(id);
        if (game) card.show(game);
      }
    if (order.length !== this.#order.length || order.some((id, i) => id !== this.#order[i]))
      this.#place(order);
    this.#grid.hidden = order.length === 0;
    this.#empty.hidden = order.length > 0;
    if (order.length === 0) this.#explain(all.length);
    if (!order.includes(this.#current)) this.#reach(order[0] ?? '');
  }

  /** @param {string[]} order @param {number} [atOnce] cards that are placed without a pause */
  #place(order, atOnce = CARDS_AT_ONCE) {
    this.#order = order;
    cancelIdleCallback(this.#rest);
    const wanted = new Set(order);
    for (const [id, card] of this.#cards) {
      if (wanted.has(id)) continue;
      // A card that holds the focus hands it on, so that the keyboard does not lose its place.
      if (card.contains(document.activeElement)) this.#grid.closest('main')?.focus();
      card.remove();
      if (!state.games.has(id)) this.#cards.delete(id);
    }
    const step = (/** @type {number} */ from) => {
      const to = Math.min(order.length, from + atOnce);
      let at =
        from === 0
          ? this.#grid.firstElementChild
          : (this.#cards.get(order[from - 1])?.nextElementSibling ?? null);
      for (const id of order.slice(from, to)) {
        const card = this.#card(id);
        if (card === at) at = at.nextElementSibling;
        else this.#grid.insertBefore(card, at);
      }
      if (to < order.length) this.#rest = requestIdleCallback(() => step(to), { timeout: 100 });
    };
    step(0);
    // For those who measure: the first cards stand.
    if (order.length && !performance.getEntriesByName('games').length) performance.mark('games');
  }

  /** @param {string} id */
  #card(id) {
    let card = this.#cards.get(id);
    if (!card) {
      card = /** @type {GameCard} */ (document.createElement('game-card'));
      card.setAttribute('role', 'listitem');
      this.#cards.set(id, card);
    }
    const game = state.games.get(id);
    if (game && !card.game) card.show(game);
    card.reachable(id === this.#current);
    card.picked(this.#picked && this.#picked.has(id));
    return card;
  }

  /** Begins to choose games, or ends it. @param {Set<string> | null} picked */
  #pickGames(picked) {
    this.#picked = picked;
    attr(this.#select, 'aria-pressed', String(picked !== null));
    this.#pickedBar.hidden = picked === null;
    for (const [id, card] of this.#cards) card.picked(picked && picked.has(id));
    if (picked) this.#showPicked();
  }

  /** Chooses everything that is shown. */
  #pickAll() {
    this.#pickGames(new Set(this.#order));
  }

  /** The chosen games that are still in the room, in the order in which they stand. */
  #pickedGames() {
    const known = (/** @type {string} */ id) => state.games.get(id) ?? [];
    return this.#order.filter((id) => this.#picked?.has(id)).flatMap(known);
  }

  #showPicked() {
    const games = this.#pickedGames();
    const wanted = games.filter(canFetch);
    const size = wanted.reduce((sum, game) => sum + game.size, 0);
    say(
      this.#pickedCount,
      count('select.count', games.length) + (size ? ` · ${t('select.size', { size: bytes(size) })}` : ''),
    );
    this.#fetchAll.disabled = wanted.length === 0;
    this.#pauseAll.disabled = !games.some(isDownloading);
  }

  /** One after the other, because each may ask its owner something. */
  async #fetchPicked() {
    const games = this.#pickedGames().filter(canFetch);
    this.#pickGames(null);
    for (const game of games) await fetchGame(game, standing(game) === 'room' || game.installed);
  }

  async #pausePicked() {
    const games = this.#pickedGames().filter(isDownloading);
    this.#pickGames(null);
    for (const game of games) await command('cancel', { game_id: game.game_id });
  }

  /** @param {number} known */
  #explain(known) {
    const awaited = state.status?.catalog.mode === 'Awaited';
    const text =
      known > 0
        ? t('library.nothing-found')
        : awaited
          ? t('catalog.awaited')
          : state.peers.size > 0
            ? t('library.empty.room')
            : t('library.empty');
    const more =
      known > 0
        ? t('library.nothing-found.text')
        : awaited
          ? t('catalog.awaited.text')
          : t('library.empty.text', { folder: state.status?.games_dir ?? '' });
    const button = (/** @type {string} */ label, /** @type {() => unknown} */ run) =>
      h('button', { type: 'button', onclick: run }, t(label));
    // What can be done about it, each loaded when it is wanted.
    const steps = h(
      'div',
      { class: 'row wrap' },
      awaited ? null : button('pack.open', async () => (await import('./pack.js')).addGame()),
      button('room.connect', () => (location.hash = '#/room/connect')),
      button('doctor.title', async () => (await import('../widgets/doctor.js')).doctor()),
    );
    const shown = [text, more].join('|');
    if (this.#empty.dataset.shown === shown) return;
    this.#empty.dataset.shown = shown;
    this.#empty.replaceChildren(h('h2', {}, text), h('p', {}, more), ...(known > 0 ? [] : [steps]));
  }

  #explainFolder() {
    this.#readOnly.hidden = !state.status?.library_read_only;
    if (!this.#readOnly.hidden)
      say(this.#readOnly, t('library.read-only', { folder: state.status?.games_dir ?? '' }));
  }

  /** @param {string} id */
  #reach(id) {
    this.#cards.get(this.#current)?.reachable(false);
    this.#current = id;
    this.#cards.get(id)?.reachable(true);
  }

  /** The first card in sight. @returns {Position | null} */
  position() {
    for (const id of this.#order) {
      const top = this.#cards.get(id)?.getBoundingClientRect().top ?? -1;
      if (top >= 0) return { id, top };
    }
    return null;
  }

  /**
   * Goes back to where the library was left.
   * @param {Position | null} left
   * @param {string} game what was looked at meanwhile
   */
  comeBack(left, game) {
    if (!left && !game) return;
    // The page must be as high as it was, and a little higher.
    const last = Math.max(this.#order.indexOf(left?.id ?? ''), this.#order.indexOf(game));
    this.#place(this.#order, last + 1 + CARDS_AT_ONCE);
    if (this.#order.includes(game)) {
      this.#reach(game);
      this.#cards.get(game)?.link.focus({ preventScroll: true });
      if (!left) this.#cards.get(game)?.scrollIntoView({ block: 'nearest' });
    }
    // Cards have their real height only once they are drawn, so the place is looked for again then.
    const align = (/** @type {number} */ times) => {
      const card =
        left && this.isConnected && this.#order.includes(left.id) ? this.#cards.get(left.id) : null;
      if (!left || !card) return;
      scrollBy(0, card.getBoundingClientRect().top - left.top);
      if (times > 0) requestAnimationFrame(() => align(times - 1));
    };
    align(3);
  }

  focusCurrent() {
    this.#cards.get(this.#current)?.link.focus();
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const at = this.#order.indexOf(this.#current);
    const columns = getComputedStyle(this.#grid).gridTemplateColumns.split(' ').length;
    /** @type {Record<string, number>} */
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      Home: -at,
      End: this.#order.length - 1 - at,
    };
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = this.#order[Math.min(this.#order.length - 1, Math.max(0, at + steps[event.key]))];
    const card = to === undefined ? undefined : this.#cards.get(to);
    if (!card) return;
    this.#reach(to);
    card.link.focus();
    card.scrollIntoView({ block: 'nearest' });
  }
}
customElements.define('game-library', GameLibrary);

/** Something of the game can be downloaded now. @param {GameRow} game */
function canFetch(game) {
  return ['room', 'update'].includes(standing(game));
}

/** @param {GameRow} game */
function isDownloading(game) {
  return state.operation(game.game_id)?.kind === 'Downloading';
}
