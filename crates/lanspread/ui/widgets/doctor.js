// Looks for what keeps PCs from finding each other.

import { get } from '../model/api.js';
import { t } from '../model/words.js';
import { open } from './dialogs.js';
import { h } from './dom.js';

/** Looks for what keeps PCs from finding each other. */
export async function doctor() {
  await open(
    t('doctor.title'),
    (dialog) => {
      const found = h(
        'ul',
        { class: 'checks', 'aria-live': 'polite' },
        h('li', { class: 'note' }, t('doctor.running')),
      );
      const show = async () => {
        try {
          const { data } = await get('doctor');
          found.replaceChildren(
            ...data.checks.map((/** @type {any} */ check) =>
              h(
                'li',
                { data: { health: check.health } },
                h('b', {}, check.name),
                h('span', {}, check.found),
                check.advice ? h('small', {}, check.advice) : null,
              ),
            ),
          );
        } catch (error) {
          found.replaceChildren(
            h('li', { class: 'trouble' }, error instanceof Error ? error.message : String(error)),
          );
        }
      };
      show();
      return [
        found,
        h(
          'div',
          { class: 'row end' },
          h('button', { type: 'button', onclick: () => dialog.close('') }, t('button.close')),
        ),
      ];
    },
    'wide',
  );
}
