// One game in the library.

import './cover.js';
import { bytes, rate } from '../model/format.js';
import { nameOf, standing, standingText, supportText } from '../model/game.js';
import { state } from '../model/state.js';
import { count } from '../model/words.js';
import { attr, h, say } from './dom.js';
import { nextStep } from './steps.js';

/** `<game-card>`: one game. */
export class GameCard extends HTMLElement {
  /** @type {GameRow | null} */
  game = null;
  cover = /** @type {import('../widgets/cover.js').GameCover} */ (document.createElement('game-cover'));
  link = h('a', { class: 'cover', tabindex: -1 }, this.cover);
  name = h('span', { class: 'name', dir: 'auto' });
  facts = h('span', { class: 'facts' });
  support = h('span', { class: 'support', hidden: true });
  badge = h('span', { class: 'badge' });
  button = h('button', { type: 'button', class: 'step', tabindex: -1 });
  bar = h('progress', { max: 1, hidden: true });
  /** Chooses the game together with others. */
  pick = h('input', { type: 'checkbox', class: 'pick', hidden: true, tabindex: -1 });

  constructor() {
    super();
    this.button.addEventListener('click', () => {
      if (this.game) nextStep(this.game).run?.();
    });
  }

  connectedCallback() {
    if (!this.firstChild)
      this.append(
        this.link,
        h('div', { class: 'text' }, this.name, this.facts),
        this.support,
        this.badge,
        this.bar,
        this.pick,
        this.button,
      );
  }

  /** @param {GameRow} game */
  show(game) {
    this.game = game;
    const id = game.game_id;
    this.cover.show(game);
    attr(this.link, 'href', `#/game/${encodeURIComponent(id)}`);
    const name = nameOf(game);
    const standingNow = standing(game);
    const text = standingText(game);
    say(this.name, name);
    this.name.title = name;
    const operation = state.operation(id);
    const swarm = state.swarm(id);
    const facts =
      swarm && swarm.bytes_per_second > 0
        ? rate(swarm.bytes_per_second)
        : [
            game.size && standingNow !== 'update' ? bytes(game.size) : '',
            standingNow !== 'room' && game.peer_count ? count('holders', game.peer_count) : '',
          ]
            .filter(Boolean)
            .join(' · ');
    say(this.facts, facts);
    say(this.badge, text);
    // On a card only what should give pause; the rest stands on the game's own page.
    const support =
      game.support === 'single' && (standingNow === 'room' || standingNow === 'update')
        ? supportText(game)
        : '';
    this.support.hidden = support === '';
    say(this.support, support);
    this.support.title = support;
    attr(this.link, 'aria-label', [name, text, support].filter(Boolean).join(', '));
    attr(this.pick, 'aria-label', name);
    attr(this, 'data-standing', standingNow);
    const total = operation?.progress.total_bytes ?? 0;
    this.bar.hidden = total === 0;
    if (operation && total > 0) {
      this.bar.value = operation.progress.done_bytes / total;
      attr(this.bar, 'aria-label', text);
    }
    const step = nextStep(game);
    say(this.button, step.short ?? step.label);
    attr(this.button, 'data-step', step.key);
    attr(this.button, 'aria-label', `${step.label}: ${name}`);
    this.button.disabled = step.run === null;
  }

  /** One card is reached by Tab. @param {boolean} yes */
  reachable(yes) {
    this.link.tabIndex = yes ? 0 : -1;
    this.button.tabIndex = yes ? 0 : -1;
    this.pick.tabIndex = yes ? 0 : -1;
  }

  /** Whether the game is chosen; null while none are to be chosen. @param {boolean | null} picked */
  picked(picked) {
    this.pick.hidden = picked === null;
    this.pick.checked = picked === true;
  }
}
customElements.define('game-card', GameCard);
