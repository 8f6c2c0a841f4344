// Building elements. Text is always text: nothing here, and nothing anywhere in the page, turns a string into markup.

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
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
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
    else if (key === 'style') for (const [name, v] of Object.entries(value)) element.style.setProperty(name, String(v));
    else if (key === 'data') Object.assign(element.dataset, value);
    else if (key in element && !key.startsWith('aria')) element[key] = value;
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false) element.setAttribute(key, String(value));
  }
}

/** Sets text only where it differs, so that nothing is laid out anew for nothing. @param {any} element @param {string} text */
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
  room: 'M8 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zm8.5 0a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM1.5 20c0-4 3-6.5 6.500-6.500s6.500 2.500 6.500 6.500zM15.800 13.300c3.700-.3 6.700 2.200 6.700 5.700h-6c0-2.300-.9-4.300-2.300-5.500z',
  downloads: 'M11 3h2v9l3.300-3.300 1.400 1.400L12 15.800 6.300 10.100l1.400-1.400L11 12zM4 18h16v2H4z',
  settings: 'M4 6h9v2H4zm13 0h3v2h-3zM4 11h3v2H4zm7 0h9v2h-9zM4 16h9v2H4zm13 0h3v2h-3zM13 4.500h3v5h-3zM7.500 9.500h3v5h-3zM13 14.500h3v5h-3z',
  search: 'M10.500 3a7.500 7.500 0 0 1 5.900 12.100l4.600 4.500-1.400 1.400-4.600-4.500A7.500 7.500 0 1 1 10.500 3zm0 2a5.500 5.500 0 1 0 0 11 5.500 5.500 0 0 0 0-11z',
  people: 'M12 11.500a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20.500c0-4.400 3.600-7 8-7s8 2.600 8 7z',
  back: 'M14.700 5.300 8 12l6.700 6.700 1.400-1.400L10.800 12l5.300-5.300z',
  down: 'M11 4h2v11l4.300-4.300 1.400 1.400L12 18.800l-6.700-6.700 1.400-1.400L11 15z',
  up: 'M13 20h-2V9l-4.300 4.300-1.400-1.400L12 5.200l6.700 6.700-1.400 1.400L13 9z',
  folder: 'M3 5h7l2 2.500h9V19H3z',
  plus: 'M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z',
  check: 'm9.500 17.200-5-5 1.400-1.400 3.600 3.600 8.600-8.600 1.400 1.400z',
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  return s('svg', { viewBox: '0 0 24 24', class: `icon icon-${name}`, 'aria-hidden': 'true' }, s('path', { d: ICONS[name] }));
}
