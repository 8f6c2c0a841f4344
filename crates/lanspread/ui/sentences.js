// Events in plain words. What is not known here is passed over.

import { bytes, duration, rate } from './format.js';
import { state } from './state.js';
import { count, t, why } from './words.js';

/** @param {{[field: string]: any}} event */
function totals(event) {
  const seconds = event.duration_ms / 1000;
  if (!event.bytes) return t('Everything was already here.');
  return t('{size} in {time} ({rate}) from {sources}.', {
    size: bytes(event.bytes),
    time: duration(seconds),
    rate: rate(event.bytes / Math.max(seconds, 0.001)),
    sources: event.sources?.map((/** @type {{name: string}} */ source) => source.name).join(', ') || '–',
  });
}

/** @type {Record<string, string>} */
const REPAIRS = { 'started': 'Repair started.', 'no-source': 'Nobody here has a copy to repair it from.' };

/** @param {{[field: string]: any}} event */
function verified(event) {
  if (!event.broken_count) return t('All files are intact.');
  return `${count(event.broken_count, '{n} part is damaged.', '{n} parts are damaged.')} ${t(REPAIRS[event.repair] ?? '')}`;
}

/** @type {Record<string, (event: any) => string>} */
const SENTENCES = {
  'got-game-files': (e) => t('File list received: {files}, {size}.', { files: count(e.file_count, '{n} file', '{n} files'), size: bytes(e.total_bytes) }),
  'download-begin': (e) => (e.reused_bytes ? t('Download started; {reused} of {total} reused from the old version.', { reused: bytes(e.reused_bytes), total: bytes(e.total_bytes) }) : e.had_bytes ? t('Download resumed; {had} of {total} were already here.', { had: bytes(e.had_bytes), total: bytes(e.total_bytes) }) : t('Download started.')),
  'download-finished': (e) => `${t('Downloaded and verified.')} ${totals(e)}`,
  'download-failed': (e) => t('Download failed: {why}', { why: why(e) }),
  'download-cancelled': () => t('Paused. Progress is kept.'),
  'download-peers-gone': () => t('No sources left; waiting for one to come back.'),
  'source-rejected': (e) => t('{name} sent corrupt data and was dropped.', { name: e.name }),
  'user-files-kept': (e) => count(e.kept, 'Kept {n} file of your own.', 'Kept {n} files of your own.') + (e.beside?.length ? ` ${t('The new versions are next to yours: {files}', { files: e.beside.join(', ') })}` : ''),
  'verify-begin': () => t('Checking the files.'),
  'verify-finished': verified,
  'verify-failed': (e) => t('Check failed: {why}', { why: why(e) }),
  'install-begin': () => t('Installation started.'),
  'install-finished': () => t('Installed.'),
  'install-failed': (e) => (e.unpacked_bytes ? t('Not installed: the archives unpack to at least {size}, far more than their size.', { size: bytes(e.unpacked_bytes) })
    : e.missing_bytes ? t('Installation failed: the disk is full. Free another {size}.', { size: bytes(e.missing_bytes) }) : t('Installation failed: {why}', { why: why(e) })),
  'uninstall-finished': () => t('Uninstalled.'),
  'uninstall-failed': (e) => t('Uninstall failed: {why}', { why: why(e) }),
  'remove-finished': () => t('Download removed.'),
  'remove-failed': (e) => t('Removal failed: {why}', { why: why(e) }),
  'library-unreadable': (e) => t('Cannot read the library; showing the last known state: {why}', { why: why(e) }),
  'index-failed': (e) => t('Cannot read the files: {why}', { why: why(e) }),
  'play-ended': () => t('Game closed.'),
  'fetch-wanted': (e) => t('{name} asks everyone to download it.', { name: e.name }) + (e.accepted ? ` ${t('Download started.')}` : ''),
  'catalog-offered': (e) => t('{name} uses the catalogue of organiser {fingerprint}.', { name: e.name, fingerprint: e.fingerprint }),
  'catalog-changed': (e) => t('New catalogue from the organiser: edition {n}, {games}.', { n: e.serial, games: count(e.game_count, '{n} game', '{n} games') }),
  'peer-connected': (e) => t('{name} joined.', { name: e.name }),
  'peer-lost': (e) => t('{name} left.', { name: e.name }),
  'peer-incompatible': (e) => t('{addr} runs an incompatible version of lanspread (protocol {theirs}, yours is {ours}). Use the same version on both.', { addr: e.addr, theirs: e.their_protocol, ours: e.our_protocol }),
};

/** @param {{event: string, [field: string]: any}} event */
export function sentence(event) {
  return SENTENCES[event.event]?.(event) ?? '';
}

/** What is worth a passing word, and how it feels. @param {{event: string, [field: string]: any}} event @returns {[string, '' | 'good' | 'bad'] | null} */
export function passing(event) {
  const game = event.game_id ? (state.games.get(event.game_id)?.title ?? event.game_id) : '';
  const text = sentence(event);
  if (!text) return null;
  // What goes on at once has its word at the end.
  if (event.event === 'download-finished' && state.operation(event.game_id ?? '')) return null;
  if (event.event === 'verify-finished') return [`${game}: ${text}`, event.broken_count ? 'bad' : 'good'];
  if (event.event === 'fetch-wanted') return [`${game}: ${text}`, ''];
  if (event.event === 'catalog-changed') return [text, 'good'];
  if (event.event.endsWith('-failed')) return [`${game}: ${text}`, 'bad'];
  if (event.event === 'peer-incompatible' || event.event === 'source-rejected') return [game ? `${game}: ${text}` : text, 'bad'];
  if (['download-finished', 'install-finished', 'uninstall-finished', 'remove-finished', 'download-cancelled'].includes(event.event)) return [`${game}: ${text}`, event.event === 'download-cancelled' ? '' : 'good'];
  return null;
}

/** What to say where state.wrongPhrase holds. */
export function wrongPhrase() {
  return t('The passphrase of {party} is most likely wrong: others of that name have another one. Leave the party and join it again.', { party: state.status?.party ?? '' });
}
