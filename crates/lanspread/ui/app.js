// The page: the bar at the top, which view is shown, and the keys that work everywhere.

/// <reference path="types.d.ts" />
import './views/library.js';
import { percent, rate } from './model/format.js';
import { nameOf } from './model/game.js';
import { noteRequest, openRequests } from './model/requests.js';
import { state } from './model/state.js';
import './model/theme.js';
import { count, language, speak, t } from './model/words.js';
import { toast } from './widgets/dialogs.js';
import { attr, h, icon, say } from './widgets/dom.js';

/**
 * The views; all but the library are loaded when they are first shown.
 * @typedef {{element: string, title: string, icon: any, load?: () => Promise<unknown>}} View
 * @type {Record<string, View>}
 */
const VIEWS = {
  '': { element: 'game-library', title: 'library.title', icon: 'library' },
  room: { element: 'room-page', title: 'room.title', icon: 'room', load: () => import('./views/room.js') },
  downloads: {
    element: 'downloads-page',
    title: 'downloads.title',
    icon: 'downloads',
    load: () => import('./views/downloads.js'),
  },
  settings: {
    element: 'settings-page',
    title: 'settings.title',
    icon: 'settings',
    load: () => import('./views/settings.js'),
  },
};

/** The styles of all views but the library. @type {Promise<unknown> | undefined} */
let styles;

/** Waits for a view's module, and for the styles. @param {Promise<unknown>} module */
function withStyles(module) {
  styles ??= new Promise((resolve) => {
    const link = h('link', {
      rel: 'stylesheet',
      href: 'styles/views.css',
      onload: resolve,
      onerror: resolve,
    });
    document.head.append(link);
  });
  return Promise.all([module, styles]);
}

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
const bar = /** @type {HTMLElement} */ (document.getElementById('bar'));
const requests = /** @type {HTMLElement} */ (document.getElementById('requests'));
/** What is shown now. @type {any} */
let view = null;
let shown = '';
/** Where the library was left. @type {import('./views/library.js').Position | null} */
let position = null;
// The views come back to their places themselves.
history.scrollRestoration = 'manual';

const nav = h('nav', { 'aria-label': 'lanspread' });
const here = h('span', { class: 'here' });
const flow = h('a', { class: 'flow', href: '#/downloads' });
const lost = h('p', { class: 'lost', role: 'alert', hidden: true });

function showBar() {
  nav.replaceChildren(
    ...Object.entries(VIEWS).map(([path, entry]) =>
      h('a', { href: `#/${path}`, data: { path } }, icon(entry.icon), h('span', {}, t(entry.title))),
    ),
  );
  bar.replaceChildren(
    h(
      'a',
      { class: 'brand', href: '#/', 'aria-label': 'lanspread' },
      h('img', { src: 'icon.svg', alt: '', width: 28, height: 28 }),
      h('span', {}, 'lanspread'),
    ),
    nav,
    flow,
    here,
    lost,
  );
}

/** What the address asks for. */
function asked() {
  const [, path = '', id = ''] = location.hash.split('/');
  return { path, id: decodeURIComponent(id) };
}

/** Stopped from here, or lost after it had said goodbye. */
function hasStopped() {
  return state.stopped || (state.link === 'lost' && !state.status && Boolean(state.settings.games_dir));
}

async function show() {
  const { path, id } = asked();
  const key =
    state.link === 'refused'
      ? '!refused'
      : hasStopped()
        ? '!stopped'
        : state.link === 'connecting'
          ? ''
          : !state.settings.games_dir
            ? '!first'
            : !state.status
              ? '!starting'
              : `${path}/${id}`;
  if (!key || key === shown) return;
  if (shown === '/') position = view?.position() ?? null;
  const [, game = ''] = shown.match(/^game\/(.+)/) ?? [];
  shown = key;
  view = null;
  let next;
  if (key === '!refused') {
    next = message(t('app.expired'), t('app.expired.text'));
  } else if (key === '!first') {
    await withStyles(import('./views/first-run.js'));
    next = document.createElement('first-run');
  } else if (key === '!stopped') {
    next = message(t('app.stopped'), t('app.stopped.text'));
  } else if (key === '!starting') {
    next = message(t('app.starting'), t('app.starting.text'));
  } else if (path === 'game' && id) {
    await withStyles(import('./views/game.js'));
    next = /** @type {any} */ (document.createElement('game-page'));
    next.id_ = id;
  } else {
    const entry = VIEWS[path] ?? VIEWS[''];
    if (entry.load) await withStyles(entry.load());
    next = document.createElement(entry.element);
  }
  if (shown !== key) return;
  attr(document.body, 'data-view', key.startsWith('!') ? key.slice(1) : path || 'library');
  bar.hidden = key.startsWith('!');
  view = next;
  main.replaceChildren(next);
  scrollTo(0, 0);
  if (key === '/') view.comeBack(position, game);
  if (key === 'room/connect') view.address.focus();
  for (const link of nav.children)
    attr(
      link,
      'aria-current',
      /** @type {HTMLElement} */ (link).dataset.path === (path === 'game' ? '' : path) ? 'page' : null,
    );
}

