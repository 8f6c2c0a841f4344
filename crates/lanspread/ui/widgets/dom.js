// Building elements. Text is always text: nothing in the page turns a string into markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element with properties, attributes, listeners and children.
 * @param {string} name
 * @param {Record<string, any> | null} [props]
 * @param {...any} children
 * @returns {any}
 */
export function h(name, props, ...children) {
  const element = document.createElement(name);
  set(element, props);
  element.append(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/**
 * The same for SVG.
 * @param {string} name
 * @param {Record<string, any> | null} [attributes]
 * @param {...any} children
 * @returns {any}
 */
export function s(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, String(value));
  element.append(...children.flat());
  return element;
}

/**
 * @param {any} element
 * @param {Record<string, any> | null} [props]
 */
export function set(element, props) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'style')
      for (const [name, v] of Object.entries(value)) element.style.setProperty(name, String(v));
    else if (key === 'data') Object.assign(element.dataset, value);
    else if (key in element && !key.startsWith('aria')) element[key] = value;
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false) element.setAttribute(key, String(value));
  }
}

/**
 * Sets text only where it differs, so that nothing is laid out anew for nothing.
 * @param {any} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {any} element @param {string} name @param {string | null} value */
export function attr(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const ICONS = {
  library: 'M4 5h4v14H4zM10 5h4v14h-4zM16.5 5.6l3.6-.9 3 13.6-3.6.9z',
  room:
    'M8 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zm8.5 0a3 3 0 1 0 0-6 3 3 0 0 0 0 6z' +
    'M1.5 20c0-4 3-6.5 6.5-6.5s6.5 2.5 6.5 6.5zM15.8 13.3c3.7-.3 6.7 2.2 6.7 5.7h-6c0-2.3-.9-4.3-2.3-5.5z',
  downloads: 'M11 3h2v9l3.3-3.3 1.4 1.4L12 15.8 6.3 10.1l1.4-1.4L11 12zM4 18h16v2H4z',
  settings:
    'M4 6h9v2H4zm13 0h3v2h-3zM4 11h3v2H4zm7 0h9v2h-9zM4 16h9v2H4z' +
    'm13 0h3v2h-3zM13 4.5h3v5h-3zM7.5 9.5h3v5h-3zM13 14.5h3v5h-3z',
  search:
    'M10.5 3a7.5 7.5 0 0 1 5.9 12.1l4.6 4.5-1.4 1.4-4.6-4.5A7.5 7.5 0 1 1 10.5 3z' +
    'm0 2a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z',
  people: 'M12 11.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20.5c0-4.4 3.6-7 8-7s8 2.6 8 7z',
  back: 'M14.7 5.3 8 12l6.7 6.7 1.4-1.4L10.8 12l5.3-5.3z',
  down: 'M11 4h2v11l4.3-4.3 1.4 1.4L12 18.8l-6.7-6.7 1.4-1.4L11 15z',
  up: 'M13 20h-2V9l-4.3 4.3-1.4-1.4L12 5.2l6.7 6.7-1.4 1.4L13 9z',
  folder: 'M3 5h7l2 2.5h9V19H3z',
  file: 'M6 2h8l5 5v15H6zm7 2H8v16h9V8h-4z',
  plus: 'M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z',
  check: 'm9.5 17.2-5-5 1.4-1.4 3.6 3.6 8.6-8.6 1.4 1.4z',
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  return s(
    'svg',
    { viewBox: '0 0 24 24', class: `icon icon-${name}`, 'aria-hidden': 'true' },
    s('path', { d: ICONS[name] }),
  );
}
