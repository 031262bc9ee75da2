//! The daemon as a whole: built, ready, refused where one serves already, drained.

use std::future::pending;

use gatehouse_host::api::client::Client;
use gatehouse_host::api::types::Status;
use gatehouse_host::config::Config;
use gatehouse_host::home::Home;
use gatehouse_host::log::HostLog;
use gatehouse_host::serve::{Ready, ServeError, run_until};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Serving = JoinHandle<Result<(), ServeError>>;

async fn serve(home: &Home, stop: &CancellationToken) -> (Ready, Serving) {
    let (sender, receiver) = oneshot::channel();
    let log = HostLog::in_memory(10);
    let (home, stop) = (home.clone(), stop.clone());
    let on_ready = move |ready: &Ready| sender.send(ready.clone()).unwrap();
    let serving = tokio::spawn(async move { run_until(Config::default(), home, log, stop, pending(), on_ready).await });
    (receiver.await.expect("the daemon is ready"), serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_answers_when_it_is_ready_and_again_after_a_restart() {
    let folder = TempDir::with_prefix("gatehouse-").unwrap();
    let home = Home::at(folder.path().join("home"));
    for _ in 0..2 {
        let stop = CancellationToken::new();
        let (ready, serving) = serve(&home, &stop).await;
        assert_eq!((&ready.home, ready.pid), (&home, std::process::id()));
        let status: Status = Client::new(&home).get("/v1/status").await.unwrap();
        assert_eq!(status.socket, ready.socket.display().to_string());
        stop.cancel();
        serving.await.unwrap().unwrap();
        assert!(!ready.socket.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_has_one_daemon() {
    let folder = TempDir::with_prefix("gatehouse-").unwrap();
    let home = Home::at(folder.path());
    let stop = CancellationToken::new();
    let (_, serving) = serve(&home, &stop).await;
    let log = HostLog::in_memory(10);
    let second = run_until(Config::default(), home.clone(), log, stop.clone(), pending(), |_| {}).await.unwrap_err();
    let text = second.to_string();
    assert!(text.contains(&format!("(process {})", std::process::id())), "{text}");
    // The refused one left the first one's socket alone.
    Client::new(&home).get::<Status>("/v1/status").await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_too_deep_for_a_socket_is_served_from_the_runtime_folder_or_refused() {
    let folder = TempDir::with_prefix("gatehouse-").unwrap();
    let home = Home::at(folder.path().join("d".repeat(110)));
    let stop = CancellationToken::new();
    stop.cancel();
    let log = HostLog::in_memory(10);
    let served = run_until(Config::default(), home.clone(), log, stop, pending(), |ready| {
        assert!(!ready.socket.starts_with(home.root()), "{ready:?}");
        assert_eq!(ready.socket, home.socket());
    })
    .await;
    // Where the environment names no runtime folder, the sentence says what to do.
    if let Err(error) = served {
        let text = error.to_string();
        assert!(text.contains("the most is 107") && text.contains("XDG_RUNTIME_DIR"), "{text}");
    }
}
