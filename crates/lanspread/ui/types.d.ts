// The contract's types under the names that the scripts use; known in all scripts. `contract.d.ts` is
// generated from the OpenAPI document, which covers the stream as well (`tools/page-check --write`).

import type * as contract from './contract';

declare global {
  type Catalog = contract.CatalogInfo;
  type Disk = contract.Disk;
  type FirstStart = contract.FirstStart;
  type Fetching = contract.Fetching;
  type GameRow = contract.GameRow;
  type Guest = contract.Guest;
  type Offer = contract.Offer;
  type OfferedCatalog = contract.OfferedCatalog;
  type OtherPeer = contract.OtherPeer;
  type Patch = contract.Patch;
  type PeerRow = contract.PeerRow;
  type Question = contract.Question;
  type Rate = contract.Rate;
  type Replacement = contract.Replacement;
  type RoomGame = contract.RoomGame;
  type RoomGroup = contract.RoomGroup;
  type Settings = contract.Settings;
  type Setup = contract.Setup;
  type Status = contract.Status;
  type Supplier = contract.Supplier;
  type Swarm = contract.Swarm;
  type SwarmSource = contract.SwarmSource;
  type Unfinished = contract.UnfinishedDownload;

  // By hand: a page passes over events that it does not know, so it reads their fields as they come.
  interface LogEntry {
    at_ms: number;
    event: { event: string; game_id?: string; [field: string]: any };
  }
  interface Snapshot extends Omit<contract.Snapshot, 'log'> {
    log: LogEntry[];
  }
  type Update = { sequence: number } & (
    | { kind: 'snapshot'; data: Snapshot }
    | { kind: 'patch'; data: Patch }
    | { kind: 'log'; data: LogEntry }
    | { kind: 'rate'; data: Rate }
  );
}
