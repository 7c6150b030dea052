//! One engine a shard: in the caller's thread if there is one shard, else on a thread each.

use std::{sync::Arc, thread};

use crossbeam_channel::{Receiver, Sender, bounded};
use iotpm_core::{Batch, CoreError, Engine, EngineOptions, Output, SignalSnapshot, SignalStats, Templates};

use crate::{NodeError, error::Result};

/// The engines, whose batches and outputs stay here between runs.
pub(crate) enum Shards {
    /// One shard.
    Inline(Box<Engine>),
    /// Several.
    Threads(Vec<Worker>),
}

enum Job {
    Run(Box<(Batch, Output)>),
    Snapshot,
    Restore(Vec<SignalSnapshot>),
    Stats,
}

enum Answer {
    Ran(Box<(Batch, Output)>, std::result::Result<(), CoreError>),
    Snapshot(std::result::Result<Vec<SignalSnapshot>, CoreError>),
    Restored(std::result::Result<(), CoreError>),
    Stats(Vec<SignalStats>),
}

pub(crate) struct Worker {
    number: usize,
    jobs: Option<Sender<Job>>,
    answers: Receiver<Answer>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    fn start(number: usize, mut engine: Engine) -> Result<Self> {
        let (jobs, todo) = bounded::<Job>(1);
        let (done, answers) = bounded(1);
        let work = move || {
            for job in todo {
                if done.send(perform(&mut engine, job)).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name(format!("iotpm-shard-{number}")).spawn(work);
        let thread = thread.map_err(|error| NodeError::ShardStopped { shard: number, reason: error.to_string() })?;
        Ok(Self { number, jobs: Some(jobs), answers, thread: Some(thread) })
    }

    fn ask(&self, job: Job) -> Result<()> {
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(|| self.gone())
    }

    fn answer(&self) -> Result<Answer> {
        self.answers.recv().map_err(|_| self.gone())
    }

    fn gone(&self) -> NodeError {
        NodeError::ShardStopped { shard: self.number, reason: "its thread panicked".into() }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported as ShardStopped already.
            let _ = thread.join();
        }
    }
}

fn perform(engine: &mut Engine, job: Job) -> Answer {
    match job {
        Job::Run(mut work) => {
            let (batch, output) = &mut *work;
            let result = engine.run(batch, output);
            Answer::Ran(work, result)
        }
        Job::Snapshot => Answer::Snapshot(engine.snapshot()),
        Job::Restore(states) => Answer::Restored(engine.restore(states)),
        Job::Stats => Answer::Stats(engine.signal_stats()),
    }
}

impl Shards {
    pub fn start(count: usize, templates: &Arc<Templates>, options: EngineOptions) -> Result<Self> {
        let engine = || Engine::new(Arc::clone(templates), options);
        if count == 1 {
            return Ok(Self::Inline(Box::new(engine())));
        }
        (0..count).map(|number| Worker::start(number, engine())).collect::<Result<_>>().map(Self::Threads)
    }

    /// Runs every shard's batch and appends to its output.
    pub fn run(&mut self, batches: &mut [Batch], outputs: &mut [Output]) -> Result<()> {
        match self {
            Self::Inline(engine) => Ok(engine.run(&batches[0], &mut outputs[0])?),
            Self::Threads(workers) => run_all(workers, batches, outputs),
        }
    }

    /// The state of every signal, in id order.
    pub fn snapshot(&self) -> Result<Vec<SignalSnapshot>> {
        let mut states = self.gather(
            |engine| Ok(engine.snapshot()?),
            || Job::Snapshot,
            |answer| match answer {
                Answer::Snapshot(states) => Some(states.map_err(NodeError::from)),
                _ => None,
            },
        )?;
        states.sort_unstable_by_key(|state| state.id);
        Ok(states)
    }

    /// What is known about every signal, in id order.
    pub fn stats(&self) -> Result<Vec<SignalStats>> {
        let mut stats = self.gather(
            |engine| Ok(engine.signal_stats()),
            || Job::Stats,
            |answer| match answer {
                Answer::Stats(stats) => Some(Ok(stats)),
                _ => None,
            },
        )?;
        stats.sort_unstable_by_key(|signal| signal.id);
        Ok(stats)
    }

    fn gather<T>(
        &self,
        inline: impl Fn(&Engine) -> Result<Vec<T>>,
        job: impl Fn() -> Job,
        unpack: impl Fn(Answer) -> Option<Result<Vec<T>>>,
    ) -> Result<Vec<T>> {
        let workers = match self {
            Self::Inline(engine) => return inline(engine),
            Self::Threads(workers) => workers,
        };
        workers.iter().try_for_each(|worker| worker.ask(job()))?;
        let mut all = Vec::new();
        for worker in workers {
            all.append(&mut unpack(worker.answer()?).ok_or_else(|| worker.gone())??);
        }
        Ok(all)
    }

    /// Gives each shard the state of its signals.
    pub fn restore(&mut self, states: Vec<Vec<SignalSnapshot>>) -> Result<()> {
        match self {
            Self::Inline(engine) => Ok(engine.restore(states.into_iter().flatten().collect())?),
            Self::Threads(workers) => restore_all(workers, states),
        }
    }
}

fn run_all(workers: &[Worker], batches: &mut [Batch], outputs: &mut [Output]) -> Result<()> {
    for (worker, (batch, output)) in workers.iter().zip(batches.iter_mut().zip(outputs.iter_mut())) {
        worker.ask(Job::Run(Box::new((std::mem::take(batch), std::mem::take(output)))))?;
    }
    let mut first = Ok(());
    for (worker, (batch, output)) in workers.iter().zip(batches.iter_mut().zip(outputs.iter_mut())) {
        let Answer::Ran(work, result) = worker.answer()? else { return Err(worker.gone()) };
        (*batch, *output) = *work;
        first = first.and(result.map_err(NodeError::from));
    }
    first
}

fn restore_all(workers: &[Worker], states: Vec<Vec<SignalSnapshot>>) -> Result<()> {
    for (worker, states) in workers.iter().zip(states) {
        worker.ask(Job::Restore(states))?;
    }
    workers.iter().try_for_each(|worker| match worker.answer()? {
        Answer::Restored(result) => Ok(result?),
        _ => Err(worker.gone()),
    })
}
