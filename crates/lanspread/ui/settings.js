// Settings, and help.

import { get, order, post } from './api.js';
import { chooseFile, chooseFolder, doctor, open, toast } from './dialogs.js';
import { h, s, say } from './dom.js';
import { bytes } from './format.js';
import { tellCatalog } from './organiser.js';
import { wrongPhrase } from './sentences.js';
import { state, within } from './state.js';
import { LANGUAGES, count, t } from './words.js';

const MEGA = 1_000_000;
/** How long a member of a party that was joined is waited for, in milliseconds. */
const GREETING_MS = 20_000;
/** What the keys do. */
const KEYS = [
  ['/', 'library.search'],
  ['← → ↑ ↓', 'settings.keys.move'],
  ['Enter', 'settings.keys.open'],
  ['Tab', 'settings.keys.button'],
  ['1 – 4', 'settings.keys.views'],
  ['Esc', 'settings.keys.back'],
];

/** `<settings-page>`. */
export class SettingsPage extends HTMLElement {
  #name = h('input', { name: 'name', maxlength: 40, required: true, autocomplete: 'off' });
  #language = h('select', { name: 'language' }, ...Object.entries(LANGUAGES).map(([key, name]) => h('option', { value: key }, name)));
  #folder = h('input', { name: 'games_dir', required: true, autocomplete: 'off', spellcheck: false });
  #disk = h('small', {});
  #quiet = h('input', { type: 'number', name: 'quiet', min: '0', step: 'any', placeholder: t('limit.none') });
  #about = h('dl', { class: 'factlist' });
  #friend = h('section', { class: 'card' });
  #party = h('div', { class: 'rules' });
  #catalog = h('div', { class: 'rules' });
  #wants = h('input', { type: 'checkbox', name: 'accept_wants' });
  #wrong = h('p', { class: 'trouble', role: 'alert' });