/** @param {string} title @param {string} text */
function message(title, text) {
  return h('div', { class: 'empty' }, h('h1', {}, title), h('p', {}, text));
}

function showStatus() {
  const status = state.status;
  if (!status) return;
  attr(here, 'data-alone', state.peers.size === 0 ? '' : null);
  say(here, count('app.others', state.peers.size));
  const last = state.rates[state.rates.length - 1];
  const moving = last && (last.down > 0 || last.up > 0);
  flow.hidden = !moving;
  if (moving)
    flow.replaceChildren(
      ...(last.down ? [icon('down'), rate(last.down)] : []),
      ...(last.up ? [icon('up'), rate(last.up)] : []),
    );
  lost.hidden = state.link !== 'lost';
  if (!lost.hidden) say(lost, t('app.lost'));
  document.body.classList.toggle('stale', !lost.hidden);
  say(document.querySelector('title'), tabTitle(status));
}

/** How far what runs is, for those who look at another tab. @param {Status} status */
function tabTitle(status) {
  const running = status.active_operations;
  if (running.length === 0) return 'lanspread';
  const game = running.length === 1 ? state.games.get(running[0].game_id) : null;
  const what = game ? nameOf(game) : count('games', running.length);
  const sum = (/** @type {'done_bytes' | 'total_bytes'} */ which) =>
    running.reduce((all, { progress }) => all + progress[which], 0);
  const total = sum('total_bytes');
  return `${total > 0 ? percent(sum('done_bytes') / total) : '…'} · ${what} – lanspread`;
}

/** What others ask for stays above all views until it is answered. */
async function showRequests() {
  const open = bar.hidden ? [] : openRequests();
  if (open.length === 0 && !requests.firstChild) return;
  (await import('./widgets/requests.js')).showRequests(requests, open);
}

state.addEventListener('change', async (event) => {
  const changed = /** @type {CustomEvent<import('./model/state.js').Changed>} */ (event).detail;
  if (changed.all || changed.settings) {
    const before = language;
    await speak(state.settings.language);
    if (before !== language || !nav.firstChild) {
      showBar();
      shown = '';
    }
  }
  if (changed.all || changed.settings || !view) await show();
  view?.update?.(changed);
  showStatus();
  if (changed.all) state.log.forEach(noteRequest);
  if (changed.all || changed.settings || changed.status || changed.log || changed.games.size) showRequests();
  if ((changed.all || changed.status) && state.status?.catalog_offered?.length) {
    (await import('./widgets/organiser.js')).askOrganiser();
  }
});

state.addEventListener('news', async (event) => {
  const entry = /** @type {CustomEvent<LogEntry>} */ (event).detail;
  const news = entry.event;
  noteRequest(entry);
  const { isEnd, passing } = await import('./model/events.js');
  const word = passing(news);
  if (word) toast(...word);
  if (word && isEnd(news)) (await import('./widgets/notices.js')).notify(word[0], news.game_id ?? '');
  if (news.unpacked_bytes) import('./widgets/questions.js').then(({ askUnpack }) => askUnpack(news));
});

addEventListener('hashchange', show);

addEventListener('keydown', (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = target.matches('input, select, textarea');
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape') {
    if (typing && target instanceof HTMLInputElement && target.type === 'search') {
      view?.focusCurrent?.();
      return;
    }
    if (asked().path === 'game') location.hash = '#/';
    return;
  }
  if (typing) return;
  const views = Object.keys(VIEWS);
  if (event.key === '/') {
    event.preventDefault();
    if (asked().path !== '') location.hash = '#/';
    requestAnimationFrame(() => setTimeout(() => view?.search?.focus(), 0));
  } else if (event.key === '?') {
    import('./widgets/keys.js').then(({ showKeys }) => showKeys());
  } else if (/^[1-4]$/.test(event.key) && state.status) {
    location.hash = `#/${views[Number(event.key) - 1]}`;
  }
});

// A browser does not tell where a dropped folder is, and would leave the page to show it.
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', async (event) => {
  event.preventDefault();
  if (bar.hidden || !event.dataTransfer?.types.includes('Files') || document.querySelector('dialog[open]'))
    return;
  toast(t('pack.dropped'));
  (await import('./views/pack.js')).addGame();
});

state.connect();
