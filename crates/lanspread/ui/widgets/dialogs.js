// What comes to the front: questions, and words that pass; and commands whose refusal is told.

import { post } from '../model/api.js';
import { t } from '../model/words.js';
import { h } from './dom.js';

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
    h(
      'div',
      { class: 'row end' },
      h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('button.keep')),
      h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, yes),
    ),
  ]);
  return answer === 'yes';
}

/**
 * A command whose refusal is told to the user. True if it was taken.
 * @param {string} path
 * @param {object} [body]
 */
export async function order(path, body) {
  try {
    await post(path, body);
    return true;
  } catch (error) {
    toast(error instanceof Error ? error.message : String(error), 'bad');
    return false;
  }
}
