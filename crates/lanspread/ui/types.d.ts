// The contract as the page uses it. Known in all scripts.

interface Rate {
  at_ms: number;
  down: number;
  up: number;
}
interface LogEntry {
  at_ms: number;
  event: { event: string; game_id?: string; [field: string]: any };
}
interface Disk {
  free_bytes: number | null;
  total_bytes: number | null;
}
interface Settings {
  games_dir?: string;
  name?: string;
  language?: string;
  quiet_upload?: number;
  accept_wants?: boolean;
}
interface Setup {
  games_dir: string;
  name?: string;
}

interface GameRow {
  game_id: string;
  title: string | null;
  downloaded: boolean;
  installed: boolean;
  availability: 'Ready' | 'LocalOnly' | 'Remote';
  peer_count: number;
  size: number;
  eti_game_version: string | null;
  local_version: string | null;
  installed_version: string | null;
  content_id: string | null;
  support?: 'pinned' | 'agreed' | 'single' | null;
  confirmed_by: number;
  supplier?: Supplier;
  update_needs_confirmation?: boolean;
  dated_ahead?: boolean;
  cover: string | null;
  about?: { players?: { min: number; max: number }; genre?: string; cover?: string; start?: string };
}

interface Supplier {
  peer_id: string;
  name: string;
  key: string;
}

interface Replacement {
  eti_version: string | null;
  content_id: string | null;
  new_eti_version: string;
  new_content_id: string;
  supplier: Supplier;
}
interface FirstStart {
  program: string;
  args: string[];
  content_id: string;
  suppliers: Supplier[];
}
interface Question {
  confirm: string;
  replacement?: Replacement;
  first_start?: FirstStart;
}

interface PeerRow {
  peer_id: string;
  name: string;
  addr: string;
  protocol: number;
  game_count: number;
  offered_bytes: number;
  [field: string]: any;
}

interface Guest {
  peer_id: string;
  name: string;
  group: string;
  silent: boolean;
  catalog_serial: number | null;
  behind: boolean;
  accepts_wants: boolean;
}
interface RoomGroup {
  name: string;
  peers: number;
  received_bytes: number;
  from_other_groups_bytes: number;
}
interface Fetching {
  peer_id: string;
  eti_version: string;
  done_bytes: number;
  total_bytes: number;
  bytes_per_second: number;
  seconds_left: number | null;
}
interface RoomGame {
  game_id: string;
  eti_version: string | null;
  ready: string[];
  other: { peer_id: string; eti_version: string; same_version: boolean }[];
  fetching: Fetching[];
  without: string[];
  last_ready_seconds: number | null;
}
interface Catalog {
  mode: 'Open' | 'Unsigned' | 'Signed' | 'Awaited';
  game_count: number;
  key?: string;
  fingerprint?: string;
  serial?: number;
  title?: string;
}
interface OfferedCatalog {
  key: string;
  fingerprint: string;
  title: string | null;
  serial: number | null;
  game_count: number | null;
  invited: boolean;
  peer_count: number;
  peers: string[];
}
interface Refused {
  addr: string;
  peer_id: string | null;
  code: string;
  reason: string;
}
interface OtherPeer {
  name?: string;
  addrs: string[];
  reason: string;
  message: string;
  protocol?: number;
}
interface Operation {
  game_id: string;
  kind: string;
  progress: { done_bytes: number; total_bytes: number };
}
interface SwarmSource {
  peer_id: string;
  name: string;
  chunks_has: number;
  bytes: number;
  bytes_per_second: number;
}
interface Swarm {
  game_id: string;
  priority: 'low' | 'normal' | 'high';
  chunks_had: number;
  chunks_total: number;
  copies: number;
  bytes_per_second: number;
  seconds_left: number | null;
  sources: SwarmSource[];
}
interface Status {
  peer_id: string;
  name: string;
  addr: string;
  protocol: number;
  games_dir: string;
  state_dir: string;
  catalogued: boolean;
  catalog: Catalog;
  catalog_offered?: OfferedCatalog[];
  party: string | null;
  refused: Refused[];
  peer_count: number;
  active_operations: Operation[];
  swarms: Swarm[];
  limits: { upload: number | null; download: number | null };
  active_outbound_transfers: Record<string, number>;
  [field: string]: any;
}

interface Unfinished {
  game_id: string;
  state: 'running' | 'waiting' | 'paused' | 'failed';
  done_bytes: number;
  total_bytes: number;
  install: boolean;
  fault?: { code: string; reason: string };
}

interface Snapshot {
  program_version: string;
  actions: string[];
  settings: Settings;
  room: {
    status: Status;
    disk: Disk;
    quiet: boolean;
    games: GameRow[];
    peers: PeerRow[];
    others?: OtherPeer[];
    unfinished?: Unfinished[];
  } | null;
  suggestion?: Setup;
  log: LogEntry[];
  rates: Rate[];
}
interface Patch {
  status?: Status;
  disk?: Disk;
  quiet?: boolean;
  games?: GameRow[];
  games_gone?: string[];
  peers?: PeerRow[];
  peers_gone?: string[];
  others?: OtherPeer[];
  unfinished?: Unfinished[];
  settings?: Settings;
}
type Update = { sequence: number } & (
  | { kind: 'snapshot'; data: Snapshot }
  | { kind: 'patch'; data: Patch }
  | { kind: 'log'; data: LogEntry }
  | { kind: 'rate'; data: Rate }
);
interface Offer {
  peer_id: string;
  name: string;
  eti_version: string;
  content_id: string;
  size: number;
  file_count: number;
}
