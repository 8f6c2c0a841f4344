// One game: what it is, who has it, what it costs, what can be done, and what happens with it.

import { get } from '../model/api.js';
import { sentence } from '../model/events.js';
import { bytes, clock, duration, rate, version } from '../model/format.js';
import { isOutdated, nameOf, standing, standingText, supportText } from '../model/game.js';
import { limitText } from '../model/slow.js';
import { needOf, spaceLeft, spaceNeeded } from '../model/space.js';
import { state } from '../model/state.js';
import { count, t } from '../model/words.js';
import '../widgets/cover.js';
import { attr, h, icon, say } from '../widgets/dom.js';
import { otherSteps } from '../widgets/other-steps.js';
import { nextStep } from '../widgets/steps.js';
import '../widgets/swarm-picture.js';

/** Lines of the log that are shown. */
const LOG_LINES = 30;

/** `<game-page game="ID">`. */
export class GamePage extends HTMLElement {
  id_ = '';
  /** @type {Offer[] | null} */
  #offers = null;
  #cover = /** @type {import('../widgets/cover.js').GameCover} */ (document.createElement('game-cover'));
  #title = h('h1', { tabindex: -1, dir: 'auto' });
  #badge = h('p', { class: 'badge' });
  #bar = h('progress', { max: 1, hidden: true });
  #progress = h('p', { class: 'facts' });
  #primary = h('button', { type: 'button', class: 'primary large' });
  #others = h('div', { class: 'row wrap' });
  #facts = h('dl', { class: 'factlist' });
  #swarmPart = h('section', { class: 'card', hidden: true }, h('h2', {}, t('game.sources')));
  #swarm = /** @type {import('../widgets/swarm-picture.js').SwarmPicture} */ (
    document.createElement('swarm-picture')
  );
  #limit = h('p', { class: 'note' });
  #who = h('section', { class: 'card' });
  #log = h('ol', { class: 'log' });
  #stepsShown = '';
  #gone = h(
    'div',
    { class: 'empty', hidden: true },
    h('h2', {}, t('game.gone')),
    h('p', {}, h('a', { href: '#/' }, t('game.back'))),
  );

  connectedCallback() {
    this.#swarmPart.append(this.#swarm, this.#limit);
    this.#primary.addEventListener('click', () => {
      const game = state.games.get(this.id_);
      if (game) nextStep(game).run?.();
    });
    this.append(
      this.#gone,
      h('a', { class: 'back', href: '#/' }, icon('back'), t('library.title')),
      h(
        'div',
        { class: 'head' },
        this.#cover,
        h(
          'div',
          { class: 'about' },
          this.#title,
          this.#badge,
          this.#bar,
          this.#progress,
          h('div', { class: 'row wrap actions' }, this.#primary, this.#others),
          this.#facts,
        ),
      ),
      this.#swarmPart,
      h(
        'div',
        { class: 'columns' },
        this.#who,
        h('section', { class: 'card' }, h('h2', {}, t('game.activity')), this.#log),
      ),
    );
    this.#title.focus({ preventScroll: true });
    this.#show();
    this.#ask();
  }

  /** @param {import('../model/state.js').Changed} changed */
  update(changed) {
    if (changed.all || changed.games.has(this.id_) || changed.status || changed.log) this.#show();
    if (changed.all || changed.peers) this.#ask();
  }

  async #ask() {
    try {
      this.#offers = (await get(`offers/${encodeURIComponent(this.id_)}`)).offers;
    } catch {
      this.#offers = [];
    }
    this.#showOffers();
    const game = state.games.get(this.id_);
    if (game) this.#showFacts(game);
  }

  #show() {
    const game = state.games.get(this.id_);
    if (!game) {
      this.#present(false);
      return;
    }
    this.#present(true);
    this.#cover.show(game);
    say(this.#title, nameOf(game));
    say(this.#badge, standingText(game));
    attr(this.#badge, 'data-standing', standing(game));
    const operation = state.operation(this.id_);
    const swarm = state.swarm(this.id_);
    const total = operation?.progress.total_bytes ?? 0;
    this.#bar.hidden = total === 0;
    if (operation && total > 0) this.#bar.value = operation.progress.done_bytes / total;
    const parts = [];
    if (operation && total > 0)
      parts.push(t('progress.done', { done: bytes(operation.progress.done_bytes), total: bytes(total) }));
    if (swarm && swarm.bytes_per_second > 0) parts.push(rate(swarm.bytes_per_second));
    if (swarm && swarm.seconds_left !== null)
      parts.push(t('progress.left', { time: duration(swarm.seconds_left) }));
    if (swarm && swarm.bytes_per_second === 0 && swarm.sources.length === 0)
      parts.push(t('progress.waiting'));
    say(this.#progress, parts.join(' · '));
    this.#showSteps(game);
    this.#showFacts(game);
    this.#swarmPart.hidden = !swarm;
    if (swarm) this.#swarm.show(swarm);
    if (swarm) say(this.#limit, limitText(swarm));
    this.#showLog();
  }

  /** Shows the game, or that it is gone: it may come back. @param {boolean} here */
  #present(here) {
    for (const part of this.children)
      /** @type {HTMLElement} */ (part).hidden = here === (part === this.#gone);
  }

  /** @param {GameRow} game */
  #showSteps(game) {
    const step = nextStep(game);
    say(this.#primary, step.label);
    attr(this.#primary, 'data-step', step.key);
    this.#primary.disabled = step.run === null;
    const others = otherSteps(game);
    const shown = others.map((other) => other.label).join('|');
    if (shown === this.#stepsShown) return;
    this.#stepsShown = shown;
    const run = (/** @type {string} */ key) => {
      const now = state.games.get(this.id_);
      if (now)
        otherSteps(now)
          .find((other) => other.key === key)
          ?.run?.();
    };
    this.#others.replaceChildren(
      ...others.map((other) =>
        h(
          'button',
          { type: 'button', data: { step: other.key }, onclick: () => run(other.key) },
          other.label,
        ),
      ),
    );
  }

  /** @param {GameRow} game */
  #showFacts(game) {
    /** @type {[string, string][]} */
    const facts = [[t('fact.version.room'), version(game.eti_game_version)]];
    const support = supportText(game);
    if (support) facts.push([t('fact.confirmation'), support]);
    if (game.dated_ahead) facts.push([t('fact.note'), t('fact.dated-ahead')]);
    if (game.private) facts.push([t('fact.note'), t('fact.private')]);
    if (game.local_version)
      facts.push([
        t('fact.version.own'),
        version(game.local_version) + (isOutdated(game) ? ` (${t('fact.version.outdated')})` : ''),
      ]);
    if (game.installed_version && game.installed_version !== game.local_version)
      facts.push([t('fact.version.installed'), version(game.installed_version)]);
    const { genre, players } = game.about ?? {};
    if (genre) facts.push([t('fact.genre'), genre]);
    if (players)
      facts.push([
        t('fact.players'),
        players.min === players.max ? String(players.max) : `${players.min}–${players.max}`,
      ]);
    facts.push([t('fact.size'), game.size ? bytes(game.size) : '–']);
    const update = isOutdated(game)
      ? this.#offers?.find((offer) => offer.eti_version === game.eti_game_version)
      : undefined;
    if (update) facts.push([t('fact.size.update'), bytes(update.size)]);
    const need = state.operation(this.id_) ? null : needOf(game, update?.size);
    if (need) facts.push([t('fact.needs'), spaceNeeded(need)], [t('fact.space'), spaceLeft(need)]);
    if (!game.downloaded && game.size) {
      const best = Math.max(0, ...state.rates.slice(-30).map((r) => r.down));
      if (best > 0) facts.push([t('fact.time'), duration(game.size / best)]);
    }
    if (game.content_id) facts.push([t('fact.content'), game.content_id.slice(0, 16)]);
    facts.push([t('fact.id'), game.game_id]);
    const text = facts.flat().join('|');
    if (this.#facts.dataset.shown === text) return;
    this.#facts.dataset.shown = text;
    this.#facts.replaceChildren(
      ...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    );
  }

  #showOffers() {
    const game = state.games.get(this.id_);
    if (!game || !this.#offers) return;
    /** @type {Map<string, Offer[]>} */
    const versions = new Map();
    for (const offer of this.#offers) {
      const key = `${offer.eti_version}/${offer.content_id}`;
      versions.set(key, [...(versions.get(key) ?? []), offer]);
    }
    const groups = [...versions.values()].sort((a, b) => b[0].eti_version.localeCompare(a[0].eti_version));
    const group = (/** @type {Offer[]} */ offers) =>
      h(
        'div',
        { class: 'version' },
        h(
          'h3',
          {},
          version(offers[0].eti_version),
          ' ',
          h('small', {}, `${bytes(offers[0].size)}, ${count('files', offers[0].file_count)}`),
        ),
        offers[0].eti_version !== game.eti_game_version
          ? h('p', { class: 'note' }, t('game.version.other'))
          : null,
        h('ul', { class: 'people' }, ...offers.map((offer) => h('li', {}, icon('people'), offer.name))),
      );
    this.#who.replaceChildren(
      h('h2', {}, t('holders.title')),
      ...(groups.length
        ? groups.map(group)
        : [h('p', { class: 'note' }, game.downloaded ? t('game.holders.self') : t('holders.none'))]),
    );
  }

  #showLog() {
    const lines = state.log
      .filter((entry) => entry.event.game_id === this.id_ && sentence(entry.event))
      .slice(-LOG_LINES)
      .reverse();
    const text = `${lines.length}/${lines[0]?.at_ms}`;
    if (this.#log.dataset.shown === text) return;
    this.#log.dataset.shown = text;
    this.#log.replaceChildren(
      ...(lines.length
        ? lines.map((entry) =>
            h('li', {}, h('time', {}, clock(entry.at_ms)), h('span', {}, sentence(entry.event))),
          )
        : [h('li', { class: 'note' }, t('game.activity.none'))]),
    );
  }
}
customElements.define('game-page', GamePage);
