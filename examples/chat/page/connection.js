// One connection to whichever edge serves this page: it reconnects by itself, and sends again what was not
// confirmed, with the same uuid, so that nothing is lost and nothing is said twice.

const FIRST_WAIT = 500; // milliseconds; doubled each time, up to the longest
const LONGEST_WAIT = 10_000;
const RESEND_AFTER = 5_000;
const RETRY_CODES = new Set(["unavailable", "redis_unavailable", "queue_full", "draining"]);
const ALREADY_CONNECTED = 4501;
const DO_NOT_RECONNECT = 4500; // this close code and those above it would end the same way again

export class Connection extends EventTarget {
  // Events: "state" (detail: a word and a text), "welcome" (detail: the frame), "data" (detail: what a logic
  // sent), "refused" (detail: the error frame and the message that it is about).
  constructor(name) {
    super();
    this.name = name;
    this.client = randomUuid();
    this.unconfirmed = new Map(); // uuid -> {frame, sentAt}
    this.wait = FIRST_WAIT;
    this.closed = false;
    this.resendTimer = setInterval(() => this.resend(RESEND_AFTER), 1_000);
    this.connect();
  }

  connect() {
    const url = new URL("ws", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ client: this.client, name: this.name });
    url.hash = "";
    this.tell("state", { state: "connecting", text: "connecting…" });
    this.socket = new WebSocket(url);
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = (event) => this.lost(event);
  }

  close() {
    this.closed = true;
    clearInterval(this.resendTimer);
    clearTimeout(this.reconnectTimer);
    this.socket.close();
  }

  // Sends if there is a connection; says whether it did. For what is not worth repeating.
  send(logic, data) {
    return this.transmit({ to_logic: logic, data });
  }

  // Sends, and keeps on sending until `confirm` is called with the uuid that is returned.
  sendUntilConfirmed(logic, data) {
    const uuid = randomUuid();
    const entry = { frame: { to_logic: logic, data, uuid }, sentAt: 0 };
    this.unconfirmed.set(uuid, entry);
    this.sendAgain(entry);
    return uuid;
  }

  confirm(uuid) {
    return this.unconfirmed.delete(uuid);
  }

  resend(olderThan = 0) {
    const now = Date.now();
    for (const entry of this.unconfirmed.values()) {
      if (now - entry.sentAt >= olderThan) this.sendAgain(entry);
    }
  }

  sendAgain(entry) {
    if (this.transmit(entry.frame)) entry.sentAt = Date.now();
  }

  transmit(frame) {
    if (!this.welcomed || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  receive(frame) {
    if (frame.type === "welcome") {
      this.welcomed = true;
      this.wait = FIRST_WAIT;
      this.tell("state", { state: "open", text: "connected" });
      this.tell("welcome", frame);
    } else if (frame.type === "message") {
      this.tell("data", frame.data);
    } else if (frame.type === "error") {
      this.refused(frame);
    }
  }

  refused(frame) {
    const entry = this.unconfirmed.get(frame.uuid);
    const retry = entry !== undefined && RETRY_CODES.has(frame.code);
    if (entry && !retry) this.unconfirmed.delete(frame.uuid);
    this.tell("refused", { frame, retry, data: entry?.frame.data });
  }

  lost(event) {
    this.welcomed = false;
    if (this.closed) return;
    if (event.code === ALREADY_CONNECTED) {
      this.client = randomUuid(); // our old connection still counts
    } else if (event.code >= DO_NOT_RECONNECT) {
      this.close();
      this.tell("state", { state: "ended", text: `disconnected: ${event.reason || event.code}` });
      return;
    }
    const wait = this.wait * (0.5 + Math.random() / 2); // not everybody in the same moment
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
    this.tell("state", { state: "waiting", text: "reconnecting…" });
    this.reconnectTimer = setTimeout(() => this.connect(), wait);
  }

  tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}

// crypto.randomUUID exists on https and localhost only; a demo is often opened by its address in the local network.
function randomUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
