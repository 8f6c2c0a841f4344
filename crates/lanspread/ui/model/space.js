// What a download or an install needs on the disk: the same figures by which the program refuses it.

import { bytes } from './format.js';
import { state } from './state.js';
import { t } from './words.js';

/**
 * What is written, in bytes.
 * @typedef {{download?: number, unpacked?: number}} Need
 */

/** What must stay free. @param {Need} need */
function reserve({ download, unpacked }) {
  const { reserve_bytes, unpack_reserve_bytes } = state.disk;
  return Math.max(download ? reserve_bytes : 0, unpacked ? unpack_reserve_bytes : 0);
}

/** What it consists of. @param {Need} need */
export function spaceNeeded(need) {
  const parts = [
    need.download && t('space.download', { size: bytes(need.download) }),
    // How much archives unpack to is in them; it is hardly ever less than their own size.
    need.unpacked && t('space.unpacked', { size: bytes(need.unpacked) }),
    t('space.reserve', { size: bytes(reserve(need)) }),
  ];
  return parts.filter(Boolean).join(' + ');
}

/** What is free, and what would be left or is missing. @param {Need} need */
export function spaceLeft(need) {
  const free = state.disk.free_bytes;
  if (free === null) return '–';
  const written = (need.download ?? 0) + (need.unpacked ?? 0);
  const missing = written + reserve(need) - free;
  return missing > 0
    ? t('space.missing', { free: bytes(free), n: bytes(missing) })
    : t('space.left', { free: bytes(free), left: bytes(free - written) });
}

/**
 * What the next step of a game needs; null if it needs nothing.
 * @param {GameRow} game
 * @param {number} [update] size of the version that takes the place of what is here
 * @returns {Need | null}
 */
export function needOf(game, update) {
  const done = state.unfinished.find((one) => one.game_id === game.game_id)?.done_bytes ?? 0;
  if (update) return { download: Math.max(0, update - done), unpacked: game.installed ? update : 0 };
  if (!game.size || game.installed) return null;
  if (game.downloaded) return { unpacked: game.size };
  return { download: Math.max(0, game.size - done), unpacked: game.size };
}
