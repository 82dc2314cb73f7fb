//! What is read of a group of processes.

use std::process::{Child, Command};
use std::time::{Duration, Instant};
use validate::supervise::group;

/// A process and its descendants, ended with the test.
struct Tree(Child);

impl Drop for Tree {
    fn drop(&mut self) {
        for member in group::descendants(self.0.id() as i32) {
            let _ = Command::new("kill").args(["-9", &member.pid.to_string()]).status();
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the zombie and for `sleeping` descendants that have become what they are: before, they may be too young to be read.
fn tree(script: &str, sleeping: usize) -> (Tree, i32) {
    let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
    let pid = child.id() as i32;
    let tree = Tree(child);
    let until = Instant::now() + Duration::from_secs(20);
    let ready = || {
        let members = group::descendants(pid);
        let count = |state: char| members.iter().filter(|member| member.state == state).count();
        count('Z') == 1 && count('S') == sleeping
    };
    while !ready() {
        assert!(Instant::now() < until, "the shell's children never came to rest");
        std::thread::sleep(Duration::from_millis(2));
    }
    (tree, pid)
}

/// A zombie has no memory to read: it must not make the living unreadable, nor count as a process of no bytes. Here the
/// shell's first child has ended, and nobody waits for it because the shell itself has become `sleep`.
#[test]
fn a_zombie_beside_a_living_process_is_left_out() {
    let (_tree, pid) = tree("true & sleep 30 & exec sleep 31", 1);
    let sample = group::sample(pid, 0).expect("the living one can be read");
    assert_eq!(sample.processes, 1);
    assert!(sample.pss_bytes > 0 && sample.rss_bytes > 0 && sample.fds > 0);
}

#[test]
fn a_zombie_alone_is_no_reading() {
    let (_tree, pid) = tree("true & exec sleep 30", 0);
    assert_eq!(group::sample(pid, 0), None);
}
