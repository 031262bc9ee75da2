//! What the two sides may rely on: one answer or none, from any thread, and no panic that crosses.

use std::sync::mpsc::{self, Receiver};
use std::thread;

use abi_stable::std_types::{RResult, RVec};
use gatehouse_abi::export::construct;
use gatehouse_abi::{CallSide, GatewayHandle, ReplyHandle, gateway_box, host_box, reply_box};

/// Answers by what it is told to do.
struct Side;

const ECHO: u32 = 1;
const DROP: u32 = 2;
const PANIC: u32 = 3;
const LATER: u32 = 4;

impl CallSide for Side {
    fn call(&self, op: u32, request: Vec<u8>, reply: ReplyHandle) {
        match op {
            ECHO => reply.complete(request),
            DROP => drop(reply),
            PANIC => panic!("in the call"),
            LATER => drop(thread::spawn(move || reply.complete(request))),
            _ => reply.complete(Vec::new()),
        }
    }
}

fn call(gateway: &GatewayHandle, op: u32, request: &[u8]) -> Receiver<Option<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    gateway.call(op, request.to_vec(), move |bytes| drop(sender.send(bytes)));
    receiver
}

#[test]
fn an_answer_is_the_bytes_that_were_given_from_whatever_thread() {
    let gateway = GatewayHandle::from(gateway_box(Side));
    assert_eq!(call(&gateway, ECHO, b"now").recv(), Ok(Some(b"now".to_vec())));
    assert_eq!(call(&gateway, LATER, b"later").recv(), Ok(Some(b"later".to_vec())));
    assert_eq!(call(&gateway, ECHO, b"").recv(), Ok(Some(Vec::new())));
}

#[test]
fn a_reply_dropped_unused_tells_the_caller_that_there_is_none() {
    let gateway = GatewayHandle::from(gateway_box(Side));
    let replies = call(&gateway, DROP, b"");
    assert_eq!(replies.recv(), Ok(None));
    assert!(replies.recv().is_err(), "answered once");
}

#[test]
fn a_panic_in_a_call_is_no_reply_and_the_side_lives_on() {
    let gateway = GatewayHandle::from(gateway_box(Side));
    assert_eq!(call(&gateway, PANIC, b"").recv(), Ok(None));
    assert_eq!(call(&gateway, ECHO, b"on").recv(), Ok(Some(b"on".to_vec())));
}

#[test]
fn a_panic_in_the_caller_s_sink_stays_with_the_caller() {
    let gateway = GatewayHandle::from(gateway_box(Side));
    gateway.call(ECHO, Vec::new(), |_| panic!("in the sink"));
    drop(reply_box(|_| panic!("in the sink")));
    assert_eq!(call(&gateway, ECHO, b"on").recv(), Ok(Some(b"on".to_vec())));
}

#[test]
fn a_constructor_hands_over_the_host_the_instance_and_its_own_error() {
    let made = construct(host_box(Side), RVec::from(&b"instance"[..]), |host, instance| {
        let (sender, receiver) = mpsc::channel();
        host.call(ECHO, instance, move |bytes| drop(sender.send(bytes)));
        assert_eq!(receiver.recv(), Ok(Some(b"instance".to_vec())));
        Ok(Side)
    });
    let RResult::ROk(gateway) = made else { panic!("made") };
    assert_eq!(call(&GatewayHandle::from(gateway), ECHO, b"1").recv(), Ok(Some(b"1".to_vec())));

    let refused = construct(host_box(Side), RVec::new(), |_, _| Err::<Side, _>(b"why".to_vec()));
    assert!(matches!(refused, RResult::RErr(bytes) if bytes[..] == *b"why"));

    let panicked = construct(host_box(Side), RVec::new(), |_, _| -> Result<Side, _> { panic!("in the constructor") });
    assert!(matches!(panicked, RResult::RErr(bytes) if bytes.is_empty()));
}
