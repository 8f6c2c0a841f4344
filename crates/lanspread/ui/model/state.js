// What the page knows: one snapshot and the numbered changes after it. Nothing is assumed.

/** What changed since the last frame. */
export class Changed {
  /** Everything may be different. */
  all = false;
  status = false;
  settings = false;
  peers = false;
  log = false;
  rates = false;
  /** Ids of games that are new, different or gone. @type {Set<string>} */
  games = new Set();
}

const LOG_MAX = 500;
const RATES_MAX = 300;
/** What a page waits before it tries again, in milliseconds. */
const RETRY_MS = 1000;

/** Nothing is known about the disk. @type {Disk} */
const NO_DISK = { free_bytes: null, total_bytes: null, reserve_bytes: 0, unpack_reserve_bytes: 0 };

class State extends EventTarget {
  /** @type {'connecting' | 'open' | 'lost' | 'refused'} */
  link = 'connecting';
  /** @type {Map<string, GameRow>} */
  games = new Map();
  /** @type {Map<string, PeerRow>} */
  peers = new Map();
  /** @type {Status | null} */
  status = null;
  /** @type {Disk} */
  disk = { ...NO_DISK };
  /** The user has stopped the program from here. */
  stopped = false;
  /** Sending is held back, because somebody plays. */
  quiet = false;
  /** Games whose program was started here and runs. @type {Set<string>} */
  running = new Set();
  /** @type {Settings} */
  settings = {};
  /** @type {Setup | null} */
  suggestion = null;
  /** Who was heard of and is not connected. @type {OtherPeer[]} */
  others = [];
  /** Downloads that are not complete. @type {Unfinished[]} */
  unfinished = [];
  /** @type {Set<string>} */
  actions = new Set();
  /** @type {LogEntry[]} */
  log = [];
  /** @type {Rate[]} */
  rates = [];
  programVersion = '';
  #sequence = 0;
  #changed = new Changed();
  #due = false;
  /** @type {EventSource | null} */
  #source = null;

  connect() {
    this.#source?.close();
    const source = new EventSource('/api/v1/live');
    this.#source = source;
    source.onmessage = (message) => this.#take(JSON.parse(message.data));
    source.onerror = () => {
      if (this.link === 'open') this.#become('lost');
      // The browser connects anew by itself, unless it was answered with a refusal.
      if (source.readyState === EventSource.CLOSED) this.#refusedOrGone();
    };
  }

