// What comes to the front: questions, a folder to choose, words that pass.

import { get } from './api.js';
import { h, icon } from './dom.js';
import { t } from './words.js';

/** How long a passing word stays, in milliseconds. */
const TOAST_MS = 6000;
const TOASTS_MAX = 4;

/** @param {string} text @param {'' | 'good' | 'bad'} [kind] */
export function toast(text, kind = '') {
  const place = document.getElementById('toasts');
  const word = h('p', { class: `toast ${kind}` }, text);
  place?.append(word);
  while ((place?.children.length ?? 0) > TOASTS_MAX) place?.firstElementChild?.remove();
  setTimeout(() => word.remove(), TOAST_MS);
}

/**
 * A dialog that is gone when it is closed. Resolves with its return value.
 * @param {string} title
 * @param {(dialog: HTMLDialogElement) => any[]} content
 * @param {string} [kind]
 * @returns {Promise<string>}
 */
export function open(title, content, kind = '') {
  const id = `d${Date.now()}`;
  const dialog = h('dialog', { class: kind, 'aria-labelledby': id });
  dialog.append(h('h2', { id }, title), ...content(dialog));
  dialog.addEventListener('click', (/** @type {Event} */ event) => {
    if (event.target === dialog) dialog.close('');
  });
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/** @param {string} question @param {string} text @param {string} yes */
export async function confirm(question, text, yes) {
  const answer = await open(question, (dialog) => [
    h('p', {}, text),
    h('div', { class: 'row end' },
      h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('button.keep')),
      h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, yes)),
  ]);
  return answer === 'yes';
}

/** Walks through the folders of the machine where the program runs. @param {string} title @param {string} start @returns {Promise<string | null>} */
export const chooseFolder = (title, start) => choose(title, start, null);

/** The same for a file of this kind. @param {string} title @param {string} start @param {RegExp} kind @returns {Promise<string | null>} */
export const chooseFile = (title, start, kind) => choose(title, start, kind);

/** @param {string} title @param {string} start @param {RegExp | null} kind @returns {Promise<string | null>} */
async function choose(title, start, kind) {
  const chosen = await open(title, (dialog) => {
    const path = h('p', { class: 'path', 'aria-live': 'polite' });
    const list = h('ul', { class: 'folders' });
    const take = h('button', { type: 'button', class: 'primary', hidden: kind !== null }, t('folder.choose'));
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
      const within = (/** @type {string} */ name) => (current ? `${current.replace(/[\\/]$/, '')}${separator}${name}` : name);
      const entry = (/** @type {string} */ label, /** @type {string} */ to, /** @type {'up' | 'folder'} */ sign) =>
        h('li', {}, h('button', { type: 'button', class: 'plain', onclick: () => show(to) }, icon(sign), label));
      list.replaceChildren(
        ...(found.parent === undefined ? [] : [entry(t('folder.up'), found.parent, 'up')]),
        ...found.folders.map((/** @type {string} */ name) => entry(name, within(name), 'folder')),
        ...found.files.filter((/** @type {string} */ name) => kind?.test(name)).map((/** @type {string} */ name) => h('li', {}, h('button', { type: 'button', class: 'plain', onclick: () => dialog.close(within(name)) }, icon('file'), name))),
      );
      list.scrollTop = 0;
    };
    show(start || null);
    return [path, list, h('div', { class: 'row end' },
      h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.cancel')), take)];
  }, 'wide');
  return chosen || null;
}

/** Looks for what keeps PCs from finding each other. */
export async function doctor() {
  await open(t('doctor.title'), (dialog) => {
    const found = h('ul', { class: 'checks', 'aria-live': 'polite' }, h('li', { class: 'note' }, t('doctor.running')));
    const show = async () => {
      try {
        const { data } = await get('doctor');
        found.replaceChildren(...data.checks.map((/** @type {any} */ check) => h('li', { data: { health: check.health } },
          h('b', {}, check.name), h('span', {}, check.found), check.advice ? h('small', {}, check.advice) : null)));
      } catch (error) {
        found.replaceChildren(h('li', { class: 'trouble' }, error instanceof Error ? error.message : String(error)));
      }
    };
    show();
    return [found, h('div', { class: 'row end' }, h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.close')))];
  }, 'wide');
}
