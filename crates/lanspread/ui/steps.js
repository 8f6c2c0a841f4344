// What a game's next step is: the one button, and what its page offers beside it.

import { order } from './api.js';
import { confirm, toast } from './dialogs.js';
import { bytes, percent } from './format.js';
import { state } from './state.js';
import { orderWithWord } from './trust.js';
import { count, language, t } from './words.js';

/** @typedef {{key: string, label: string, short?: string, run: (() => Promise<unknown>) | null}} Step */

/** How long a started game is not started again by another click, in milliseconds. */
const STARTING_MS = 5000;
/** Games that were started a moment ago. @type {Set<string>} */
const starting = new Set();
// A program that has ended may be started again at once.
state.addEventListener('news', (event) => {
  const { event: name, game_id: id } = /** @type {CustomEvent<LogEntry>} */ (event).detail.event;
  if (name === 'play-ended' && id) starting.delete(id);
});

/** Something newer than what is here can be had. @param {GameRow} game */
export function isOutdated(game) {
  const there = game.eti_game_version;
  const older = (/** @type {string | null | undefined} */ here) => Boolean(here && there && there > here);
  return game.peer_count > 0 && ((game.downloaded && older(game.local_version)) || (game.installed && older(game.installed_version ?? game.local_version)));
}

/** How a game stands. @param {GameRow} game */
export function standing(game) {
  if (state.operation(game.game_id)) return 'busy';
  if (isOutdated(game)) return 'update';
  if (game.installed) return 'installed';
  if (game.downloaded) return game.availability === 'LocalOnly' ? 'checking' : 'downloaded';
  return game.peer_count > 0 ? 'room' : 'away';
}

/** The same in words. @param {GameRow} game */
export function standingText(game) {
  const operation = state.operation(game.game_id);
  if (operation) {
    const { done_bytes: done, total_bytes: total } = operation.progress;
    const verb = OPERATIONS[operation.kind] ?? operation.kind;
    return total > 0 ? `${t(verb)} ${percent(done / total)}` : `${t(verb)} …`;
  }
  switch (standing(game)) {
    case 'update': return t('state.update');
    case 'installed': return t('state.installed');
    case 'checking': return t('state.checking');
    case 'downloaded': return t('state.downloaded');
    case 'room': return count('holders', game.peer_count);
    default: return t('holders.none');
  }
}

/** @type {Record<string, string>} */
export const OPERATIONS = {
  Downloading: 'doing.downloading',
  Installing: 'doing.installing',
  Uninstalling: 'doing.uninstalling',
  Removing: 'doing.removing',
  Starting: 'doing.starting',
  Updating: 'doing.updating',
  Verifying: 'state.checking',
  Repairing: 'doing.repairing',
  Streaming: 'doing.streaming',
};

/** The one right thing to do now. @param {GameRow} game @returns {Step} */
export function nextStep(game) {
  const id = game.game_id;
  const operation = state.operation(id);
  if (operation) {
    const stoppable = operation.kind === 'Downloading' || /stream/i.test(operation.kind);
    return { key: 'cancel', label: t('button.cancel'), run: stoppable ? () => order('cancel', { game_id: id }) : null };
  }
  switch (standing(game)) {
    // What was only downloaded stays so.
    case 'update': return { key: 'update', label: t('step.update'), run: () => fetchGame(game, game.installed) };
    case 'installed':
      return state.actions.has('play')
        ? { key: 'play', label: t('step.play'), run: () => play(game) }
        : { key: 'open', label: t('step.open'), short: t('step.open.short'), run: () => order('open-folder', { game_id: id }) };
    case 'checking': return { key: 'install', label: t('step.install'), run: () => order('install', { game_id: id }) };
    case 'downloaded': return { key: 'install', label: t('step.install'), run: () => order('install', { game_id: id }) };
    case 'room': return { key: 'get', label: t('step.get'), run: () => fetchGame(game) };
    default: return { key: 'away', label: t('step.get'), run: null };
  }
}

/** Everything else that can be done with it now. @param {GameRow} game @returns {Step[]} */
export function otherSteps(game) {
  const id = game.game_id;
  const offered = state.actions;
  if (state.operation(id)) return [];
  /** @type {Step[]} */
  const steps = [];
  const add = (/** @type {string} */ key, /** @type {string} */ label, /** @type {() => Promise<unknown>} */ run) => steps.push({ key, label, run });
  if (!game.downloaded && game.peer_count > 0) {
    add('download', t('step.download'), () => fetchGame(game, false));
    if (!game.installed && offered.has('stream-install')) add('stream-install', t('step.stream'), () => order('stream-install', { game_id: id }));
  }
  if (isOutdated(game)) {
    if (game.installed && offered.has('play')) add('play', t('step.play'), () => play(game));
    else if (game.downloaded && !game.installed) add('install', t('step.install-old'), () => order('install', { game_id: id }));
  }
  if (game.downloaded && offered.has('verify')) add('verify', t('step.verify'), () => order('verify', { game_id: id }));
  if (game.downloaded || game.installed) add('open', t('step.open'), () => order('open-folder', { game_id: id }));
  if (game.installed) add('uninstall', t('step.uninstall'), () => uninstall(game));
  if (game.downloaded) add('remove', t('step.remove'), () => remove(game));
  const next = nextStep(game).key;
  return steps.filter((step) => step.key !== next);
}

/** Fetches a game, or the version that takes the place of what is here. @param {GameRow} game @param {boolean} [install] */
function fetchGame(game, install = true) {
  return orderWithWord('download', { game_id: game.game_id, install }, nameOf(game));
}

/** Starts a game; where nothing says how, its folder is shown instead. @param {GameRow} game */
async function play(game) {
  const id = game.game_id;
  // A game takes a while to show; who clicks again meanwhile does not want a second copy.
  if (starting.has(id)) return;
  starting.add(id);
  const answer = await orderWithWord('play', { game_id: id, launch: true, language }, nameOf(game));
  const launched = Boolean(answer?.data.launched);
  if (launched) setTimeout(() => starting.delete(id), STARTING_MS);
  else starting.delete(id);
  if (launched) toast(t('play.starting', { game: nameOf(game) }), 'good');
  if (!answer || launched) return;
  toast(t('play.no-program'));
  await order('open-folder', { game_id: id });
}

/** @param {GameRow} game */
async function uninstall(game) {
  const sure = await confirm(
    t('uninstall.question', { game: nameOf(game) }),
    t('uninstall.text'),
    t('step.uninstall'),
  );
  return sure && order('uninstall', { game_id: game.game_id });
}

/** @param {GameRow} game */
async function remove(game) {
  const text = game.installed
    ? t('remove.text.installed', { size: bytes(game.size) })
    : t('remove.text', { size: bytes(game.size) });
  const sure = await confirm(t('remove.question', { game: nameOf(game) }), text, t('remove.yes'));
  return sure && order('remove', { game_id: game.game_id });
}

/** @param {GameRow} game */
export function nameOf(game) {
  return game.title || game.game_id;
}
