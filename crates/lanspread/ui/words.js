// The words of the page. English stands in the code; another language is a table from the English text to its own.

/** @type {Record<string, string>} */
let table = {};
/** What is spoken now. */
export let language = 'en';

/** Languages, each in its own words. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' };

/** What the browser asks for, of what there is. */
export function browserLanguage() {
  return (navigator.languages ?? []).map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES) ?? 'en';
}

/** @param {string | null | undefined} wanted */
export async function speak(wanted) {
  const next = wanted && wanted in LANGUAGES ? wanted : browserLanguage();
  table = next === 'de' ? (await import('./german.js')).GERMAN : {};
  language = next;
  document.documentElement.lang = next;
}

/**
 * A text in the language that is spoken; `{name}` stands for a value.
 * @param {string} text
 * @param {Record<string, string | number>} [values]
 */
export function t(text, values = {}) {
  return (table[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/** One or many. @param {number} n @param {string} one @param {string} many */
export function count(n, one, many) {
  return t(n === 1 ? one : many, { n: n.toLocaleString(language) });
}

/** Why it was refused or failed, in the reader's words if there are any. @param {{code: string, message?: string, reason?: string}} error */
export function why(error) {
  return table[`code:${error.code}`] ?? error.message ?? error.reason ?? error.code;
}
