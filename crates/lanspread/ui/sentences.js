// Events in plain words. What is not known here is passed over.

import { bytes, duration, rate } from './format.js';
import { state } from './state.js';
import { count, t, why } from './words.js';

/** @param {{[field: string]: any}} event */
function totals(event) {
  const seconds = event.duration_ms / 1000;
  if (!event.bytes) return t('Everything was here already.');
  return t('{size} in {time}, {rate}, from {sources}.', {
    size: bytes(event.bytes),
    time: duration(seconds),
    rate: rate(event.bytes / Math.max(seconds, 0.001)),
    sources: event.sources?.map((/** @type {{name: string}} */ source) => source.name).join(', ') || '–',
  });
}

/** @type {Record<string, string>} */
const REPAIRS = { 'started': 'What is broken is fetched again.', 'no-source': 'Nobody here has it to repair from.' };

/** @param {{[field: string]: any}} event */
function verified(event) {
  if (!event.broken_count) return t('Checked: every file is as it should be.');
  return `${count(event.broken_count, 'Checked: {n} part is broken.', 'Checked: {n} parts are broken.')} ${t(REPAIRS[event.repair] ?? '')}`;
}

/** @type {Record<string, (event: any) => string>} */
const SENTENCES = {
  'got-game-files': (e) => t('{files}, {size}: the list of what to fetch is here.', { files: count(e.file_count, '{n} file', '{n} files'), size: bytes(e.total_bytes) }),
  'download-begin': (e) => (e.reused_bytes ? t('Fetching begins; {reused} of {total} are the same as in the old version.', { reused: bytes(e.reused_bytes), total: bytes(e.total_bytes) }) : e.had_bytes ? t('Fetching goes on; {had} of {total} were here already.', { had: bytes(e.had_bytes), total: bytes(e.total_bytes) }) : t('Fetching begins.')),
  'download-finished': (e) => `${t('Fetched and verified.')} ${totals(e)}`,
  'download-failed': (e) => t('Fetching failed: {why}', { why: why(e) }),
  'download-cancelled': () => t('Stopped. What is verified is kept.'),
  'download-peers-gone': () => t('Everybody who has it is gone; waiting for somebody to come back.'),
  'source-rejected': (e) => t('{name} sent what does not verify, and is not asked again.', { name: e.name }),
  'user-files-kept': (e) => count(e.kept, '{n} file of yours stays.', '{n} files of yours stay.') + (e.beside?.length ? ` ${t('New beside yours: {files}', { files: e.beside.join(', ') })}` : ''),
  'verify-begin': () => t('The files are being checked.'),
  'verify-finished': verified,
  'verify-failed': (e) => t('Checking failed: {why}', { why: why(e) }),
  'install-begin': () => t('Installing begins.'),
  'install-finished': () => t('Installed.'),
  'install-failed': (e) => (e.unpacked_bytes ? t('Not installed: the archives unpack to at least {size}, far more than they are.', { size: bytes(e.unpacked_bytes) })
    : t('Installing failed: {why}', { why: why(e) }) + (e.missing_bytes ? ` ${t('{size} are missing.', { size: bytes(e.missing_bytes) })}` : '')),
  'uninstall-finished': () => t('Uninstalled.'),
  'uninstall-failed': (e) => t('Uninstalling failed: {why}', { why: why(e) }),
  'remove-finished': () => t('The download is removed.'),
  'remove-failed': (e) => t('Removing failed: {why}', { why: why(e) }),
  'library-unreadable': (e) => t('The library cannot be read and stays as it was: {why}', { why: why(e) }),
  'index-failed': (e) => t('The files cannot be read: {why}', { why: why(e) }),
  'play-ended': () => t('Its program has ended.'),
  'fetch-wanted': (e) => t('{name} asks everybody to fetch it.', { name: e.name }) + (e.accepted ? ` ${t('Fetching begins.')}` : ''),
  'catalog-offered': (e) => t('{name} goes by the catalogue of the organiser {fingerprint}.', { name: e.name, fingerprint: e.fingerprint }),
  'catalog-changed': (e) => t('The organiser’s catalogue is new: edition {n}, {games}.', { n: e.serial, games: count(e.game_count, '{n} game', '{n} games') }),
  'peer-connected': (e) => t('{name} is here.', { name: e.name }),
  'peer-lost': (e) => t('{name} is gone.', { name: e.name }),
  'peer-incompatible': (e) => t('{addr} speaks protocol {theirs}, this peer speaks {ours}: use the same version of lanspread on both.', { addr: e.addr, theirs: e.their_protocol, ours: e.our_protocol }),
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
