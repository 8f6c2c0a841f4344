// Talking to the program: commands, and why they were refused.

import { why } from './words.js';

/** A refusal, with the contract's code. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {{code: string, message?: string, hint?: string, [field: string]: any}} error
   */
  constructor(status, error) {
    super(why(error));
    this.status = status;
    this.code = error.code;
    this.hint = error.hint;
    /** Everything that the refusal says. */
    this.body = error;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function request(path, init) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, { cache: 'no-store', ...init });
  } catch {
    throw new Refused(0, { code: 'not-running' });
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new Refused(response.status, body.code ? body : { code: 'internal', message: response.statusText });
  return body;
}

/** @param {string} path */
export const get = (path) => request(path);

/** @param {string} path @param {object} [body] */
export const post = (path, body = {}) =>
  request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
