// What a game is called, how it stands here, and who stands behind it.

import { percent } from './format.js';
import { state } from './state.js';
import { count, t } from './words.js';

/** @param {GameRow} game */
export function nameOf(game) {
  return game.title || game.game_id;
}

/** Something newer than what is here can be had. @param {GameRow} game */
export function isOutdated(game) {
  const there = game.eti_game_version;
  const older = (/** @type {string | null | undefined} */ here) => Boolean(here && there && there > here);
  return (
    game.peer_count > 0 &&
    ((game.downloaded && older(game.local_version)) ||
      (game.installed && older(game.installed_version ?? game.local_version)))
  );
}

/** How a game stands. @param {GameRow} game */
export function standing(game) {
  if (state.operation(game.game_id)) return 'busy';
  if (state.running.has(game.game_id)) return 'running';
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
    case 'running':
      return t('state.running');
    case 'update':
      return t('state.update');
    case 'installed':
      return t('state.installed');
    case 'checking':
      return t('state.checking');
    case 'downloaded':
      return t('state.downloaded');
    case 'room':
      return count('holders', game.peer_count);
    default:
      return t('holders.none');
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

/**
 * Who stands behind what can be had, or what is here. Empty where there is nothing to say.
 * @param {GameRow} game
 */
export function supportText(game) {
  if (game.support === 'pinned') return t('support.pinned');
  if (game.support === 'single' && game.supplier)
    return t('support.single', { name: game.supplier.name, key: game.supplier.key });
  if (game.support === 'agreed' && game.confirmed_by > 1) return count('support.agreed', game.confirmed_by);
  return '';
}
