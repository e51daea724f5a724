//! Who is connected to whom, and where each stands in the picture of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::config::Kind;
use crate::service::Service;
use crate::text;

/// Of a service in the picture, in its own units.
const BOX_WIDTH: u32 = 150;
const BOX_HEIGHT: u32 = 58;
/// Between two columns, and between two rows.
const COLUMN_GAP: u32 = 56;
const ROW_GAP: u32 = 26;
/// Around everything; lines pass there, too.
const MARGIN: u32 = 18;

/// The picture.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Topology {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
}

/// A service in the picture.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) state: &'static str,
    /// Why it is not ready.
    pub(crate) reason: Option<String>,
    /// What it does, in a few words.
    pub(crate) doing: String,
    /// Of its upper left corner.
    pub(crate) x: u32,
    pub(crate) y: u32,
}

/// A line between two services.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Link {
    /// Who dials.
    pub(crate) from: String,
    pub(crate) to: String,
    /// Whether both ends are there.
    pub(crate) is_up: bool,
    /// As an SVG path.
    pub(crate) path: String,
}

impl Node {
    fn of(service: &Service) -> Self {
        Self {
            name: service.name().to_owned(),
            kind: service.peer.kind,
            state: service.state.name(),
            reason: service.state.reason().map(str::to_owned),
            doing: doing(service),
            x: 0,
            y: 0,
        }
    }

    pub(crate) fn middle(&self) -> u32 {
        self.x + BOX_WIDTH / 2
    }

    fn is_up(&self) -> bool {
        ["ready", "not_ready", "loading"].contains(&self.state)
    }

    /// Where its kind stands, from the miners to the node.
    fn rank(&self) -> u32 {
        match self.kind {
            Kind::MiningDevice => 0,
            Kind::Translator => 1,
            Kind::Jdc => 2,
            Kind::Pool | Kind::Jds => 3,
            Kind::TemplateProvider => 4,
            Kind::BtcNode => 5,
        }
    }
}

/// A service's work in a few words.
fn doing(service: &Service) -> String {
    let status = &service.status;
    let many = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    match service.peer.kind {
        Kind::MiningDevice => text::hashrate(status.number("hashrate")),
        Kind::Translator => many(service.translator.clients.len(), "miner", "miners"),
        Kind::Pool => {
            let clients = service.pool.clients.iter();
            let rate: f64 = clients.map(|client| client.shares.hashrate_1m).sum();
            let clients = many(service.pool.clients_total, "client", "clients");
            format!("{clients}, {}", text::hashrate(rate))
        }
        Kind::Jdc => {
            let clients = many(status.number("clients") as usize, "miner", "miners");
            let taken = service.jdc.jobs.iter().any(|job| job.state == "set");
            format!(
                "{clients}, {}",
                if taken { "declared work" } else { "solo work" }
            )
        }
        Kind::Jds => {
            let newest = service.jds.declarations.len();
            many(newest, "declaration", "declarations")
        }
        Kind::TemplateProvider => many(status.number("clients") as usize, "client", "clients"),
        Kind::BtcNode => String::new(),
    }
}

impl Topology {
    pub(crate) fn of(app: &App) -> Self {
        let mut nodes = Vec::new();
        let mut links = Vec::new();
        app.board.each(|service| {
            nodes.push(Node::of(service));
            for to in &service.peer.links {
                links.push((service.name().to_owned(), to.clone()));
            }
        });
        nodes.push(bitcoin_node(app));
        let (width, height) = place(&mut nodes);
        let find = |name: &str| nodes.iter().find(|node| node.name == name);
        let links = links.into_iter().filter_map(|(from, to)| {
            let (start, end) = (find(&from)?, find(&to)?);
            Some(Link {
                is_up: start.is_up() && end.is_up(),
                path: path(start, end, &nodes),
                from,
                to,
            })
        });
        Self {
            width,
            height,
            links: links.collect(),
            nodes,
        }
    }
}

fn bitcoin_node(app: &App) -> Node {
    let follow = app.follow.borrow();
    let info = follow.info.as_ref();
    Node {
        name: app.config.node.name.clone(),
        kind: Kind::BtcNode,
        state: follow.reach.name(),
        reason: match &follow.reach {
            crate::node::Reach::Away { reason } => Some(reason.clone()),
            _ => None,
        },
        doing: info.map_or(String::new(), |info| format!("height {}", info.blocks)),
        x: 0,
        y: 0,
    }
}

