//! A server that is killed again and again, at moments chosen by how far it has come, while deliveries arrive in any order and
//! some twice, and while Google is written. What stands at the end is what a run without a fault leaves.
//! Must not kill by time: only a start that is broken off ends wherever it happens to be.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use super::course::{Course, Dice, PARALLEL, Sent, Story};
use crate::process_support::{Process, Server, get};

/// `CRASH_SEED` tries another course.
const SEED: u64 = 20_261_127;
const KILLS: usize = 32;
/// No server gets further than so many answers before it is killed.
const MOST_ANSWERS: usize = 24;

/// When a server is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// While it starts.
    Starting,
    /// After so many of its answers.
    Answers(usize),
    /// After so many calls to Google.
    Calls(usize),
}

impl Moment {
    fn chosen(dice: &Dice) -> Self {
        match dice.below(8) {
            0 => Self::Starting,
            1..=3 => Self::Calls(dice.below(20) + 1),
            _ => Self::Answers(dice.below(MOST_ANSWERS)),
        }
    }
}

impl Course {
    /// One server's life. Takes from the queue, and puts back what got no answer.
    async fn live(&mut self, moment: Moment, queue: &mut VecDeque<Sent>) {
        if matches!(moment, Moment::Starting) {
            let mut process = Process::start(&mut self.command(), b"");
            process.signal("KILL");
            assert_eq!(process.ends_within(Duration::from_mins(1)), -9);
            return;
        }
        let mut server = Server::start(&mut self.command());
        let calls = self.google.call_count();
        let share = |queue: &mut VecDeque<Sent>, most: usize| queue.drain(..queue.len().min(most)).collect::<Vec<_>>();
        let unanswered = match moment {
            Moment::Answers(most) if most > 0 && queue.len() >= most => {
                let share = share(queue, most + PARALLEL);
                self.send(&server, share, Some((most, &|| server.process.signal("KILL")))).await
            }
            Moment::Calls(most) => {
                let share = share(queue, MOST_ANSWERS);
                let unanswered = self.send(&server, share, None).await;
                // Each look takes an answer. Either the mirror goes on, or it has nothing to do.
                for _ in 0..500 {
                    if self.google.call_count() >= calls + most {
                        break;
                    }
                    get(&self.http, &format!("{}/livez", server.url)).await;
                }
                server.process.signal("KILL");
                unanswered
            }
            _ => {
                server.process.signal("KILL");
                Vec::new()
            }
        };
        assert_eq!(server.process.ends_within(Duration::from_mins(1)), -9, "{moment:?}");
        queue.extend(unanswered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_killed_everything_ends_as_without_a_fault() {
    let seed = std::env::var("CRASH_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    writeln!(std::io::stdout(), "CRASH_SEED={seed}").unwrap();
    let dice = Dice::seeded(seed);
    let story = Story::told(&dice);

    let mut course = Course::begin();
    let feed = course.set_up();
    let mut queue = story.shuffled(&dice);
    for _ in 0..KILLS {
        course.live(Moment::chosen(&dice), &mut queue).await;
    }
    let server = Server::start(&mut course.command());
    let rest = course.send(&server, queue.into(), None).await;
    assert!(rest.is_empty(), "{} are refused by a server at rest", rest.len());
    course.settle();
    course.assert_ended(&story, &server, &feed).await;
    server.stop();
}
