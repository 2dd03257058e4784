/** The server's HTTP API, typed as docs/design.md and `/api/v1/openapi.json` say it. */

import { isRecord } from "../frame.ts";
import { BASE } from "./base.ts";

export interface Run {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly state: string;
  readonly created: number;
  readonly ended: number | null;
  readonly heartbeat?: number | null;
  readonly tags: readonly string[];
  readonly notes: string;
  readonly group: string;
  readonly job_type: string;
  readonly config: Record<string, unknown>;
  readonly facts?: Record<string, unknown>;
  readonly summary: Record<string, unknown>;
}

export interface RunPage {
  readonly runs: readonly Run[];
  readonly next: string | null;
}

export type Right = "write" | "share" | "manage";

export interface Project {
  readonly name: string;
  readonly visibility: "private" | "server";
  readonly created: number | null;
  readonly runs: number;
  readonly latest: number | null;
  /** Seconds after its end when a run is put into the trash; null: never. */
  readonly keep_for: number | null;
  readonly may: readonly Right[];
}

export type ProjectChange = Partial<Pick<Project, "visibility" | "keep_for">>;

export type Standing = "guest" | "member" | "admin";
export type Role = "viewer" | "writer" | "owner";
export type Scope = "read" | "write" | "admin";

/** Who sends requests: a person, or the holder of a share link. */
export interface Session {
  readonly user?: { readonly name: string; readonly standing: Standing };
  readonly share?: { readonly run: string | null; readonly project: string };
  readonly csrf?: string;
}

export interface SetUpLink {
  readonly kind: "setup" | "invitation" | "reset";
  readonly user: string | null;
}

export interface Token {
  readonly id: number;
  readonly name: string;
  readonly scope: Scope;
  readonly project: string | null;
  readonly created: number;
  readonly expires: number | null;
  readonly used: number | null;
}

export interface Share {
  readonly id: number;
  readonly project: string;
  readonly run: string | null;
  readonly name: string;
  readonly maker: string | null;
  readonly created: number;
  readonly expires: number | null;
  readonly used: number | null;
}

export interface Member {
  readonly user: string;
  readonly role: Role;
}

export interface User {
  readonly name: string;
  readonly standing: Standing;
  readonly created: number;
  readonly invited: boolean;
}

export interface StoredFile {
  readonly path: string;
  readonly size: number;
}

export interface RunQuery {
  readonly project: string;
  readonly filter?: string;
  readonly order?: string;
  readonly limit?: number;
  readonly after?: string;
  readonly trashed?: boolean;
}

/** A request that was refused, in the server's words; `status` is 0 if the server was not reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const ROOT = `${BASE}/api/v1`;

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Asks the server, for the session of the browser or for the holder of a share link. */
export class Api {
  /** What a session's requests that change something must carry. */
  csrf = "";

  constructor(
    readonly share: string | null = null,
    private readonly fetcher: typeof fetch = (...call) => fetch(...call),
  ) {}

  // Who one is.

  async session(): Promise<Session> {
    return this.keep(await this.json<Session>("GET", "/session"));
  }

  async logIn(name: string, password: string): Promise<Session> {
    return this.keep(await this.json<Session>("POST", "/session", { name, password }));
  }

  async logOut(everywhere = false): Promise<void> {
    await this.json("DELETE", `/session${everywhere ? "?everywhere=true" : ""}`);
  }

  async changePassword(user: string, old: string, password: string): Promise<Session> {
    return this.keep(
      await this.json<Session>("PUT", `/users/${part(user)}/password`, { old, new: password }),
    );
  }

  /** Whether the server waits for its first admin. */
  async needsSetUp(): Promise<boolean> {
    return (await this.json<{ needed: boolean }>("GET", "/setup")).needed;
  }

  setUpLink(secret: string): Promise<SetUpLink> {
    return this.json("GET", "/setup", undefined, { Authorization: `Setup ${secret}` });
  }

  async setUp(secret: string, password: string, name: string | null): Promise<Session> {
    return this.keep(
      await this.json<Session>("POST", "/setup", { secret, password, ...(name ? { name } : {}) }),
    );
  }

  // Runs.

  runs(query: RunQuery, signal?: AbortSignal): Promise<RunPage> {
    const wanted = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
    const parameters = new URLSearchParams(wanted.map(([name, value]) => [name, String(value)]));
    return this.json("GET", `/runs?${parameters}`, undefined, {}, signal);
  }

  run(id: string): Promise<Run> {
    return this.json("GET", `/runs/${part(id)}`);
  }

  /** Change a run as a person does: the recorder's later word for these fields no longer counts. */
  editRun(
    id: string,
    edit: {
      name?: string;
      project?: string;
      facts?: { tags?: readonly string[]; notes?: string };
    },
  ): Promise<Run> {
    return this.json("PATCH", `/runs/${part(id)}`, edit);
  }

  async trash(id: string): Promise<void> {
    await this.json("DELETE", `/runs/${part(id)}`);
  }

  async restore(id: string): Promise<void> {
    await this.json("POST", `/runs/${part(id)}/restore`);
  }

  /** Delete a run that is in the trash for good. */
  async purge(id: string): Promise<void> {
    await this.json("POST", `/runs/${part(id)}/purge`);
  }

  async files(id: string): Promise<readonly StoredFile[]> {
    return (await this.json<{ files: StoredFile[] }>("GET", `/runs/${part(id)}/files`)).files;
  }

