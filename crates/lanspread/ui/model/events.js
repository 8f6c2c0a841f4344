// Events in plain words. What is not known here is passed over.

import { bytes, duration, rate } from './format.js';
import { state } from './state.js';
import { count, t, why } from './words.js';

/** @param {{[field: string]: any}} event */
function totals(event) {
  const seconds = event.duration_ms / 1000;
  if (!event.bytes) return t('event.download.nothing');
  return t('event.download.totals', {
    size: bytes(event.bytes),
    time: duration(seconds),
    rate: rate(event.bytes / Math.max(seconds, 0.001)),
    sources: event.sources?.map((/** @type {{name: string}} */ source) => source.name).join(', ') || '–',
  });
}

/** @type {Record<string, string>} */
const REPAIRS = { started: 'event.repair.started', 'no-source': 'event.repair.no-source' };

/** @param {{[field: string]: any}} event */
function verified(event) {
  if (!event.broken_count) return t('event.verify.intact');
  const repair = event.repair in REPAIRS ? t(REPAIRS[event.repair]) : '';
  return `${count('event.verify.damaged', event.broken_count)} ${repair}`;
}

/** @type {Record<string, (event: any) => string>} */
const SENTENCES = {
  'got-game-files': (e) =>
    t('event.files', { files: count('files', e.file_count), size: bytes(e.total_bytes) }),
  'download-begin': (e) =>
    e.reused_bytes
      ? t('event.download.reused', { reused: bytes(e.reused_bytes), total: bytes(e.total_bytes) })
      : e.had_bytes
        ? t('event.download.resumed', { had: bytes(e.had_bytes), total: bytes(e.total_bytes) })
        : t('event.download.started'),
  'download-finished': (e) => `${t('event.download.finished')} ${totals(e)}`,
  'download-failed': (e) =>
    e.missing_bytes
      ? t('event.download.full', { size: bytes(e.missing_bytes) })
      : t('event.download.failed', { why: why(e) }),
  'download-cancelled': (e) => t(e.streamed ? 'event.stream.cancelled' : 'event.download.paused'),
  'download-peers-gone': () => t('event.download.waiting'),
  'source-rejected': (e) => t('event.source-rejected', { name: e.name }),
  'user-files-kept': (e) =>
    count('event.kept', e.kept) +
    (e.beside?.length ? ` ${t('event.kept.beside', { files: e.beside.join(', ') })}` : ''),
  'verify-begin': () => t('event.verify.started'),
  'verify-finished': verified,
  'verify-failed': (e) => t('event.verify.failed', { why: why(e) }),
  'install-begin': () => t('event.install.started'),
  'install-finished': () => t('event.install.finished'),
  'install-failed': (e) =>
    e.unpacked_bytes
      ? t('event.install.large', { size: bytes(e.unpacked_bytes) })
      : e.missing_bytes
        ? t('event.install.full', { size: bytes(e.missing_bytes) })
        : t('event.install.failed', { why: why(e) }),
  'uninstall-finished': () => t('event.uninstall.finished'),
  'uninstall-failed': (e) => t('event.uninstall.failed', { why: why(e) }),
  'remove-finished': () => t('event.remove.finished'),
  'remove-failed': (e) => t('event.remove.failed', { why: why(e) }),
  'library-unreadable': (e) => t('event.library-unreadable', { why: why(e) }),
  'index-failed': (e) => t('event.index-failed', { why: why(e) }),
  'play-ended': () => t('event.play-ended'),
  'fetch-wanted': (e) =>
    t('event.wanted', { name: e.name }) + (e.accepted ? ` ${t('event.download.started')}` : ''),
  'catalog-offered': (e) => t('event.catalog.offered', { name: e.name, fingerprint: e.fingerprint }),
  'catalog-changed': (e) => t('event.catalog.changed', { n: e.serial, games: count('games', e.game_count) }),
  'peer-connected': (e) => t('event.peer.joined', { name: e.name }),
  'peer-lost': (e) => t('event.peer.left', { name: e.name }),
  'peer-incompatible': (e) =>
    t('event.peer.incompatible', { addr: e.addr, theirs: e.their_protocol, ours: e.our_protocol }),
};

/** @param {{event: string, [field: string]: any}} event */
export function sentence(event) {
  return SENTENCES[event.event]?.(event) ?? '';
}

/**
 * What is worth a passing word, and how it feels.
 * @param {{event: string, [field: string]: any}} event
 * @returns {[string, '' | 'good' | 'bad'] | null}
 */
export function passing(event) {
  const game = event.game_id ? (state.games.get(event.game_id)?.title ?? event.game_id) : '';
  const text = sentence(event);
  if (!text) return null;
  // What goes on at once has its word at the end.
  if (event.event === 'download-finished' && state.operation(event.game_id ?? '')) return null;
  if (event.event === 'verify-finished') return [`${game}: ${text}`, event.broken_count ? 'bad' : 'good'];
  // A request that is not granted by itself has a banner.
  if (event.event === 'fetch-wanted') return event.accepted ? [`${game}: ${text}`, ''] : null;
  if (event.event === 'catalog-changed') return [text, 'good'];
  if (event.event.endsWith('-failed')) return [`${game}: ${text}`, 'bad'];
  if (event.event === 'peer-incompatible' || event.event === 'source-rejected')
    return [game ? `${game}: ${text}` : text, 'bad'];
  if (
    [
      'download-finished',
      'install-finished',
      'uninstall-finished',
      'remove-finished',
      'download-cancelled',
    ].includes(event.event)
  )
    return [`${game}: ${text}`, event.event === 'download-cancelled' ? '' : 'good'];
  return null;
}

/** Whether a download or an install is over. @param {{event: string}} event */
export function isEnd({ event }) {
  return /^(download|install)-(finished|failed)$/.test(event);
}

/** What to say where state.wrongPhrase holds. */
export function wrongPhrase() {
  return t('party.wrong-phrase', { party: state.status?.party ?? '' });
}
