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
  ['/', 'Search'],
  ['← → ↑ ↓', 'Move between games'],
  ['Enter', 'Open the game'],
  ['Tab', 'Go to the game’s button'],
  ['1 – 4', 'Library, room, downloads, settings'],
  ['Esc', 'Back'],
];

/** `<settings-page>`. */
export class SettingsPage extends HTMLElement {
  #name = h('input', { name: 'name', maxlength: 40, required: true, autocomplete: 'off' });
  #language = h('select', { name: 'language' }, ...Object.entries(LANGUAGES).map(([key, name]) => h('option', { value: key }, name)));
  #folder = h('input', { name: 'games_dir', required: true, autocomplete: 'off', spellcheck: false });
  #disk = h('small', {});
  #quiet = h('input', { type: 'number', name: 'quiet', min: '0', step: 'any', placeholder: t('unlimited') });
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
    this.#language.addEventListener('change', () => change({ language: this.#language.value }, t('Saved.')));
    const browse = async () => {
      const chosen = await chooseFolder(t('Where are your games?'), this.#folder.value);
      if (chosen) this.#folder.value = chosen;
    };
    this.#wants.addEventListener('change', async () => {
      if (!(await order('settings', { accept_wants: this.#wants.checked }))) this.#wants.checked = !this.#wants.checked;
    });
    this.append(...[h('h1', {}, t('Settings')),
      h('section', { class: 'card' }, h('h2', {}, t('You')),
        form(() => change({ name: this.#name.value }, t('Saved.')), h('label', { class: 'field' }, t('Your name in the room'), this.#name), h('button', { type: 'submit' }, t('Save'))),
        h('div', { class: 'setting' }, h('label', { class: 'field' }, t('Language'), this.#language))),
      h('section', { class: 'card' }, h('h2', {}, t('Games')),
        form(() => change({ games_dir: this.#folder.value }, t('Saved.')), h('label', { class: 'field grow' }, t('Games folder'), this.#folder), h('button', { type: 'button', onclick: browse }, t('Browse')), h('button', { type: 'submit' }, t('Save')), this.#disk),
        h('p', {}, h('button', { type: 'button', onclick: addGame }, t('Add a game …'))),
        form(() => change({ quiet_upload: Math.round(Number(this.#quiet.value || 0) * MEGA) }, t('Saved.')),
          h('label', { class: 'field' }, t('Upload limit while you play (MB/s)'), this.#quiet), h('button', { type: 'submit' }, t('Save')), h('small', {}, t('Applies while a game started here is running; you can end it early under Downloads.')))),
      h('section', { class: 'card', id: 'party' }, h('h2', {}, t('Party')), this.#party, this.#catalog,
        h('label', { class: 'check' }, this.#wants, h('span', {}, t('Download requested games automatically'), h('small', {}, t('Puts tonight’s game on this PC when someone asks everyone to download it. Only games in the catalogue.'))))),
      state.actions.has('invitation') ? this.#friend : null,
      h('section', { class: 'card' }, h('h2', {}, t('Help')),
        h('table', { class: 'keys' }, h('caption', {}, t('Keyboard shortcuts')), h('tbody', {}, ...KEYS.map(([key, text]) => h('tr', {}, h('th', { scope: 'row' }, h('kbd', {}, key)), h('td', {}, t(text)))))),
        h('div', { class: 'row wrap' },
          h('button', { type: 'button', onclick: doctor }, t('Why is the room empty?')),
          h('button', { type: 'button', onclick: licences }, t('Licences')),
          h('button', { type: 'button', class: 'danger', onclick: stop }, t('Stop lanspread')))),
      h('section', { class: 'card' }, h('h2', {}, t('About this PC')), this.#about)].filter((part) => part !== null));
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
    const turn = h('button', { type: 'button', onclick: () => this.#showInvitation(post('invitation', { open: !address })) }, address ? t('Stop inviting') : t('Invite a friend'));
    const code = picture && s('svg', { class: 'qr', viewBox: `-3 -3 ${picture.size + 6} ${picture.size + 6}`, role: 'img', 'aria-label': address }, s('rect', { x: -3, y: -3, width: picture.size + 6, height: picture.size + 6, fill: '#fff' }), s('path', { d: picture.path, fill: '#000', 'shape-rendering': 'crispEdges' }));
    this.#friend.replaceChildren(h('h2', {}, t('Invite a friend')),
      h('p', { class: 'note' }, t('Lets guests download this program ({system}) and join the room. Until you stop, anyone on the network can download the program, and nothing else.', { system })),
      ...(address ? [h('div', { class: 'row wrap' }, code, h('p', { class: 'lead' }, h('b', {}, address), h('br'), t('Your guest opens this address or scans the code.'))),
        h('p', { class: 'note' }, t('Before starting the program, the guest should check it with b3sum or sha256sum. The result must match the digits on this screen; the guest’s page could be forged.')),
        h('dl', { class: 'hashes' }, h('dt', {}, 'BLAKE3'), h('dd', {}, h('code', {}, program.blake3)), h('dt', {}, 'SHA-256'), h('dd', {}, h('code', {}, program.sha256))),
        organiser ? h('p', {}, t('The program asks each guest once whether to trust your organiser:'), ' ', h('code', { class: 'fingerprint' }, organiser)) : null].filter((part) => part !== null) : []),
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
    say(this.#disk, state.disk.free_bytes === null ? '' : t('{free} free of {total}', { free: bytes(state.disk.free_bytes), total: bytes(state.disk.total_bytes ?? 0) }));
    /** @type {[string, string][]} */
    const facts = [
      [t('Address'), status.addr],
      [t('Identity'), status.peer_id.slice(0, 16)],
      [t('Version'), `${state.programVersion} (${t('protocol {n}', { n: status.protocol })})`],
      [t('State folder'), status.state_dir],
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
      refused.replaceChildren(h('p', { class: 'note' }, t('Write it down: every guest needs it.')));
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
          ? [h('p', {}, t('This passphrase is easy to guess. Avoid common words, the party’s name and sequences such as 1234.')),
            h('p', { class: 'row wrap' }, t('Suggestion:'), h('code', {}, better), h('button', { type: 'button', onclick: () => take(better) }, t('Use this one')))]
          : [message]));
      }
    };
    this.#party.replaceChildren(...(status.party
      ? [h('p', {}, t('You are in the closed party {party}. It is visible only with the passphrase.', { party: status.party })), this.#wrong,
        h('p', {}, h('button', { type: 'button', onclick: () => order('party', {}) }, t('Leave the party')))]
      : [h('p', { class: 'note' }, t('Anyone on the network can join. For a closed party, everyone enters the same name and passphrase here.')),
        h('form', { class: 'setting', onsubmit: join }, h('label', { class: 'field' }, t('Party name'), name), h('label', { class: 'field' }, t('Passphrase'), phrase), h('button', { type: 'submit' }, t('Join'))), refused]));
  }

  /** @param {Catalog} catalog */
  #showCatalog(catalog) {
    const text = JSON.stringify(catalog);
    if (this.#catalog.dataset.shown === text) return;
    this.#catalog.dataset.shown = text;
    const games = count(catalog.game_count, '{n} game', '{n} games');
    const title = catalog.title ? `${catalog.title}: ` : '';
    const said = {
      Open: () => t('None: all valid games are shown.'),
      Unsigned: () => `${title}${t('Unsigned file from the command line: {games}.', { games })}`,
      Signed: () => `${title}${t('Edition {n}, {games}, signed. Organiser’s key:', { n: catalog.serial ?? 0, games })}`,
      Awaited: () => t('Waiting for the catalogue; games are hidden until then. Organiser’s key:'),
    }[catalog.mode]();
    const key = h('input', { name: 'catalog_key', required: true, autocomplete: 'off', spellcheck: false, 'aria-describedby': 'key-note' });
    const trust = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      if (await order('catalog', { key: key.value })) tellCatalog();
    };
    const file = async () => {
      const chosen = await chooseFile(t('Which catalogue?'), '', /\.toml$/i);
      if (chosen && (await order('catalog', { file: chosen }))) tellCatalog();
    };
    const forget = async () => {
      const { key: former } = catalog;
      // Who forgets an organiser does not want to be asked about it in the next moment.
      if ((await order('catalog', {})) && former) await order('decline-catalog', { key: former });
    };
    this.#catalog.replaceChildren(h('h3', {}, t('Catalogue')), h('p', { class: 'catalog' }, said, catalog.key ? [' ', h('code', {}, catalog.key)] : null),
      ...(catalog.fingerprint ? [h('p', {}, t('To read out and compare:'), ' ', h('code', { class: 'fingerprint' }, catalog.fingerprint))] : []),
      ...(catalog.key
        ? [h('p', {}, h('button', { type: 'button', onclick: forget }, t('Stop using this catalogue')))]
        : [h('form', { class: 'setting', onsubmit: trust }, h('label', { class: 'field grow' }, t('Organiser’s key'), key),
          h('button', { type: 'submit' }, t('Trust')), h('button', { type: 'button', onclick: file }, t('From a file …')), h('small', { id: 'key-note' }, t('Ask the organiser; the list of games then arrives automatically.')))]));
  }
}
customElements.define('settings-page', SettingsPage);

/** Says whether a party was entered: only another member's answer shows that the passphrase is right. @param {string} party */
async function greet(party) {
  const met = await within(GREETING_MS, () => state.status?.party === party && (state.peers.size > 0 || state.wrongPhrase));
  if (state.wrongPhrase) toast(wrongPhrase(), 'bad');
  else if (met) toast(t('You joined {party}.', { party }), 'good');
  else toast(t('Nobody of {party} has been heard yet, so nobody has confirmed the passphrase.', { party }));
}

/** Packs a folder into the library. */
export async function addGame() {
  await open(t('Add a game'), (dialog) => {
    const folder = h('input', { name: 'folder', required: true, autocomplete: 'off', spellcheck: false });
    const id = h('input', { name: 'id', required: true, pattern: '[A-Za-z0-9_.\\-]{1,64}', autocomplete: 'off', spellcheck: false });
    const today = new Date().toISOString().slice(0, 10);
    const date = h('input', { type: 'date', name: 'version', required: true, value: today });
    const title = h('input', { name: 'title', maxlength: 200, autocomplete: 'off' });
    const programs = h('datalist', { id: 'programs' });
    const start = h('input', { name: 'start', autocomplete: 'off', spellcheck: false, placeholder: 'game.exe' });
    start.setAttribute('list', 'programs');
    const cover = h('input', { name: 'cover', autocomplete: 'off', spellcheck: false });
    const trouble = h('p', { class: 'trouble', role: 'alert' });
    const pack = h('button', { type: 'submit', class: 'primary' }, t('Add'));
    const browse = async () => {
      const chosen = await chooseFolder(t('Which folder is the game in?'), folder.value);
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
      const chosen = await chooseFile(t('Which picture?'), cover.value ? '' : folder.value, /\.(webp|png|jpe?g)$/i);
      if (chosen) cover.value = chosen;
    };
    const send = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      pack.disabled = true;
      pack.textContent = t('Packing …');
      try {
        await post('pack', { folder: folder.value, game_id: id.value, version: date.value.replaceAll('-', ''), title: title.value, cover: cover.value, start: start.value });
        dialog.close('done');
        toast(t('{game} is now in the library.', { game: title.value || id.value }), 'good');
      } catch (error) {
        trouble.textContent = error instanceof Error ? error.message : String(error);
        pack.disabled = false;
        pack.textContent = t('Add');
      }
    };
    return [h('form', { onsubmit: send },
      h('p', {}, t('Packs an installed game so that everyone in the room can download it. The original folder is not changed.')),
      h('label', { class: 'field' }, t('Game folder'), h('span', { class: 'row' }, folder, h('button', { type: 'button', onclick: browse }, t('Browse')))),
      h('label', { class: 'field' }, t('Title'), title),
      h('label', { class: 'field' }, t('ID (letters, digits, - and _)'), id),
      h('label', { class: 'field' }, t('Version date'), date),
      h('label', { class: 'field' }, t('Program to launch (optional)'), start, programs),
      h('label', { class: 'field' }, t('Cover picture (optional)'), h('span', { class: 'row' }, cover, h('button', { type: 'button', onclick: picture }, t('Browse')))),
      trouble,
      h('div', { class: 'row end' }, h('button', { type: 'button', onclick: () => dialog.close('') }, t('Cancel')), pack))];
  }, 'wide');
}

async function licences() {
  const text = await fetch('licences.txt').then((answer) => answer.text()).catch(() => '');
  await open(t('Licences'), (dialog) => [h('pre', { tabindex: 0 }, text), h('div', { class: 'row end' }, h('button', { type: 'button', onclick: () => dialog.close('') }, t('Close')))], 'wide');
}

async function stop() {
  const answer = await open(t('Stop lanspread?'), (dialog) => [
    h('p', {}, t('Downloads pause and keep their progress. Others cannot download from you until you start lanspread again.')),
    h('div', { class: 'row end' }, h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('Cancel')),
      h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, t('Stop')))]);
  if (answer === 'yes' && (await order('shutdown'))) state.stop();
}
