// What a game's page offers beside the next step.

import { bytes } from '../model/format.js';
import { isOutdated, nameOf } from '../model/game.js';
import { state } from '../model/state.js';
import { t } from '../model/words.js';
import { confirm, order } from './dialogs.js';
import { fetchGame, nextStep, play } from './steps.js';

/** @typedef {import('./steps.js').Step} Step */

/** Everything else that can be done with it now. @param {GameRow} game @returns {Step[]} */
export function otherSteps(game) {
  const id = game.game_id;
  const offered = state.actions;
  if (state.operation(id)) return [];
  /** @type {Step[]} */
  const steps = [];
  const add = (
    /** @type {string} */ key,
    /** @type {string} */ label,
    /** @type {() => Promise<unknown>} */ run,
  ) => steps.push({ key, label, run });
  if (!game.downloaded && game.peer_count > 0) {
    add('download', t('step.download'), () => fetchGame(game, false));
    if (!game.installed && offered.has('stream-install'))
      add('stream-install', t('step.stream'), () => order('stream-install', { game_id: id }));
  }
  if (isOutdated(game)) {
    if (game.installed && offered.has('play') && !state.running.has(id))
      add('play', t('step.play'), () => play(game));
    else if (game.downloaded && !game.installed)
      add('install', t('step.install-old'), () => order('install', { game_id: id }));
  }
  if (game.downloaded && offered.has('verify'))
    add('verify', t('step.verify'), () => order('verify', { game_id: id }));
  if (game.downloaded && offered.has('set-sharing'))
    add('sharing', game.private ? t('step.share') : t('step.private'), () =>
      order('sharing', { game_id: id, shared: Boolean(game.private) }),
    );
  if (game.downloaded || game.installed)
    add('open', t('step.open'), () => order('open-folder', { game_id: id }));
  if (game.installed) add('uninstall', t('step.uninstall'), () => uninstall(game));
  if (game.downloaded) add('remove', t('step.remove'), () => remove(game));
  const next = nextStep(game).key;
  return steps.filter((step) => step.key !== next);
}

/** @param {GameRow} game */
async function uninstall(game) {
  const sure = await confirm(
    t('uninstall.question', { game: nameOf(game) }),
    game.downloaded ? t('uninstall.text') : t('uninstall.text.only'),
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
