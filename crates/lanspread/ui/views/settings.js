// Settings, and help.

import { bytes } from '../model/format.js';
import { state } from '../model/state.js';
import { THEMES, chooseTheme, theme } from '../model/theme.js';
import { LANGUAGES, t } from '../model/words.js';
import { open, order, toast } from '../widgets/dialogs.js';
import { doctor } from '../widgets/doctor.js';
import { h, say } from '../widgets/dom.js';
import { chooseFolder } from '../widgets/folders.js';
import { keyTable } from '../widgets/keys.js';
import { showLog } from '../widgets/log.js';
import { chooseNotices, wantsNotices } from '../widgets/notices.js';
import { invitation } from './invitation.js';
import { addGame } from './pack.js';
import { partySettings } from './party.js';

const MEGA = 1_000_000;
/** `<settings-page>`. */
export class SettingsPage extends HTMLElement {
  #name = h('input', { name: 'name', maxlength: 40, required: true, autocomplete: 'off' });
  #language = h(
    'select',
    { name: 'language' },
    ...Object.entries(LANGUAGES).map(([key, name]) => h('option', { value: key }, name)),
  );
  #theme = h(
    'select',
    { name: 'theme' },
    ...Object.entries(THEMES).map(([key, name]) =>
      h('option', { value: key, selected: key === theme() }, t(name)),
    ),
  );
  #notices = h('input', { type: 'checkbox', name: 'notices', checked: wantsNotices() });
  #folder = h('input', { name: 'games_dir', required: true, autocomplete: 'off', spellcheck: false });
  #disk = h('small', {});
  #quiet = h('input', { type: 'number', name: 'quiet', min: '0', step: 'any', placeholder: t('limit.none') });
  #about = h('dl', { class: 'factlist' });
  #party = partySettings();
  #wants = h('input', { type: 'checkbox', name: 'accept_wants' });

  connectedCallback() {
    const change = async (/** @type {object} */ settings, /** @type {string} */ done) => {
      if (await order('settings', settings)) toast(done, 'good');
    };
    const form = (/** @type {() => void} */ send, /** @type {any[]} */ ...content) =>
      h(
        'form',
        {
          class: 'setting',
          onsubmit: (/** @type {SubmitEvent} */ event) => {
            event.preventDefault();
            send();
          },
        },
        ...content,
      );
    this.#language.addEventListener('change', () =>
      change({ language: this.#language.value }, t('settings.saved')),
    );
    this.#theme.addEventListener('change', () => chooseTheme(this.#theme.value));
    this.#notices.addEventListener('change', async () => {
      const wanted = this.#notices.checked;
      this.#notices.checked = await chooseNotices(wanted);
      if (wanted && !this.#notices.checked) toast(t('settings.notices.blocked'), 'bad');
    });
    const browse = async () => {
      const chosen = await chooseFolder(t('folder.question'), this.#folder.value);
      if (chosen) this.#folder.value = chosen;
    };
    this.#wants.addEventListener('change', async () => {
      if (!(await order('settings', { accept_wants: this.#wants.checked })))
        this.#wants.checked = !this.#wants.checked;
    });
    this.append(
      ...[
        h('h1', {}, t('settings.title')),
        h(
          'section',
          { class: 'card' },
          h('h2', {}, t('settings.you')),
          form(
            () => change({ name: this.#name.value }, t('settings.saved')),
            h('label', { class: 'field' }, t('name.own'), this.#name),
            h('button', { type: 'submit' }, t('button.save')),
          ),
          h(
            'div',
            { class: 'setting' },
            h('label', { class: 'field' }, t('settings.language'), this.#language),
            h('label', { class: 'field' }, t('settings.theme'), this.#theme),
          ),
          h(
            'label',
            { class: 'check' },
            this.#notices,
            h('span', {}, t('settings.notices'), h('small', {}, t('settings.notices.note'))),
          ),
        ),
        h(
          'section',
          { class: 'card' },
          h('h2', {}, t('library.games')),
          form(
            () => change({ games_dir: this.#folder.value }, t('settings.saved')),
            h('label', { class: 'field grow' }, t('folder.games'), this.#folder),
            h('button', { type: 'button', onclick: browse }, t('button.browse')),
            h('button', { type: 'submit' }, t('button.save')),
            this.#disk,
          ),
          h('p', {}, h('button', { type: 'button', onclick: addGame }, t('pack.open'))),
          form(
            () =>
              change(
                { quiet_upload: Math.round(Number(this.#quiet.value || 0) * MEGA) },
                t('settings.saved'),
              ),
            h('label', { class: 'field' }, t('settings.quiet'), this.#quiet),
            h('button', { type: 'submit' }, t('button.save')),
            h('small', {}, t('settings.quiet.note')),
          ),
        ),
        h(
          'section',
          { class: 'card', id: 'party' },
          h('h2', {}, t('party.title')),
          ...this.#party.parts,
          h(
            'label',
            { class: 'check' },
            this.#wants,
            h('span', {}, t('settings.wants'), h('small', {}, t('settings.wants.note'))),
          ),
        ),
        state.actions.has('invitation') ? invitation() : null,
        h(
          'section',
          { class: 'card' },
          h('h2', {}, t('settings.help')),
          keyTable(),
          h(
            'div',
            { class: 'row wrap' },
            h('button', { type: 'button', onclick: doctor }, t('doctor.title')),
            h('button', { type: 'button', onclick: showLog }, t('log.title')),
            h('button', { type: 'button', onclick: licences }, t('settings.licences')),
            h('button', { type: 'button', class: 'danger', onclick: stop }, t('stop.action')),
          ),
        ),
        h('section', { class: 'card' }, h('h2', {}, t('settings.about')), this.#about),
      ].filter((part) => part !== null),
    );
    this.#show(true);
  }

  /** @param {import('../model/state.js').Changed} changed */
  update(changed) {
    if (changed.all || changed.settings || changed.status || changed.peers)
      this.#show(changed.all || changed.settings);
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
    this.#party.show(status);
    say(
      this.#disk,
      state.disk.free_bytes === null
        ? ''
        : t('space.free', { free: bytes(state.disk.free_bytes), total: bytes(state.disk.total_bytes ?? 0) }),
    );
    /** @type {[string, string][]} */
    const facts = [
      [t('fact.address'), status.addr],
      [t('fact.identity'), status.peer_id.slice(0, 16)],
      [t('fact.program-version'), `${state.programVersion} (${t('fact.protocol', { n: status.protocol })})`],
      [t('fact.state-folder'), status.state_dir],
    ];
    this.#about.replaceChildren(
      ...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    );
  }
}
customElements.define('settings-page', SettingsPage);

async function licences() {
  const text = await fetch('licences.txt')
    .then((answer) => answer.text())
    .catch(() => '');
  await open(
    t('settings.licences'),
    (dialog) => [
      h('pre', { tabindex: 0 }, text),
      h(
        'div',
        { class: 'row end' },
        h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.close')),
      ),
    ],
    'wide',
  );
}

async function stop() {
  const answer = await open(t('stop.question'), (dialog) => [
    h('p', {}, t('stop.text')),
    h(
      'div',
      { class: 'row end' },
      h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('button.cancel')),
      h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, t('stop.yes')),
    ),
  ]);
  if (answer === 'yes' && (await order('shutdown'))) state.stop();
}
