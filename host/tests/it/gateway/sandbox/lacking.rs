//! Workers on kernels that lack a part of the sandbox: they run, held by what there is.

use std::net::TcpListener;

use gatehouse_host::gateway::Kernel;
use gatehouse_plugin_api::manifest::Capability;

use super::{DONE, Elsewhere, Probe, REFUSED, tried};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_landlock_the_filter_still_holds() {
    let elsewhere = Elsewhere::new();
    let probe = Probe::launch_trying(&[], Kernel { landlock: 0, ..Kernel::found() }, "").await.unwrap();
    assert_eq!(tried(&probe, "read", &elsewhere.path("foreign")).await, DONE, "that is what is missing");
    for (what, at) in [
        ("mode", elsewhere.path("foreign")),
        ("start", "/bin/sh".to_owned()),
        ("connect", elsewhere.path("stream")),
        ("reach", elsewhere.reachable.local_addr().unwrap().to_string()),
        ("signal", std::process::id().to_string()),
    ] {
        assert_eq!(tried(&probe, what, &at).await, REFUSED, "{what} {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_filters_landlock_still_holds() {
    let elsewhere = Elsewhere::new();
    let kernel = Kernel { filters: false, asks: false, ..Kernel::found() };
    let probe = Probe::launch_trying(&[], kernel, "").await.unwrap();
    assert_eq!(tried(&probe, "fork", "").await, DONE, "that is what is missing");
    for (what, at) in [
        ("read", elsewhere.path("foreign")),
        ("write", elsewhere.path("new")),
        ("start", "/bin/sh".to_owned()),
        ("reach", elsewhere.reachable.local_addr().unwrap().to_string()),
    ] {
        assert_eq!(tried(&probe, what, &at).await, REFUSED, "{what} {at}");
    }
    assert_eq!(probe.gateway.refusals(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_host_that_is_asked_ports_are_held_and_names_looked_up_as_ever() {
    let elsewhere = Elsewhere::new();
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    for kernel in [
        Kernel { asks: false, ..Kernel::found() },
        Kernel { descriptors: false, ..Kernel::found() },
        Kernel { memory: false, ..Kernel::found() },
    ] {
        let needs = [Capability::Network { host: "192.0.2.7".into(), port }];
        let probe = Probe::launch_trying(&needs, kernel, "").await.unwrap();
        assert_eq!(tried(&probe, "reach", &format!("127.0.0.1:{port}")).await, DONE, "that is what is missing");
        assert_eq!(tried(&probe, "look-up", "localhost").await, DONE);
        for (what, at) in [
            ("read", elsewhere.path("foreign")),
            ("start", "/bin/sh".to_owned()),
            ("fork", String::new()),
            ("connect", elsewhere.path("stream")),
            ("reach", elsewhere.reachable.local_addr().unwrap().to_string()),
            ("signal", std::process::id().to_string()),
        ] {
            assert_eq!(tried(&probe, what, &at).await, REFUSED, "{what} {at}");
        }
        assert_eq!(probe.gateway.refusals(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_anything_a_plugin_runs() {
    let kernel = Kernel { landlock: 0, filters: false, asks: false, descriptors: false, memory: false };
    let probe = Probe::launch_trying(&[], kernel, "").await.unwrap();
    assert_eq!(tried(&probe, "read", "/etc/passwd").await, DONE);
}
