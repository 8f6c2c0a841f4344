// Everything that happened, to be searched and taken along.

import { sentence } from '../model/events.js';
import { clock } from '../model/format.js';
import { nameOf } from '../model/game.js';
import { state } from '../model/state.js';
import { count, t } from '../model/words.js';
import { open } from './dialogs.js';
import { h, say } from './dom.js';

const FILE = 'lanspread-log.jsonl';

/** What is said of an entry; an event without a sentence has its name. @param {LogEntry} entry */
function line({ event }) {
  const game = event.game_id ? state.games.get(event.game_id) : null;
  return {
    game: game ? nameOf(game) : (event.game_id ?? ''),
    text: sentence(event) || event.event,
  };
}

/** Shows the log; what is left by the filter can be saved. */
export async function showLog() {
  const search = h('input', {
    type: 'search',
    name: 'filter',
    'aria-label': t('log.filter'),
    autofocus: true,
  });
  search.placeholder = t('log.filter');
  const found = h('span', { class: 'note', role: 'status' });
  const list = h('ol', { class: 'log', tabindex: 0, 'aria-label': t('log.title') });
  const matching = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return state.log.filter((entry) => {
      const { game, text } = line(entry);
      const all = `${game} ${text} ${entry.event.event} ${entry.event.game_id ?? ''}`.toLowerCase();
      return words.every((/** @type {string} */ word) => all.includes(word));
    });
  };
  const show = () => {
    const entries = matching();
    say(found, count('log.entries', entries.length));
    list.replaceChildren(
      ...entries.reverse().map((entry) => {
        const { game, text } = line(entry);
        return h(
          'li',
          {},
          h('time', {}, clock(entry.at_ms)),
          h('span', {}, game ? h('b', { dir: 'auto' }, game) : null, game ? ' ' : null, text),
        );
      }),
    );
  };
  const save = () => {
    const lines = matching().map((entry) => JSON.stringify(entry));
    const address = URL.createObjectURL(new Blob([`${lines.join('\n')}\n`], { type: 'application/jsonl' }));
    h('a', { href: address, download: FILE }).click();
    URL.revokeObjectURL(address);
  };
  search.addEventListener('input', show);
  state.addEventListener('news', show);
  await open(
    t('log.title'),
    (dialog) => {
      show();
      return [
        h('div', { class: 'row' }, search, found),
        list,
        h('p', { class: 'note' }, t('log.note')),
        h(
          'div',
          { class: 'row end' },
          h('button', { type: 'button', onclick: save }, t('log.save')),
          h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.close')),
        ),
      ];
    },
    'wide',
  );
  state.removeEventListener('news', show);
}
