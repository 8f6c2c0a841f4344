// Rates over time.

import { rate } from '../model/format.js';
import { t } from '../model/words.js';
import { h, s, say } from './dom.js';

const WIDTH = 600;
const HEIGHT = 150;
/** Seconds that the plot shows. */
const SECONDS = 300;

/** A round number at or above, to end an axis at. @param {number} value */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return ([1, 2, 5, 10].find((n) => n * power >= value) ?? 10) * power;
}

/** `<rate-plot>`: what came and what went, second by second. */
export class RatePlot extends HTMLElement {
  #down = s('path', { class: 'line down' });
  #downArea = s('path', { class: 'area down' });
  #up = s('path', { class: 'line up' });
  #top = h('span', { class: 'top' });
  #now = h('figcaption', {});

  connectedCallback() {
    if (this.firstChild) return;
    const lines = [0.25, 0.5, 0.75].map((y) => s('path', { class: 'rule', d: `M0 ${y * HEIGHT}H${WIDTH}` }));
    const picture = s(
      'svg',
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': t('rates.title'),
      },
      ...lines,
      this.#downArea,
      this.#down,
      this.#up,
    );
    this.append(
      h(
        'figure',
        {},
        h(
          'div',
          { class: 'plot' },
          picture,
          this.#top,
          h('span', { class: 'from' }, t('rates.from')),
          h('span', { class: 'to' }, t('rates.to')),
        ),
        this.#now,
      ),
    );
  }

  /** @param {Rate[]} rates */
  show(rates) {
    const most = ceiling(Math.max(1000, ...rates.map((r) => Math.max(r.down, r.up))));
    const x = (/** @type {number} */ i) => (WIDTH * (SECONDS - rates.length + i)) / (SECONDS - 1);
    const y = (/** @type {number} */ value) => HEIGHT - 2 - (value / most) * (HEIGHT - 4);
    const line = (/** @type {'down' | 'up'} */ which) =>
      rates.map((r, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(r[which]).toFixed(1)}`).join('');
    const down = line('down');
    this.#down.setAttribute('d', down);
    this.#downArea.setAttribute('d', down ? `${down}V${HEIGHT}H${x(0).toFixed(1)}z` : '');
    this.#up.setAttribute('d', line('up'));
    say(this.#top, rate(most));
    const last = rates[rates.length - 1] ?? { down: 0, up: 0 };
    this.#now.replaceChildren(
      h('span', { class: 'key down' }, `${t('rates.receiving')} ${rate(last.down)}`),
      h('span', { class: 'key up' }, `${t('rates.sending')} ${rate(last.up)}`),
    );
  }
}
customElements.define('rate-plot', RatePlot);
