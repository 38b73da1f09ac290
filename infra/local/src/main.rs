//! `cargo local`: the whole bundle on this machine, and the whole life of an order through it.
//!
//! Builds the functions, starts the local AWS engine and the WeChat Pay simulator, makes keys,
//! deploys `template.yaml`, runs a payment and what comes after it, and leaves everything running
//! until Ctrl-C. Everything is real but WeChat: Lambda runtime and compiled functions, API
//! Gateway's payloads, SQS, DynamoDB, KMS. All of it listens on loopback only.
//!
//! Progress goes to standard error, results to standard output.

#![expect(
    clippy::print_stdout,
    reason = "a program for people: its results are its output"
)]

mod alarms;
mod arguments;
mod caller;
mod deploy;
mod failure;
mod functions;
mod http;
mod logs;
mod merchant;
mod port;
mod prerequisites;
mod product;
mod progress;
mod proxy;
mod ready_message;
mod receiver;
mod run;
mod scenario;
mod state;

use std::process::ExitCode;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Arguments, Command, HELP};
use crate::failure::Failure;

fn main() -> ExitCode {
    match arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Command::Run(arguments)) => in_threads(|runtime| start(runtime, &arguments)),
        Ok(Command::Deploy(new)) => {
            in_threads(|runtime| match runtime.block_on(deploy::again(new)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    eprintln!("{failure}");
                    ExitCode::FAILURE
                }
            })
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn in_threads(work: impl FnOnce(&Runtime) -> ExitCode) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => work(&runtime),
        Err(error) => {
            eprintln!("no threads can be had from the system: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(runtime: &Runtime, arguments: &Arguments) -> ExitCode {
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\ncargo local ended early: {failure}");
            if arguments.once {
                println!("{}", json!({ "ok": false, "cause": failure.to_string() }));
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut stack = tokio::select! {
        stack = run::start(arguments) => stack?,
        // Whatever was started by then is stopped by being dropped.
        () = interrupted() => return Err(Failure::new("it was interrupted")),
    };
    if arguments.once {
        let summary = stack.summary();
        stack.stop(interrupted()).await?;
        println!("{summary}");
        return Ok(());
    }
    println!("{}", stack.invitation()?);
    let gone = loop {
        tokio::select! {
            () = interrupted() => break None,
            gone = stack.engine_ends() => break Some(gone),
            () = signalled(SignalKind::user_defined1()) => {}
        }
        eprintln!("\nrestarting the local AWS engine ...");
        stack = stack.with_engine_restarted().await?;
        eprintln!("the local AWS engine is back");
    };
    if let Some(gone) = gone {
        eprintln!("\n{gone}\nstopping the rest ...");
        // It can only fail with the reported failure.
        drop(stack.stop(interrupted()).await);
        return Err(Failure::new("the local AWS engine was gone"));
    }
    eprintln!("\nstopping ...");
    stack.stop(interrupted()).await?;
    eprintln!("stopped; data is kept for the next run");
    Ok(())
}

/// Ends when this signal comes.
async fn signalled(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Ends when a person or the system wants the program to end.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        // Without handlers the signals end the process by themselves; the engine follows it.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
