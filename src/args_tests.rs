use clap::CommandFactory;

use super::*;

/// The settings that these flags make, or the sentence that refuses them.
fn settings(flags: &[&str]) -> Result<Settings, String> {
    let words = ["duckworker", "controller", "--lease-namespace", "system"];
    let args = Args::try_parse_from(words.iter().chain(flags)).map_err(|e| e.to_string())?;
    let Command::Controller(args) = args.command;
    args.settings().map_err(|e| e.to_string())
}

fn refused(flags: &[&str], sentence: &str) {
    let error = settings(flags).unwrap_err();
    assert!(error.contains(sentence), "{error}");
}

#[test]
fn the_command_line_is_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.scope, Scope::Cluster);
    assert_eq!(settings.concurrency.get(), 32);
    assert_eq!(settings.log.format, LogFormat::Plain);
    let seconds = |s| Duration::from_secs(s);
    let lease = LeaseTimes { renew: seconds(5), pause: seconds(15), expire: seconds(20) };
    assert_eq!(settings.lease, lease);
    assert_eq!(
        settings.janitor,
        JanitorTimes {
            election: Election::On,
            interval: seconds(5),
            step_deadline: seconds(30),
            orphan_grace: seconds(30),
            stranded_grace: seconds(120),
            stuck_spawning: seconds(600),
            stuck_activating: seconds(300),
            stuck_margin: seconds(120),
            draining_limit: seconds(7200),
            instance_retention: seconds(3600),
        }
    );
}

#[test]
fn namespaces_are_each_taken_once() {
    let flags = ["--namespace", "b", "--namespace", "a,b"];
    let Scope::Namespaces(names) = settings(&flags).unwrap().scope else { panic!() };
    assert_eq!(names, ["a", "b"]);
    assert_eq!(settings(&["--namespace", ""]).unwrap().scope, Scope::Cluster);
    refused(&["--namespace", "Data"], "--namespace \"Data\" is no namespace");
}

#[test]
fn tests_can_run_in_milliseconds() {
    let flags = [
        "--lease-renew",
        "100ms",
        "--lease-pause",
        "300ms",
        "--lease-expire",
        "400ms",
        "--orphan-grace",
        "0s",
        "--admin-address",
        "127.0.0.1:0",
    ];
    assert_eq!(settings(&flags).unwrap().lease.renew, Duration::from_millis(100));
}

#[test]
fn lease_times_that_cannot_work_are_refused() {
    refused(&["--lease-renew", "0s"], "--lease-renew is 0");
    refused(&["--lease-pause", "5s"], "--lease-pause (5s) must be longer than --lease-renew (5s)");
    refused(
        &["--lease-expire", "19s"],
        "--lease-expire (19s) must be at least 4/3 of --lease-pause",
    );
}

#[test]
fn nothing_drains_for_ever() {
    refused(&["--draining-limit", "0s"], "--draining-limit is 0");
    refused(&["--draining-limit", "never"], "write it like 5s, 2min or 1h 30m");
    refused(&["--draining-limit=-2h"], "is no length of time");
}

#[test]
fn a_controller_that_works_on_nothing_is_refused() {
    assert!(settings(&["--concurrency", "0"]).is_err());
}
