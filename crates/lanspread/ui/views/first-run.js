// The first screen: where the games are, and a name. Nothing else.

import { Refused, post } from '../model/api.js';
import { state } from '../model/state.js';
import { t } from '../model/words.js';
import { h } from '../widgets/dom.js';
import { chooseFolder } from '../widgets/folders.js';

/** `<first-run>`. */
export class FirstRun extends HTMLElement {
  connectedCallback() {
    const folder = h('input', {
      name: 'games_dir',
      required: true,
      value: state.suggestion?.games_dir ?? '',
      autocomplete: 'off',
      spellcheck: false,
    });
    const name = h('input', {
      name: 'name',
      maxlength: 40,
      value: state.suggestion?.name ?? '',
      placeholder: t('first-run.name.hint'),
      autocomplete: 'off',
    });
    const trouble = h('p', { class: 'trouble', role: 'alert' });
    const start = h('button', { type: 'submit', class: 'primary large' }, t('first-run.start'));
    const browse = async () => {
      const chosen = await chooseFolder(t('folder.question'), folder.value);
      if (chosen) folder.value = chosen;
    };
    const send = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      start.disabled = true;
      trouble.textContent = '';
      try {
        const chosen = name.value.trim();
        await post('setup', chosen ? { games_dir: folder.value, name: chosen } : { games_dir: folder.value });
      } catch (error) {
        trouble.textContent = error instanceof Refused ? error.message : String(error);
        start.disabled = false;
      }
    };
    this.append(
      h(
        'form',
        { class: 'welcome', onsubmit: send },
        h('img', { src: 'icon.svg', alt: '', width: 72, height: 72 }),
        h('h1', { tabindex: -1 }, t('first-run.title')),
        h('p', { class: 'lead' }, t('first-run.text')),
        h(
          'label',
          { class: 'field' },
          t('folder.games'),
          h(
            'span',
            { class: 'row' },
            folder,
            h('button', { type: 'button', onclick: browse }, t('button.browse')),
          ),
          h('small', {}, t('first-run.folder.note')),
        ),
        h('label', { class: 'field' }, t('name.own'), name),
        trouble,
        start,
      ),
    );
    folder.focus();
  }

  update() {}
}
customElements.define('first-run', FirstRun);
