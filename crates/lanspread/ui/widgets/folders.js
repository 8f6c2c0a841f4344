// Chooses a folder or a file of the machine where the program runs.

import { get } from '../model/api.js';
import { t } from '../model/words.js';
import { open, toast } from './dialogs.js';
import { h, icon } from './dom.js';

/**
 * Walks through the folders of the machine where the program runs.
 * @param {string} title
 * @param {string} start
 * @returns {Promise<string | null>}
 */
export const chooseFolder = (title, start) => choose(title, start, null);

/**
 * The same for a file of this kind.
 * @param {string} title
 * @param {string} start
 * @param {RegExp} kind
 * @returns {Promise<string | null>}
 */
export const chooseFile = (title, start, kind) => choose(title, start, kind);

/**
 * @param {string} title
 * @param {string} start
 * @param {RegExp | null} kind
 * @returns {Promise<string | null>}
 */
async function choose(title, start, kind) {
  const chosen = await open(
    title,
    (dialog) => {
      const path = h('p', { class: 'path', 'aria-live': 'polite' });
      const list = h('ul', { class: 'folders' });
      const take = h(
        'button',
        { type: 'button', class: 'primary', hidden: kind !== null },
        t('folder.choose'),
      );
      let current = '';
      take.addEventListener('click', () => dialog.close(current));
      const show = async (/** @type {string | null} */ where) => {
        let found;
        try {
          found = await get(where === null ? 'folders' : `folders?path=${encodeURIComponent(where)}`);
        } catch (error) {
          if (where !== null && where === start) await show(null);
          else toast(String(error instanceof Error ? error.message : error), 'bad');
          return;
        }
        current = found.path;
        path.textContent = current || t('folder.drives');
        take.disabled = !current;
        const separator = /^[A-Za-z]:|^\\/.test(current) ? '\\' : '/';
        const within = (/** @type {string} */ name) =>
          current ? `${current.replace(/[\\/]$/, '')}${separator}${name}` : name;
        const entry = (
          /** @type {string} */ label,
          /** @type {string} */ to,
          /** @type {'up' | 'folder'} */ sign,
        ) =>
          h(
            'li',
            {},
            h('button', { type: 'button', class: 'plain', onclick: () => show(to) }, icon(sign), label),
          );
        list.replaceChildren(
          ...(found.parent === undefined ? [] : [entry(t('folder.up'), found.parent, 'up')]),
          ...found.folders.map((/** @type {string} */ name) => entry(name, within(name), 'folder')),
          ...found.files
            .filter((/** @type {string} */ name) => kind?.test(name))
            .map((/** @type {string} */ name) =>
              h(
                'li',
                {},
                h(
                  'button',
                  { type: 'button', class: 'plain', onclick: () => dialog.close(within(name)) },
                  icon('file'),
                  name,
                ),
              ),
            ),
        );
        list.scrollTop = 0;
      };
      show(start || null);
      return [
        path,
        list,
        h(
          'div',
          { class: 'row end' },
          h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.cancel')),
          take,
        ),
      ];
    },
    'wide',
  );
  return chosen || null;
}
