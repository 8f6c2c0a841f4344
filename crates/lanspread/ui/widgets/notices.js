// Notices of the system when a download is done, for those who want them and look elsewhere.

/** Where the browser keeps the choice. */
const KEPT = 'notices';

/** A browser has them only for pages of this machine, or with encryption. */
const canNotify = 'Notification' in window;

/** They were asked for, and the browser lets them through. */
export function wantsNotices() {
  return canNotify && Notification.permission === 'granted' && localStorage.getItem(KEPT) === 'on';
}

/** Returns whether they are on now: the browser asks its user. @param {boolean} on */
export async function chooseNotices(on) {
  localStorage.setItem(KEPT, on ? 'on' : 'off');
  if (on && canNotify && Notification.permission !== 'granted') await Notification.requestPermission();
  return wantsNotices();
}

/**
 * Tells somebody who does not look at the page.
 * @param {string} text
 * @param {string} game
 */
export function notify(text, game) {
  if (!wantsNotices() || (!document.hidden && document.hasFocus())) return;
  try {
    // One for each game: the latest takes the place of those before.
    const notice = new Notification('lanspread', { body: text, tag: game });
    notice.addEventListener('click', () => {
      window.focus();
      location.hash = `#/game/${encodeURIComponent(game)}`;
    });
  } catch {
    // Browsers of phones know the word, and throw.
  }
}
