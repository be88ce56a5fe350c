//! Runs a history past all rules.

use std::fmt;

use jiff::Timestamp;

use crate::line::{Change, Line, Operation, Version, WORKERS, name_of, uid_of};
use crate::rules;
use crate::seen::Worker;
use crate::world::{Settings, World};

/// A rule that broke.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The rule: `S7`.
    pub rule: &'static str,
    /// The object: collection, namespace and name.
    pub object: String,
    /// The revision at which it broke, and those before that matter.
    pub revisions: Vec<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} at {:?}: {}", self.rule, self.object, self.revisions, self.what)
    }
}

/// One version, and the object as it was before.
pub struct Step<'a> {
    /// The version.
    pub version: &'a Version,
    /// Everything before it.
    pub world: &'a World,
    /// What the rules are told.
    pub settings: &'a Settings,
    /// The worker before and after, if it is one and both are there.
    pub worker: Option<(&'a Worker, &'a Worker)>,
}

impl Step<'_> {
    /// The uid of the object.
    pub fn uid(&self) -> &str {
        uid_of(&self.version.object)
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.version.at
    }

    /// Says that a rule broke at this version.
    pub fn breaks(&self, report: &mut Report, rule: &'static str, what: impl Into<String>) {
        let revisions = self
            .world
            .object(&self.version.collection, self.uid())
            .map(|before| before.revision)
            .into_iter()
            .chain([self.version.revision])
            .collect();
        report.push(Violation {
            rule,
            object: format!("{} {}", self.version.collection, name_of(&self.version.object)),
            revisions,
            what: format!(
                "{} (by {}, {})",
                what.into(),
                self.version.by.as_deref().unwrap_or("somebody"),
                self.version.at
            ),
        });
    }
}

/// What broke so far.
pub type Report = Vec<Violation>;

/// A rule, or a few that belong together.
pub trait Rule {
    /// Looks at a version before the world takes it in.
    fn version(&mut self, step: &Step<'_>, report: &mut Report);

    /// Looks at what a client says.
    fn operation(&mut self, _operation: &Operation, _world: &World, _report: &mut Report) {}

    /// Looks at the end.
    fn end(&mut self, _world: &World, _settings: &Settings, _report: &mut Report) {}
}

/// Checks one history.
pub struct Checker {
    settings: Settings,
    world: World,
    rules: Vec<Box<dyn Rule>>,
    report: Report,
    newest: u64,
    versions: usize,
    operations: usize,
}

impl Checker {
    /// All rules.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            world: World::default(),
            rules: rules::all(),
            report: Report::new(),
            newest: 0,
            versions: 0,
            operations: 0,
        }
    }

    /// The next line.
    pub fn take(&mut self, line: &Line) {
        match line {
            Line::Version(version) => self.version(version),
            Line::Operation(operation) => {
                self.operations += 1;
                for rule in &mut self.rules {
                    rule.operation(operation, &self.world, &mut self.report);
                }
            }
        }
    }

    fn version(&mut self, version: &Version) {
        self.versions += 1;
        let is_worker = version.collection == WORKERS && version.change != Change::Deleted;
        let after = is_worker.then(|| Worker::of(&version.object));
        let before = self.world.worker(uid_of(&version.object));
        let step = Step {
            version,
            world: &self.world,
            settings: &self.settings,
            worker: before.zip(after.as_ref()),
        };
        if version.revision <= self.newest {
            step.breaks(&mut self.report, "ORDER", "the recording is not in order");
        }
        for rule in &mut self.rules {
            rule.version(&step, &mut self.report);
        }
        self.newest = version.revision;
        self.world.take(version);
    }

    /// How many versions and operations it has seen.
    pub const fn counts(&self) -> (usize, usize) {
        (self.versions, self.operations)
    }

    /// The end: what broke.
    pub fn finish(mut self) -> Report {
        for rule in &mut self.rules {
            rule.end(&self.world, &self.settings, &mut self.report);
        }
        self.report
    }

    /// A whole history.
    pub fn check<'a>(settings: Settings, lines: impl IntoIterator<Item = &'a Line>) -> Report {
        let mut checker = Self::new(settings);
        lines.into_iter().for_each(|line| checker.take(line));
        checker.finish()
    }
}
