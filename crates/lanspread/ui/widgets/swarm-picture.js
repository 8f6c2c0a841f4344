// The swarm behind a download.

import { bytes, percent, rate } from '../model/format.js';
import { count, t } from '../model/words.js';
import { h, s } from './dom.js';

/** Sources that the picture has room for. */
const SOURCES_MAX = 12;
/** `<swarm-picture>`: this peer in the middle, around it who serves, how much and how fast. */
export class SwarmPicture extends HTMLElement {
  /** @param {Swarm} swarm */
  show(swarm) {
    const sources = [...swarm.sources];
    const byName = (/** @type {SwarmSource} */ a, /** @type {SwarmSource} */ b) =>
      a.name.localeCompare(b.name) || a.peer_id.localeCompare(b.peer_id);
    const shown = [...sources]
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, SOURCES_MAX)
      .sort(byName);
    // By name, so that rows keep their places while the figures grow.
    sources.sort(byName);
    const most = Math.max(1, ...shown.map((source) => source.bytes_per_second));
    const part = swarm.chunks_total ? swarm.chunks_had / swarm.chunks_total : 0;
    const around = 2 * Math.PI * 30;
    const nodes = shown.map((source, i) => {
      const angle = (i / shown.length) * 2 * Math.PI - Math.PI / 2;
      const [x, y] = [160 + Math.cos(angle) * 118, 110 + Math.sin(angle) * 76];
      const speed = source.bytes_per_second / most;
      const has = swarm.chunks_total ? source.chunks_has / swarm.chunks_total : 0;
      const small = 2 * Math.PI * 13;
      const flow = source.bytes_per_second > 0 ? 'flow' : 'flow still';
      return [
        s('line', {
          x1: x,
          y1: y,
          x2: 160,
          y2: 110,
          class: flow,
          'stroke-width': (1.5 + speed * 4).toFixed(1),
        }),
        s(
          'g',
          { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` },
          s('circle', { r: 13, class: 'node' }),
          s('circle', {
            r: 13,
            class: 'has',
            transform: 'rotate(-90)',
            'stroke-dasharray': `${(has * small).toFixed(1)} ${small.toFixed(1)}`,
          }),
          s('text', { class: 'letter', y: 4 }, [...source.name].slice(0, 1).join('').toUpperCase()),
          s('title', {}, `${source.name}: ${rate(source.bytes_per_second)}, ${percent(has)}`),
        ),
      ];
    });
    const lines = nodes.map(([line]) => line);
    const circles = nodes.map(([, circle]) => circle);
    const picture = s(
      'svg',
      { viewBox: '0 0 320 220', 'aria-hidden': 'true' },
      ...lines,
      s('circle', { cx: 160, cy: 110, r: 30, class: 'node me' }),
      s('circle', {
        cx: 160,
        cy: 110,
        r: 30,
        class: 'had',
        transform: 'rotate(-90 160 110)',
        'stroke-dasharray': `${(part * around).toFixed(1)} ${around.toFixed(1)}`,
      }),
      s('text', { x: 160, y: 115, class: 'part' }, percent(part)),
      ...circles,
    );
    const rows = sources.map((source) =>
      h(
        'tr',
        {},
        h('th', { scope: 'row' }, source.name),
        h('td', {}, percent(swarm.chunks_total ? source.chunks_has / swarm.chunks_total : 0)),
        h('td', {}, bytes(source.bytes)),
        h('td', {}, rate(source.bytes_per_second)),
      ),
    );
    this.replaceChildren(
      h('div', { class: 'picture' }, picture),
      h(
        'div',
        { class: 'numbers' },
        h(
          'p',
          {},
          t('swarm.chunks', { had: swarm.chunks_had, total: swarm.chunks_total }),
          ' ',
          count('swarm.copies', Math.round(swarm.copies * 10) / 10),
        ),
        h(
          'table',
          {},
          h('caption', {}, count('sources', sources.length)),
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              h('th', { scope: 'col' }, t('swarm.source')),
              h('th', { scope: 'col' }, t('swarm.has')),
              h('th', { scope: 'col' }, t('swarm.received')),
              h('th', { scope: 'col' }, t('swarm.speed')),
            ),
          ),
          h('tbody', {}, ...rows),
        ),
      ),
    );
  }
}
customElements.define('swarm-picture', SwarmPicture);
