// Why a download is not faster, as far as this peer knows.

import { rate } from './format.js';
import { state } from './state.js';
import { t } from './words.js';

/** A limit counts as reached from this part of it on: rates are measured over two seconds. */
const REACHED = 0.85;

/** What holds a download back. @param {Swarm} swarm */
export function limitText(swarm) {
  const all = state.status?.swarms ?? [];
  const limit = state.status?.limits.download ?? null;
  const together = all.reduce((sum, one) => sum + one.bytes_per_second, 0);
  if (swarm.sources.length === 0) return t('slow.no-source');
  if (limit !== null && together >= REACHED * limit) return t('slow.own-limit', { limit: rate(limit) });
  return t('slow.sources');
}
