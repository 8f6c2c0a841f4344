#!/usr/bin/env python3
"""Downloads a game from one lanspread-peer-cli to another, over JSON lines.

Usage: download.py PROGRAM
"""
import json
import subprocess
import sys
import tempfile


class Peer:
    """A running peer. Commands go to its standard input, answers and events come from its standard output."""

    def __init__(self, program, name, folder, *flags):
        command = [program, "--name", name, "--games-dir", f"{folder}/games", "--state-dir", f"{folder}/state",
                   "--listen", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.next_id = 0
        self.addr = self.wait_for("local-peer-ready")["addr"]

    def lines(self):
        for line in self.process.stdout:
            yield json.loads(line)
        raise SystemExit("the peer has ended")

    def wait_for(self, *events):
        """Returns the next of these events, and ends the program if something fails before."""
        for line in self.lines():
            if line.get("event") in events:
                return line
            if line["type"] == "error" or line.get("event", "").endswith("-failed"):
                raise SystemExit(f"{line['code']}: {line.get('message', line.get('reason'))}")

    def ask(self, cmd, **fields):
        """Sends a command and returns its answer. Events that come before the answer are dropped."""
        self.next_id += 1
        command = {"cmd": cmd, "id": self.next_id, **fields}
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        for line in self.lines():
            if line.get("id") == self.next_id:
                if line["type"] == "error":
                    raise SystemExit(f"{cmd}: {line['code']}: {line['message']}")
                return line["data"]


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        seed = Peer(program, "seed", f"{folder}/seed", "--fixture", "ggoo")
        guest = Peer(program, "guest", f"{folder}/guest")
        guest.ask("connect", addr=seed.addr)
        while not any(game["peer_count"] for game in guest.ask("list-games")["games"]):
            guest.wait_for("remote-library-changed")
        started = guest.ask("download", game_id="ggoo")
        print(f"downloading {started['game_id']}, {started['total_bytes']} bytes")
        done = guest.wait_for("install-finished")
        print(f"installed {done['game_id']} in {folder}/guest/games")
        for peer in (guest, seed):
            peer.ask("shutdown")
            if peer.process.wait(timeout=30) != 0:
                raise SystemExit("the peer did not end in order")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
