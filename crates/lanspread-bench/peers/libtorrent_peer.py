"""One libtorrent session of a benchmark: MODE ADDR:PORT TORRENT FOLDER.

Says "ready"; a receiver then reads "go ADDR:PORT ..." from standard input, adds the torrent with these peers and says
"done" when every piece is verified. Ends with its standard input.
"""

import sys
import threading

import libtorrent as lt

# No limit anywhere, everybody is served at once (no choke rounds), TCP only (uTP is slower where nothing is lost), no
# discovery (addresses are given), no encryption, quick retries where the other side has not clicked yet.
SETTINGS = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "out_enc_policy": lt.enc_policy.pe_disabled,
    "in_enc_policy": lt.enc_policy.pe_disabled,
    "unchoke_slots_limit": -1,
    "choking_algorithm": 0,
    "connection_speed": 500,
    "torrent_connect_boost": 255,
    "min_reconnect_time": 1,
    "allow_multiple_connections_per_ip": True,
    "no_connect_privileged_ports": False,
    "upload_rate_limit": 0,
    "download_rate_limit": 0,
    "strict_end_game_mode": False,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
}


def say(word):
    print(word, flush=True)


def endpoint(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def parameters(torrent, folder, mode):
    params = lt.load_torrent_file(torrent)
    params.save_path = folder
    params.trackers = []
    flags = params.flags & ~lt.torrent_flags.auto_managed & ~lt.torrent_flags.paused
    if mode != "receive":
        flags |= lt.torrent_flags.seed_mode
    if mode == "super-seed":
        flags |= lt.torrent_flags.super_seeding
    params.flags = flags
    return params


def wait_for(session, kinds):
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, kinds):
                return alert


def main():
    mode, listen, torrent, folder = sys.argv[1:]
    session = lt.session({**SETTINGS, "listen_interfaces": listen})
    params = parameters(torrent, folder, mode)
    wait_for(session, (lt.listen_succeeded_alert,))
    if mode != "receive":
        session.add_torrent(params)
        say("ready")
    else:
        say("ready")
        peers = sys.stdin.readline().split()[1:]
        params.peers = [endpoint(peer) for peer in peers]
        session.add_torrent(params)

        def report():
            wait_for(session, (lt.torrent_finished_alert,))
            say("done")

        threading.Thread(target=report, daemon=True).start()
    sys.stdin.read()


main()
