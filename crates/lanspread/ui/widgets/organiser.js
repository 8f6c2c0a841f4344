// Asks once whether the party's organiser is to be trusted.

import { state, within } from '../model/state.js';
import { count, t } from '../model/words.js';
import { open, order, toast } from './dialogs.js';
import { h } from './dom.js';

/** How long the title of an organiser's catalogue is waited for, in milliseconds. */
const TITLE_MS = 2000;
/** How long a catalogue that is trusted is waited for before that is said, in milliseconds. */
const CATALOG_MS = 8000;

/** Keys that were asked about since the page was opened. @type {Set<string>} */
const asked = new Set();
/** Keys whose title is waited for. @type {Set<string>} */
const waiting = new Set();

/** From whom an organiser is known. @param {OfferedCatalog} offered */
function source(offered) {
  if (offered.invited) return t('organiser.invited');
  const [name] = offered.peers;
  if (!name) return '';
  return offered.peer_count === 1
    ? t('organiser.used-by', { name })
    : count('organiser.used-by-others', offered.peer_count - 1, { name });
}

/** Says whether the catalogue that was chosen counts already, or must be brought by the room first. */
export async function tellCatalog() {
  if (await within(CATALOG_MS, () => state.status?.catalog.mode === 'Signed'))
    toast(t('catalog.used'), 'good');
  else toast(`${t('catalog.awaited')} ${t('catalog.awaited.text')}`);
}

/** Asks about an organiser that nobody was asked about yet, unless something else is in front. */
export async function askOrganiser() {
  const offered = state.status?.catalog_offered?.find((one) => !asked.has(one.key));
  if (!offered || document.querySelector('dialog[open]')) return;
  if (offered.serial === null && !waiting.has(offered.key)) {
    waiting.add(offered.key);
    setTimeout(askOrganiser, TITLE_MS);
    return;
  }
  asked.add(offered.key);
  const games = offered.game_count === null ? '' : count('games', offered.game_count);
  const answer = await open(
    t('organiser.title'),
    (dialog) => {
      // It comes up by itself: a key that was meant for something else changes nothing.
      const button = (/** @type {string} */ value, /** @type {string} */ text, kind = '') =>
        h(
          'button',
          { type: 'button', class: kind, autofocus: value === '', onclick: () => dialog.close(value) },
          text,
        );
      return [
        h(
          'p',
          { class: 'organiser' },
          offered.title ? h('b', {}, offered.title) : null,
          games ? h('span', {}, games) : null,
          h('code', { class: 'fingerprint' }, offered.fingerprint),
        ),
        h('p', {}, source(offered)),
        h('p', {}, t('organiser.text')),
        h(
          'div',
          { class: 'row end wrap' },
          button('decline', t('organiser.decline')),
          button('', t('button.not-now')),
          button('trust', t('organiser.trust'), 'primary'),
        ),
      ];
    },
    'wide',
  );
  if (answer === 'trust') {
    if (await order('trust-catalog', { key: offered.key })) tellCatalog();
    else asked.delete(offered.key);
  } else if (answer === 'decline') {
    await order('decline-catalog', { key: offered.key });
  }
}
