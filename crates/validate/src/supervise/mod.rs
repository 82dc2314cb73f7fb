//! Running somebody's process so that nothing of it can outlive us, stall us, or be mistaken for something else.
//!
//! [`guardian`] is the small process between us and the runner: a subreaper, tied to its supervisor by a socket. When the
//! supervisor dies, however it dies, the guardian ends every descendant, a daemonised grandchild too. [`child`] is the supervisor's
//! side of it; when the guardian dies, the supervisor (a subreaper as well) ends what is left. [`group`] reads `/proc`; [`wake`] is what a
//! watching loop sleeps on; [`target`] is a process of another session, held so that its pid cannot be mistaken.

pub mod child;
pub mod group;
pub mod guardian;
pub mod target;
pub mod wake;

pub use child::{ChildError, Guarded, Launch};
pub use target::Target;
pub use wake::{Interrupts, Wake};
