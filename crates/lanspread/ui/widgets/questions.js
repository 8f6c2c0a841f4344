// Questions that only the owner can answer: before what is here is replaced, before a first start, and before
// archives unpack to far more than they are.

import { bytes, version } from '../model/format.js';
import { spaceLeft } from '../model/space.js';
import { state } from '../model/state.js';
import { t } from '../model/words.js';
import { open, order } from './dialogs.js';
import { h } from './dom.js';

/** Digits of an id that are shown. */
const SHORT = 8;

/** Asks what the program wants to have confirmed. @param {string} name @param {Question} question */
export async function askOwner(name, question) {
  if (question.replacement) return askReplace(name, question.replacement);
  return question.first_start ? askStart(name, question.first_start) : false;
}

/** @param {string} name @param {Replacement} r */
function askReplace(name, r) {
  const supplier = named(r.supplier);
  return ask(
    t('replace.question', { game: name }),
    t('replace.text', { who: supplier }),
    [
      [t('replace.old'), described(r.eti_version, r.content_id)],
      [t('replace.new'), described(r.new_eti_version, r.new_content_id)],
      [t('replace.supplier'), supplier],
    ],
    t('replace.yes'),
  );
}

/** @param {string} name @param {FirstStart} s */
function askStart(name, s) {
  const from = s.suppliers.length ? s.suppliers.map(named).join(', ') : t('start.from.here');
  return ask(
    t('start.question', { game: name }),
    t('start.text'),
    [
      // Broken at the folders, so that the program's own name is in one piece.
      [t('start.program'), s.program.split(/(?<=[\\/])/).flatMap((part) => [part, h('wbr', {})])],
      ...(s.args.length
        ? [
            /** @type {[string, string]} */ ([
              t('start.arguments'),
              s.args.map((arg) => JSON.stringify(arg)).join(' '),
            ]),
          ]
        : []),
      [t('start.from'), from],
      [t('fact.content'), s.content_id.slice(0, SHORT)],
    ],
    t('start.yes'),
  );
}

/**
 * Asks whether a game's archives may unpack to far more than they are, and installs it if they may.
 * @param {{event: string, [field: string]: any}} failed the refused install
 * @returns {Promise<unknown>}
 */
export async function askUnpack(failed) {
  const { game_id: id, unpacked_bytes: stated } = failed;
  const front = document.querySelector('dialog[open]');
  if (front) return front.addEventListener('close', () => askUnpack(failed), { once: true });
  const game = state.games.get(id);
  if (!game) return;
  // Of archives that arrive only the part up to the refusal is known, so twice as much is allowed.
  const limit = game.downloaded ? stated : 2 * stated;
  const answer = ask(
    t('unpack.question', { game: game.title || id }),
    t('unpack.text'),
    [
      [t('unpack.packed'), bytes(game.size)],
      [
        t('unpack.unpacked'),
        game.downloaded ? bytes(stated) : t('unpack.at-least', { size: bytes(stated), limit: bytes(limit) }),
      ],
      [t('fact.space'), spaceLeft({ unpacked: stated })],
    ],
    t('unpack.yes'),
  );
  const dialog = /** @type {HTMLDialogElement} */ (document.querySelector('dialog[open]'));
  // It may be answered in another window.
  const answered = (/** @type {any} */ { detail: { event } }) =>
    event.game_id === id && event.event.endsWith('-begin') && dialog.close('');
  state.addEventListener('news', answered);
  if (await answer)
    order(game.downloaded ? 'install' : 'stream-install', { game_id: id, max_unpacked_bytes: limit });
  state.removeEventListener('news', answered);
}

/** @param {string} question @param {string} text @param {[string, any][]} facts @param {string} yes */
async function ask(question, text, facts, yes) {
  const answer = await open(question, (dialog) => [
    h('p', {}, text),
    h(
      'dl',
      { class: 'question' },
      ...facts.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))),
    ),
    h(
      'div',
      { class: 'row end' },
      h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('question.no')),
      h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, yes),
    ),
  ]);
  return answer === 'yes';
}

/** @param {Supplier} supplier */
function named(supplier) {
  return t('question.supplier', { name: supplier.name, key: supplier.key });
}

/** @param {string | null} eti @param {string | null} content */
function described(eti, content) {
  const which = eti ? version(eti) : t('question.version.unknown');
  return content ? t('question.version', { version: which, content: content.slice(0, SHORT) }) : which;
}
