// Rules for the page's styles. Form is prettier's.

export default {
  extends: ['stylelint-config-recommended'],
  rules: {
    'color-named': 'never',
    'color-no-invalid-hex': true,
    'declaration-no-important': true,
    'max-nesting-depth': 1,
    // Rules stand in the order of what they are about.
    'no-descending-specificity': null,
    'selector-class-pattern': '^[a-z][a-z0-9-]*$',
  },
};
