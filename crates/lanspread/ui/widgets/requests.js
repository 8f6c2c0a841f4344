// What others ask everyone to download: one banner each, until it is answered.

import { nameOf } from '../model/game.js';
import { answerRequests } from '../model/requests.js';
import { state } from '../model/state.js';
import { t } from '../model/words.js';
import { h } from './dom.js';
import { fetchGame } from './steps.js';

/** Banners at a time, so that the page stays usable; the others follow. */
const BANNERS_MAX = 3;

/**
 * @param {HTMLElement} place
 * @param {import('../model/requests.js').GameRequest[]} requests
 */
export function showRequests(place, requests) {
  place.hidden = requests.length === 0;
  const rows = requests.slice(0, BANNERS_MAX).flatMap((request) => {
    const game = state.games.get(request.game_id);
    return game ? [{ request, game }] : [];
  });
  const text = JSON.stringify([
    document.documentElement.lang,
    rows.map((row) => [row.request, nameOf(row.game)]),
  ]);
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  place.setAttribute('aria-label', t('request.title'));
  place.replaceChildren(
    ...rows.map(({ request, game }) =>
      h(
        'div',
        { class: 'banner', data: { game: request.game_id } },
        h(
          'a',
          { class: 'grow', dir: 'auto', href: `#/game/${encodeURIComponent(request.game_id)}` },
          t('request.wanted', { name: request.name, game: nameOf(game) }),
        ),
        // Gone as soon as the download has begun; who says no to a question is still asked.
        h('button', { type: 'button', class: 'primary', onclick: () => fetchGame(game) }, t('request.yes')),
        h(
          'button',
          {
            type: 'button',
            onclick: () => {
              answerRequests([request]);
              showRequests(
                place,
                requests.filter((one) => one !== request),
              );
              document.getElementById('main')?.focus({ preventScroll: true });
            },
          },
          t('button.not-now'),
        ),
      ),
    ),
  );
}
