//! What a cluster consists of.

/// A person or program that signs in with a token of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

impl User {
    /// A user without groups, who may do nothing until a test binds a role to the name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), groups: Vec::new() }
    }

    /// Makes the user a member of a group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }
}

/// Which parts a cluster has. etcd and the API server are always there.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The built-in controllers: garbage collection, namespaces, service accounts, node health.
    /// Without them no pod can be created, and a deleted namespace never goes.
    pub controller_manager: bool,
    /// The scheduler: without it pods stay unbound.
    pub scheduler: bool,
    /// How many simulated nodes to start with; with none, nothing simulates nodes.
    pub simulated_nodes: usize,
    /// Whether to have a real node, too, which really runs pods; see [`crate::real`]. Simulated
    /// nodes are tainted then: only pods that tolerate [`crate::SIMULATED_NODE`] go there.
    pub real_node: bool,
    /// Users beside `admin` (who may do everything), `platform`, `alice` and `bob` (who may do
    /// nothing yet).
    pub users: Vec<User>,
    /// Further flags of the API server; a flag given twice takes the last value.
    pub api_server_flags: Vec<String>,
}

impl Default for ClusterOptions {
    /// All parts, and one simulated node.
    fn default() -> Self {
        Self {
            controller_manager: true,
            scheduler: true,
            simulated_nodes: 1,
            real_node: false,
            users: Vec::new(),
            api_server_flags: Vec::new(),
        }
    }
}

impl ClusterOptions {
    /// Only etcd and the API server: enough for schemas, validation and access rules.
    pub fn api_only() -> Self {
        Self { controller_manager: false, scheduler: false, simulated_nodes: 0, ..Self::default() }
    }

    /// All users of the cluster.
    pub(crate) fn all_users(&self) -> Vec<User> {
        let mut users = vec![
            User::new(ADMIN).group("system:masters"),
            User::new("platform"),
            User::new("alice"),
            User::new("bob"),
            User::new(CONTROLLER_MANAGER),
            User::new(SCHEDULER),
            User::new(KWOK).group("system:masters"),
            User::new(KUBELET).group("system:nodes"),
        ];
        users.extend(self.users.iter().cloned());
        users
    }
}

/// The user who may do everything.
pub(crate) const ADMIN: &str = "admin";
/// The names under which the parts sign in. Kubernetes ships roles for the first two.
pub(crate) const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
pub(crate) const SCHEDULER: &str = "system:kube-scheduler";
pub(crate) const KWOK: &str = "kwok";
/// The name says which node it is, and so which pods are its own.
pub(crate) const KUBELET: &str = "system:node:real-0";
