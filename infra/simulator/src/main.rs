//! Starts the simulator for a person at a terminal.
#![expect(
    clippy::print_stdout,
    reason = "a program for people: it prints what happens"
)]

use std::{fs, io, path::PathBuf, process::ExitCode};

use wechatpay_simulator::{
    Config, GivenMerchant, Log, Merchant, Running, SigningMode, Simulator, Time,
};

const HELP: &str = "\
A WeChat Pay APIv3 simulator on 127.0.0.1.

    cargo run -p wechatpay-simulator -- [OPTIONS]

  --port N           the port, default 8081; 0 takes a free one
  --public-url URL   scheme and host that clients use through a tunnel or a proxy; links begin with it. Without it
                     they follow Host, X-Forwarded-Host and X-Forwarded-Proto of the request
  --merchant FILE    your merchant instead of an invented one, see README.md
  --out FILE         where to write what clients need, default wechatpay-simulator.json
  --state FILE       where orders and keys are kept over a restart, default wechatpay-simulator.state.json;
                     `none` keeps nothing
  --speed N          divides the waits before a callback is repeated and a refund is done, default 1
  --seed N           the seed of every random choice; a new one by default
  --certificate      callbacks (and answers to requests without Wechatpay-Serial) are signed with the platform
                     certificate, not with the public key
  --no-certificate   the merchant has no platform certificate, like every merchant of today
  --bills-of-today   bills may be asked for while their day runs
  --manual-time      the clock stands still until POST /admin/time
  --help             this text
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let Some(config) = read_arguments(std::env::args().skip(1))? else {
        println!("{HELP}");
        return Ok(());
    };
    let out = config.details_file.clone().unwrap_or_default();
    println!("Starting; RSA keys are made at the first start, which takes some seconds.");
    let running = Simulator::start(config).map_err(|error| in_full(&error))?;
    greet(&running, &out);
    wait_for_the_end().map_err(|error| format!("cannot wait for Ctrl-C: {error}"))?;
    running.stop();
    println!("Stopped.");
    Ok(())
}

fn greet(running: &Running, out: &std::path::Path) {
    let details = &running.details;
    println!(
        "
WeChat Pay (simulated) listens on {}   seed {}
  clients   read {}: base URL, merchant, keys
  merchant  {}  appid {}
  pay       open {}
  admin     curl {}/orders
  stop      Ctrl-C
",
        running.base_url,
        running.seed,
        out.display(),
        details.mchid,
        details.appid,
        details.phone_url,
        details.admin_url,
    );
}

/// `None` asks for help.
fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Option<Config>, String> {
    let mut config = Config {
        state_file: Some(PathBuf::from("wechatpay-simulator.state.json")),
        details_file: Some(PathBuf::from("wechatpay-simulator.json")),
        log: Some(Log::new(|line| println!("{line}"))),
        ..Config::default()
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value, see --help"))
        };
        match argument.as_str() {
            "--port" => config.port = number(&argument, &value()?)?,
            "--public-url" => config.public_url = Some(value()?),
            "--merchant" => config.merchant = Merchant::Given(read_merchant(&value()?)?),
            "--out" => config.details_file = Some(PathBuf::from(value()?)),
            "--state" => {
                config.state_file = Some(value()?)
                    .filter(|file| file != "none")
                    .map(PathBuf::from);
            }
            "--speed" => {
                config.time = Time::System {
                    speed: number(&argument, &value()?)?,
                };
            }
            "--seed" => config.seed = Some(number(&argument, &value()?)?),
            "--certificate" => config.signing_mode = SigningMode::Certificate,
            "--no-certificate" => config.platform_certificates = false,
            "--bills-of-today" => config.bills_of_today = true,
            "--manual-time" => {
                config.time = Time::Manual {
                    start_s: Time::now_s(),
                };
            }
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("{argument} is no option here, see --help")),
        }
    }
    Ok(Some(config))
}

fn number<N: std::str::FromStr>(option: &str, text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("{option} needs a number, not {text}"))
}

fn read_merchant(path: &str) -> Result<GivenMerchant, String> {
    let text = fs::read_to_string(path).map_err(|error| {
        format!("cannot read {path}: {error}; give --merchant a JSON file as README.md shows")
    })?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{path} is not a merchant: {error}; README.md shows one"))
}

/// An error with everything below it.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(&format!(": {cause}"));
        below = cause.source();
    }
    text
}

/// Ctrl-C, or the SIGTERM that a supervisor sends.
fn wait_for_the_end() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        #[cfg(unix)]
        {
            let mut terminate =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => interrupted,
                _ = terminate.recv() => Ok(()),
            }
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Option<Config>, String> {
        read_arguments(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn options_are_read_and_mistakes_say_what_to_do() {
        let config = read(&[
            "--port", "0", "--speed", "60", "--state", "none", "--seed", "7",
        ])
        .unwrap()
        .unwrap();
        assert_eq!(
            (config.port, config.seed, config.state_file),
            (0, Some(7), None)
        );
        assert_eq!(config.time, Time::System { speed: 60 });
        assert!(read(&["--help"]).unwrap().is_none());
        for (arguments, problem) in [
            (&["--port"][..], "--port needs a value, see --help"),
            (&["--port", "x"], "--port needs a number, not x"),
            (&["--prot", "1"], "--prot is no option here, see --help"),
        ] {
            assert_eq!(read(arguments).unwrap_err(), problem);
        }
    }
}
