// The colours: as the system has them, or as they were chosen in this browser.

/** Where the browser keeps the choice. */
const KEPT = 'theme';
/** @type {Record<string, string>} */
export const THEMES = { auto: 'theme.auto', dark: 'theme.dark', light: 'theme.light' };

/** What was chosen. */
export function theme() {
  const kept = localStorage.getItem(KEPT);
  return kept && Object.hasOwn(THEMES, kept) ? kept : 'auto';
}

/** @param {string} which */
export function chooseTheme(which) {
  localStorage.setItem(KEPT, which);
  apply();
}

function apply() {
  document.documentElement.dataset.theme = theme();
}

apply();
