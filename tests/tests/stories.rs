//! Histories that each tell one story, in the simulator: what is promised of a pair, with the times that are promised.

use std::sync::Arc;

use director_core::config::Version;
use director_core::director::{Command, Director};
use director_core::ipvs::{DestId, ServiceId};
use director_core::kernel::{Op, OpError, Part};
use director_core::overrides::Wish;
use director_core::time::Duration;
use tests::sim::fault::Fault;
use tests::sim::kernel::{Edit, Refusal};
use tests::sim::laws::Violation;
use tests::sim::pools;
use tests::sim::reals::Mood;
use tests::sim::setup::Setup;
use tests::sim::vmac;
use tests::sim::world::World;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

type Told = Result<(), Violation>;

#[test]
fn the_better_node_becomes_active_and_serves() -> Told {
    let world = pair(Version::V3, SECOND)?;
    assert_eq!(world.active(), [0]);
    assert_eq!(world.answering(), [0]);
    rest(&world)
}

#[test]
fn a_power_cut_costs_active_down_and_no_more() -> Told {
    for (version, interval) in [
        (Version::V2, SECOND),
        (Version::V3, SECOND),
        (Version::V3, SECOND / 10),
        (Version::V3, SECOND / 100),
    ] {
        let mut world = pair(version, interval)?;
        world.now(&Fault::PowerCut { node: 0 })?;
        let took = world.run_until(10 * SECOND, |world| world.answering() == [1])?;
        // Three adverts and the skew of priority 100, counted from the last advert.
        let active_down = interval * 3 + interval * (256 - 100) / 256;
        assert!(
            took <= active_down + 5 * MILLISECOND,
            "{interval:?}: {took:?}"
        );
        assert!(
            took >= active_down - interval - MILLISECOND,
            "{interval:?}: {took:?}"
        );
        world.run_for(20 * SECOND)?;
        world.end(&Fault::PowerCut { node: 0 })?;
        world.run_for(20 * SECOND)?;
        assert_eq!(world.active(), [0], "the better node takes its place again");
        rest(&world)?;
    }
    Ok(())
}

#[test]
fn a_planned_handover_leaves_no_gap() -> Told {
    for command in [Command::Handover(None), Command::Stop] {
        let mut world = pair(Version::V3, SECOND)?;
        world.command(0, command.clone())?;
        let took = world.run_until(2 * SECOND, |world| {
            assert!(
                !world.answering().is_empty(),
                "somebody answers at every moment"
            );
            world.answering() == [1]
        })?;
        // One skew time of priority 100.
        let skew = SECOND * (256 - 100) / 256;
        assert!(took <= skew + 20 * MILLISECOND, "{command:?}: {took:?}");
        world.run_for(10 * SECOND)?;
        if command != Command::Stop {
            assert_eq!(world.active(), [1], "it does not take Active back");
        }
    }
    Ok(())
}

#[test]
fn a_reload_that_gives_a_router_up_hands_it_over_first() -> Told {
    let mut world = given_up()?;
    let took = world.run_until(2 * SECOND, |world| {
        assert!(
            !world.answering().is_empty(),
            "somebody answers at every moment"
        );
        world.answering() == [1]
    })?;
    assert!(
        took <= SECOND * (256 - 100) / 256 + 20 * MILLISECOND,
        "{took:?}"
    );
    Ok(())
}

#[test]
fn a_router_that_a_second_reload_brings_back_goes_on_as_active() -> Told {
    let mut world = given_up()?;
    world.run_for(SECOND / 2)?;
    world.now(&Fault::Reload { node: 0 })?;
    let gone = world.run_until(20 * SECOND, |world| world.answering() != [0]);
    assert!(gone.is_err(), "no moment without it, nor with another");
    rest(&world)
}

#[test]
fn a_handover_without_a_successor_is_survived() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    world.now(&Fault::PowerCut { node: 1 })?;
    world.command(0, Command::Handover(None))?;
    world.run_for(15 * SECOND)?;
    assert_eq!(world.answering(), [0]);
    Ok(())
}

#[test]
fn a_stalled_backup_does_not_take_its_peer_for_dead() -> Told {
    for stall in [2 * SECOND, 5 * SECOND, 30 * SECOND] {
        let mut world = pair(Version::V3, SECOND)?;
        world.now(&Fault::Stall { node: 1 })?;
        world.run_for(stall)?;
        world.end(&Fault::Stall { node: 1 })?;
        world
            .run_until(20 * SECOND, |world| {
                assert_eq!(world.active(), [0], "after a stall of {stall:?}");
                false
            })
            .expect_err("nobody else ever becomes Active");
        rest(&world)?;
    }
    Ok(())
}

