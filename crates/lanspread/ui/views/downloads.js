// What is on its way: the queue, limits, and rates over time.

import { bytes, duration, percent, rate } from '../model/format.js';
import { OPERATIONS, nameOf } from '../model/game.js';
import { state } from '../model/state.js';
import { count, t, why } from '../model/words.js';
import '../widgets/cover.js';
import { confirm, order } from '../widgets/dialogs.js';
import { h, say } from '../widgets/dom.js';
import '../widgets/rate-plot.js';

const PRIORITIES = {
  high: 'downloads.priority.high',
  normal: 'downloads.priority.normal',
  low: 'downloads.priority.low',
};
const MEGA = 1_000_000;

/** `<downloads-page>`. */
export class DownloadsPage extends HTMLElement {
  #plot = /** @type {import('../widgets/rate-plot.js').RatePlot} */ (document.createElement('rate-plot'));
  #queue = h('ul', { class: 'queue' });
  #idle = h('p', { class: 'note' }, t('downloads.none'));
  #pauseAll = h(
    'button',
    { type: 'button', class: 'pause-all', hidden: true, onclick: pauseAll },
    t('downloads.pause-all'),
  );
  #stopped = h('section', { class: 'card', hidden: true });
  #sending = h('section', { class: 'card', hidden: true });
  /** @type {Map<string, {row: HTMLElement, show: () => void}>} */
  #rows = new Map();
  #limits = limitsForm();

  connectedCallback() {
    this.append(
      h('h1', {}, t('downloads.title')),
      h('section', { class: 'card' }, this.#plot),
      h('section', { class: 'card' }, headed('downloads.queue', this.#pauseAll), this.#queue, this.#idle),
      this.#stopped,
      this.#sending,
      h('section', { class: 'card' }, h('h2', {}, t('downloads.limits')), this.#limits.form),
    );
    this.#show();
    this.#plot.show(state.rates);
  }

  /** @param {import('../model/state.js').Changed} changed */
  update(changed) {
    if (changed.all || changed.rates) this.#plot.show(state.rates);
    if (changed.all || changed.status || changed.log || changed.games.size) this.#show();
  }

  #show() {
    const status = state.status;
    if (!status) return;
    const ranks = Object.keys(PRIORITIES);
    const rank = (/** @type {string} */ id) => ranks.indexOf(state.swarm(id)?.priority ?? 'normal');
    const running = [...status.active_operations].sort((a, b) => rank(a.game_id) - rank(b.game_id));
    const ids = running.map((operation) => operation.game_id);
    for (const [id, { row }] of this.#rows) {
      if (ids.includes(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    ids.forEach((id, i) => {
      let entry = this.#rows.get(id);
      if (!entry) {
        entry = queued(id);
        this.#rows.set(id, entry);
      }
      if (this.#queue.children[i] !== entry.row)
        this.#queue.insertBefore(entry.row, this.#queue.children[i] ?? null);
      entry.show();
    });
    this.#idle.hidden = ids.length > 0;
    this.#pauseAll.hidden = downloading().length < 2;
    this.#showStopped();
    this.#showSending(status);
    this.#limits.show(status.limits);
  }

  /** Downloads that do not run: what came is kept, after a restart as well. */
  #showStopped() {
    const stopped = state.unfinished.filter((one) => !state.operation(one.game_id));
    this.#stopped.hidden = stopped.length === 0;
    const text = JSON.stringify([stopped, stopped.map((one) => state.games.get(one.game_id)?.peer_count)]);
    if (this.#stopped.dataset.shown === text) return;
    this.#stopped.dataset.shown = text;
    this.#stopped.replaceChildren(
      headed(
        'downloads.unfinished',
        h(
          'button',
          {
            type: 'button',
            class: 'resume-all',
            hidden: stopped.filter(canResume).length < 2,
            onclick: () => stopped.filter(canResume).forEach(resume),
          },
          t('downloads.resume-all'),
        ),
      ),
      h('p', { class: 'note' }, t('downloads.unfinished.note')),
      h('ul', { class: 'queue' }, ...stopped.map(unfinished)),
    );
  }

  /** @param {Status} status */
  #showSending(status) {
    const sent = Object.entries(status.active_outbound_transfers);
    this.#sending.hidden = sent.length === 0;
    this.#sending.replaceChildren(
      h('h2', {}, t('downloads.sending')),
      h(
        'ul',
        { class: 'people' },
        ...sent.map(([id, chunks]) => {
          const game = state.games.get(id);
          return h(
            'li',
            {},
            h('span', {}, game ? nameOf(game) : id),
            h('small', {}, count('downloads.chunks', chunks)),
          );
        }),
      ),
    );
  }
}
customElements.define('downloads-page', DownloadsPage);

/** A heading with what can be done with the whole list. @param {string} title @param {any} button */
function headed(title, button) {
  return h('div', { class: 'row' }, h('h2', { class: 'grow' }, t(title)), button);
}

/** Ids of the games that are being downloaded. */
function downloading() {
  const all = state.status?.active_operations ?? [];
  return all.filter((operation) => operation.kind === 'Downloading').map((operation) => operation.game_id);
}

async function pauseAll() {
  for (const game_id of downloading()) await order('cancel', { game_id });
}

/** @param {Unfinished} one */
function canResume(one) {
  return Boolean(state.games.get(one.game_id)?.peer_count);
}

/** @param {Unfinished} one */
function resume(one) {
  return order('download', { game_id: one.game_id, install: one.install });
}

/** @param {Unfinished} one */
function unfinished(one) {
  const id = one.game_id;
  const game = state.games.get(id);
  const name = game ? nameOf(game) : id;
  const part = one.total_bytes ? one.done_bytes / one.total_bytes : 0;
  const standing =
    one.state === 'failed' && one.fault
      ? t('downloads.failed', { why: why(one.fault) })
      : one.state === 'paused'
        ? t('downloads.paused')
        : game?.peer_count
          ? t('downloads.resuming')
          : t('downloads.waiting');
  const facts = [
    standing,
    one.total_bytes ? percent(part) : '',
    one.total_bytes ? t('progress.done', { done: bytes(one.done_bytes), total: bytes(one.total_bytes) }) : '',
  ];
  return h(
    'li',
    { data: { game: id, state: one.state } },
    h(
      'div',
      { class: 'grow' },
      h('a', { class: 'name', dir: 'auto', href: `#/game/${encodeURIComponent(id)}` }, name),
      h('progress', { max: 1, value: part, 'aria-label': name }),
      h('span', { class: 'facts' }, facts.filter(Boolean).join(' · ')),
    ),
    h(
      'button',
      {
        type: 'button',
        class: 'resume',
        disabled: !canResume(one),
        onclick: () => resume(one),
      },
      t('downloads.resume'),
    ),
    h(
      'button',
      { type: 'button', class: 'discard', onclick: () => discard(id, name, one.done_bytes) },
      t('downloads.discard'),
    ),
  );
}

/** @param {string} id @param {string} name @param {number} done */
async function discard(id, name, done) {
  const sure = await confirm(
    t('downloads.discard.question'),
    t('downloads.discard.text', { size: bytes(done), game: name }),
    t('downloads.discard'),
  );
  if (sure) await order('discard', { game_id: id });
}

/** @param {string} id */
function queued(id) {
  const cover = /** @type {import('../widgets/cover.js').GameCover} */ (document.createElement('game-cover'));
  const name = h('a', { class: 'name', href: `#/game/${encodeURIComponent(id)}` });
  const facts = h('span', { class: 'facts' });
  const bar = h('progress', { max: 1 });
  const priority = h(
    'select',
    {
      'aria-label': t('downloads.priority'),
      onchange: (/** @type {any} */ event) =>
        order('priority', { game_id: id, priority: event.target.value }),
    },
    ...Object.entries(PRIORITIES).map(([key, label]) => h('option', { value: key }, t(label))),
  );
  const stop = h(
    'button',
    { type: 'button', onclick: () => order('cancel', { game_id: id }) },
    t('downloads.pause'),
  );
  const row = h('li', {}, cover, h('div', { class: 'grow' }, name, bar, facts), priority, stop);
  const show = () => {
    const game = state.games.get(id);
    const operation = state.operation(id);
    const swarm = state.swarm(id);
    if (game) cover.show(game);
    say(name, game ? nameOf(game) : id);
    bar.setAttribute('aria-label', name.textContent ?? id);
    const total = operation?.progress.total_bytes ?? 0;
    if (total > 0) bar.value = (operation?.progress.done_bytes ?? 0) / total;
    else bar.removeAttribute('value');
    const verb = t(OPERATIONS[operation?.kind ?? ''] ?? operation?.kind ?? '');
    const parts = [verb];
    if (operation && total > 0)
      parts.push(
        percent(operation.progress.done_bytes / total),
        t('progress.done', { done: bytes(operation.progress.done_bytes), total: bytes(total) }),
      );
    if (swarm?.bytes_per_second) parts.push(rate(swarm.bytes_per_second));
    if (swarm && swarm.seconds_left !== null)
      parts.push(t('progress.left', { time: duration(swarm.seconds_left) }));
    if (swarm) parts.push(count('sources', swarm.sources.length));
    say(facts, parts.join(' · '));
    priority.hidden = !swarm;
    stop.hidden = operation?.kind !== 'Downloading';
    if (swarm && document.activeElement !== priority) priority.value = swarm.priority;
  };
  return { row, show };
}

/** Limits in MB/s; empty is none. */
function limitsForm() {
  const input = (/** @type {string} */ name) =>
    h('input', {
      type: 'number',
      name,
      min: '0',
      step: 'any',
      inputmode: 'decimal',
      placeholder: t('limit.none'),
    });
  const [upload, download] = [input('upload'), input('download')];
  const value = (/** @type {HTMLInputElement} */ field) =>
    Number(field.value) > 0 ? Math.max(1, Math.round(Number(field.value) * MEGA)) : null;
  const send = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    order('limits', { upload: value(upload), download: value(download) });
  };
  const playing = h('button', { type: 'button', onclick: () => order('quiet', { on: !state.quiet }) });
  const held = h('p', { class: 'note', role: 'status' }, t('downloads.playing'));
  const form = h(
    'form',
    { class: 'row wrap', onsubmit: send },
    h('label', { class: 'field' }, t('downloads.limit.upload'), upload),
    h('label', { class: 'field' }, t('downloads.limit.download'), download),
    h('button', { type: 'submit' }, t('downloads.apply')),
    playing,
    held,
  );
  const show = (/** @type {Status['limits']} */ limits) => {
    playing.hidden = !state.settings.quiet_upload && !state.quiet;
    held.hidden = !state.quiet;
    say(playing, state.quiet ? t('downloads.playing.end') : t('downloads.playing.start'));
    if (form.contains(document.activeElement) && document.activeElement !== playing) return;
    upload.value = limits.upload === null ? '' : String(limits.upload / MEGA);
    download.value = limits.download === null ? '' : String(limits.download / MEGA);
  };
  return { form, show };
}
