//! Which thread waits when processors are short.

/// Nice value of a thread that nobody waits for.
#[cfg(target_os = "linux")]
const LOW_PRIORITY: i32 = 15;

/// Gives this thread the processor only where no other wants it. Only Linux knows priorities of threads. A thread that
/// does this must not hold what others wait for, such as the interpreter's lock.
pub(crate) fn yield_to_others() {
    #[cfg(target_os = "linux")]
    // Lowering is always allowed; were it not, the work would merely get a larger share.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOW_PRIORITY);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn it_concerns_the_calling_thread_alone() {
        let priority = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = priority();
        let lowered = std::thread::spawn(move || {
            yield_to_others();
            priority()
        });
        assert_eq!(lowered.join().unwrap(), LOW_PRIORITY);
        assert_eq!(priority(), before);
    }
}
