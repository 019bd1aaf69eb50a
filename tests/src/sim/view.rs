//! What the laws see of the nodes, kept from step to step: most steps touch one node alone, and to look at all of them
//! again takes longer than the step itself.

use director_core::net::Family;
use director_core::time::Duration;

use super::groups;
use super::node::Node;

/// Which nodes a step may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// All of them, and the configurations that are in force.
    All,
    /// This one, but not its configuration.
    One(usize),
}

/// What is seen of all nodes.
#[derive(Debug, Default)]
pub(super) struct View {
    seen: Vec<Seen>,
    /// Whether all directors tie the same virtual routers together.
    pub(super) agrees: bool,
    /// The virtual routers that any node has, by [`bounds`].
    pub(super) bounds: Vec<(u8, Duration)>,
}

/// What is seen of one node.
#[derive(Debug, Default)]
struct Seen {
    routers: Vec<SeenRouter>,
    /// Whether it could be Active but for what it gives up, by IPv4 and by IPv6.
    well: [bool; 2],
    /// Whether it could be Active, by IPv4 and by IPv6.
    able: [bool; 2],
    /// Virtual routers that lacked a device.
    lacking: Vec<u8>,
}

/// What is seen of one virtual router in the configuration of a node.
#[derive(Debug)]
pub(super) struct SeenRouter {
    pub(super) vrid: u8,
    pub(super) advert_interval: Duration,
    /// 0 for IPv4, 1 for IPv6.
    family: usize,
    is_active: bool,
    lacks_device: bool,
    /// Whether it could be Active here.
    is_able: bool,
    /// Whether it is Active, and could be.
    pub(super) must_speak: bool,
}

impl Touched {
    pub(super) const fn is(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == index,
        }
    }
}

impl View {
    /// Looks at the nodes that a step has touched; says whether who is Active may be another than before.
    pub(super) fn look(&mut self, touched: Touched, nodes: &[Node]) -> bool {
        match touched {
            Touched::All => {
                self.seen.resize_with(nodes.len(), Seen::default);
                for (seen, node) in self.seen.iter_mut().zip(nodes) {
                    seen.read(node);
                    seen.look(node);
                }
                self.agrees = groups::agree(nodes);
                self.bounds = bounds(nodes);
                true
            }
            Touched::One(one) => self.seen[one].look(&nodes[one]),
        }
    }

    /// Looks at what the nodes that a step has touched give up, which ends when they have given it up; says whether
    /// one became able to be Active, or ceased to be.
    pub(super) fn look_who_leaves(&mut self, touched: Touched, nodes: &mut [Node]) -> bool {
        let mut moved = false;
        for (index, (seen, node)) in self.seen.iter_mut().zip(nodes).enumerate() {
            if touched.is(index) {
                moved |= seen.look_what_leaves(node);
            }
        }
        moved
    }

    /// All virtual routers of all nodes.
    pub(super) fn routers(&self) -> impl Iterator<Item = (usize, &SeenRouter)> {
        let seen = self.seen.iter().enumerate();
        seen.flat_map(|(index, seen)| seen.routers.iter().map(move |router| (index, router)))
    }

    /// Who is Active in which virtual router.
    pub(super) fn active(&self) -> impl Iterator<Item = (u8, usize)> {
        let active = self.routers().filter(|(_, router)| router.is_active);
        active.map(|(index, router)| (router.vrid, index))
    }

    /// How many nodes could be Active in a virtual router, and how many of them are.
    pub(super) fn candidates(&self, vrid: u8) -> (usize, usize) {
        let own = |seen: &Seen| seen.routers.iter().position(|router| router.vrid == vrid);
        let of_nodes = self
            .seen
            .iter()
            .filter_map(|seen| Some(&seen.routers[own(seen)?]));
        let able = of_nodes.filter(|router| router.is_able);
        able.fold((0, 0), |(candidates, active), router| {
            (candidates + 1, active + usize::from(router.is_active))
        })
    }
}

impl Seen {
    /// Takes up the configuration in force.
    fn read(&mut self, node: &Node) {
        let routers = node.routers().map(|router| SeenRouter {
            vrid: router.vrid,
            advert_interval: router.advert_interval,
            family: usize::from(router.family() == Family::V6),
            is_active: false,
            lacks_device: false,
            is_able: false,
            must_speak: false,
        });
        self.routers = routers.collect();
    }

    /// Looks at the node, whose configuration is the one before; says whether it is Active otherwise than before.
    fn look(&mut self, node: &Node) -> bool {
        let mut changed = false;
        for (seen, router) in self.routers.iter_mut().zip(node.routers()) {
            let is_active = node.is_active(router);
            changed |= seen.is_active != is_active;
            seen.is_active = is_active;
            seen.lacks_device = node.lacks_device(router);
        }
        self.well = node.is_well();
        changed
    }

    /// After [`Self::look`]: what it gives up, and what it could be therefore; says whether that is other than before.
    fn look_what_leaves(&mut self, node: &mut Node) -> bool {
        if !node.handing_over.is_empty() {
            // One whose device is being made anew has no place for its addresses, and leaves all the same.
            let leaves = |router: &SeenRouter| router.is_active || router.lacks_device;
            let leaving = |vrid| self.routers.iter().any(|of| of.vrid == vrid && leaves(of));
            node.handing_over.retain(|vrid| leaving(*vrid));
        }
        let stays = node.handing_over.is_empty();
        let able = self.well.map(|well| well && stays);
        for router in &mut self.routers {
            let leaves = !stays && node.handing_over.contains(&router.vrid);
            router.is_able = self.well[router.family] && !leaves && !router.lacks_device;
            router.must_speak = router.is_active && able[router.family] && !router.lacks_device;
        }
        let lacking = self.routers.iter().filter(|router| router.lacks_device);
        let lacking = lacking.map(|router| router.vrid);
        // Bytes one by one: most often there are none, and to compare nothing as slices is slow on some processors.
        let moved = self.able != able || !lacking.clone().eq(self.lacking.iter().copied());
        if moved {
            (self.lacking, self.able) = (lacking.collect(), able);
        }
        moved
    }
}

/// The virtual routers that any node has, with the time after which exactly one is Active: an Active_Down time, once
/// more after a stall of its own, and what the configuration delays. Members of a sync group wait for each other, and
/// begin anew together.
pub(super) fn bounds(nodes: &[Node]) -> Vec<(u8, Duration)> {
    let mut bounds: Vec<(u8, Duration)> = Vec::new();
    for router in nodes.iter().flat_map(Node::routers) {
        let active_down = router.advert_interval * (u32::from(router.down_adverts) + 1);
        let bound = active_down * 2 + router.startup_delay + Duration::from_millis(300);
        match bounds.iter_mut().find(|(vrid, _)| *vrid == router.vrid) {
            Some((_, longest)) => *longest = bound.max(*longest),
            None => bounds.push((router.vrid, bound)),
        }
    }
    let is_grouped = |node: &Node| {
        let mut directors = node.director.iter();
        directors.any(|director| !director.config().groups.is_empty())
    };
    if nodes.iter().any(is_grouped) {
        let all = bounds.iter().map(|(_, bound)| *bound).sum();
        bounds.iter_mut().for_each(|(_, bound)| *bound = all);
    }
    bounds
}
