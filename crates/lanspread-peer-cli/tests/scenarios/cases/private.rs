//! Games that their owner keeps out of sharing.

use lanspread_api::Request;

use super::flow::{KIB, await_finished, require_same_game};
use crate::games::Game;
use crate::lab::Lab;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Outcome, Sabotage, Scenario, require};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S88",
    title: "a private game",
    claim: "Of a game that its owner keeps out of sharing, nobody else hears anything, until the owner shares it",
    setup: "keeper has ggoo and saga, and keeps saga out of sharing (`--private`); friend has nothing; newcomer comes later",
    expected: "`list-games` of keeper shows saga as `private`; friend sees ggoo only, and a `download` of saga is refused; after `set-sharing` friend fetches saga, byte for byte; then keeper takes ggoo out of sharing, and it is gone for friend, and for newcomer, which sees saga only",
    sabotages: &[Sabotage::new("announce-private", &["friend hears of a private game"])],
    labs: EVERYWHERE,
    body: Body::Run(private_game),
}];

fn private_game(lab: &Lab) -> Outcome {
    let keeper = lab
        .peer("keeper")?
        .game(&Game::blob("ggoo", 88, 10 * KIB))?
        .game(&Game::blob("saga", 89, 100 * KIB))?
        .arg("--private")
        .arg("saga")
        .start()?;
    keeper.await_game("saga", "private and hashed", |game| game.private && game.content_id.is_some())?;
    keeper.await_served("ggoo")?;
    let friend = lab.peer("friend")?.start()?;
    friend.connect(&keeper)?;
    friend.await_offered("ggoo", 1)?;
    require!(friend.game("saga")?.is_none(), "friend hears of a private game");
    let saga = game_id("saga")?;
    let download = Request::Download { game_id: saga.clone(), install: false, confirm_content: None };
    require!(friend.say(&download)?.is_err(), "friend may fetch a private game");
    set_sharing(&keeper, "saga", true)?;
    friend.await_offered("saga", 1)?;
    let since = friend.mark();
    friend.download("saga", false)?;
    await_finished(&friend, since, "saga")?;
    require_same_game(&friend, &keeper, "saga")?;
    set_sharing(&keeper, "ggoo", false)?;
    friend.await_withdrawn("ggoo")?;
    let newcomer = lab.peer("newcomer")?.start()?;
    newcomer.connect(&keeper)?;
    newcomer.await_offered("saga", 1)?;
    require!(newcomer.game("ggoo")?.is_none(), "newcomer hears of a private game");
    Ok(())
}

fn set_sharing(keeper: &Peer, game: &str, shared: bool) -> Outcome {
    keeper.ask(&Request::SetSharing { game_id: game_id(game)?, shared })?;
    let what = if shared { "shared" } else { "private" };
    keeper.await_game(game, what, |game| game.private != shared).map(drop)
}
