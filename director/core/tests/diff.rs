//! Properties of the operations that lead from one IPVS table to another.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use director_core::diff;
use director_core::ipvs::{
    ActualDest, Dest, DestId, Forwarding, Pool, Protocol, Service, ServiceId, SyncDaemon, SyncRole,
    SyncWire, Table, Tally, Tunnel,
};
use director_core::kernel::{Actual, Desired, Op};
use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_pool_that_could_have_a_server_is_never_empty_and_nothing_is_left_to_do(
        (wanted, had) in (state(), state())
    ) {
        let (desired, mut actual) = (desired(&wanted), actual(&had));
        for op in diff::ipvs(&desired, &actual) {
            let before = actual.clone();
            apply(&mut actual, &op)?;
            for (id, pool) in &before.table.0 {
                let stays = desired.table.0.get(id).is_some_and(|wanted| serves(wanted, |to| *to));
                let emptied = serves(pool, |had| had.dest)
                    && !actual.table.0.get(id).is_some_and(|pool| serves(pool, |had| had.dest));
                prop_assert!(!(stays && emptied), "{op} empties {id}");
            }
        }
        prop_assert_eq!(diff::ipvs(&desired, &actual), vec![]);
        prop_assert_eq!(&actual.sync, &desired.sync);
        let table = |(id, pool): (&ServiceId, &Pool<ActualDest>)| {
            let dests = pool.dests.iter().map(|(dest, had)| (*dest, had.dest)).collect();
            (*id, Pool { service: pool.service.clone(), dests })
        };
        let reached = Table(actual.table.0.iter().map(table).collect());
        prop_assert_eq!(reached, desired.table);
    }
}

/// Whether a new connection finds a dest.
fn serves<D>(pool: &Pool<D>, dest: impl Fn(&D) -> Dest) -> bool {
    pool.dests.values().any(|had| dest(had).weight > 0)
}

/// The kernel's rules: nothing comes twice, and nothing changes or goes that is not there.
fn apply(actual: &mut Actual, op: &Op) -> Result<(), TestCaseError> {
    let table = &mut actual.table.0;
    let had = |dest: &Dest| ActualDest {
        dest: *dest,
        counters: Tally::default(),
    };
    let done = match op {
        Op::NewService(id, service) => {
            let dests = BTreeMap::new();
            let service = service.clone();
            table.insert(*id, Pool { service, dests }).is_none()
        }
        Op::SetService(id, service) => table
            .get_mut(id)
            .map(|pool| pool.service = service.clone())
            .is_some(),
        Op::DelService(id) => table.remove(id).is_some(),
        Op::NewDest(id, dest, to) => table
            .get_mut(id)
            .is_some_and(|pool| pool.dests.insert(*dest, had(to)).is_none()),
        Op::SetDest(id, dest, to) => table
            .get_mut(id)
            .is_some_and(|pool| pool.dests.insert(*dest, had(to)).is_some()),
        Op::DelDest(id, dest) => table
            .get_mut(id)
            .is_some_and(|pool| pool.dests.remove(dest).is_some()),
        Op::StartSync(role, daemon) => actual.sync.insert(*role, daemon.clone()).is_none(),
        Op::StopSync(role) => actual.sync.remove(role).is_some(),
        Op::SetTimeouts(set) => {
            let all = actual.timeouts.iter_mut().zip(set);
            all.filter(|(_, set)| **set != 0)
                .for_each(|(is, set)| *is = *set);
            true
        }
        _ => false,
    };
    prop_assert!(done, "the kernel would refuse: {op}");
    Ok(())
}

/// Services by number, each with its scheduler and its dests by number; synchronisation daemons; timeouts.
type State = (
    BTreeMap<u8, (&'static str, BTreeMap<u8, Dest>)>,
    [Option<u8>; 2],
    [u32; 3],
);

fn state() -> impl Strategy<Value = State> {
    let forwarding = select(vec![
        Forwarding::Nat,
        Forwarding::Dr,
        Forwarding::Tun(Tunnel::Ipip),
    ]);
    let dest = (forwarding, 0..3_u32, 0..2_u32).prop_map(|(forwarding, weight, upper)| Dest {
        forwarding,
        weight,
        upper,
        lower: 0,
    });
    let dests = btree_map(0..5_u8, dest, 0..5);
    let services = btree_map(0..4_u8, (select(vec!["rr", "wlc"]), dests), 0..4);
    let sync = [option::of(0..3_u8), option::of(0..3_u8)];
    let timeout = || select(vec![60, 900, 901]);
    (services, sync, [timeout(), timeout(), timeout()])
}

fn table<D>((services, ..): &State, of: impl Fn(&Dest) -> D) -> Table<D> {
    let pool = |(number, (scheduler, dests)): (&u8, &(&str, BTreeMap<u8, Dest>))| {
        let id = ServiceId::Address {
            protocol: Protocol::Tcp,
            address: [10, 0, 0, *number].into(),
            port: 80,
        };
        let service = Service {
            scheduler: scheduler.parse().unwrap(),
            flags: 0,
            timeout_s: 0,
            granularity: 32,
            sip: false,
        };
        let dest = |(number, dest): (&u8, &Dest)| {
            let address = [10, 0, 1, *number].into();
            (DestId { address, port: 80 }, of(dest))
        };
        let dests = dests.iter().map(dest).collect();
        (id, Pool { service, dests })
    };
    Table(services.iter().map(pool).collect())
}

fn sync((_, daemons, _): &State) -> BTreeMap<SyncRole, SyncDaemon> {
    let roles = [SyncRole::Master, SyncRole::Backup].into_iter();
    let daemon = |(role, id): (SyncRole, Option<u8>)| {
        let daemon = SyncDaemon {
            interface: "eth0".parse().unwrap(),
            id: id?,
            wire: SyncWire::default(),
        };
        Some((role, daemon))
    };
    roles.zip(*daemons).filter_map(daemon).collect()
}

fn desired(state: &State) -> Desired {
    Desired {
        table: table(state, |dest| *dest),
        sync: sync(state),
        timeouts: state.2,
        ..Desired::default()
    }
}

fn actual(state: &State) -> Actual {
    let had = |dest: &Dest| ActualDest {
        dest: *dest,
        counters: Tally::default(),
    };
    Actual {
        table: table(state, had),
        sync: sync(state),
        timeouts: state.2,
        ..Actual::default()
    }
}
