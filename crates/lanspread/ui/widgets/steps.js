// What a game's next step is: the one button.

import { post } from '../model/api.js';
import { nameOf, standing } from '../model/game.js';
import { state } from '../model/state.js';
import { language, t } from '../model/words.js';
import { order, toast } from './dialogs.js';

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

/** The one right thing to do now. @param {GameRow} game @returns {Step} */
export function nextStep(game) {
  const id = game.game_id;
  const operation = state.operation(id);
  if (operation) {
    const stoppable = operation.kind === 'Downloading' || /stream/i.test(operation.kind);
    return {
      key: 'cancel',
      // What was downloaded is kept; of a streamed install nothing is.
      label: operation.kind === 'Downloading' ? t('downloads.pause') : t('button.cancel'),
      run: stoppable ? () => order('cancel', { game_id: id }) : null,
    };
  }
  switch (standing(game)) {
    // Another start is possible when its program has ended.
    case 'running':
      return { key: 'running', label: t('state.running'), run: null };
    // What was only downloaded stays so.
    case 'update':
      return { key: 'update', label: t('step.update'), run: () => fetchGame(game, game.installed) };
    case 'installed':
      return state.actions.has('play')
        ? { key: 'play', label: t('step.play'), run: () => play(game) }
        : {
            key: 'open',
            label: t('step.open'),
            short: t('step.open.short'),
            run: () => order('open-folder', { game_id: id }),
          };
    case 'checking':
      return { key: 'install', label: t('step.install'), run: () => order('install', { game_id: id }) };
    case 'downloaded':
      return { key: 'install', label: t('step.install'), run: () => order('install', { game_id: id }) };
    case 'room':
      return { key: 'get', label: t('step.get'), run: () => fetchGame(game) };
    default:
      return { key: 'away', label: t('step.get'), run: null };
  }
}

/**
 * Fetches a game, or the version that takes the place of what is here.
 * @param {GameRow} game
 * @param {boolean} [install]
 */
export function fetchGame(game, install = true) {
  return orderWithWord('download', { game_id: game.game_id, install }, nameOf(game));
}

/** Starts a game; where nothing says how, its folder is shown instead. @param {GameRow} game */
export async function play(game) {
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

/**
 * Gives a command and, where the program asks first, asks the user and gives it again. Its answer, or null.
 * @param {string} path
 * @param {{game_id: string, [field: string]: any}} body
 * @param {string} name what people call the game
 */
async function orderWithWord(path, body, name) {
  try {
    return await post(path, body);
  } catch (error) {
    const question = /** @type {import('../model/api.js').Refused} */ (error).body?.question;
    if (!question) {
      toast(error instanceof Error ? error.message : String(error), 'bad');
      return null;
    }
    const { askOwner } = await import('./questions.js');
    const sure = await askOwner(name, question);
    if (!sure) return null;
    // What was asked about is what is confirmed: if it has changed meanwhile, this is asked anew.
    return orderWithWord(path, { ...body, confirm_content: question.confirm }, name);
  }
}
