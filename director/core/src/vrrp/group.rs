//! Sync groups: virtual routers that are Active together, or none of them is.
//!
//! A group has no memory: what it tells its members follows from what they are, and is asked anew after each event.
//! So a member that comes, goes or comes back can't leave the others in a state that nothing leads out of.

use super::instance::Router;
use super::state::{Active, Hears, State, StateName};

/// What a member is, as far as its group cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// In Initialize: nothing is known of its interface yet, or a startup delay runs.
    Starts,
    /// In Fault.
    Fails,
    /// Backup, and follows an Active router elsewhere.
    Follows,
    /// Backup, and its time to take over has not come yet.
    Waits,
    /// Backup, and its time has come: it waits for the others.
    Ready,
    /// Active in a planned handover, which its successor ends.
    Leaves,
    /// Active.
    Active,
}

/// What a group tells its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Wait,
    /// Those that are ready take over: everybody is ready or Active already.
    TakeOver,
    /// Those that are Active let go: somebody can't be.
    LetGo,
}

/// The whole table:
///
/// | some member | and | verdict |
/// |---|---|---|
/// | fails or follows | another is Active | let go |
/// | is ready | each other is ready or Active | take over |
/// | else | | wait |
///
/// One that waits, or starts, beside Active ones is a member that a reload has added: it is ready when it has heard
/// nobody for long enough, and until then the others serve on. One that leaves ends by itself.
#[must_use]
pub fn verdict(members: impl Iterator<Item = Member> + Clone) -> Verdict {
    let any = |of: fn(Member) -> bool| members.clone().any(of);
    let denied = any(|member| matches!(member, Member::Fails | Member::Follows));
    let agreed = !any(|member| !matches!(member, Member::Ready | Member::Active));
    if denied && any(|member| member == Member::Active) {
        Verdict::LetGo
    } else if agreed && any(|member| member == Member::Ready) {
        Verdict::TakeOver
    } else {
        Verdict::Wait
    }
}

/// The state of the whole: Fault and Initialize when a member is in it, Active when all are.
#[must_use]
pub fn state(members: impl Iterator<Item = Member> + Clone) -> StateName {
    let any = |of: Member| members.clone().any(|member| member == of);
    if any(Member::Fails) {
        StateName::Fault
    } else if any(Member::Starts) {
        StateName::Initialize
    } else if members
        .clone()
        .all(|member| matches!(member, Member::Active | Member::Leaves))
    {
        StateName::Active
    } else {
        StateName::Backup
    }
}

impl Router {
    /// What it is to its sync group.
    #[must_use]
    pub const fn member(&self) -> Member {
        match &self.state {
            State::Initialize(_) => Member::Starts,
            State::Fault(_) => Member::Fails,
            State::Backup(backup) if backup.ready => Member::Ready,
            State::Backup(backup) if matches!(backup.hears, Hears::Active(_)) => Member::Follows,
            State::Backup(_) => Member::Waits,
            State::Active(Active { leaving: None, .. }) => Member::Active,
            State::Active(_) => Member::Leaves,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Member::{Active, Fails, Follows, Leaves, Ready, Starts, Waits};

    const ALL: [Member; 7] = [Starts, Fails, Follows, Waits, Ready, Leaves, Active];

    #[test]
    fn the_table_of_two() {
        let cases = [
            (Ready, Ready, Verdict::TakeOver),
            (Ready, Active, Verdict::TakeOver),
            (Ready, Waits, Verdict::Wait),
            (Ready, Follows, Verdict::Wait),
            (Ready, Fails, Verdict::Wait),
            (Ready, Starts, Verdict::Wait),
            (Ready, Leaves, Verdict::Wait),
            (Active, Active, Verdict::Wait),
            (Active, Fails, Verdict::LetGo),
            (Active, Follows, Verdict::LetGo),
            (Active, Waits, Verdict::Wait),
            (Active, Starts, Verdict::Wait),
            (Active, Leaves, Verdict::Wait),
            (Leaves, Follows, Verdict::Wait),
            (Leaves, Fails, Verdict::Wait),
        ];
        for (one, other, expected) in cases {
            for members in [[one, other], [other, one]] {
                assert_eq!(verdict(members.into_iter()), expected, "{members:?}");
            }
        }
    }

    /// Whatever a verdict makes of the members, the next one is to wait: nothing swings.
    #[test]
    fn a_verdict_that_was_followed_needs_no_other() {
        for a in ALL {
            for b in ALL {
                for c in ALL {
                    let members = [a, b, c];
                    let after = match verdict(members.into_iter()) {
                        Verdict::Wait => continue,
                        Verdict::TakeOver => members.map(|_| Active),
                        Verdict::LetGo => {
                            members.map(|member| if member == Active { Waits } else { member })
                        }
                    };
                    assert_eq!(verdict(after.into_iter()), Verdict::Wait, "{members:?}");
                }
            }
        }
    }

    #[test]
    fn the_whole_is_active_when_all_are() {
        let cases: [(&[Member], StateName); 6] = [
            (&[Active, Leaves], StateName::Active),
            (&[Active, Ready], StateName::Backup),
            (&[Follows, Waits], StateName::Backup),
            (&[Active, Fails], StateName::Fault),
            (&[Starts, Fails], StateName::Fault),
            (&[Starts, Follows], StateName::Initialize),
        ];
        for (members, expected) in cases {
            assert_eq!(state(members.iter().copied()), expected, "{members:?}");
        }
    }
}
