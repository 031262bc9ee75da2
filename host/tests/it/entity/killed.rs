//! What was acknowledged survives the death of the process.

use super::*;

/// Names the folder of the home for the child.
const CHILD: &str = "GATEHOUSE_TEST_EMITS_IN";

/// The child: emits durably for ever and says how many readings were acknowledged.
async fn emit_until_killed(folder: &str) {
    let home = Home::with(Place::at(folder), LIMITS).await;
    let virtual_: IntegrationId = id("virtual");
    home.house.declare(&virtual_, vec![entity("lamp")]).await.unwrap();
    let mut out = std::io::stdout();
    for batch in 0_u32.. {
        home.house.emit_durable(&virtual_, levels(batch * 10..batch * 10 + 10)).await.unwrap();
        writeln!(out, "acknowledged {}", batch * 10 + 10).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn acknowledged_readings_survive_kill_9() {
    if let Ok(folder) = std::env::var(CHILD) {
        return emit_until_killed(&folder).await;
    }
    let place = Place::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["entity::killed::acknowledged_readings_survive_kill_9", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, place.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The test runner's own words may stand before the first one on its line.
        if let Some((_, count)) = line.unwrap().split_once("acknowledged ").filter(|(_, n)| n.parse::<usize>().is_ok())
        {
            acknowledged = count.parse().unwrap();
        }
        if acknowledged >= 500 && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(!child.wait().unwrap().success() && acknowledged >= 500, "killed after {acknowledged}");
    let home = Home::with(place, LIMITS).await;
    let history = home.history("virtual:lamp/level").await;
    assert!(history.len() >= acknowledged, "{} of {acknowledged}", history.len());
    let values = history.iter().map(|row| row.split_once('=').unwrap().1.parse::<usize>().unwrap());
    assert!(values.eq(0..history.len()), "each once and in order");
}