  async #refusedOrGone() {
    const answer = await fetch('/api/v1/snapshot', { cache: 'no-store' }).catch(() => null);
    if (answer?.status === 401) this.#become('refused');
    else setTimeout(() => this.connect(), RETRY_MS);
  }

  /** @param {Update} update */
  #take(update) {
    if (update.kind === 'snapshot') {
      this.#replace(update.data);
    } else if (update.sequence !== this.#sequence + 1) {
      // A gap cannot be; if there is one, begin again rather than guess.
      this.connect();
      return;
    } else if (update.kind === 'patch') {
      this.#patch(update.data);
    } else if (update.kind === 'log') {
      this.log.push(update.data);
      if (this.log.length > LOG_MAX) this.log.shift();
      this.#changed.log = true;
      this.dispatchEvent(new CustomEvent('news', { detail: update.data }));
    } else if (update.kind === 'rate') {
      this.rates.push(update.data);
      if (this.rates.length > RATES_MAX) this.rates.shift();
      this.#changed.rates = true;
    }
    this.#sequence = update.sequence;
    this.#tell();
  }

  /** @param {Snapshot} snapshot */
  #replace(snapshot) {
    const room = snapshot.room;
    this.games = new Map(room?.games.map((row) => [row.game_id, row]));
    this.peers = new Map(room?.peers.map((row) => [row.peer_id, row]));
    this.others = room?.others ?? [];
    this.unfinished = room?.unfinished ?? [];
    this.status = room?.status ?? null;
    this.disk = room?.disk ?? { ...NO_DISK };
    this.quiet = room?.quiet ?? false;
    this.running = new Set(room?.running);
    this.settings = snapshot.settings;
    this.suggestion = snapshot.suggestion ?? null;
    this.actions = new Set(snapshot.actions);
    this.log = snapshot.log;
    this.rates = snapshot.rates;
    this.programVersion = snapshot.program_version;
    // After a lost connection this comes from a program that was started again.
    if (this.link !== 'open') this.stopped = false;
    this.#changed.all = true;
    this.#become('open');
  }

  /** @param {Patch} patch */
  #patch(patch) {
    const changed = this.#changed;
    if (patch.status) {
      // A game's card shows its operation, so what runs or ran is different, too.
      for (const operation of this.status?.active_operations ?? []) changed.games.add(operation.game_id);
      for (const operation of patch.status.active_operations) changed.games.add(operation.game_id);
      this.status = patch.status;
      changed.status = true;
    }
    if (patch.disk) {
      this.disk = patch.disk;
      changed.status = true;
    }
    if (typeof patch.quiet === 'boolean') {
      this.quiet = patch.quiet;
      changed.status = true;
    }
    if (patch.running) {
      for (const id of [...this.running, ...patch.running]) changed.games.add(id);
      this.running = new Set(patch.running);
    }
    if (patch.settings) {
      this.settings = patch.settings;
      changed.settings = true;
    }
    for (const row of patch.games ?? []) {
      this.games.set(row.game_id, row);
      changed.games.add(row.game_id);
    }
    for (const id of patch.games_gone ?? []) {
      this.games.delete(id);
      changed.games.add(id);
    }
    for (const row of patch.peers ?? []) this.peers.set(row.peer_id, row);
    for (const id of patch.peers_gone ?? []) this.peers.delete(id);
    if (patch.others) this.others = patch.others;
    if (patch.unfinished) {
      this.unfinished = patch.unfinished;
      changed.status = true;
    }
    if (patch.peers || patch.peers_gone || patch.others) changed.peers = true;
  }

  /** @param {State['link']} link */
  #become(link) {
    if (this.link === link) return;
    this.link = link;
    this.#changed.all = true;
    this.#tell();
  }

  /** The program ends because the user wants it to. */
  stop() {
    this.stopped = true;
    this.#changed.all = true;
    this.#tell();
  }

  /**
   * Most likely the passphrase typed here is wrong: nobody of the party is connected, and some were refused
   * for it.
   */
  get wrongPhrase() {
    const wrong = (/** @type {string} */ code) => code === 'wrong-pass-phrase' || code === 'too-many-tries';
    return (
      Boolean(this.status?.party) &&
      this.peers.size === 0 &&
      (this.others.some((other) => wrong(other.reason)) ||
        Boolean(this.status?.refused.some((one) => wrong(one.code))))
    );
  }

  /** Once for each frame, however much has come. */
  #tell() {
    if (this.#due) return;
    this.#due = true;
    const tell = () => {
      this.#due = false;
      const changed = this.#changed;
      this.#changed = new Changed();
      this.dispatchEvent(new CustomEvent('change', { detail: changed }));
    };
    // A page in the background gets no frames, and needs none; but it must not grow old.
    if (document.hidden || this.#changed.all) queueMicrotask(tell);
    else requestAnimationFrame(tell);
  }

  /** The operation on a game. @param {string} id */
  operation(id) {
    return this.status?.active_operations.find((operation) => operation.game_id === id) ?? null;
  }

  /** The swarm of a download. @param {string} id */
  swarm(id) {
    return this.status?.swarms.find((swarm) => swarm.game_id === id) ?? null;
  }
}

export const state = new State();

/**
 * Waits until something holds. False if it did not in this time.
 * @param {number} ms
 * @param {() => unknown} holds
 * @returns {Promise<boolean>}
 */
export function within(ms, holds) {
  return new Promise((resolve) => {
    const end = (/** @type {boolean} */ held) => {
      clearTimeout(timer);
      state.removeEventListener('change', look);
      resolve(held);
    };
    const look = () => holds() && end(true);
    const timer = setTimeout(() => end(false), ms);
    state.addEventListener('change', look);
    look();
  });
}
