// The words of the page. Each language has a catalogue, `i18n/LANGUAGE.json`; only the spoken one is loaded.

/**
 * Messages by id; a message that depends on a number has one id for each plural form, such as `files#one`.
 * @typedef {Record<string, string>} Catalogue
 */

/** Languages, each in its own words. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' };
/**
 * Where the browser keeps what was spoken last, so that the next page need not wait for the program to say
 * it.
 */
const SPOKEN = 'language';

/** Catalogues that were asked for. @type {Map<string, Promise<Catalogue>>} */
const asked = new Map();
/** @type {Catalogue} */
let catalogue = {};
/** What is spoken now. */
export let language = 'en';
let plurals = new Intl.PluralRules(language);

/** What the browser asks for, of what there is. */
function browserLanguage() {
  return (navigator.languages ?? []).map((tag) => tag.slice(0, 2)).find(isSpoken) ?? 'en';
}

/** @param {string | null | undefined} tag @returns {tag is keyof typeof LANGUAGES} */
function isSpoken(tag) {
  return Boolean(tag && Object.hasOwn(LANGUAGES, tag));
}

/** @param {string} which */
function load(which) {
  let answer = asked.get(which);
  if (!answer) {
    answer = fetch(`i18n/${which}.json`, { cache: 'no-cache' }).then((response) => response.json());
    // What failed is asked for again by the next one who needs it.
    answer.catch(() => asked.delete(which));
    asked.set(which, answer);
  }
  return answer;
}

const last = localStorage.getItem(SPOKEN);
load(isSpoken(last) ? last : browserLanguage());

/** @param {string | null | undefined} wanted */
export async function speak(wanted) {
  const next = isSpoken(wanted) ? wanted : browserLanguage();
  catalogue = await load(next);
  language = next;
  plurals = new Intl.PluralRules(next);
  localStorage.setItem(SPOKEN, next);
  document.documentElement.lang = next;
  for (const element of document.querySelectorAll('[data-text]')) {
    element.textContent = t(/** @type {HTMLElement} */ (element).dataset.text ?? '');
  }
}

/**
 * A message in the language that is spoken; `{name}` stands for a value.
 * @param {string} id
 * @param {Record<string, unknown>} [values]
 */
export function t(id, values = {}) {
  return (catalogue[id] ?? id).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/**
 * A message in the form that the language has for a number, which is `{n}` in it.
 * @param {string} id
 * @param {number} n
 * @param {Record<string, unknown>} [values]
 */
export function count(id, n, values = {}) {
  return t(`${id}#${plurals.select(n)}`, { n: n.toLocaleString(language), ...values });
}

/**
 * A message that the catalogue need not have: codes and texts come from the program, which may be newer.
 * @param {string} id
 * @param {string} otherwise
 * @param {Record<string, unknown>} [values]
 */
function optional(id, otherwise, values) {
  return Object.hasOwn(catalogue, id) ? t(id, values) : otherwise;
}

/** Why something was refused or failed. @param {{code: string, message?: string, reason?: string}} error */
export function why(error) {
  const message = error.message ?? error.reason ?? error.code;
  return optional(`error.${error.code}`, message, { ...error, message });
}

/** Why a peer was not let in: of this the program has no code, only English words. @param {string} message */
export function refusal(message) {
  return optional(`refusal.${message.toLowerCase().replace(/\W+/g, '-')}`, message);
}
