// Rules for the page's scripts. Types are checked by tsc, form by prettier.

import js from '@eslint/js';
import globals from 'globals';

/** Folders that a folder's modules must not import: the model knows no elements, and widgets know no views. */
const closed = (...folders) => ({
  'no-restricted-imports': ['error', { patterns: folders.map((folder) => `**/${folder}/*`) }],
});

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      'no-eval': 'error',
      'no-implicit-coercion': 'error',
      'no-restricted-properties': [
        'error',
        ...['innerHTML', 'outerHTML', 'insertAdjacentHTML'].map((property) => ({
          property,
          message: 'Text is always text: use h() and textContent.',
        })),
      ],
      'no-shadow': 'error',
      'no-unused-vars': ['error', { ignoreRestSiblings: true }],
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
    },
  },
  { files: ['**/model/*.js'], rules: closed('widgets', 'views') },
  { files: ['**/widgets/*.js'], rules: closed('views') },
];
