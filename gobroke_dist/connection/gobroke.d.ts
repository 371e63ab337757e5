/** Times are milliseconds. */
export interface Options {
  /** The uuid; left out, the token or a random one names the client. */
  client?: string;
  /** Called before each connection, and before a token with an `exp` (JWT) runs out. */
  token?: () => string | Promise<string>;
  metadata?: Record<string, string>;
  /** Whether the server keeps what is sent to the client while it is away. Default: true. */
  recover?: boolean;
  firstWait?: number;
  longestWait?: number;
  connectTimeout?: number;
  /** What may wait for a connection or a receipt: frames, and UTF-16 units together. */
  maxBuffered?: number;
  maxBufferedBytes?: number;
  refreshBefore?: number;
}

export interface Recipients {
  to_logic?: string | string[];
  to_client?: string | string[];
  to_group?: string | string[];
  metadata?: Record<string, unknown>;
}

export interface Message {
  uuid: string;
  data: unknown;
  from_logic?: string;
  from_client?: string;
  metadata?: Record<string, unknown>;
  offset?: number;
  /** It asks for an answer. */
  reply_to?: string;
  dialled: number;
}

/** Frames that were dropped because the page read too slowly: see `comeBack`. */
export interface Gap {
  dropped: number;
  /** The largest before the gap. */
  offset: number;
  dialled: number;
}

export interface Receipt {
  uuid: string;
  state: "accepted" | "done" | "dead";
  reason: string | null;
}

export type State = "connecting" | "open" | "waiting" | "closed";

export interface Events {
  state: CustomEvent<State>;
  /** `recovered` is null the first time; false: something is missing, ask for the present state. */
  opened: CustomEvent<{ client: string; node: string; recovered: boolean | null }>;
  message: CustomEvent<Message>;
  gap: CustomEvent<Gap>;
  lost: CustomEvent<{ code: number; reason: string; retryIn: number }>;
  /** A message that was only sent was not accepted. */
  refused: CustomEvent<{ code: string; text: string; uuid?: string; field?: string }>;
  ended: CustomEvent<{ code: number; reason: string }>;
}

/** `code` is the server's, or `timed_out`, `connection_lost`, `connection_ended`, `buffer_full`, `uuid_in_use`. */
export class GobrokeError extends Error {
  code: string;
  text: string;
  uuid?: string;
  field?: string;
  accepted?: boolean;
}

export class Connection extends EventTarget {
  constructor(url: string | URL, options?: Options);
  readonly url: URL;
  readonly client: string | null;
  readonly state: State;
  /** At most once; without a connection it waits `keep` for one. Returns the message's uuid. */
  send(data: unknown, to: Recipients, options?: { keep?: number }): string;
  /** At most once. */
  request(data: unknown, logic: string, options?: { timeout?: number }): Promise<unknown>;
  /** To a WORKER logic, again with the same uuid until it is accepted. `timeout` is at most 240,000. */
  deliver(
    data: unknown,
    logic: string,
    options?: { until?: "accepted" | "done"; timeout?: number; uuid?: string },
  ): Promise<Receipt>;
  answer(request: Message, data: unknown): void;
  /**
   * Connects again for the messages that were dropped. All since the gap follow, or `recovered` is false: called in the
   * listener of `gap`, each comes once and in order. False: they can't be had.
   */
  comeBack(gap: Gap): boolean;
  close(): void;
  addEventListener<K extends keyof Events>(kind: K, listener: (event: Events[K]) => void): void;
}

/** As each message without one gets; for `deliver`. */
export function randomUuid(): string;
