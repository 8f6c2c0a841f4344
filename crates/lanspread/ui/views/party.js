// The closed party and the organiser's catalogue, in the settings.

import { post } from '../model/api.js';
import { wrongPhrase } from '../model/events.js';
import { state, within } from '../model/state.js';
import { count, t } from '../model/words.js';
import { order, toast } from '../widgets/dialogs.js';
import { h, say } from '../widgets/dom.js';
import { chooseFile } from '../widgets/folders.js';
import { tellCatalog } from '../widgets/organiser.js';

/** How long a member of a party that was joined is waited for, in milliseconds. */
const GREETING_MS = 20_000;

/** The parts of the settings, and what brings them up to date. */
export function partySettings() {
  const party = h('div', { class: 'rules' });
  const catalogue = h('div', { class: 'rules' });
  const wrong = h('p', { class: 'trouble', role: 'alert' });

  const showParty = (/** @type {Status} */ status) => {
    wrong.hidden = !state.wrongPhrase;
    say(wrong, state.wrongPhrase ? wrongPhrase() : '');
    if (party.dataset.shown === (status.party ?? '')) return;
    party.dataset.shown = status.party ?? '';
    const name = h('input', { name: 'party', required: true, maxlength: 64, autocomplete: 'off' });
    const phrase = h('input', {
      name: 'phrase',
      type: 'password',
      required: true,
      minlength: 8,
      autocomplete: 'new-password',
    });
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
        refused.replaceChildren(
          ...(better
            ? [
                h('p', {}, t('party.phrase.weak')),
                h(
                  'p',
                  { class: 'row wrap' },
                  t('party.phrase.suggestion'),
                  h('code', {}, better),
                  h('button', { type: 'button', onclick: () => take(better) }, t('party.phrase.take')),
                ),
              ]
            : [message]),
        );
      }
    };
    party.replaceChildren(
      ...(status.party
        ? [
            h('p', {}, t('party.closed', { party: status.party })),
            wrong,
            h('p', {}, h('button', { type: 'button', onclick: () => order('party', {}) }, t('party.leave'))),
          ]
        : [
            h('p', { class: 'note' }, t('party.open')),
            h(
              'form',
              { class: 'setting', onsubmit: join },
              h('label', { class: 'field' }, t('party.name'), name),
              h('label', { class: 'field' }, t('party.phrase'), phrase),
              h('button', { type: 'submit' }, t('party.join')),
            ),
            refused,
          ]),
    );
  };

  const showCatalog = (/** @type {Catalog} */ catalog) => {
    const text = JSON.stringify(catalog);
    if (catalogue.dataset.shown === text) return;
    catalogue.dataset.shown = text;
    const games = count('games', catalog.game_count);
    const title = catalog.title ? `${catalog.title}: ` : '';
    const said = {
      Open: () => t('catalog.none'),
      Unsigned: () => `${title}${t('catalog.unsigned', { games })}`,
      Signed: () => `${title}${t('catalog.signed', { n: catalog.serial ?? 0, games })}`,
      Awaited: () => t('catalog.awaited.key'),
    }[catalog.mode]();
    const key = h('input', {
      name: 'catalog_key',
      required: true,
      autocomplete: 'off',
      spellcheck: false,
      'aria-describedby': 'key-note',
    });
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
    catalogue.replaceChildren(
      h('h3', {}, t('catalog.title')),
      h('p', { class: 'catalog' }, said, catalog.key ? [' ', h('code', {}, catalog.key)] : null),
      ...(catalog.fingerprint
        ? [
            h(
              'p',
              {},
              t('catalog.fingerprint'),
              ' ',
              h('code', { class: 'fingerprint' }, catalog.fingerprint),
            ),
          ]
        : []),
      ...(catalog.key
        ? [h('p', {}, h('button', { type: 'button', onclick: forget }, t('catalog.forget')))]
        : [
            h(
              'form',
              { class: 'setting', onsubmit: trust },
              h('label', { class: 'field grow' }, t('catalog.key'), key),
              h('button', { type: 'submit' }, t('catalog.trust')),
              h('button', { type: 'button', onclick: file }, t('catalog.file')),
              h('small', { id: 'key-note' }, t('catalog.key.note')),
            ),
          ]),
    );
  };

  const show = (/** @type {Status} */ status) => {
    showParty(status);
    showCatalog(status.catalog);
  };
  return { parts: [party, catalogue], show };
}

/**
 * Says whether a party was entered: only another member's answer shows that the passphrase is right.
 * @param {string} party
 */
async function greet(party) {
  const met = await within(
    GREETING_MS,
    () => state.status?.party === party && (state.peers.size > 0 || state.wrongPhrase),
  );
  if (state.wrongPhrase) toast(wrongPhrase(), 'bad');
  else if (met) toast(t('party.joined', { party }), 'good');
  else toast(t('party.unheard', { party }));
}
