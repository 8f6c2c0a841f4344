// What others asked everyone to download, until it is answered here. It outlives the page, not the browser.

import { standing } from './game.js';
import { state } from './state.js';

/** @typedef {{game_id: string, peer_id: string, name: string, at_ms: number}} GameRequest */

/** Where the browser keeps requests and answers. */
const KEPT = 'requests';
/** Requests that are kept; the oldest go first. */
const REQUESTS_MAX = 8;
/** Requests of one peer, so that nobody pushes out all others. */
const REQUESTS_PER_PEER_MAX = 2;
const ANSWERS_MAX = 100;
/** An evening later nobody waits for an answer. */
const AGE_MAX_MS = 24 * 3600 * 1000;

/** @type {{waiting: GameRequest[], answered: [string, number][]}} */
const kept = { waiting: [], answered: [], ...JSON.parse(localStorage.getItem(KEPT) ?? '{}') };

function keep() {
  localStorage.setItem(KEPT, JSON.stringify(kept));
}

/** Notes an entry of the log, if it is a request that is open. @param {LogEntry} entry */
export function noteRequest({ at_ms, event }) {
  const { game_id, peer_id, name } = event;
  if (event.event !== 'fetch-wanted' || event.accepted || !game_id) return;
  const known = (/** @type {string} */ id) =>
    kept.answered.find(([answered]) => answered === id)?.[1] ??
    kept.waiting.find((one) => one.game_id === id)?.at_ms ??
    0;
  if (at_ms <= known(game_id)) return;
  const others = kept.waiting.filter((one) => one.game_id !== game_id);
  const same = others.filter((one) => one.peer_id === peer_id).slice(1 - REQUESTS_PER_PEER_MAX);
  kept.waiting = [
    ...others.filter((one) => one.peer_id !== peer_id || same.includes(one)),
    { game_id, peer_id, name, at_ms },
  ].slice(-REQUESTS_MAX);
  keep();
}

/** Does not ask about these requests again. @param {GameRequest[]} requests */
export function answerRequests(requests) {
  if (!requests.length) return;
  const ids = requests.map((one) => one.game_id);
  kept.waiting = kept.waiting.filter((one) => !ids.includes(one.game_id));
  kept.answered = [
    ...kept.answered.filter(([id]) => !ids.includes(id)),
    ...requests.map(({ game_id, at_ms }) => /** @type {[string, number]} */ ([game_id, at_ms])),
  ].slice(-ANSWERS_MAX);
  keep();
}

/** The requests that can be granted now, the latest first. */
export function openRequests() {
  const stands = kept.waiting.map((one) => {
    const game = state.games.get(one.game_id);
    return { one, stand: game ? standing(game) : 'away' };
  });
  const past = (/** @type {GameRequest} */ one) => Date.now() - one.at_ms > AGE_MAX_MS;
  // What is here or on its way is answered, whoever began it.
  answerRequests(
    stands
      .filter(({ one, stand }) => past(one) || !['room', 'update', 'away'].includes(stand))
      .map(({ one }) => one),
  );
  return stands
    .filter(({ one, stand }) => !past(one) && (stand === 'room' || stand === 'update'))
    .map(({ one }) => one)
    .reverse();
}
