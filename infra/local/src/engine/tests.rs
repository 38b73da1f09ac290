use super::*;

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn two_engines_run_side_by_side_on_free_ports_of_loopback_and_leave_nothing() {
    let one = start(Options::default()).unwrap();
    let two = start(Options::default()).unwrap();
    assert_ne!(one.port(), two.port());
    assert!(get(one.port(), "/_ministack/health").contains(VERSION));
    assert!(one.endpoint().starts_with("http://127.0.0.1:"));
    let scratch = one.scratch.clone();
    assert!(scratch.exists());
    assert_eq!(one.stop(), Ending::Clean);
    assert!(!scratch.exists());
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = start(Options {
        port,
        state_dir: None,
    })
    .unwrap_err();
    assert!(matches!(error, Error::PortInUse { port: named } if named == port));
    assert!(error.to_string().contains(&port.to_string()));
}

#[test]
fn a_queue_is_still_there_after_a_clean_restart() {
    let state_dir = std::env::temp_dir().join(format!("local-engine-test-{}", std::process::id()));
    let options = Options {
        port: 0,
        state_dir: Some(state_dir.clone()),
    };
    let engine = start(options.clone()).unwrap();
    let created = get(
        engine.port(),
        "/?Action=CreateQueue&QueueName=kept&Version=2012-11-05",
    );
    assert!(created.contains("200"), "{created}");
    let log = engine.log().to_owned();
    assert_eq!(engine.stop(), Ending::Clean);
    let first_log = fs::read_to_string(&log).unwrap();

    let engine = start(options).unwrap();
    let listed = get(engine.port(), "/?Action=ListQueues&Version=2012-11-05");
    assert!(listed.contains("/kept"), "{listed}");
    let kept = fs::read_to_string(log.with_extension("log.1")).unwrap();
    assert_eq!(kept, first_log, "the log of the run before is still there");
    drop(engine);
    fs::remove_dir_all(state_dir).unwrap();
}

fn signal(process_id: u32, name: &str) {
    let sent = Command::new("kill")
        .args([name, &process_id.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn an_engine_that_was_killed_is_known_to_be_gone_and_its_log_is_kept() {
    let engine = start(Options::default()).unwrap();
    let (watch, kept) = (engine.watch(), engine.crash_log.clone().unwrap());
    assert_eq!(watch.ended(), None);
    signal(engine.process_id(), "-KILL");
    let begin = Instant::now();
    while watch.ended().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(10), "not seen");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(watch.ended().unwrap().to_string().contains("9"));
    assert_eq!(engine.stop(), Ending::Crashed);
    assert!(!fs::read_to_string(&kept).unwrap().is_empty());
    fs::remove_file(kept).unwrap();
}

#[test]
fn a_slow_stop_is_waited_for_and_ends_in_a_kill_only_when_the_wait_is_given_up() {
    for (waits, ending) in [(true, Ending::Clean), (false, Ending::Killed)] {
        let engine = start(Options::default()).unwrap();
        let process_id = engine.process_id();
        // It cannot see that it shall end.
        signal(process_id, "-STOP");
        let long = Duration::from_millis(300);
        let (mut paused, mut woken) = (Duration::ZERO, false);
        let stopped = engine.stop_while(|waited| {
            paused = waited;
            if waits && !woken && waited > long {
                woken = true;
                signal(process_id, "-CONT");
            }
            waits || waited < long
        });
        assert_eq!(stopped, ending);
        assert!(paused >= long, "the pause was set: {paused:?}");
    }
}

#[test]
fn an_engine_ends_when_its_lifeline_is_cut_as_when_the_owner_is_killed() {
    let mut engine = start(Options::default()).unwrap();
    drop(engine.lifeline.take());
    let deadline = Instant::now() + Duration::from_secs(10);
    while engine.is_running() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(!engine.is_running());
}
