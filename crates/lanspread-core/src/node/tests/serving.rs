//! Tests of refusals: which manifests and chunks a node does not serve.

use lanspread_types::message::{ChunkRequest, Refusal, Request, RequestId};
use lanspread_types::{ChunkIndex, ContentId};

use super::listed;
use super::party::{Party, content, game, id_of};
use crate::api::command::Command;
use crate::io::{Input, LinkId, NetInput};

/// Reasons why guest 0 refuses the manifest and a chunk to guest 1.
fn refusals(party: &mut Party, id: &str, content: ContentId) -> Vec<Refusal> {
    party.refused.clear();
    let game = game(id);
    let manifest = Request::Manifest { id: RequestId(1), game: game.clone(), content };
    let chunk = ChunkRequest { id: RequestId(2), game, content, chunk: ChunkIndex(0) };
    for request in [manifest, Request::Chunk(chunk)] {
        party.input(0, Input::Net(NetInput::Requested { link: LinkId(1000), peer: id_of(1), request }));
        party.settle();
    }
    party.refused.clone()
}

#[test]
fn what_may_not_be_served_is_neither_as_a_manifest_nor_as_a_chunk() {
    let (ready, unknown, other) = (content("ready", 2, 1), content("unknown", 2, 2), content("ready", 2, 3));
    let games = [ready.clone(), unknown.clone()];
    let mut party = Party::with_catalog(&[&games, &[]], &listed(&["ready", "absent"]));
    let ready = ready.content_id();
    assert_eq!(refusals(&mut party, "ready", ready), [], "what is ready is served");
    assert_eq!(party.served.len(), 1);
    for (id, content, why) in [
        ("ready", other.content_id(), Refusal::OtherContent),
        ("unknown", unknown.content_id(), Refusal::UnknownGame),
        ("absent", ready, Refusal::NotDownloaded),
    ] {
        assert_eq!(refusals(&mut party, id, content), [why, why], "{id}");
    }
    let set_sharing = |shared| Command::SetSharing { game: game("ready"), shared };
    party.command(0, set_sharing(false));
    assert_eq!(refusals(&mut party, "ready", ready), [Refusal::NotDownloaded; 2], "private");
    party.command(0, set_sharing(true));
    assert_eq!(refusals(&mut party, "ready", ready), []);
    assert_eq!(party.served.len(), 2);
    party.guests[0].hold_jobs = true;
    party.command(0, Command::RemoveDownload { game: game("ready") });
    assert_eq!(refusals(&mut party, "ready", ready), [Refusal::UnderOperation; 2]);
    assert_eq!(party.served.len(), 2);
}