#[test]
fn a_stalled_active_is_replaced_and_takes_its_place_again() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    world.now(&Fault::Stall { node: 0 })?;
    world.run_until(5 * SECOND, |world| world.active() == [0, 1])?;
    world.run_for(5 * SECOND)?;
    world.end(&Fault::Stall { node: 0 })?;
    world.run_for(15 * SECOND)?;
    assert_eq!(world.active(), [0]);
    rest(&world)
}

#[test]
fn a_dead_server_is_taken_out_in_time_and_comes_back() -> Told {
    for mood in Mood::ALL.into_iter().filter(|mood| *mood != Mood::Well) {
        let mut world = pair(Version::V3, SECOND)?;
        // The second server is checked by HTTP: every 2 s, two attempts of 0.5 s, 0.5 s apart.
        let address = [10, 0, 0, 202].into();
        world.now(&Fault::Real { address, mood })?;
        let serves = |world: &World| served(world, 0) == 2;
        let out = world.run_until(10 * SECOND, |world| !serves(world))?;
        assert!(
            out <= Duration::from_millis(2000 + 500 + 500 + 500 + 110),
            "{mood:?}: {out:?}"
        );
        let mood = Mood::Well;
        world.now(&Fault::Real { address, mood })?;
        let back = world.run_until(10 * SECOND, serves)?;
        assert!(back <= 2 * SECOND + 10 * MILLISECOND, "{back:?}");
    }
    Ok(())
}

#[test]
fn a_drained_server_keeps_its_connections_and_then_goes_until_it_is_enabled() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    let (service, dest) = first_dest(&world);
    let had = |world: &World| {
        let pool = &world.nodes[0].kernel.state.table.0[&service];
        let had = pool.dests.get(&dest);
        let counters = world.nodes[0].kernel.state.counters.get(&service, &dest);
        had.map(|had| (had.weight, counters.active))
    };
    world.command(0, Command::Dest(service, dest, Wish::Drain(None)))?;
    world.run_until(SECOND, |world| {
        had(world).is_some_and(|(weight, _)| weight == 0)
    })?;
    assert_eq!(served(&world, 0), 1);
    // Each of the three connections lasts for one reading of the table.
    let last = |world: &World| had(world).is_none_or(|(_, active)| active == 1);
    world.run_until(10 * SECOND, last)?;
    assert_eq!(had(&world), Some((0, 1)), "it waits for the last one");
    // The director dies meanwhile: the next one goes on with it.
    world.now(&Fault::Crash { node: 0 })?;
    world.end(&Fault::Crash { node: 0 })?;
    world.run_until(10 * SECOND, |world| had(world).is_none())?;
    world.run_for(5 * SECOND)?;
    assert_eq!((had(&world), served(&world, 0)), (None, 1));
    rest(&world)?;
    world.command(0, Command::Dest(service, dest, Wish::Enable))?;
    world.run_until(SECOND, |world| served(world, 0) == 2)?;
    rest(&world)
}

#[test]
fn a_drain_ends_with_its_time_and_a_disabled_server_is_out_at_once() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    let (service, dest) = first_dest(&world);
    let is_in = |world: &World| {
        let pool = &world.nodes[0].kernel.state.table.0[&service];
        pool.dests.get(&dest).is_some()
    };
    world.command(0, Command::Dest(service, dest, Wish::Drain(Some(1))))?;
    let out = world.run_until(10 * SECOND, |world| !is_in(world))?;
    assert!(out >= SECOND && out < 2 * SECOND, "{out:?}");
    world.command(0, Command::Dest(service, dest, Wish::Enable))?;
    world.run_until(SECOND, is_in)?;
    world.command(0, Command::Dest(service, dest, Wish::Disable))?;
    let out = world.run_until(SECOND, |world| !is_in(world))?;
    assert!(out < 10 * MILLISECOND, "{out:?}");
    Ok(())
}

/// Setups whose second configuration has no service, and whose services give those that leave some time.
fn and_without_services() -> Setup {
    let mut setup = Setup::pair(Version::V3, SECOND);
    for configs in &mut setup.configs {
        for server in &mut configs[0].services {
            Arc::make_mut(server).drain_timeout = 10 * SECOND;
        }
        let mut without = configs[0].clone();
        without.services.clear();
        configs.push(without);
    }
    setup
}

