//! Properties of the operations that lead from one IPVS table to another.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use director_core::diff;
use director_core::ipvs::{
    Dest, DestId, Dests, Forwarding, Pool, Protocol, Service, ServiceId, SyncDaemon, SyncRole,
    SyncWire, Table, Tunnel,
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
                let stays = desired.table.0.get(id).is_some_and(serves);
                let emptied = serves(pool) && !actual.table.0.get(id).is_some_and(serves);
                prop_assert!(!(stays && emptied), "{op} empties {id}");
            }
        }
        prop_assert_eq!(diff::ipvs(&desired, &actual), vec![]);
        prop_assert_eq!(&actual.sync, &desired.sync);
        prop_assert_eq!(actual.table, desired.table);
    }
}

/// Whether a new connection finds a dest.
fn serves(pool: &Arc<Pool>) -> bool {
    pool.dests.iter().any(|(_, had)| had.weight > 0)
}

/// The kernel's rules: nothing comes twice, and nothing changes or goes that is not there.
fn apply(actual: &mut Actual, op: &Op) -> Result<(), TestCaseError> {
    let table = &mut actual.table.0;
    let done = match op {
        Op::NewService(id, service) => {
            let pool = Pool::new(service.clone(), Dests::default());
            table.insert(*id, pool).is_none()
        }
        Op::SetService(id, service) => table
            .get_mut(id)
            .map(|pool| Arc::make_mut(pool).service = service.clone())
            .is_some(),
        Op::DelService(id) => table.remove(id).is_some(),
        Op::NewDest(id, dest, to) => set_dest(table.get_mut(id), *dest, *to) == Some(false),
        Op::SetDest(id, dest, to) => set_dest(table.get_mut(id), *dest, *to) == Some(true),
        Op::DelDest(id, dest) => table
            .get_mut(id)
            .is_some_and(|pool| Arc::make_mut(pool).dests.remove(dest)),
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

/// Whether a service that is there had the dest already.
fn set_dest(pool: Option<&mut Arc<Pool>>, dest: DestId, to: Dest) -> Option<bool> {
    let dests = &mut Arc::make_mut(pool?).dests;
    let had = dests.get(&dest).is_some();
    dests.set(dest, to);
    Some(had)
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

fn table((services, ..): &State) -> Table {
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
            (DestId { address, port: 80 }, *dest)
        };
        let dests = dests.iter().map(dest).collect();
        (id, Pool::new(service, dests))
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
        table: table(state),
        sync: sync(state),
        timeouts: state.2,
        ..Desired::default()
    }
}

fn actual(state: &State) -> Actual {
    Actual {
        table: table(state),
        sync: sync(state),
        timeouts: state.2,
        ..Actual::default()
    }
}
