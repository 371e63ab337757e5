// A client of a gobroke_dist edge for browsers. Types and what each name means: gobroke.d.ts.

const RETRY_CODES = new Set(["unavailable", "redis_unavailable", "queue_full", "rate_limited", "draining"]);
const COME_BACK = new Set([1001, 1005, 1006, 1011, 1012, 1013]);
const ALREADY_CONNECTED = 4501;
const GHOST = 60_000; // in which it is our own last connection that an edge still believes in
const STABLE = 5_000;
const MAX_DELIVERY = 240_000; // a server knows a uuid for 5 minutes
const LONGEST_HINT = 300_000;
const MAX_TIMER = 2 ** 31 - 1;

export class GobrokeError extends Error {
  constructor(code, text, more = {}) {
    super(`${code}: ${text}`);
    this.name = "GobrokeError";
    Object.assign(this, { code, text }, more);
  }
}

export class Connection extends EventTarget {
  #options; #socket = null; #waiting = new Map(); #bytes = 0; #session = ""; #offset = 0; #seen = false;
  #wholeSince = 0; #tries = 0; #hint = null; #openedAt = 0; #ghostUntil = 0; #dialled = 0; #timer; #tokenTimer; #refreshing = "";
  #heard = 0; // frames

  constructor(url, options = {}) {
    super();
    this.#options = {
      recover: true, firstWait: 500, longestWait: 30_000, connectTimeout: 10_000,
      maxBuffered: 1000, maxBufferedBytes: 1 << 20, refreshBefore: 30_000, metadata: {}, ...options,
    };
    this.url = new URL(url, globalThis.location?.href);
    this.url.protocol = this.url.protocol.replace(/^http/, "ws");
    this.client = options.client ?? (options.token ? null : randomUuid());
    this.state = "connecting";
    this.#dial();
  }

  send(data, to, { keep = 60_000 } = {}) {
    const uuid = randomUuid();
    this.#put({ ...to, data }, uuid, "send", keep).catch(() => {}); // what is too late is as good as lost
    return uuid;
  }

  async request(data, logic, { timeout = 10_000 } = {}) {
    const frame = { to_logic: logic, data, ask: timeout / 1000 };
    return payloadOf(await this.#put(frame, randomUuid(), "request", timeout));
  }

  async deliver(data, logic, { until = "done", timeout = 60_000, uuid = randomUuid() } = {}) {
    if (!(timeout > 0 && timeout <= MAX_DELIVERY)) throw new RangeError(`timeout: at most ${MAX_DELIVERY} ms`);
    return this.#put({ to_logic: logic, data, receipt: true }, uuid, until, timeout);
  }

  answer(request, data) {
    if (this.state !== "open" || request.dialled !== this.#dialled) {
      throw new GobrokeError("connection_lost", "no other connection can answer this request");
    }
    this.#write(JSON.stringify({ reply: request.reply_to, data }));
  }

  comeBack({ offset, dialled }) {
    if (this.state === "closed" || !this.#session || dialled < this.#wholeSince) return false;
    this.#offset = Math.min(this.#offset, offset);
    this.#lost(1006, "coming back for what was dropped");
    return true;
  }

  close() {
    if (this.state !== "closed") this.#end(1000, "closed by the application");
  }

  // --- out ---

  #put(frame, uuid, kind, timeout) {
    if (this.state === "closed") throw new GobrokeError("connection_ended", "the connection has ended");
    const text = JSON.stringify({ ...frame, uuid });
    const { maxBuffered, maxBufferedBytes } = this.#options;
    const unwritten = this.#bytes + (this.#socket?.bufferedAmount ?? 0);
    if (this.#waiting.has(uuid)) throw new GobrokeError("uuid_in_use", uuid);
    if (this.#waiting.size >= maxBuffered || unwritten + text.length > maxBufferedBytes) {
      throw new GobrokeError("buffer_full", "too much waits; send this one later");
    }
    if (kind === "send" && this.state === "open") {
      this.#write(text);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const one = { text, kind, resolve, reject, sent: false, accepted: false };
      one.timer = setTimeout(() => this.#tooLate(uuid, one), timeout);
      this.#waiting.set(uuid, one);
      this.#bytes += text.length;
      if (this.state === "open") this.#sendOne(uuid, one);
    });
  }

  #sendOne(uuid, one) {
    one.sent = true;
    one.heard = this.#heard;
    this.#write(one.text);
    if (one.kind === "send") this.#settle(uuid, (waiting) => waiting.resolve());
  }

  #write(text) {
    if (this.#socket?.readyState === 1) this.#socket.send(text); // else its end is about to be told
  }

  #settle(uuid, how) {
    const one = this.#waiting.get(uuid);
    if (!one) return;
    this.#waiting.delete(uuid);
    this.#bytes -= one.text.length;
    clearTimeout(one.timer);
    clearTimeout(one.again);
    how(one);
  }

  #fail(uuid, code, text, more) {
    this.#settle(uuid, (one) => one.reject(new GobrokeError(code, text, { uuid, ...more })));
  }

  #tooLate(uuid, one) {
    this.#fail(uuid, "timed_out", "nothing came in time", { accepted: one.accepted });
    // A browser can't ping. Not a word since it was sent: the connection may be dead, and to come back is cheap.
    if (one.sent && this.state === "open" && one.heard === this.#heard) this.#lost(1006, "nothing is heard");
  }

  // --- life ---

  async #dial() {
    const dialled = ++this.#dialled;
    this.#to("connecting");
    this.#timer = setTimeout(() => this.#lost(1006, "no welcome came in time"), this.#options.connectTimeout);
    const query = { ...this.#options.metadata };
    if (this.client !== null) query.client = this.client;
    if (this.#session) Object.assign(query, { session: this.#session, offset: this.#offset });
    else if (this.#options.recover) query.recover = "1";
    try {
      if (this.#options.token) query.token = await this.#options.token();
      if (dialled !== this.#dialled || this.state !== "connecting") return;
      const url = new URL(this.url);
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
      const socket = this.#socket = new WebSocket(url);
      socket.onopen = () => { if (socket === this.#socket) this.#ghostUntil = Date.now() + GHOST; };
      socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#receive(JSON.parse(data)); };
      socket.onclose = ({ code, reason }) => { if (socket === this.#socket) this.#lost(code, reason); };
      if (query.token) this.#expires(query.token);
    } catch (error) {
      if (dialled === this.#dialled) this.#lost(1006, String(error));
    }
  }

  #lost(code, reason) {
    if (this.state === "waiting" || this.state === "closed") return;
    const now = Date.now();
    if (this.state === "open") {
      this.#ghostUntil = now + GHOST;
      if (now - this.#openedAt >= STABLE) this.#tries = 0;
    }
    const again = code === ALREADY_CONNECTED ? now < this.#ghostUntil
      : COME_BACK.has(code) || (code >= 4000 && code < 4500);
    if (!again) return this.#end(code, reason);
    this.#drop(4000);
    for (const [uuid, one] of [...this.#waiting]) {
      if (one.kind === "request" && one.sent) this.#fail(uuid, "connection_lost", "whether it was handled is not known");
      else one.sent = false;
    }
    const { firstWait, longestWait } = this.#options;
    const retryIn = this.#hint ?? Math.random() * Math.min(longestWait, firstWait * 2 ** Math.min(this.#tries++, 60));
    this.#hint = null;
    this.#to("waiting");
    this.#timer = setTimeout(() => this.#dial(), retryIn);
    this.#tell("lost", { code, reason, retryIn });
  }

  #end(code, reason) {
    this.#to("closed");
    this.#drop(1000);
    for (const uuid of [...this.#waiting.keys()]) this.#fail(uuid, "connection_ended", reason || String(code));
    this.#tell("ended", { code, reason });
  }

  #drop(code) {
    clearTimeout(this.#timer);
    clearTimeout(this.#tokenTimer);
    const socket = this.#socket;
    this.#socket = null;
    this.#refreshing = "";
    // A page can't send 1001, and any other code is a goodbye: an open connection that is to be resumed is left to the
    // edge, which finds it dead, or replaces it.
    if (code === 1000 || !this.#session || socket?.readyState === 0) socket?.close(1000);
  }

  // --- in ---

  #receive(frame) {
    this.#heard += 1;
    const one = this.#waiting.get(frame.uuid);
    if (frame.type === "welcome") this.#welcome(frame);
    else if (frame.type === "message") this.#message(frame);
    else if (frame.type === "reply" && one?.kind === "request") this.#settle(frame.uuid, () => one.resolve(frame));
    else if (frame.type === "receipt" && one) this.#receipt(frame, one);
    else if (frame.type === "error") this.#error(frame, one);
    else if (frame.type === "gap") this.#tell("gap", { dropped: frame.dropped, offset: this.#offset, dialled: this.#dialled });
    else if (frame.type === "closed" && frame.retry_after >= 0) this.#hint = Math.min(frame.retry_after, LONGEST_HINT);
  }

  #welcome(frame) {
    clearTimeout(this.#timer);
    this.#openedAt = Date.now();
    this.client = frame.client;
    this.#session = frame.session ?? "";
    const offset = frame.offset ?? 0;
    this.#offset = frame.recovered ? Math.max(this.#offset, offset) : offset;
    if (!frame.recovered) this.#wholeSince = this.#dialled;
    this.#to("open");
    this.#tell("opened", { client: frame.client, node: frame.node, recovered: this.#seen ? !!frame.recovered : null });
    this.#seen = true;
    for (const [uuid, one] of [...this.#waiting]) if (!one.accepted && !one.sent) this.#sendOne(uuid, one);
  }

  #message(frame) {
    if (frame.offset !== undefined) {
      if (frame.offset <= this.#offset) return;
      this.#offset = frame.offset;
    }
    this.#tell("message", { ...frame, data: payloadOf(frame), dialled: this.#dialled });
  }

  #receipt(frame, one) {
    if (one.kind === "request" || one.kind === "send") return;
    one.accepted = true;
    clearTimeout(one.again);
    if (frame.state !== "accepted" || one.kind === "accepted") {
      this.#settle(frame.uuid, () => one.resolve({ uuid: frame.uuid, state: frame.state, reason: frame.reason ?? null }));
    }
  }

  #error(frame, one) {
    if (frame.uuid && frame.uuid === this.#refreshing) this.#refreshAgain();
    else if (!one) this.#tell("refused", frame);
    else if (RETRY_CODES.has(frame.code) && (one.kind === "accepted" || one.kind === "done")) {
      clearTimeout(one.again);
      one.again = setTimeout(() => { if (this.state === "open") this.#sendOne(frame.uuid, one); }, 1000 + Math.random() * 1000);
    } else this.#fail(frame.uuid, frame.code, frame.text, { field: frame.field });
  }

  // --- the token ---

  #expires(token) {
    const left = secondsLeft(token) * 1000;
    if (!(left < MAX_TIMER)) return;
    const early = Math.min(this.#options.refreshBefore, left / 2);
    this.#tokenTimer = setTimeout(() => this.#refresh(), Math.max(left - early, 1000));
  }

  async #refresh() {
    const dialled = this.#dialled;
    try {
      const token = await this.#options.token();
      if (dialled !== this.#dialled || this.state !== "open") return;
      this.#refreshing = randomUuid();
      this.#write(JSON.stringify({ token, uuid: this.#refreshing }));
      this.#expires(token);
    } catch {
      if (dialled === this.#dialled) this.#refreshAgain();
    }
  }

  #refreshAgain() {
    this.#refreshing = "";
    clearTimeout(this.#tokenTimer);
    if (this.state === "open") this.#tokenTimer = setTimeout(() => this.#refresh(), 5_000);
  }

  #to(state) {
    this.state = state;
    this.#tell("state", state);
  }

  #tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}

const payloadOf = (frame) => frame.data ?? frame.text ?? frame.base64 ?? null;

function secondsLeft(token) {
  try {
    const { exp } = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
    return exp - Date.now() / 1000;
  } catch {
    return NaN;
  }
}

// crypto.randomUUID exists on https and localhost only.
export function randomUuid() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