/// Gives each its place: a column for each rank there is. The picture's width and height.
fn place(nodes: &mut [Node]) -> (u32, u32) {
    let mut ranks: Vec<u32> = nodes.iter().map(Node::rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let in_rank = |nodes: &[Node], rank| nodes.iter().filter(|node| node.rank() == rank).count();
    let tallest = ranks
        .iter()
        .map(|rank| in_rank(nodes, *rank))
        .max()
        .unwrap_or(1) as u32;
    let height = tallest * (BOX_HEIGHT + ROW_GAP) - ROW_GAP + 2 * MARGIN;
    for (column, rank) in ranks.iter().enumerate() {
        let count = in_rank(nodes, *rank) as u32;
        let own_height = count * (BOX_HEIGHT + ROW_GAP) - ROW_GAP;
        let top = (height - own_height) / 2;
        let members = nodes.iter_mut().filter(|node| node.rank() == *rank);
        for (row, node) in members.enumerate() {
            node.x = MARGIN + column as u32 * (BOX_WIDTH + COLUMN_GAP);
            node.y = top + row as u32 * (BOX_HEIGHT + ROW_GAP);
        }
    }
    let columns = ranks.len() as u32;
    let width = columns * (BOX_WIDTH + COLUMN_GAP) - COLUMN_GAP + 2 * MARGIN;
    (width, height)
}

/// From one box's edge to the other's, in the gaps between those that stand on the way.
fn path(from: &Node, to: &Node, nodes: &[Node]) -> String {
    let y = |node: &Node| node.y + BOX_HEIGHT / 2;
    if from.x == to.x {
        let (top, bottom) = if from.y < to.y {
            (from, to)
        } else {
            (to, from)
        };
        let x = from.middle();
        return format!("M{x} {} L{x} {}", top.y + BOX_HEIGHT, bottom.y);
    }
    // Where a line leaves a column, and where it comes to one, in the direction it goes.
    let (leave, enter) = match from.x < to.x {
        true => (BOX_WIDTH, 0),
        false => (0, BOX_WIDTH),
    };
    let mut passed: Vec<u32> = nodes
        .iter()
        .map(|node| node.x)
        .filter(|x| (from.x.min(to.x) + 1..from.x.max(to.x)).contains(x))
        .collect();
    passed.sort_unstable_by_key(|x| x.abs_diff(from.x));
    passed.dedup();

    let mut at = (from.x + leave, y(from));
    let mut path = format!("M{} {}", at.0, at.1);
    for column in passed {
        let lane = lane(nodes, column, at.1.midpoint(y(to)));
        path += &curve(at, (column + enter, lane));
        at = (column + leave, lane);
        path += &format!(" L{} {}", at.0, at.1);
    }
    path + &curve(at, (to.x + enter, y(to)))
}

/// The middle of a gap between the boxes of a column, the nearest to `wanted`.
fn lane(nodes: &[Node], column: u32, wanted: u32) -> u32 {
    let boxes = nodes.iter().filter(|node| node.x == column);
    boxes
        .flat_map(|node| {
            let below = node.y + BOX_HEIGHT + ROW_GAP / 2;
            [node.y.saturating_sub(ROW_GAP / 2), below]
        })
        .min_by_key(|lane| lane.abs_diff(wanted))
        .unwrap_or(wanted)
}

fn curve(from: (u32, u32), to: (u32, u32)) -> String {
    let bend = from.0.midpoint(to.0);
    format!(" C{bend} {} {bend} {} {} {}", from.1, to.1, to.0, to.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, kind: Kind) -> Node {
        Node {
            name: name.to_owned(),
            kind,
            state: "ready",
            reason: None,
            doing: String::new(),
            x: 0,
            y: 0,
        }
    }

    #[test]
    fn nobody_stands_on_somebody_else_and_columns_go_from_miners_to_node() {
        let mut nodes = [
            node("btc-node", Kind::BtcNode),
            node("a", Kind::MiningDevice),
            node("b", Kind::MiningDevice),
            node("pool", Kind::Pool),
            node("jds", Kind::Jds),
        ];
        let (width, height) = place(&mut nodes);
        for (place, one) in nodes.iter().enumerate() {
            assert!(one.x + BOX_WIDTH <= width && one.y + BOX_HEIGHT <= height);
            for other in &nodes[place + 1..] {
                let apart =
                    one.x.abs_diff(other.x) >= BOX_WIDTH || one.y.abs_diff(other.y) >= BOX_HEIGHT;
                assert!(apart, "{one:?} {other:?}");
            }
        }
        assert!(nodes[1].x < nodes[3].x && nodes[3].x < nodes[0].x);
    }

    #[test]
    fn lines_pass_between_boxes() {
        let mut nodes = [
            node("a", Kind::MiningDevice),
            node("b", Kind::MiningDevice),
            node("translator", Kind::Translator),
            node("jdc", Kind::Jdc),
            node("jdc2", Kind::Jdc),
            node("jdc3", Kind::Jdc),
            node("pool", Kind::Pool),
        ];
        let (_, height) = place(&mut nodes);
        for wanted in 0..height {
            for column in [nodes[2].x, nodes[3].x] {
                let lane = lane(&nodes, column, wanted);
                let free =
                    |node: &Node| node.x != column || lane < node.y || lane > node.y + BOX_HEIGHT;
                assert!(
                    lane > 0 && lane < height && nodes.iter().all(free),
                    "{lane}"
                );
            }
        }
        let there = path(&nodes[0], &nodes[6], &nodes);
        let back = path(&nodes[6], &nodes[0], &nodes);
        assert_eq!(there.matches(" L").count(), 2, "{there}");
        assert_eq!(back.matches(" L").count(), 2, "{back}");
    }

    #[test]
    fn a_node_alone_has_a_picture_too() {
        let mut nodes = [node("btc-node", Kind::BtcNode)];
        assert_eq!(
            place(&mut nodes),
            (BOX_WIDTH + 2 * MARGIN, BOX_HEIGHT + 2 * MARGIN)
        );
    }
}
