//! Where a plugin may connect and send to: what it declares, whatever way it takes.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use gatehouse_host::gateway::{HeldPorts, Kernel};
use gatehouse_plugin_api::manifest::Capability;
use rustix::net::{AddressFamily, SocketType};

use super::{DONE, Probe, REFUSED, count, tried};

fn network(host: &str, port: u16) -> Capability {
    Capability::Network { host: host.into(), port }
}

fn udp(host: &str, port: u16) -> Capability {
    Capability::Udp { host: host.into(), port }
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port that nobody listens on, and that nobody else can have meanwhile.
fn closed_port() -> (OwnedFd, SocketAddr) {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let at = rustix::net::getsockname(&socket).unwrap();
    (socket, at.try_into().unwrap())
}

/// Connections that came so far.
fn came(listener: &TcpListener) -> usize {
    listener.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| listener.accept().ok()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_address_is_reached_and_no_other() {
    let ((open, port), (other, other_port)) = (listener(), listener());
    let (_kept, closed) = closed_port();
    let probe = Probe::launch_needing(&[network("127.0.0.1", port), network("127.0.0.1", closed.port())]).await;
    for at in [format!("127.0.0.1:{port}"), format!("[::ffff:127.0.0.1]:{port}"), format!("0.0.0.0:{port}")] {
        assert_eq!(tried(&probe, "reach", &at).await, DONE, "{at}");
        assert_eq!(tried(&probe, "reach-in-time", &at).await, DONE, "{at}");
    }
    for at in [format!("127.0.0.1:{other_port}"), format!("127.0.0.2:{port}"), format!("[::1]:{port}")] {
        assert_eq!(tried(&probe, "reach", &at).await, REFUSED, "{at}");
        assert_eq!(count(&probe, &format!("tried to connect to {at}")), 1, "{at}");
    }
    assert_eq!((came(&open), came(&other)), (6, 0));
    // Nobody listens there: what the kernel says comes back.
    assert_eq!(tried(&probe, "reach", &closed.to_string()).await, "ConnectionRefused");
    assert_eq!(tried(&probe, "reach-in-time", &closed.to_string()).await, "ConnectionRefused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_changes_while_it_is_connected_to_is_never_another() {
    let ((open, port), (forbidden, other)) = (listener(), listener());
    let rounds = std::env::var("GATEHOUSE_FLIPS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(500);
    let flip = format!("127.0.0.1:{port} {other} {rounds}");
    // A full queue would hold up the next connection.
    std::thread::spawn(move || while open.accept().is_ok() {});
    // First by a constructor, then by the gateway's code.
    let (needs, attempts) = ([network("127.0.0.1", port)], format!("flip\t{flip}\n"));
    let probe = Probe::launch_trying(&needs, Kernel::found(), &attempts).await.unwrap();
    let outcomes = std::fs::read_to_string(probe.folder().join("outcomes")).unwrap();
    assert_eq!(outcomes, format!("flip\t{flip}\t{DONE}\n"));
    let changed = || count(&probe, &format!("tried to connect to 127.0.0.1:{other}"));
    let early = changed();
    assert!(early > 0, "it did change while the library was opened");
    assert_eq!(tried(&probe, "flip", &flip).await, DONE);
    assert!(changed() > early, "it did change");
    assert_eq!(came(&forbidden), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_go_to_declared_addresses_by_every_way() {
    let (open, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let at = |socket: &UdpSocket| socket.local_addr().unwrap().to_string();
    let probe = Probe::launch_needing(&[udp("127.0.0.1", open.local_addr().unwrap().port())]).await;
    for (what, messages) in [("send", 1), ("send-connected", 1), ("send-message", 1), ("send-messages", 3)] {
        assert_eq!(tried(&probe, what, &at(&open)).await, DONE, "{what}");
        for _ in 0..messages {
            let mut message = [0; 16];
            let length = open.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"probe", "{what}");
        }
        assert_eq!(tried(&probe, what, &at(&other)).await, REFUSED, "{what}");
    }
    assert_eq!(count(&probe, &format!("tried to send to {}", at(&other))), 4);
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut [0; 16]).is_err());
    // Datagrams are no connections.
    let (_listener, port) = listener();
    assert_eq!(tried(&probe, "reach", &format!("127.0.0.1:{port}")).await, REFUSED);
    assert_eq!(tried(&probe, "reach-early", &format!("127.0.0.1:{port}")).await, "Unsupported");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_looked_up_by_the_host_and_lead_where_they_are_declared() {
    let (_open, port) = listener();
    let probe = Probe::launch_needing(&[network("localhost", port)]).await;
    // Before it is looked up, its addresses are nobody's.
    assert_eq!(tried(&probe, "reach", &format!("127.0.0.1:{port}")).await, REFUSED);
    assert_eq!(tried(&probe, "reach", &format!("localhost:{port}")).await, DONE);
    assert_eq!(tried(&probe, "reach", &format!("127.0.0.1:{port}")).await, DONE);
    assert_eq!(tried(&probe, "look-up", "LOCALHOST").await, DONE);
    assert_eq!(tried(&probe, "look-up", "127.0.0.1").await, DONE);
    assert_eq!(tried(&probe, "look-up", "elsewhere.example").await, REFUSED);
    assert_eq!(count(&probe, "tried to look up elsewhere.example"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_machine_has_a_name_also_for_who_may_not_reach_it() {
    let (_open, port) = listener();
    let probe = Probe::launch_needing(&[]).await;
    assert_eq!(tried(&probe, "look-up", "localhost").await, DONE);
    assert_eq!(tried(&probe, "reach", &format!("localhost:{port}")).await, REFUSED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gatehouse_listens_on_is_reached_by_no_plugin() {
    let ((_own, own), (_others, others)) = (listener(), listener());
    let held = HeldPorts::of_daemon([own]);
    let neighbour = Probe::launch_needing(&[Capability::Listen { port: others }]).await;
    let probe = Probe::launch_needing(&[network("*", 0), udp("*", 0)]).await;
    for port in [own, others] {
        for at in [format!("127.0.0.1:{port}"), format!("[::1]:{port}"), format!("0.0.0.0:{port}")] {
            assert_eq!(tried(&probe, "reach", &at).await, REFUSED, "{at}");
            assert_eq!(tried(&probe, "send", &at).await, REFUSED, "{at}");
        }
    }
    drop((held, neighbour));
    assert_eq!(tried(&probe, "reach", &format!("127.0.0.1:{own}")).await, DONE);
}