  connectedCallback() {
    const change = async (/** @type {object} */ settings, /** @type {string} */ done) => {
      if (await order('settings', settings)) toast(done, 'good');
    };
    const form = (/** @type {() => void} */ send, /** @type {any[]} */ ...content) =>
      h('form', { class: 'setting', onsubmit: (/** @type {SubmitEvent} */ event) => { event.preventDefault(); send(); } }, ...content);
    this.#language.addEventListener('change', () => change({ language: this.#language.value }, t('settings.saved')));
    const browse = async () => {
      const chosen = await chooseFolder(t('folder.question'), this.#folder.value);
      if (chosen) this.#folder.value = chosen;
    };
    this.#wants.addEventListener('change', async () => {
      if (!(await order('settings', { accept_wants: this.#wants.checked }))) this.#wants.checked = !this.#wants.checked;
    });
    this.append(...[h('h1', {}, t('settings.title')),
      h('section', { class: 'card' }, h('h2', {}, t('settings.you')),
        form(() => change({ name: this.#name.value }, t('settings.saved')), h('label', { class: 'field' }, t('name.own'), this.#name), h('button', { type: 'submit' }, t('button.save'))),
        h('div', { class: 'setting' }, h('label', { class: 'field' }, t('settings.language'), this.#language))),
      h('section', { class: 'card' }, h('h2', {}, t('library.games')),
        form(() => change({ games_dir: this.#folder.value }, t('settings.saved')), h('label', { class: 'field grow' }, t('folder.games'), this.#folder), h('button', { type: 'button', onclick: browse }, t('button.browse')), h('button', { type: 'submit' }, t('button.save')), this.#disk),
        h('p', {}, h('button', { type: 'button', onclick: addGame }, t('pack.open'))),
        form(() => change({ quiet_upload: Math.round(Number(this.#quiet.value || 0) * MEGA) }, t('settings.saved')),
          h('label', { class: 'field' }, t('settings.quiet'), this.#quiet), h('button', { type: 'submit' }, t('button.save')), h('small', {}, t('settings.quiet.note')))),
      h('section', { class: 'card', id: 'party' }, h('h2', {}, t('party.title')), this.#party, this.#catalog,
        h('label', { class: 'check' }, this.#wants, h('span', {}, t('settings.wants'), h('small', {}, t('settings.wants.note'))))),
      state.actions.has('invitation') ? this.#friend : null,
      h('section', { class: 'card' }, h('h2', {}, t('settings.help')),
        h('table', { class: 'keys' }, h('caption', {}, t('settings.keys')), h('tbody', {}, ...KEYS.map(([key, text]) => h('tr', {}, h('th', { scope: 'row' }, h('kbd', {}, key)), h('td', {}, t(text)))))),
        h('div', { class: 'row wrap' },
          h('button', { type: 'button', onclick: doctor }, t('doctor.title')),
          h('button', { type: 'button', onclick: licences }, t('settings.licences')),
          h('button', { type: 'button', class: 'danger', onclick: stop }, t('stop.action')))),
      h('section', { class: 'card' }, h('h2', {}, t('settings.about')), this.#about)].filter((part) => part !== null));
    this.#show(true);
    if (state.actions.has('invitation')) this.#showInvitation(get('invitation'));
  }

  /** The door where a guest gets this program. @param {Promise<any>} asked */
  async #showInvitation(asked) {
    let invitation;
    try {
      invitation = await asked;
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), 'bad');
      return;
    }
    const { address, picture, system, program, organiser } = invitation;
    const turn = h('button', { type: 'button', onclick: () => this.#showInvitation(post('invitation', { open: !address })) }, address ? t('invite.stop') : t('invite.start'));
    const code = picture && s('svg', { class: 'qr', viewBox: `-3 -3 ${picture.size + 6} ${picture.size + 6}`, role: 'img', 'aria-label': address }, s('rect', { x: -3, y: -3, width: picture.size + 6, height: picture.size + 6, fill: '#fff' }), s('path', { d: picture.path, fill: '#000', 'shape-rendering': 'crispEdges' }));
    this.#friend.replaceChildren(h('h2', {}, t('invite.start')),
      h('p', { class: 'note' }, t('invite.text', { system })),
      ...(address ? [h('div', { class: 'row wrap' }, code, h('p', { class: 'lead' }, h('b', {}, address), h('br'), t('invite.address'))),
        h('p', { class: 'note' }, t('invite.check')),
        h('dl', { class: 'hashes' }, h('dt', {}, 'BLAKE3'), h('dd', {}, h('code', {}, program.blake3)), h('dt', {}, 'SHA-256'), h('dd', {}, h('code', {}, program.sha256))),
        organiser ? h('p', {}, t('invite.organiser'), ' ', h('code', { class: 'fingerprint' }, organiser)) : null].filter((part) => part !== null) : []),
      h('p', {}, turn));
  }

  /** @param {import('./state.js').Changed} changed */
  update(changed) {
    if (changed.all || changed.settings || changed.status || changed.peers) this.#show(changed.all || changed.settings);
  }

  /** @param {boolean} fields */
  #show(fields) {
    const status = state.status;
    if (!status) return;
    if (fields) {
      this.#name.value = state.settings.name ?? status.name;
      this.#language.value = state.settings.language ?? document.documentElement.lang;
      this.#folder.value = state.settings.games_dir ?? status.games_dir;
      this.#quiet.value = state.settings.quiet_upload ? String(state.settings.quiet_upload / MEGA) : '';
      this.#wants.checked = Boolean(state.settings.accept_wants);
    }
    this.#showParty(status);
    this.#showCatalog(status.catalog);
    say(this.#disk, state.disk.free_bytes === null ? '' : t('space.free', { free: bytes(state.disk.free_bytes), total: bytes(state.disk.total_bytes ?? 0) }));
    /** @type {[string, string][]} */
    const facts = [
      [t('fact.address'), status.addr],
      [t('fact.identity'), status.peer_id.slice(0, 16)],
      [t('fact.program-version'), `${state.programVersion} (${t('fact.protocol', { n: status.protocol })})`],
      [t('fact.state-folder'), status.state_dir],
    ];
    this.#about.replaceChildren(...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
  }

  /** @param {Status} status */
  #showParty(status) {
    this.#wrong.hidden = !state.wrongPhrase;
    say(this.#wrong, state.wrongPhrase ? wrongPhrase() : '');
    if (this.#party.dataset.shown === (status.party ?? '')) return;
    this.#party.dataset.shown = status.party ?? '';
    const name = h('input', { name: 'party', required: true, maxlength: 64, autocomplete: 'off' });
    const phrase = h('input', { name: 'phrase', type: 'password', required: true, minlength: 8, autocomplete: 'new-password' });
    const refused = h('div', { class: 'trouble', role: 'alert' });
    const take = (/** @type {string} */ better) => {
      phrase.value = better;
      phrase.type = 'text';
      phrase.focus();
      refused.replaceChildren(h('p', { class: 'note' }, t('party.phrase.write-down')));
    };
    const join = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      refused.replaceChildren();
      try {
        await post('party', { name: name.value, phrase: phrase.value });
        greet(name.value.trim());
      } catch (error) {
        const { message, body } = /** @type {any} */ (error);
        const better = body?.suggestion?.pass_phrase;
        refused.replaceChildren(...(better
          ? [h('p', {}, t('party.phrase.weak')),
            h('p', { class: 'row wrap' }, t('party.phrase.suggestion'), h('code', {}, better), h('button', { type: 'button', onclick: () => take(better) }, t('party.phrase.take')))]
          : [message]));
      }
    };
    this.#party.replaceChildren(...(status.party
      ? [h('p', {}, t('party.closed', { party: status.party })), this.#wrong,
        h('p', {}, h('button', { type: 'button', onclick: () => order('party', {}) }, t('party.leave')))]
      : [h('p', { class: 'note' }, t('party.open')),
        h('form', { class: 'setting', onsubmit: join }, h('label', { class: 'field' }, t('party.name'), name), h('label', { class: 'field' }, t('party.phrase'), phrase), h('button', { type: 'submit' }, t('party.join'))), refused]));
  }

  /** @param {Catalog} catalog */
  #showCatalog(catalog) {
    const text = JSON.stringify(catalog);
    if (this.#catalog.dataset.shown === text) return;
    this.#catalog.dataset.shown = text;
    const games = count('games', catalog.game_count);
    const title = catalog.title ? `${catalog.title}: ` : '';
    const said = {
      Open: () => t('catalog.none'),
      Unsigned: () => `${title}${t('catalog.unsigned', { games })}`,
      Signed: () => `${title}${t('catalog.signed', { n: catalog.serial ?? 0, games })}`,
      Awaited: () => t('catalog.awaited.key'),
    }[catalog.mode]();
    const key = h('input', { name: 'catalog_key', required: true, autocomplete: 'off', spellcheck: false, 'aria-describedby': 'key-note' });
    const trust = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      if (await order('catalog', { key: key.value })) tellCatalog();
    };
    const file = async () => {
      const chosen = await chooseFile(t('catalog.file.question'), '', /\.toml$/i);
      if (chosen && (await order('catalog', { file: chosen }))) tellCatalog();
    };
    const forget = async () => {
      const { key: former } = catalog;
      // Who forgets an organiser does not want to be asked about it in the next moment.
      if ((await order('catalog', {})) && former) await order('decline-catalog', { key: former });
    };
    this.#catalog.replaceChildren(h('h3', {}, t('catalog.title')), h('p', { class: 'catalog' }, said, catalog.key ? [' ', h('code', {}, catalog.key)] : null),
      ...(catalog.fingerprint ? [h('p', {}, t('catalog.fingerprint'), ' ', h('code', { class: 'fingerprint' }, catalog.fingerprint))] : []),
      ...(catalog.key
        ? [h('p', {}, h('button', { type: 'button', onclick: forget }, t('catalog.forget')))]
        : [h('form', { class: 'setting', onsubmit: trust }, h('label', { class: 'field grow' }, t('catalog.key'), key),
          h('button', { type: 'submit' }, t('catalog.trust')), h('button', { type: 'button', onclick: file }, t('catalog.file')), h('small', { id: 'key-note' }, t('catalog.key.note')))]));
  }
}
customElements.define('settings-page', SettingsPage);

/** Says whether a party was entered: only another member's answer shows that the passphrase is right. @param {string} party */
async function greet(party) {
  const met = await within(GREETING_MS, () => state.status?.party === party && (state.peers.size > 0 || state.wrongPhrase));
  if (state.wrongPhrase) toast(wrongPhrase(), 'bad');
  else if (met) toast(t('party.joined', { party }), 'good');
  else toast(t('party.unheard', { party }));
}

/** Packs a folder into the library. */
export async function addGame() {
  await open(t('pack.title'), (dialog) => {
    const folder = h('input', { name: 'folder', required: true, autocomplete: 'off', spellcheck: false });
    const id = h('input', { name: 'id', required: true, pattern: '[A-Za-z0-9_.\\-]{1,64}', autocomplete: 'off', spellcheck: false });
    const today = new Date().toISOString().slice(0, 10);
    const date = h('input', { type: 'date', name: 'version', required: true, value: today });
    const title = h('input', { name: 'title', maxlength: 200, autocomplete: 'off' });
    const programs = h('datalist', { id: 'programs' });
    const start = h('input', { name: 'start', autocomplete: 'off', spellcheck: false, placeholder: t('pack.program.hint') });
    start.setAttribute('list', 'programs');
    const cover = h('input', { name: 'cover', autocomplete: 'off', spellcheck: false });
    const trouble = h('p', { class: 'trouble', role: 'alert' });
    const pack = h('button', { type: 'submit', class: 'primary' }, t('pack.add'));
    const browse = async () => {
      const chosen = await chooseFolder(t('pack.folder.question'), folder.value);
      if (!chosen) return;
      folder.value = chosen;
      if (!title.value) title.value = (chosen.split(/[\\/]/).filter(Boolean).pop() ?? '').slice(0, 200);
      suggest();
      if (!id.value) id.value = (chosen.split(/[\\/]/).filter(Boolean).pop() ?? '').toLowerCase().replace(/[^a-z0-9_.-]+/g, '-').replace(/^[-.]+|[-.]+$/g, '').slice(0, 64);
    };
    const suggest = async () => {
      const found = await get(`folders?path=${encodeURIComponent(folder.value)}`).catch(() => null);
      const names = (found?.files ?? []).filter((/** @type {string} */ name) => !/\.(webp|png|jpe?g|toml)$/i.test(name));
      programs.replaceChildren(...names.map((/** @type {string} */ value) => h('option', { value })));
    };
    const picture = async () => {
      const chosen = await chooseFile(t('pack.cover.question'), cover.value ? '' : folder.value, /\.(webp|png|jpe?g)$/i);
      if (chosen) cover.value = chosen;
    };
    const send = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      pack.disabled = true;
      pack.textContent = t('pack.running');
      try {
        await post('pack', { folder: folder.value, game_id: id.value, version: date.value.replaceAll('-', ''), title: title.value, cover: cover.value, start: start.value });
        dialog.close('done');
        toast(t('pack.done', { game: title.value || id.value }), 'good');
      } catch (error) {
        trouble.textContent = error instanceof Error ? error.message : String(error);
        pack.disabled = false;
        pack.textContent = t('pack.add');
      }
    };
    return [h('form', { onsubmit: send },
      h('p', {}, t('pack.text')),
      h('label', { class: 'field' }, t('pack.folder'), h('span', { class: 'row' }, folder, h('button', { type: 'button', onclick: browse }, t('button.browse')))),
      h('label', { class: 'field' }, t('pack.name'), title),
      h('label', { class: 'field' }, t('pack.id'), id),
      h('label', { class: 'field' }, t('pack.version'), date),
      h('label', { class: 'field' }, t('pack.program'), start, programs),
      h('label', { class: 'field' }, t('pack.cover'), h('span', { class: 'row' }, cover, h('button', { type: 'button', onclick: picture }, t('button.browse')))),
      trouble,
      h('div', { class: 'row end' }, h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.cancel')), pack))];
  }, 'wide');
}

async function licences() {
  const text = await fetch('licences.txt').then((answer) => answer.text()).catch(() => '');
  await open(t('settings.licences'), (dialog) => [h('pre', { tabindex: 0 }, text), h('div', { class: 'row end' }, h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.close')))], 'wide');
}

async function stop() {
  const answer = await open(t('stop.question'), (dialog) => [
    h('p', {}, t('stop.text')),
    h('div', { class: 'row end' }, h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('button.cancel')),
      h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, t('stop.yes')))]);
  if (answer === 'yes' && (await order('shutdown'))) state.stop();
}
