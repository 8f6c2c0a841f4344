// Adding a game: packs a folder into the library.

import { get, post } from '../model/api.js';
import { t } from '../model/words.js';
import { open, toast } from '../widgets/dialogs.js';
import { h } from '../widgets/dom.js';
import { chooseFile, chooseFolder } from '../widgets/folders.js';

/** Packs a folder into the library. */
export async function addGame() {
  await open(
    t('pack.title'),
    (dialog) => {
      const folder = h('input', { name: 'folder', required: true, autocomplete: 'off', spellcheck: false });
      const id = h('input', {
        name: 'id',
        required: true,
        pattern: '[A-Za-z0-9_.\\-]{1,64}',
        autocomplete: 'off',
        spellcheck: false,
      });
      const today = new Date().toISOString().slice(0, 10);
      const date = h('input', { type: 'date', name: 'version', required: true, value: today });
      const title = h('input', { name: 'title', maxlength: 200, autocomplete: 'off' });
      const programs = h('datalist', { id: 'programs' });
      const start = h('input', {
        name: 'start',
        autocomplete: 'off',
        spellcheck: false,
        placeholder: t('pack.program.hint'),
      });
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
        if (!id.value)
          id.value = (chosen.split(/[\\/]/).filter(Boolean).pop() ?? '')
            .toLowerCase()
            .replace(/[^a-z0-9_.-]+/g, '-')
            .replace(/^[-.]+|[-.]+$/g, '')
            .slice(0, 64);
      };
      const suggest = async () => {
        const found = await get(`folders?path=${encodeURIComponent(folder.value)}`).catch(() => null);
        const names = (found?.files ?? []).filter(
          (/** @type {string} */ name) => !/\.(webp|png|jpe?g|toml)$/i.test(name),
        );
        programs.replaceChildren(...names.map((/** @type {string} */ value) => h('option', { value })));
      };
      const picture = async () => {
        const chosen = await chooseFile(
          t('pack.cover.question'),
          cover.value ? '' : folder.value,
          /\.(webp|png|jpe?g)$/i,
        );
        if (chosen) cover.value = chosen;
      };
      const send = async (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        pack.disabled = true;
        pack.textContent = t('pack.running');
        try {
          await post('pack', {
            folder: folder.value,
            game_id: id.value,
            version: date.value.replaceAll('-', ''),
            title: title.value,
            cover: cover.value,
            start: start.value,
          });
          dialog.close('done');
          toast(t('pack.done', { game: title.value || id.value }), 'good');
        } catch (error) {
          trouble.textContent = error instanceof Error ? error.message : String(error);
          pack.disabled = false;
          pack.textContent = t('pack.add');
        }
      };
      return [
        h(
          'form',
          { onsubmit: send },
          h('p', {}, t('pack.text')),
          h(
            'label',
            { class: 'field' },
            t('pack.folder'),
            h(
              'span',
              { class: 'row' },
              folder,
              h('button', { type: 'button', onclick: browse }, t('button.browse')),
            ),
          ),
          h('label', { class: 'field' }, t('pack.name'), title),
          h('label', { class: 'field' }, t('pack.id'), id),
          h('label', { class: 'field' }, t('pack.version'), date),
          h('label', { class: 'field' }, t('pack.program'), start, programs),
          h(
            'label',
            { class: 'field' },
            t('pack.cover'),
            h(
              'span',
              { class: 'row' },
              cover,
              h('button', { type: 'button', onclick: picture }, t('button.browse')),
            ),
          ),
          trouble,
          h(
            'div',
            { class: 'row end' },
            h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.cancel')),
            pack,
          ),
        ),
      ];
    },
    'wide',
  );
}