#[test]
fn a_service_that_a_reload_takes_out_lets_its_connections_end() -> Told {
    let mut world = settled(and_without_services())?;
    let (service, _) = first_dest(&world);
    let weights = |world: &World| -> Option<Vec<u32>> {
        let pool = world.nodes[0].kernel.state.table.0.get(&service)?;
        Some(pool.dests.iter().map(|(_, had)| had.weight).collect())
    };
    let served = weights(&world);
    world.now(&Fault::Reload { node: 0 })?;
    world.run_until(SECOND, |world| weights(world) == Some(vec![0, 0]))?;
    // Each of the three connections lasts for one reading of the table.
    let took = world.run_until(10 * SECOND, |world| weights(world).is_none())?;
    assert!(took > SECOND && took < 5 * SECOND, "{took:?}");
    // It comes again, leaves, and is wanted again before it is gone.
    for _ in 0..2 {
        world.now(&Fault::Reload { node: 0 })?;
        world.run_until(SECOND, |world| weights(world) == served)?;
        world.now(&Fault::Reload { node: 0 })?;
        world.run_until(SECOND, |world| weights(world) == Some(vec![0, 0]))?;
    }
    world.now(&Fault::Reload { node: 0 })?;
    world.run_for(20 * SECOND)?;
    assert_eq!(weights(&world), served);
    rest(&world)
}

#[test]
fn an_operators_word_outlives_a_start_whose_configuration_is_refused() -> Told {
    let mut world = settled(and_without_services())?;
    let (service, dest) = first_dest(&world);
    let is_in = |world: &World| {
        let pool = world.nodes[0].kernel.state.table.0.get(&service);
        pool.map(|pool| pool.dests.get(&dest).is_some())
    };
    world.command(0, Command::Dest(service, dest, Wish::Disable))?;
    world.run_for(SECOND)?;
    for _ in 0..2 {
        world.now(&Fault::Crash { node: 0 })?;
        world.nodes[0].file = 1;
        world.end(&Fault::Crash { node: 0 })?;
        world.run_for(5 * SECOND)?;
        assert_eq!(is_in(&world), None, "no service");
    }
    world.now(&Fault::Reload { node: 0 })?;
    world.run_for(5 * SECOND)?;
    assert_eq!(is_in(&world), Some(false));
    rest(&world)
}

/// The first dest of the first service.
fn first_dest(world: &World) -> (ServiceId, DestId) {
    let server = &world.nodes[0].configs[0].services[0];
    (server.id, server.real_servers[0].id)
}

#[test]
fn what_others_change_is_repaired() -> Told {
    for edit in [
        Edit::ClearTable,
        Edit::DeleteDests,
        Edit::ChangeWeights,
        Edit::ForeignService,
        Edit::ChangeSchedulers,
        Edit::StopSync,
        Edit::ChangeTimeouts,
        Edit::FlushFilter,
        Edit::ChangeFilter,
        Edit::FlushAddresses,
    ] {
        let mut world = pair(Version::V3, SECOND)?;
        world.now(&Fault::Edit { node: 0, edit })?;
        world.run_for(2 * SECOND)?;
        assert_eq!(served(&world, 0), 2, "{edit:?}");
        world.run_for(20 * SECOND)?;
        rest(&world)?;
    }
    Ok(())
}

#[test]
fn a_restarted_director_adopts_what_the_kernel_holds() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    let before = world.nodes[0].kernel.state.table.clone();
    world.now(&Fault::Crash { node: 0 })?;
    world.run_for(SECOND / 2)?;
    world.operations.clear();
    world.end(&Fault::Crash { node: 0 })?;
    world.run_for(20 * SECOND)?;
    let touched = world
        .operations
        .iter()
        .filter(|(node, op, _)| *node == 0 && is_of_table(op));
    assert_eq!(touched.count(), 0, "the table was right");
    assert_eq!(world.nodes[0].kernel.state.table, before);
    rest(&world)
}

#[test]
fn a_restarted_director_remembers_by_the_kernel_who_was_out() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    let (address, mood) = ([10, 0, 0, 201].into(), Mood::Silent);
    world.now(&Fault::Real { address, mood })?;
    world.run_for(10 * SECOND)?;
    assert_eq!(served(&world, 0), 1);
    restarted_serves(&mut world, 1, "the dead server stays out")
}

#[test]
fn a_restarted_director_leaves_alpha_servers_in_the_pool() -> Told {
    let mut setup = Setup::pair(Version::V3, SECOND);
    for config in setup.configs.iter_mut().flatten() {
        for real in config
            .services
            .iter_mut()
            .flat_map(|service| &mut std::sync::Arc::make_mut(service).real_servers)
        {
            real.alpha = true;
        }
    }
    let mut world = settled(setup)?;
    restarted_serves(&mut world, 2, "nothing has failed")
}