  /** Bytes of a file, [start, stop); as many as there are. */
  async bytes(id: string, path: string, start: number, stop: number): Promise<Uint8Array> {
    if (stop <= start) return new Uint8Array();
    const response = await this.open(filePath(id, path), {
      headers: { Range: `bytes=${start}-${stop - 1}` },
    });
    return new Uint8Array(await response.arrayBuffer());
  }

  async blob(id: string, path: string): Promise<Blob> {
    return (await this.open(filePath(id, path))).blob();
  }

  /** Where a browser that is logged in finds a file. */
  fileAddress(id: string, path: string): string {
    return ROOT + filePath(id, path);
  }

  // Projects.

  async projects(): Promise<readonly Project[]> {
    return (await this.json<{ projects: Project[] }>("GET", "/projects")).projects;
  }

  project(name: string): Promise<Project> {
    return this.json("GET", `/projects/${part(name)}`);
  }

  createProject(name: string, visibility: Project["visibility"]): Promise<Project> {
    return this.json("POST", "/projects", { name, visibility });
  }

  changeProject(name: string, change: ProjectChange): Promise<Project> {
    return this.json("PATCH", `/projects/${part(name)}`, change);
  }

  /** Remove a project without runs. */
  async removeProject(name: string): Promise<void> {
    await this.json("DELETE", `/projects/${part(name)}`);
  }

  async members(project: string): Promise<readonly Member[]> {
    return (await this.json<{ members: Member[] }>("GET", `/projects/${part(project)}/members`)).members;
  }

  setMember(project: string, user: string, role: Role): Promise<Member> {
    return this.json("PUT", `/projects/${part(project)}/members/${part(user)}`, { role });
  }

  async removeMember(project: string, user: string): Promise<void> {
    await this.json("DELETE", `/projects/${part(project)}/members/${part(user)}`);
  }

  // Links and tokens.

  async shares(of: { run: string } | { project: string }): Promise<readonly Share[]> {
    return (await this.json<{ shares: Share[] }>("GET", `/shares?${new URLSearchParams(of)}`)).shares;
  }

  async createShare(
    of: { run: string } | { project: string },
    name: string,
    expires: number | null,
  ): Promise<string> {
    const { link } = await this.json<{ link: string }>("POST", "/shares", { ...of, name, expires });
    return link;
  }

  async revokeShare(id: number): Promise<void> {
    await this.json("DELETE", `/shares/${id}`);
  }

  async tokens(): Promise<readonly Token[]> {
    return (await this.json<{ tokens: Token[] }>("GET", "/tokens")).tokens;
  }

  /** Make a token for one project or, with null, for all; return its secret. */
  async createToken(
    name: string,
    scope: Scope,
    project: string | null,
    expires: number | null,
  ): Promise<string> {
    return (await this.json<{ secret: string }>("POST", "/tokens", { name, scope, project, expires })).secret;
  }

  async revokeToken(id: number): Promise<void> {
    await this.json("DELETE", `/tokens/${id}`);
  }

  // Users, for admins.

  async users(): Promise<readonly User[]> {
    return (await this.json<{ users: User[] }>("GET", "/users")).users;
  }

  async addUser(name: string, standing: Standing): Promise<string> {
    return (await this.json<{ link: string }>("POST", "/users", { name, standing })).link;
  }

  changeUser(name: string, standing: Standing): Promise<User> {
    return this.json("PATCH", `/users/${part(name)}`, { standing });
  }

  async removeUser(name: string): Promise<void> {
    await this.json("DELETE", `/users/${part(name)}`);
  }

  async userLink(name: string): Promise<string> {
    return (await this.json<{ link: string }>("POST", `/users/${part(name)}/link`)).link;
  }

  // Everything.

  /** Send a GET and return the answer with its body unread. Throws `ApiError`. */
  open(path: string, options: { signal?: AbortSignal; headers?: Record<string, string> } = {}) {
    return this.send("GET", path, undefined, options.headers, options.signal);
  }

  private async json<T>(
    method: Method,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<T> {
    const response = await this.send(method, path, body, headers, signal);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }

  private async send(
    method: Method,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Response> {
    const request: RequestInit = {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(method !== "GET" && this.csrf ? { "X-Runcast-CSRF": this.csrf } : {}),
        ...(this.share === null ? {} : { Authorization: `Share ${this.share}` }),
        ...headers,
      },
      // A share link is its holder's whole right, whoever may be logged in besides.
      credentials: this.share === null ? "same-origin" : "omit",
      cache: "no-store",
    };
    if (body !== undefined) request.body = JSON.stringify(body);
    if (signal) request.signal = signal;
    let response: Response;
    try {
      response = await this.fetcher(ROOT + path, request);
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new ApiError(0, "The server cannot be reached. Check the network, then try again.");
    }
    if (!response.ok) throw new ApiError(response.status, await reason(response));
    return response;
  }

  private keep(session: Session): Session {
    this.csrf = session.csrf ?? this.csrf;
    return session;
  }
}

async function reason(response: Response): Promise<string> {
  try {
    const said: unknown = await response.json();
    if (isRecord(said) && typeof said.error === "string") return sentence(said.error);
  } catch {
    // A proxy answers in its own words, which are for nobody here.
  }
  return `The server answered ${response.status}. Try again in a moment.`;
}

/** The server's lower-case words as a sentence. */
export function sentence(text: string): string {
  const first = /^[a-z]+( |$)/.test(text) ? text[0].toUpperCase() + text.slice(1) : text;
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

function part(text: string): string {
  return encodeURIComponent(text);
}

function filePath(id: string, path: string): string {
  return `/runs/${part(id)}/files/${path.split("/").map(part).join("/")}`;
}
