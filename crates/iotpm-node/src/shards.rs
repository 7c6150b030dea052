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
    Snapshot { sequence: u64 },
    BeginCapture,
    Capture { signals: usize, sequence: u64 },
    Restore(Vec<SignalSnapshot>),
    Stats,
}

enum Answer {
    Ran(Box<(Batch, Output)>, std::result::Result<(), CoreError>),
    Captured(std::result::Result<Vec<SignalSnapshot>, CoreError>),
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
        Job::Snapshot { sequence } => Answer::Captured(engine.snapshot(sequence)),
        Job::BeginCapture => {
            engine.begin_capture();
            Answer::Captured(Ok(Vec::new()))
        }
        Job::Capture { signals, sequence } => Answer::Captured(engine.capture(signals, sequence)),
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

    /// The state of every signal after the message of that sequence, in id order.
    pub fn snapshot(&self, sequence: u64) -> Result<Vec<SignalSnapshot>> {
        let mut states = match self {
            Self::Inline(engine) => engine.snapshot(sequence)?,
            Self::Threads(workers) => gather(workers, || Job::Snapshot { sequence }, captured)?,
        };
        states.sort_unstable_by_key(|state| state.id);
        Ok(states)
    }

    /// Begins to capture the state in steps, between which only readings, ticks and waveforms of known signals may run.
    pub fn begin_capture(&mut self) -> Result<()> {
        match self {
            Self::Inline(engine) => engine.begin_capture(),
            Self::Threads(workers) => _ = gather(workers, || Job::BeginCapture, captured)?,
        }
        Ok(())
    }

    /// The next step: about so many signals as they are now, after the message of that sequence; none at the end.
    pub fn capture(&mut self, signals: usize, sequence: u64) -> Result<Vec<SignalSnapshot>> {
        match self {
            Self::Inline(engine) => Ok(engine.capture(signals, sequence)?),
            Self::Threads(workers) => {
                let signals = signals.div_ceil(workers.len());
                gather(workers, || Job::Capture { signals, sequence }, captured)
            }
        }
    }

    /// What is known about every signal, in id order.
    pub fn stats(&self) -> Result<Vec<SignalStats>> {
        let mut stats = match self {
            Self::Inline(engine) => engine.signal_stats(),
            Self::Threads(workers) => gather(workers, || Job::Stats, stats)?,
        };
        stats.sort_unstable_by_key(|signal| signal.id);
        Ok(stats)
    }

    /// Gives each shard the state of its signals.
    pub fn restore(&mut self, states: Vec<Vec<SignalSnapshot>>) -> Result<()> {
        match self {
            Self::Inline(engine) => Ok(engine.restore(states.into_iter().flatten().collect())?),
            Self::Threads(workers) => restore_all(workers, states),
        }
    }
}

/// What all workers have to one job, one after the other.
fn gather<T>(
    workers: &[Worker],
    job: impl Fn() -> Job,
    unpack: impl Fn(Answer) -> Option<Result<Vec<T>>>,
) -> Result<Vec<T>> {
    workers.iter().try_for_each(|worker| worker.ask(job()))?;
    let mut all = Vec::new();
    for worker in workers {
        all.append(&mut unpack(worker.answer()?).ok_or_else(|| worker.gone())??);
    }
    Ok(all)
}

fn captured(answer: Answer) -> Option<Result<Vec<SignalSnapshot>>> {
    match answer {
        Answer::Captured(states) => Some(states.map_err(NodeError::from)),
        _ => None,
    }
}

fn stats(answer: Answer) -> Option<Result<Vec<SignalStats>>> {
    match answer {
        Answer::Stats(stats) => Some(Ok(stats)),
        _ => None,
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
