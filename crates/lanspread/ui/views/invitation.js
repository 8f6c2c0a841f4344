// Inviting a friend: the door where a guest gets this program.

import { get, post } from '../model/api.js';
import { t } from '../model/words.js';
import { toast } from '../widgets/dialogs.js';
import { h, s } from '../widgets/dom.js';

/** The card of the settings. */
export function invitation() {
  const section = h('section', { class: 'card' });
  const show = async (/** @type {Promise<any>} */ asked) => {
    let door;
    try {
      door = await asked;
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), 'bad');
      return;
    }
    const { address, picture, system, program, organiser } = door;
    const turn = h(
      'button',
      { type: 'button', onclick: () => show(post('invitation', { open: !address })) },
      address ? t('invite.stop') : t('invite.start'),
    );
    const code =
      picture &&
      s(
        'svg',
        {
          class: 'qr',
          viewBox: `-3 -3 ${picture.size + 6} ${picture.size + 6}`,
          role: 'img',
          'aria-label': address,
        },
        s('rect', { x: -3, y: -3, width: picture.size + 6, height: picture.size + 6, fill: '#fff' }),
        s('path', { d: picture.path, fill: '#000', 'shape-rendering': 'crispEdges' }),
      );
    section.replaceChildren(
      h('h2', {}, t('invite.start')),
      h('p', { class: 'note' }, t('invite.text', { system })),
      ...(address
        ? [
            h(
              'div',
              { class: 'row wrap' },
              code,
              h('p', { class: 'lead' }, h('b', {}, address), h('br'), t('invite.address')),
            ),
            h('p', { class: 'note' }, t('invite.check')),
            h(
              'dl',
              { class: 'hashes' },
              h('dt', {}, 'BLAKE3'),
              h('dd', {}, h('code', {}, program.blake3)),
              h('dt', {}, 'SHA-256'),
              h('dd', {}, h('code', {}, program.sha256)),
            ),
            organiser
              ? h('p', {}, t('invite.organiser'), ' ', h('code', { class: 'fingerprint' }, organiser))
              : null,
          ].filter((part) => part !== null)
        : []),
      h('p', {}, turn),
    );
  };
  show(get('invitation'));
  return section;
}
