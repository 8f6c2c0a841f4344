// Numbers as people read them. Sizes count in thousands, as the limits and the makers of disks do.

import { language, t } from './words.js';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** @param {number} value */
export function bytes(value) {
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toLocaleString(language, { maximumFractionDigits: digits })} ${UNITS[unit]}`;
}

/** @param {number} perSecond */
export function rate(perSecond) {
  return `${bytes(perSecond)}/s`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds > 0 && seconds < 1) return t('time.below', { n: 1 });
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t('time.seconds', { n: whole });
  if (whole < 3600)
    return t('time.minutes', { m: Math.floor(whole / 60), s: String(whole % 60).padStart(2, '0') });
  return t('time.hours', {
    h: Math.floor(whole / 3600),
    m: String(Math.floor((whole % 3600) / 60)).padStart(2, '0'),
  });
}

/** A version is a date of eight digits. @param {string | null} stamp */
export function version(stamp) {
  if (!stamp) return '–';
  const date = new Date(
    Date.UTC(Number(stamp.slice(0, 4)), Number(stamp.slice(4, 6)) - 1, Number(stamp.slice(6, 8))),
  );
  if (Number.isNaN(date.getTime())) return stamp;
  return date.toLocaleDateString(language, {
    timeZone: 'UTC',
    year: 'numeric',
    month: 'short',
    day: 'numeric',
  });
}

/** @param {number} ms */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
}

/** Rounded down, so that only what is complete has 100 %. @param {number} part 0 to 1 */
export function percent(part) {
  // The small term undoes the error of fractions such as 0.29.
  return (Math.floor(part * 100 + 1e-9) / 100).toLocaleString(language, {
    style: 'percent',
    maximumFractionDigits: 0,
  });
}