#[test]
fn a_healed_split_leaves_one_active() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    split(&mut world, 10 * SECOND)?;
    world.run_for(2 * SECOND)?;
    assert_eq!(world.active(), [0]);
    Ok(())
}

#[test]
fn after_a_split_the_clients_find_the_one_that_stays() -> Told {
    // Whose advert comes first after the split decides; in some of these it is the one that stays.
    for length_ms in (10_000..11_000).step_by(100) {
        let mut world = pair(Version::V3, SECOND)?;
        split(&mut world, Duration::from_millis(length_ms))?;
        world.run_for(20 * SECOND)?;
        rest_strictly(&world)?;
    }
    Ok(())
}

#[test]
fn a_one_way_cut_moves_active_at_most_once_and_back() -> Told {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut world = pair(Version::V3, SECOND)?;
        let fault = cut(from, to);
        world.now(&fault)?;
        world.run_for(20 * SECOND)?;
        world.end(&fault)?;
        world.run_for(20 * SECOND)?;
        assert_eq!(world.active(), [0]);
        rest(&world)?;
    }
    Ok(())
}

#[test]
fn a_stop_that_oversleeps_its_time_leaves_nothing_behind() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    world.command(0, Command::Stop)?;
    world.now(&Fault::Stall { node: 0 })?;
    world.run_for(20 * SECOND)?;
    assert_eq!(world.answering(), [0, 1], "it sleeps");
    // A law asks that its addresses are gone when it ends.
    world.end(&Fault::Stall { node: 0 })?;
    world.run_until(SECOND, |world| world.nodes[0].director.is_none())?;
    assert_eq!(world.answering(), [1]);
    Ok(())
}

#[test]
fn a_router_that_outlives_its_cable_announces_itself_again() -> Told {
    let mut setup = Setup::pair(Version::V3, SECOND);
    for config in setup.configs.iter_mut().flatten() {
        config.routers[0].ignore_link = true;
    }
    let mut world = settled(setup)?;
    world.now(&Fault::Unplug { node: 0 })?;
    world.run_for(10 * SECOND)?;
    assert_eq!(world.active(), [0, 1]);
    // The other one leaves before the cable is back, so that nobody tells of it.
    world.command(1, Command::Stop)?;
    world.run_for(2 * SECOND)?;
    assert_eq!(world.answering(), Vec::<usize>::new());
    world.end(&Fault::Unplug { node: 0 })?;
    world.run_for(10 * SECOND)?;
    rest_strictly(&world)
}

#[test]
fn a_successor_that_never_heard_of_a_handover_announces_itself_again() -> Told {
    let mut unheard = 0;
    for after_ms in (0..1000).step_by(100) {
        let mut world = pair(Version::V3, SECOND)?;
        let fault = cut(0, 1);
        world.now(&fault)?;
        world.run_for(20 * SECOND + after_ms * MILLISECOND)?;
        assert_eq!(world.active(), [0, 1], "node 1 hears nobody");
        world.command(0, Command::Handover(None))?;
        world.run_for(200 * MILLISECOND)?;
        world.end(&fault)?;
        if world.active() == [1] {
            continue; // its advert came within this time
        }
        unheard += 1;
        world.run_for(20 * SECOND)?;
        assert_eq!(world.active(), [1]);
        rest_strictly(&world)?;
    }
    assert!(unheard >= 5, "{unheard}");
    Ok(())
}

#[test]
fn a_large_reload_goes_in_slices_between_the_adverts() -> Told {
    // Every law holds on the way: an advert each 10 ms, no slice too large, no pool emptied.
    let mut world = settled(Setup::growing_pair(Version::V3, SECOND / 100, 1000))?;
    world.operations.clear();
    world.now(&Fault::Reload { node: 0 })?;
    let took = world.run_until(10 * SECOND, |world| {
        world.nodes[0].kernel.state.table.0.len() == 1000 && served(world, 0) == 0
    })?;
    let done = world.operations.len();
    assert!((10_000..12_000).contains(&done), "{done} operations");
    // So many operations of 50 us each, and nothing in between but slices.
    assert!(took < SECOND, "{took:?}");
    world.run_for(2 * SECOND)?;
    let table = &world.nodes[0].kernel.state.table.0;
    assert_eq!(
        table.values().map(|pool| pool.dests.len()).sum::<usize>(),
        10_000
    );
    Ok(())
}

