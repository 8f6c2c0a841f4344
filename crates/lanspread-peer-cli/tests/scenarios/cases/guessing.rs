//! An attacker tries out passphrases of a closed party, from many addresses and at all its peers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lanspread_api::{ErrorCode, Request};
use lanspread_net::{Endpoint, EndpointConfig, Identity, NetEvent};
use lanspread_types::{Party, PartyMismatch, PartyName, PassPhrase, PeerName};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::closed::{PHRASE, in_party};
use super::flow::MIB;
use crate::games::Game;
use crate::lab::Lab;
use crate::peer::Peer;
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require};
use crate::wait::{eventually, seen_if, within};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S72",
    title: "closed party under guessing",
    claim: "Whoever tries out passphrases learns little, at all peers of a closed party together, and locks neither guests nor newcomers out",
    setup: "alpha with a game, bravo and charlie in the party `friday`; attackers with own keys and addresses try wrong passphrases without a pause, from two addresses at alpha and from eight at bravo; newcomer comes once they are turned away",
    expected: "alpha and bravo look at no more than six wrong passphrases each, and one more in 30 s; charlie, restarted meanwhile, is with both again within 10 s; alpha, which keeps its last try for somebody who has not guessed wrong, lets newcomer in within 10 s; introduced, newcomer is with all guests 20 s later, though bravo has no try left",
    sabotages: &[
        Sabotage::new("take-every-guess", &["wrong passphrases in"]),
        Sabotage::new("first-come-first-judged", &["alpha lets newcomer in"]),
        Sabotage::new("forget-guests", &["charlie is with bravo again"]),
    ],
    // The attackers need several loopback addresses.
    labs: &[LabKind::Local],
    body: Body::Run(guessing),
}];

/// Number of attacking addresses at alpha and at bravo. Alpha's are too few to use up its last try; bravo's are enough
/// to use up all tries.
const ATTACKERS: [u8; 2] = [2, 8];
/// Wrong passphrases that one peer of a party of two to four checks at once, and the time after which it checks one
/// more. A party of two regains tries fastest, so its values bound the others as well.
const AT_ONCE: usize = 6;
const ONE_MORE_AFTER: Duration = Duration::from_secs(30);

fn guessing(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 72, MIB);
    let guest = |name| {
        let spec = in_party(lab, name, "friday", PHRASE)?;
        Ok::<_, Failure>(spec.arg("--find").arg("introductions"))
    };
    let alpha = guest("alpha")?.game(&game)?.start()?;
    let (bravo, charlie) = (guest("bravo")?.start()?, guest("charlie")?.start()?);
    bravo.connect(&alpha)?;
    charlie.connect(&alpha)?;
    charlie.connect(&bravo)?;

    let attack = Attack::begin([alpha.addr()?, bravo.addr()?])?;
    let begun = Instant::now();
    eventually("both peers turn the attackers away", || {
        let [of_alpha, of_bravo] = attack.counts();
        require_few_looks([&alpha, &bravo], [of_alpha, of_bravo], begun)?;
        let turned_away = of_alpha.unheard > usize::from(ATTACKERS[0]) && of_bravo.unheard > 0;
        let used_up = turned_away && of_bravo.wrong >= AT_ONCE;
        Ok(seen_if(used_up, || format!("alpha {of_alpha:?}, bravo {of_bravo:?}")))
    })?;

    charlie.shut_down()?;
    charlie.restart()?;
    for guest in [&alpha, &bravo] {
        within(Duration::from_secs(10), &format!("charlie is with {} again", guest.name()), || {
            enters(&charlie, guest)
        })?;
    }

    let newcomer = guest("newcomer")?.start()?;
    within(Duration::from_secs(10), "alpha lets newcomer in", || enters(&newcomer, &alpha))?;
    within(Duration::from_secs(20), "newcomer is with all guests", || {
        let known = newcomer.peers()?.len();
        Ok(seen_if(known == 3, || format!("newcomer knows {known} of 3 guests")))
    })?;
    newcomer.await_offered("ggoo", 1)?;

    require_few_looks([&alpha, &bravo], attack.end()?, begun)
}

