// What the keys do.

import { t } from '../model/words.js';
import { open } from './dialogs.js';
import { h } from './dom.js';

const KEYS = [
  ['/', 'library.search'],
  ['← → ↑ ↓', 'settings.keys.move'],
  ['Enter', 'settings.keys.open'],
  ['Tab', 'settings.keys.button'],
  ['1 – 4', 'settings.keys.views'],
  ['Esc', 'settings.keys.back'],
  ['?', 'settings.keys'],
];

/** The keys as a table. */
export function keyTable() {
  return h(
    'table',
    { class: 'keys' },
    h('caption', {}, t('settings.keys')),
    h(
      'tbody',
      {},
      ...KEYS.map(([key, text]) =>
        h('tr', {}, h('th', { scope: 'row' }, h('kbd', {}, key)), h('td', {}, t(text))),
      ),
    ),
  );
}

/** The same in front of everything. */
export function showKeys() {
  return open(t('settings.keys'), (dialog) => [
    keyTable(),
    h(
      'div',
      { class: 'row end' },
      h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('button.close')),
    ),
  ]);
}