#[test]
fn a_device_that_comes_again_unseen_is_listened_to_again() -> Told {
    let mut world = pair(Version::V3, SECOND)?;
    let faults = [Fault::Deaf { node: 1 }, Fault::DeviceGone { node: 1 }];
    faults.iter().try_for_each(|fault| world.now(fault))?;
    let ifindex = world.nodes[1].kernel.ifindex;
    world.nodes[1].kernel.device_comes(ifindex);
    faults.iter().try_for_each(|fault| world.end(fault))?;
    world.run_for(20 * SECOND)?;
    assert_eq!(world.active(), [0]);
    rest(&world)
}

#[test]
fn a_node_that_can_not_make_its_device_lets_the_other_serve() -> Told {
    let mut setup = Setup::pair(Version::V3, SECOND);
    for config in setup.configs.iter_mut().flatten() {
        config.routers.iter_mut().for_each(vmac::toggle);
    }
    let mut world = settled(setup)?;
    let refusal = Refusal {
        percent: 100,
        error: OpError::EXISTS,
        done: false,
    };
    let refuses = Fault::Refuse { node: 0, refusal };
    world.now(&refuses)?;
    world.now(&Fault::Edit {
        node: 0,
        edit: Edit::DeleteDevices,
    })?;
    // Not after Active_Down: it says that it lets go.
    world.run_until(SECOND, |world| world.answering() == [1])?;
    let status = world.nodes[0].director.as_ref().map(Director::status);
    let status = status.expect("it runs");
    assert_eq!(
        (
            status.routers[0].state.as_str(),
            status.routers[0].reason.as_str()
        ),
        ("Fault", "the kernel refuses its device vrrp.51")
    );
    world.run_for(20 * SECOND)?;
    assert_eq!(world.active(), [1]);
    world.end(&refuses)?;
    world.run_for(20 * SECOND)?;
    assert_eq!(world.active(), [0], "the device is there again");
    rest(&world)
}

/// Restarts the director of node 0; from then on it has so many servers in at every moment.
fn restarted_serves(world: &mut World, count: usize, why: &str) -> Told {
    world.now(&Fault::Crash { node: 0 })?;
    world.end(&Fault::Crash { node: 0 })?;
    world
        .run_until(5 * SECOND, |world| {
            assert_eq!(served(world, 0), count, "{why}");
            false
        })
        .expect_err("it is so to the end");
    Ok(())
}

/// A settled pair in which a reload has just had the Active node give its router up; another one brings it back.
fn given_up() -> Result<World, Violation> {
    let mut setup = Setup::pair(Version::V3, SECOND);
    let mut without = setup.configs[0][0].clone();
    without.routers.clear();
    setup.configs[0].push(without);
    let mut world = settled(setup)?;
    world.now(&Fault::Reload { node: 0 })?;
    Ok(world)
}

/// A pair that has settled.
fn pair(version: Version, interval: Duration) -> Result<World, Violation> {
    settled(Setup::pair(version, interval))
}

fn settled(setup: Setup) -> Result<World, Violation> {
    let mut world = World::new(setup, 1);
    world.run_for(20 * SECOND)?;
    Ok(world)
}

fn rest(world: &World) -> Told {
    world.laws.rest(&world.nodes, &world.neighbours)?;
    pools::pools(&world.nodes, &world.reals)
}

/// As [`rest`], but the clients are excused from nothing.
fn rest_strictly(world: &World) -> Told {
    for (address, node) in &world.neighbours {
        if *node != world.active().first().copied() {
            return Err(Violation(format!(
                "clients believe {address} to be at {node:?}"
            )));
        }
    }
    rest(world)
}

fn cut(from: usize, to: usize) -> Fault {
    Fault::Path {
        from,
        to,
        cut: true,
        loss: 0,
        double: 0,
        delay: Duration::ZERO,
    }
}

/// Cuts both directions for a while.
fn split(world: &mut World, time: Duration) -> Told {
    let faults = [cut(0, 1), cut(1, 0)];
    faults.iter().try_for_each(|fault| world.now(fault))?;
    world.run_for(time)?;
    assert_eq!(world.active(), [0, 1]);
    faults.iter().try_for_each(|fault| world.end(fault))
}

/// How many dests of the first service take connections on a node.
fn served(world: &World, node: usize) -> usize {
    let kernel = &world.nodes[node].kernel.state;
    let id = world.nodes[node].configs[0].services[0].id;
    pools::serving(&kernel.table, &id).len()
}

fn is_of_table(op: &Op) -> bool {
    op.part() == Part::Ipvs && !matches!(op, Op::StartSync(..) | Op::StopSync(_))
}
