//! Options of the harness from its command line.

use std::collections::VecDeque;

use crate::{cases::interleave::Switches, engine::call::Strike, previous::Turns};

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
The fault harness: the real handlers over the real AWS SDK, and something goes wrong at every call.

Usage: cargo faults [OPTIONS]

Without options it runs every flow with every call struck in every way, every pair of callers interleaved at every call, and
many random runs. Within `cargo test` it runs a share of the longest. `cargo known-bugs` shows that it finds what it should.

  --seeds N       number of random runs (default: 20000; within `cargo test` 250)
  --from N        the seed of the first one (default: 1)
  --seed N        does one random run and prints its steps
  --flow NAME     runs one flow with every call struck; with --call and --fault one case, printed
  --call N        the call that is struck, counted from 0
  --fault NAME    what happens to it
  --race NAME     runs one race, interleaved in every way; with --switches one case, printed
  --switches S,N,M  side S (0 or 1) makes N calls, then the other M, then the first the rest, then the other
  --unharmed      runs the flow with nothing struck, printed
  --with-previous [REVISION]
                  two releases at once: functions of the release before and of this one take turns in all flows, races and random
                  runs (2000; with --flow in one flow). The release before is the newest tag, or tests/faults/previous/commit
  --turns TURNS   the release of each invocation, to repeat one case: previous,N or this,N (N invocations of that release,
                  then the other), drawn,SEED, sides,previous or sides,this
  --find CHECK    ends at the first violation of this check, and fails without one
  --threads N     number of cases that run at a time (default: 2)
  --list          lists flows, races and faults
  --help          prints this

The last line is JSON, except with --find. The exit status is 1 when something was found, and each finding ends with the command that repeats it.";

/// The options of one call.
pub(crate) struct Options {
    pub(crate) what: Selection,
    pub(crate) seeds: u64,
    pub(crate) from: u64,
    pub(crate) threads: usize,
    /// Whether the release before runs too, and the revision that was given.
    pub(crate) with_previous: Option<Option<String>>,
    /// The release of each invocation, if given.
    pub(crate) turns: Option<Turns>,
    /// The check whose first violation is searched for.
    pub(crate) find: Option<String>,
    /// Whether all cases are run. Within `cargo test` they are not.
    pub(crate) long: bool,
}

/// Which cases.
pub(crate) enum Selection {
    Help,
    List,
    /// Everything whose name holds this; everything if it is empty.
    All(String),
    Seed(u64),
    Flow(String),
    Unharmed(String),
    Strike {
        flow: String,
        call: usize,
        strike: Strike,
    },
    Race(String),
    Interleave {
        race: String,
        switches: Switches,
    },
}

/// What `cargo test` takes and hands on to every test program; it changes nothing here.
const OF_CARGO_TEST: [&str; 7] = [
    "--nocapture",
    "--no-capture",
    "--quiet",
    "-q",
    "--show-output",
    "--exact",
    "--include-ignored",
];

impl Options {
    /// Reads the arguments, the program's name left out.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut rest: VecDeque<String> = arguments
            .flat_map(|argument| match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => {
                    vec![name.to_owned(), value.to_owned()]
                }
                Some(_) | None => vec![argument],
            })
            .collect();
        let mut given = Given::default();
        while let Some(argument) = rest.pop_front() {
            let mut value = || {
                rest.pop_front()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--help" | "-h" => given.help = true,
                "--list" => given.list = true,
                "--long" => given.long = true,
                "--unharmed" => given.unharmed = true,
                "--seeds" => given.seeds = Some(number(&argument, &value()?)?),
                "--from" => given.from = Some(number(&argument, &value()?)?),
                "--seed" => given.seed = Some(number(&argument, &value()?)?),
                "--call" => given.call = Some(number(&argument, &value()?)?),
                "--switches" => given.switches = Some(value()?),
                "--threads" => given.threads = Some(number(&argument, &value()?)?),
                "--test-threads" => given.threads = Some(number(&argument, &value()?)?),
                "--flow" => given.flow = Some(value()?),
                "--race" => given.race = Some(value()?),
                "--fault" => given.fault = Some(value()?),
                "--with-previous" => {
                    let is_revision = |next: &&String| !next.starts_with('-');
                    let revision = rest.front().filter(is_revision).cloned();
                    if revision.is_some() {
                        rest.pop_front();
                    }
                    given.with_previous = Some(revision);
                }
                "--turns" => given.turns = Some(value()?),
                "--find" => given.find = Some(value()?),
                known if OF_CARGO_TEST.contains(&known) => {}
                other if other.starts_with('-') => {
                    return Err(format!("there is no option {other}"));
                }
                filter => given.filter.push_str(filter),
            }
        }
        given.options()
    }
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("{name} takes a whole number, not {text}"))
}

/// The options as they were given.
#[derive(Default)]
struct Given {
    help: bool,
    list: bool,
    long: bool,
    unharmed: bool,
    seeds: Option<u64>,
    from: Option<u64>,
    seed: Option<u64>,
    call: Option<usize>,
    switches: Option<String>,
    threads: Option<usize>,
    flow: Option<String>,
    race: Option<String>,
    fault: Option<String>,
    find: Option<String>,
    with_previous: Option<Option<String>>,
    turns: Option<String>,
    filter: String,
}

impl Given {
    fn options(self) -> Result<Options, String> {
        let strike = match &self.fault {
            Some(name) => Some(
                Strike::named(name)
                    .ok_or_else(|| format!("there is no fault {name}; --list names them"))?,
            ),
            None => None,
        };
        let turns = match &self.turns {
            Some(text) if self.with_previous.is_some() => Some(
                Turns::parse(text)
                    .ok_or_else(|| format!("there are no turns {text}; see --help"))?,
            ),
            Some(_) => return Err("--turns needs --with-previous".to_owned()),
            None => None,
        };
        let seeds = match (self.long, &self.with_previous) {
            (false, _) => 250,
            (true, Some(_)) => 2_000,
            (true, None) => 20_000,
        };
        let what = match (self.flow, self.race, self.seed, self.call) {
            _ if self.help => Selection::Help,
            _ if self.list => Selection::List,
            (Some(flow), None, None, None) if self.unharmed => Selection::Unharmed(flow),
            (Some(flow), None, None, None) => Selection::Flow(flow),
            (Some(flow), None, None, Some(call)) => {
                let strike = strike.ok_or("--call needs --fault with a flow")?;
                Selection::Strike { flow, call, strike }
            }
            (None, Some(race), None, None) => match self.switches {
                None => Selection::Race(race),
                Some(text) => {
                    let switches = Switches::parse(&text)
                        .ok_or("--switches takes a side and two numbers, as 0,3,2")?;
                    Selection::Interleave { race, switches }
                }
            },
            (None, None, Some(seed), None) => Selection::Seed(seed),
            (None, None, None, None) => Selection::All(self.filter),
            _ => {
                return Err(
                    "--flow, --race and --seed go alone, and --call with one of the first two"
                        .to_owned(),
                );
            }
        };
        Ok(Options {
            what,
            seeds: self.seeds.unwrap_or(seeds),
            from: self.from.unwrap_or(1),
            threads: self.threads.unwrap_or(2).max(1),
            with_previous: self.with_previous,
            turns,
            find: self.find,
            long: self.long,
        })
    }
}
