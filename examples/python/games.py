#!/usr/bin/env python3
"""Lists the games of the room, as the lanspread that runs on this state folder sees them.

Usage: games.py STATE_FOLDER [--follow]

With --follow, events are printed until lanspread ends.
"""
import json
import pathlib
import sys
import urllib.error
import urllib.request


def open_api(state_folder, path):
    """Opens a path of the interface. The state folder holds the address and the token, readable by its owner only."""
    api = json.loads((pathlib.Path(state_folder) / "api.json").read_text())
    request = urllib.request.Request(f"http://{api['address']}/api/v1/{path}")
    request.add_header("Authorization", f"Bearer {api['token']}")
    # A proxy of the environment is not for this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(request)
    except urllib.error.HTTPError as refused:
        error = json.load(refused)
        raise SystemExit(f"{error['code']}: {error['message']}")


def main(state_folder, follow):
    with open_api(state_folder, "games") as answer:
        for game in json.load(answer)["data"]["games"]:
            state = "installed" if game["installed"] else "here" if game["downloaded"] else f"at {game['peer_count']} peers"
            print(f"{game['game_id']}  {state}")
    if follow:
        with open_api(state_folder, "events") as events:
            for line in events:
                print(json.loads(line).get("event"), flush=True)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--follow"]
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    main(arguments[0], "--follow" in sys.argv)
