//! Plugins are written with libraries: TLS, HTTP, sockets of tokio's, names and time zones work where a plugin is held.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::user::{NOBODY, may_change_user};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// An upstream that answers every request over TLS, by the name `localhost`; writes its certificate to a file.
fn upstream(certificate_file: &Path) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(certificate_file, made.cert.pem()).expect("written");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            // Who speaks no TLS, or does not know the certificate, is left alone.
            let head = std::iter::from_fn(|| {
                let mut line = String::new();
                stream.read_line(&mut line).map(|length| (length > 2).then_some(())).transpose()
            });
            if head.collect::<Result<Vec<()>, _>>().is_err() {
                continue;
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nwelcome!";
            let _ = stream.get_mut().write_all(answer);
            stream.get_mut().conn.send_close_notify();
            let _ = stream.get_mut().flush();
        }
    });
    address
}

/// Answers a line with the same, and closes.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut line = [0; 6];
            if stream.read_exact(&mut line).is_ok() {
                let _ = stream.write_all(&line);
            }
        }
    });
    address
}

fn it_works(daemon: &Daemon) {
    let files = tempfile::tempdir().expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(files.path(), open).expect("chmod");
    let certificate = files.path().join("upstream.pem");
    let port = upstream(&certificate).port();
    daemon.drop_plugin("guest_plugin");
    let settings = [format!("url=https://localhost:{port}/"), format!("certificate={}", certificate.display())];
    daemon.cli(&["integration", "activate", "guest", "--set", &settings[0], "--set", &settings[1], "--yes"]).ok();
    daemon.wait_state("guest", "running");
    let ask = |what: &[&str]| daemon.cli(&[&["integration", "manage", "guest"], what].concat());

    assert!(ask(&["do=fetch"]).ok().contains("welcome!"));
    let at = format!("at=localhost:{port}");
    // A connection of tokio's by a name, to the same place, which is closed to who speaks no TLS.
    assert!(!ask(&["do=exchange", &at]).ok().contains("hello"));
    let zones = [("Europe/Berlin", "+02"), ("America/New_York", "-04")];
    for (zone, offset) in zones.iter().filter(|(zone, _)| Path::new("/usr/share/zoneinfo").join(zone).exists()) {
        assert_eq!(ask(&["do=time", &format!("zone={zone}")]).ok().trim(), *offset, "{zone}");
    }
    assert!(ask(&["do=spawn"]).ok().contains("from another thread"));

    // What it did not declare, it does not reach: neither by another name of the place nor at another one.
    let other = echo();
    let refused = ask(&["do=exchange", &format!("at={other}")]);
    refused.failed(1);
    let shown = daemon.cli(&["integration", "show", "guest"]);
    assert!(shown.ok().contains(&format!("tried to connect to {other}: not declared")), "{}", shown.stdout);
    // Once it is declared it is reached, by sockets of tokio's.
    daemon.cli(&["integration", "set", "guest", &format!("url=https://{other}/")]).ok();
    daemon.wait_state("guest", "running");
    assert_eq!(ask(&["do=exchange", &format!("at={other}")]).ok().trim(), "hello");
    // Nor does TLS accept who is somebody else.
    assert_eq!(ask(&["do=fetch"]).code, 1);
}

#[test]
fn the_libraries_that_plugins_are_written_with_work_where_they_are_held() {
    it_works(&Daemon::start());
}

#[test]
fn they_work_under_a_user_without_rights_as_well() {
    if !may_change_user() {
        return;
    }
    let mut daemon = Daemon::prepare_as(QUICK, NOBODY);
    daemon.serve();
    it_works(&daemon);
}
