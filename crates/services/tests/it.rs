//! The servers that other tests rely on: they come up, they keep their data, they end.

#![allow(clippy::unwrap_used)]

use services::{Postgres, Prometheus, Redis};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

fn ask(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = [0; 256];
    let n = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

fn refuses(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
}

#[test]
fn postgres_comes_up_again_after_a_kill_and_a_stop() {
    let mut server = Postgres::start().unwrap();
    let port = server.port();
    server.kill();
    assert!(refuses(port));
    server.start_again().unwrap();
    server.stop();
    assert!(refuses(port));
    server.start_again().unwrap();
    drop(server);
    assert!(refuses(port));
}

#[test]
fn redis_keeps_its_data_over_a_stop() {
    let mut server = Redis::start().unwrap();
    assert_eq!(ask(server.port(), "SET kept yes\r\n"), "+OK\r\n");
    server.stop();
    assert!(refuses(server.port()));
    server.start_again().unwrap();
    assert_eq!(ask(server.port(), "GET kept\r\n"), "$3\r\nyes\r\n");
}

#[test]
fn prometheus_answers_that_it_is_healthy() {
    let place = tempfile::tempdir().unwrap();
    let configuration = place.path().join("prometheus.yml");
    std::fs::write(&configuration, "global:\n  scrape_interval: 1s\n").unwrap();
    let server = Prometheus::start(&configuration).unwrap();
    assert!(ask(server.port(), "GET /-/healthy HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200"));
    assert!(
        Prometheus::promtool(&["check", "config", configuration.to_str().unwrap()], None)
            .unwrap()
            .status
            .success()
    );
}
