// Covers: the game's own picture or, for most, one made from its id, always the same and unlike its
// neighbours'.

import { h, s, set } from './dom.js';

/** A number from a text, well mixed (FNV-1a, then a finaliser). @param {string} text */
export function hash(text) {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/**
 * At most three letters or digits: of the words, or the first two of a single one. Other signs, such as
 * emoji, are no initials.
 * @param {string} name
 */
export function initials(name) {
  const words = (name.match(/[\p{L}\p{N}\p{M}']+/gu) ?? []).map((word) => [...word.normalize('NFC')]);
  const letters = words.length > 1 ? words.slice(0, 3).map((word) => word[0]) : (words[0] ?? []).slice(0, 2);
  return letters.join('').toUpperCase();
}

/** Every motif is drawn in a field of 60 by 80. @type {((r: (n: number) => number) => Element[])[]} */
const MOTIFS = [
  // A sun over ridges.
  (r) => [
    s('circle', { cx: 14 + r(32), cy: 18 + r(12), r: 9 + r(6), class: 'c1' }),
    s('path', {
      d:
        `M0 ${46 + r(8)} L${14 + r(8)} ${34 + r(8)} L${32 + r(6)} ${50 + r(6)}` +
        ` L${46 + r(6)} ${32 + r(10)} L60 ${46 + r(6)} V80 H0z`,
      class: 'c2',
    }),
    s('path', {
      d: `M0 ${58 + r(6)} L${20 + r(8)} ${48 + r(6)} L${42 + r(8)} ${62 + r(4)} L60 ${52 + r(6)} V80 H0z`,
      class: 'c3',
    }),
  ],
  // Rings.
  (r) => {
    const [x, y] = [18 + r(26), 20 + r(22)];
    return [40, 30, 20, 10].map((radius, i) =>
      s('circle', { cx: x, cy: y, r: radius, class: i % 2 ? 'c1' : 'c2' }),
    );
  },
  // Slanted bars.
  (r) =>
    [0, 1, 2, 3].map((i) =>
      s('path', {
        d: `M${-20 + i * 22 + r(8)} 80 L${14 + i * 22 + r(8)} -4 h${5 + r(9)} L${-6 + i * 22 + r(8)} 80z`,
        class: `c${1 + (i % 3)}`,
      }),
    ),
  // A tower of blocks.
  (r) =>
    [0, 1, 2, 3, 4].map((i) => {
      const height = 18 + r(44);
      return s('rect', { x: i * 12, y: 80 - height, width: 12, height, class: `c${1 + ((i + r(3)) % 3)}` });
    }),
  // Facets.
  (r) => {
    const [x, y] = [20 + r(20), 24 + r(24)];
    return [
      s('path', { d: `M0 0 H60 L${x} ${y}z`, class: 'c1' }),
      s('path', { d: `M60 0 V80 L${x} ${y}z`, class: 'c2' }),
      s('path', { d: `M60 80 H0 L${x} ${y}z`, class: 'c3' }),
    ];
  },
  // Waves.
  (r) =>
    [0, 1, 2].map((i) => {
      const y = 24 + i * 17 + r(6);
      return s('path', {
        d:
          `M0 ${y} C${12 + r(8)} ${y - 12 - r(6)} ${22 + r(8)} ${y + 12} 34 ${y}` +
          ` S${52 + r(4)} ${y - 12} 60 ${y - r(6)} V80 H0z`,
        class: `c${i + 1}`,
      });
    }),
  // A planet and its moon.
  (r) => [
    s('circle', { cx: 10 + r(40), cy: 60 + r(14), r: 30 + r(8), class: 'c2' }),
    s('circle', { cx: 14 + r(32), cy: 14 + r(14), r: 4 + r(4), class: 'c1' }),
    s('path', {
      d: `M-4 ${40 + r(10)} Q30 ${22 + r(10)} 64 ${38 + r(14)} Q30 ${34 + r(6)} -4 ${44 + r(8)}z`,
      class: 'c3',
    }),
  ],
  // A grid of lozenges, some of them missing.
  (r) =>
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
      .filter(() => r(4) > 0)
      .map((i) =>
        s('path', {
          d: `M${10 + (i % 3) * 20} ${2 + Math.floor(i / 3) * 19} l9 9 -9 9 -9 -9z`,
          class: `c${1 + r(3)}`,
        }),
      ),
];

/**
 * @param {string} id
 * @param {string} name
 */
function generated(id, name) {
  const seed = hash(id);
  let rest = hash(`${id}/`);
  const random = (/** @type {number} */ n) => {
    rest = (Math.imul(rest, 1664525) + 1013904223) >>> 0;
    return Math.floor((rest / 0x100000000) * n);
  };
  const hue = seed % 360;
  const away = [28, 55, 150, 190, 320][(seed >>> 9) % 5];
  const picture = s(
    'svg',
    { viewBox: '0 0 60 80', preserveAspectRatio: 'xMidYMid slice', 'aria-hidden': 'true' },
    MOTIFS[(seed >>> 14) % MOTIFS.length](random),
  );
  return h(
    'div',
    { class: 'made', style: { '--hue': hue, '--hue2': (hue + away) % 360 } },
    picture,
    h('span', { class: 'initials', 'aria-hidden': 'true' }, initials(name)),
    h('span', { class: 'title', dir: 'auto', 'aria-hidden': 'true' }, name),
  );
}

/** `<game-cover>`: shows what `show` was last given. */
export class GameCover extends HTMLElement {
  #key = '';

  /** The game's own picture counts more than the catalogue's. @param {GameRow} game */
  show(game) {
    const name = game.title || game.game_id;
    const listed = game.about?.cover?.startsWith('data:image/') ? game.about.cover : '';
    const key = `${game.game_id}/${game.cover}/${name}/${listed}`;
    if (key === this.#key) return;
    this.#key = key;
    const made = () => this.replaceChildren(generated(game.game_id, name));
    if (!game.cover && !listed) {
      made();
      return;
    }
    const image = h('img', { alt: '', loading: 'lazy', decoding: 'async' });
    // What does not decode is not shown as a broken picture.
    image.addEventListener('error', made, { once: true });
    set(image, {
      src: game.cover
        ? `/api/v1/cover/${encodeURIComponent(game.game_id)}?v=${encodeURIComponent(game.cover)}`
        : listed,
    });
    this.replaceChildren(image);
  }
}
customElements.define('game-cover', GameCover);