/// Requires that, since the attack began, each victim has checked no more wrong passphrases than a party allows.
fn require_few_looks(victims: [&Peer; 2], counts: [Counts; 2], begun: Instant) -> Outcome {
    let more = begun.elapsed().as_secs().div_ceil(ONE_MORE_AFTER.as_secs()) as usize;
    for (guest, counts) in victims.into_iter().zip(counts) {
        require!(
            counts.wrong <= AT_ONCE + more,
            "{} looked at {} wrong passphrases in {:.0} s, and refused to look at {}",
            guest.name(),
            counts.wrong,
            begun.elapsed().as_secs_f32(),
            counts.unheard
        );
    }
    Ok(())
}

/// Returns whether `at` admits a peer now.
fn enters(peer: &Peer, at: &Peer) -> Outcome<crate::wait::Seen<()>> {
    Ok(match peer.say(&Request::Connect { addr: at.addr()? })? {
        Ok(_) => Ok(()),
        Err(line) if line.error.code == ErrorCode::TooManyTries => {
            Err(format!("{} is told {:?}", peer.name(), line.error.code))
        }
        Err(line) => fail!("{} is refused by {}: {line:?}", peer.name(), at.name()),
    })
}

/// Results of the attackers at one victim.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// Tries whose passphrase was checked.
    wrong: usize,
    /// Tries whose passphrase was not checked.
    unheard: usize,
}

/// Running attackers. They stop at `end` or when this is dropped.
struct Attack {
    over: Arc<AtomicBool>,
    counts: Arc<Mutex<[Counts; 2]>>,
    attackers: Vec<std::thread::JoinHandle<Result<(), String>>>,
}

impl Attack {
    fn begin(victims: [SocketAddr; 2]) -> Outcome<Self> {
        let (over, counts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let places = (0..victims.len()).flat_map(|at| (0..ATTACKERS[at]).map(move |number| (at, number)));
        let attackers = places.map(|(at, number)| {
            let (over, counts) = (Arc::clone(&over), Arc::clone(&counts));
            let attacker = Attacker { number: number + at as u8 * ATTACKERS[0], at, victim: victims[at] };
            std::thread::spawn(move || attacker.guess(&over, &counts).map_err(|failure| failure.0))
        });
        let attackers = attackers.collect();
        Ok(Self { over, counts, attackers })
    }

    fn counts(&self) -> [Counts; 2] {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(mut self) -> Outcome<[Counts; 2]> {
        self.over.store(true, Ordering::Relaxed);
        for attacker in self.attackers.drain(..) {
            match attacker.join() {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => fail!("an attacker gave up: {reason}"),
                Err(_) => fail!("an attacker panicked"),
            }
        }
        Ok(self.counts())
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// One address of the attack.
struct Attacker {
    number: u8,
    /// Index of its victim in the counts.
    at: usize,
    victim: SocketAddr,
}

impl Attacker {
    /// Tries a wrong passphrase until the attack is over.
    fn guess(&self, over: &AtomicBool, counts: &Mutex<[Counts; 2]>) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (net, mut events) = mpsc::channel(64);
            let (data, _payloads) = mpsc::channel(1);
            let name = PartyName::new("friday")?;
            let phrase = PassPhrase::new(format!("correct horse batter{}", self.number))?;
            let config = EndpointConfig {
                identity: Identity::generate()?,
                listen: SocketAddr::new(IpAddr::from(Ipv4Addr::new(127, 72, 0, 1 + self.number)), 0),
                port_fallback: false,
                name: PeerName::new("eve")?,
                program: String::new(),
                party: Some(Party { name, phrase }),
            };
            let endpoint = Endpoint::bind(config, net, data).await?;
            while !over.load(Ordering::Relaxed) {
                endpoint.dial(self.victim);
                let wrong = loop {
                    match timeout(Duration::from_secs(20), events.recv()).await {
                        Ok(Some(NetEvent::OtherParty { mismatch, dialled: true, .. })) => {
                            break mismatch == PartyMismatch::WrongPassPhrase;
                        }
                        // A victim under a sabotage may fail in another way, which shows in the counts.
                        Ok(Some(NetEvent::DialFailed { .. })) => break false,
                        Ok(Some(_)) => {}
                        Ok(None) | Err(_) => fail!("attacker {} gets no answer", self.number),
                    }
                };
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                let counts = &mut counts[self.at];
                if wrong { counts.wrong += 1 } else { counts.unheard += 1 }
            }
            endpoint.shutdown().await;
            Ok::<_, Failure>(())
        })
    }
}
